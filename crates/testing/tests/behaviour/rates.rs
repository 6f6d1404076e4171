//! How often one may knock, command and talk; and whose address counts.

use draftwire_server::rate::Rate;
use draftwire_testing::{TestServer, TestServerBuilder, eventually, json, raw};

use crate::joined;

fn server(change: impl FnOnce(&mut draftwire_server::Settings)) -> TestServerBuilder {
    TestServer::builder().settings(change)
}

#[tokio::test]
async fn a_user_knocks_only_so_often() {
    let server = server(|settings| settings.user_handshakes = Rate::new(1, 2)).start().await;
    for _ in 0..2 {
        server.connect("ann").open().await.close().await;
    }
    let refused = server.connect("ann").answer().await;
    refused.problem(429, "TOO_MANY_HANDSHAKES");
    let after: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=2).contains(&after), "{after}");
    let _other = server.connect("bob").open().await;
}

/// Behind a proxy that is named: the address is what it has appended, whatever stands before.
#[tokio::test]
async fn an_address_knocks_only_so_often_whatever_the_client_writes() {
    let server = server(|settings| {
        settings.address_handshakes = Rate::new(1, 3);
        settings.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    })
    .start()
    .await;
    let from =
        |user: &str, forwarded: &str| server.connect(user).header("x-forwarded-for", forwarded);
    from("ann", "203.0.113.7").open().await.close().await;
    from("bob", "192.0.2.1, 203.0.113.7").open().await.close().await;
    // One that is refused counts as well.
    from("eve", "203.0.113.7").token("no.good.token").answer().await.problem(401, "BAD_TOKEN");
    from("eve", "203.0.113.7")
        .token("no.good.token")
        .answer()
        .await
        .problem(429, "TOO_MANY_HANDSHAKES");
    from("ann", "198.51.100.9, 203.0.113.7").answer().await.problem(429, "TOO_MANY_HANDSHAKES");
    let _elsewhere = from("ann", "203.0.113.8").open().await;
    // This machine itself is not limited.
    for _ in 0..5 {
        server.connect("ann").open().await.close().await;
    }
}

/// Whatever the reason and whichever door it came by: nobody uses up the turns of others at the same
/// address twice over.
#[tokio::test]
async fn a_refused_handshake_counts_once() {
    for front_door in [true, false] {
        let server = server(|settings| {
            settings.user_handshakes = Rate::new(1, 1);
            settings.address_handshakes = Rate::new(1, 4);
            settings.address_connections_max = 1;
            settings.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
        })
        .start()
        .await;
        let from = |user: &str| {
            let connect = server.connect(user).header("x-forwarded-for", "203.0.113.7");
            if front_door { connect } else { connect.path("/ws/sync") }
        };
        let _first = from("ann").open_quietly().await;
        from("ann").answer().await.problem(429, "TOO_MANY_HANDSHAKES");
        from("bob").answer().await.problem(429, "TOO_MANY_CONNECTIONS");
        from("eve").answer().await.problem(429, "TOO_MANY_CONNECTIONS");
        let fifth = from("joe").answer().await.problem(429, "TOO_MANY_HANDSHAKES");
        assert!(fifth["detail"].as_str().unwrap().contains("address"), "{fifth}");
    }
}

#[tokio::test]
async fn an_address_has_only_so_many_connections() {
    let server = server(|settings| {
        settings.address_connections_max = 1;
        settings.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    })
    .start()
    .await;
    let from = |user: &str| server.connect(user).header("x-forwarded-for", "203.0.113.7");
    let first = from("ann").open().await;
    from("bob").answer().await.problem(429, "TOO_MANY_CONNECTIONS");
    let _elsewhere = server.connect("bob").header("x-forwarded-for", "203.0.113.8").open().await;
    first.close().await;
    let free = || async { from("bob").answer().await.status == 101 };
    eventually("the place to be given back", free).await;
}

