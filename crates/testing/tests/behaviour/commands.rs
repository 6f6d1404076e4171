//! Each command with its event and its answer, on the sender and on another device; each rejection
//! a document can lead to.

use draftwire_testing::{Device, Frame, TestServer, Value, json};

use crate::{filling, joined};

struct Pair {
    sender: Device,
    other: Device,
}

impl Pair {
    async fn of(server: &TestServer) -> Self {
        let sender = joined(server, "ann", "phone").await;
        Self { sender, other: joined(server, "ann", "laptop").await }
    }

    /// Sends a command; checks that its event comes first, that both devices get the same bytes,
    /// and that the answer belongs to it. Returns both.
    async fn applied(&mut self, command: &str, payload: Value, event: &str) -> (Frame, Frame) {
        let number = self.sender.command(command, payload).await;
        let own = self.sender.expect(event).await;
        let ack = self.sender.expect("ACK").await;
        let seen = self.other.expect(event).await;
        assert_eq!(own.text, seen.text);
        let origin = json!({"clientId": "phone", "mutationId": number});
        assert_eq!(own.payload()["origin"], origin);
        assert_eq!(ack.payload()["mutationId"], number);
        assert_eq!(ack.payload()["seq"], own["seq"]);
        assert!(ack.payload().get("duplicate").is_none());
        assert!(ack.seq().is_none(), "an answer is no event");
        (own, ack)
    }

    async fn rejected(&mut self, command: &str, payload: Value, code: &str) -> Frame {
        let number = self.sender.command(command, payload).await;
        let rejected = self.sender.expect_rejected(code).await;
        assert_eq!(rejected.payload()["mutationId"], number);
        rejected
    }
}

#[tokio::test]
async fn documents_are_created_changed_and_deleted_in_both_collections() {
    let server = TestServer::start().await;
    let mut pair = Pair::of(&server).await;
    let mut seq = 0;
    for (kind, path) in [("DRAFT", "drafts"), ("PENDING", "pending")] {
        let name = |what: &str| format!("{kind}_{what}");
        let data = json!({"symbol": "ACME", "lines": {"1": {"qty": 5}, "2": {"qty": 6}}});
        let (event, ack) =
            pair.applied(&name("CREATE"), json!({"id": "d", "data": data}), &name("CREATED")).await;
        seq += 1;
        let document = &event.payload()["document"];
        assert_eq!(event.seq(), Some(seq));
        assert_eq!(document["id"], "d");
        assert_eq!(document["version"], seq, "the first version is the event's seq");
        assert_eq!(document["data"], data);
        assert_eq!(document["createdAt"], event["timestamp"]);
        assert_eq!(document["updatedAt"], event["timestamp"]);
        assert_eq!((&ack.payload()["id"], &ack.payload()["version"]), (&json!("d"), &json!(seq)));

        let patch = json!({"lines": {"1": {"qty": 7}, "2": null}, "note": "x"});
        let (event, ack) = pair
            .applied(&name("UPDATE"), json!({"id": "d", "patch": patch}), &name("UPDATED"))
            .await;
        seq += 1;
        let merged = json!({"symbol": "ACME", "lines": {"1": {"qty": 7}}, "note": "x"});
        assert_eq!(event.payload()["document"]["data"], merged);
        assert_eq!(event.payload()["document"]["version"], seq);
        assert_eq!(event.payload()["document"]["createdAt"], document["createdAt"]);
        assert_eq!(ack.payload()["version"], seq);

        // A patch that changes nothing is a change all the same.
        let (event, _) =
            pair.applied(&name("UPDATE"), json!({"id": "d", "patch": {}}), &name("UPDATED")).await;
        seq += 1;
        assert_eq!(event.payload()["document"]["version"], seq);

        let replace = json!({"id": "d", "data": {"only": [1, 2]}, "ifVersion": seq});
        let (event, _) = pair.applied(&name("UPDATE"), replace, &name("UPDATED")).await;
        seq += 1;
        assert_eq!(event.payload()["document"]["data"], json!({"only": [1, 2]}));
        let read = server.get(&format!("/api/{path}/d")).user("ann").send().await.ok(200);
        assert_eq!(read, event.payload()["document"]);

        let delete = json!({"id": "d", "ifVersion": seq});
        let (event, ack) = pair.applied(&name("DELETE"), delete, &name("DELETED")).await;
        seq += 1;
        assert_eq!(event.payload()["id"], "d");
        assert!(event.payload().get("document").is_none());
        assert_eq!(ack.payload()["id"], "d");
        assert!(ack.payload().get("version").is_none());
        server.get(&format!("/api/{path}/d")).user("ann").send().await.problem(404, "NOT_FOUND");

        // A version never comes back, not even when a deleted id is created again.
        let (event, _) =
            pair.applied(&name("CREATE"), json!({"id": "d", "data": {}}), &name("CREATED")).await;
        seq += 1;
        assert_eq!(event.payload()["document"]["version"], seq);
    }
}

