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

use draftwire_server::Settings;
use draftwire_testing::TestServer;

/// A server whose limits are not what is tested: a table knocks more often than anybody may.
async fn server(change: impl FnOnce(&mut Settings)) -> TestServer {
    TestServer::builder()
        .settings(|settings| {
            settings.user_handshakes = draftwire_server::rate::Rate::UNLIMITED;
            settings.user_connections_max = 10_000;
            change(settings);
        })
        .start()
        .await
}
