//! *Frames*: what can be read as a command, what is `ERROR`, and that numbers keep their text.

use draftwire_testing::{TestServer, json, token};

use crate::joined;

#[tokio::test]
async fn what_breaks_the_json_rules_is_an_error_and_uses_up_nothing() {
    let server = TestServer::start().await;
    let mut device = joined(&server, "ann", "phone").await;
    let deep = |levels: usize| {
        let (open, close) = ("[".repeat(levels - 3), "]".repeat(levels - 3));
        format!(
            r#"{{"type":"DRAFT_CREATE","mutationId":1,"payload":{{"data":{{"d":{open}{close}}}}}}}"#
        )
    };
    for bad in [
        "",
        "nonsense",
        "[]",
        "null",
        "\"DRAFT_CREATE\"",
        "{",
        r#"{"type":"SKIP","mutationId":1,}"#,
        r#"{"type":"SKIP","mutationId":1} x"#,
        r#"{"type":"SKIP","mutationId":01}"#,
        r#"{"type":"SKIP","type":"SKIP","mutationId":1}"#,
        r#"{"type":"SKIP","mutationId":1,"mutationId":1}"#,
        r#"{"type":"DRAFT_CREATE","mutationId":1,"payload":{"data":{"a":1,"a":2}}}"#,
        r#"{"type":"DRAFT_CREATE","mutationId":1,"payload":{"data":{"a":1,"\u0061":2}}}"#,
        r#"{"type":"DRAFT_CREATE","mutationId":1,"payload":{"data":{"a":"\ud800"}}}"#,
        r#"{"type":"DRAFT_CREATE","mutationId":1,"payload":{"data":{"a":"\udc00\ud800"}}}"#,
        r#"{"type":"DRAFT_CREATE","mutationId":1,"payload":{"data":{"\ud83d":1}}}"#,
        r#"{"type":"DRAFT_CREATE","mutationId":1,"payload":{"data":{"a":NaN}}}"#,
        r#"{"type":"DRAFT_CREATE","mutationId":1,"payload":{"data":{"a":.5}}}"#,
        "{\"type\":\"SKIP\",\"mutationId\":1,\"payload\":{\"a\":\"\t\"}}",
        &deep(65),
        r#"{"type":"SKIP","mutationId":0}"#,
        r#"{"type":"SKIP","mutationId":-1}"#,
        r#"{"type":"SKIP","mutationId":1.5}"#,
        r#"{"type":"SKIP","mutationId":"1"}"#,
        r#"{"type":"SKIP","mutationId":9007199254740992}"#,
        r#"{"type":"SKIP","mutationId":true}"#,
        r#"{"type":"NO_SUCH_TYPE","payload":{}}"#,
        r#"{"type":7,"payload":{}}"#,
        r#"{"payload":{}}"#,
    ] {
        device.send_text(bad).await;
        device.expect_error("BAD_FRAME").await;
    }
    device.send_text(&deep(64)).await;
    device.expect("DRAFT_CREATED").await;
    let ack = device.expect("ACK").await;
    assert_eq!(ack.payload()["mutationId"], 1, "nothing was used up before");
}

