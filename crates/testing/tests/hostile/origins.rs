//! Origins that are nearly those that are let in (RFC 6454), at real handshakes.

use draftwire_server::auth::OriginPolicy;
use draftwire_testing::TestServer;

use crate::bystander::Bystander;
use crate::wire::{Head, Wire};

const APP: &str = "https://app.example.com";

async fn start() -> (TestServer, Bystander) {
    crate::begin(|settings| settings.origins = OriginPolicy::new([APP]).expect("an origin")).await
}

/// The status of a handshake with these header lines, on both paths and through both doors: whole,
/// and in pieces.
async fn status_with(server: &TestServer, lines: &[&str]) -> u16 {
    let good = Head::of(server, "ann").with("origin", lines);
    let mut statuses = Vec::new();
    for path in ["/ws/realtime", "/ws/sync"] {
        let text = good.clone().first(&format!("GET {path} HTTP/1.1")).text();
        for cut in [0, 20] {
            let (first, rest) = text.as_bytes().split_at(cut);
            let mut wire = Wire::said(server, first).await;
            if cut > 0 {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            wire.say(rest).await;
            let heard = wire.hear().await.expect("an answer");
            if heard.status == 403 {
                heard.is_refusal(path, 403, "ORIGIN");
            }
            statuses.push(heard.status);
        }
    }
    assert!(statuses.iter().all(|status| *status == statuses[0]), "{lines:?}: {statuses:?}");
    statuses[0]
}

#[tokio::test]
async fn what_is_nearly_the_origin_is_another() {
    let (server, bystander) = start().await;
    for origin in [
        // Scheme and port.
        "http://app.example.com",
        "ws://app.example.com",
        "wss://app.example.com",
        "httpss://app.example.com",
        "file://app.example.com",
        "chrome-extension://app.example.com",
        "//app.example.com",
        "app.example.com",
        "https:app.example.com",
        "https:/app.example.com",
        "https:///app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com:80",
        "https://app.example.com:0",
        "https://app.example.com:",
        "https://app.example.com:443443",
        // Host.
        "https://example.com",
        "https://www.app.example.com",
        "https://a.app.example.com",
        "https://app.example.com.evil.com",
        "https://app.example.com.",
        "https://.app.example.com",
        "https://app.example.com-evil.com",
        "https://app.example.comevil.com",
        "https://app.example.co",
        "https://app.example.community",
        "https://evilapp.example.com",
        "https://evil-app.example.com",
        "https://app-example.com",
        "https://appXexample.com",
        "https://app.exampleXcom",
        "https://app..example.com",
        "https://*.example.com",
        "https://*",
        "*",
        "https://app.example.com%2eevil.com",
        "https://app.example.com%00.evil.com",
        "https://%61pp.example.com",
        // Look-alikes: in letters, and as a browser writes them.
        "https://\u{430}pp.example.com",
        "https://xn--pp-7kc.example.com",
        "https://app.ex\u{430}mple.com",
        "https://app.xn--exmple-4nf.com",
        "https://\u{ff41}pp.example.com",
        "https://app\u{3002}example.com",
        "https://app.example.com\u{200b}",
        // Userinfo, path, query.
        "https://app.example.com@evil.com",
        "https://app.example.com:443@evil.com",
        "https://evil.com@app.example.com",
        "https://@app.example.com",
        "https://app.example.com/",
        "https://app.example.com/evil",
        "https://app.example.com/.evil.com",
        "https://evil.com/https://app.example.com",
        "https://evil.com?https://app.example.com",
        "https://evil.com#https://app.example.com",
        "https://app.example.com?",
        "https://app.example.com#",
        "https://app.example.com\\",
        "https:\\\\app.example.com",
        "https://app.example.com\\@evil.com",
        "https://app.example.com&evil.com",
        "https://app.example.com;evil.com",
        // No origin, several, or blanks between.
        "",
        "null",
        "Null",
        "undefined",
        "about:blank",
        "data:text/html,x",
        "https://",
        "https",
        "://",
        "https://app.example.com https://evil.com",
        "https://evil.com https://app.example.com",
        "https://app.example.com, https://evil.com",
        "https://app.example.com,",
        "https://app.example.com https://app.example.com",
        "https:// app.example.com",
        "https ://app.example.com",
        "\u{a0}https://app.example.com",
        "https://app.example.com\u{a0}",
        "\"https://app.example.com\"",
        "<https://app.example.com>",
        "Origin: https://app.example.com",
    ] {
        let line = format!("Origin: {origin}");
        assert_eq!(status_with(&server, &[&line]).await, 403, "{origin:?}");
    }
    bystander.expect_unharmed().await;
}

#[tokio::test]
async fn two_origins_are_none() {
    let (server, bystander) = start().await;
    let app = format!("Origin: {APP}");
    for other in [APP, "https://evil.com", "null", ""] {
        let other = format!("Origin: {other}");
        assert_eq!(status_with(&server, &[&app, &other]).await, 403, "{other}");
        assert_eq!(status_with(&server, &[&other, &app]).await, 403, "{other}");
    }
    // What only looks like the header does not count, beside it or for it.
    let evil = "Origin: https://evil.com";
    for line in ["X-Origin", "Origin-X", "Sec-WebSocket-Origin", "Referer", "Sec-Fetch-Site"] {
        let line = format!("{line}: {APP}");
        assert_eq!(status_with(&server, &[evil, &line]).await, 403, "{line}");
    }
    bystander.expect_unharmed().await;
}

/// The host that was called is let in as well; it is what stands in `Host`, nothing else.
#[tokio::test]
async fn what_is_nearly_the_host_is_another() {
    let (server, bystander) = start().await;
    let port = server.address().port();
    for origin in [
        "http://127.0.0.1".to_owned(),
        format!("http://127.0.0.1:{}", port ^ 1),
        format!("http://127.0.0.1:{port}0"),
        format!("http://127.0.0.1:0{port}"),
        format!("http://127.0.0.2:{port}"),
        format!("http://127.1:{port}"),
        format!("http://2130706433:{port}"),
        format!("http://0x7f000001:{port}"),
        format!("http://localhost:{port}"),
        format!("http://[::1]:{port}"),
        format!("http://[::ffff:127.0.0.1]:{port}"),
        format!("http://127.0.0.1.:{port}"),
        format!("http://127.0.0.1.evil.com:{port}"),
        format!("http://127.0.0.1:{port}.evil.com"),
        format!("http://127.0.0.1:{port}/"),
        format!("http://127.0.0.1:{port}@evil.com"),
        format!("http://evil.com@127.0.0.1:{port}"),
        format!("ftp://127.0.0.1:{port}"),
        format!("ws://127.0.0.1:{port}"),
        format!("127.0.0.1:{port}"),
        "http://".to_owned(),
    ] {
        let line = format!("Origin: {origin}");
        assert_eq!(status_with(&server, &[&line]).await, 403, "{origin}");
    }
    // Only what a browser can't forge counts: neither another header nor the request's own line.
    for (first, line) in [
        ("GET /ws/realtime HTTP/1.1", "X-Forwarded-Host: evil.com"),
        ("GET /ws/realtime HTTP/1.1", "Forwarded: host=evil.com"),
        ("GET http://evil.com/ws/realtime HTTP/1.1", "X-A: b"),
    ] {
        let head =
            Head::of(&server, "ann").first(first).with("x", &[line, "Origin: http://evil.com"]);
        let heard = Wire::said(&server, head.text()).await.hear().await.expect("an answer");
        heard.is_refusal(line, 403, "ORIGIN");
    }
    bystander.expect_unharmed().await;
}

/// Scheme and host are the same in any case (RFC 3986 §6.2.2.1), though browsers write them small
/// (RFC 6454 §6.2), and white space around a header is none of it (RFC 9110 §5.5).
#[tokio::test]
async fn the_origin_itself_is_let_in() {
    let (server, bystander) = start().await;
    let own = format!("Origin: http://{}", server.address());
    let secure = format!("Origin: https://{}", server.address());
    for line in [
        "Origin: https://app.example.com",
        "Origin: HTTPS://APP.EXAMPLE.COM",
        "origin:https://App.Example.Com",
        "ORIGIN: \t https://app.example.com \t ",
        &own,
        // Behind a proxy that ends TLS.
        &secure,
    ] {
        assert_eq!(status_with(&server, &[line]).await, 101, "{line}");
    }
    assert_eq!(status_with(&server, &[]).await, 101, "who is no page sends none");
    bystander.expect_unharmed().await;
}
