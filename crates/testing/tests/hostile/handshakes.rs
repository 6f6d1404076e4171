//! Bad handshakes, line by line (RFC 6455 §4.2.1, RFC 9112).

use draftwire_testing::TestServer;

use crate::wire::{Head, Wire};

/// A bad request: what is wrong, its text, and the status and code of its refusal. Without a code
/// where the request can't be read at all.
pub type Row = (String, String, u16, &'static str);

/// Every row is refused as it says, and the connection ends with that: what follows is never read.
pub async fn refuse_all(server: &TestServer, table: Vec<Row>) {
    for (what, text, status, code) in table {
        // Once whole, as the front door reads it, and once in pieces.
        for cut in [0, 1, text.len() / 2] {
            let mut wire = Wire::open(server).await;
            let (first, rest) = text.as_bytes().split_at(cut);
            if cut > 0 {
                wire.say(first).await;
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            wire.say(rest).await;
            let heard = wire.hear().await.unwrap_or_else(|| panic!("{what}: no answer"));
            heard.is_refusal(&what, status, code);
            let rest = wire.hear_end(&what).await;
            assert!(rest.is_empty(), "{what}: {}", String::from_utf8_lossy(&rest));
        }
    }
}

#[tokio::test]
async fn a_key_stands_once_and_is_16_bytes_in_base64() {
    let (server, bystander) = crate::begin(|_| {}).await;
    let good = Head::of(&server, "ann");
    let good_key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    let mut table: Vec<Row> = Vec::new();
    for lines in [
        &[][..],
        &[good_key, good_key],
        &[good_key, "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="],
        &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ=="],
        &["Sec-WebSocket-Key:"],
        &["Sec-WebSocket-Key: ", good_key],
        &["Sec-WebSocket-Key: ="],
        &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ"],
        &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ="],
        &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==="],
        &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j"],
        &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZWE="],
        &["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA"],
        &["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAAA"],
        &["Sec-WebSocket-Key: dGhlIHNhbXBs ZSBub25jZQ=="],
        &["Sec-WebSocket-Key: ____________________--=="],
        &["Sec-WebSocket-Key: the sample nonce"],
        &["Sec-WebSocket-Key: \u{e4}hlIHNhbXBsZSBub25jZQ=="],
        &["Sec-WebSocket-Key: %64GhlIHNhbXBsZSBub25jZQ=="],
    ] {
        let text = good.clone().with("sec-websocket-key", lines).text();
        table.push((format!("{lines:?}"), text, 400, "BAD_KEY"));
    }
    let long = format!("Sec-WebSocket-Key: {}==", "A".repeat(20_000));
    let long = good.with("sec-websocket-key", &[&long]).text();
    table.push(("a long key".into(), long, 400, "BAD_KEY"));
    refuse_all(&server, table).await;
    bystander.expect_unharmed().await;
}

#[tokio::test]
async fn the_version_stands_once_and_is_13() {
    let (server, bystander) = crate::begin(|_| {}).await;
    let good = Head::of(&server, "ann");
    let mut table: Vec<Row> = Vec::new();
    for versions in [
        &[][..],
        &["13", "13"],
        &["8", "13"],
        &["13", "8"],
        &["13, 8"],
        &["8, 13"],
        &["13,"],
        &["0"],
        &["7"],
        &["8"],
        &["12"],
        &["14"],
        &["255"],
        &["256"],
        &["1300"],
        &["013"],
        &["+13"],
        &["-13"],
        &["13.0"],
        &["0x0d"],
        &["13 13"],
        &["\u{ff11}\u{ff13}"],
        &[""],
        &["thirteen"],
    ] {
        let lines: Vec<String> =
            versions.iter().map(|version| format!("Sec-WebSocket-Version: {version}")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let text = good.clone().with("sec-websocket-version", &lines).text();
        table.push((format!("{versions:?}"), text, 426, "WEBSOCKET_VERSION"));
    }
    refuse_all(&server, table).await;
    let old = good.with("sec-websocket-version", &["Sec-WebSocket-Version: 8"]).text();
    let heard = Wire::said(&server, old).await.hear().await.expect("an answer");
    // RFC 6455 §4.4: which one it is.
    assert_eq!(heard.header("sec-websocket-version"), Some("13"));
    bystander.expect_unharmed().await;
}

#[tokio::test]
async fn what_does_not_ask_for_a_websocket_gets_none() {
    let (server, bystander) = crate::begin(|_| {}).await;
    let good = Head::of(&server, "ann");
    let mut table: Vec<Row> = Vec::new();
    for line in [
        "",
        "Upgrade:",
        "Upgrade: h2c",
        "Upgrade: websockets",
        "Upgrade: web socket",
        "Upgrade: TLS/1.0, HTTP/2.0",
        "Upgrade: \"websocket\"",
        "Upgrade: websocket;q=1",
    ] {
        let lines = if line.is_empty() { &[][..] } else { &[line] };
        let text = good.clone().with("upgrade", lines).text();
        table.push((format!("upgrade {line:?}"), text, 400, "NOT_AN_UPGRADE"));
    }
    for line in [
        "",
        "Connection:",
        "Connection: keep-alive",
        "Connection: close",
        "Connection: Upgrade-Insecure-Requests",
        "Connection: Up grade",
        "Connection: upgrade;x",
    ] {
        let lines = if line.is_empty() { &[][..] } else { &[line] };
        let text = good.clone().with("connection", lines).text();
        table.push((format!("connection {line:?}"), text, 400, "NOT_AN_UPGRADE"));
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get", "GETGET", "X"] {
        let text = good.clone().first(&format!("{method} /ws/realtime HTTP/1.1")).text();
        table.push((method.into(), text, 400, "NOT_AN_UPGRADE"));
    }
    let old = good.clone().first("GET /ws/realtime HTTP/1.0").text();
    table.push(("HTTP/1.0".into(), old, 400, "NOT_AN_UPGRADE"));
    for path in [
        "/ws/realtime/",
        "//ws/realtime",
        "/WS/realtime",
        "/ws/realtime%00",
        "/ws/../ws/realtime",
        "/ws/realtime;x=1",
        "/ws/realtime.php",
        "/",
        "/ws",
        "/ws/realtime%2f",
    ] {
        let head = good.clone().first(&format!("GET {path} HTTP/1.1"));
        // What is no handshake at this server is a request like any other, and may be followed by one.
        let text = head.with("connection", &["Connection: Upgrade, close"]).text();
        table.push((path.into(), text, 404, "NOT_FOUND"));
    }
    // Whose it is must be clear (RFC 9112 §3.2).
    let host = format!("Host: {}", server.address());
    for lines in [&[][..], &[&*host, &*host], &[&*host, "Host: evil.test"]] {
        let text = good.clone().with("host", lines).text();
        table.push((format!("host {lines:?}"), text, 400, "INVALID"));
    }
    refuse_all(&server, table).await;
    // The answer to HEAD has no body.
    let head = good.first("HEAD /ws/realtime HTTP/1.1").text();
    let answer = Wire::said(&server, head).await.hear_end("HEAD").await;
    assert!(answer.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&answer));
    bystander.expect_unharmed().await;
}

/// What is allowed though it looks odd (RFC 9112 §2.2 and §3.2.2, RFC 9110 §5.6.3 and §7.6.1).
#[tokio::test]
async fn odd_handshakes_that_are_good_are_let_in() {
    let (server, bystander) = crate::begin(|_| {}).await;
    let good = Head::of(&server, "ann");
    let table = [
        ("a lone line feed ends a line", good.text().replace("\r\n", "\n")),
        ("an empty line before it", format!("\r\n{}", good.text())),
        (
            "the whole address",
            good.clone()
                .first(&format!("GET http://{}/ws/realtime HTTP/1.1", server.address()))
                .text(),
        ),
        ("lists", good.clone().with("connection", &["connection: keep-alive, UPGRADE"]).text()),
        ("two lines", good.clone().with("upgrade", &["upgrade: h2c", "UPGRADE: WebSocket"]).text()),
        ("no space", good.clone().with("upgrade", &["Upgrade:websocket\t "]).text()),
        ("a question mark", good.clone().first("GET /ws/realtime? HTTP/1.1").text()),
    ];
    for (what, text) in table {
        let heard = Wire::said(&server, text).await.hear().await.expect("an answer");
        assert_eq!(heard.status, 101, "{what}: {heard:?}");
    }
    bystander.expect_unharmed().await;
}

/// ws before 3.3.1 broke down over names of `Object.prototype` among extensions. Nothing is agreed
/// on that was not understood.
#[tokio::test]
async fn rubbish_among_extensions_and_subprotocols_is_not_agreed_on() {
    let (server, bystander) = crate::begin(|_| {}).await;
    let good = Head::of(&server, "ann");
    let long = "permessage-deflate; server_max_window_bits=8, ".repeat(1_000);
    for offer in [
        "constructor",
        "__proto__",
        "permessage-deflate; __proto__",
        "permessage-deflate; constructor=1",
        "permessage-deflate; server_max_window_bits=99",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
        "permessage-deflate; client_max_window_bits=\"",
        "permessage-deflate; client_no_context_takeover=true",
        "permessage-deflate; unknown",
        "permessage-deflate=1",
        "permessage-bzip2",
        "x-webkit-deflate-frame",
        ";",
        ",,,,",
        "=",
        "\"\\",
        "a; b=\"unterminated",
        "\u{e4}",
        &long,
    ] {
        let line = format!("Sec-WebSocket-Extensions: {offer}");
        let text = good.clone().with("sec-websocket-extensions", &[&line]).text();
        let heard = Wire::said(&server, text).await.hear().await.expect("an answer");
        // Who reads it strictly may also fail the handshake (RFC 6455 §9.1).
        assert!([101, 400].contains(&heard.status), "{offer:.60}: {heard:?}");
        assert_eq!(heard.header("sec-websocket-extensions"), None, "{offer:.60}");
    }
    for offer in [
        "draftwire.v2",
        "DRAFTWIRE.V1",
        "draftwire.v1.x",
        ",,",
        "draftwire.bearer",
        "\u{e4}",
        "constructor",
        "draftwire.v1 draftwire.v1",
        "\"draftwire.v1\"",
    ] {
        let line = format!("Sec-WebSocket-Protocol: {offer}");
        // Through the front door, and past it.
        for path in ["/ws/realtime", "/ws/sync"] {
            let head = good.clone().first(&format!("GET {path} HTTP/1.1"));
            let text = head.with("sec-websocket-protocol", &[&line]).text();
            let heard = Wire::said(&server, text).await.hear().await.expect("an answer");
            assert_eq!(heard.status, 101, "{offer}: {heard:?}");
            assert_eq!(heard.header("sec-websocket-protocol"), None, "{offer}");
        }
    }
    bystander.expect_unharmed().await;
}
