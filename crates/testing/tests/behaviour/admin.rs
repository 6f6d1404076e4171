//! What only administrators may: publish, broadcast, list, disconnect, count.

use draftwire_testing::{TestServer, eventually, json};

use crate::joined;

/// Every type that `docs/protocol.md` names, with what its refusal points to.
const PROTOCOL_TYPES: [(&str, &str); 29] = [
    ("WELCOME", "another"),
    ("SNAPSHOT", "another"),
    ("ACK", "another"),
    ("REJECTED", "another"),
    ("ERROR", "another"),
    ("AUTHENTICATED", "another"),
    ("TOKEN_EXPIRING", "another"),
    ("RECONNECT", "another"),
    ("PONG", "another"),
    ("DRAFT_CREATED", "/api/users/{userId}/drafts"),
    ("DRAFT_UPDATED", "/api/users/{userId}/drafts"),
    ("DRAFT_DELETED", "/api/users/{userId}/drafts"),
    ("DRAFT_CONVERTED", "/api/users/{userId}/drafts"),
    ("PENDING_CREATED", "/api/users/{userId}/pending"),
    ("PENDING_UPDATED", "/api/users/{userId}/pending"),
    ("PENDING_DELETED", "/api/users/{userId}/pending"),
    ("DRAFT_CREATE", "/api/users/{userId}/drafts"),
    ("DRAFT_UPDATE", "/api/users/{userId}/drafts"),
    ("DRAFT_DELETE", "/api/users/{userId}/drafts"),
    ("DRAFT_CONVERT", "/api/users/{userId}/drafts"),
    ("PENDING_CREATE", "/api/users/{userId}/drafts"),
    ("PENDING_UPDATE", "/api/users/{userId}/drafts"),
    ("PENDING_DELETE", "/api/users/{userId}/drafts"),
    ("AUTH", "another"),
    ("PING", "another"),
    ("SKIP", "another"),
    ("SYNC_PROGRESS", "/api/sync/progress"),
    ("SYNC_COMPLETED", "/api/sync/progress"),
    ("SYNC_FAILED", "/api/sync/progress"),
];

