//! One WebSocket connection, as a client.

use std::fmt;
use std::io;

use draftwire_websocket::{Decoder, Item, Opcode, Role, accept_key, encode, new_key};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::address::Address;

/// Largest message taken from a server.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of the answer to the handshake.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
const READ_BYTES: usize = 16 * 1024;

/// Why a connection could not be made.
#[derive(Debug)]
pub enum ConnectError {
    /// The network failed: try again later.
    Io(io::Error),
    /// The server answered, but not with 101: the body says why.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The problem+json text.
        body: String,
    },
    /// What answered speaks no WebSocket: check the address.
    NotWebSocket(&'static str),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(out, "the connection failed: {error}"),
            Self::Refused { status, body } => write!(out, "refused with {status}: {body}"),
            Self::NotWebSocket(why) => write!(out, "no WebSocket server answered: {why}"),
        }
    }
}

impl std::error::Error for ConnectError {}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What came from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A frame of the protocol.
    Text(String),
    /// The server says goodbye: close code (1005 where it gave none) and reason.
    Closed(u16, String),
}

/// An open connection.
pub struct Connection {
    stream: TcpStream,
    decoder: Decoder,
    buffer: Vec<u8>,
    /// What of `buffer` was not decoded yet.
    start: usize,
    /// Frames that were not written yet: kept, so that a dropped future tears none apart.
    outgoing: Vec<u8>,
}

impl Connection {
    /// Connects to `path` (with its query) and authenticates with the token.
    pub async fn open(address: &Address, path: &str, token: &str) -> Result<Self, ConnectError> {
        let mut stream = TcpStream::connect(&address.authority).await?;
        stream.set_nodelay(true)?;
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let key = new_key(random);
        let request = format!(
            "GET {}{path} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\
             Authorization: Bearer {token}\r\n\r\n",
            address.prefix, address.authority
        );
        stream.write_all(request.as_bytes()).await?;
        let buffer = read_answer(&mut stream, &key).await?;
        let decoder = Decoder::new(Role::Client, MESSAGE_BYTES_MAX);
        Ok(Self { stream, decoder, buffer, start: 0, outgoing: Vec::new() })
    }

    /// Sends a text frame.
    pub async fn send(&mut self, text: &str) -> io::Result<()> {
        self.queue(Opcode::Text, text.as_bytes())?;
        self.flush().await
    }

    /// Says goodbye; [`Connection::next`] then brings the server's answer.
    pub async fn close(&mut self) -> io::Result<()> {
        self.queue(Opcode::Close, &1000_u16.to_be_bytes())?;
        self.flush().await
    }

    fn queue(&mut self, opcode: Opcode, payload: &[u8]) -> io::Result<()> {
        let mut mask = [0; 4];
        getrandom::fill(&mut mask).map_err(io::Error::other)?;
        self.outgoing.extend_from_slice(&encode::masked_frame(true, opcode, payload, mask));
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        while !self.outgoing.is_empty() {
            let written = self.stream.write(&self.outgoing).await?;
            self.outgoing.drain(..written);
        }
        Ok(())
    }

    /// The next message; pings are answered on the way. `None` when the server has hung up.
    /// The future may be dropped at any time: nothing is lost and no frame is torn apart.
    pub async fn next(&mut self) -> io::Result<Option<Message>> {
        loop {
            self.flush().await?;
            match self.decode()? {
                Step::Message(message) => return Ok(Some(message)),
                Step::Pong(payload) => self.queue(Opcode::Pong, &payload)?,
                Step::Starved => {
                    let mut chunk = [0; READ_BYTES];
                    let count = self.stream.read(&mut chunk).await?;
                    if count == 0 {
                        return Ok(None);
                    }
                    self.buffer.extend_from_slice(&chunk[..count]);
                }
            }
        }
    }

    fn decode(&mut self) -> io::Result<Step> {
        loop {
            let result = self.decoder.next(&mut self.buffer[self.start..]);
            let (taken, item) = result
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            self.start += taken;
            let step = match item {
                None => {
                    self.buffer.clear();
                    self.start = 0;
                    return Ok(Step::Starved);
                }
                Some(Item::Text(text)) => Step::Message(Message::Text(text.to_owned())),
                Some(Item::Close(frame)) => {
                    let (code, reason) = frame.map_or((1005, ""), |f| (f.code, f.reason));
                    Step::Message(Message::Closed(code, reason.to_owned()))
                }
                Some(Item::Ping(payload)) => Step::Pong(payload.to_owned()),
                Some(Item::Pong(_) | Item::Binary(_)) => continue,
            };
            return Ok(step);
        }
    }
}

enum Step {
    Message(Message),
    Pong(Vec<u8>),
    Starved,
}

/// Reads the answer's head; returns what came behind it.
async fn read_answer(stream: &mut TcpStream, key: &str) -> Result<Vec<u8>, ConnectError> {
    let mut buffer = Vec::new();
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut answer = httparse::Response::new(&mut headers);
        let parsed = answer
            .parse(&buffer)
            .map_err(|_| ConnectError::NotWebSocket("the answer is no HTTP"))?;
        if let httparse::Status::Complete(head) = parsed {
            let status = answer.code.unwrap_or(0);
            if status != 101 {
                return Err(refused(stream, &answer, status, buffer[head..].to_vec()).await);
            }
            let accept = header(&answer, "sec-websocket-accept");
            if accept != Some(accept_key(key).as_str()) {
                return Err(ConnectError::NotWebSocket("Sec-WebSocket-Accept is wrong"));
            }
            return Ok(buffer[head..].to_vec());
        }
        let mut chunk = [0; READ_BYTES];
        let count = stream.read(&mut chunk).await?;
        if count == 0 || buffer.len() > ANSWER_BYTES_MAX {
            return Err(ConnectError::NotWebSocket("the answer broke off"));
        }
        buffer.extend_from_slice(&chunk[..count]);
    }
}

fn header<'a>(answer: &'a httparse::Response<'_, '_>, name: &str) -> Option<&'a str> {
    let found = answer.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(found.value).ok()
}

/// Reads the body of a refusal, as far as it comes.
async fn refused(
    stream: &mut TcpStream,
    answer: &httparse::Response<'_, '_>,
    status: u16,
    mut body: Vec<u8>,
) -> ConnectError {
    let length = header(answer, "content-length").and_then(|length| length.parse::<usize>().ok());
    let wanted = length.unwrap_or(0).min(ANSWER_BYTES_MAX);
    while body.len() < wanted {
        let mut chunk = [0; READ_BYTES];
        match stream.read(&mut chunk).await {
            Ok(count) if count > 0 => body.extend_from_slice(&chunk[..count]),
            Ok(_) | Err(_) => break,
        }
    }
    ConnectError::Refused { status, body: String::from_utf8_lossy(&body).into_owned() }
}
