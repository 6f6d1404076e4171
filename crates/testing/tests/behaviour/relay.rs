//! *Relay*: no store, no commands, no positions; the backend publishes the document events.

use draftwire_testing::{TestServer, json, token};

const DOCUMENT_EVENTS: [&str; 7] = [
    "DRAFT_CREATED",
    "DRAFT_UPDATED",
    "DRAFT_DELETED",
    "DRAFT_CONVERTED",
    "PENDING_CREATED",
    "PENDING_UPDATED",
    "PENDING_DELETED",
];

#[tokio::test]
async fn welcome_has_no_position_and_nothing_follows() {
    let server = TestServer::builder().relay().start().await;
    server.get("/readyz").send().await.ok(200);
    for query in [("clientId", "a"), ("epoch", "e&seq=7"), ("sync", "live")] {
        let mut device = server.connect("ann").query(query.0, query.1).open().await;
        let payload = device.welcome().payload().clone();
        for absent in ["epoch", "seq", "at"] {
            assert!(payload.get(absent).is_none(), "{absent} in {payload}");
        }
        assert_eq!(payload["recovery"], "live");
        assert_eq!(payload["lastMutationId"], 0);
        assert_eq!(payload["userId"], "ann");
        assert!(payload["limits"]["frameBytes"].is_u64());
        device.send("PING", json!({}), None).await;
        device.expect("PONG").await;
    }
    server.connect("ann").query("seq", "7").answer().await.problem(400, "INVALID");
}

#[tokio::test]
async fn commands_are_forbidden_and_nothing_is_remembered() {
    let server = TestServer::builder().relay().start().await;
    let mut device = server.connect("ann").client_id("phone").open().await;
    for number in [1, 1, 5] {
        device.send("DRAFT_CREATE", json!({"data": {}}), number).await;
        let rejected = device.expect_rejected("FORBIDDEN").await;
        assert_eq!(rejected.payload()["mutationId"], number);
        assert!(rejected.payload().get("duplicate").is_none());
    }
    device.send("DRAFT_CREATE", json!({"data": {}}), None).await;
    device.expect_rejected("FORBIDDEN").await;
    device.send("SKIP", json!({}), None).await;
    device.expect_rejected("FORBIDDEN").await;
    device.send_text("nonsense").await;
    device.expect_error("BAD_FRAME").await;
    device.close().await;
    let device = server.connect("ann").client_id("phone").open().await;
    assert_eq!(device.welcome().payload()["lastMutationId"], 0);
}

#[tokio::test]
async fn the_backend_publishes_document_events_like_its_own() {
    let server = TestServer::builder().relay().start().await;
    let mut device = server.connect("ann").open().await;
    for kind in DOCUMENT_EVENTS.into_iter().chain(["PRICE"]) {
        let message = json!({"type": kind, "payload": {"document": {"id": "d"}}});
        let publish = server.post("/api/users/ann/events").admin().json(&message).send();
        assert_eq!(publish.await.ok(200), json!({"connections": 1}), "{kind}");
        let frame = device.expect(kind).await;
        assert_eq!(frame.payload(), &message["payload"]);
        assert!(frame.seq().is_none());
    }
    for kind in ["WELCOME", "ACK", "SNAPSHOT", "DRAFT_CREATE", "SYNC_PROGRESS"] {
        let message = json!({"type": kind, "payload": {}});
        let publish = server.post("/api/users/ann/events").admin().json(&message).send();
        publish.await.problem(400, "INVALID");
    }
}

#[tokio::test]
async fn documents_over_http_are_the_backends() {
    let server = TestServer::builder().relay().start().await;
    for (method, target) in [
        ("GET", "/api/drafts"),
        ("GET", "/api/pending/p"),
        ("POST", "/api/drafts"),
        ("PATCH", "/api/drafts/d"),
        ("PUT", "/api/pending/p"),
        ("DELETE", "/api/drafts/d"),
        ("POST", "/api/drafts/d/convert"),
        ("POST", "/api/commands"),
        ("GET", "/api/sync"),
        ("GET", "/api/users/bob/drafts"),
        ("POST", "/api/users/bob/drafts"),
    ] {
        let answer = server.call(method, target).admin().json(&json!({"data": {}})).send().await;
        assert_eq!(answer.status, 403, "{method} {target}: {answer:?}");
        answer.problem(403, "FORBIDDEN");
    }
    server.get("/api/drafts").send().await.problem(401, "NO_TOKEN");
}

#[tokio::test]
async fn revocations_hold_while_it_lives() {
    let server = TestServer::builder().relay().start().await;
    let mut claims = token::claims("ann");
    claims["jti"] = "one".into();
    let token = token::sign(&claims);
    let mut device = server.connect("ann").token(&token).open().await;
    let revoke = server.post("/api/users/ann/revoke").admin().json(&json!({"jti": "one"}));
    assert_eq!(revoke.send().await.ok(200), json!({"connections": 1}));
    device.expect_close(4501).await;
    server.connect("ann").token(&token).answer().await.problem(401, "TOKEN_REVOKED");
    server.connect("ann").open().await;
}
