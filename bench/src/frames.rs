//! WebSocket frames as a client of the benchmark reads and writes them (RFC 6455 §5.2).
//!
//! Written with the codec's client role; read by a splitter that is cheap on purpose (no masks, no
//! UTF-8, no fragments joined), so that the load generator costs less than any server it measures.

use draftwire_websocket::{Opcode, encode};

const OPCODE_BITS: u8 = 0x0F;
const LENGTH_BITS: u8 = 0x7F;

/// Cuts a stream of unmasked frames into payloads.
#[derive(Default)]
pub struct FrameReader {
    /// What has come of a frame that is not whole yet.
    partial: Vec<u8>,
}

impl FrameReader {
    /// Hands every whole frame to `on_frame` as opcode and payload.
    pub fn feed(&mut self, bytes: &[u8], mut on_frame: impl FnMut(Option<Opcode>, &[u8])) {
        if self.partial.is_empty() {
            let taken = split(bytes, &mut on_frame);
            self.partial.extend_from_slice(&bytes[taken..]);
            return;
        }
        self.partial.extend_from_slice(bytes);
        let whole = std::mem::take(&mut self.partial);
        let taken = split(&whole, &mut on_frame);
        if taken < whole.len() {
            self.partial = whole[taken..].to_vec();
        }
    }
}

/// Bytes of the whole frames in front.
fn split(bytes: &[u8], on_frame: &mut impl FnMut(Option<Opcode>, &[u8])) -> usize {
    let mut at = 0;
    while let Some((header, length)) = header(&bytes[at..]) {
        let end = at + header + length;
        if end > bytes.len() {
            break;
        }
        on_frame(Opcode::from_bits(bytes[at] & OPCODE_BITS), &bytes[at + header..end]);
        at = end;
    }
    at
}

/// Lengths of header and payload.
fn header(bytes: &[u8]) -> Option<(usize, usize)> {
    let short = usize::from(bytes.get(1)? & LENGTH_BITS);
    match short {
        126 => {
            let length = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
            Some((4, usize::from(length)))
        }
        127 => {
            let length = u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?);
            Some((10, usize::try_from(length).ok()?))
        }
        _ => Some((2, short)),
    }
}

/// Appends a masked frame to `out`. The mask is always the same: what it is makes no difference to
/// what unmasking costs.
pub fn write_masked(opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&encode::masked_frame(true, opcode, payload, [0x5a; 4]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_whole_however_they_are_cut() {
        let mut stream = Vec::new();
        for length in [0, 1, 125, 126, 70_000] {
            stream.extend(draftwire_websocket::encode::text(&"a".repeat(length)));
        }
        for step in [1, 7, 100_000] {
            let (mut reader, mut lengths) = (FrameReader::default(), Vec::new());
            for piece in stream.chunks(step) {
                reader.feed(piece, |_, payload| lengths.push(payload.len()));
            }
            assert_eq!(lengths, [0, 1, 125, 126, 70_000], "step {step}");
        }
    }
}
