//! Compressing a frame that was made already (RFC 7692 §7.2.1).
//!
//! Owns the deflaters of each thread, at most one for each size of window, made when first wanted.
//! Every message stands for itself, so the same compressed frame goes to every connection that has
//! agreed to its window, and no connection keeps anything. It never decides which frames are worth
//! it; the server calls it, once for each frame and window.

use std::cell::RefCell;

use zlib_rs::{Deflate, DeflateFlush};

use crate::encode;
use crate::extension::WindowBits;
use crate::header::COMPRESSED_BIT;
use crate::opcode::Opcode;

/// How hard it tries, of 9: the least, since every event is compressed while somebody waits for it.
const LEVEL: i32 = 1;
/// What a flush ends with and the sender cuts off (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];

thread_local! {
    static DEFLATERS: RefCell<[Option<Deflate>; WindowBits::COUNT]> =
        const { RefCell::new([const { None }; WindowBits::COUNT]) };
}

/// The same message compressed, as one unmasked frame of exactly its size.
///
/// `frame` is a whole text or binary message as [`encode::text`] and [`encode::binary`] make it.
/// `None` for any other frame, and where compression would not make it smaller: then `frame` itself
/// is to be sent (RFC 7692 §6.1 leaves that to every message).
pub fn compressed_frame(frame: &[u8], window_bits: WindowBits) -> Option<Vec<u8>> {
    let (opcode, payload) = whole_message(frame)?;
    let mut output = vec![0; output_bytes_max(payload.len())];
    let made = DEFLATERS.with_borrow_mut(|deflaters| {
        let place = &mut deflaters[window_bits.index()];
        // Taken out: one that has not come to its end is thrown away. To begin anew does not make
        // it forget all of what it was about (zlib-rs 0.6.8 panics over that, or writes garbage).
        let mut deflater =
            place.take().unwrap_or_else(|| Deflate::new(LEVEL, false, window_bits.bits()));
        deflater.reset();
        deflater.compress(payload, &mut output, DeflateFlush::SyncFlush).ok()?;
        let made = deflater.total_out() as usize;
        // A full buffer may not hold all of the flush.
        let is_whole = deflater.total_in() == payload.len() as u64 && made < output.len();
        is_whole.then(|| {
            *place = Some(deflater);
            made
        })
    })?;
    let compressed = output[..made].strip_suffix(&TAIL)?;
    if compressed.len() >= payload.len() {
        return None;
    }
    let mut frame = encode::frame(true, opcode, compressed);
    frame[0] |= COMPRESSED_BIT;
    Some(frame)
}

/// Room for whatever a deflater makes of so many bytes: nine bits for each, and what begins and
/// ends blocks.
const fn output_bytes_max(payload_bytes: usize) -> usize {
    payload_bytes + payload_bytes / 8 + 64
}

/// The opcode and payload of a frame that is a whole, unmasked, uncompressed data message.
fn whole_message(frame: &[u8]) -> Option<(Opcode, &[u8])> {
    let first = *frame.first()?;
    let opcode = [Opcode::Text, Opcode::Binary]
        .into_iter()
        .find(|opcode| first == encode::FINAL_BIT | opcode.bits())?;
    let header_bytes = match *frame.get(1)? {
        0..=125 => 2,
        encode::LENGTH_IS_16_BITS => 4,
        encode::LENGTH_IS_64_BITS => 10,
        _ => return None,
    };
    Some((opcode, frame.get(header_bytes..)?))
}
