//! The opening handshake (RFC 6455 §4), as a client.
//!
//! Owns the request, the reading of the answer, and the sentence for each way in which it fails.
//! The token goes into `Authorization` and never into an error.

use std::fmt;
use std::io;
use std::time::Duration;

use draftwire_websocket::{accept_key, new_key};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::address::Address;
use crate::stream::{self, Stream};

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
        /// `Retry-After`, where the answer had one in seconds.
        retry_after: Option<Duration>,
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
            Self::Refused { status, body, .. } => write!(out, "refused with {status}: {body}"),
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

/// Connects, and asks for `path`; the stream, with what came behind the answer.
pub(crate) async fn open(
    address: &Address,
    path: &str,
    token: &str,
) -> Result<(Box<dyn Stream>, Vec<u8>), ConnectError> {
    // A line break in any of them would end the header it stands in.
    if [path, token].iter().any(|text| text.contains(|c: char| c.is_control() || c == ' ')) {
        let error = io::Error::new(io::ErrorKind::InvalidInput, "a control character or space");
        return Err(ConnectError::Io(error));
    }
    let mut stream = stream::open(address).await?;
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
    stream.flush().await?;
    let rest = read_answer(&mut stream, &key).await?;
    Ok((stream, rest))
}

/// Reads the answer's head; returns what came behind it.
async fn read_answer(stream: &mut dyn Stream, key: &str) -> Result<Vec<u8>, ConnectError> {
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
    stream: &mut dyn Stream,
    answer: &httparse::Response<'_, '_>,
    status: u16,
    mut body: Vec<u8>,
) -> ConnectError {
    let retry_after = header(answer, "retry-after").and_then(|seconds| seconds.trim().parse().ok());
    let length = header(answer, "content-length").and_then(|length| length.parse::<usize>().ok());
    let wanted = length.unwrap_or(0).min(ANSWER_BYTES_MAX);
    while body.len() < wanted {
        let mut chunk = [0; READ_BYTES];
        match stream.read(&mut chunk).await {
            Ok(count) if count > 0 => body.extend_from_slice(&chunk[..count]),
            Ok(_) | Err(_) => break,
        }
    }
    let body = String::from_utf8_lossy(&body).into_owned();
    ConnectError::Refused { status, retry_after: retry_after.map(Duration::from_secs), body }
}
