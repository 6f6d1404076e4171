//! The kinds of socket a worker carries.
//!
//! A TCP connection is carried as it is. Anything else that speaks bytes (TLS, an in-memory pipe)
//! is bridged to one end of a socket pair by a task of its own, so that the worker knows only
//! sockets the system can wait for.

use std::io::{self, Read, Write};
use std::net::Shutdown;

use mio::event::Source;
use mio::{Interest, Registry, Token};

use crate::delivery::ConnectionKey;

/// A non-blocking socket.
#[derive(Debug)]
pub enum Socket {
    /// The connection itself.
    Tcp(mio::net::TcpStream),
    /// One end of a pair; a task carries bytes between the other end and the connection.
    Pair(mio::net::UnixStream),
}

impl Socket {
    /// Takes over a TCP connection from the runtime.
    pub fn from_tokio(stream: tokio::net::TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self::Tcp(mio::net::TcpStream::from_std(stream.into_std()?)))
    }

    /// Bridges any stream of bytes, on the current runtime.
    pub fn bridge<T>(stream: T) -> io::Result<Self>
    where
        T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    {
        let (near, far) = std::os::unix::net::UnixStream::pair()?;
        near.set_nonblocking(true)?;
        far.set_nonblocking(true)?;
        let mut far = tokio::net::UnixStream::from_std(far)?;
        let mut stream = stream;
        tokio::spawn(async move {
            // Either side's end ends the bridge; the worker then sees its socket closed.
            let _ = tokio::io::copy_bidirectional(&mut far, &mut stream).await;
        });
        Ok(Self::Pair(mio::net::UnixStream::from_std(near)))
    }

    /// Registers for reading, edge-triggered. Not for writing: an empty socket can be written to
    /// at once, and would wake the worker for every newcomer.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.register(registry, token, Interest::READABLE),
            Self::Pair(stream) => stream.register(registry, token, Interest::READABLE),
        }
    }

    /// From now on for both directions: the socket is full.
    pub(super) fn await_writing(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        match self {
            Self::Tcp(stream) => stream.reregister(registry, token, both),
            Self::Pair(stream) => stream.reregister(registry, token, both),
        }
    }

    pub(super) fn deregister(&mut self, registry: &Registry) {
        let result = match self {
            Self::Tcp(stream) => stream.deregister(registry),
            Self::Pair(stream) => stream.deregister(registry),
        };
        if let Err(error) = result {
            tracing::debug!(%error, "a socket was not registered any more");
        }
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Pair(stream) => stream.read(buffer),
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Pair(stream) => stream.write(bytes),
        }
    }

    /// Tells the other side that nothing more will come.
    pub(super) fn shut_down_writing(&mut self) {
        let result = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Pair(stream) => stream.shutdown(Shutdown::Write),
        };
        if let Err(error) = result {
            tracing::trace!(%error, "a socket was already shut down");
        }
    }
}

/// The token under which a connection's socket is registered.
pub(super) fn token_of(key: ConnectionKey) -> Token {
    Token(key.index as usize | ((key.generation as usize) << 32))
}

/// Index and generation of the connection that was registered so.
pub(super) fn place_of(token: Token) -> (u32, u32) {
    (token.0 as u32, (token.0 >> 32) as u32)
}