#[tokio::test]
async fn with_a_number_every_readable_frame_is_answered() {
    let server = TestServer::start().await;
    let mut device = joined(&server, "ann", "phone").await;
    let payloads = [
        r#"{"type":"no_such_type","mutationId":N}"#,
        r#"{"type":7,"mutationId":N,"payload":{}}"#,
        r#"{"mutationId":N}"#,
        r#"{"type":"WELCOME","mutationId":N,"payload":{}}"#,
        r#"{"type":"DRAFT_CREATED","mutationId":N,"payload":{}}"#,
        r#"{"type":"DRAFT_CREATE","mutationId":N}"#,
        r#"{"type":"DRAFT_CREATE","mutationId":N,"payload":[]}"#,
        r#"{"type":"DRAFT_CREATE","mutationId":N,"payload":{"data":[]}}"#,
        r#"{"type":"DRAFT_CREATE","mutationId":N,"payload":{"data":null}}"#,
        r#"{"type":"DRAFT_CREATE","mutationId":N,"payload":{"id":"","data":{}}}"#,
        r#"{"type":"DRAFT_CREATE","mutationId":N,"payload":{"id":".","data":{}}}"#,
        r#"{"type":"DRAFT_CREATE","mutationId":N,"payload":{"id":"..","data":{}}}"#,
        r#"{"type":"DRAFT_CREATE","mutationId":N,"payload":{"id":"a/b","data":{}}}"#,
        r#"{"type":"DRAFT_CREATE","mutationId":N,"payload":{"id":7,"data":{}}}"#,
        r#"{"type":"DRAFT_UPDATE","mutationId":N,"payload":{"patch":{}}}"#,
        r#"{"type":"DRAFT_UPDATE","mutationId":N,"payload":{"id":"d"}}"#,
        r#"{"type":"DRAFT_UPDATE","mutationId":N,"payload":{"id":"d","patch":{},"data":{}}}"#,
        r#"{"type":"DRAFT_UPDATE","mutationId":N,"payload":{"id":"d","patch":[]}}"#,
        r#"{"type":"DRAFT_UPDATE","mutationId":N,"payload":{"id":"d","data":"x"}}"#,
        r#"{"type":"DRAFT_UPDATE","mutationId":N,"payload":{"id":"d","patch":{},"ifVersion":"1"}}"#,
        r#"{"type":"DRAFT_UPDATE","mutationId":N,"payload":{"id":"d","patch":{},"ifVersion":1.5}}"#,
        r#"{"type":"DRAFT_DELETE","mutationId":N,"payload":{}}"#,
        r#"{"type":"DRAFT_CONVERT","mutationId":N,"payload":{"id":"d","pendingId":"a b"}}"#,
        r#"{"type":"DRAFT_CONVERT","mutationId":N,"payload":{"id":"d","patch":7}}"#,
    ];
    for (index, text) in payloads.iter().enumerate() {
        let number = index as u64 + 1;
        device.send_text(&text.replace(":N", &format!(":{number}"))).await;
        let rejected = device.expect_rejected("INVALID").await;
        assert_eq!(rejected.payload()["mutationId"], number, "{text}");
    }
    let next = payloads.len() as u64 + 1;
    device.send("SKIP", json!({}), next).await;
    let ack = device.expect("ACK").await;
    assert_eq!(ack.payload()["mutationId"], next, "each used up its number");
    assert_eq!(ack.payload()["seq"], 0);
}

#[tokio::test]
async fn a_malformed_command_without_a_number_is_rejected_without_one() {
    let server = TestServer::start().await;
    let mut device = joined(&server, "ann", "phone").await;
    device.send("DRAFT_DELETE", json!({}), None).await;
    let rejected = device.expect_rejected("INVALID").await;
    assert_eq!(rejected.payload()["mutationId"], json!(null));
}

#[tokio::test]
async fn unknown_fields_and_a_timestamp_are_ignored() {
    let server = TestServer::start().await;
    let mut device = joined(&server, "ann", "phone").await;
    device
        .send_text(
            r#"{"extra":[1],"timestamp":"long ago","type":"DRAFT_CREATE","mutationId":1,
                "payload":{"id":"d","data":{},"extra":null,"ifVersion":null}}"#,
        )
        .await;
    device.expect("DRAFT_CREATED").await;
    assert_eq!(device.expect("ACK").await.payload()["id"], "d");
}

