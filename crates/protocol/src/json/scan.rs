//! The scanner at the door: is this text JSON that every later reader will understand alike?
//!
//! Refuses what would poison a stored document: a repeated member (readers disagree which one
//! counts), a lone surrogate (many cannot hold the string), too many levels (a later reader's
//! stack). Runs once over each text that comes from outside; called by [`Value::parse`].
//!
//! [`Value::parse`]: super::Value::parse

use std::borrow::Cow;

use super::cursor::{Cursor, StringSpan};
use super::fault::{JsonError, JsonFault};

/// Objects with up to so many members are compared pair by pair; larger ones are sorted.
const PAIRWISE_MEMBERS_MAX: usize = 8;

/// Checks `text`; true if it holds insignificant white space.
pub(super) fn scan(text: &str, levels_max: usize) -> Result<bool, JsonError> {
    let mut scanner =
        Scanner { cursor: Cursor::new(text), levels_max, names: Vec::new(), spaced: false };
    scanner.document().map_err(|fault| JsonError { fault, at: scanner.cursor.at() })?;
    Ok(scanner.spaced)
}

struct Scanner<'a> {
    cursor: Cursor<'a>,
    levels_max: usize,
    /// The members' names of all objects that are open, innermost last.
    names: Vec<Cow<'a, str>>,
    spaced: bool,
}

impl<'a> Scanner<'a> {
    fn document(&mut self) -> Result<(), JsonFault> {
        self.space();
        self.value(0)?;
        self.space();
        if self.cursor.peek().is_some() { Err(JsonFault::Syntax) } else { Ok(()) }
    }

    fn space(&mut self) {
        self.spaced |= self.cursor.skip_space();
    }

    fn value(&mut self, level: usize) -> Result<(), JsonFault> {
        match self.cursor.peek().ok_or(JsonFault::Syntax)? {
            b'{' => self.object(level + 1),
            b'[' => self.array(level + 1),
            b'"' => self.cursor.string().map(drop),
            b't' | b'f' | b'n' => self.cursor.literal().map(drop),
            _ => self.cursor.number().map(drop),
        }
    }

    fn array(&mut self, level: usize) -> Result<(), JsonFault> {
        self.descend(level)?;
        if self.cursor.take(b']') {
            return Ok(());
        }
        loop {
            self.value(level)?;
            self.space();
            if self.cursor.take(b']') {
                return Ok(());
            }
            self.separator(b',')?;
        }
    }

    fn object(&mut self, level: usize) -> Result<(), JsonFault> {
        self.descend(level)?;
        if self.cursor.take(b'}') {
            return Ok(());
        }
        let first = self.names.len();
        loop {
            let span = self.cursor.string()?;
            self.names.push(unescape(&self.cursor, span)?);
            self.space();
            self.separator(b':')?;
            self.value(level)?;
            self.space();
            if self.cursor.take(b'}') {
                break;
            }
            self.separator(b',')?;
        }
        let repeated = has_repetition(&mut self.names[first..]);
        self.names.truncate(first);
        if repeated { Err(JsonFault::RepeatedMember) } else { Ok(()) }
    }

    /// Enters an array or object: its bracket stands here.
    fn descend(&mut self, level: usize) -> Result<(), JsonFault> {
        if level > self.levels_max {
            return Err(JsonFault::TooDeep);
        }
        self.cursor.bump();
        self.space();
        Ok(())
    }

    fn separator(&mut self, byte: u8) -> Result<(), JsonFault> {
        if !self.cursor.take(byte) {
            return Err(JsonFault::Syntax);
        }
        self.space();
        Ok(())
    }
}

fn has_repetition(names: &mut [Cow<'_, str>]) -> bool {
    if names.len() <= PAIRWISE_MEMBERS_MAX {
        return (1..names.len()).any(|end| names[..end].contains(&names[end]));
    }
    names.sort_unstable();
    names.windows(2).any(|pair| pair[0] == pair[1])
}

/// The value of a string literal.
pub(super) fn unescape<'a>(
    cursor: &Cursor<'a>,
    span: StringSpan,
) -> Result<Cow<'a, str>, JsonFault> {
    if !span.escaped {
        return Ok(Cow::Borrowed(cursor.slice(span.start, span.end)));
    }
    let quoted = cursor.slice(span.start - 1, span.end + 1);
    serde_json::from_str(quoted).map(Cow::Owned).map_err(|_| JsonFault::Syntax)
}
