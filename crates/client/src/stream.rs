//! What carries the bytes: a TCP socket, or TLS over one.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::address::Address;

/// An open way to a server.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Opens one, for WebSocket or plain HTTP.
///
/// # Errors
///
/// Where there is no network, nobody listens, or the certificate is not the server's.
pub async fn open(address: &Address) -> io::Result<Box<dyn Stream>> {
    let stream = TcpStream::connect(&address.authority).await?;
    stream.set_nodelay(true)?;
    #[cfg(feature = "tls")]
    if address.secure {
        return crate::tls::connect(address.host(), stream).await;
    }
    Ok(Box::new(stream))
}
