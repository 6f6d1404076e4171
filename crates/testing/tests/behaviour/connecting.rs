//! *Connecting*: where the token is taken from, what the query may say, how a handshake is
//! refused.

use draftwire_testing::{TestServer, Value, json, raw, token};

use crate::joined;

#[tokio::test]
async fn welcome_says_who_where_and_within_which_limits() {
    let server = TestServer::start().await;
    let device = server.connect("ann").client_id("phone").open().await;
    let welcome = device.welcome();
    let payload = welcome.payload();
    assert_eq!(payload["userId"], "ann");
    assert_eq!(payload["clientId"], "phone");
    assert!(payload["connectionId"].as_str().is_some_and(|id| !id.is_empty()));
    let epoch = payload["epoch"].as_str().unwrap();
    assert!((1..=64).contains(&epoch.len()), "{epoch}");
    assert_eq!(payload["seq"], 0);
    assert!(payload["at"].as_str().is_some_and(|at| at.ends_with('Z')));
    assert_eq!(payload["lastMutationId"], 0);
    assert_eq!(payload["recovery"], "snapshot");
    assert_eq!(payload["heartbeatMs"], 25_000);
    let left = payload["expiresInMs"].as_u64().unwrap();
    assert!((3_590_000..=3_600_000).contains(&left), "{left}");
    assert!(payload["expiresAt"].as_str().is_some_and(|at| at.ends_with('Z')));
    let limits = json!({"frameBytes": 524_288, "documentBytes": 262_144, "inFlight": 64});
    assert_eq!(payload["limits"], limits);
    assert!(welcome.seq().is_none(), "WELCOME is no event");
}

/// A whole request is let in at the front door, one in pieces by the router: nobody can tell.
#[tokio::test]
async fn a_request_may_come_in_pieces_and_with_a_frame_behind_it() {
    let server = TestServer::start().await;
    let ping = [0x89, 0x82, 0, 0, 0, 0, b'h', b'i'];
    for cut in [None, Some(1), Some(40), Some(200)] {
        let mut connect = server.connect("ann").behind(&ping);
        if let Some(bytes) = cut {
            connect = connect.cut_after(bytes);
        }
        let mut raw = connect.raw().await;
        let mut seen = Vec::new();
        while seen.len() < 3 {
            let (opcode, payload) = raw.read_frame().await.expect("it is open");
            let text = String::from_utf8_lossy(&payload).into_owned();
            seen.push(if opcode == raw::PONG { text } else { kind_of(&text) });
        }
        seen.sort();
        assert_eq!(seen, ["SNAPSHOT", "WELCOME", "hi"], "cut after {cut:?}");
    }
}