/// What is refused uses up no number, stands in its place among the answers, and goes through when
/// it is sent again.
#[tokio::test]
async fn commands_over_the_rate_are_refused_in_order_and_go_through_later() {
    let server = server(|settings| settings.connection_commands = Rate::new(20, 5)).start().await;
    let mut ann = joined(&server, "ann", "phone").await;
    let mut desk = joined(&server, "ann", "desk").await;
    let create = |number: u64| json!({"id": format!("d{number}"), "data": {}});
    for number in 1..=10 {
        ann.send("DRAFT_CREATE", create(number), number).await;
    }
    let mut due = 1;
    let mut refused = 0;
    for number in 1..=10 {
        let answer = loop {
            let frame = ann.next().await;
            if matches!(frame.kind(), "ACK" | "REJECTED") {
                break frame;
            }
        };
        assert_eq!(answer.payload()["mutationId"], number, "answers come in order");
        if answer.kind() == "ACK" {
            assert_eq!(refused, 0, "nothing behind a refused command is applied");
            due = number + 1;
        } else {
            assert_eq!(answer.payload()["code"], "RATE_LIMITED");
            assert!(answer.payload()["retryAfterMs"].as_u64().unwrap() >= 1);
            refused += 1;
        }
    }
    assert!(refused > 0 && due > 5, "{refused} refused, {due} is due");
    while due <= 10 {
        tokio::time::sleep(std::time::Duration::from_millis(60)).await;
        ann.send("DRAFT_CREATE", create(due), due).await;
        let (_, ack) = ann.read_until("ACK").await;
        assert_eq!(ack.payload()["mutationId"], due);
        due += 1;
    }
    for number in 1..=10 {
        let event = desk.expect("DRAFT_CREATED").await;
        assert_eq!(event.payload()["document"]["id"], format!("d{number}"));
    }
}

#[tokio::test]
async fn a_user_commands_only_so_often_over_every_road() {
    let server = server(|settings| settings.user_commands = Rate::new(1, 2)).start().await;
    let mut ann = joined(&server, "ann", "phone").await;
    ann.apply("DRAFT_CREATE", json!({"id": "a", "data": {}})).await;
    let body = json!({"id": "b", "data": {}});
    server.post("/api/drafts").user("ann").json(&body).send().await.ok(201);
    let refused = server.post("/api/drafts").user("ann").json(&body).send().await;
    refused.problem(429, "RATE_LIMITED");
    assert!(refused.header("retry-after").is_some());
    let commands = json!({"commands": [{"type": "SKIP", "payload": {}}]});
    let refused = server.post("/api/commands").user("ann").json(&commands).send().await;
    refused.problem(429, "RATE_LIMITED");
    server.post("/api/drafts").user("bob").json(&body).send().await.ok(201);
    // Each of several counts.
    let two = json!({"commands": [
        {"type": "SKIP", "payload": {}},
        {"type": "SKIP", "payload": {}},
    ]});
    server.post("/api/commands").user("eve").json(&two).send().await.ok(200);
    let refused = server.post("/api/drafts").user("eve").json(&body).send().await;
    refused.problem(429, "RATE_LIMITED");
}

#[tokio::test]
async fn who_talks_without_an_end_is_closed() {
    let server = server(|settings| settings.connection_frames = Rate::new(1, 20)).start().await;
    let mut bob = joined(&server, "bob", "desk").await;
    for frame in [r#"{"type":"PING"}"#, "no json", r#"{"type":"AUTH","payload":{"token":"x"}}"#] {
        let mut ann = joined(&server, "ann", "phone").await;
        for _ in 0..40 {
            ann.send_text(frame).await;
        }
        let (_, code) = ann.read_to_close().await;
        assert_eq!(code, 4002, "{frame}");
    }
    for control in [raw::PING, raw::PONG] {
        let mut raw = server.connect("ann").client_id("raw").live().raw().await;
        raw.read_frame().await.unwrap();
        for _ in 0..40 {
            raw.write_frame(control, b"x").await;
        }
        assert_eq!(raw.read_to_end().await.1, Some(4002));
    }
    bob.apply("DRAFT_CREATE", json!({"id": "d", "data": {}})).await;
    let stats = server.get("/api/websocket/stats").admin().send().await.ok(200);
    assert_eq!(stats["rateCloses"], 5);
}
