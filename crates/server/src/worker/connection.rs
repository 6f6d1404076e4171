//! One socket with its codec, outbox and session.
//!
//! Owns the moving of bytes: from the socket through the codec into the session, and from the
//! outbox into the socket. An idle connection owns no buffer.

use std::io::{self, ErrorKind};

use draftwire_protocol::{CloseCode, Timestamp};
use draftwire_websocket::{Decoder, Item, Role};

use super::job::Newcomer;
use super::socket::{Socket, token_of};
use crate::admission::Seat;
use crate::clock::Now;
use crate::delivery::ConnectionKey;
use crate::outbox::Outbox;
use crate::session::{Desk, Session};

/// Reads of one connection in one turn, so that a flood from one does not hold up the others.
const READS_PER_TURN: usize = 4;

/// What a socket has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It lives.
    Open,
    /// More can be read from it at once.
    Ready,
    /// It is gone.
    Gone,
}

pub(super) struct Connection {
    pub(super) key: ConnectionKey,
    pub(super) session: Session,
    pub(super) outbox: Outbox,
    pub(super) connected_at: Timestamp,
    pub(super) outbox_bytes_max: usize,
    /// Gives the place in the house back. Dropped before the socket: a client that sees the
    /// connection's end may come in again at once.
    _seat: Option<Seat>,
    socket: Socket,
    decoder: Decoder,
    /// Bytes that came while the session did not read.
    stash: Vec<u8>,
    /// The socket may hold more to read.
    readable: bool,
    /// The socket took less than it was given.
    blocked: bool,
    /// The system tells when it has room again.
    awaits_writing: bool,
    /// In the list of connections to settle.
    pub(super) touched: bool,
}

impl Connection {
    pub(super) fn new(newcomer: Newcomer, key: ConnectionKey, desk: &Desk, now: Now) -> Self {
        let session = Session::new(&newcomer.hello, desk, now);
        let mut decoder = Decoder::new(Role::Server, newcomer.message_bytes_max);
        if session.compression.is_some() {
            decoder = decoder.with_compression();
        }
        let mut outbox = Outbox::default();
        if !newcomer.greeting.is_empty() {
            outbox.push_exempt(newcomer.greeting);
        }
        Self {
            key,
            session,
            outbox,
            connected_at: now.wall,
            outbox_bytes_max: newcomer.outbox_bytes_max,
            socket: newcomer.socket,
            decoder,
            stash: newcomer.leftover,
            // The system tells at registration if there is something.
            readable: false,
            blocked: false,
            awaits_writing: false,
            touched: false,
            _seat: newcomer.seat,
        }
    }

    pub(super) fn socket(&mut self) -> &mut Socket {
        &mut self.socket
    }

    /// The system says that the socket can be read or written.
    pub(super) fn notice(&mut self, readable: bool, writable: bool, now: Now) {
        self.readable |= readable;
        if writable && self.blocked {
            // The other side has taken something: that is a sign of life.
            self.blocked = false;
            self.session.heard(now.steady);
        }
    }

    /// True where [`Connection::read`] would find something to do.
    pub(super) fn wants_reading(&self, desk: &Desk) -> bool {
        (self.readable || !self.stash.is_empty()) && self.takes_bytes(desk)
    }

    fn takes_bytes(&self, desk: &Desk) -> bool {
        self.session.is_reading(desk) || self.session.is_closing()
    }

