//! *Retrying*: what a `mutationId` that came before, too early or too late leads to.

use draftwire_testing::{TestServer, json};

use crate::joined;

#[tokio::test]
async fn a_command_sent_again_is_answered_as_the_first_time() {
    let server = TestServer::start().await;
    let mut device = joined(&server, "ann", "phone").await;
    let mut other = joined(&server, "ann", "laptop").await;
    device.send("DRAFT_CREATE", json!({"id": "d", "data": {"a": 1, "b": 2}}), 1).await;
    device.expect("DRAFT_CREATED").await;
    let first = device.expect("ACK").await;
    device.send("DRAFT_DELETE", json!({"id": "none"}), 2).await;
    let refused = device.expect_rejected("NOT_FOUND").await;
    other.expect("DRAFT_CREATED").await;
    for _ in 0..2 {
        device.send("DRAFT_CREATE", json!({"id": "d", "data": {"a": 1, "b": 2}}), 1).await;
        let again = device.expect("ACK").await;
        let mut expected = first.payload().clone();
        expected["duplicate"] = true.into();
        assert_eq!(again.payload(), &expected);
        device.send("DRAFT_DELETE", json!({"id": "none"}), 2).await;
        let again = device.expect_rejected("NOT_FOUND").await;
        let mut expected = refused.payload().clone();
        expected["duplicate"] = true.into();
        assert_eq!(again.payload(), &expected);
    }
    other.expect_nothing().await;
}

#[tokio::test]
async fn white_space_and_the_order_of_members_do_not_count() {
    let server = TestServer::start().await;
    let mut device = joined(&server, "ann", "phone").await;
    device
        .send_text(
            r#"{"type":"DRAFT_CREATE","mutationId":1,"payload":{"id":"d","data":{"a":1.0,"b":"é"}}}"#,
        )
        .await;
    device.expect("DRAFT_CREATED").await;
    device.expect("ACK").await;
    device
        .send_text(
            "{ \"payload\" : { \"data\": {\"b\": \"\\u00e9\",\n \"a\": 1.0}, \"id\":\"d\"},\
             \"timestamp\":\"x\", \"mutationId\": 1, \"type\":\"DRAFT_CREATE\"}",
        )
        .await;
    assert_eq!(device.expect("ACK").await.payload()["duplicate"], true);
}

#[tokio::test]
async fn another_content_under_a_used_number_is_never_taken_for_the_old_one() {
    let server = TestServer::start().await;
    let mut device = joined(&server, "ann", "phone").await;
    device.apply("DRAFT_CREATE", json!({"id": "d", "data": {"a": 1}})).await;
    for (kind, payload) in [
        ("DRAFT_CREATE", json!({"id": "d", "data": {"a": 2}})),
        ("DRAFT_CREATE", json!({"id": "e", "data": {"a": 1}})),
        ("PENDING_CREATE", json!({"id": "d", "data": {"a": 1}})),
        ("DRAFT_CREATE", json!({"id": "d", "data": {"a": 1}, "more": 1})),
        ("SKIP", json!({})),
        ("no_such_type", json!({"id": "d", "data": {"a": 1}})),
    ] {
        device.send(kind, payload, 1).await;
        let rejected = device.expect_rejected("MUTATION_REUSED").await;
        assert_eq!(rejected.payload()["mutationId"], 1, "{kind}");
    }
    device.send("SKIP", json!({}), 2).await;
    assert_eq!(device.expect("ACK").await.payload()["mutationId"], 2, "it used up nothing");
}

#[tokio::test]
async fn a_number_too_far_ahead_is_out_of_order_and_uses_up_nothing() {
    let server = TestServer::start().await;
    let mut device = joined(&server, "ann", "phone").await;
    for number in [2, 9, 9_007_199_254_740_991] {
        device.send("DRAFT_CREATE", json!({"data": {}}), number).await;
        let rejected = device.expect_rejected("OUT_OF_ORDER").await;
        assert_eq!(rejected.payload()["expected"], 1);
        assert_eq!(rejected.payload()["mutationId"], number);
    }
    device.send("DRAFT_CREATE", json!({"data": {}}), 1).await;
    assert_eq!(device.expect("DRAFT_CREATED").await.seq(), Some(1));
    device.expect("ACK").await;
    device.send("DRAFT_CREATE", json!({"data": {}}), 3).await;
    assert_eq!(device.expect_rejected("OUT_OF_ORDER").await.payload()["expected"], 2);
}