fn kind_of(text: &str) -> String {
    let frame: Value = text.parse().expect("JSON");
    frame["type"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_device_without_a_name_gets_one_for_this_connection() {
    let server = TestServer::start().await;
    let first = server.connect("ann").open().await;
    let second = server.connect("ann").open().await;
    let name = |device: &draftwire_testing::Device| {
        device.welcome().payload()["clientId"].as_str().unwrap().to_owned()
    };
    assert!(!name(&first).is_empty());
    assert_ne!(name(&first), name(&second));
}

#[tokio::test]
async fn the_token_comes_in_three_places() {
    let server = TestServer::start().await;
    let token = server.token("ann");
    let header = server.connect("nobody").token(&token).open().await;
    assert_eq!(header.welcome().payload()["userId"], "ann");
    assert_eq!(header.subprotocol(), None);
    let query = server.connect("nobody").token_in_query(&token).open().await;
    assert_eq!(query.welcome().payload()["userId"], "ann");
    let subprotocol = server.connect("nobody").token_in_subprotocol(&token).open().await;
    assert_eq!(subprotocol.welcome().payload()["userId"], "ann");
    assert_eq!(subprotocol.subprotocol(), Some("draftwire.v1"));
}

#[tokio::test]
async fn the_first_place_that_holds_a_token_counts() {
    let server = TestServer::start().await;
    let (ann, bob, eve) = (server.token("ann"), server.token("bob"), server.token("eve"));
    let bearer = |token: &str| format!("draftwire.v1, draftwire.bearer.{token}");
    let all = server.connect("x").subprotocols(&bearer(&bob)).query("token", &eve).token(&ann);
    assert_eq!(all.open().await.welcome().payload()["userId"], "ann");
    let two = server.connect("x").token_in_query(&eve).subprotocols(&bearer(&bob));
    assert_eq!(two.open().await.welcome().payload()["userId"], "bob");
    // A bad token in the first place is not made good by one in the second.
    let bad = server.connect("x").query("token", &eve).token("rubbish");
    bad.answer().await.problem(401, "BAD_TOKEN");
    let bad = server.connect("x").token_in_query(&eve).subprotocols(&bearer("rubbish"));
    bad.answer().await.problem(401, "BAD_TOKEN");
}

#[tokio::test]
async fn another_scheme_counts_as_absent() {
    let server = TestServer::start().await;
    let token = server.token("ann");
    let basic = || server.connect("x").header("authorization", "Basic YTpi");
    basic().answer().await.problem(401, "NO_TOKEN");
    let device = basic().query("token", &token).open().await;
    assert_eq!(device.welcome().payload()["userId"], "ann");
    // The scheme's case does not count (RFC 9110 §11.1).
    let lower = server.connect("x").header("authorization", &format!("bearer {token}"));
    assert_eq!(lower.open().await.welcome().payload()["userId"], "ann");
}

#[tokio::test]
async fn the_subprotocol_is_answered_and_never_the_token() {
    let server = TestServer::start().await;
    let token = server.token("ann");
    for offer in [
        format!("draftwire.v1, draftwire.bearer.{token}"),
        format!("draftwire.bearer.{token},draftwire.v1"),
        format!("other, draftwire.v1, draftwire.bearer.{token}"),
    ] {
        let answer = server.connect("x").without("authorization").subprotocols(&offer);
        let answer = answer.answer().await;
        assert_eq!(answer.status, 101, "{offer}");
        assert_eq!(answer.header("sec-websocket-protocol"), Some("draftwire.v1"));
        assert!(!format!("{:?}", answer.headers).contains(&token));
    }
    let answer = server.connect("ann").answer().await;
    assert_eq!((answer.status, answer.header("sec-websocket-protocol")), (101, None));
    // RFC 6455 §1.3: the answer to the sample key.
    assert_eq!(answer.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
}

#[tokio::test]
async fn a_bearer_needs_the_subprotocol_beside_it() {
    let server = TestServer::start().await;
    let token = server.token("ann");
    let alone = format!("draftwire.bearer.{token}");
    let refused = server.connect("x").without("authorization").subprotocols(&alone).answer().await;
    let body = refused.problem(400, "INVALID");
    assert!(!body.to_string().contains(&token), "the token is not repeated");
    let twice = format!("draftwire.v1, {alone}, draftwire.bearer.other");
    let refused = server.connect("x").without("authorization").subprotocols(&twice).answer().await;
    refused.problem(400, "INVALID");
}

#[tokio::test]
async fn bad_parameters_are_refused() {
    let server = TestServer::start().await;
    let long = "a".repeat(65);
    for query in [
        "clientId=",
        "clientId=a b",
        "clientId=a%20b",
        "clientId=a/b",
        "clientId=%C3%A9",
        &format!("clientId={long}"),
        "clientId=a&clientId=b",
        "epoch=e",
        "seq=1",
        "at=2026-11-22T08:30:00.000Z",
        "epoch=&seq=1",
        &format!("epoch={long}&seq=1"),
        "epoch=e&seq=",
        "epoch=e&seq=-1",
        "epoch=e&seq=%2B1",
        "epoch=e&seq=1.0",
        "epoch=e&seq=1e3",
        "epoch=e&seq=0x1",
        "epoch=e&seq=9007199254740992",
        "epoch=e&seq=99999999999999999999",
        "epoch=e&seq=1&at=yesterday",
        "epoch=e&seq=1&at=",
        "epoch=e&epoch=f&seq=1",
        "sync=all",
        "sync=",
        "clientId=%ff",
    ] {
        let target = query.replace(' ', "+");
        let (name, value) = target.split_once('=').unwrap();
        let answer = server.connect("ann").query(name, value).answer().await;
        assert_eq!(answer.status, 400, "{query}: {answer:?}");
        answer.problem(400, "INVALID");
    }
    let full = "a".repeat(64);
    for (name, value) in [
        ("clientId", full.as_str()),
        ("clientId", "A-z.0_9"),
        ("epoch", "e&seq=9007199254740991"),
        ("epoch", "e&seq=0&at=nonsense"),
        ("epoch", &format!("{full}&seq=1&at=2026-11-22T08:30:00.000Z")),
        ("sync", "live"),
        ("unknown", "ignored"),
    ] {
        let answer = server.connect("ann").query(name, value).answer().await;
        assert_eq!(answer.status, 101, "{name}={value}: {answer:?}");
    }
}

#[tokio::test]
async fn what_is_no_upgrade_is_refused() {
    let server = TestServer::start().await;
    server.get("/ws/realtime").user("ann").send().await.problem(400, "NOT_AN_UPGRADE");
    server.post("/ws/realtime").user("ann").send().await.problem(400, "NOT_AN_UPGRADE");
    for name in ["upgrade", "connection"] {
        let answer = server.connect("ann").without(name).answer().await;
        answer.problem(400, "NOT_AN_UPGRADE");
    }
    for key in ["short", "", "dGhlIHNhbXBsZSBub25jZQ"] {
        let answer = server.connect("ann").header("sec-websocket-key", key).answer().await;
        assert_eq!(answer.status, 400, "{key}: {answer:?}");
    }
    let without = server.connect("ann").without("sec-websocket-key").answer().await;
    assert_eq!(without.status, 400);
}

#[tokio::test]
async fn another_websocket_version_is_told_which_one_is_spoken() {
    let server = TestServer::start().await;
    for version in ["8", "14", "x"] {
        let answer = server.connect("ann").header("sec-websocket-version", version).answer().await;
        answer.problem(426, "WEBSOCKET_VERSION");
        assert_eq!(answer.header("sec-websocket-version"), Some("13"));
    }
    let none = server.connect("ann").without("sec-websocket-version").answer().await;
    none.problem(426, "WEBSOCKET_VERSION");
}

#[tokio::test]
async fn without_a_token_nobody_comes_in() {
    let server = TestServer::start().await;
    let answer = server.connect("x").without("authorization").answer().await;
    answer.problem(401, "NO_TOKEN");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    server.watch("x").without("authorization").answer().await.problem(401, "NO_TOKEN");
    let mut claims = token::claims("ann");
    claims["exp"] = (token::seconds_now() - 60.0).into();
    let expired = token::sign(&claims);
    server.connect("x").token(&expired).answer().await.problem(401, "TOKEN_EXPIRED");
}

#[tokio::test]
async fn the_session_call_gives_the_same_verdict() {
    let server = TestServer::start().await;
    let session = server.get("/api/session").user("ann").send().await.ok(200);
    assert_eq!(session["userId"], "ann");
    assert_eq!(session["admin"], false);
    assert!(session["expiresAt"].as_str().is_some_and(|at| at.ends_with('Z')));
    let session = server.get("/api/session").admin().send().await.ok(200);
    assert_eq!(session["admin"], true);
    server.get("/api/session").send().await.problem(401, "NO_TOKEN");
    server.get("/api/session").token("rubbish").send().await.problem(401, "BAD_TOKEN");
}

#[tokio::test]
async fn a_newer_connection_of_the_same_device_takes_the_place_of_the_older() {
    let server = TestServer::start().await;
    let mut first = joined(&server, "ann", "phone").await;
    let mut other = joined(&server, "ann", "laptop").await;
    let mut namesake = joined(&server, "bob", "phone").await;
    let mut second = joined(&server, "ann", "phone").await;
    first.expect_close(4003).await;
    second.apply("DRAFT_CREATE", json!({"id": "d", "data": {}})).await;
    other.expect("DRAFT_CREATED").await;
    other.expect_nothing().await;
    namesake.expect_nothing().await;
}

#[tokio::test]
async fn the_newer_connection_is_welcomed_after_what_the_older_had_committed() {
    let server = TestServer::start().await;
    for round in 0..20 {
        let device = format!("phone-{round}");
        let mut first = joined(&server, "ann", &device).await;
        for number in 1..=40 {
            first.send("DRAFT_CREATE", json!({"data": {}}), number).await;
        }
        let mut second = server.connect("ann").client_id(&device).live().open().await;
        let last = second.welcome().payload()["lastMutationId"].as_u64().unwrap();
        let head = second.welcome().payload()["seq"].as_u64().unwrap();
        // Nothing of the first may be applied behind this WELCOME.
        second.send("DRAFT_CREATE", json!({"data": {}}), last + 1).await;
        let event = second.expect("DRAFT_CREATED").await;
        assert_eq!(event.seq(), Some(head + 1));
        let ack = second.expect("ACK").await;
        assert_eq!(ack.payload()["mutationId"], last + 1);
    }
}
