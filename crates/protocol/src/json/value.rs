//! A JSON value as the text it was written in.
//!
//! Owns reading: kind, members, elements, strings, integers. A [`Value`] can only be made by the
//! scanner or as a part of another, so reading one cannot fail half-way.

use std::borrow::Cow;

use super::cursor::Cursor;
use super::fault::JsonError;
use super::scan::{scan, unescape};

/// The text of one JSON value that has passed the scanner, without white space around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a>(&'a str);

/// One member of an object: its name (unescaped) and value.
pub type Member<'a> = (Cow<'a, str>, Value<'a>);

/// The kinds of JSON value (RFC 8259 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"`
    String,
    /// `-1.5e3`
    Number,
    /// `true` or `false`
    Boolean,
    /// `null`
    Null,
}

impl<'a> Value<'a> {
    /// Checks `text`, which must hold one value of at most `levels_max` nested arrays and objects.
    pub fn parse(text: &'a str, levels_max: usize) -> Result<Self, JsonError> {
        scan(text, levels_max)?;
        Ok(Self(text.trim_matches([' ', '\t', '\n', '\r'])))
    }

    /// Takes up a text that passed the scanner earlier: a stored document, the result of a merge.
    /// On other text the readers below answer as if it were empty.
    pub fn from_checked(text: &'a str) -> Self {
        Self(text)
    }

    /// The value's text as it was written.
    pub fn text(self) -> &'a str {
        self.0
    }

    /// What it is.
    pub fn kind(self) -> Kind {
        match self.0.as_bytes().first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b't' | b'f') => Kind::Boolean,
            Some(b'n') => Kind::Null,
            _ => Kind::Number,
        }
    }

    /// True for `{…}`.
    pub fn is_object(self) -> bool {
        self.kind() == Kind::Object
    }

    /// True for `null`.
    pub fn is_null(self) -> bool {
        self.kind() == Kind::Null
    }

    /// The members of an object in the order they were written; `None` for other kinds.
    pub fn members(self) -> Option<Vec<Member<'a>>> {
        self.is_object().then(|| read_members(self.0).unwrap_or_default())
    }

    /// The elements of an array; `None` for other kinds.
    pub fn elements(self) -> Option<Vec<Value<'a>>> {
        (self.kind() == Kind::Array).then(|| read_elements(self.0).unwrap_or_default())
    }

    /// The member called `name` of an object.
    pub fn get(self, name: &str) -> Option<Value<'a>> {
        let members = self.members()?;
        members.into_iter().find(|(member, _)| member == name).map(|(_, value)| value)
    }

    /// The value of a string.
    pub fn as_str(self) -> Option<Cow<'a, str>> {
        let mut cursor = Cursor::new(self.0);
        let span = cursor.string().ok()?;
        unescape(&cursor, span).ok()
    }

    /// An integer from 0 to 2⁵³ − 1 written in decimal digits, as every JavaScript client writes
    /// it; `None` for anything else (`1.0` and `1e0` included).
    pub fn as_integer(self) -> Option<u64> {
        let digits = self.0.bytes().all(|byte| byte.is_ascii_digit());
        let number = self.0.parse().ok().filter(|_| digits)?;
        (number <= crate::limits::INTEGER_MAX).then_some(number)
    }

    /// `true` or `false`.
    pub fn as_bool(self) -> Option<bool> {
        match self.0 {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// The text without insignificant white space.
    pub fn compact(self) -> String {
        let mut out = String::with_capacity(self.0.len());
        let mut cursor = Cursor::new(self.0);
        loop {
            cursor.skip_space();
            let start = cursor.at();
            match cursor.peek() {
                None => return out,
                Some(b'"') if cursor.string().is_ok() => {}
                Some(_) => cursor.bump(),
            }
            // Only a text that never passed the scanner can end inside a character.
            let Some(piece) = self.0.get(start..cursor.at()) else { return String::new() };
            out.push_str(piece);
        }
    }
}

fn read_members(text: &str) -> Option<Vec<Member<'_>>> {
    let mut members = Vec::new();
    let mut cursor = Cursor::new(text);
    cursor.take(b'{');
    loop {
        cursor.skip_space();
        if cursor.take(b'}') {
            return Some(members);
        }
        cursor.take(b',');
        cursor.skip_space();
        let span = cursor.string().ok()?;
        let name = unescape(&cursor, span).ok()?;
        cursor.skip_space();
        cursor.take(b':');
        members.push((name, read_value(&mut cursor)?));
    }
}

fn read_elements(text: &str) -> Option<Vec<Value<'_>>> {
    let mut elements = Vec::new();
    let mut cursor = Cursor::new(text);
    cursor.take(b'[');
    loop {
        cursor.skip_space();
        if cursor.take(b']') {
            return Some(elements);
        }
        cursor.take(b',');
        elements.push(read_value(&mut cursor)?);
    }
}

fn read_value<'a>(cursor: &mut Cursor<'a>) -> Option<Value<'a>> {
    cursor.skip_space();
    let start = cursor.at();
    cursor.skip_value().ok()?;
    Some(Value(cursor.slice(start, cursor.at())))
}
