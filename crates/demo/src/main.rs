//! `draftwire-demo`: a server for visitors who want to see draftwire work.
//!
//! Embeds `draftwire-server` as any application would: with a secret that ends with the process,
//! tokens for made-up users only, the page's files, and a warehouse that works on what is ordered.
//! Nothing of this is in the product's binary.
//!
//! | module | owns |
//! |---|---|
//! | `flags` | the command line |
//! | `page` | the page's files |
//! | `api` | calls of draftwire's own routes, in this process |
//! | `visitors` | who may have a token, for how long, how many |
//! | `warehouse` | phases of pending orders |

mod api;
mod flags;
mod page;
mod visitors;
mod warehouse;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use draftwire_server::auth::{ClaimRules, Hs256};
use draftwire_server::{Realtime, Settings, http};
use draftwire_store::StoreLimits;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::api::Api;
use crate::flags::Flags;
use crate::page::Page;
use crate::visitors::Visitors;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false);
    log.with_writer(std::io::stderr).init();
    match run(Flags::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("draftwire-demo: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: Flags) -> Result<(), String> {
    let signalled = signalled()?;
    let page = Page::read(&flags.page)?;
    let (folder, _removed_at_the_end) = data_folder(flags.data)?;
    let mut secret = [0; Hs256::SECRET_BYTES_MIN];
    getrandom::fill(&mut secret).map_err(|error| format!("there is no randomness: {error}"))?;
    let rules = ClaimRules::default();
    let (verifier, signer) = (Hs256::new(&secret, rules.clone())?, Hs256::new(&secret, rules)?);
    let realtime =
        Realtime::builder(settings(), verifier).sqlite_with(folder, store_limits()).start()?;

    let api = Api::new(http::router(realtime.clone()), signer);
    let visitors = Visitors::new(realtime.clone(), api, flags.step);
    tokio::spawn(visitors.clone().sweep());
    let router =
        http::router(realtime.clone()).merge(page.router()).merge(visitors::router(visitors));

    let listener = bind(flags.listen).await?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    // An unspecified address is nothing that a browser could open.
    let port = address.port();
    if address.ip().is_unspecified() {
        println!("the demo is at http://127.0.0.1:{port}, for phones at this machine's address");
    } else {
        println!("the demo is at http://{address}");
    }
    http::serve(listener, router, &realtime, signalled).await;
    Ok(())
}

/// Where documents are kept: a folder that goes with the process, or an empty one, so that what
/// earlier visitors have left does not pile up.
fn data_folder(given: Option<PathBuf>) -> Result<(PathBuf, Option<tempfile::TempDir>), String> {
    let Some(folder) = given else {
        let made = tempfile::Builder::new().prefix("draftwire-demo.").tempdir();
        let made = made.map_err(|error| format!("no temporary folder can be made: {error}"))?;
        return Ok((made.path().to_owned(), Some(made)));
    };
    if !is_empty(&folder)? {
        return Err(format!("{} is not empty: the demo begins from nothing", folder.display()));
    }
    Ok((folder, None))
}

fn is_empty(folder: &Path) -> Result<bool, String> {
    match std::fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(format!("{} can't be read: {error}", folder.display())),
    }
}

fn settings() -> Settings {
    Settings { connections_max: 1_000, user_connections_max: 40, ..Settings::default() }
}

/// Enough for a visitor who plays for an hour. Side by side, each reload of the page brings two new
/// devices: they keep nothing.
fn store_limits() -> StoreLimits {
    let settings = settings();
    StoreLimits {
        document_bytes_max: settings.limits.document_bytes,
        device_answers_kept: settings.limits.in_flight,
        user_documents_max: 200,
        user_bytes_max: 1024 * 1024,
        user_devices_max: 2_000,
        log_events_max: 500,
        log_bytes_max: 256 * 1024,
        ..StoreLimits::default()
    }
}

/// The usual address, or any port where that one is taken; a given one must be free.
async fn bind(given: Option<SocketAddr>) -> Result<TcpListener, String> {
    let usual = SocketAddr::from(([127, 0, 0, 1], 3000));
    let address = given.unwrap_or(usual);
    match TcpListener::bind(address).await {
        Err(error) if given.is_none() && error.kind() == std::io::ErrorKind::AddrInUse => {
            TcpListener::bind((usual.ip(), 0)).await
        }
        bound => bound,
    }
    .map_err(|error| format!("{address} can't be listened on: {error}; try another --listen"))
}

/// Completes at SIGTERM or SIGINT.
fn signalled() -> Result<impl Future<Output = ()>, String> {
    let unheard = |error: std::io::Error| format!("signals can't be heard: {error}");
    let mut terminate = signal(SignalKind::terminate()).map_err(unheard)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(unheard)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_usual_port_is_no_error_and_a_taken_given_one_is() {
        let first = bind(None).await.unwrap();
        let second = bind(None).await.unwrap();
        let taken = first.local_addr().unwrap();
        assert_ne!(taken, second.local_addr().unwrap());
        assert!(bind(Some(taken)).await.unwrap_err().contains("--listen"));
    }

    #[test]
    fn a_folder_with_something_in_it_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(data_folder(Some(folder.path().to_owned())).is_ok());
        assert!(data_folder(Some(folder.path().join("not-there-yet"))).is_ok());
        std::fs::write(folder.path().join("old"), "x").unwrap();
        assert!(data_folder(Some(folder.path().to_owned())).is_err());
    }
}
