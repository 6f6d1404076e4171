//! The accept loop: HTTP/1.1 with upgrades, within bounds of time and size.

use std::future::Future;
use std::io;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;

use crate::Realtime;

/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Header lines of a request.
const HEADERS_MAX: usize = 100;

/// Serves until `shutdown` completes, then ends gracefully within [`Settings::drain`]: no new
/// connections, requests under way finished, WebSocket clients told and closed. False where
/// something had to be cut.
///
/// [`Settings::drain`]: crate::Settings::drain
pub async fn serve(
    listener: TcpListener,
    router: Router,
    realtime: &Realtime,
    shutdown: impl Future<Output = ()>,
) -> bool {
    let graceful = GracefulShutdown::new();
    accept(listener, router, realtime, &graceful, shutdown).await;
    realtime.begin_drain();
    let requests_done = tokio::time::timeout(realtime.settings().drain, graceful.shutdown());
    let (requests_done, connections_done) = tokio::join!(requests_done, realtime.shutdown());
    requests_done.is_ok() && connections_done
}

/// Echoes every message through the same WebSocket code, for conformance suites, until dropped.
pub async fn serve_echo(listener: TcpListener, realtime: &Realtime) {
    let router = super::handshake::echo(realtime.clone());
    accept(listener, router, realtime, &GracefulShutdown::new(), std::future::pending()).await;
}

async fn accept(
    listener: TcpListener,
    router: Router,
    realtime: &Realtime,
    graceful: &GracefulShutdown,
    shutdown: impl Future<Output = ()>,
) {
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => carry(stream, router.clone(), realtime, graceful),
                Err(error) => wait_after(&error).await,
            },
        }
    }
}

fn carry(
    stream: tokio::net::TcpStream,
    router: Router,
    realtime: &Realtime,
    graceful: &GracefulShutdown,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection was gone before it began");
        return;
    }
    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(realtime.settings().handshake_time_max)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    let service = TowerToHyperService::new(router);
    let connection =
        builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an HTTP connection ended early");
        }
    });
}

/// With no descriptor left, accepting again at once would only burn the processor.
async fn wait_after(error: &io::Error) {
    tracing::error!(%error, "a connection could not be accepted");
    tokio::time::sleep(Duration::from_millis(100)).await;
}
