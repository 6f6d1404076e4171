//! Hostile clients at real sockets: tables of bad tokens, handshakes, frames, origins and addresses.
//!
//! Every row of a table is refused clearly or does no harm, and every table ends with a look at a
//! [`Bystander`](bystander::Bystander): a well-behaved user who came in before it began, whose
//! devices still get every event in order, from the same process, which has not panicked and has
//! not grown. Where a row is a known hole of another server or library, the test names it.

mod addresses;
mod bystander;
mod claims;
mod documents;
mod flooding;
mod frames;
mod framing;
mod handshakes;
mod heads;
mod memory;
mod origins;
mod pipelining;

mod signatures;
mod slowness;
mod token_places;
mod tokens;
mod wire;

use bystander::{Bystander, Turn};
use draftwire_server::Settings;
use draftwire_server::rate::Rate;
use draftwire_testing::TestServer;

/// A server whose limits are not what is tested: a table knocks more often than anybody may.
async fn server(change: impl FnOnce(&mut Settings)) -> TestServer {
    TestServer::builder()
        .settings(|settings| {
            settings.user_handshakes = Rate::UNLIMITED;
            settings.user_connections_max = 10_000;
            change(settings);
        })
        .start()
        .await
}

/// The same with a bystander on it, for a table that others may run beside.
async fn begin(change: impl FnOnce(&mut Settings)) -> (TestServer, Bystander) {
    begin_in(Turn::shared().await, change).await
}

/// The same for a table that no other runs beside, and by which the process may grow by so many
/// bytes, the table's own included.
async fn begin_alone(
    growth_bytes_max: usize,
    change: impl FnOnce(&mut Settings),
) -> (TestServer, Bystander) {
    begin_in(Turn::alone(growth_bytes_max).await, change).await
}

async fn begin_in(turn: Turn, change: impl FnOnce(&mut Settings)) -> (TestServer, Bystander) {
    let server = server(change).await;
    let bystander = Bystander::join(&server, turn).await;
    (server, bystander)
}
