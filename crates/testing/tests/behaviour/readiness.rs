//! A server whose store is not there: it lives, says so, and becomes ready by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use draftwire_store::sqlite::SqliteOptions;
use draftwire_store::{SqliteStore, Store, StoreError, StoreLimits};
use draftwire_testing::{TestServer, eventually, json};

#[tokio::test]
async fn a_folder_that_is_a_file_is_waited_out() {
    let place = tempfile::TempDir::new().unwrap();
    let folder = place.path().join("data");
    std::fs::write(&folder, "in the way").unwrap();
    let server = TestServer::builder().folder(&folder).start().await;
    assert_eq!(server.get("/healthz").send().await.ok(200), json!({"status": "ok"}));
    let not_ready = |answer: draftwire_testing::Answer| {
        answer.problem(503, "UNAVAILABLE");
        let after: u64 = answer.header("retry-after").expect("Retry-After").parse().unwrap();
        assert!(after >= 1);
    };
    not_ready(server.get("/readyz").send().await);
    not_ready(server.connect("ann").answer().await);
    not_ready(server.get("/api/session").user("ann").send().await);
    not_ready(server.get("/api/drafts").user("ann").send().await);
    not_ready(server.get("/api/sync").user("ann").send().await);
    let create = server.post("/api/drafts").user("ann").json(&json!({"data": {}}));
    not_ready(create.send().await);
    // A bad token is told even so: waiting would not help it.
    server.connect("ann").token("rubbish").answer().await.problem(401, "BAD_TOKEN");
    std::fs::remove_file(&folder).unwrap();
    eventually("the server to become ready", || async {
        server.get("/readyz").send().await.status == 200
    })
    .await;
    let mut device = server.connect("ann").client_id("phone").open().await;
    device.expect("SNAPSHOT").await;
    device.apply("DRAFT_CREATE", json!({"data": {}})).await;
}

#[tokio::test]
async fn a_store_of_the_applications_own_is_asked_until_it_opens() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().to_owned();
    let there = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&there);
    let server = TestServer::builder()
        .store(move |check| {
            if !gate.load(Ordering::Acquire) {
                return Err(StoreError::Unavailable("not yet".into()));
            }
            let options =
                SqliteOptions { check, ..SqliteOptions::new(&path, StoreLimits::default()) };
            Ok(Arc::new(SqliteStore::open(&options)?) as Arc<dyn Store>)
        })
        .start()
        .await;
    server.get("/readyz").send().await.problem(503, "UNAVAILABLE");
    there.store(true, Ordering::Release);
    eventually("the server to become ready", || async {
        server.get("/readyz").send().await.status == 200
    })
    .await;
    server.connect("ann").open().await;
}
