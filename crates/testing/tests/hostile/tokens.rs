//! Bad tokens (RFC 8725), at every place where a token comes in.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use draftwire_testing::{Device, TestServer, Value, json, token};
use tokio::net::TcpListener;

/// A place for bad tokens: what is wrong with each, and the token.
pub type Table = Vec<(String, String)>;

pub fn url_safe(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn with_header(header: &str) -> String {
    token::sign_parts(header, &token::claims("ann").to_string(), token::SECRET)
}

/// Every byte of it as a URL has it.
pub fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Tries a table at every place: two paths' `Authorization`, the plain call, the query, the
/// subprotocol, and `AUTH` on a connection that is open.
pub async fn refuse_all(server: &TestServer, code: &str, table: &Table) {
    let mut open = server.connect("ann").client_id("open").live().open().await;
    for (what, token) in table {
        let calls = [
            server.connect("x").token(token).answer().await,
            server.watch("x").token(token).answer().await,
            server.get("/api/session").token(token).send().await,
            server.connect("x").token_in_query(&percent_encoded(token)).answer().await,
        ];
        for answer in calls {
            assert_eq!(answer.status, 401, "{what}: {answer:?}");
            let problem = answer.problem(401, code);
            is_advice_without(&problem["detail"], what, token);
        }
        // As a list of words: nothing with a comma, a space or nothing in it can stand there.
        if !token.is_empty() && !token.contains([',', ' ', '\t']) {
            let answer = server.connect("x").token_in_subprotocol(token).answer().await;
            assert_eq!(answer.status, 401, "{what} as a subprotocol: {answer:?}");
            answer.problem(401, code);
        }
        refuse_in_band(&mut open, what, token).await;
    }
    // The old token is in force all the time.
    open.expect_nothing().await;
}

pub async fn refuse_in_band(open: &mut Device, what: &str, token: &str) {
    open.send("AUTH", json!({"token": token}), None).await;
    let refused = open.expect_error("BAD_TOKEN").await;
    is_advice_without(&refused.payload()["message"], what, token);
}

/// It says what to do, and does not repeat the token.
fn is_advice_without(text: &Value, what: &str, token: &str) {
    let text = text.as_str().unwrap_or_default();
    assert!(text.contains("token"), "{what}: {text}");
    assert!(text.contains("fetch") || text.contains("get "), "{what}: what is there to do? {text}");
    assert!(token.len() < 20 || !text.contains(token), "{what}: the token is repeated");
}

#[tokio::test]
async fn the_header_never_chooses_the_algorithm_or_the_key() {
    let (server, bystander) = crate::begin(|_| {}).await;
    let mut table = Table::new();
    let algorithms = [
        "none",
        "None",
        "NONE",
        "nOnE",
        "",
        " ",
        "hs256",
        "Hs256",
        "HS256 ",
        "HS384",
        "HS512",
        "RS256",
        "RS384",
        "RS512",
        "ES256",
        "ES384",
        "ES256K",
        "PS256",
        "EdDSA",
        "Ed25519",
        "dir",
        "A128KW",
        "RSA-OAEP",
        "HS256\\u0000",
        "\\u041dS256",
        "../HS256",
        "0",
    ];
    for algorithm in algorithms {
        table.push((algorithm.into(), with_header(&format!(r#"{{"alg":"{algorithm}"}}"#))));
        // Without a signature, as `none` wants it (RFC 7518 §3.6).
        let header = url_safe(format!(r#"{{"alg":"{algorithm}","typ":"JWT"}}"#));
        let claims = url_safe(token::claims("ann").to_string());
        table.push((format!("{algorithm}, unsigned"), format!("{header}.{claims}.")));
    }
    for header in [
        r#"{"typ":"JWT"}"#,
        r#"{}"#,
        r#"{"alg":null}"#,
        r#"{"alg":true}"#,
        r#"{"alg":256}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":["none","HS256"]}"#,
        r#"{"alg":{"HS256":"HS256"}}"#,
        r#"{"Alg":"HS256"}"#,
        r#"{"ALG":"HS256"}"#,
        // Two readers must not see two algorithms.
        r#"{"alg":"HS256","alg":"HS256"}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","alg":"none"}"#,
        r#"{"alg":"HS256","\u0061lg":"none"}"#,
        r#"{"alg":"HS256","jwk":{"k":"a","k":"b"}}"#,
        // Extensions that must be understood (RFC 7515 §4.1.11) and are not.
        r#"{"alg":"HS256","crit":["exp"]}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        r#"{"alg":"HS256","crit":null}"#,
        r#"{"alg":"HS256","b64":false}"#,
        r#"{"alg":"HS256","b64":true,"crit":["b64"]}"#,
        // No object, no JSON.
        r#"["HS256"]"#,
        r#""HS256""#,
        "HS256",
        "null",
        "",
        " ",
        "{",
        "{\"alg\":\"HS256\"}x",
        "{\"alg\":\"HS256\",}",
        "{'alg':'HS256'}",
        "\u{feff}{\"alg\":\"HS256\"}",
    ] {
        table.push((header.into(), with_header(header)));
    }
    let deep = format!(r#"{{"alg":"HS256","x":{}{}}}"#, "[".repeat(2_000), "]".repeat(2_000));
    table.push(("a deep header".into(), with_header(&deep)));
    // Key confusion: a text that everybody knows is no secret.
    let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\
               \n-----END PUBLIC KEY-----\n";
    let claims = token::claims("ann").to_string();
    for secret in [pem, pem.trim(), "", "secret", "null", "undefined"] {
        if !secret.is_empty() {
            let forged = token::sign_parts(token::HEADER, &claims, secret.as_bytes());
            table.push((format!("signed with {secret:?}"), forged));
        }
        let header = r#"{"alg":"RS256","typ":"JWT"}"#;
        let secret = if secret.is_empty() { "another secret" } else { secret };
        let forged = token::sign_parts(header, &claims, secret.as_bytes());
        table.push((format!("RS256 signed with {secret:?}"), forged));
    }
    refuse_all(&server, "BAD_TOKEN", &table).await;
    bystander.expect_unharmed().await;
}

/// Centrifugo CVE-2026-32301 (claims of a token that was not verified led to an address that was
/// then fetched) and CVE-2026-49998 (a `kid` chose among keys of others): what a token says is
/// never followed. One that holds is as good with such members as without.
#[tokio::test]
async fn no_address_and_no_key_in_a_token_is_ever_followed() {
    let (server, bystander) = crate::begin(|_| {}).await;
    let trap = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/jwks.json", trap.local_addr().unwrap());
    let own_key = url_safe(b"a key that the attacker has made up");
    let mut forged = Table::new();
    for members in [
        format!(r#""jku":"{address}""#),
        format!(r#""x5u":"{address}""#),
        format!(r#""jku":"{address}","kid":"1""#),
        format!(r#""kid":"{address}""#),
        r#""kid":"../../../../dev/null""#.to_owned(),
        r#""kid":"' UNION SELECT 'key""#.to_owned(),
        r#""kid":"|/bin/true""#.to_owned(),
        r#""kid":["1"]"#.to_owned(),
        format!(r#""jwk":{{"kty":"oct","k":"{own_key}"}}"#),
        format!(r#""x5c":["{own_key}"],"x5t":"{own_key}""#),
        format!(r#""jwks":{{"keys":[{{"kty":"oct","k":"{own_key}"}}]}}"#),
        r#""zip":"DEF""#.to_owned(),
        r#""enc":"A256GCM""#.to_owned(),
        r#""cty":"JWT""#.to_owned(),
    ] {
        let header = format!(r#"{{"alg":"HS256",{members}}}"#);
        let claims = token::claims("ann").to_string();
        let own = token::sign_parts(&header, &claims, b"a key that the attacker has made up");
        forged.push((members.clone(), own));
        forged.push((format!("{members}, empty key"), token::sign_parts(&header, &claims, b"\0")));
        let held = token::sign_parts(&header, &claims, token::SECRET);
        let session = server.get("/api/session").token(&held).send().await.ok(200);
        assert_eq!(session["userId"], "ann", "{members} is not looked at");
    }
    let mut claims = token::claims("ann");
    for name in ["iss", "aud", "tenant"] {
        claims[name] = address.clone().into();
    }
    let claims = claims.to_string();
    let unverified =
        token::sign_parts(token::HEADER, &claims, b"no secret of this server's at all");
    forged.push(("an address as issuer".into(), unverified));
    refuse_all(&server, "BAD_TOKEN", &forged).await;
    bystander.expect_unharmed().await;
    let asked = tokio::time::timeout(std::time::Duration::from_millis(20), trap.accept()).await;
    assert!(asked.is_err(), "the server has followed an address in a token");
}
