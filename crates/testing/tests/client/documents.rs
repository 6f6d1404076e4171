//! Reading and writing: what is shown at once, what the server answers, what others see.

use draftwire_client::client::{OpenError, Published};
use draftwire_client::{Change, NotApplied, QueueLimits, WriteError};
use draftwire_protocol::{Collection, RejectionCode};
use draftwire_testing::{TestServer, within};

use crate::{await_answers, client_of, connected, on_server, served, shown};

#[tokio::test]
async fn a_change_is_shown_at_once_and_acknowledged_later() {
    let (server, gate) = served().await;
    let client = connected(client_of("ann", &gate.url())).await;
    let drafts = client.drafts();

    let ticket = drafts.create(Some("d1"), r#"{ "price": 1.50, "lines": {} }"#).unwrap();
    let document = drafts.get("d1").unwrap();
    assert_eq!(document.data, r#"{"price":1.50,"lines":{}}"#, "numbers keep their digits");
    let accepted = ticket.await.unwrap();
    assert_eq!(
        (accepted.seq, accepted.id.as_deref(), accepted.version),
        (Some(1), Some("d1"), Some(1))
    );

    let ticket = drafts.update("d1", r#"{"lines":{"a":{"quantity":3}}}"#).unwrap();
    assert!(drafts.get("d1").unwrap().unsaved);
    assert_eq!(ticket.await.unwrap().version, Some(2));

    let ticket = drafts.convert("d1", None, Some(r#"{"placed":true}"#)).unwrap();
    let pending = ticket.id().to_owned();
    assert!(drafts.get("d1").is_none());
    assert_eq!(ticket.await.unwrap().id, Some(pending.clone()));
    let data = r#"{"price":1.50,"lines":{"a":{"quantity":3}},"placed":true}"#;
    assert_eq!(client.pending().get(&pending).unwrap().data, data);

    client.pending().replace(&pending, r#"{"all":"new"}"#).unwrap().await.unwrap();
    assert_eq!(on_server(&server, "ann", "pending").await, shown(&client.pending().list()));
    client.pending().delete(&pending).unwrap().await.unwrap();
    assert!(on_server(&server, "ann", "pending").await.is_empty());
    assert!(client.pending().list().is_empty());
}

#[tokio::test]
async fn a_refused_change_is_listed_and_can_be_retried_or_discarded() {
    let (_server, gate) = served().await;
    let client = connected(client_of("ann", &gate.url())).await;
    let drafts = client.drafts();
    let ticket = drafts.update("d1", r#"{"a":1}"#).unwrap();
    let Err(NotApplied::Rejected(rejection)) = ticket.await else { panic!("it was applied") };
    assert_eq!(rejection.code, RejectionCode::NotFound);
    let rejected = client.rejected();
    assert_eq!(rejected.len(), 1);

    drafts.create(Some("d1"), "{}").unwrap().await.unwrap();
    client.retry(rejected[0].key).unwrap().await.unwrap();
    assert_eq!(drafts.get("d1").unwrap().data, r#"{"a":1}"#);
    assert!(client.rejected().is_empty());

    let ticket = drafts.if_version(77).update("d1", r#"{"a":2}"#).unwrap();
    let Err(NotApplied::Rejected(rejection)) = ticket.await else { panic!("it was applied") };
    assert_eq!(rejection.code, RejectionCode::VersionConflict);
    assert!(rejection.document.unwrap().contains(r#"{"a":1}"#));
    assert_eq!(drafts.get("d1").unwrap().data, r#"{"a":1}"#, "the layer is gone");
    client.discard(client.rejected()[0].key).unwrap();
    assert!(client.rejected().is_empty());
    assert_eq!(client.discard(99), Err(WriteError::NoSuchChange));
}

#[tokio::test]
async fn to_delete_what_is_gone_counts_as_done() {
    let (_server, gate) = served().await;
    let client = connected(client_of("ann", &gate.url())).await;
    let accepted = client.drafts().delete("nothing").unwrap().await.unwrap();
    assert_eq!(accepted.seq, None);
    assert!(client.rejected().is_empty());
}

#[tokio::test]
async fn malformed_writes_are_refused_at_once_and_the_queue_is_bounded() {
    let (_server, gate) = served().await;
    let limits = QueueLimits { commands_max: 2, ..QueueLimits::default() };
    let client = client_of("ann", &gate.url()).queue_limits(limits).open().await.unwrap();
    let drafts = client.drafts();
    let deep = format!("{}{}", r#"{"a":"#.repeat(62), "}".repeat(62)).replace(":}", ":{}}");
    for data in ["", "[]", "1", "{\"a\":1,\"a\":2}", "{\"a\":\"\\ud800\"}", &deep] {
        let refused = drafts.create(Some("d"), data);
        assert!(matches!(refused, Err(WriteError::Invalid(_))), "{data}");
    }
    assert!(matches!(drafts.create(Some("a b"), "{}"), Err(WriteError::Invalid(_))));
    assert!(matches!(drafts.update("..", "{}"), Err(WriteError::Invalid(_))));
    drafts.create(Some("d1"), "{}").unwrap();
    drafts.create(Some("d2"), "{}").unwrap();
    assert!(matches!(drafts.create(Some("d3"), "{}"), Err(WriteError::QueueFull)));
    assert_eq!(drafts.list().len(), 2);
    client.connect();
    await_answers(&client).await;
    drafts.create(Some("d3"), "{}").unwrap().await.unwrap();
}

#[tokio::test]
async fn a_frame_larger_than_the_server_takes_is_given_up_and_the_next_goes_through() {
    let server = TestServer::builder().settings(|settings| {
        settings.limits.document_bytes = 1_000;
        settings.limits.frame_bytes = 2_000;
    });
    let server = server.start().await;
    let client = connected(client_of("ann", &format!("ws://{}", server.address()))).await;
    let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(3_000));
    let too_large = client.drafts().create(Some("d1"), &large).unwrap();
    let next = client.drafts().create(Some("d2"), "{}").unwrap();
    let Err(NotApplied::Rejected(rejection)) = too_large.await else { panic!("it was applied") };
    assert_eq!(rejection.code, RejectionCode::TooLarge);
    next.await.unwrap();
    assert!(client.drafts().get("d1").is_none());
    assert_eq!(client.rejected().len(), 1);
    // Alone, with nothing behind it that would wake anybody up.
    assert!(client.drafts().create(Some("d3"), &large).unwrap().await.is_err());
    await_answers(&client).await;
}

#[tokio::test]
async fn two_clients_converge_and_tell_what_changes() {
    let (server, gate) = served().await;
    let phone = connected(client_of("ann", &gate.url()).client_id("phone")).await;
    let desk = connected(client_of("ann", &gate.url()).client_id("desk")).await;
    let mut changes = desk.changes();
    phone.drafts().create(Some("d"), r#"{"lines":{}}"#).unwrap().await.unwrap();
    let change = within("a change", changes.next()).await;
    assert_eq!(change, Some(Change::Document(Collection::Drafts, "d".into())));
    for number in 0..50 {
        for (client, side) in [(&phone, "p"), (&desk, "d")] {
            let patch = format!(r#"{{"lines":{{"{side}{number}":{number}}},"last":"{side}"}}"#);
            client.drafts().update("d", &patch).unwrap();
        }
    }
    await_answers(&phone).await;
    await_answers(&desk).await;
    let served = on_server(&server, "ann", "drafts").await;
    assert_eq!(served[0].1, 101);
    assert_eq!(served[0].2["lines"].as_object().unwrap().len(), 100);
    draftwire_testing::eventually("both show the same", async || {
        [&phone, &desk].iter().all(|client| {
            let drafts = client.drafts().list();
            drafts.iter().all(|draft| !draft.unsaved) && shown(&drafts) == served
        })
    })
    .await;
}

#[tokio::test]
async fn the_applications_own_frames_are_passed_on() {
    let (server, gate) = served().await;
    let client = connected(client_of("ann", &gate.url())).await;
    let mut messages = client.messages();
    let body = r#"{"type": "stock.changed", "payload": {"sku": "A", "left": 1.0}}"#;
    server.post("/api/users/ann/events").admin().body(body).send().await.ok(200);
    let message = within("the message", messages.next()).await;
    let payload = r#"{"sku":"A","left":1.0}"#.to_owned();
    assert_eq!(message, Some(Published { name: "stock.changed".into(), payload }));
}

#[tokio::test]
async fn a_client_that_can_not_work_is_not_opened() {
    for url in ["localhost:3000", "ftp://x"] {
        let refused = client_of("ann", url).open().await.err();
        assert!(matches!(refused, Some(OpenError::Invalid(_))), "{url}");
    }
    let refused = client_of("ann", "ws://x").client_id("a b").open().await.err();
    assert!(matches!(refused, Some(OpenError::Invalid(_))));
}
