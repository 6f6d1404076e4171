//! A place in JSON text, and the steps one can take from it.
//!
//! Owns the grammar of strings, numbers and literals (RFC 8259 §6, §7). It checks as it goes, so
//! the scanner can use it on untrusted text; the other modules use it on text already checked and
//! treat a refusal as the end of the text. It never allocates.

use super::fault::JsonFault;

/// A cursor over the bytes of a `&str`.
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

/// Where a string literal stands, quotes excluded, and whether it holds an escape.
#[derive(Clone, Copy)]
pub(super) struct StringSpan {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) escaped: bool,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn slice(&self, start: usize, end: usize) -> &'a str {
        &self.text[start..end]
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Steps over one byte, whatever it is.
    pub(super) fn bump(&mut self) {
        self.at += 1;
    }

    /// Steps over `byte` if it stands here.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let here = self.peek() == Some(byte);
        if here {
            self.at += 1;
        }
        here
    }

    /// Skips insignificant white space (RFC 8259 §2); true if there was any.
    pub(super) fn skip_space(&mut self) -> bool {
        let start = self.at;
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.at > start
    }

    /// Reads a string literal that begins here.
    pub(super) fn string(&mut self) -> Result<StringSpan, JsonFault> {
        if !self.take(b'"') {
            return Err(JsonFault::Syntax);
        }
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at += plain_bytes(&self.text.as_bytes()[self.at..]);
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                // The end of the text, or a control character.
                _ => return Err(JsonFault::Syntax),
            }
        }
        let end = self.at;
        self.at += 1;
        Ok(StringSpan { start, end, escaped })
    }

    fn escape(&mut self) -> Result<(), JsonFault> {
        self.at += 1;
        let which = self.peek().ok_or(JsonFault::Syntax)?;
        self.at += 1;
        match which {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => self.unicode_escape(),
            _ => Err(JsonFault::Syntax),
        }
    }

    /// A high surrogate must be followed by an escaped low one (RFC 8259 §8.2 lets them stand
    /// alone; half of all JSON libraries then disagree about the string, so they are refused).
    fn unicode_escape(&mut self) -> Result<(), JsonFault> {
        match self.four_hex()? {
            0xd800..=0xdbff => {
                if !(self.take(b'\\') && self.take(b'u')) {
                    return Err(JsonFault::LoneSurrogate);
                }
                match self.four_hex()? {
                    0xdc00..=0xdfff => Ok(()),
                    _ => Err(JsonFault::LoneSurrogate),
                }
            }
            0xdc00..=0xdfff => Err(JsonFault::LoneSurrogate),
            _ => Ok(()),
        }
    }

    fn four_hex(&mut self) -> Result<u32, JsonFault> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            unit = unit * 16 + digit.ok_or(JsonFault::Syntax)?;
            self.at += 1;
        }
        Ok(unit)
    }

    /// Reads a number that begins here and returns its text.
    pub(super) fn number(&mut self) -> Result<&'a str, JsonFault> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    fn digits(&mut self) -> Result<(), JsonFault> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(JsonFault::Syntax) } else { Ok(()) }
    }

    /// Reads one of `true`, `false`, `null`.
    pub(super) fn literal(&mut self) -> Result<&'a str, JsonFault> {
        for word in ["true", "false", "null"] {
            if self.text[self.at..].starts_with(word) {
                self.at += word.len();
                return Ok(word);
            }
        }
        Err(JsonFault::Syntax)
    }

    /// Steps over one value of text that has already been checked, without looking inside.
    pub(super) fn skip_value(&mut self) -> Result<(), JsonFault> {
        let mut open = 0_usize;
        loop {
            self.skip_space();
            match self.peek().ok_or(JsonFault::Syntax)? {
                b'"' => {
                    self.string()?;
                }
                b'{' | b'[' => {
                    open += 1;
                    self.at += 1;
                    continue;
                }
                b'}' | b']' => {
                    open = open.checked_sub(1).ok_or(JsonFault::Syntax)?;
                    self.at += 1;
                }
                b',' | b':' => {
                    self.at += 1;
                    continue;
                }
                b't' | b'f' | b'n' => {
                    self.literal()?;
                }
                _ => {
                    self.number()?;
                }
            }
            if open == 0 {
                return Ok(());
            }
        }
    }
}

/// How many bytes in front stand for themselves in a string literal: neither a quote, nor a
/// backslash, nor a control character. Eight at a time, since most of a document is this.
pub(super) fn plain_bytes(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x8080_8080_8080_8080;
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // A byte's top bit is set where the byte is zero, or below 0x20; borrows can only set more
        // of them further up, so the lowest one is right.
        let zero = |word: u64| word.wrapping_sub(ONES) & !word;
        let quote = zero(word ^ (ONES * u64::from(b'"')));
        let backslash = zero(word ^ (ONES * u64::from(b'\\')));
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let found = (quote | backslash | control) & TOPS;
        if found != 0 {
            return index * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let plain = |byte: &u8| !matches!(byte, b'"' | b'\\' | 0..=0x1f);
    words.len() * 8 + rest.iter().take_while(|byte| plain(byte)).count()
}

#[cfg(test)]
mod tests {
    use super::plain_bytes;

    #[test]
    fn the_first_byte_that_does_not_stand_for_itself_is_found() {
        for length in 0..20 {
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    // What follows is special too, and must not be found first.
                    let mut bytes = vec![0xc3; length];
                    bytes[at] = byte;
                    bytes[at + 1..].fill(b'"');
                    let special = matches!(byte, b'"' | b'\\' | 0..=0x1f);
                    assert_eq!(
                        plain_bytes(&bytes),
                        if special { at } else { at + 1 },
                        "{byte} {at}"
                    );
                }
            }
            assert_eq!(plain_bytes(&vec![b'a'; length]), length);
        }
    }
}
