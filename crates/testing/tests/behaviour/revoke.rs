//! Revoked tokens: their connections close with 4501, and they never work again.

use draftwire_testing::{TestServer, Value, json, token};

use crate::joined;

fn issued(user: &str, seconds_ago: f64, jti: Option<&str>) -> String {
    let now = token::seconds_now();
    let mut claims = json!({"sub": user, "iat": (now - seconds_ago).floor(), "exp": now + 3600.0});
    if let Some(jti) = jti {
        claims["jti"] = jti.into();
    }
    token::sign(&claims)
}

async fn revoke(server: &TestServer, body: Value) -> u64 {
    let answer = server.post("/api/users/ann/revoke").admin().json(&body).send().await.ok(200);
    answer["connections"].as_u64().unwrap()
}

async fn refused(server: &TestServer, token: &str) {
    server.connect("x").token(token).answer().await.problem(401, "TOKEN_REVOKED");
    server.get("/api/session").token(token).send().await.problem(401, "TOKEN_REVOKED");
    server.get("/api/drafts").token(token).send().await.problem(401, "TOKEN_REVOKED");
    server.watch("x").token(token).answer().await.problem(401, "TOKEN_REVOKED");
}

#[tokio::test]
async fn one_token_by_its_id() {
    let server = TestServer::start().await;
    let (one, two) = (issued("ann", 10.0, Some("one")), issued("ann", 10.0, Some("two")));
    let mut first = server.connect("ann").client_id("a").token(&one).live().open().await;
    let mut second = server.connect("ann").client_id("b").token(&two).live().open().await;
    let mut watcher = server.watch("ann").token(&one).open_quietly().await;
    let namesake = issued("bob", 10.0, Some("one"));
    let mut bob = server.connect("bob").client_id("a").token(&namesake).live().open().await;
    assert_eq!(revoke(&server, json!({"jti": "one"})).await, 2);
    first.expect_close(4501).await;
    watcher.expect_close(4501).await;
    refused(&server, &one).await;
    second.expect_nothing().await;
    bob.expect_nothing().await;
    second.send("AUTH", json!({"token": one}), None).await;
    second.expect_error("BAD_TOKEN").await;
    let server = server.restart().await;
    refused(&server, &one).await;
    server.connect("x").token(&two).open().await;
    server.connect("x").token(&namesake).open().await;
}

#[tokio::test]
async fn all_that_were_issued_before_a_moment() {
    let server = TestServer::start().await;
    let (old, new) = (issued("ann", 100.0, None), issued("ann", 10.0, None));
    let without = token::sign(&json!({"sub": "ann", "exp": token::seconds_now() + 3600.0}));
    let mut first = server.connect("ann").client_id("a").token(&old).live().open().await;
    let mut second = server.connect("ann").client_id("b").token(&new).live().open().await;
    let mut third = server.connect("ann").client_id("c").token(&without).live().open().await;
    let before = token::seconds_now().floor() - 50.0;
    assert_eq!(revoke(&server, json!({"issuedBefore": before})).await, 2);
    first.expect_close(4501).await;
    third.expect_close(4501).await;
    second.expect_nothing().await;
    refused(&server, &old).await;
    refused(&server, &without).await;
    // An earlier moment takes nothing back.
    assert_eq!(revoke(&server, json!({"issuedBefore": 1})).await, 0);
    refused(&server, &old).await;
    let server = server.restart().await;
    refused(&server, &old).await;
    refused(&server, &without).await;
    // As a timestamp, too.
    let mut device = server.connect("x").token(&new).live().open().await;
    assert_eq!(revoke(&server, json!({"issuedBefore": "2999-01-01T00:00:00.000Z"})).await, 1);
    device.expect_close(4501).await;
}

#[tokio::test]
async fn everything_up_to_now() {
    let server = TestServer::start().await;
    let mut device = joined(&server, "ann", "phone").await;
    let mut bob = joined(&server, "bob", "phone").await;
    let token = server.token("ann");
    let answer = server.post("/api/users/ann/revoke").admin().send().await.ok(200);
    assert_eq!(answer, json!({"connections": 1}));
    device.expect_close(4501).await;
    refused(&server, &token).await;
    bob.expect_nothing().await;
    let server = server.restart().await;
    refused(&server, &token).await;
    // A token of the next second works.
    draftwire_testing::eventually("a token of the next second", || async {
        server.get("/api/session").user("ann").send().await.status == 200
    })
    .await;
}

#[tokio::test]
async fn a_renewed_connection_belongs_to_its_new_token() {
    let server = TestServer::start().await;
    let (one, two) = (issued("ann", 10.0, Some("one")), issued("ann", 10.0, Some("two")));
    let mut device = server.connect("ann").client_id("a").token(&one).live().open().await;
    device.send("AUTH", json!({"token": two}), None).await;
    device.expect("AUTHENTICATED").await;
    assert_eq!(revoke(&server, json!({"jti": "one"})).await, 0);
    device.expect_nothing().await;
    assert_eq!(revoke(&server, json!({"jti": "two"})).await, 1);
    device.expect_close(4501).await;
}

#[tokio::test]
async fn malformed_requests_revoke_nothing() {
    let server = TestServer::start().await;
    let mut device = joined(&server, "ann", "phone").await;
    for bad in [
        json!({"issuedBefore": "soon"}),
        json!({"issuedBefore": true}),
        json!({"issuedBefore": -1}),
        json!({"jti": ""}),
        json!({"jti": 7}),
        json!({"jti": "x".repeat(257)}),
        json!([]),
    ] {
        let answer = server.post("/api/users/ann/revoke").admin().json(&bad).send().await;
        assert_eq!(answer.status, 400, "{bad}: {answer:?}");
    }
    device.expect_nothing().await;
}

#[tokio::test]
async fn a_call_that_waits_ends_with_its_token() {
    let server = TestServer::start().await;
    let token = issued("ann", 10.0, None);
    let device = joined(&server, "ann", "phone").await;
    let target = format!("/api/sync?epoch={}&seq=0&waitMs=30000", device.position().epoch);
    // Longer than a call is waited for here: it can only come back by the revocation.
    let waiting = tokio::spawn(server.get(&target).token(&token).send());
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert!(!waiting.is_finished());
    revoke(&server, json!({})).await;
    waiting.await.unwrap().problem(401, "TOKEN_REVOKED");
}
