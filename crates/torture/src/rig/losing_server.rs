//! The server on a disk that loses what was not synced, in a process of its own.
//!
//! The rig kills it and cuts its power then. It is the same server in everything but its `main`: the
//! library, the embedded store, real sockets; only its files lie on the layer that writes down what
//! was synced.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use draftwire_server::auth::{ClaimRules, Hs256};
use draftwire_server::rate::Rate;
use draftwire_server::settings::Settings;
use draftwire_server::{Realtime, http};
use draftwire_store::StoreLimits;
use draftwire_store::sqlite::{Durability, SqliteOptions};
use draftwire_vfs::PowerLoss;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::server::{HEARTBEAT, SECRET};

/// Pages of the write-ahead log from which on it is moved: few, so that cuts fall into that too.
const LOG_PAGES: u32 = 24;

/// Where the process on this data folder writes down what it does to its files.
pub fn record(data: &Path) -> PathBuf {
    data.with_extension("record")
}

/// Serves until SIGTERM.
///
/// # Errors
///
/// Where the port or the disk can't be had.
pub async fn serve(listen: SocketAddr, data: &Path, durability: Durability) -> Result<(), String> {
    let disk = PowerLoss::recorded(&record(data))?;
    let settings = Settings {
        heartbeat: HEARTBEAT,
        close_wait: Duration::from_millis(500),
        drain: Duration::from_secs(3),
        user_commands: Rate::UNLIMITED,
        connection_commands: Rate::UNLIMITED,
        user_handshakes: Rate::UNLIMITED,
        ..Settings::default()
    };
    let limits = StoreLimits {
        log_events_max: 100_000_000,
        log_bytes_max: 4_000_000_000,
        ..StoreLimits::default()
    };
    let options = SqliteOptions {
        durability,
        log_pages: LOG_PAGES,
        vfs: Some(disk.vfs().to_owned()),
        ..SqliteOptions::new(data, limits)
    };
    let signer = Hs256::new(SECRET.as_bytes(), ClaimRules::default());
    let signer = signer.map_err(|why| format!("no signer: {why}"))?;
    let realtime = Realtime::builder(settings, signer).sqlite_from(options).start()?;
    let listener = TcpListener::bind(listen).await.map_err(|error| format!("{listen}: {error}"))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let terminated = async move {
        terminate.recv().await;
    };
    if http::serve_alone(listener, &realtime, terminated).await {
        Ok(())
    } else {
        Err("connections had to be cut".into())
    }
}
