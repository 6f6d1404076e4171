//! What survives: the last state, the queue, the numbers; also where nothing was closed.

use std::path::Path;

use draftwire_client::client::OpenError;
use draftwire_client::{Client, FileStorage, MemoryStorage, NotApplied, Reason, WriteError};
use draftwire_testing::{TestServer, within};

use crate::{await_answers, client_of, connected, good_token, on_server, served, shown, stopped};

async fn on_file(url: &str, path: &Path) -> Client {
    // The client before is gone as soon as its task has noticed.
    let storage = within("the journal's lock", async {
        loop {
            match FileStorage::open(path) {
                Ok(storage) => return storage,
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    });
    client_of("ann", url).storage(storage.await).open().await.unwrap()
}

#[tokio::test]
async fn what_was_written_offline_goes_out_in_order_after_a_restart() {
    let (server, gate) = served().await;
    let path = server.folder().join("journal");
    let client = on_file(&gate.url(), &path).await;
    client.drafts().create(Some("d"), r#"{"n":0}"#).unwrap();
    for number in 1..100 {
        client.drafts().update("d", &format!(r#"{{"n":{number},"p{number}":{number}}}"#)).unwrap();
    }
    client.close().await;
    assert!(matches!(client.drafts().delete("d"), Err(WriteError::Closed)));

    let client = on_file(&gate.url(), &path).await;
    assert_eq!(client.unanswered(), 100);
    assert!(client.drafts().get("d").unwrap().data.starts_with(r#"{"n":99,"#), "shown before");
    client.connect();
    await_answers(&client).await;
    let served = on_server(&server, "ann", "drafts").await;
    assert_eq!((served[0].1, served[0].2["n"].as_u64()), (100, Some(99)));
    assert_eq!(shown(&client.drafts().list()), served);
}

#[tokio::test]
async fn a_client_opens_with_its_last_state_and_gets_only_what_it_missed() {
    let (server, gate) = served().await;
    let path = server.folder().join("journal");
    let client = connected_on_file(&gate.url(), &path).await;
    client.drafts().create(Some("d1"), "{}").unwrap().await.unwrap();
    client.drafts().create(Some("d2"), "{}").unwrap().await.unwrap();
    client.close().await;
    server.delete("/api/drafts/d1").user("ann").send().await;

    let client = on_file(&gate.url(), &path).await;
    assert_eq!(client.drafts().list().len(), 2, "from the journal");
    let mut changes = client.changes();
    client.connect();
    client.ready(draftwire_testing::PATIENCE).await.unwrap();
    let change = within("the delta", changes.next()).await;
    assert_eq!(
        change,
        Some(draftwire_client::Change::Document(
            draftwire_protocol::Collection::Drafts,
            "d1".into()
        )),
        "a delta and no snapshot"
    );
    assert_eq!(shown(&client.drafts().list()), on_server(&server, "ann", "drafts").await);
}

async fn connected_on_file(url: &str, path: &Path) -> Client {
    let client = on_file(url, path).await;
    client.connect();
    client.ready(draftwire_testing::PATIENCE).await.unwrap();
    client
}

#[tokio::test]
async fn dropped_without_a_close_again_and_again_nothing_is_lost_or_doubled() {
    const WRITES: usize = 300;
    let (server, gate) = served().await;
    let path = server.folder().join("journal");
    let client = connected_on_file(&gate.url(), &path).await;
    client.drafts().create(Some("d"), "{}").unwrap().await.unwrap();
    drop(client);
    let mut written = 0;
    while written < WRITES {
        // A runtime of its own, which is torn down with whatever is under way.
        let (url, path) = (gate.url(), path.clone());
        let life = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let written = runtime.block_on(async {
                let client = on_file(&url, &path).await;
                client.connect();
                let mut last = None;
                for number in written..written + 30 {
                    let patch = format!(r#"{{"m{number}":{number}}}"#);
                    last = Some(client.drafts().update("d", &patch).unwrap());
                    tokio::time::sleep(std::time::Duration::from_micros(300)).await;
                }
                last.unwrap().saved().await.unwrap();
                written + 30
            });
            runtime.shutdown_background();
            written
        });
        written = tokio::task::spawn_blocking(|| life.join().unwrap()).await.unwrap();
    }
    let client = connected_on_file(&gate.url(), &path).await;
    await_answers(&client).await;
    let served = on_server(&server, "ann", "drafts").await;
    assert_eq!(served[0].2.as_object().unwrap().len(), WRITES, "something was lost");
    assert_eq!(served[0].1 as usize, 1 + WRITES, "something was applied twice");
    assert!(client.rejected().is_empty());
}

#[tokio::test]
async fn a_ticket_of_a_closed_client_is_interrupted() {
    let (_server, gate) = served().await;
    let client = client_of("ann", &gate.url()).open().await.unwrap();
    let ticket = client.drafts().create(None, "{}").unwrap();
    ticket.saved().await.unwrap();
    client.close().await;
    assert_eq!(ticket.await, Err(NotApplied::Interrupted));
}

#[tokio::test]
async fn a_storage_is_bound_to_its_user() {
    let server = TestServer::start().await;
    let url = format!("ws://{}", server.address());
    let storage = MemoryStorage::default();
    let client = connected(client_of("ann", &url).storage(storage.clone())).await;
    client.close().await;

    let client = client_of("ann", &url).storage(storage.clone()).open().await.unwrap();
    client.drafts().create(Some("secret"), "{}").unwrap().saved().await.unwrap();
    client.close().await;
    let client = Client::builder(&url, || good_token("ben")).storage(storage.clone());
    let client = client.open().await.unwrap();
    client.connect();
    assert_eq!(stopped(&client).await, Reason::OtherUser);
    assert!(on_server(&server, "ben", "drafts").await.is_empty());
    client.close().await;
    let refused = client_of("ben", &url).user_id("ben").storage(storage.clone()).open().await;
    assert!(matches!(refused.err(), Some(OpenError::OtherUser)));

    let client = connected(client_of("ann", &url).storage(storage)).await;
    await_answers(&client).await;
    assert_eq!(on_server(&server, "ann", "drafts").await.len(), 1);
}

#[tokio::test]
async fn a_storage_that_fails_stops_the_client_and_nothing_unsaved_is_sent() {
    #[derive(Default)]
    struct Full(bool);
    impl draftwire_client::Storage for Full {
        fn load(&mut self) -> std::io::Result<Vec<String>> {
            Ok(Vec::new())
        }
        fn append(&mut self, text: &str, _durable: bool) -> std::io::Result<()> {
            self.0 |= text.contains("queued");
            if self.0 { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }
        fn replace(&mut self, _text: &str) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (server, gate) = served().await;
    let client = connected(client_of("ann", &gate.url()).storage(Full::default())).await;
    let ticket = client.drafts().create(Some("d"), "{}").unwrap();
    assert!(matches!(stopped(&client).await, Reason::Storage(_)));
    assert_eq!(ticket.saved().await, Err(NotApplied::Interrupted));
    assert_eq!(ticket.await, Err(NotApplied::Interrupted));
    assert!(matches!(client.drafts().delete("d"), Err(WriteError::Closed)));
    assert!(on_server(&server, "ann", "drafts").await.is_empty());
}
