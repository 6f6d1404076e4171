//! WebSocket frames as a client of the benchmark reads and writes them (RFC 6455 §5.2).
//!
//! Cheap on purpose: no masks are checked, no UTF-8, no fragments joined; a server that needed
//! more than that is tested elsewhere. It shares no code with the server that is measured.

const OPCODE_BITS: u8 = 0x0F;
const LENGTH_BITS: u8 = 0x7F;
/// A text frame.
pub const TEXT: u8 = 0x1;
/// A ping.
pub const PING: u8 = 0x9;
/// A pong.
pub const PONG: u8 = 0xA;
/// A close.
pub const CLOSE: u8 = 0x8;
const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;

/// Cuts a stream of unmasked frames into payloads.
#[derive(Default)]
pub struct FrameReader {
    /// What has come of a frame that is not whole yet.
    partial: Vec<u8>,
}

impl FrameReader {
    /// Hands every whole frame to `on_frame` as opcode and payload.
    pub fn feed(&mut self, bytes: &[u8], mut on_frame: impl FnMut(u8, &[u8])) {
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
fn split(bytes: &[u8], on_frame: &mut impl FnMut(u8, &[u8])) -> usize {
    let mut at = 0;
    while let Some((header, length)) = header(&bytes[at..]) {
        let end = at + header + length;
        if end > bytes.len() {
            break;
        }
        on_frame(bytes[at] & OPCODE_BITS, &bytes[at + header..end]);
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

/// Appends a masked frame to `out`. The mask is zero, which the protocol allows and which costs a
/// server as much as any other.
pub fn write_masked(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(FINAL | opcode);
    match payload.len() {
        length @ 0..126 => out.push(MASKED | length as u8),
        length @ 126..=0xFFFF => {
            out.push(MASKED | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(MASKED | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
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
