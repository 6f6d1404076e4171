//! Plain HTTP for the tests, byte by byte: one request a connection, and handshakes that may be
//! refused.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use super::server::PATIENCE;

/// What the server answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Status line and headers, in lower case.
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.find(|(found, _)| *found == name).map(|(_, value)| value.trim())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let head = head.to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no HTTP: {text:?}"));
        Self { status, head, body: body.to_owned() }
    }
}

pub fn connect(authority: &str) -> TcpStream {
    let stream = TcpStream::connect(authority).expect("the server accepts connections");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// One request; HTTP/1.0, so that the answer ends with the connection.
pub fn request(authority: &str, method: &str, path: &str, token: &str, body: &str) -> Answer {
    let mut stream = connect(authority);
    let length = body.len();
    let text = format!(
        "{method} {path} HTTP/1.0\r\nHost: {authority}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    Answer::parse(&answer)
}

pub fn get(authority: &str, path: &str, token: &str) -> Answer {
    request(authority, "GET", path, token, "")
}

/// A handshake with more headers (each with its line end); the socket, and the answer with what
/// of the body came with it.
pub fn handshake(authority: &str, target: &str, headers: &str) -> (TcpStream, Answer) {
    let mut stream = connect(authority);
    let text = format!(
        "GET {target} HTTP/1.1\r\nHost: {authority}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    );
    stream.write_all(text.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    // Byte by byte up to the end of the head, so that no frame behind it is lost.
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        assert_ne!(stream.read(&mut byte).unwrap(), 0, "the answer breaks off: {bytes:?}");
        bytes.push(byte[0]);
    }
    let mut answer = Answer::parse(&bytes);
    let length = answer.header("content-length").and_then(|length| length.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).unwrap();
    answer.body = String::from_utf8(body).unwrap();
    (stream, answer)
}

/// Reads until the server has hung up; returns what came.
pub fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset is an end as well.
    drop(stream.read_to_end(&mut bytes));
    bytes
}

/// Reads what comes next; nothing when the server has hung up.
pub fn read_some(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = vec![0; 64 * 1024];
    let count = stream.read(&mut bytes).unwrap_or(0);
    bytes.truncate(count);
    bytes
}