#[tokio::test]
async fn numbers_and_texts_come_through_unchanged() {
    let server = TestServer::start().await;
    let mut device = joined(&server, "ann", "phone").await;
    let mut other = joined(&server, "ann", "laptop").await;
    let data = concat!(
        r#"{"a":1.0,"b":1e300,"c":12345678901234567890,"d":-0,"e":0.10,"f":1E+2,"#,
        r#""g":123456789.123456789123456789,"h":"\u00e9\ud83d\ude00","é":"\/","i":[],"j":{},"k":null}"#
    );
    let text =
        format!(r#"{{"type":"DRAFT_CREATE","mutationId":1,"payload":{{"id":"d","data":{data}}}}}"#);
    device.send_text(&text).await;
    let event = device.expect("DRAFT_CREATED").await;
    let wanted = [
        r#""a":1.0,"#,
        r#""b":1e300,"#,
        r#""c":12345678901234567890,"#,
        r#""d":-0,"#,
        r#""e":0.10,"#,
        r#""f":1E+2,"#,
        r#""g":123456789.123456789123456789,"#,
    ];
    for number in wanted {
        assert!(event.text.contains(number), "{number} in {}", event.text);
    }
    assert_eq!(other.expect("DRAFT_CREATED").await.text, event.text);
    // Behind a merge and in the snapshot, too.
    device.expect("ACK").await;
    device.send("DRAFT_UPDATE", json!({"id": "d", "patch": {"k": 1, "i": null}}), 2).await;
    let updated = device.expect("DRAFT_UPDATED").await;
    let read = server.get("/api/drafts/d").user("ann").send().await.text;
    let mut fresh = server.connect("ann").open().await;
    let snapshot = fresh.expect("SNAPSHOT").await;
    for number in wanted {
        assert!(updated.text.contains(number), "{number} in {}", updated.text);
        assert!(snapshot.text.contains(number), "{number} in {}", snapshot.text);
        assert!(read.contains(number), "{number} in {read}");
    }
}

#[tokio::test]
async fn numbers_beyond_every_double_come_through_unchanged() {
    let server = TestServer::start().await;
    // By hand: the JSON reader of the tests refuses such a number.
    let mut raw = server.connect("ann").client_id("raw").live().raw().await;
    raw.read_frame().await.unwrap();
    let create = r#"{"type":"DRAFT_CREATE","payload":{"id":"d","data":{"n":1e400,"m":-1e-400}}}"#;
    raw.write_frame(1, create.as_bytes()).await;
    let wanted = r#""data":{"n":1e400,"m":-1e-400}"#;
    let event = String::from_utf8(raw.read_frame().await.unwrap().1).unwrap();
    assert!(event.contains("DRAFT_CREATED") && event.contains(wanted), "{event}");
    let mut fresh = server.connect("ann").raw().await;
    fresh.read_frame().await.unwrap();
    let snapshot = String::from_utf8(fresh.read_frame().await.unwrap().1).unwrap();
    assert!(snapshot.contains("SNAPSHOT") && snapshot.contains(wanted), "{snapshot}");
    let read = server.get("/api/drafts/d").user("ann").send().await.text;
    assert!(read.contains(wanted), "{read}");
    let patch = server.patch("/api/drafts/d").user("ann").body(r#"{"k":2e400}"#).send().await;
    assert!(patch.text.contains(r#"{"n":1e400,"m":-1e-400,"k":2e400}"#), "{}", patch.text);
}

#[tokio::test]
async fn a_number_needs_a_client_id() {
    let server = TestServer::start().await;
    let mut device = server.connect("ann").open().await;
    device.expect("SNAPSHOT").await;
    device.send("DRAFT_CREATE", json!({"data": {}}), 1).await;
    device.expect_error("NO_CLIENT_ID").await;
    device.send("DRAFT_CREATE", json!({"data": {}}), None).await;
    let event = device.expect("DRAFT_CREATED").await;
    assert_eq!(event.seq(), Some(1), "the first was not applied");
    assert_eq!(device.expect("ACK").await.payload()["mutationId"], json!(null));
}

#[tokio::test]
async fn ping_is_answered() {
    let server = TestServer::start().await;
    let mut device = joined(&server, "ann", "phone").await;
    device.send("PING", json!({}), None).await;
    assert_eq!(device.expect("PONG").await.payload(), &json!({}));
}

#[tokio::test]
async fn auth_refuses_other_tokens_and_keeps_the_old_one() {
    let server = TestServer::start().await;
    let mut device = joined(&server, "ann", "phone").await;
    let mut expired = token::claims("ann");
    expired["exp"] = (token::seconds_now() - 60.0).into();
    for payload in [
        json!({"token": "rubbish"}),
        json!({"token": token::sign(&expired)}),
        json!({"token": 7}),
        json!({}),
    ] {
        device.send("AUTH", payload, None).await;
        device.expect_error("BAD_TOKEN").await;
    }
    device.send("AUTH", json!({"token": server.token("bob")}), None).await;
    device.expect_error("WRONG_USER").await;
    device.apply("DRAFT_CREATE", json!({"id": "d", "data": {}})).await;
    server.get("/api/drafts/d").user("ann").send().await.ok(200);
    let mut longer = token::claims("ann");
    longer["exp"] = (token::seconds_now() as u64 + 7200).into();
    device.send("AUTH", json!({"token": token::sign(&longer)}), None).await;
    let renewed = device.expect("AUTHENTICATED").await;
    let left = renewed.payload()["expiresInMs"].as_u64().unwrap();
    assert!((7_190_000..=7_200_000).contains(&left), "{left}");
    assert!(renewed.payload()["expiresAt"].is_string());
}
