//! `draftwire serve`: the server until a signal ends it.

use std::process::ExitCode;
use std::time::Duration;

use draftwire_server::auth::Hs256;
use draftwire_server::{Realtime, http};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::flags::ServeFlags;
use crate::{limits, logging, secret, token};

/// Who `--dev` signs a token for.
const DEV_USER: &str = "dev";
const DEV_TTL: Duration = Duration::from_secs(8 * 3600);
/// The exit code after a second signal, as a shell shows an interrupted program.
const INTERRUPTED: i32 = 130;

pub(crate) async fn run(flags: ServeFlags) -> Result<ExitCode, String> {
    logging::start(flags.log_format);
    limits::raise_descriptors();
    // First of all: a signal during the start must not end the process half way either.
    let signalled = signalled()?;
    let verifier = verifier(&flags)?;
    if flags.dev {
        let token = token::sign(&verifier, DEV_USER, true, DEV_TTL)?;
        // On standard output and not in the log: a log is kept, a token must not be.
        println!("token for user \"{DEV_USER}\" (admin, 8 h):\n{token}");
    }
    let listener = bind(flags.listen).await?;
    let builder = Realtime::builder(flags.settings()?, verifier);
    let realtime =
        if flags.relay { builder.start()? } else { builder.sqlite_from(flags.store()).start()? };
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "listening on http://{address}");
    if let Some(address) = flags.conformance_echo {
        serve_echo(address, &realtime).await?;
    }
    if http::serve_alone(listener, &realtime, signalled).await {
        tracing::info!("stopped");
    } else {
        tracing::warn!("stopped; connections that did not answer in time were cut");
    }
    Ok(ExitCode::SUCCESS)
}

fn verifier(flags: &ServeFlags) -> Result<Hs256, String> {
    match &flags.jwt_secret_file {
        Some(path) => secret::from_file(path, flags.claim_rules()),
        None if flags.dev => secret::throw_away(flags.claim_rules()),
        None => Err(secret::MISSING.into()),
    }
}

async fn bind(address: std::net::SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address)
        .await
        .map_err(|error| format!("{address} can't be listened on: {error}; try another --listen"))
}

async fn serve_echo(address: std::net::SocketAddr, realtime: &Realtime) -> Result<(), String> {
    let listener = bind(address).await?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    tracing::warn!("the conformance echo listens on ws://{address}: not for production");
    let realtime = realtime.clone();
    tokio::spawn(async move { http::serve_echo(listener, &realtime).await });
    Ok(())
}

/// Completes at the first SIGTERM or SIGINT; a second one ends the process at once.
fn signalled() -> Result<impl Future<Output = ()>, String> {
    let unheard = |error: std::io::Error| format!("signals can't be heard: {error}");
    let mut terminate = signal(SignalKind::terminate()).map_err(unheard)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(unheard)?;
    let (first, signalled) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let mut first = Some(first);
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            match first.take() {
                Some(first) => {
                    tracing::info!("stopping: devices are told; a second signal ends at once");
                    // Nobody listens any more if the server has ended by itself.
                    let _ = first.send(());
                }
                None => std::process::exit(INTERRUPTED),
            }
        }
    });
    Ok(async move { drop(signalled.await) })
}
