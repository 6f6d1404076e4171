//! A device of the simulation: a client with one end of a socket pair, moved step by step.
//!
//! Owns the bytes on their way; what they say is the client's.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use draftwire_websocket::{Decoder, Item, Opcode, Role, encode};
use fastrand::Rng;

use crate::client::Client;
use crate::history::Record;

/// Largest message that a device takes.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Bytes that a device reads in one go at most.
const READ_BYTES_MAX: usize = 8 * 1024;

/// An open connection, as the device sees it.
struct Line {
    stream: UnixStream,
    decoder: Decoder,
    /// Bytes that are on their way to the server.
    out: VecDeque<u8>,
}

/// A connection that the device has given up, and the server has not.
pub struct Stray {
    stream: UnixStream,
    out: VecDeque<u8>,
}

/// One device.
pub struct Device {
    /// Its user.
    pub user: Arc<str>,
    /// What it knows and has written down.
    pub client: Client,
    line: Option<Line>,
    /// Steps before it connects again.
    pause: u32,
    /// Turns in which it reads nothing.
    asleep: u32,
}

impl Device {
    /// A device that has never connected.
    pub fn new(user: &Arc<str>, name: String) -> Self {
        Self {
            user: Arc::clone(user),
            client: Client::new(name, 4, 1_100),
            line: None,
            pause: 0,
            asleep: 0,
        }
    }

    /// True where it should open a connection now.
    pub fn wants_to_connect(&mut self) -> bool {
        if self.line.is_some() {
            return false;
        }
        self.pause = self.pause.saturating_sub(1);
        self.pause == 0
    }

    /// It has been let in.
    pub fn connected(&mut self, stream: UnixStream) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        self.client.opened();
        let decoder = Decoder::new(Role::Client, MESSAGE_BYTES_MAX);
        self.line = Some(Line { stream, decoder, out: VecDeque::new() });
        Ok(())
    }

    /// The connection is lost, and it comes back after so many steps. What is given back is still
    /// open towards the server.
    pub fn lose(&mut self, pause: u32) -> Option<Stray> {
        let line = self.line.take()?;
        self.client.ended();
        self.pause = pause;
        Some(Stray { stream: line.stream, out: line.out })
    }

    /// It reads nothing for so many turns, and then goes on.
    pub fn sleep(&mut self, turns: u32) {
        self.asleep = turns;
    }

    /// True where it has a connection that has been greeted.
    pub fn is_welcome(&self) -> bool {
        self.line.is_some() && self.client.is_welcome()
    }

    /// True where nothing waits to be answered or sent.
    pub fn is_settled(&self) -> bool {
        self.client.unanswered() == 0 && self.line.as_ref().is_some_and(|line| line.out.is_empty())
    }

    /// Writes what may be written, cut anywhere; reads some of what has come. In a hush no new
    /// command is sent. False where the connection has ended.
    pub fn exchange(&mut self, rng: &mut Rng, hush: bool) -> bool {
        if !hush {
            self.send_due();
        }
        let Some(line) = &mut self.line else { return true };
        let alive = flow(&mut line.stream, &mut line.out, rng).is_ok() && self.read(rng);
        if !alive && self.line.take().is_some() {
            self.client.ended();
            self.pause = self.pause.max(rng.u32(1..12));
        }
        alive
    }

    fn send_due(&mut self) {
        let Some(line) = &mut self.line else { return };
        while let Some(text) = self.client.next_due() {
            let mask = [7, 1, 9, 3];
            line.out.extend(encode::masked_frame(true, Opcode::Text, text.as_bytes(), mask));
        }
    }

    fn read(&mut self, rng: &mut Rng) -> bool {
        if self.asleep > 0 {
            self.asleep -= 1;
            return true;
        }
        let mut buffer = [0; READ_BYTES_MAX];
        let wanted = if rng.bool() { READ_BYTES_MAX } else { rng.usize(1..400) };
        let Some(line) = &mut self.line else { return true };
        let count = match line.stream.read(&mut buffer[..wanted]) {
            Ok(0) => return false,
            Ok(count) => count,
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        };
        let mut at = 0;
        loop {
            let Some(line) = &mut self.line else { return false };
            let (taken, item) = match line.decoder.next(&mut buffer[at..count]) {
                Ok((taken, item)) => (taken, item),
                Err(error) => {
                    // The checker sees what is no frame of the protocol.
                    self.client.note(Record::Received(format!("not a frame: {error}")));
                    return false;
                }
            };
            at += taken;
            match item {
                None => return true,
                Some(Item::Ping(payload)) => {
                    let pong = encode::masked_frame(true, Opcode::Pong, payload, [1, 2, 3, 4]);
                    line.out.extend(pong);
                }
                Some(Item::Text(text)) => {
                    let text = text.to_owned();
                    if !self.client.receive(text) {
                        drop(self.lose(3));
                        return true;
                    }
                }
                Some(Item::Close(_)) => {
                    // The answer need not arrive: the server waits for it for a while only.
                    let close = encode::masked_frame(true, Opcode::Close, &[], [0; 4]);
                    return line.stream.write(&close).is_err();
                }
                Some(Item::Binary(_) | Item::Pong(_)) => {}
            }
        }
    }
}

impl Stray {
    /// Goes on sending what was on its way. False where there is nothing more, or nobody listens.
    pub fn flow(&mut self, rng: &mut Rng) -> bool {
        flow(&mut self.stream, &mut self.out, rng).is_ok() && !self.out.is_empty()
    }
}

/// Writes some of what waits, cut anywhere.
fn flow(stream: &mut UnixStream, out: &mut VecDeque<u8>, rng: &mut Rng) -> io::Result<()> {
    let waiting = out.make_contiguous();
    if waiting.is_empty() {
        return Ok(());
    }
    let count = if rng.bool() { waiting.len() } else { rng.usize(1..=waiting.len()) };
    match stream.write(&waiting[..count]) {
        Ok(written) => {
            out.drain(..written);
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error),
    }
}
