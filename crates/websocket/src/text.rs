//! Text that arrives in pieces and is proved to be UTF-8 as it does (RFC 6455 §5.6 and §8.1).
//!
//! Owns the proven text and the up to three bytes of a character that a piece was cut in. It looks
//! at every byte once, so a message of very many pieces costs no more than a whole one, and it
//! never waits with an error: the first byte that no valid text can have there is refused when it
//! arrives. The message buffer calls it.

use crate::error::ProtocolError;
use crate::message::grown_capacity;

/// The longest character of UTF-8, in bytes.
const CHARACTER_BYTES_MAX: usize = 4;

/// What has arrived of one text message.
#[derive(Debug, Default)]
pub(crate) struct TextBuffer {
    text: String,
    /// The start of a character whose other bytes have not arrived.
    cut: [u8; CHARACTER_BYTES_MAX],
    cut_len: u8,
}

impl TextBuffer {
    /// Appends a piece; see [`Message::push`](crate::message::Message::push).
    pub(crate) fn push(&mut self, piece: &[u8], bytes_max: usize) -> Result<(), ProtocolError> {
        let needed = self.len() + piece.len();
        let wanted = grown_capacity(self.text.capacity(), needed, bytes_max);
        self.text.reserve_exact(wanted - self.text.len());

        let mut rest = piece;
        while self.cut_len > 0
            && let Some((&byte, behind)) = rest.split_first()
        {
            self.push_to_cut(byte)?;
            rest = behind;
        }
        let (whole, cut) = rest.split_at(rest.len() - cut_character_len(rest));
        self.text.push_str(examine(whole).map_err(|_| ProtocolError::InvalidUtf8)?);
        for &byte in cut {
            self.push_to_cut(byte)?;
        }
        Ok(())
    }

    /// Adds a byte to the character that was cut, and that to the text once it is whole.
    fn push_to_cut(&mut self, byte: u8) -> Result<(), ProtocolError> {
        let len = usize::from(self.cut_len);
        self.cut[len] = byte;
        match examine(&self.cut[..=len]) {
            Ok(character) => {
                self.text.push_str(character);
                self.cut_len = 0;
            }
            // Without a length the error is only that the character has not ended, which four bytes
            // cannot be, so the index above stays within the array.
            Err(error) if error.error_len().is_none() => self.cut_len += 1,
            Err(_) => return Err(ProtocolError::InvalidUtf8),
        }
        Ok(())
    }

    /// The text, or `None` if it ends within a character.
    pub(crate) fn whole(&self) -> Option<&str> {
        (self.cut_len == 0).then_some(&self.text)
    }

    pub(crate) fn len(&self) -> usize {
        self.text.len() + usize::from(self.cut_len)
    }

    pub(crate) fn capacity(&self) -> usize {
        self.text.capacity()
    }
}

/// How many bytes at the end of `bytes` begin a character that needs more than there are; 0 to 3.
///
/// Whether these bytes are valid so far is not judged.
fn cut_character_len(bytes: &[u8]) -> usize {
    for (index, &byte) in bytes.iter().rev().take(CHARACTER_BYTES_MAX - 1).enumerate() {
        let present = index + 1;
        let wanted = match byte {
            0x80..=0xBF => continue,
            0xC0..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xFF => 4,
            _ => 1,
        };
        return if wanted > present { present } else { 0 };
    }
    0
}

/// The standard library's check, behind a name so that the tests can count the bytes it is given.
fn examine(bytes: &[u8]) -> Result<&str, std::str::Utf8Error> {
    #[cfg(test)]
    tests::EXAMINED_BYTES.set(tests::EXAMINED_BYTES.get() + bytes.len());
    str::from_utf8(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    thread_local! {
        pub(super) static EXAMINED_BYTES: Cell<usize> = const { Cell::new(0) };
    }

    const SAMPLE: &str = "aß€𝄞, κόσμε, 日本語, \u{10FFFF}\u{FFFD}\u{800}\u{7FF}z";

    fn examined_bytes(text: &str, piece_bytes: usize) -> usize {
        EXAMINED_BYTES.set(0);
        let mut buffer = TextBuffer::default();
        for piece in text.as_bytes().chunks(piece_bytes) {
            buffer.push(piece, text.len()).expect("the sample is valid");
        }
        assert_eq!(buffer.whole(), Some(text));
        EXAMINED_BYTES.get()
    }

    #[test]
    fn the_bytes_examined_are_proportional_to_the_text_however_it_is_cut() {
        let text = SAMPLE.repeat(4096);
        assert_eq!(examined_bytes(&text, text.len()), text.len());
        for piece_bytes in [1, 2, 3, 4, 5, 7, 64, 1000] {
            let pieces = text.len().div_ceil(piece_bytes);
            // A cut character is looked at once for each of its bytes: 1 + 2 + 3 + 4.
            let bound = text.len() + 10 * pieces.min(text.len() / 2);
            let examined = examined_bytes(&text, piece_bytes);
            assert!(examined <= bound, "{examined} of {} in {piece_bytes}s", text.len());
        }
    }

    #[test]
    fn the_cut_is_found_at_every_place_of_the_sample() {
        for end in 0..=SAMPLE.len() {
            let boundary = (0..=end).rev().find(|&index| SAMPLE.is_char_boundary(index));
            let expected = end - boundary.unwrap_or_default();
            assert_eq!(cut_character_len(&SAMPLE.as_bytes()[..end]), expected, "at {end}");
        }
    }
}
