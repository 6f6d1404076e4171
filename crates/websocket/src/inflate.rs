//! Inflating one compressed message (RFC 7692 §7.2.2) within a bound.
//!
//! Owns the inflater of each thread, which every decoder there borrows for one message at a time:
//! messages stand for themselves (no context takeover), so a connection keeps nothing of it. What
//! comes out is taken in pieces and counted before it is kept, so a message that swells costs no
//! more than the bound. It never sees a frame; the decoder calls it when a message is whole.

use std::cell::RefCell;

use zlib_rs::{Inflate, InflateFlush, Status};

use crate::error::ProtocolError;
use crate::message::{Inflated, Message};

/// Bytes that are inflated between two looks at the bound; one buffer serves a whole thread.
const PIECE_BYTES: usize = 16 * 1024;
/// The window that any sender's fits into (RFC 7692 §7.1.2.2: the server need not limit it).
const WINDOW_BITS: u8 = 15;
/// What the sender has cut off the end (RFC 7692 §7.2.1), and a last, empty block behind it. The
/// inflater reaches the end of that block exactly where the message was whole: one that was cut off
/// swallows it as data, or trips over it.
const TAIL: [u8; 9] = [0x00, 0x00, 0xFF, 0xFF, 0x01, 0x00, 0x00, 0xFF, 0xFF];
/// Streams that a message may consist of. A sender that ends one ends it once a flush (RFC 7692
/// §7.2.3.4); beginning anew costs more than the two bytes that demand it.
const STREAMS_MAX: usize = 1024;

thread_local! {
    static INFLATER: RefCell<Option<Inflater>> = const { RefCell::new(None) };
}

struct Inflater {
    stream: Inflate,
    piece: Box<[u8]>,
}

/// The most compressed bytes that stand for `message_bytes_max` bytes: an honest sender may make a
/// message larger by up to an eighth (zlib's own bound for its smallest memory), not by more.
pub(crate) const fn compressed_bytes_max(message_bytes_max: usize) -> usize {
    message_bytes_max.saturating_add(message_bytes_max / 8).saturating_add(64)
}

/// The message that the whole compressed payload stands for; no longer than `message_bytes_max`.
///
/// An empty payload is an empty message: some senders leave the empty block away altogether.
pub(crate) fn message(
    payload: &[u8],
    kind: Inflated,
    message_bytes_max: usize,
) -> Result<Message, ProtocolError> {
    let mut message = kind.empty();
    if payload.is_empty() {
        return Ok(message);
    }
    INFLATER.with_borrow_mut(|inflater| {
        let inflater = inflater.get_or_insert_with(|| Inflater {
            stream: Inflate::new(false, WINDOW_BITS),
            piece: vec![0; PIECE_BYTES].into(),
        });
        inflater.whole(payload, &mut message, message_bytes_max)
    })?;
    Ok(message)
}

impl Inflater {
    fn whole(
        &mut self,
        payload: &[u8],
        message: &mut Message,
        message_bytes_max: usize,
    ) -> Result<(), ProtocolError> {
        let mut rest = payload;
        for _ in 0..STREAMS_MAX {
            self.stream.reset(false);
            match self.feed(rest, message, message_bytes_max)? {
                // The last block of a stream: what is behind it, if anything, is another one.
                Some([]) => return Ok(()),
                Some(behind) => rest = behind,
                None => {
                    let made = self.stream.total_out();
                    // Nothing may come out of it, neither too much nor bad text: a stored block that
                    // was cut off would take its bytes from here.
                    let end = self.feed(&TAIL, message, message_bytes_max);
                    let end = end.map_err(|_| ProtocolError::InvalidDeflate)?;
                    let is_whole = end == Some(&[]) && self.stream.total_out() == made;
                    return if is_whole { Ok(()) } else { Err(ProtocolError::InvalidDeflate) };
                }
            }
        }
        Err(ProtocolError::InvalidDeflate)
    }

    /// Inflates all of `input`; returns what is behind the stream's last block if it was reached.
    fn feed<'a>(
        &mut self,
        mut input: &'a [u8],
        message: &mut Message,
        message_bytes_max: usize,
    ) -> Result<Option<&'a [u8]>, ProtocolError> {
        loop {
            let (taken, made) = (self.stream.total_in(), self.stream.total_out());
            let status = self.stream.decompress(input, &mut self.piece, InflateFlush::NoFlush);
            let status = status.map_err(|_| ProtocolError::InvalidDeflate)?;
            let taken = (self.stream.total_in() - taken) as usize;
            let made = (self.stream.total_out() - made) as usize;
            if made > message_bytes_max - message.len() {
                return Err(ProtocolError::TooBig);
            }
            message.push(&self.piece[..made], message_bytes_max)?;
            input = &input[taken..];
            if status == Status::StreamEnd {
                return Ok(Some(input));
            }
            if input.is_empty() && made < self.piece.len() {
                return Ok(None);
            }
            if taken == 0 && made == 0 {
                return Err(ProtocolError::InvalidDeflate);
            }
        }
    }
}