#[tokio::test]
async fn what_a_backend_publishes_reaches_all_devices_of_the_user() {
    let server = TestServer::start().await;
    let mut phone = joined(&server, "ann", "phone").await;
    let mut laptop = joined(&server, "ann", "laptop").await;
    let mut other = joined(&server, "bob", "phone").await;
    let mut watcher = server.watch("ann").open_quietly().await;
    let message = r#"{"type":"price:ACME","payload":{"p":1.50,"n":12345678901234567890}}"#;
    let publish = || server.post("/api/users/ann/events").admin().body(message).send();
    assert_eq!(publish().await.ok(200), json!({"connections": 2}));
    for device in [&mut phone, &mut laptop] {
        let frame = device.expect("price:ACME").await;
        assert!(frame.text.contains(r#"{"p":1.50,"n":12345678901234567890}"#), "{}", frame.text);
        assert!(frame.seq().is_none());
        device.expect_nothing().await;
    }
    other.expect_nothing().await;
    let nobody = server.post("/api/users/nobody/events").admin().body(message).send().await;
    assert_eq!(nobody.ok(200), json!({"connections": 0}));
    let all = server.post("/api/broadcast").admin().body(message).send().await;
    assert_eq!(all.ok(200), json!({"connections": 3}));
    for device in [&mut phone, &mut laptop, &mut other] {
        device.expect("price:ACME").await;
    }
    // Not kept, and not for /ws/sync.
    let mut late = server.connect("ann").client_id("late").open().await;
    late.expect("SNAPSHOT").await;
    late.expect_nothing().await;
    let report = server.post("/api/sync/progress").admin().json(&json!({"jobId": "j"}));
    report.send().await.ok(200);
    watcher.expect("SYNC_PROGRESS").await;
}

#[tokio::test]
async fn a_broadcast_reaches_many_devices_once() {
    let server = TestServer::start().await;
    let mut devices = Vec::new();
    for index in 0..300 {
        let user = format!("user-{index}");
        devices.push(server.connect(&user).live().open().await);
    }
    for round in 0..3 {
        let message = json!({"type": "NEWS", "payload": {"round": round}});
        let answer = server.post("/api/broadcast").admin().json(&message).send().await;
        assert_eq!(answer.ok(200), json!({"connections": 300}));
    }
    for device in &mut devices {
        for round in 0..3 {
            assert_eq!(device.expect("NEWS").await.payload()["round"], round);
        }
    }
}

#[tokio::test]
async fn the_protocols_own_types_are_refused_with_what_to_use_instead() {
    let server = TestServer::start().await;
    let mut device = joined(&server, "ann", "phone").await;
    for (kind, instead) in PROTOCOL_TYPES {
        for path in ["/api/users/ann/events", "/api/broadcast"] {
            let message = json!({"type": kind, "payload": {}});
            let answer = server.post(path).admin().json(&message).send().await;
            let detail = answer.problem(400, "INVALID")["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains(kind) && detail.contains(instead), "{kind}: {detail}");
        }
    }
    for bad in [
        json!({"payload": {}}),
        json!({"type": "", "payload": {}}),
        json!({"type": "a b", "payload": {}}),
        json!({"type": "x".repeat(65), "payload": {}}),
        json!({"type": 7, "payload": {}}),
        json!({"type": "X", "payload": []}),
        json!({"type": "X", "payload": "x"}),
    ] {
        let answer = server.post("/api/users/ann/events").admin().json(&bad).send().await;
        assert_eq!(answer.status, 400, "{bad}: {answer:?}");
    }
    device.expect_nothing().await;
    let message = json!({"type": "x".repeat(64)});
    let answer = server.post("/api/users/ann/events").admin().json(&message).send().await;
    assert_eq!(answer.ok(200), json!({"connections": 1}));
}

#[tokio::test]
async fn only_administrators_may() {
    let server = TestServer::start().await;
    for (method, path) in [
        ("POST", "/api/users/ann/events"),
        ("POST", "/api/broadcast"),
        ("GET", "/api/users/ann/connections"),
        ("DELETE", "/api/users/ann/connections"),
        ("GET", "/api/users/ann/connections/x"),
        ("DELETE", "/api/users/ann/connections/x"),
        ("POST", "/api/users/ann/revoke"),
        ("POST", "/api/sync/progress"),
        ("GET", "/api/websocket/stats"),
    ] {
        let body = json!({"type": "X", "payload": {}, "jobId": "j"});
        let call = || server.call(method, path).json(&body);
        call().user("ann").send().await.problem(403, "FORBIDDEN");
        call().send().await.problem(401, "NO_TOKEN");
        call().token("rubbish").send().await.problem(401, "BAD_TOKEN");
    }
}

#[tokio::test]
async fn connections_are_listed_and_closed() {
    let server = TestServer::start().await;
    let mut phone = joined(&server, "ann", "phone").await;
    let mut laptop = joined(&server, "ann", "laptop").await;
    let mut watcher = server.watch("ann").query("clientId", "w").open_quietly().await;
    let mut other = joined(&server, "bob", "phone").await;
    let list = || async {
        let answer = server.get("/api/users/ann/connections").admin().send().await.ok(200);
        answer["items"].as_array().unwrap().clone()
    };
    let items = list().await;
    let mut seen: Vec<_> =
        items.iter().map(|one| format!("{} {}", one["clientId"], one["path"])).collect();
    seen.sort();
    assert_eq!(
        seen,
        ["\"laptop\" \"/ws/realtime\"", "\"phone\" \"/ws/realtime\"", "\"w\" \"/ws/sync\""]
    );
    let id = phone.welcome().payload()["connectionId"].as_str().unwrap().to_owned();
    let one = server.get(&format!("/api/users/ann/connections/{id}")).admin().send().await.ok(200);
    assert_eq!(one["clientId"], "phone");
    assert_eq!(one["expiresAt"], phone.welcome().payload()["expiresAt"]);
    assert!(one["connectedAt"].is_string());
    let close = |path: String| server.delete(&path).admin().send();
    close(format!("/api/users/bob/connections/{id}")).await.problem(404, "NOT_FOUND");
    close("/api/users/ann/connections/none".into()).await.problem(404, "NOT_FOUND");
    let closed = close(format!("/api/users/ann/connections/{id}")).await;
    assert_eq!(closed.ok(200), json!({"connections": 1}));
    phone.expect_close(4502).await;
    close(format!("/api/users/ann/connections/{id}")).await.problem(404, "NOT_FOUND");
    laptop.expect_nothing().await;
    let closed = close("/api/users/ann/connections".into()).await;
    assert_eq!(closed.ok(200), json!({"connections": 2}));
    laptop.expect_close(4502).await;
    watcher.expect_close(4502).await;
    assert!(list().await.is_empty());
    other.expect_nothing().await;
    // Nothing keeps the device from coming back: that is what revoking is for.
    server.connect("ann").client_id("phone").open().await;
}

#[tokio::test]
async fn statistics_count_from_nothing() {
    let server = TestServer::start().await;
    let stats = || async { server.get("/api/websocket/stats").admin().send().await.ok(200) };
    let start = stats().await;
    assert_eq!((&start["totalConnections"], &start["activeUsers"]), (&json!(0), &json!(0)));
    let phone = joined(&server, "ann", "phone").await;
    let mut laptop = joined(&server, "ann", "laptop").await;
    let bob = joined(&server, "bob", "phone").await;
    let watcher = server.watch("eve").open_quietly().await;
    laptop.apply("DRAFT_CREATE", json!({"data": {}})).await;
    laptop.send("DRAFT_DELETE", json!({"id": "none"}), 2).await;
    laptop.expect_rejected("NOT_FOUND").await;
    server.connect("ann").token("rubbish").answer().await.problem(401, "BAD_TOKEN");
    let now = stats().await;
    assert_eq!((&now["totalConnections"], &now["activeUsers"]), (&json!(3), &json!(2)));
    assert_eq!(now["progressConnections"], 1);
    assert_eq!(now["rejectedConnections"], 1);
    assert_eq!(now["rejectedCommands"], 1);
    assert_eq!(now["commands"], 2);
    assert_eq!(now["resumes"]["snapshot"], 3);
    let library = server.realtime().stats();
    assert_eq!((library.total_connections, library.active_users), (3, 2));
    phone.close().await;
    bob.close().await;
    drop((laptop, watcher));
    eventually("the counts to go down", || async {
        let now = stats().await;
        now["totalConnections"] == 0 && now["activeUsers"] == 0 && now["progressConnections"] == 0
    })
    .await;
}
