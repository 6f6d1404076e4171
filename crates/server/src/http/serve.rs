//! The accept loop: HTTP/1.1 with upgrades, within bounds of time and size.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::front_door;
use crate::Realtime;

/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Header lines of a request.
const HEADERS_MAX: usize = 100;

/// Serves until `shutdown` completes, then ends gracefully within [`Settings::drain`]: no new
/// connections, requests under way finished, WebSocket clients told and closed. False where
/// something had to be cut. Every request goes through the router and its layers.
///
/// [`Settings::drain`]: crate::Settings::drain
pub async fn serve(
    listener: TcpListener,
    router: Router,
    realtime: &Realtime,
    shutdown: impl Future<Output = ()>,
) -> bool {
    run(listener, router, realtime, Door::Router, shutdown).await
}

/// The same for a server that has nothing but [`router`](super::router): WebSocket handshakes are
/// answered at the front door, which costs a fraction.
pub async fn serve_alone(
    listener: TcpListener,
    realtime: &Realtime,
    shutdown: impl Future<Output = ()>,
) -> bool {
    run(listener, super::router(realtime.clone()), realtime, Door::Front, shutdown).await
}

/// Which way a connection comes in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Door {
    Front,
    Router,
}

async fn run(
    listener: TcpListener,
    router: Router,
    realtime: &Realtime,
    door: Door,
    shutdown: impl Future<Output = ()>,
) -> bool {
    let requests = Requests::default();
    accept(listener, router, realtime, door, &requests, shutdown).await;
    realtime.begin_drain();
    let requests_done = tokio::time::timeout(realtime.settings().drain, requests.finish());
    let (requests_done, connections_done) = tokio::join!(requests_done, realtime.shutdown());
    requests_done.is_ok() && connections_done
}

/// Echoes every message through the same WebSocket code, for conformance suites, until dropped.
pub async fn serve_echo(listener: TcpListener, realtime: &Realtime) {
    let router = super::handshake::echo(realtime.clone());
    let (requests, never) = (Requests::default(), std::future::pending());
    accept(listener, router, realtime, Door::Router, &requests, never).await;
}

async fn accept(
    listener: TcpListener,
    router: Router,
    realtime: &Realtime,
    door: Door,
    requests: &Requests,
    shutdown: impl Future<Output = ()>,
) {
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => carry((stream, peer), &router, realtime, door, requests),
                Err(error) => wait_after(&error).await,
            },
        }
    }
}

fn carry(
    (stream, peer): (TcpStream, SocketAddr),
    router: &Router,
    realtime: &Realtime,
    door: Door,
    requests: &Requests,
) {
    let (realtime, mut finish) = (realtime.clone(), requests.0.subscribe());
    let router = router.clone();
    tokio::spawn(async move {
        if door == Door::Router {
            front_door::answer_at_once(&stream);
            return serve_http(stream, peer, router, &realtime, finish).await;
        }
        let entered = tokio::select! {
            entered = front_door::enter(stream, peer, &realtime) => entered,
            _ = finish.changed() => None,
        };
        if let Some(stream) = entered {
            // In a box, so that the many that were let in do not carry it along.
            Box::pin(serve_http(stream, peer, router, &realtime, finish)).await;
        }
    });
}

async fn serve_http(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    peer: SocketAddr,
    router: Router,
    realtime: &Realtime,
    mut finish: watch::Receiver<()>,
) {
    // Not hyper-util's automatic builder: with upgrades it also speaks HTTP/2, and it waits for the
    // first bytes for ever.
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(realtime.settings().handshake_time_max)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    let router = TowerToHyperService::new(router);
    let service = hyper::service::service_fn(move |mut request: hyper::Request<_>| {
        // As axum's own server tells it.
        request.extensions_mut().insert(ConnectInfo(peer));
        router.call(request)
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        _ = finish.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection ended early");
    }
}

/// Tells the HTTP connections to end when what they are asked is answered, and waits for them.
#[derive(Default)]
struct Requests(watch::Sender<()>);

impl Requests {
    async fn finish(&self) {
        self.0.send_replace(());
        self.0.closed().await;
    }
}

/// With no descriptor left, accepting again at once would only burn the processor.
async fn wait_after(error: &io::Error) {
    tracing::error!(%error, "a connection could not be accepted");
    tokio::time::sleep(Duration::from_millis(100)).await;
}
