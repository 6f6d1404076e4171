//! *Tokens*: what one must say to be accepted. Forged and malformed ones are in `tests/hostile`.

use draftwire_server::auth::ClaimRules;
use draftwire_testing::{TestServer, Value, json, token};

async fn refuse(server: &TestServer, what: &str, token: &str, code: &str) {
    let answer = server.get("/api/session").token(token).send().await;
    assert_eq!(answer.status, 401, "{what}: {answer:?}");
    let body = answer.problem(401, code);
    let detail = body["detail"].as_str().unwrap_or_default();
    assert!(token.len() < 20 || !detail.contains(token), "{what}: the token is repeated");
    let handshake = server.connect("x").token(token).answer().await;
    assert_eq!(handshake.status, 401, "{what}");
    handshake.problem(401, code);
}

async fn accept(server: &TestServer, what: &str, token: &str, user: &str) {
    let answer = server.get("/api/session").token(token).send().await;
    assert_eq!(answer.status, 200, "{what}: {answer:?}");
    assert_eq!(answer.json()["userId"], user, "{what}");
}

#[tokio::test]
async fn the_times_are_numbers_and_are_kept_with_ten_seconds_of_leeway() {
    let server = TestServer::start().await;
    let now = token::seconds_now();
    let with = |name: &str, value: Value| {
        let mut claims = token::claims("ann");
        claims[name] = value;
        token::sign(&claims)
    };
    let mut without = token::claims("ann");
    without.as_object_mut().unwrap().remove("exp");
    refuse(&server, "no exp", &token::sign(&without), "BAD_TOKEN").await;
    refuse(&server, "exp past", &with("exp", json!(now - 11.0)), "TOKEN_EXPIRED").await;
    refuse(&server, "exp 0", &with("exp", json!(0)), "TOKEN_EXPIRED").await;
    refuse(&server, "exp negative", &with("exp", json!(-1)), "TOKEN_EXPIRED").await;
    accept(&server, "exp within the leeway", &with("exp", json!(now - 4.0)), "ann").await;
    accept(&server, "exp far away", &with("exp", json!(1e15)), "ann").await;
    accept(&server, "exp with a fraction", &with("exp", json!(now + 60.5)), "ann").await;
    refuse(&server, "nbf to come", &with("nbf", json!(now + 20.0)), "BAD_TOKEN").await;
    accept(&server, "nbf within the leeway", &with("nbf", json!(now + 5.0)), "ann").await;
    accept(&server, "nbf past", &with("nbf", json!(now - 5.0)), "ann").await;
}

