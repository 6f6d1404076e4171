//! Requests that two readers may read differently, or that nobody can read (RFC 9112).

use crate::handshakes::{Row, refuse_all};
use crate::wire::{Head, Wire};

/// A handshake has no body: what would be one would be read as frames.
#[tokio::test]
async fn a_handshake_with_a_body_is_refused() {
    let (server, bystander) = crate::begin(|_| {}).await;
    let good = Head::of(&server, "ann");
    // A masked ping, so that who took it for frames would answer it.
    let ping = "\u{9}\0\0\0\0";
    let chunked = "Transfer-Encoding: chunked";
    let mut table: Vec<Row> = Vec::new();
    for (lines, body, code) in [
        (&["Content-Length: 5"][..], ping, "NOT_AN_UPGRADE"),
        (&["Content-Length: 1"], ping, "NOT_AN_UPGRADE"),
        (&["Content-Length: 99999999999"], ping, "NOT_AN_UPGRADE"),
        (&["Content-Length: 5", "Content-Length: 5"], ping, "NOT_AN_UPGRADE"),
        (&[chunked], "5\r\nhello\r\n0\r\n\r\n", "NOT_AN_UPGRADE"),
        (&[chunked], "0\r\n\r\n", "NOT_AN_UPGRADE"),
        (&["Transfer-Encoding: gzip, chunked"], "0\r\n\r\n", "NOT_AN_UPGRADE"),
        // Both (RFC 9112 §6.1): the ways to hide a request in another.
        (&["Content-Length: 5", chunked], "0\r\n\r\n", "NOT_AN_UPGRADE"),
        (&[chunked, "Content-Length: 5"], "0\r\n\r\n", "NOT_AN_UPGRADE"),
        // Not to be read at all.
        (&["Content-Length: 5", "Content-Length: 6"], "hello", ""),
        (&["Content-Length: 5, 6"], "hello", ""),
        (&["Content-Length: -5"], "hello", ""),
        (&["Content-Length: +5"], "hello", ""),
        (&["Content-Length: 0x5"], "hello", ""),
        (&["Content-Length: 99999999999999999999999"], "hello", ""),
        (&["Transfer-Encoding: identity"], "", ""),
        (&["Transfer-Encoding: xchunked"], "", ""),
        (&["Transfer-Encoding: chunked, gzip"], "", ""),
    ] {
        let text = good.clone().with("content-length", lines).text();
        table.push((format!("{lines:?} {body:?}"), text + body, 400, code));
    }
    refuse_all(&server, table).await;
    // None is none.
    let text = good.with("content-length", &["Content-Length: 0"]).text();
    assert_eq!(Wire::said(&server, text).await.hear().await.expect("an answer").status, 101);
    bystander.expect_unharmed().await;
}

#[tokio::test]
async fn what_is_no_http_is_refused() {
    let (server, bystander) = crate::begin(|_| {}).await;
    let good = Head::of(&server, "ann");
    let mut table: Vec<Row> = Vec::new();
    for line in [
        // Folded (RFC 9112 §5.2).
        "X-A: a\r\n b",
        "X-A: a\r\n\tb",
        "X-A:\r\n b",
        "X-A: a\0b",
        "X-A: a\rb",
        "X-A: a\u{1}b",
        "X-A: a\u{7f}b",
        "X-\0A: a",
        // What a proxy might read otherwise (RFC 9112 §5.1).
        "X-A : a",
        "Content-Length : 5",
        " X-A: a",
        "X-A",
        ": a",
        "X A: a",
        "X-Ä: a",
        "(X): a",
        "X-A\u{b}: a",
    ] {
        let text = good.clone().with("x-a", &[line]).text();
        table.push((format!("{line:?}"), text, 400, ""));
    }
    for first in [
        "",
        "GET",
        "GET /ws/realtime",
        "GET /ws/realtime HTTP/1.1 x",
        "GET  /ws/realtime  HTTP/1.1",
        "GET /ws/realtime HTTP/1.2",
        "GET /ws/realtime HTTP/3.0",
        "GET /ws/realtime HTTP/11",
        "GET /ws/realtime http/1.1",
        "GET /ws/realtime ICY",
        "GET /ws /realtime HTTP/1.1",
        "GET ws/realtime HTTP/1.1",
        "GET /ws/\0realtime HTTP/1.1",
        "GET\0/ws/realtime HTTP/1.1",
        "GET http:// HTTP/1.1",
        "GET http://[::1/ws/realtime HTTP/1.1",
        "CONNECT /ws/realtime HTTP/1.1",
        "G\u{e4}T /ws/realtime HTTP/1.1",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}",
    ] {
        // An empty first line is skipped (RFC 9112 §2.2), and then there is no request.
        table.push((format!("{first:?}"), good.clone().first(first).text(), 400, ""));
    }
    refuse_all(&server, table).await;
    // HTTP/2 is not spoken, and not answered in HTTP/1.1.
    let mut wire =
        Wire::said(&server, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0").await;
    wire.say(good.text()).await;
    let rest = wire.hear_end("HTTP/2").await;
    assert!(!rest.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&rest));
    bystander.expect_unharmed().await;
}
