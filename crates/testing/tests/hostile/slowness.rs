//! Clients that take for ever: what is not said in time is not waited for.

use std::time::Duration;

use draftwire_server::Settings;
use draftwire_testing::TestServer;
use tokio::task::JoinSet;

use crate::wire::{Head, Wire};

/// Between two bytes.
const PAUSE: Duration = Duration::from_millis(10);
/// What a client may take for its request's head or body here.
const TIME_MAX: Duration = Duration::from_millis(150);
/// Bytes after which a client that is still heard was never going to be cut off: 30 times as long as
/// it may take.
const BYTES_MAX: usize = 450;

fn hasty(settings: &mut Settings) {
    settings.handshake_time_max = TIME_MAX;
    settings.body_time_max = TIME_MAX;
}

/// Says the beginning at once, and then a byte at a time for ever; returns what was answered.
async fn trickle(server: &TestServer, at_once: String, then: String) -> Vec<u8> {
    let mut wire = Wire::said(server, at_once).await;
    for byte in then.bytes().cycle().take(BYTES_MAX) {
        tokio::time::sleep(PAUSE).await;
        if !wire.say([byte]).await {
            return wire.hear_end("who was cut off").await;
        }
    }
    panic!("the server listens for ever");
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off() {
    let (server, mut bystander) = crate::begin(hasty).await;
    let good = Head::of(&server, "ann").text();
    let unfinished = good.trim_end().to_owned();
    let beginnings = [
        (String::new(), good.clone()),
        ("G".to_owned(), "E".to_owned()),
        ("GET /ws/realtime?token=".to_owned(), "a".to_owned()),
        ("GET /ws/realtime HTTP/1.1\r\n".to_owned(), "x-a: b\r\n".to_owned()),
        ("GET /ws/realtime HTTP/1.1\r\nx-a: ".to_owned(), "b".to_owned()),
        (unfinished.clone(), "x".to_owned()),
        (format!("{unfinished}\r\nx-a: "), " ".to_owned()),
        (String::new(), "\r\n".to_owned()),
        // Behind a whole request: the next one never ends.
        ("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "GET /healthz".to_owned()),
    ];
    let mut clients = JoinSet::new();
    let server = std::sync::Arc::new(server);
    for (at_once, then) in beginnings {
        for _ in 0..10 {
            let (server, at_once, then) = (server.clone(), at_once.clone(), then.clone());
            clients.spawn(async move { trickle(&server, at_once, then).await });
        }
    }
    bystander.works().await;
    while let Some(answer) = clients.join_next().await {
        let answer = answer.expect("a client that was cut off");
        assert!(!answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    }
    bystander.expect_unharmed().await;
}

#[tokio::test]
async fn who_says_nothing_is_not_waited_for() {
    let (server, mut bystander) = crate::begin(hasty).await;
    let good = Head::of(&server, "ann").text();
    let healthy = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut silent = Vec::new();
    for said in ["", "\r\n", "G", &good[..good.len() - 1], healthy] {
        for _ in 0..10 {
            silent.push(Wire::said(&server, said).await);
        }
    }
    bystander.works().await;
    for wire in &mut silent {
        wire.hear_end("who says nothing").await;
    }
    bystander.expect_unharmed().await;
}

#[tokio::test]
async fn a_body_that_never_ends_is_cut_off() {
    let (server, mut bystander) = crate::begin(hasty).await;
    let mut clients = JoinSet::new();
    let server = std::sync::Arc::new(server);
    for path in ["/api/drafts", "/api/commands", "/api/sync/progress"] {
        for length in ["Content-Length: 400000", "Transfer-Encoding: chunked"] {
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\
                 Content-Type: application/json\r\n{length}\r\n\r\n",
                draftwire_testing::token::of_admin("ann")
            );
            let server = server.clone();
            clients.spawn(async move { trickle(&server, head, "1\r\n \r\n".to_owned()).await });
        }
    }
    bystander.works().await;
    while let Some(answer) = clients.join_next().await {
        let answer = answer.expect("a client that was cut off");
        assert!(answer.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&answer));
    }
    bystander.expect_unharmed().await;
}