#[tokio::test]
async fn the_user_is_sub_or_user_id() {
    let server = TestServer::start().await;
    let exp = token::seconds_now() as u64 + 60;
    let sign = |claims: Value| {
        let mut claims = claims;
        claims["exp"] = exp.into();
        token::sign(&claims)
    };
    accept(&server, "sub", &sign(json!({"sub": "ann"})), "ann").await;
    accept(&server, "userId", &sign(json!({"userId": "bob"})), "bob").await;
    accept(&server, "both", &sign(json!({"sub": "ann", "userId": "bob"})), "ann").await;
    let long = "u".repeat(128);
    accept(&server, "128 bytes", &sign(json!({"sub": long})), &long).await;
    accept(&server, "any letters", &sign(json!({"sub": "Жанна 1/2"})), "Жанна 1/2").await;
    for (what, claims) in [
        ("no user", json!({})),
        ("a number", json!({"sub": 7})),
        ("a number beside userId", json!({"sub": 7, "userId": "bob"})),
        ("null beside userId", json!({"sub": null, "userId": "bob"})),
        ("empty", json!({"sub": ""})),
        ("empty beside userId", json!({"sub": "", "userId": "bob"})),
        ("129 bytes", json!({"sub": "u".repeat(129)})),
        ("65 two-byte letters", json!({"sub": "é".repeat(65)})),
        ("a line feed", json!({"sub": "a\nb"})),
        ("NUL", json!({"sub": "a\u{0}b"})),
        ("DEL", json!({"sub": "a\u{7f}"})),
        ("C1", json!({"sub": "a\u{85}"})),
        ("an array", json!({"sub": ["ann"]})),
    ] {
        refuse(&server, what, &sign(claims), "BAD_TOKEN").await;
    }
    let twice = format!(r#"{{"sub":"ann","sub":"bob","exp":{exp}}}"#);
    let twice = token::sign_parts(token::HEADER, &twice, token::SECRET);
    refuse(&server, "sub twice", &twice, "BAD_TOKEN").await;
    let escaped = format!(r#"{{"sub":"ann","s\u0075b":"bob","exp":{exp}}}"#);
    let escaped = token::sign_parts(token::HEADER, &escaped, token::SECRET);
    refuse(&server, "sub twice, once escaped", &escaped, "BAD_TOKEN").await;
    for claims in [r#"["ann"]"#, "\"ann\"", "null", "{", ""] {
        let token = token::sign_parts(token::HEADER, claims, token::SECRET);
        refuse(&server, claims, &token, "BAD_TOKEN").await;
    }
}

#[tokio::test]
async fn a_token_has_at_most_eight_kibibytes() {
    let server = TestServer::start().await;
    let sized = |bytes: usize| {
        let mut claims = token::claims("ann");
        let mut padding = bytes * 3 / 4;
        loop {
            claims["padding"] = "x".repeat(padding).into();
            let token = token::sign(&claims);
            if token.len() <= bytes {
                return token;
            }
            padding -= 1;
        }
    };
    let fits = sized(8192);
    assert!(fits.len() > 8180, "{}", fits.len());
    accept(&server, "8 KiB", &fits, "ann").await;
    let mut claims = token::claims("ann");
    claims["padding"] = "x".repeat(6200).into();
    let long = token::sign(&claims);
    assert!((8193..9000).contains(&long.len()), "{}", long.len());
    refuse(&server, "more than 8 KiB", &long, "BAD_TOKEN").await;
}

#[tokio::test]
async fn the_role_makes_an_admin() {
    let server = TestServer::start().await;
    for (role, admin) in [
        (json!({"role": "admin"}), true),
        (json!({"roles": ["user", "admin"]}), true),
        (json!({"role": "user", "roles": ["admin"]}), true),
        (json!({"role": "Admin"}), false),
        (json!({"role": "administrator"}), false),
        (json!({"role": ["admin"]}), false),
        (json!({"roles": "admin"}), false),
        (json!({"roles": ["user"]}), false),
        (json!({"roles": [["admin"]]}), false),
        (json!({"admin": true}), false),
        (json!({}), false),
    ] {
        let mut claims = token::claims("ann");
        claims.as_object_mut().unwrap().extend(role.as_object().unwrap().clone());
        let token = token::sign(&claims);
        let session = server.get("/api/session").token(&token).send().await.ok(200);
        assert_eq!(session["admin"], admin, "{role}");
        let stats = server.get("/api/websocket/stats").token(&token).send().await;
        assert_eq!(stats.status, if admin { 200 } else { 403 }, "{role}");
    }
}

#[tokio::test]
async fn issuer_audience_and_the_roles_name_are_settings() {
    let rules = ClaimRules {
        issuer: Some("https://login.test".into()),
        audience: Some("drafts".into()),
        role_claim: "group".into(),
    };
    let server = TestServer::builder().claim_rules(rules).start().await;
    let sign = |iss: Value, aud: Value| {
        let mut claims = token::claims("ann");
        claims["iss"] = iss;
        claims["aud"] = aud;
        claims["group"] = "admin".into();
        token::sign(&claims)
    };
    let good = sign(json!("https://login.test"), json!("drafts"));
    accept(&server, "both", &good, "ann").await;
    let session = server.get("/api/session").token(&good).send().await.ok(200);
    assert_eq!(session["admin"], true);
    let listed = sign(json!("https://login.test"), json!(["other", "drafts"]));
    accept(&server, "a list", &listed, "ann").await;
    for (iss, aud) in [
        (json!("https://login.test/"), json!("drafts")),
        (json!(["https://login.test"]), json!("drafts")),
        (json!(null), json!("drafts")),
        (json!("https://login.test"), json!("draft")),
        (json!("https://login.test"), json!([])),
        (json!("https://login.test"), json!(null)),
    ] {
        let what = format!("iss {iss}, aud {aud}");
        refuse(&server, &what, &sign(iss, aud), "BAD_TOKEN").await;
    }
    refuse(&server, "neither", &server.token("ann"), "BAD_TOKEN").await;
}
