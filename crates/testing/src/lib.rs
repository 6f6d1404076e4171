//! A draftwire server on a port of its own, for tests from the outside.
//!
//! Owns nothing but the test's side of the wire: the server is the real one with its real routes,
//! store and threads; devices speak through somebody else's WebSocket client
//! (`tokio-tungstenite`), calls over HTTP through `hyper`. Whatever does not come within
//! [`PATIENCE`] fails the test with a sentence that says what was waited for.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use draftwire_testing::{TestServer, json};
//!
//! let server = TestServer::start().await;
//! let mut phone = server.connect("ann").client_id("phone").open().await;
//! let mut laptop = server.connect("ann").client_id("laptop").open().await;
//! phone.expect("SNAPSHOT").await;
//! laptop.expect("SNAPSHOT").await;
//!
//! phone.send("DRAFT_CREATE", json!({"id": "d1", "data": {"symbol": "ACME"}}), 1).await;
//! let event = laptop.expect("DRAFT_CREATED").await;
//! assert_eq!(event.payload()["document"]["data"]["symbol"], "ACME");
//! assert_eq!(phone.expect("DRAFT_CREATED").await.text, event.text);
//! assert_eq!(phone.expect("ACK").await.payload()["mutationId"], 1);
//!
//! let answer = server.get("/api/drafts/d1").user("ann").send().await;
//! assert_eq!(answer.status, 200);
//! # }
//! ```
//!
//! # Layout
//!
//! | module | owns |
//! |---|---|
//! | [`server`] | starting, stopping and restarting the server |
//! | [`token`] | signing tokens, good and bad ones |
//! | [`connect`] | the handshake of a device |
//! | [`device`] | an open connection, frame by frame |
//! | [`raw`] | an open connection, byte by byte, for clients that misbehave |
//! | [`call`] | calls over plain HTTP |

use std::future::Future;
use std::time::Duration;

pub mod call;
pub mod connect;
pub mod device;
pub mod raw;
pub mod server;
pub mod token;

pub use call::{Answer, Call};
pub use connect::Connect;
pub use device::{Device, Frame, Incoming, Position};
pub use raw::RawSocket;
pub use serde_json::{Value, json};
pub use server::{TestServer, TestServerBuilder};

/// How long anything is waited for. Not a promise of the server's: a test that waits longer has
/// failed.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Waits for something, at most [`PATIENCE`].
///
/// # Panics
///
/// Where it does not come.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {} s in vain for {what}", PATIENCE.as_secs()),
    }
}

/// Asks again and again until the answer is true, at most for [`PATIENCE`].
///
/// # Panics
///
/// Where it never is.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut ask: impl FnMut() -> F) {
    within(what, async {
        while !ask().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}
