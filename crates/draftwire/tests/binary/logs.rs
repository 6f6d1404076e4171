//! The log: what stands in it, and that no token and no document ever does.

use std::io::Write;

use base64_of::base64url;
use serde_json::{Value, json};

use super::device::{Device, Step};
use super::http::{connect, get, handshake, read_to_end, request};
use super::server::{Home, Server, admin, now, sign, token};

/// Stands in documents; must never stand in a log.
const CANARY: &str = "CANARY-7f3a";

mod base64_of {
    //! Base64 for a forged header: the standard library has none.

    pub fn base64url(bytes: &[u8]) -> String {
        const DIGITS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut text = String::new();
        for chunk in bytes.chunks(3) {
            let at = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
            let bits = at(0) << 16 | at(1) << 8 | at(2);
            for digit in 0..=chunk.len() {
                text.push(char::from(DIGITS[(bits >> (18 - 6 * digit) & 63) as usize]));
            }
        }
        text
    }
}

/// Tokens of every kind, each with a signature (or what stands for it) that is easy to find.
fn tokens() -> Vec<(&'static str, String)> {
    let good = token("anna");
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let turned: String = signature.chars().rev().collect();
    let claims = good.split('.').nth(1).unwrap();
    let other = base64url(br#"{"alg":"RS256"}"#);
    let none = base64url(br#"{"alg":"none"}"#);
    vec![
        ("good", good.clone()),
        ("admin", admin()),
        ("forged", format!("{signed}.{turned}")),
        ("expired", sign(&json!({ "sub": "anna", "exp": now() - 3600 }))),
        ("without exp", sign(&json!({ "sub": "anna" }))),
        ("without user", sign(&json!({ "exp": now() + 3600 }))),
        ("RS256", format!("{other}.{claims}.{signature}")),
        ("none", format!("{none}.{claims}.")),
        ("two parts", format!("{claims}.{signature}")),
        ("no token at all", "Sommerregen-im-August".into()),
        ("long", format!("{signed}.{}", "LongLong".repeat(2000))),
    ]
}

/// Tries a token in every place that takes one, and in some that do not.
fn try_everywhere(server: &Server, token: &str) {
    let host = &server.authority;
    let bearer = format!("Authorization: Bearer {token}\r\n");
    let subprotocol = format!("Sec-WebSocket-Protocol: draftwire.v1, draftwire.bearer.{token}\r\n");
    let lonely = format!("Sec-WebSocket-Protocol: draftwire.bearer.{token}\r\n");
    for path in ["/ws/realtime", "/ws/sync"] {
        handshake(host, path, &bearer);
        handshake(host, path, &subprotocol);
        handshake(host, path, &lonely);
        handshake(host, &format!("{path}?token={token}"), "");
        handshake(host, &format!("{path}?token={token}&token={token}"), "");
        handshake(host, &format!("{path}?token={token}&clientId=%"), "");
        handshake(host, &format!("{path}?token={token}&clientId={token}{token}"), "");
        handshake(host, &format!("{path}?clientId=%FF&token={token}"), "");
        handshake(host, &format!("{path}/{token}?token={token}"), &bearer);
        let evil = format!("{bearer}Origin: https://evil.test/?token={token}\r\n");
        handshake(host, path, &evil);
        // No upgrade at all, and HTTP/1.0.
        get(host, &format!("{path}?token={token}"), token);
    }
    for target in [
        format!("/nowhere?token={token}"),
        format!("/nowhere/{token}"),
        format!("/api/drafts/{token}?token={token}"),
        format!("/api/drafts/%ff{token}?token=%ff"),
        format!("/api/users/{token}/drafts"),
        format!("/api/session?token={token}"),
    ] {
        get(host, &target, token);
        request(host, "POST", &target, token, "{\"token\":");
        request(host, "BREW", &target, token, "");
    }
    // What is no HTTP.
    for text in [
        format!("GET /ws/realtime?token={token}\r\n\r\n"),
        format!("GET /ws/realtime?token={token} HTTP/9.9\r\n\r\n"),
        format!("GET /ws/realtime HTTP/1.1\r\nAuthorization: Bearer {token}\r\nbad header\r\n\r\n"),
        format!("{token}\r\n\r\n"),
    ] {
        let mut stream = connect(host);
        // The server may have hung up at the first bytes.
        drop(stream.write_all(text.as_bytes()));
        drop(stream.shutdown(std::net::Shutdown::Write));
        read_to_end(&mut stream);
    }
}

/// Sends documents, good and bad, and tokens in `AUTH`, good and bad.
async fn talk(server: &Server) {
    let mut device = Device::connected(server.address(), "anna", "phone").await;
    for (_, token) in tokens() {
        let auth = json!({ "type": "AUTH", "payload": { "token": token } }).to_string();
        // As a bystander: the answers to bad tokens are errors.
        let mut other = draftwire_client::Connection::open(
            &server.address(),
            "/ws/realtime",
            &super::server::token("berta"),
        )
        .await
        .unwrap();
        other.send(&auth).await.unwrap();
        other.send(&auth[..auth.len() - 1]).await.unwrap();
        other
            .send(&format!(r#"{{"type":"{token}","payload":{{"token":"{token}"}}}}"#))
            .await
            .unwrap();
        for _ in 0..5 {
            other.next().await.unwrap();
        }
    }
    device.command("DRAFT_CREATE", &json!({ "id": "d1", "data": { "note": CANARY } })).await;
    device.command("DRAFT_CREATE", &json!({ "id": "d1", "data": { "note": CANARY } })).await;
    device.command("DRAFT_UPDATE", &json!({ "id": "d1", "patch": CANARY })).await;
    let large = CANARY.repeat(300 * 1024 / CANARY.len());
    device.command("DRAFT_CREATE", &json!({ "id": "d2", "data": { "note": large } })).await;
    device.command(CANARY, &json!({ "id": CANARY })).await;
    device.settle().await;
    assert_eq!(device.answers[&1]["type"], "ACK");
    assert!((2..=5).all(|number| device.answers[&number]["type"] == "REJECTED"));
    // A frame above the limit, and one that is not UTF-8.
    device.put(&CANARY.repeat(600 * 1024 / CANARY.len())).await;
    assert!(matches!(device.until_closed().await, Step::Closed(1009) | Step::Lost));
    let body = json!({ "data": { "note": CANARY } }).to_string();
    for (method, path) in
        [("POST", "/api/drafts"), ("PATCH", "/api/drafts/d1"), ("PUT", "/api/drafts/no")]
    {
        let token = super::server::token("anna");
        request(&server.authority, method, path, &token, &body);
        request(&server.authority, method, path, &token, &body[..body.len() - 1]);
    }
    for path in ["/api/users/anna/events", "/api/broadcast", "/api/sync/progress"] {
        for kind in [CANARY, "DRAFT_CREATED", "a b"] {
            let body = json!({ "type": kind, "jobId": CANARY, "payload": { "note": CANARY } });
            request(&server.authority, "POST", path, &admin(), &body.to_string());
        }
    }
}

async fn keeps_secrets(format: &str, level: &str) -> Vec<String> {
    let home = Home::new();
    let mut command = home.serve();
    command.args(["--log-format", format]).env("RUST_LOG", level);
    let mut server = Server::start(command);
    for (_, token) in tokens() {
        try_everywhere(&server, &token);
    }
    talk(&server).await;
    server.signal("TERM");
    server.await_exit();
    server.await_line("stopped");
    let log = server.log();
    assert!(server.stdout().is_empty(), "{:?}", server.stdout());
    for line in &log {
        assert!(!line.contains(CANARY), "a document in the log: {line}");
        for (kind, token) in tokens() {
            let parts = token.split('.').filter(|part| part.len() > 8);
            for part in parts.chain([&*token]) {
                // Long ones may be cut.
                let part = &part[..part.len().min(32)];
                let is_common_header = token.starts_with(part) && token.contains('.');
                let found = line.contains(part) && !is_common_header;
                assert!(!found, "the {kind} token in the log: {line}");
            }
        }
    }
    log
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_and_no_document_stands_in_the_log() {
    let log = keeps_secrets("text", "info").await;
    let rejected = log.iter().filter(|line| line.contains("connection rejected")).count();
    assert!(rejected > 50, "{rejected}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_does_it_when_everything_is_logged() {
    keeps_secrets("json", "trace").await;
}

#[test]
fn the_line_that_says_that_connections_are_taken_stands_in_the_log() {
    for format in ["text", "json"] {
        let home = Home::new();
        let mut command = home.serve();
        command.args(["--log-format", format]);
        let mut server = Server::start(command);
        let line = server.await_line("WebSocket server initialized on /ws/realtime");
        assert!(line.contains("INFO"), "{line}");
        let mut relay = home.serve();
        relay.args(["--relay", "--log-format", format]);
        Server::start(relay).await_line("WebSocket server initialized on /ws/realtime");
    }
}

/// The log lines about refused handshakes: path, status, code.
#[test]
fn refused_connections_are_errors_with_their_reason_one_json_object_a_line() {
    let home = Home::new();
    let mut command = home.serve();
    command.args(["--log-format", "json", "--user-connections", "1"]);
    let mut server = Server::start(command);
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let good = bearer(&token("anna"));
    let (_first, answer) = handshake(&server.authority, "/ws/realtime", &good);
    assert_eq!(answer.status, 101);
    let expired = sign(&json!({ "sub": "anna", "exp": now() - 3600 }));
    let forged = format!("{}x", token("anna"));
    let cases = [
        ("/ws/realtime", String::new(), 401, "NO_TOKEN"),
        ("/ws/realtime", bearer(&forged), 401, "BAD_TOKEN"),
        ("/ws/realtime", bearer(&expired), 401, "TOKEN_EXPIRED"),
        ("/ws/sync", bearer("?"), 401, "BAD_TOKEN"),
        ("/ws/realtime", format!("{good}Origin: https://evil.test\r\n"), 403, "ORIGIN"),
        ("/ws/realtime?seq=1", good.clone(), 400, "INVALID"),
        ("/ws/realtime", good, 429, "TOO_MANY_CONNECTIONS"),
    ];
    for (target, headers, status, code) in &cases {
        let (_socket, answer) = handshake(&server.authority, target, headers);
        assert_eq!((answer.status, answer.json()["code"].as_str()), (*status, Some(*code)));
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.header("retry-after").is_some(), *status == 429);
    }
    let lines = server.await_lines("connection rejected", cases.len());
    for (line, (target, _, status, code)) in lines.iter().zip(&cases) {
        let entry: Value = serde_json::from_str(line).unwrap();
        assert_eq!(entry["level"], "ERROR", "{line}");
        assert_eq!(entry["path"].as_str(), target.split('?').next(), "{line}");
        assert_eq!((&entry["status"], &entry["code"]), (&json!(status), &json!(code)));
        assert!(entry["reason"].as_str().is_some_and(|reason| reason.len() > 5), "{line}");
        assert!(entry["timestamp"].is_string(), "{line}");
    }
    server.signal("TERM");
    server.kill();
    for line in server.log() {
        assert!(serde_json::from_str::<Value>(&line).unwrap().is_object(), "{line}");
    }
}
