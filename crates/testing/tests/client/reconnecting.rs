//! Lost connections, servers that restart, clients that are told to go.

use std::time::{Duration, Instant};

use draftwire_client::{MemoryStorage, NotReady, Reason, Status};
use draftwire_testing::TestServer;

use crate::{await_answers, await_status, client_of, connected, on_server, served, shown, stopped};

#[tokio::test]
async fn a_server_that_restarts_with_the_queue_half_sent_gets_every_command_once() {
    const WRITES: u64 = 400;
    let (mut server, gate) = served().await;
    let client = connected(client_of("ann", &gate.url())).await;
    client.drafts().create(Some("d"), "{}").unwrap().await.unwrap();
    for number in 0..WRITES {
        client.drafts().update("d", &format!(r#"{{"m{number}":{number}}}"#)).unwrap();
        if number == WRITES / 2 {
            gate.lead_to(None);
            server = server.restart().await;
            gate.lead_to(Some(server.address()));
        }
    }
    await_answers(&client).await;
    let served = on_server(&server, "ann", "drafts").await;
    assert_eq!(served[0].1, 1 + WRITES);
    assert_eq!(served[0].2.as_object().unwrap().len() as u64, WRITES);
    assert_eq!(shown(&client.drafts().list()), served);
}

#[tokio::test]
async fn connections_that_are_cut_again_and_again_lose_and_double_nothing() {
    const WRITES: u64 = 300;
    let (server, gate) = served().await;
    let client = connected(client_of("ann", &gate.url())).await;
    client.drafts().create(Some("d"), "{}").unwrap().await.unwrap();
    for number in 0..WRITES {
        client.drafts().update("d", &format!(r#"{{"m{number}":{number}}}"#)).unwrap();
        if number % 100 == 50 {
            tokio::time::sleep(Duration::from_millis(3)).await;
            gate.cut();
        }
    }
    await_answers(&client).await;
    let served = on_server(&server, "ann", "drafts").await;
    assert_eq!(served[0].1, 1 + WRITES);
    assert_eq!(shown(&client.drafts().list()), served);
}

#[tokio::test]
async fn written_offline_it_is_there_after_the_next_connect() {
    let (server, gate) = served().await;
    let client = connected(client_of("ann", &gate.url())).await;
    client.disconnect();
    await_status(&client, "the end", Status::is_final).await;
    client.drafts().create(Some("d"), "{}").unwrap();
    server.post("/api/drafts").user("ann").body(r#"{"id":"e","data":{}}"#).send().await;
    assert!(client.drafts().get("e").is_none());
    client.connect();
    client.ready(draftwire_testing::PATIENCE).await.unwrap();
    await_answers(&client).await;
    assert_eq!(shown(&client.drafts().list()), on_server(&server, "ann", "drafts").await);
}

#[tokio::test]
async fn whoever_changes_his_mind_at_once_is_connected() {
    let (_server, gate) = served().await;
    let client = connected(client_of("ann", &gate.url())).await;
    client.disconnect();
    client.connect();
    client.drafts().create(Some("d"), "{}").unwrap().await.unwrap();
    client.ready(draftwire_testing::PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_planned_restart_is_met_after_the_time_that_the_server_asks_for() {
    let (mut server, gate) = served().await;
    let client = connected(client_of("ann", &gate.url())).await;
    let began = Instant::now();
    drop(server.shut_down());
    let gone = |status: &Status| matches!(status, Status::Disconnected { .. });
    let status = await_status(&client, "the goodbye", gone).await;
    let Status::Disconnected { reason: Reason::Closed { code: 1012, .. }, retry: Some(after) } =
        status
    else {
        panic!("{status:?}");
    };
    assert!((1_000..=2_000).contains(&after.as_millis()), "{after:?}");
    let server = server.start_again().await;
    gate.lead_to(Some(server.address()));
    client.ready(draftwire_testing::PATIENCE).await.unwrap();
    assert!(began.elapsed() >= after);
}

#[tokio::test]
async fn a_second_client_of_the_same_name_stops_the_first() {
    let (_server, gate) = served().await;
    let first = connected(client_of("ann", &gate.url()).client_id("phone")).await;
    let _second = connected(client_of("ann", &gate.url()).client_id("phone")).await;
    let Reason::Closed { code, .. } = stopped(&first).await else { panic!() };
    assert_eq!(code, 4003);
    let not_ready = first.ready(Duration::from_millis(50)).await;
    assert!(matches!(not_ready, Err(NotReady::Stopped(_))));
}

#[tokio::test]
async fn a_device_whose_numbers_were_used_by_another_takes_a_new_name() {
    let (server, gate) = served().await;
    let first = connected(client_of("ann", &gate.url()).client_id("phone")).await;
    first.drafts().create(Some("d1"), "{}").unwrap().await.unwrap();
    first.close().await;
    // The same name on a new storage: its first number is used.
    let storage = MemoryStorage::default();
    let second = client_of("ann", &gate.url()).client_id("phone").storage(storage);
    let second = second.open().await.unwrap();
    let ticket = second.drafts().create(Some("d2"), "{}").unwrap();
    second.connect();
    ticket.await.unwrap();
    assert_ne!(second.client_id(), "phone");
    assert_eq!(on_server(&server, "ann", "drafts").await.len(), 2);
}

#[tokio::test]
async fn a_store_put_back_by_hand_leads_to_its_state_and_new_numbers() {
    let server = TestServer::start().await;
    let gate = crate::gate::Gate::open(server.address()).await;
    let client = connected(client_of("ann", &gate.url())).await;
    client.drafts().create(Some("kept"), "{}").unwrap().await.unwrap();

    let data = server.folder().join("data");
    let copy = server.folder().join("copy");
    let mut server = server;
    gate.lead_to(None);
    server.shut_down().await.unwrap();
    copy_folder(&data, &copy);
    let mut server = server.start_again().await;
    gate.lead_to(Some(server.address()));
    client.drafts().create(Some("lost"), "{}").unwrap().await.unwrap();
    gate.lead_to(None);
    server.shut_down().await.unwrap();
    std::fs::remove_dir_all(&data).unwrap();
    copy_folder(&copy, &data);
    let server = server.start_again().await;
    client.drafts().create(Some("new"), "{}").unwrap();
    gate.lead_to(Some(server.address()));
    await_answers(&client).await;
    let served = on_server(&server, "ann", "drafts").await;
    assert_eq!(served.iter().map(|draft| &*draft.0).collect::<Vec<_>>(), ["kept", "new"]);
    assert_eq!(shown(&client.drafts().list()), served);
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
