//! The front door of the server's own listener: WebSocket handshakes without a detour.
//!
//! Reads the first bytes of a TCP connection. A plain, whole, acceptable handshake on
//! [`REALTIME_PATH`] is handed to its worker at once, and its 101 leaves together with `WELCOME` in
//! one write. Everything else (other requests, a head in pieces, a refusal) goes to the router with
//! the bytes that were read, so that there is one place that answers. It never refuses anything
//! itself and never writes.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderName, HeaderValue, Method, Version, header};
use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::REALTIME_PATH;
use super::handshake::{self, Guest};
use crate::Realtime;
use crate::worker::Socket;

/// Bytes of a handshake's head that are looked at; a longer one goes the other way.
const HEAD_BYTES: usize = 4 * 1024;
/// Header lines of it.
const HEADERS: usize = 32;

/// A connection whose first bytes have been read.
pub(super) struct Prefixed {
    prefix: Bytes,
    stream: TcpStream,
}

/// Reads what the client sends first and lets it in, or hands the connection on. `None` where it
/// was let in, or is gone.
pub(super) async fn enter(
    stream: TcpStream,
    peer: SocketAddr,
    realtime: &Realtime,
) -> Option<Prefixed> {
    let patience = realtime.settings().handshake_time_max;
    let first = match tokio::time::timeout(patience, first_bytes(&stream)).await {
        Ok(Ok(first)) if !first.is_empty() => first,
        ended => {
            tracing::debug!(?ended, "a connection ended before it asked for anything");
            return None;
        }
    };
    let Some((guest, leftover)) = guest(&first, peer, realtime) else {
        answer_at_once(&stream);
        return Some(Prefixed { prefix: first.into(), stream });
    };
    let Guest { hello, seat, accept, subprotocol, compression } = guest;
    match Socket::from_tokio(stream) {
        Ok(socket) => {
            let greeting = handshake::switching_protocols(&accept, subprotocol, compression);
            realtime.welcome_connection(socket, leftover.to_vec(), hello, seat, greeting);
        }
        Err(error) => tracing::error!(%error, "a connection could not be taken over"),
    }
    None
}

/// Small answers do not wait for more of them (Nagle's algorithm, RFC 896).
pub(super) fn answer_at_once(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection was gone before it began");
    }
}

/// What has come when something has; empty where the other side has ended.
async fn first_bytes(stream: &TcpStream) -> io::Result<Vec<u8>> {
    loop {
        stream.readable().await?;
        // Allocated here and not before: nothing is held for a client that sends nothing.
        let mut first = Vec::with_capacity(HEAD_BYTES);
        match stream.try_read_buf(&mut first) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            other => return other.map(|_| first),
        }
    }
}

/// Who these bytes let in, and what came behind them. `None` where the router is to look.
fn guest<'a>(bytes: &'a [u8], peer: SocketAddr, realtime: &Realtime) -> Option<(Guest, &'a [u8])> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(length) = head.parse(bytes).ok()? else { return None };
    let target = head.path?;
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    if head.method != Some("GET") || head.version != Some(1) || path != REALTIME_PATH {
        return None;
    }
    let mut request = Request::new(Body::empty());
    request.extensions_mut().insert(ConnectInfo(peer));
    *request.method_mut() = Method::GET;
    *request.version_mut() = Version::HTTP_11;
    *request.uri_mut() = target.parse().ok()?;
    let map = request.headers_mut();
    for field in head.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        if name == header::CONTENT_LENGTH || name == header::TRANSFER_ENCODING {
            return None;
        }
        map.append(name, HeaderValue::from_bytes(field.value).ok()?);
    }
    let guest = handshake::admit_at_front_door(realtime, &request)?;
    Some((guest, &bytes[length..]))
}

impl Prefixed {
    /// The connection, and bytes that were read and not used.
    pub(super) fn into_parts(self) -> (TcpStream, Bytes) {
        (self.stream, self.prefix)
    }
}

impl AsyncRead for Prefixed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.prefix.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let count = self.prefix.len().min(buffer.remaining());
        buffer.put_slice(&self.prefix[..count]);
        self.prefix.advance(count);
        if self.prefix.is_empty() {
            // It is not needed again: give its memory back.
            self.prefix = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Prefixed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
