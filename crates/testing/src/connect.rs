//! The handshake of a device: who it is, where it stands, where its token goes.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::handshake::client::Request;

use crate::device::{Device, Position};
use crate::raw::RawSocket;
use crate::{Answer, Call, token, within};

/// A handshake that is being put together.
#[must_use = "nothing is connected until it is opened"]
pub struct Connect {
    address: SocketAddr,
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    position: Option<Position>,
    cut_after: Option<usize>,
    behind: Vec<u8>,
}

/// How long a request that is cut waits for its rest.
const PAUSE: Duration = Duration::from_millis(50);

impl Connect {
    /// A handshake on `/ws/realtime` with a good token of this user.
    pub fn new(address: SocketAddr, user: &str) -> Self {
        let headers = [
            ("host", address.to_string()),
            ("connection", "Upgrade".to_owned()),
            ("upgrade", "websocket".to_owned()),
            ("sec-websocket-version", "13".to_owned()),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==".to_owned()),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value)).to_vec();
        let path = "/ws/realtime".to_owned();
        let connect = Self {
            address,
            path,
            query: Vec::new(),
            headers,
            position: None,
            cut_after: None,
            behind: Vec::new(),
        };
        connect.token(&token::of(user))
    }

    /// As this device.
    pub fn client_id(self, id: &str) -> Self {
        self.query("clientId", id)
    }

    /// From this position.
    pub fn position(mut self, position: &Position) -> Self {
        self.position = Some(position.clone());
        let with = self.query("epoch", &position.epoch).query("seq", &position.seq.to_string());
        match &position.at {
            Some(at) => with.query("at", at),
            None => with,
        }
    }

    /// Wants neither snapshot nor delta.
    pub fn live(self) -> Self {
        self.query("sync", "live")
    }

    /// On another path.
    pub fn path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// With one more query parameter, written as it stands.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With this token in `Authorization`.
    pub fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// With this token in the query, and not in `Authorization`.
    pub fn token_in_query(self, token: &str) -> Self {
        self.without("authorization").query("token", token)
    }

    /// With this token in `Sec-WebSocket-Protocol`, and not in `Authorization`.
    pub fn token_in_subprotocol(self, token: &str) -> Self {
        self.without("authorization")
            .subprotocols(&format!("draftwire.v1, draftwire.bearer.{token}"))
    }

    /// With this in `Sec-WebSocket-Protocol`.
    pub fn subprotocols(self, value: &str) -> Self {
        self.header("sec-websocket-protocol", value)
    }

    /// With this header in the place of one of the same name.
    pub fn header(self, name: &str, value: &str) -> Self {
        self.without(name).more_header(name, value)
    }

    /// With one more header line.
    pub fn more_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    /// By hand: cuts the request after so many bytes and pauses there.
    pub fn cut_after(mut self, bytes: usize) -> Self {
        self.cut_after = Some(bytes);
        self
    }

    /// By hand: sends these bytes right behind the request, before its answer.
    pub fn behind(mut self, bytes: &[u8]) -> Self {
        self.behind = bytes.to_vec();
        self
    }

    /// Without a header.
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(present, _)| !present.eq_ignore_ascii_case(name));
        self
    }

    fn target(&self) -> String {
        let pairs = self.query.iter().map(|(name, value)| format!("{name}={value}"));
        let query = pairs.collect::<Vec<_>>().join("&");
        if query.is_empty() { self.path.clone() } else { format!("{}?{query}", self.path) }
    }

    /// Only the answer to the handshake, whatever it is.
    pub async fn answer(self) -> Answer {
        let mut call = Call::new(self.address, "GET", &self.target());
        for (name, value) in &self.headers {
            call = call.header(name, value);
        }
        call.send().await
    }

    /// Opens the connection and reads `WELCOME`.
    ///
    /// # Panics
    ///
    /// Where it is refused, or another frame comes first.
    pub async fn open(self) -> Device {
        let position = self.position.clone();
        let mut device = self.open_quietly().await;
        device.read_welcome(position).await;
        device
    }

    /// Opens the connection and reads nothing: on `/ws/sync` there is no `WELCOME`.
    ///
    /// # Panics
    ///
    /// Where it is refused.
    pub async fn open_quietly(self) -> Device {
        let mut request = Request::builder().uri(format!("ws://{}{}", self.address, self.target()));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(()).expect("a request");
        let opening = async {
            let stream = TcpStream::connect(self.address).await.expect("the server listens");
            tokio_tungstenite::client_async(request, stream).await
        };
        let (stream, response) = within("the handshake", opening)
            .await
            .unwrap_or_else(|error| panic!("the handshake was refused: {error}"));
        let subprotocol = response.headers().get("sec-websocket-protocol");
        let subprotocol = subprotocol.and_then(|value| value.to_str().ok()).map(str::to_owned);
        Device::new(stream, subprotocol)
    }

    /// Opens the connection by hand: the caller writes and reads its bytes.
    pub async fn raw(self) -> RawSocket {
        self.raw_with_receive_buffer(None).await
    }

    /// The same, with a receive buffer of about so many bytes: what the server sends backs up
    /// soon.
    ///
    /// # Panics
    ///
    /// Where it is refused.
    pub async fn raw_with_receive_buffer(self, bytes: Option<u32>) -> RawSocket {
        let socket = TcpSocket::new_v4().expect("a socket");
        if let Some(bytes) = bytes {
            socket.set_recv_buffer_size(bytes).expect("a receive buffer");
        }
        let opening = async {
            let mut stream = socket.connect(self.address).await.expect("the server listens");
            let mut head = format!("GET {} HTTP/1.1\r\n", self.target());
            for (name, value) in &self.headers {
                head += &format!("{name}: {value}\r\n");
            }
            head += "\r\n";
            let mut request = head.into_bytes();
            request.extend_from_slice(&self.behind);
            let (first, rest) = request.split_at(self.cut_after.unwrap_or(0));
            if !first.is_empty() {
                stream.write_all(first).await.expect("the handshake can be sent");
                tokio::time::sleep(PAUSE).await;
            }
            stream.write_all(rest).await.expect("the handshake can be sent");
            let answer = read_head(&mut stream).await;
            assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
            stream
        };
        RawSocket::new(within("the handshake", opening).await)
    }
}

/// The head of an answer, and nothing of what stands behind it.
async fn read_head(stream: &mut TcpStream) -> String {
    const END: &[u8] = b"\r\n\r\n";
    let mut head = Vec::new();
    while !head.ends_with(END) {
        let mut seen = [0; 512];
        let count = stream.peek(&mut seen).await.expect("an answer to the handshake");
        assert!(count > 0, "the connection has ended after {}", String::from_utf8_lossy(&head));
        let (begun, all) = (head.len(), [&head[..], &seen[..count]].concat());
        let end = all.windows(END.len()).position(|window| window == END);
        head.resize(end.map_or(all.len(), |end| end + END.len()), 0);
        stream.read_exact(&mut head[begun..]).await.expect("what was seen");
    }
    String::from_utf8_lossy(&head).into_owned()
}
