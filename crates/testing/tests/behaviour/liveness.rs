//! *Liveness*: heartbeats, silent and slow devices, the ends of tokens.

use std::time::Duration;

use draftwire_testing::raw::{PING, PONG, TEXT};
use draftwire_testing::{TestServer, json, token};

use crate::{filling, joined};

fn with_heartbeat(millis: u64) -> draftwire_testing::TestServerBuilder {
    TestServer::builder().settings(|s| s.heartbeat = Duration::from_millis(millis))
}

#[tokio::test]
async fn a_silent_client_is_pinged_and_then_closed() {
    let server = with_heartbeat(200).start().await;
    let mut raw = server.connect("ann").live().raw().await;
    let (opcode, welcome) = raw.read_frame().await.unwrap();
    assert_eq!(opcode, TEXT);
    assert!(String::from_utf8(welcome).unwrap().contains(r#""heartbeatMs":200"#));
    let mut pings = 0;
    loop {
        let (opcode, payload) = raw.read_frame().await.expect("a close frame comes first");
        if opcode == PING {
            pings += 1;
            assert!(pings <= 2, "more than two heartbeats of silence");
            continue;
        }
        assert_eq!((opcode, payload[..2].to_vec()), (8, 4000_u16.to_be_bytes().to_vec()));
        break;
    }
    assert!(pings >= 1, "it was pinged first");
}

#[tokio::test]
async fn a_client_that_answers_pings_stays() {
    let server = with_heartbeat(400).start().await;
    let mut raw = server.connect("ann").live().raw().await;
    raw.read_frame().await.unwrap();
    // Four times as long as a silent one would live.
    for _ in 0..8 {
        let (opcode, payload) = raw.read_frame().await.expect("it stays open");
        assert_eq!(opcode, PING);
        raw.write_frame(PONG, &payload).await;
    }
    // Anything else is a sign of life as well.
    let mut raw = server.connect("ann").live().raw().await;
    raw.read_frame().await.unwrap();
    let mut pings = 0;
    while pings < 8 {
        let (opcode, _) = raw.read_frame().await.expect("it stays open");
        if opcode == PING {
            pings += 1;
            raw.write_frame(TEXT, br#"{"type":"PING","payload":{}}"#).await;
        }
        assert_ne!(opcode, 8);
    }
}

#[tokio::test]
async fn a_websocket_ping_is_answered_with_its_payload() {
    let server = TestServer::start().await;
    let mut raw = server.connect("ann").live().raw().await;
    raw.read_frame().await.unwrap();
    raw.write_frame(PING, b"are you there?").await;
    assert_eq!(raw.read_frame().await.unwrap(), (PONG, b"are you there?".to_vec()));
}

#[tokio::test]
async fn a_slow_device_is_closed_and_resumes_while_the_others_go_on() {
    let server = TestServer::builder()
        .settings(|settings| settings.close_wait = Duration::from_secs(60))
        .start()
        .await;
    let mut writer = joined(&server, "ann", "writer").await;
    let mut quick = joined(&server, "ann", "quick").await;
    let mut slow =
        server.connect("ann").client_id("slow").raw_with_receive_buffer(Some(4096)).await;
    let (_, welcome) = slow.read_frame().await.unwrap();
    let welcome: draftwire_testing::Value = serde_json::from_slice(&welcome).unwrap();
    let epoch = welcome["payload"]["epoch"].as_str().unwrap().to_owned();
    slow.read_frame().await.unwrap();
    let total = 100;
    for _ in 0..total {
        writer.apply("DRAFT_CREATE", json!({"data": {"x": filling(100_000)}})).await;
        quick.expect("DRAFT_CREATED").await;
    }
    let (texts, code) = slow.read_to_end().await;
    assert_eq!(code, Some(4001));
    let mut position = draftwire_testing::Position { epoch, seq: 0, at: None };
    for text in &texts {
        let frame = draftwire_testing::Frame::of(text);
        position.seq += 1;
        assert_eq!(frame.seq(), Some(position.seq));
        position.at = Some(frame.timestamp().to_owned());
    }
    assert!(position.seq < total, "it was closed before it had everything");
    let stats = server.get("/api/websocket/stats").admin().send().await.ok(200);
    assert_eq!(stats["slowCloses"], 1);
    let mut back = server.connect("ann").client_id("slow").position(&position).open().await;
    while position.seq < total {
        let frame = back.next().await;
        let next = if frame.kind() == "SNAPSHOT" { frame.seq().unwrap() } else { position.seq + 1 };
        assert_eq!(frame.seq(), Some(next));
        if frame.payload()["more"] != true {
            position = back.position();
        }
    }
    back.expect_nothing().await;
    quick.expect_nothing().await;
}

#[tokio::test]
async fn a_device_that_takes_its_recovery_slowly_is_neither_slow_nor_silent() {
    let server = with_heartbeat(500).start().await;
    let mut writer = joined(&server, "ann", "writer").await;
    for _ in 0..160 {
        writer.apply("DRAFT_CREATE", json!({"data": {"x": filling(100_000)}})).await;
    }
    let mut slow = server.connect("ann").client_id("s").raw_with_receive_buffer(Some(4096)).await;
    // For twice as long as a silent client would live it only takes a part now and then. The rest
    // it takes at once: what lies in the system's buffers is out of the server's sight.
    let (mut parts, mut more) = (0, true);
    while more {
        let (opcode, payload) = slow.read_frame().await.expect("it stays open");
        assert_ne!(opcode, 8, "closed with {payload:?}");
        let text = String::from_utf8(payload).unwrap();
        if opcode == TEXT && text.contains(r#""type":"SNAPSHOT""#) {
            parts += 1;
            more = text.contains(r#""more":true"#);
        }
        if parts < 40 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    assert!(parts > 60, "{parts}");
    slow.write_frame(TEXT, br#"{"type":"PING","payload":{}}"#).await;
    loop {
        let (opcode, payload) = slow.read_frame().await.expect("it stays open");
        assert_ne!(opcode, 8, "closed with {payload:?}");
        if opcode == TEXT {
            assert!(String::from_utf8(payload).unwrap().contains(r#""type":"PONG""#));
            break;
        }
    }
}

fn ending_in(seconds: f64, id: &str) -> String {
    let now = token::seconds_now();
    token::sign(&json!({"sub": "ann", "iat": now - 100.0, "exp": now + seconds, "jti": id}))
}

#[tokio::test]
async fn an_ending_token_is_announced_once_and_then_closes_its_connections() {
    let server = TestServer::start().await;
    // exp lies 8.5 s back, so the leeway ends 1.5 s from now.
    let mut device =
        server.connect("ann").client_id("a").token(&ending_in(-8.5, "a")).live().open().await;
    assert_eq!(device.welcome().payload()["expiresInMs"], 0);
    let mut other = server.connect("ann").client_id("b").live().open().await;
    let mut watcher = server.watch("ann").token(&ending_in(-8.5, "a")).open_quietly().await;
    let warning = device.expect("TOKEN_EXPIRING").await;
    assert_eq!(warning.payload()["expiresInMs"], 0);
    assert_eq!(warning.payload()["expiresAt"], device.welcome().payload()["expiresAt"]);
    device.expect_close(4500).await;
    let (frames, code) = watcher.read_to_close().await;
    assert_eq!(code, 4500);
    assert!(frames.iter().all(|frame| frame.kind() == "TOKEN_EXPIRING"), "{frames:?}");
    other.expect_nothing().await;
    let late = server.connect("ann").token(&ending_in(-10.5, "a")).answer().await;
    late.problem(401, "TOKEN_EXPIRED");
}

#[tokio::test]
async fn a_token_is_announced_a_fifth_of_its_life_ahead() {
    let server = TestServer::start().await;
    let now = token::seconds_now();
    // A life of 10 s that ends in 3 s: to be announced 2 s ahead, so about 1 s from now.
    let claims = json!({"sub": "ann", "iat": now - 7.0, "exp": now + 3.0});
    let mut device =
        server.connect("ann").client_id("a").token(&token::sign(&claims)).live().open().await;
    device.expect_nothing().await;
    let warning = device.expect("TOKEN_EXPIRING").await;
    let left = warning.payload()["expiresInMs"].as_u64().unwrap();
    assert!(left <= 2_000, "announced {left} ms ahead of a life of 10 s");
    assert!(left > 0, "announced ahead");
}

#[tokio::test]
async fn a_fresh_token_keeps_the_connection() {
    let server = TestServer::start().await;
    let mut device =
        server.connect("ann").client_id("a").token(&ending_in(-8.5, "a")).live().open().await;
    let mut doomed =
        server.connect("ann").client_id("b").token(&ending_in(-8.5, "b")).live().open().await;
    device.expect("TOKEN_EXPIRING").await;
    device.send("AUTH", json!({"token": server.token("ann")}), None).await;
    device.expect("AUTHENTICATED").await;
    assert_eq!(doomed.read_to_close().await.1, 4500);
    device.expect_nothing().await;
    // Each token is announced for itself.
    device.send("AUTH", json!({"token": ending_in(-8.0, "c")}), None).await;
    device.expect("AUTHENTICATED").await;
    device.expect("TOKEN_EXPIRING").await;
    device.expect_close(4500).await;
}