#[tokio::test]
async fn the_server_makes_ids_where_there_are_none() {
    let server = TestServer::start().await;
    let mut pair = Pair::of(&server).await;
    let is_uuid_v7 = |id: &Value| {
        let id = id.as_str().unwrap_or_default();
        id.len() == 36 && id.as_bytes()[14] == b'7'
    };
    let (event, ack) = pair.applied("DRAFT_CREATE", json!({"data": {}}), "DRAFT_CREATED").await;
    let id = event.payload()["document"]["id"].clone();
    assert!(is_uuid_v7(&id), "{id}");
    assert_eq!(ack.payload()["id"], id);
    let (event, ack) = pair.applied("DRAFT_CONVERT", json!({"id": id}), "DRAFT_CONVERTED").await;
    let pending = event.payload()["document"]["id"].clone();
    assert!(is_uuid_v7(&pending) && pending != id, "{pending}");
    assert_eq!(ack.payload()["id"], pending, "the answer names the pending order");
}

#[tokio::test]
async fn a_draft_becomes_a_pending_order_in_one_event() {
    let server = TestServer::start().await;
    let mut pair = Pair::of(&server).await;
    let data = json!({"symbol": "ACME", "qty": 1});
    pair.applied("DRAFT_CREATE", json!({"id": "d", "data": data}), "DRAFT_CREATED").await;
    let convert =
        json!({"id": "d", "pendingId": "p", "patch": {"qty": 2, "side": "buy"}, "ifVersion": 1});
    let (event, ack) = pair.applied("DRAFT_CONVERT", convert, "DRAFT_CONVERTED").await;
    assert_eq!(event.seq(), Some(2));
    assert_eq!(event.payload()["draftId"], "d");
    let document = &event.payload()["document"];
    assert_eq!((&document["id"], &document["version"]), (&json!("p"), &json!(2)));
    assert_eq!(document["data"], json!({"symbol": "ACME", "qty": 2, "side": "buy"}));
    assert_eq!((&ack.payload()["id"], &ack.payload()["version"]), (&json!("p"), &json!(2)));
    let list = |path: &str| server.get(path).user("ann").send();
    assert_eq!(list("/api/drafts").await.ok(200)["items"], json!([]));
    assert_eq!(list("/api/pending").await.ok(200)["items"], json!([document]));
}

#[tokio::test]
async fn an_existing_pending_order_leaves_the_draft_alone() {
    let server = TestServer::start().await;
    let mut pair = Pair::of(&server).await;
    pair.applied("DRAFT_CREATE", json!({"id": "d", "data": {"a": 1}}), "DRAFT_CREATED").await;
    pair.applied("PENDING_CREATE", json!({"id": "p", "data": {"b": 2}}), "PENDING_CREATED").await;
    let convert = json!({"id": "d", "pendingId": "p"});
    let rejected = pair.rejected("DRAFT_CONVERT", convert, "ALREADY_EXISTS").await;
    assert_eq!(rejected.payload()["document"]["data"], json!({"b": 2}));
    pair.other.expect_nothing().await;
    let draft = server.get("/api/drafts/d").user("ann").send().await.ok(200);
    assert_eq!(draft["version"], 1);
}

#[tokio::test]
async fn what_does_not_fit_the_documents_is_rejected_and_nobody_hears_of_it() {
    let server = TestServer::start().await;
    let mut pair = Pair::of(&server).await;
    pair.applied("DRAFT_CREATE", json!({"id": "d", "data": {"a": 1}}), "DRAFT_CREATED").await;
    for (command, payload) in [
        ("DRAFT_UPDATE", json!({"id": "none", "patch": {}})),
        ("DRAFT_DELETE", json!({"id": "none"})),
        ("DRAFT_CONVERT", json!({"id": "none"})),
        ("PENDING_UPDATE", json!({"id": "d", "data": {}})),
        ("PENDING_DELETE", json!({"id": "d"})),
    ] {
        pair.rejected(command, payload, "NOT_FOUND").await;
    }
    let again = json!({"id": "d", "data": {"b": 2}});
    let rejected = pair.rejected("DRAFT_CREATE", again, "ALREADY_EXISTS").await;
    assert_eq!(rejected.payload()["document"]["data"], json!({"a": 1}));
    for (command, payload) in [
        ("DRAFT_UPDATE", json!({"id": "d", "patch": {"a": 2}, "ifVersion": 2})),
        ("DRAFT_UPDATE", json!({"id": "d", "data": {}, "ifVersion": 0})),
        ("DRAFT_DELETE", json!({"id": "d", "ifVersion": 7})),
        ("DRAFT_CONVERT", json!({"id": "d", "ifVersion": 7})),
    ] {
        let rejected = pair.rejected(command, payload, "VERSION_CONFLICT").await;
        assert_eq!(rejected.payload()["document"]["version"], 1, "{command}");
        assert_eq!(rejected.payload()["document"]["data"], json!({"a": 1}), "{command}");
    }
    pair.other.expect_nothing().await;
    // Each used up its number: the next one is applied.
    let update = json!({"id": "d", "patch": {"a": 2}, "ifVersion": 1});
    let (event, _) = pair.applied("DRAFT_UPDATE", update, "DRAFT_UPDATED").await;
    assert_eq!(event.seq(), Some(2), "a rejection takes no seq");
}

