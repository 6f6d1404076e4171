//! *One-way progress*: `/ws/sync` and what feeds it.

use draftwire_testing::{Device, TestServer, Value, json};

async fn report(server: &TestServer, body: Value) -> u64 {
    let answer = server.post("/api/sync/progress").admin().json(&body).send().await.ok(200);
    answer["connections"].as_u64().unwrap()
}

/// Checks that nothing has come: what is published to everybody next is the next frame.
async fn expect_nothing(server: &TestServer, device: &mut Device) {
    report(server, json!({"jobId": "marker", "type": "SYNC_COMPLETED"})).await;
    let frame = device.expect("SYNC_COMPLETED").await;
    assert_eq!(frame.payload()["jobId"], "marker");
}

#[tokio::test]
async fn everybody_sees_a_jobs_progress() {
    let server = TestServer::start().await;
    let mut ann = server.watch("ann").open_quietly().await;
    let mut bob = server.watch("bob").open_quietly().await;
    let mut realtime = crate::joined(&server, "ann", "phone").await;
    let progress = json!({"jobId": "j", "phase": "prices", "percent": 42.50, "message": "half"});
    assert_eq!(report(&server, progress.clone()).await, 2);
    for device in [&mut ann, &mut bob] {
        let frame = device.expect("SYNC_PROGRESS").await;
        assert_eq!(frame.payload(), &progress);
        assert!(frame.seq().is_none());
    }
    report(&server, json!({"type": "SYNC_FAILED", "jobId": "j", "message": "no"})).await;
    for device in [&mut ann, &mut bob] {
        let frame = device.expect("SYNC_FAILED").await;
        assert_eq!(frame.payload(), &json!({"jobId": "j", "message": "no"}));
    }
    realtime.expect_nothing().await;
}

#[tokio::test]
async fn a_newcomer_gets_the_latest_frame_of_each_running_job() {
    let server = TestServer::start().await;
    for (job, percent) in [("a", 1), ("b", 2), ("a", 3), ("done", 4), ("failed", 5)] {
        report(&server, json!({"jobId": job, "percent": percent})).await;
    }
    report(&server, json!({"type": "SYNC_COMPLETED", "jobId": "done"})).await;
    report(&server, json!({"type": "SYNC_FAILED", "jobId": "failed"})).await;
    let mut device = server.watch("ann").open_quietly().await;
    let mut shown = Vec::new();
    for _ in 0..2 {
        let frame = device.expect("SYNC_PROGRESS").await;
        shown.push(format!("{} {}", frame.payload()["jobId"], frame.payload()["percent"]));
    }
    shown.sort();
    assert_eq!(shown, ["\"a\" 3", "\"b\" 2"]);
    expect_nothing(&server, &mut device).await;
}

#[tokio::test]
async fn a_users_job_is_his_alone() {
    let server = TestServer::start().await;
    let mut ann = server.watch("ann").open_quietly().await;
    let mut second = server.watch("ann").open_quietly().await;
    let mut bob = server.watch("bob").open_quietly().await;
    assert_eq!(report(&server, json!({"jobId": "j", "userId": "ann", "percent": 1})).await, 2);
    let frame = ann.expect("SYNC_PROGRESS").await;
    assert_eq!(frame.payload(), &json!({"jobId": "j", "percent": 1}));
    second.expect("SYNC_PROGRESS").await;
    expect_nothing(&server, &mut bob).await;
    // The same id without the user is another job: ending it leaves this one running.
    report(&server, json!({"type": "SYNC_COMPLETED", "jobId": "j"})).await;
    let mut late = server.watch("ann").open_quietly().await;
    assert_eq!(late.expect("SYNC_PROGRESS").await.payload()["percent"], 1);
    let mut stranger = server.watch("bob").open_quietly().await;
    expect_nothing(&server, &mut stranger).await;
    report(&server, json!({"type": "SYNC_COMPLETED", "jobId": "j", "userId": "ann"})).await;
    let mut late = server.watch("ann").open_quietly().await;
    expect_nothing(&server, &mut late).await;
}

#[tokio::test]
async fn the_server_only_sends() {
    let server = TestServer::start().await;
    let mut device = server.watch("ann").open_quietly().await;
    device.send("DRAFT_CREATE", json!({"data": {}}), 1).await;
    device.send_text("nonsense").await;
    device.send("PING", json!({}), None).await;
    device.expect("PONG").await;
    device.send("AUTH", json!({"token": server.token("ann")}), None).await;
    device.expect("AUTHENTICATED").await;
    let list = server.get("/api/drafts").user("ann").send().await.ok(200);
    assert_eq!(list["items"], json!([]));
    expect_nothing(&server, &mut device).await;
}

#[tokio::test]
async fn clients_without_a_token_may_be_let_in() {
    let server =
        TestServer::builder().settings(|settings| settings.progress_anonymous = true).start().await;
    let mut device = server.watch("x").without("authorization").open_quietly().await;
    report(&server, json!({"jobId": "secret", "userId": "ann"})).await;
    assert_eq!(report(&server, json!({"jobId": "open"})).await, 1);
    assert_eq!(device.expect("SYNC_PROGRESS").await.payload()["jobId"], "open");
    // A bad token is not as good as none.
    server.watch("x").token("rubbish").answer().await.problem(401, "BAD_TOKEN");
    server.connect("x").without("authorization").answer().await.problem(401, "NO_TOKEN");
}

#[tokio::test]
async fn at_most_so_many_jobs_are_remembered() {
    let server =
        TestServer::builder().settings(|settings| settings.progress_jobs_max = 2).start().await;
    for job in ["a", "b", "c"] {
        report(&server, json!({"jobId": job})).await;
        // Jobs are told apart by when they were heard, in milliseconds.
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let mut device = server.watch("ann").open_quietly().await;
    assert_eq!(device.expect("SYNC_PROGRESS").await.payload()["jobId"], "b");
    assert_eq!(device.expect("SYNC_PROGRESS").await.payload()["jobId"], "c");
    expect_nothing(&server, &mut device).await;
}

#[tokio::test]
async fn malformed_reports_are_refused() {
    let server = TestServer::start().await;
    let mut device = server.watch("ann").open_quietly().await;
    for bad in [
        json!({}),
        json!({"jobId": ""}),
        json!({"jobId": 7}),
        json!({"jobId": "x".repeat(129)}),
        json!({"jobId": "j", "type": "WELCOME"}),
        json!({"jobId": "j", "type": "OTHER"}),
        json!({"jobId": "j", "percent": 101}),
        json!({"jobId": "j", "percent": -1}),
        json!({"jobId": "j", "percent": "50"}),
        json!({"jobId": "j", "phase": 1}),
        json!({"jobId": "j", "message": {}}),
        json!({"jobId": "j", "userId": ""}),
        json!([]),
    ] {
        let answer = server.post("/api/sync/progress").admin().json(&bad).send().await;
        assert_eq!(answer.status, 400, "{bad}: {answer:?}");
        answer.problem(400, "INVALID");
    }
    expect_nothing(&server, &mut device).await;
}
