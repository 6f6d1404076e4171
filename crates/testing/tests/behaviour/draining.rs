//! A planned shutdown: devices are told, what was taken is answered, nobody new comes in.

use std::time::Duration;

use draftwire_testing::{Incoming, TestServer, eventually, json};

use crate::joined;

#[tokio::test]
async fn devices_are_told_to_come_back_and_are_closed() {
    let mut server = TestServer::builder()
        .settings(|settings| settings.reconnect_after = Duration::from_millis(1000))
        .start()
        .await;
    let mut devices = Vec::new();
    for index in 0..3 {
        devices.push(joined(&server, "ann", &format!("d{index}")).await);
    }
    let mut watcher = server.watch("ann").open_quietly().await;
    let served = server.shut_down();
    for device in &mut devices {
        let reconnect = device.expect("RECONNECT").await;
        let after = reconnect.payload()["afterMs"].as_u64().unwrap();
        assert!((1000..=2000).contains(&after), "{after}");
        assert!(reconnect.payload()["reason"].is_string());
        device.expect_close(1012).await;
    }
    let (_, code) = watcher.read_to_close().await;
    assert_eq!(code, 1012);
    // Each device now answers the close frame as it is read on.
    for device in &mut devices {
        assert_eq!(device.incoming().await, Incoming::Gone);
    }
    assert_eq!(watcher.incoming().await, Incoming::Gone);
    assert!(served.await.unwrap(), "nothing had to be cut");
}

#[tokio::test]
async fn what_was_taken_is_answered_before_the_close() {
    let mut server = TestServer::start().await;
    let mut device = joined(&server, "ann", "phone").await;
    for number in 1..=40 {
        device.send("DRAFT_CREATE", json!({"data": {}}), number).await;
    }
    device.expect("DRAFT_CREATED").await;
    let served = server.shut_down();
    let (frames, code) = device.read_to_close().await;
    assert_eq!(code, 1012);
    let count = |kind: &str| frames.iter().filter(|frame| frame.kind() == kind).count();
    assert_eq!(count("RECONNECT"), 1);
    assert_eq!(count("DRAFT_CREATED") + 1, count("ACK"), "each that was applied was answered");
    assert!(count("ACK") >= 1);
    let acked = count("ACK");
    drop(device);
    served.await.unwrap();
    let server = server.start_again().await;
    let device = server.connect("ann").client_id("phone").live().open().await;
    assert_eq!(device.welcome().payload()["lastMutationId"], acked, "and nothing else was applied");
    assert_eq!(device.welcome().payload()["seq"], acked);
}

#[tokio::test]
async fn nobody_new_comes_in_and_readiness_says_so() {
    let mut server = TestServer::start().await;
    // A device that does not answer the close frame holds the shutdown up.
    let mut holding = server.connect("ann").live().raw().await;
    holding.read_frame().await.unwrap();
    // Calls under way go on over connections that were there before; the listener is closed.
    let address = server.address();
    let realtime = server.realtime().clone();
    assert!(realtime.is_ready());
    realtime.begin_drain();
    server.get("/healthz").send().await.ok(200);
    let refused = server.get("/readyz").send().await;
    refused.problem(503, "UNAVAILABLE");
    assert!(refused.header("retry-after").is_some());
    let refused = server.connect("ann").answer().await;
    refused.problem(503, "UNAVAILABLE");
    assert!(refused.header("retry-after").is_some());
    server.get("/api/session").user("ann").send().await.problem(503, "UNAVAILABLE");
    let served = server.shut_down();
    eventually("the listener to close", || async {
        tokio::net::TcpStream::connect(address).await.is_err()
    })
    .await;
    drop(holding);
    assert!(served.await.unwrap());
}

#[tokio::test]
async fn a_waiting_call_is_answered_at_once() {
    let mut server = TestServer::start().await;
    let mut device = joined(&server, "ann", "phone").await;
    device.apply("DRAFT_CREATE", json!({"data": {}})).await;
    let epoch = device.position().epoch;
    let target = format!("/api/sync?epoch={epoch}&seq=1&waitMs=30000");
    let waiting = tokio::spawn(server.get(&target).user("ann").send());
    tokio::time::sleep(Duration::from_millis(100)).await;
    let served = server.shut_down();
    waiting.await.unwrap().problem(503, "UNAVAILABLE");
    drop(device);
    assert!(served.await.unwrap());
}

#[tokio::test]
async fn a_client_that_never_answers_is_cut() {
    let mut server = TestServer::builder()
        .settings(|settings| {
            settings.drain = Duration::from_millis(300);
            settings.close_wait = Duration::from_secs(60);
        })
        .start()
        .await;
    let mut stubborn = server.connect("ann").live().raw().await;
    stubborn.read_frame().await.unwrap();
    let served = server.shut_down();
    let graceful = draftwire_testing::within("the shutdown", served).await.unwrap();
    assert!(!graceful, "it says that something was cut");
    let (texts, code) = stubborn.read_to_end().await;
    assert_eq!(code, Some(1012));
    assert!(texts[0].contains("RECONNECT"));
    stubborn.expect_end().await;
}