#[tokio::test]
async fn so_many_answers_are_kept_as_may_be_unanswered() {
    let server =
        TestServer::builder().settings(|settings| settings.limits.in_flight = 4).start().await;
    let mut device = joined(&server, "ann", "phone").await;
    for number in 1..=6 {
        device.apply("DRAFT_CREATE", json!({"id": format!("d{number}"), "data": {}})).await;
    }
    for number in 1..=6_u64 {
        let payload = json!({"id": format!("d{number}"), "data": {}});
        device.send("DRAFT_CREATE", payload, number).await;
        let ack = device.expect("ACK").await;
        if number <= 2 {
            let unknown = json!({"mutationId": number, "duplicate": true, "outcome": "unknown"});
            assert_eq!(ack.payload(), &unknown);
        } else {
            assert_eq!(ack.payload()["seq"], number);
            assert_eq!(ack.payload()["duplicate"], true);
            assert!(ack.payload().get("outcome").is_none());
        }
    }
}

#[tokio::test]
async fn the_numbers_outlive_connections_and_restarts() {
    let server = TestServer::start().await;
    let mut device = joined(&server, "ann", "phone").await;
    device.apply("DRAFT_CREATE", json!({"id": "d", "data": {}})).await;
    device.send("DRAFT_CREATE", json!({"id": "d", "data": {}}), 2).await;
    device.expect_rejected("ALREADY_EXISTS").await;
    let position = device.position();
    device.close().await;
    let server = server.restart().await;
    let mut device = server.connect("ann").client_id("phone").position(&position).open().await;
    assert_eq!(device.welcome().payload()["lastMutationId"], 2);
    assert_eq!(device.welcome().payload()["recovery"], "delta");
    for (number, kind) in [(1, "ACK"), (2, "REJECTED")] {
        device.send("DRAFT_CREATE", json!({"id": "d", "data": {}}), number).await;
        assert_eq!(device.expect(kind).await.payload()["duplicate"], true);
    }
    device.apply("DRAFT_CREATE", json!({"id": "e", "data": {}})).await;
}

#[tokio::test]
async fn each_device_counts_for_itself() {
    let server = TestServer::start().await;
    for client_id in ["phone", "laptop", "Phone"] {
        let mut device = server.connect("ann").client_id(client_id).live().open().await;
        assert_eq!(device.welcome().payload()["lastMutationId"], 0);
        device.send("DRAFT_CREATE", json!({"data": {}}), 1).await;
        device.expect("DRAFT_CREATED").await;
        assert_eq!(device.expect("ACK").await.payload()["mutationId"], 1);
    }
}

#[tokio::test]
async fn without_a_number_a_command_is_applied_once_per_arrival() {
    let server = TestServer::start().await;
    let mut device = joined(&server, "ann", "phone").await;
    for seq in 1..=2 {
        device.send("DRAFT_CREATE", json!({"data": {}}), None).await;
        let event = device.expect("DRAFT_CREATED").await;
        assert_eq!(event.seq(), Some(seq));
        assert_eq!(event.payload()["origin"], json!({"clientId": "phone"}));
        assert_eq!(device.expect("ACK").await.payload()["mutationId"], json!(null));
    }
}

#[tokio::test]
async fn auth_and_ping_with_a_number_use_it_up() {
    let server = TestServer::start().await;
    let mut device = joined(&server, "ann", "phone").await;
    device.send("PING", json!({}), 1).await;
    device.expect("PONG").await;
    assert_eq!(device.expect("ACK").await.payload()["mutationId"], 1);
    device.send("AUTH", json!({"token": server.token("ann")}), 2).await;
    device.expect("AUTHENTICATED").await;
    assert_eq!(device.expect("ACK").await.payload()["mutationId"], 2);
    device.send("AUTH", json!({"token": "rubbish"}), 3).await;
    device.expect_error("BAD_TOKEN").await;
    // Not an ACK: what was asked has not happened.
    assert_eq!(device.expect_rejected("INVALID").await.payload()["mutationId"], 3);
}
