//! A client that has more to say than the server takes at once.

use draftwire_server::rate::Rate;
use draftwire_testing::{TestServer, within};

use crate::gate::Gate;
use crate::{await_answers, client_of, connected, on_server, shown};

#[tokio::test]
async fn what_was_refused_for_the_rate_is_sent_again_in_order_and_applied_once() {
    let server = TestServer::builder();
    let server = server.settings(|settings| settings.connection_commands = Rate::new(50, 5));
    let server = server.start().await;
    let gate = Gate::open(server.address()).await;
    let client = connected(client_of("ann", &gate.url())).await;
    let drafts = client.drafts();
    drafts.create(Some("d1"), r#"{"n":0}"#).unwrap();
    let tickets: Vec<_> = (1..=40)
        .map(|number| drafts.update("d1", &format!(r#"{{"n":{number}}}"#)).unwrap())
        .collect();
    for (number, ticket) in (2..).zip(tickets) {
        let accepted = within("an answer", ticket).await.unwrap();
        assert_eq!(accepted.version, Some(number), "in order, each once");
    }
    await_answers(&client).await;
    assert_eq!(on_server(&server, "ann", "drafts").await, shown(&drafts.list()));
    let refused = server.realtime().counters().rejected_commands.get();
    assert!(refused > 0, "the rate was never met");
}
