//! How many connections, commands and bytes there may be.

use draftwire_testing::{TestServer, eventually, json};

use crate::joined;

#[tokio::test]
async fn a_user_has_only_so_many_connections() {
    let server =
        TestServer::builder().settings(|settings| settings.user_connections_max = 2).start().await;
    let first = server.connect("ann").open().await;
    let _watcher = server.watch("ann").open_quietly().await;
    let refused = server.connect("ann").answer().await;
    refused.problem(429, "TOO_MANY_CONNECTIONS");
    let after: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!(after >= 1);
    server.watch("ann").answer().await.problem(429, "TOO_MANY_CONNECTIONS");
    server.get("/api/sync").user("ann").send().await.problem(429, "TOO_MANY_CONNECTIONS");
    let _other = server.connect("bob").open().await;
    first.close().await;
    eventually("the place to be given back", || async {
        server.connect("ann").answer().await.status == 101
    })
    .await;
}

#[tokio::test]
async fn the_server_has_only_so_many_connections() {
    let server =
        TestServer::builder().settings(|settings| settings.connections_max = 2).start().await;
    let _ann = server.connect("ann").open().await;
    let _bob = server.connect("bob").open().await;
    let refused = server.connect("eve").answer().await;
    refused.problem(429, "TOO_MANY_CONNECTIONS");
    assert!(refused.header("retry-after").is_some());
    let stats = server.get("/api/websocket/stats").admin().send().await.ok(200);
    assert_eq!(stats["rejectedConnections"], 1);
}

#[tokio::test]
async fn a_flood_of_commands_is_answered_in_order_and_in_full() {
    let server =
        TestServer::builder().settings(|settings| settings.limits.in_flight = 4).start().await;
    // Never reads an answer while it writes: the server must stop reading and not lose anything.
    let mut raw = server.connect("ann").client_id("flood").live().raw().await;
    raw.read_frame().await.unwrap();
    let total = 500_u64;
    for number in 1..=total {
        let frame = json!({"type": "DRAFT_CREATE", "mutationId": number, "payload": {"data": {}}});
        raw.write_frame(1, frame.to_string().as_bytes()).await;
    }
    let (mut events, mut answers) = (0, 0);
    while answers < total {
        let (_, payload) = raw.read_frame().await.unwrap();
        let frame: draftwire_testing::Value = serde_json::from_slice(&payload).unwrap();
        if frame["type"] == "ACK" {
            answers += 1;
            assert_eq!(frame["payload"]["mutationId"], answers);
        } else {
            events += 1;
            assert_eq!(frame["seq"], events);
            assert!(events <= answers + 4, "more than four were under way");
        }
    }
}

#[tokio::test]
async fn over_a_full_queue_commands_are_unavailable_and_keep_their_number() {
    let server =
        TestServer::builder().settings(|settings| settings.queue_bytes_max = 1000).start().await;
    let mut device = joined(&server, "ann", "phone").await;
    let large = json!({"data": {"x": crate::filling(2000)}});
    device.send("DRAFT_CREATE", large, 1).await;
    let rejected = device.expect_rejected("UNAVAILABLE").await;
    assert_eq!(rejected.payload()["mutationId"], 1);
    assert!(rejected.payload()["retryAfterMs"].as_u64().is_some_and(|after| after > 0));
    device.send("DRAFT_CREATE", json!({"data": {}}), 1).await;
    device.expect("DRAFT_CREATED").await;
    assert!(device.expect("ACK").await.payload().get("duplicate").is_none());
}

#[tokio::test]
async fn bodies_over_http_are_bounded() {
    let server = TestServer::builder()
        .settings(|settings| {
            settings.limits.document_bytes = 1000;
            settings.limits.frame_bytes = 2000;
            settings.batch_bytes_max = 3000;
        })
        .start()
        .await;
    let sized = |bytes: usize| json!({"data": {"x": crate::filling(bytes)}});
    let post = |path: &str, bytes: usize| server.post(path).user("ann").json(&sized(bytes)).send();
    post("/api/drafts", 1000).await.problem(413, "TOO_LARGE");
    post("/api/drafts", 3000).await.problem(413, "TOO_LARGE");
    post("/api/commands", 3000).await.problem(413, "TOO_LARGE");
    post("/api/drafts", 900).await.ok(201);
}

#[tokio::test]
async fn a_handshake_may_not_take_for_ever() {
    let server = TestServer::builder()
        .settings(|settings| {
            settings.handshake_time_max = std::time::Duration::from_millis(200);
        })
        .start()
        .await;
    let stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    let mut stream = stream;
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"GET /ws/realtime HTTP/1.1\r\nHo")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let reading = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer);
    draftwire_testing::within("the end of a slow request", reading).await.unwrap();
    assert!(!String::from_utf8_lossy(&answer).contains("101"));
}
