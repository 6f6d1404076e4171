//! The whole protocol without WebSockets: `POST /api/commands` and `GET /api/sync`.

use std::time::Duration;

use draftwire_testing::{TestServer, Value, json};

use crate::joined;

fn create(number: Option<u64>, id: &str) -> Value {
    let mut frame = json!({"type": "DRAFT_CREATE", "payload": {"id": id, "data": {}}});
    if let Some(number) = number {
        frame["mutationId"] = number.into();
    }
    frame
}

#[tokio::test]
async fn commands_are_answered_as_over_websocket() {
    let server = TestServer::start().await;
    let mut device = joined(&server, "ann", "phone").await;
    let commands = json!([
        create(Some(1), "a"),
        create(Some(2), "a"),
        create(Some(9), "b"),
        {"type": "no_such_type", "mutationId": 3},
        {"type": "no_such_type"},
        7,
        create(None, "c"),
        {"type": "SKIP", "mutationId": 4, "payload": {}},
        {"type": "PING"},
        {"type": "DRAFT_DELETE", "mutationId": 5, "payload": {"id": "c"}},
    ]);
    let body = json!({"clientId": "poller", "commands": commands});
    let answer = server.post("/api/commands").user("ann").json(&body).send().await.ok(200);
    assert_eq!(answer["lastMutationId"], 5);
    let answers = answer["answers"].as_array().unwrap();
    let told: Vec<_> = answers
        .iter()
        .map(|frame| {
            assert!(frame["timestamp"].is_string());
            let code = frame["payload"]["code"].as_str().unwrap_or_default();
            format!("{} {} {code}", frame["type"], frame["payload"]["mutationId"])
        })
        .collect();
    assert_eq!(
        told,
        [
            "\"ACK\" 1 ",
            "\"REJECTED\" 2 ALREADY_EXISTS",
            "\"REJECTED\" 9 OUT_OF_ORDER",
            "\"REJECTED\" 3 INVALID",
            "\"ERROR\" null BAD_FRAME",
            "\"ERROR\" null BAD_FRAME",
            "\"ACK\" null ",
            "\"ACK\" 4 ",
            "\"ERROR\" null BAD_FRAME",
            "\"ACK\" 5 ",
        ]
    );
    let event = device.expect("DRAFT_CREATED").await;
    assert_eq!(event.payload()["origin"], json!({"clientId": "poller", "mutationId": 1}));
    let event = device.expect("DRAFT_CREATED").await;
    assert_eq!(event.payload()["origin"], json!({"clientId": "poller"}));
    device.expect("DRAFT_DELETED").await;
    // The same numbers over WebSocket are the same commands.
    let mut poller = server.connect("ann").client_id("poller").live().open().await;
    assert_eq!(poller.welcome().payload()["lastMutationId"], 5);
    poller.send("DRAFT_CREATE", json!({"id": "a", "data": {}}), 1).await;
    let ack = poller.expect("ACK").await;
    assert_eq!((&ack.payload()["duplicate"], &ack.payload()["seq"]), (&json!(true), &json!(1)));
    let again = json!({"clientId": "poller", "commands": [create(Some(1), "a")]});
    let answer = server.post("/api/commands").user("ann").json(&again).send().await.ok(200);
    assert_eq!(answer["answers"][0]["payload"]["duplicate"], true);
    poller.expect_nothing().await;
}

#[tokio::test]
async fn too_many_or_malformed_batches_are_refused_whole() {
    let server =
        TestServer::builder().settings(|settings| settings.limits.in_flight = 4).start().await;
    let batch = |count: u64| {
        let commands: Vec<_> = (1..=count).map(|n| create(Some(n), &format!("d{n}"))).collect();
        json!({"clientId": "a", "commands": commands})
    };
    let post = |body: Value| server.post("/api/commands").user("ann").json(&body).send();
    post(batch(5)).await.problem(400, "INVALID");
    for bad in [
        json!({}),
        json!({"clientId": "a"}),
        json!({"clientId": "a b", "commands": []}),
        json!({"clientId": 7, "commands": []}),
        json!({"clientId": "a", "commands": {}}),
        json!([]),
    ] {
        post(bad).await.problem(400, "INVALID");
    }
    let list = server.get("/api/drafts").user("ann").send().await.ok(200);
    assert_eq!(list["items"], json!([]), "nothing of them was applied");
    let answer = post(batch(4)).await.ok(200);
    assert_eq!(answer["lastMutationId"], 4);
    let none = post(json!({"clientId": "a", "commands": []})).await.ok(200);
    assert_eq!(none, json!({"answers": [], "lastMutationId": 4}));
    let nameless =
        post(json!({"commands": [create(Some(1), "x"), create(None, "y")]})).await.ok(200);
    assert_eq!(nameless["answers"][0]["payload"]["code"], "NO_CLIENT_ID");
    assert_eq!(nameless["answers"][1]["type"], "ACK");
    server.post("/api/commands").json(&batch(1)).send().await.problem(401, "NO_TOKEN");
}