    /// Reads and acts on what has come, up to a few buffers.
    pub(super) fn read(&mut self, buffer: &mut [u8], desk: &Desk, now: Now) -> Fate {
        if !self.stash.is_empty() && self.takes_bytes(desk) {
            let mut stash = std::mem::take(&mut self.stash);
            self.consume(&mut stash, desk, now);
        }
        for _ in 0..READS_PER_TURN {
            if !self.readable || !self.takes_bytes(desk) {
                return Fate::Open;
            }
            match self.socket.read(buffer) {
                Ok(0) => return Fate::Gone,
                Ok(count) => {
                    self.session.heard(now.steady);
                    self.consume(&mut buffer[..count], desk, now);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                Err(_) => return Fate::Gone,
            }
        }
        Fate::Ready
    }

    fn consume(&mut self, bytes: &mut [u8], desk: &Desk, now: Now) {
        let mut at = 0;
        loop {
            if at < bytes.len() && !self.takes_bytes(desk) {
                self.stash.extend_from_slice(&bytes[at..]);
                return;
            }
            let Self { decoder, session, outbox, key, .. } = self;
            match decoder.next(&mut bytes[at..]) {
                // Asked until it has nothing: the last question also frees its buffer.
                Ok((_, None)) => return,
                Ok((taken, Some(item))) => {
                    at += taken;
                    act(item, session, *key, outbox, desk, now);
                }
                Err(error) => {
                    let code = CloseCode::from_code(error.close_code());
                    let code = code.unwrap_or(CloseCode::ProtocolError);
                    session.fail(code, outbox, desk, now.steady);
                    return;
                }
            }
        }
    }

    /// Writes until nothing waits or the socket is full.
    pub(super) fn flush(&mut self, scratch: &mut Vec<u8>) -> Fate {
        while !self.blocked {
            let Some(bytes) = self.outbox.next_write(scratch) else { break };
            let wanted = bytes.len();
            match self.socket.write(bytes) {
                Ok(written) => {
                    self.outbox.advance(written);
                    // A short write means that the socket is full: the system will tell when it
                    // has room again.
                    self.blocked = written < wanted;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.blocked = true,
                Err(_) => return Fate::Gone,
            }
        }
        if self.outbox.is_empty() && self.session.has_failed() {
            // RFC 6455 §7.1.7: the server ends a failed connection itself. What the other side
            // still sends is read and thrown away, or the system would cut the close frame off.
            self.socket.shut_down_writing();
        }
        Fate::Open
    }

    /// The socket is full.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Closes a device that takes its events too slowly: what waits is thrown away (it resumes
    /// from its position), so that the close frame has a chance to get through.
    pub(super) fn close_slow(&mut self, desk: &Desk, now: Now) {
        desk.stats.slow_closes.increment();
        self.outbox.clear_unsent();
        self.session.close(CloseCode::SlowConsumer, &mut self.outbox, desk, now.steady);
    }

    pub(super) fn is_over_bound(&self) -> bool {
        self.outbox.counted_bytes() > self.outbox_bytes_max && !self.session.is_closing()
    }

    /// True when nothing is left to say and nobody listens any more.
    pub(super) fn is_finished(&self) -> bool {
        self.session.is_closed_by_both() && self.outbox.is_empty()
    }

    pub(super) fn register(&mut self, registry: &mio::Registry) -> io::Result<()> {
        self.socket.register(registry, token_of(self.key))
    }

    /// Sees to it that a full socket is heard of again.
    pub(super) fn await_writing(&mut self, registry: &mio::Registry) -> Fate {
        if self.blocked && !self.awaits_writing {
            if let Err(error) = self.socket.await_writing(registry, token_of(self.key)) {
                tracing::error!(%error, "a full socket can't be waited for and is dropped");
                return Fate::Gone;
            }
            self.awaits_writing = true;
        }
        Fate::Open
    }
}

fn act(
    item: Item<'_>,
    session: &mut Session,
    key: ConnectionKey,
    outbox: &mut Outbox,
    desk: &Desk,
    now: Now,
) {
    match item {
        Item::Close(frame) => {
            session.peer_closed(frame.map(|frame| frame.code), outbox, desk, now.steady);
        }
        _ if session.is_closing() => {}
        Item::Text(text) => session.text(text, key, outbox, desk, now),
        Item::Binary(bytes) => session.binary(bytes, outbox, desk, now),
        Item::Ping(payload) => {
            outbox.push(draftwire_websocket::encode::pong(payload).into());
            session.count_frame(outbox, desk, now.steady);
        }
        Item::Pong(_) => session.count_frame(outbox, desk, now.steady),
    }
}
