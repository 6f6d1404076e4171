//! How connections end when a client breaks the protocol or says goodbye.

use draftwire_testing::raw::{CLOSE, TEXT};
use draftwire_testing::{RawSocket, TestServer, json};

use crate::{filling, joined};

async fn live(server: &TestServer) -> RawSocket {
    let mut raw = server.connect("ann").client_id("raw").live().raw().await;
    assert_eq!(raw.read_frame().await.unwrap().0, TEXT);
    raw
}

async fn expect_close(mut raw: RawSocket, code: u16) {
    let (opcode, payload) = raw.read_frame().await.expect("a close frame");
    assert_eq!((opcode, &payload[..2]), (CLOSE, &code.to_be_bytes()[..]));
}

#[tokio::test]
async fn a_binary_frame_is_1003() {
    let server = TestServer::start().await;
    let mut device = joined(&server, "ann", "phone").await;
    device.send_binary(br#"{"type":"PING","payload":{}}"#).await;
    device.expect_close(1003).await;
    let mut watcher = server.watch("ann").open_quietly().await;
    watcher.send_binary(b"x").await;
    watcher.expect_close(1003).await;
}

#[tokio::test]
async fn a_frame_over_the_limit_is_1009_and_uses_up_nothing() {
    let server = TestServer::builder()
        .settings(|settings| {
            settings.limits.document_bytes = 1000;
            settings.limits.frame_bytes = 4000;
        })
        .start()
        .await;
    let mut device = joined(&server, "ann", "phone").await;
    let sized = |bytes: usize| {
        let frame = |x: &str| format!(r#"{{"type":"SKIP","mutationId":1,"x":"{x}"}}"#);
        frame(&filling(bytes - frame("").len()))
    };
    device.send_text(&sized(4001)).await;
    device.expect_close(1009).await;
    let mut device = server.connect("ann").client_id("phone").live().open().await;
    assert_eq!(device.welcome().payload()["lastMutationId"], 0);
    device.send_text(&sized(4000)).await;
    assert_eq!(device.expect("ACK").await.payload()["mutationId"], 1);
    // The head alone is enough to refuse it; and parts are counted together.
    let mut raw = live(&server).await;
    raw.write_bytes(&[0x81, 0xfe, 0xff, 0xff, 1, 2, 3, 4]).await;
    expect_close(raw, 1009).await;
    let mut raw = live(&server).await;
    for first in [0x01_u8, 0x00, 0x80] {
        let mut frame = vec![first, 0xfe];
        frame.extend_from_slice(&1500_u16.to_be_bytes());
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(&[b' '; 1500]);
        raw.write_bytes(&frame).await;
    }
    expect_close(raw, 1009).await;
}

#[tokio::test]
async fn bad_utf8_is_1007() {
    let server = TestServer::start().await;
    for bad in [&b"\"\xff\""[..], b"\"\xc3\"", b"\"\xed\xa0\x80\"", b"\"\xf4\x90\x80\x80\""] {
        let mut raw = live(&server).await;
        raw.write_frame(TEXT, bad).await;
        expect_close(raw, 1007).await;
    }
}

#[tokio::test]
async fn what_breaks_the_framing_is_1002() {
    let server = TestServer::start().await;
    let mut raw = live(&server).await;
    raw.write_unmasked_frame(TEXT, br#"{"type":"PING","payload":{}}"#).await;
    expect_close(raw, 1002).await;
    for (what, bytes) in [
        ("a reserved bit", &[0xc1_u8, 0x80, 0, 0, 0, 0][..]),
        ("a reserved opcode", &[0x83, 0x80, 0, 0, 0, 0]),
        ("a continuation of nothing", &[0x80, 0x80, 0, 0, 0, 0]),
        ("a ping in parts", &[0x09, 0x80, 0, 0, 0, 0]),
        ("a close frame of one byte", &[0x88, 0x81, 0, 0, 0, 0, 1]),
        ("a close code nobody may send", &[0x88, 0x82, 0, 0, 0, 0, 3, 0xed]),
        ("a text within a text", &[0x01, 0x80, 0, 0, 0, 0, 0x81, 0x80, 0, 0, 0, 0]),
    ] {
        let mut raw = live(&server).await;
        raw.write_bytes(bytes).await;
        let (opcode, payload) = raw.read_frame().await.expect("a close frame");
        assert_eq!((opcode, &payload[..2]), (CLOSE, &1002_u16.to_be_bytes()[..]), "{what}");
        raw.expect_end().await;
    }
}

#[tokio::test]
async fn a_goodbye_is_answered_with_its_code_and_the_place_is_given_back() {
    let server =
        TestServer::builder().settings(|settings| settings.user_connections_max = 1).start().await;
    let mut raw = live(&server).await;
    server.connect("ann").answer().await.problem(429, "TOO_MANY_CONNECTIONS");
    raw.write_frame(CLOSE, &[0x0f, 0xa0, b'b', b'y', b'e']).await;
    let (opcode, payload) = raw.read_frame().await.unwrap();
    assert_eq!((opcode, &payload[..2]), (CLOSE, &4000_u16.to_be_bytes()[..]));
    raw.expect_end().await;
    let mut raw = live(&server).await;
    raw.write_frame(CLOSE, b"").await;
    assert_eq!(raw.read_frame().await.unwrap(), (CLOSE, Vec::new()));
    raw.expect_end().await;
    live(&server).await;
}

#[tokio::test]
async fn a_message_in_parts_is_one_message() {
    let server = TestServer::start().await;
    let mut raw = live(&server).await;
    raw.write_bytes(&[0x01, 0x85, 0, 0, 0, 0]).await;
    raw.write_bytes(br#"{"typ"#).await;
    raw.write_bytes(&[0x89, 0x80, 0, 0, 0, 0]).await;
    raw.write_bytes(&[0x80, 0x8a, 0, 0, 0, 0]).await;
    raw.write_bytes(br#"e":"PING"}"#).await;
    assert_eq!(raw.read_frame().await.unwrap(), (10, Vec::new()));
    let (opcode, payload) = raw.read_frame().await.unwrap();
    assert_eq!(opcode, TEXT);
    assert!(String::from_utf8(payload).unwrap().contains("PONG"));
}

#[tokio::test]
async fn what_was_sent_before_a_goodbye_is_carried_out() {
    let server = TestServer::start().await;
    let mut device = joined(&server, "ann", "phone").await;
    for number in 1..=10 {
        device.send("DRAFT_CREATE", json!({"data": {}}), number).await;
    }
    device.close().await;
    draftwire_testing::eventually("all ten documents", || async {
        let list = server.get("/api/drafts").user("ann").send().await.ok(200);
        list["items"].as_array().is_some_and(|items| items.len() == 10)
    })
    .await;
}
