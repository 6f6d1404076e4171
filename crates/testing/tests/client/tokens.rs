//! Tokens that end, are refused, do not come.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use draftwire_client::{Client, Reason, Status, TokenError};
use draftwire_testing::{PATIENCE, eventually, json, token};

use crate::{await_status, client_of, connected, served, stopped};

/// A token that is good for so many seconds.
fn short(user: &str, seconds: f64) -> String {
    let now = token::seconds_now();
    let issued = now.min(now + seconds) - 1.0;
    token::sign(&json!({"sub": user, "iat": issued, "exp": now + seconds}))
}

/// Gives out what `make` makes of the number of the call, from 0.
fn counted(
    make: impl Fn(usize) -> Result<String, TokenError> + Clone + Send + Sync + 'static,
) -> (Arc<AtomicUsize>, impl Fn() -> std::future::Ready<Result<String, TokenError>>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    (calls, move || std::future::ready(make(counter.fetch_add(1, Ordering::SeqCst))))
}

#[tokio::test]
async fn a_token_is_renewed_on_the_open_connection_before_it_ends() {
    let (server, gate) = served().await;
    // A fifth of its life ahead the server says so.
    let (calls, source) =
        counted(|call| Ok(if call == 0 { short("ann", 1.5) } else { token::of("ann") }));
    let client = connected(Client::builder(&gate.url(), source)).await;
    let connections = async || {
        let listing = server.get("/api/users/ann/connections").admin().send().await.ok(200);
        listing["items"].as_array().unwrap().clone()
    };
    let before = connections().await;
    eventually("the new token", async || {
        connections().await.first().is_some_and(|now| now["expiresAt"] != before[0]["expiresAt"])
    })
    .await;
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    assert_eq!(connections().await[0]["connectionId"], before[0]["connectionId"]);
    assert_eq!(*client.status().borrow(), Status::Connected);
}

#[tokio::test]
async fn a_token_source_that_fails_or_hangs_is_asked_again() {
    let (_server, gate) = served().await;
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let source = move || {
        let call = counter.fetch_add(1, Ordering::SeqCst);
        async move {
            match call {
                0 => Err("the backend is down".into()),
                1 => std::future::pending().await,
                _ => Ok(token::of("ann")),
            }
        }
    };
    let client = Client::builder(&gate.url(), source).token_time(Duration::from_millis(100));
    let client = client.open().await.unwrap();
    client.connect();
    let failed = |status: &Status| matches!(status, Status::Disconnected { retry: Some(_), .. });
    let Status::Disconnected { reason, .. } = await_status(&client, "a failure", failed).await
    else {
        panic!()
    };
    assert_eq!(reason, Reason::NoToken("the backend is down".into()));
    client.drafts().create(Some("d"), "{}").unwrap().saved().await.unwrap();
    client.ready(PATIENCE).await.unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_and_then_the_client_is_unauthorized() {
    let (_server, gate) = served().await;
    let (calls, source) = counted(|call| {
        Ok(match call {
            0 => "stale".into(),
            1 => token::of("ann"),
            _ => "worthless".to_owned(),
        })
    });
    let client = connected(Client::builder(&gate.url(), source)).await;
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    gate.cut();
    let Reason::Refused { status: 401, body } = stopped(&client).await else { panic!() };
    assert!(body.contains("BAD_TOKEN"), "{body}");
    assert!(matches!(*client.status().borrow(), Status::Unauthorized(_)));
    assert_eq!(calls.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_revoked_user_has_to_sign_in_again() {
    let (server, gate) = served().await;
    let client = connected(client_of("ann", &gate.url())).await;
    server.post("/api/users/ann/revoke").admin().body("{}").send().await.ok(200);
    let Reason::Closed { code: 4501, .. } = stopped(&client).await else { panic!() };
    assert!(matches!(*client.status().borrow(), Status::Unauthorized(_)));
}

#[tokio::test]
async fn who_was_disconnected_by_an_administrator_stays_so_until_he_asks() {
    let (server, gate) = served().await;
    let client = connected(client_of("ann", &gate.url())).await;
    server.delete("/api/users/ann/connections").admin().send().await;
    let Reason::Closed { code: 4502, .. } = stopped(&client).await else { panic!() };
    client.connect();
    client.ready(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn an_expired_token_closes_the_connection_and_a_fresh_one_opens_the_next() {
    let (_server, gate) = served().await;
    // Ended already, but within the leeway of 10 s; the next is asked for when it is over.
    let (calls, source) = counted(|call| {
        if call == 0 {
            Ok(short("ann", -8.0))
        } else if call == 1 {
            Err("late".into())
        } else {
            Ok(token::of("ann"))
        }
    });
    let client = connected(Client::builder(&gate.url(), source)).await;
    let expired = |status: &Status| {
        matches!(status, Status::Disconnected { reason: Reason::Closed { code: 4500, .. }, .. })
    };
    await_status(&client, "the token's end", expired).await;
    client.ready(PATIENCE).await.unwrap();
    assert!(calls.load(Ordering::SeqCst) >= 2);
}
