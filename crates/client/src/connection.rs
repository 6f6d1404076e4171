//! One WebSocket connection, as a client: text frames both ways.
//!
//! Owns the socket and what was not written yet. It reads and writes at the same time, so that two
//! ends which both have much to say can't wait for each other. It never reads JSON and never
//! connects again.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use draftwire_websocket::{Decoder, Item, Opcode, Role, encode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::address::Address;
use crate::handshake::{self, ConnectError};
use crate::stream::Stream;

/// Largest message taken from a server.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
const READ_BYTES: usize = 16 * 1024;
/// The close code of a client that is done.
const NORMAL: u16 = 1000;

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
    stream: Box<dyn Stream>,
    decoder: Decoder,
    buffer: Vec<u8>,
    /// What of `buffer` was not decoded yet.
    start: usize,
    /// Frames that were not written yet: kept, so that a dropped future tears none apart.
    outgoing: Vec<u8>,
    /// True while written bytes may still wait in the stream.
    is_unflushed: bool,
    said_goodbye: bool,
    heard: Instant,
}

impl Connection {
    /// Connects to `path` (with its query) and authenticates with the token.
    ///
    /// # Errors
    ///
    /// Where there is no network, or the server refuses; each says what to do.
    pub async fn open(address: &Address, path: &str, token: &str) -> Result<Self, ConnectError> {
        let (stream, buffer) = handshake::open(address, path, token).await?;
        Ok(Self {
            stream,
            decoder: Decoder::new(Role::Client, MESSAGE_BYTES_MAX),
            buffer,
            start: 0,
            outgoing: Vec::new(),
            is_unflushed: false,
            said_goodbye: false,
            heard: Instant::now(),
        })
    }

    /// Sends a text frame.
    ///
    /// # Errors
    ///
    /// Where the connection is lost.
    pub async fn send(&mut self, text: &str) -> io::Result<()> {
        self.enqueue(text)?;
        self.flush().await
    }

    /// Says goodbye; [`Connection::next`] then brings the server's answer.
    ///
    /// # Errors
    ///
    /// Where the connection is lost.
    pub async fn close(&mut self) -> io::Result<()> {
        self.goodbye(NORMAL)?;
        self.flush().await
    }

    /// Puts a text frame behind those that were not written yet; [`Connection::next`] writes it.
    pub(crate) fn enqueue(&mut self, text: &str) -> io::Result<()> {
        self.queue(Opcode::Text, text.as_bytes())
    }

    /// Bytes that were not written yet.
    pub(crate) fn unsent_bytes(&self) -> usize {
        self.outgoing.len()
    }

    /// How long nothing came, pings included.
    pub(crate) fn silent_for(&self) -> Duration {
        self.heard.elapsed()
    }

    fn goodbye(&mut self, code: u16) -> io::Result<()> {
        if std::mem::replace(&mut self.said_goodbye, true) {
            return Ok(());
        }
        self.queue(Opcode::Close, &code.to_be_bytes())
    }

    fn queue(&mut self, opcode: Opcode, payload: &[u8]) -> io::Result<()> {
        let mut mask = [0; 4];
        getrandom::fill(&mut mask).map_err(io::Error::other)?;
        self.outgoing.extend_from_slice(&encode::masked_frame(true, opcode, payload, mask));
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|context| self.poll_flush(context)).await
    }

    /// Writes as much as the socket takes.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outgoing.is_empty() {
            let writing = Pin::new(&mut self.stream).poll_write(context, &self.outgoing);
            let written = ready!(writing)?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.outgoing.drain(..written);
            self.is_unflushed = true;
        }
        if self.is_unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(context))?;
            self.is_unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what waits and reads what comes, whichever the socket allows; the bytes read.
    fn poll_exchange(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Err(error)) = self.poll_flush(context) {
            return Poll::Ready(Err(error));
        }
        let mut chunk = [0; READ_BYTES];
        let mut chunk = ReadBuf::new(&mut chunk);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut chunk))?;
        self.buffer.extend_from_slice(chunk.filled());
        self.heard = Instant::now();
        Poll::Ready(Ok(chunk.filled().len()))
    }

    /// The next message; pings and a goodbye are answered on the way. `None` when the server has
    /// hung up. The future may be dropped at any time: nothing is lost and no frame is torn apart.
    ///
    /// # Errors
    ///
    /// Where the connection is lost, or the server breaks RFC 6455.
    pub async fn next(&mut self) -> io::Result<Option<Message>> {
        loop {
            match self.decode()? {
                Step::Message(Message::Closed(code, reason)) => {
                    self.goodbye(NORMAL)?;
                    // As much as the socket takes at once: the other side may be gone already.
                    let _ = poll_fn(|context| Poll::Ready(self.poll_flush(context))).await;
                    return Ok(Some(Message::Closed(code, reason)));
                }
                Step::Message(message) => return Ok(Some(message)),
                Step::Pong(payload) => self.queue(Opcode::Pong, &payload)?,
                Step::Starved => {
                    if poll_fn(|context| self.poll_exchange(context)).await? == 0 {
                        return Ok(None);
                    }
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
