//! The server from the outside: each module holds the tests of one behaviour that
//! `docs/protocol.md` promises, with somebody else's client.

mod admin;
mod closing;
mod commands;
mod connecting;
mod draining;
mod failing_store;
mod frames;
mod http_commands_and_sync;
mod http_documents;
mod idempotency;
mod limits;
mod liveness;
mod ordering_and_acks;
mod origins_and_cors;
mod progress;
mod rates;
mod readiness;
mod recovery;
mod relay;
mod retrying;
mod revoke;
mod tokens;

use draftwire_testing::{Device, TestServer};

/// A device that has just joined with an empty state.
async fn joined(server: &TestServer, user: &str, client_id: &str) -> Device {
    let mut device = server.connect(user).client_id(client_id).open().await;
    let snapshot = device.expect("SNAPSHOT").await;
    assert_eq!(snapshot.payload()["more"], false);
    device
}

/// `"x"` so many times.
fn filling(bytes: usize) -> String {
    "x".repeat(bytes)
}