#[tokio::test]
async fn a_document_is_measured_after_the_patch() {
    let server = TestServer::builder()
        .settings(|settings| {
            settings.limits.document_bytes = 1000;
            settings.limits.frame_bytes = 4000;
        })
        .start()
        .await;
    let mut pair = Pair::of(&server).await;
    let sized = |bytes: usize| json!({"x": filling(bytes - r#"{"x":""}"#.len())});
    let too_large = json!({"data": sized(1001)});
    pair.rejected("DRAFT_CREATE", too_large, "TOO_LARGE").await;
    let fits = json!({"id": "d", "data": sized(1000)});
    pair.applied("DRAFT_CREATE", fits, "DRAFT_CREATED").await;
    pair.rejected("DRAFT_UPDATE", json!({"id": "d", "patch": {"y": 1}}), "TOO_LARGE").await;
    pair.rejected("DRAFT_UPDATE", json!({"id": "d", "data": sized(1001)}), "TOO_LARGE").await;
    pair.rejected("DRAFT_CONVERT", json!({"id": "d", "patch": {"y": 1}}), "TOO_LARGE").await;
    let swap = json!({"id": "d", "patch": {"x": null, "y": filling(992)}});
    pair.applied("DRAFT_UPDATE", swap, "DRAFT_UPDATED").await;
}

#[tokio::test]
async fn quotas_refuse_what_is_too_much() {
    let server = TestServer::builder()
        .store_limits(|limits| {
            limits.user_documents_max = 2;
            limits.user_bytes_max = 100;
        })
        .start()
        .await;
    let mut pair = Pair::of(&server).await;
    pair.applied("DRAFT_CREATE", json!({"id": "a", "data": {}}), "DRAFT_CREATED").await;
    pair.rejected("DRAFT_CREATE", json!({"data": {"x": filling(100)}}), "QUOTA").await;
    pair.applied("PENDING_CREATE", json!({"id": "b", "data": {}}), "PENDING_CREATED").await;
    pair.rejected("DRAFT_CREATE", json!({"data": {}}), "QUOTA").await;
    let grow = json!({"id": "a", "data": {"x": filling(100)}});
    pair.rejected("DRAFT_UPDATE", grow, "QUOTA").await;
    pair.applied("DRAFT_DELETE", json!({"id": "a"}), "DRAFT_DELETED").await;
    pair.applied("DRAFT_CREATE", json!({"data": {}}), "DRAFT_CREATED").await;
}

#[tokio::test]
async fn skip_does_nothing_and_is_acknowledged() {
    let server = TestServer::start().await;
    let mut pair = Pair::of(&server).await;
    pair.applied("DRAFT_CREATE", json!({"id": "a", "data": {}}), "DRAFT_CREATED").await;
    pair.sender.send("SKIP", json!({}), 2).await;
    let ack = pair.sender.expect("ACK").await;
    assert_eq!((&ack.payload()["mutationId"], &ack.payload()["seq"]), (&json!(2), &json!(1)));
    pair.other.expect_nothing().await;
}

#[tokio::test]
async fn another_users_documents_are_out_of_sight() {
    let server = TestServer::start().await;
    let mut ann = joined(&server, "ann", "phone").await;
    let mut bob = joined(&server, "bob", "phone").await;
    ann.apply("DRAFT_CREATE", json!({"id": "d", "data": {"secret": 1}})).await;
    bob.send("DRAFT_UPDATE", json!({"id": "d", "patch": {}}), 1).await;
    bob.expect_rejected("NOT_FOUND").await;
    bob.expect_nothing().await;
    server.get("/api/drafts/d").user("bob").send().await.problem(404, "NOT_FOUND");
    let event = {
        bob.send("DRAFT_CREATE", json!({"id": "d", "data": {}}), 2).await;
        bob.expect("DRAFT_CREATED").await
    };
    assert_eq!(event.seq(), Some(1), "each user has a history of his own");
    ann.expect_nothing().await;
}