#[tokio::test]
async fn sync_gives_a_snapshot_and_then_what_was_missed() {
    let server = TestServer::start().await;
    let mut device = joined(&server, "ann", "phone").await;
    device.apply("DRAFT_CREATE", json!({"id": "a", "data": {}})).await;
    let sync = |query: &str| server.get(&format!("/api/sync{query}")).user("ann").send();
    let first = sync("?clientId=phone").await.ok(200);
    assert_eq!(first["seq"], 1);
    assert_eq!(first["lastMutationId"], 1);
    assert_eq!(first["snapshot"]["reason"], "initial");
    assert_eq!(first["snapshot"]["drafts"][0]["id"], "a");
    assert_eq!(first["snapshot"]["pending"], json!([]));
    assert!(first.get("events").is_none());
    let (epoch, at) = (first["epoch"].as_str().unwrap(), first["at"].as_str().unwrap());
    let from_there = format!("?epoch={epoch}&seq=1&at={at}");
    let nothing = sync(&from_there).await.ok(200);
    assert_eq!(nothing["events"], json!([]));
    assert_eq!(nothing["lastMutationId"], 0, "no device was named");
    device.send("DRAFT_UPDATE", json!({"id": "a", "patch": {}}), 2).await;
    let event = device.expect("DRAFT_UPDATED").await;
    let answer = sync(&from_there).await;
    let delta = answer.ok(200);
    assert_eq!(delta["seq"], 2);
    assert_eq!(delta["at"], event["timestamp"]);
    assert_eq!(delta["events"], json!([event.json]));
    assert!(answer.text.contains(&event.text), "the same bytes as over WebSocket");
    let foreign = sync("?epoch=other&seq=1").await.ok(200);
    assert_eq!(foreign["snapshot"]["reason"], "epoch");
    for bad in
        ["?seq=1", "?epoch=e", "?epoch=e&seq=x", "?clientId=a%20b", "?waitMs=x", "?waitMs=-1"]
    {
        sync(bad).await.problem(400, "INVALID");
    }
    server.get("/api/sync").send().await.problem(401, "NO_TOKEN");
}

#[tokio::test]
async fn a_waiting_sync_wakes_at_the_users_next_event() {
    let server = TestServer::start().await;
    let mut device = joined(&server, "ann", "phone").await;
    let mut other = joined(&server, "bob", "phone").await;
    let epoch = device.position().epoch;
    let target = format!("/api/sync?epoch={epoch}&seq=0&waitMs=30000");
    // Longer than a call is waited for here: it can only come back by the event.
    let waiting = tokio::spawn(server.get(&target).user("ann").send());
    tokio::time::sleep(Duration::from_millis(200)).await;
    other.apply("DRAFT_CREATE", json!({"data": {}})).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!waiting.is_finished(), "another user's event wakes nobody");
    device.apply("DRAFT_CREATE", json!({"id": "a", "data": {}})).await;
    let answer = waiting.await.unwrap().ok(200);
    assert_eq!(answer["events"][0]["payload"]["document"]["id"], "a");
    // What is there already is not waited for, nor is a snapshot.
    assert_eq!(server.get(&target).user("ann").send().await.ok(200)["seq"], 1);
    let all = server.get("/api/sync?waitMs=30000").user("ann").send().await.ok(200);
    assert_eq!(all["snapshot"]["reason"], "initial");
    // Without anything new the answer comes at the end of the wait.
    let target = format!("/api/sync?epoch={epoch}&seq=1&waitMs=200");
    let empty = server.get(&target).user("ann").send().await.ok(200);
    assert_eq!(empty["events"], json!([]));
}
