//! Reading frames into whole messages (RFC 6455 §5.4, §5.5 and §8.1; RFC 7692 §6.2).
//!
//! Owns the state of one direction of one connection: where in a frame it stands, which message
//! is incomplete and whether the stream has ended. It never reads a socket, answers a ping or a
//! close, or keeps memory while nothing is incomplete. The connection loops of the server and the
//! client call [`Decoder::next`] with the bytes that they have read.

use crate::close::{self, CloseFrame};
use crate::control::ControlBuffer;
use crate::encode::CONTROL_BYTES_MAX;
use crate::error::ProtocolError;
use crate::header::{Header, HeaderReader};
use crate::inflate;
use crate::mask;
use crate::message::{Inflated, Message};
use crate::opcode::Opcode;
use crate::role::Role;

/// A whole message or control frame, lent from the input or, if it came in pieces, the decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// A whole text message (RFC 6455 §5.6), no longer than the decoder's maximum.
    Text(&'a str),
    /// A whole binary message (RFC 6455 §5.6), no longer than the decoder's maximum.
    Binary(&'a [u8]),
    /// A ping of at most 125 bytes, to be answered by a pong with the same (RFC 6455 §5.5.2).
    Ping(&'a [u8]),
    /// A pong of at most 125 bytes, which needs no answer (RFC 6455 §5.5.3).
    Pong(&'a [u8]),
    /// The peer's last frame, to be answered by a close if none was sent yet (RFC 6455 §5.5.1).
    Close(Option<CloseFrame<'a>>),
}

/// The decoder of what one peer sends; a thousand idle ones cost at most 96,000 bytes.
#[derive(Debug)]
pub struct Decoder {
    message_bytes_max: usize,
    /// The message that is incomplete, or was lent out by the call before.
    message: Option<Message>,
    /// The control payload that is incomplete, or was lent out by the call before.
    control: Option<Box<ControlBuffer>>,
    reading: Reading,
    role: Role,
    /// Compressed messages were agreed on (RFC 7692).
    compression: bool,
    is_message_delivered: bool,
    is_finished: bool,
}

const _: () = assert!(size_of::<Decoder>() <= 96, "an idle connection must stay small");

/// Where in a frame the next byte belongs.
#[derive(Debug)]
enum Reading {
    Header(HeaderReader),
    Payload(Frame),
}

/// The frame whose payload is being read.
#[derive(Debug, Clone, Copy)]
struct Frame {
    fin: bool,
    opcode: Opcode,
    /// Begins a compressed message.
    compressed: bool,
    /// Payload bytes that have not arrived.
    remaining: usize,
    /// The mask, turned so that its first byte is for the next byte of the payload.
    mask: [u8; 4],
}

/// Where the payload of an item that is complete lies.
enum Ready {
    /// In the input, from here to the last byte consumed.
    Input(Opcode, usize),
    /// In the control buffer.
    Control(Opcode),
    /// In the message buffer.
    Message,
}

impl Decoder {
    /// A decoder before its first byte, which owns no heap.
    ///
    /// A message with a payload of more than `message_bytes_max` bytes, in one frame or in many, is
    /// refused; control frames are not subject to it.
    pub const fn new(role: Role, message_bytes_max: usize) -> Self {
        Self {
            message_bytes_max,
            message: None,
            control: None,
            reading: Reading::Header(HeaderReader::START),
            role,
            compression: false,
            is_message_delivered: false,
            is_finished: false,
        }
    }

    /// The same for a connection that has agreed on compressed messages (RFC 7692), each of which
    /// stands for itself (no context takeover).
    ///
    /// The maximum is that of the inflated message, and is held while it is inflated. What inflates
    /// it is shared by all decoders of a thread.
    pub const fn with_compression(mut self) -> Self {
        self.compression = true;
        self
    }

    /// Takes bytes from the front of `input` and returns how many, with at most one item.
    ///
    /// A frame that lies whole in `input` is unmasked there and lent from there; bytes of an
    /// incomplete one are kept. Without an item everything was consumed. With one, call again with
    /// the rest, even an empty one: that call also frees the memory of an item that came in pieces.
    /// After an item of [`Item::Close`] or an error all input is consumed and ignored.
    ///
    /// # Errors
    ///
    /// The first offence of the peer, found as soon as the bytes that prove it have arrived: for a
    /// header and a message too big before any payload, for text at the first bad byte.
    pub fn next<'a>(
        &'a mut self,
        input: &'a mut [u8],
    ) -> Result<(usize, Option<Item<'a>>), ProtocolError> {
        self.release_delivered();
        if self.is_finished {
            return Ok((input.len(), None));
        }
        let (consumed, ready) = match self.advance(input) {
            Ok((consumed, Some(ready))) => (consumed, ready),
            Ok((consumed, None)) => return Ok((consumed, None)),
            Err(error) => {
                self.finish();
                return Err(error);
            }
        };
        let item = match ready {
            Ready::Input(opcode, start) => item_of(opcode, &input[start..consumed]),
            Ready::Control(opcode) => {
                item_of(opcode, self.control.as_ref().map_or(&[], |control| control.as_bytes()))
            }
            Ready::Message => item_of_message(self.message.as_ref()),
        };
        self.is_finished = matches!(item, Err(_) | Ok(Item::Close(_)));
        item.map(|item| (consumed, Some(item)))
    }

    /// True while a part of a frame or of a message was taken, but not all of it.
    ///
    /// A connection that ends in this state was cut off.
    pub fn is_mid_message(&self) -> bool {
        let is_mid_frame = match &self.reading {
            Reading::Header(reader) => !reader.is_at_start(),
            Reading::Payload(_) => true,
        };
        is_mid_frame || (self.message.is_some() && !self.is_message_delivered)
    }

    /// Heap bytes that are kept for an incomplete message and an incomplete control frame.
    ///
    /// At most `message_bytes_max` + 125; an eighth more while a compressed message is incomplete,
    /// which DEFLATE may make larger than what it stands for. An item that came in pieces is counted until the call
    /// of [`next`](Self::next) after it.
    pub fn buffered_bytes(&self) -> usize {
        let control = if self.control.is_some() { CONTROL_BYTES_MAX } else { 0 };
        control + self.message.as_ref().map_or(0, Message::capacity)
    }

    /// Frees what the call before has lent out; it cannot be borrowed any more.
    fn release_delivered(&mut self) {
        if self.is_message_delivered {
            self.message = None;
            self.is_message_delivered = false;
        }
        // While an incomplete control frame is in this buffer, its payload is being read.
        if matches!(self.reading, Reading::Header(_)) {
            self.control = None;
        }
    }

    /// Ends the stream and frees everything.
    fn finish(&mut self) {
        *self = Self { is_finished: true, ..Self::new(self.role, self.message_bytes_max) };
    }

    /// Reads frames until an item is complete or the input is used up.
    fn advance(&mut self, input: &mut [u8]) -> Result<(usize, Option<Ready>), ProtocolError> {
        let mut consumed = 0;
        loop {
            let frame = match &mut self.reading {
                Reading::Payload(frame) => *frame,
                Reading::Header(reader) => {
                    let (taken, header) =
                        reader.take(&input[consumed..], self.role, self.compression)?;
                    consumed += taken;
                    let Some(header) = header else {
                        return Ok((consumed, None));
                    };
                    self.admit(&header)?
                }
            };
            let start = consumed;
            consumed += frame.remaining.min(input.len() - start);
            let payload = &mut input[start..consumed];
            mask::apply(payload, frame.mask);
            if payload.len() < frame.remaining {
                self.keep_part(frame, payload)?;
                return Ok((consumed, None));
            }
            self.reading = Reading::Header(HeaderReader::START);
            if let Some(ready) = self.end_frame(frame, payload, start)? {
                return Ok((consumed, Some(ready)));
            }
        }
    }

    /// Judges a header by what came before it (RFC 6455 §5.4) and by the size of its message.
    fn admit(&self, header: &Header) -> Result<Frame, ProtocolError> {
        match (header.opcode, &self.message) {
            (Opcode::Continuation, None) => return Err(ProtocolError::UnexpectedContinuation),
            (Opcode::Text | Opcode::Binary, Some(_)) => {
                return Err(ProtocolError::InterleavedMessage);
            }
            _ => {}
        }
        let room = if header.opcode.is_control() {
            CONTROL_BYTES_MAX
        } else {
            let message_bytes = self.message.as_ref().map_or(0, Message::len);
            self.kept_bytes_max(header.compressed).saturating_sub(message_bytes)
        };
        let remaining = usize::try_from(header.payload_len).unwrap_or(usize::MAX);
        if remaining > room {
            return Err(ProtocolError::TooBig);
        }
        let Header { fin, opcode, compressed, mask, .. } = *header;
        Ok(Frame { fin, opcode, compressed, remaining, mask })
    }

    /// The most bytes that the message which is incomplete, or which a frame begins, may take as it
    /// arrives.
    fn kept_bytes_max(&self, begins_compressed: bool) -> usize {
        if begins_compressed || matches!(self.message, Some(Message::Compressed(..))) {
            return inflate::compressed_bytes_max(self.message_bytes_max);
        }
        self.message_bytes_max
    }

    /// Keeps a piece of a payload whose end has not arrived.
    fn keep_part(&mut self, frame: Frame, payload: &[u8]) -> Result<(), ProtocolError> {
        if !payload.is_empty() {
            self.keep(frame, payload)?;
        }
        self.reading = Reading::Payload(Frame {
            remaining: frame.remaining - payload.len(),
            mask: mask::key_after(frame.mask, payload.len()),
            ..frame
        });
        Ok(())
    }

    /// Ends a frame with the last piece of its payload, which lies at `start` of the input.
    fn end_frame(
        &mut self,
        frame: Frame,
        payload: &[u8],
        start: usize,
    ) -> Result<Option<Ready>, ProtocolError> {
        if frame.opcode == Opcode::Close {
            // Nothing after a close can complete the message that it interrupts.
            self.message = None;
        }
        let is_control = frame.opcode.is_control();
        let is_first_piece =
            if is_control { self.control.is_none() } else { self.message.is_none() };
        if is_first_piece && frame.fin {
            if frame.compressed {
                let whole = inflate::message(payload, kind_of(frame), self.message_bytes_max)?;
                return Ok(Some(self.deliver(whole)));
            }
            return Ok(Some(Ready::Input(frame.opcode, start)));
        }
        self.keep(frame, payload)?;
        if is_control {
            return Ok(Some(Ready::Control(frame.opcode)));
        }
        if !frame.fin {
            return Ok(None);
        }
        match self.message.take() {
            Some(Message::Compressed(bytes, kind)) => {
                let whole = inflate::message(&bytes, kind, self.message_bytes_max)?;
                Ok(Some(self.deliver(whole)))
            }
            message => {
                self.message = message;
                self.is_message_delivered = true;
                Ok(Some(Ready::Message))
            }
        }
    }

    /// Lends an inflated message out until the next call.
    fn deliver(&mut self, whole: Message) -> Ready {
        self.message = Some(whole);
        self.is_message_delivered = true;
        Ready::Message
    }

    /// Appends a piece of a payload to the buffer of its kind.
    fn keep(&mut self, frame: Frame, payload: &[u8]) -> Result<(), ProtocolError> {
        if frame.opcode.is_control() {
            let control = self.control.get_or_insert_with(|| Box::new(ControlBuffer::EMPTY));
            control.push(payload);
            return Ok(());
        }
        let kept_bytes_max = self.kept_bytes_max(frame.compressed);
        let message = self.message.get_or_insert_with(|| {
            if frame.compressed {
                return Message::Compressed(Vec::new(), kind_of(frame));
            }
            kind_of(frame).empty()
        });
        // The last frame says how large the message will be, all others only that it may grow.
        let bytes_max = if frame.fin { message.len() + frame.remaining } else { kept_bytes_max };
        message.push(payload, bytes_max)
    }
}

/// What the message becomes that a frame begins.
fn kind_of(frame: Frame) -> Inflated {
    match frame.opcode {
        Opcode::Text => Inflated::Text,
        _ => Inflated::Binary,
    }
}

/// The item of a frame whose payload is whole.
fn item_of(opcode: Opcode, payload: &[u8]) -> Result<Item<'_>, ProtocolError> {
    match opcode {
        Opcode::Text => match str::from_utf8(payload) {
            Ok(text) => Ok(Item::Text(text)),
            Err(_) => Err(ProtocolError::InvalidUtf8),
        },
        Opcode::Binary => Ok(Item::Binary(payload)),
        Opcode::Ping => Ok(Item::Ping(payload)),
        Opcode::Pong => Ok(Item::Pong(payload)),
        Opcode::Close => close::parse(payload).map(Item::Close),
        // The decoder keeps every continuation in its message buffer and lends it from there.
        Opcode::Continuation => Err(ProtocolError::UnexpectedContinuation),
    }
}

/// The item of the message buffer once its last fragment is in it; without one there was nothing
/// to continue.
fn item_of_message(message: Option<&Message>) -> Result<Item<'_>, ProtocolError> {
    match message.ok_or(ProtocolError::UnexpectedContinuation)? {
        Message::Text(text) => text.whole().map(Item::Text).ok_or(ProtocolError::InvalidUtf8),
        Message::Binary(bytes) => Ok(Item::Binary(bytes)),
        // Inflated before it is made ready.
        Message::Compressed(..) => Err(ProtocolError::InvalidDeflate),
    }
}
