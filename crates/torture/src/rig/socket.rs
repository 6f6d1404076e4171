//! Opening a connection of somebody's device: the address, the token, the handshake.
//!
//! It never reads a frame; whoever opens it does.

use std::net::SocketAddr;
use std::time::Duration;

use draftwire_protocol::Position;
use draftwire_server::auth::{ClaimRules, Hs256};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::server::SECRET;

/// How long a handshake may take before it is given up.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);

/// A connection of somebody else's making (tungstenite).
pub type Socket = WebSocketStream<TcpStream>;

/// Connects a device that stands there, or has never connected.
///
/// # Errors
///
/// Where nobody listens, the handshake is refused, or it takes too long.
pub async fn open(
    address: SocketAddr,
    token: &str,
    client_id: &str,
    position: Option<&Position>,
) -> Result<Socket, Error> {
    let opening = TcpStream::connect(address);
    open_on(opening, address, token, client_id, position).await
}

/// The same with a receive buffer of about so many bytes: what is not read backs up soon.
///
/// # Errors
///
/// As [`open`].
pub async fn open_narrow(
    address: SocketAddr,
    token: &str,
    client_id: &str,
    receive_bytes: u32,
) -> Result<Socket, Error> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(receive_bytes)?;
    open_on(socket.connect(address), address, token, client_id, None).await
}

async fn open_on(
    opening: impl Future<Output = std::io::Result<TcpStream>>,
    address: SocketAddr,
    token: &str,
    client_id: &str,
    position: Option<&Position>,
) -> Result<Socket, Error> {
    let mut target = format!("ws://{address}/ws/realtime?clientId={client_id}");
    if let Some(position) = position {
        target += &format!("&epoch={}&seq={}", position.epoch, position.seq);
        if let Some(at) = position.at {
            target += &format!("&at={at}");
        }
    }
    let mut request = target.into_client_request()?;
    let bearer = HeaderValue::from_str(&format!("Bearer {token}"));
    let bearer = bearer.map_err(|error| Error::HttpFormat(error.into()))?;
    request.headers_mut().insert("Authorization", bearer);
    let handshake = async {
        let stream = opening.await?;
        stream.set_nodelay(true)?;
        Ok(client_async(request, stream).await?.0)
    };
    timeout(HANDSHAKE_MAX, handshake).await.unwrap_or(Err(Error::ConnectionClosed))
}

/// A user's name by his number.
pub fn user_name(user: usize) -> String {
    format!("user-{user}")
}

/// A token that is good for so many seconds.
pub fn token(user: &str, seconds: u64) -> String {
    let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
    let claims = format!(r#"{{"sub":"{user}","iat":{now},"exp":{}}}"#, now + seconds);
    let signer = Hs256::new(SECRET.as_bytes(), ClaimRules::default()).expect("a long secret");
    signer.sign(&claims).expect("claims can be signed")
}
