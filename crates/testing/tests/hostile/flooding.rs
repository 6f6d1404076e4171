//! Clients that send more than anybody needs and read nothing of what it leads to.

use draftwire_testing::raw::{
    BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, RawSocket, TEXT, frame,
};
use draftwire_testing::{TestServer, json, token};

use crate::bystander::Turn;
use crate::frames::raw;

/// Frames of one flood: many times what a connection may send at once.
const FRAMES: usize = 8_000;
/// Messages of one flood that the server may have looked at: what may be sent at once, and what is
/// allowed in the seconds that the flood takes at most.
const LOOKED_AT_MAX: u64 = 2_000;

async fn messages_in(server: &TestServer) -> u64 {
    let stats = server.get("/api/websocket/stats").admin().send().await.ok(200);
    stats["messagesIn"].as_u64().expect("a number")
}

/// Sends this frame over and over, reads what has come when it is over, and returns the code that
/// the connection was closed with. Nothing may come behind that.
async fn flood(flooder: &mut RawSocket, frame: &[u8], what: &str) -> Option<u16> {
    let together = frame.repeat(100);
    for _ in 0..FRAMES / 100 {
        if !flooder.try_write_bytes(&together).await {
            break;
        }
    }
    let (_, code) = flooder.read_to_end().await;
    flooder.try_write_bytes(&close(1000)).await;
    let behind = flooder.read_frame().await;
    assert_eq!(behind, None, "{what}: something stands behind the close frame");
    code
}

fn close(code: u16) -> Vec<u8> {
    frame(FIN | CLOSE, &code.to_be_bytes())
}

#[tokio::test]
async fn who_floods_is_closed_and_nobody_else_notices() {
    let (server, mut bystander) = crate::begin(|_| {}).await;
    let text = |text: &str| frame(FIN | TEXT, text.as_bytes());
    let renewal = json!({"type": "AUTH", "payload": {"token": token::of("ann")}}).to_string();
    for (what, bytes) in [
        ("pings", frame(FIN | PING, &[b'x'; 125])),
        ("empty pings", frame(FIN | PING, b"")),
        ("pongs", frame(FIN | PONG, b"x")),
        ("PING", text(r#"{"type":"PING"}"#)),
        ("PING with a number", text(r#"{"type":"PING","mutationId":1}"#)),
        ("nothing", text("")),
        ("no JSON", text("x")),
        ("bad tokens", text(r#"{"type":"AUTH","payload":{"token":"x"}}"#)),
        ("good tokens", text(&renewal)),
        ("unknown types", text(r#"{"type":"X","payload":{}}"#)),
        ("commands that are none", text(r#"{"type":"DRAFT_DELETE","payload":{}}"#)),
        ("numbers without a device", text(r#"{"type":"SKIP","mutationId":1}"#)),
        ("deep ones", text(&"[".repeat(300))),
        ("commands", text(r#"{"type":"SKIP"}"#)),
    ] {
        let mut flooder = raw(&server).await;
        let before = messages_in(&server).await;
        assert_eq!(flood(&mut flooder, &bytes, what).await, Some(4002), "{what}");
        let looked_at = messages_in(&server).await - before;
        // Commands may come in larger numbers, and then as many again that are refused.
        let looked_at_max = LOOKED_AT_MAX * if what == "commands" { 4 } else { 1 };
        assert!(looked_at <= looked_at_max, "{what}: {looked_at} were looked at");
        bystander.works().await;
    }
    bystander.expect_unharmed().await;
}

#[tokio::test]
async fn who_floods_where_only_the_server_speaks_is_closed() {
    let (server, mut bystander) = crate::begin(|settings| settings.progress_anonymous = true).await;
    for bytes in [
        frame(FIN | PING, &[b'x'; 125]),
        frame(FIN | TEXT, b""),
        frame(FIN | TEXT, br#"{"type":"DRAFT_CREATE","payload":{"data":{}}}"#),
        frame(FIN | TEXT, br#"{"type":"AUTH","payload":{"token":"x"}}"#),
    ] {
        let mut flooder = server.watch("ann").without("authorization").raw().await;
        assert_eq!(flood(&mut flooder, &bytes, "on /ws/sync").await, Some(4002));
        bystander.works().await;
    }
    bystander.expect_unharmed().await;
}

#[tokio::test]
async fn who_floods_a_relay_is_closed() {
    let _turn = Turn::shared().await;
    let server = TestServer::builder().relay().start().await;
    for bytes in [
        frame(FIN | TEXT, br#"{"type":"DRAFT_CREATE","payload":{"data":{}}}"#),
        frame(FIN | TEXT, br#"{"type":"SKIP"}"#),
    ] {
        let mut flooder = server.connect("ann").live().raw().await;
        flooder.read_frame().await.expect("WELCOME");
        assert_eq!(flood(&mut flooder, &bytes, "on a relay").await, Some(4002));
    }
}

/// ws CVE-2026-48779: each small fragment cost an object of its own, whatever the limit on the
/// message. Here it costs its bytes, and 50 messages of 16 KiB in parts of a byte, all incomplete, are
/// held at a time: with 8 bytes more for each part they would not fit.
#[tokio::test]
async fn fragments_of_one_byte_cost_one_byte() {
    let (server, mut bystander) = crate::begin_alone(6 * 1024 * 1024, |settings| {
        settings.limits.document_bytes = 8 * 1024;
        settings.limits.frame_bytes = 16 * 1024;
    })
    .await;
    let part = frame(CONTINUATION, b"x").repeat(16 * 1024 - 1);
    let mut flooders = Vec::new();
    for number in 0..50 {
        let mut flooder = raw(&server).await;
        let kind = if number % 2 == 0 { TEXT } else { BINARY };
        flooder.write_bytes(&frame(kind, b"x")).await;
        flooder.write_bytes(&part).await;
        flooders.push(flooder);
    }
    // Whoever is answered is read up to there.
    for flooder in &mut flooders {
        flooder.write_bytes(&frame(FIN | PING, b"read")).await;
        assert_eq!(flooder.read_frame().await, Some((PONG, b"read".to_vec())));
    }
    bystander.works().await;
    for flooder in &mut flooders {
        flooder.write_bytes(&frame(CONTINUATION, b"x")).await;
        assert_eq!(flooder.read_to_end().await.1, Some(1009), "one more than there may be");
    }
    bystander.expect_unharmed().await;
}

/// Fragments with nothing in them never fill a message: they cost nothing but their reading, and
/// others are served between them.
#[tokio::test]
async fn empty_fragments_without_an_end_hold_nobody_up() {
    let (server, mut bystander) = crate::begin(|_| {}).await;
    let empty = frame(CONTINUATION, b"").repeat(10_000);
    let mut flooders = Vec::new();
    for _ in 0..4 {
        let mut flooder = raw(&server).await;
        flooder.write_bytes(&frame(TEXT, b"{\"type\":")).await;
        flooders.push(flooder);
    }
    for _ in 0..5 {
        for flooder in &mut flooders {
            flooder.write_bytes(&empty).await;
        }
        bystander.works().await;
    }
    for flooder in &mut flooders {
        flooder.write_bytes(&frame(FIN | CONTINUATION, b"\"PING\"}")).await;
        let (_, pong) = flooder.read_frame().await.expect("it is open");
        assert!(pong.starts_with(b"{\"type\":\"PONG\""), "{}", String::from_utf8_lossy(&pong));
    }
    bystander.expect_unharmed().await;
}
