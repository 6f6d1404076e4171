//! `Idempotency-Key`: a call sent again does nothing twice.

use draftwire_testing::{Answer, TestServer, json};

use crate::joined;

fn same(first: &Answer, second: &Answer) {
    assert_eq!(first.status, second.status, "{second:?}");
    assert_eq!(first.text, second.text);
    for name in ["location", "etag", "content-type"] {
        assert_eq!(first.header(name), second.header(name), "{name}");
    }
}

#[tokio::test]
async fn the_same_call_gets_the_same_answer_and_is_done_once() {
    let server = TestServer::start().await;
    let mut device = joined(&server, "ann", "phone").await;
    let create = || {
        let body = json!({"data": {"a": 1}});
        server.post("/api/drafts").user("ann").header("idempotency-key", "k1").json(&body).send()
    };
    let first = create().await;
    let id = first.ok(201)["id"].as_str().unwrap().to_owned();
    same(&first, &create().await);
    let path = format!("/api/drafts/{id}");
    let patch = || {
        let body = json!({"a": 2});
        server.patch(&path).user("ann").header("idempotency-key", "k2").json(&body).send()
    };
    let patched = patch().await;
    assert_eq!(patched.ok(200)["version"], 2);
    same(&patched, &patch().await);
    let delete = || server.delete(&path).user("ann").header("idempotency-key", "k3").send();
    let deleted = delete().await;
    assert_eq!(deleted.status, 204);
    same(&deleted, &delete().await);
    // The answer stands even where the document is gone by now.
    same(&patched, &patch().await);
    let refuse =
        || server.delete("/api/drafts/none").user("ann").header("idempotency-key", "k4").send();
    let refused = refuse().await;
    refused.problem(404, "NOT_FOUND");
    same(&refused, &refuse().await);
    for kind in ["DRAFT_CREATED", "DRAFT_UPDATED", "DRAFT_DELETED"] {
        device.expect(kind).await;
    }
    device.expect_nothing().await;
}

#[tokio::test]
async fn another_request_under_the_same_key_is_422() {
    let server = TestServer::start().await;
    let key = |call: draftwire_testing::Call| call.user("ann").header("idempotency-key", "k");
    let body = json!({"id": "d", "data": {"a": 1}});
    let created = key(server.post("/api/drafts")).json(&body).send().await;
    created.ok(201);
    let tag = created.header("etag").unwrap();
    let calls = [
        key(server.post("/api/drafts")).json(&json!({"id": "d", "data": {"a": 2}})),
        key(server.post("/api/pending")).json(&body),
        key(server.patch("/api/drafts/d")).json(&body),
        key(server.put("/api/drafts/d")).json(&body),
        key(server.delete("/api/drafts/d")),
        key(server.post("/api/drafts/d/convert")),
    ];
    for call in calls {
        call.send().await.problem(422, "MUTATION_REUSED");
    }
    // White space and the order of members are no other body.
    let spaced = key(server.post("/api/drafts")).body(r#"{ "data": {"a":1}, "id" : "d" }"#);
    same(&created, &spaced.send().await);
    let put = || server.put("/api/drafts/d").user("ann").header("idempotency-key", "p");
    put().json(&json!({"b": 1})).send().await.ok(200);
    let conditional = put().header("if-match", tag).json(&json!({"b": 1})).send().await;
    conditional.problem(422, "MUTATION_REUSED");
    let patch = server.patch("/api/drafts/d").user("ann").header("idempotency-key", "p");
    patch.json(&json!({"b": 1})).send().await.problem(422, "MUTATION_REUSED");
}

#[tokio::test]
async fn keys_belong_to_a_user_and_outlive_a_restart() {
    let server = TestServer::start().await;
    let create = |server: &TestServer, user: &str| {
        let body = json!({"data": {}});
        server.post("/api/drafts").user(user).header("idempotency-key", "k").json(&body).send()
    };
    let first = create(&server, "ann").await;
    first.ok(201);
    let other = create(&server, "bob").await;
    other.ok(201);
    assert_ne!(first.text, other.text);
    let server = server.restart().await;
    same(&first, &create(&server, "ann").await);
}

#[tokio::test]
async fn a_key_is_visible_ascii_and_not_too_long() {
    let server = TestServer::start().await;
    let post = |key: &str| {
        let call = server.post("/api/drafts").user("ann").header("idempotency-key", key);
        call.json(&json!({"data": {}})).send()
    };
    for bad in ["", &"k".repeat(256), "é"] {
        let answer = post(bad).await;
        assert_eq!(answer.status, 400, "{bad:?}: {answer:?}");
        answer.problem(400, "INVALID");
    }
    post(&"k".repeat(255)).await.ok(201);
}
