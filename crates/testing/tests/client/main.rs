//! The Rust client against a real server: each module holds the tests of one thing that an
//! application relies on. What the client decides is tested in `crates/client`, without sockets.
//!
//! | file | owns |
//! |---|---|
//! | `gate` | an address that stays while servers behind it come and go |

mod documents;
mod durability;
mod gate;
mod hostile;
mod rates;
mod reconnecting;
mod tokens;

use std::time::Duration;

use draftwire_client::client::ClientBuilder;
use draftwire_client::{Client, LocalDocument, Reason, Status, TokenError};
use draftwire_testing::{PATIENCE, TestServer, Value, token, within};

use gate::Gate;

/// A source that gives out good tokens of a user.
async fn good_token(user: &'static str) -> Result<String, TokenError> {
    Ok(token::of(user))
}

/// A client of this user, put together but not opened.
fn client_of(user: &'static str, url: &str) -> ClientBuilder {
    Client::builder(url, move || good_token(user))
}

async fn connected(builder: ClientBuilder) -> Client {
    let client = builder.open().await.expect("a good storage");
    client.connect();
    client.ready(PATIENCE).await.expect("a connection");
    client
}

/// A server behind a gate.
async fn served() -> (TestServer, Gate) {
    let server = TestServer::start().await;
    let gate = Gate::open(server.address()).await;
    (server, gate)
}

async fn await_status(client: &Client, what: &str, is_it: impl FnMut(&Status) -> bool) -> Status {
    let mut status = client.status();
    let status = within(what, status.wait_for(is_it)).await.expect("the client lives");
    status.clone()
}

/// Waits until the client has stopped; why.
async fn stopped(client: &Client) -> Reason {
    match await_status(client, "the end", Status::is_final).await {
        Status::Disconnected { reason, .. } | Status::Unauthorized(reason) => reason,
        status => panic!("{status:?} is no end"),
    }
}

async fn await_answers(client: &Client) {
    let patience = Duration::from_secs(30);
    let answered = tokio::time::timeout(patience, async {
        while client.unanswered() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    answered.await.expect("all commands are answered");
}

/// What the server has, by id: id, version, data.
async fn on_server(server: &TestServer, user: &str, collection: &str) -> Vec<(String, u64, Value)> {
    let answer = server.get(&format!("/api/{collection}")).user(user).send().await;
    let listing = answer.ok(200);
    let items = listing["items"].as_array().expect("a listing").iter();
    let mut all: Vec<_> = items
        .map(|item| {
            let id = item["id"].as_str().expect("an id").to_owned();
            (id, item["version"].as_u64().expect("a version"), item["data"].clone())
        })
        .collect();
    all.sort_by(|left, right| left.0.cmp(&right.0));
    all
}

/// The same of what a client shows.
fn shown(documents: &[LocalDocument]) -> Vec<(String, u64, Value)> {
    let all = documents.iter().map(|document| {
        assert!(!document.unsaved, "{} is not saved", document.id);
        let data = serde_json::from_str(&document.data).expect("JSON");
        (document.id.clone(), document.version.expect("a version"), data)
    });
    all.collect()
}

#[test]
fn client_and_server_mean_the_same_path() {
    assert_eq!(draftwire_client::address::REALTIME_PATH, draftwire_server::http::REALTIME_PATH);
}
