//! Writing JSON objects as text, member by member.
//!
//! Everything draftwire sends is written with this; what is already JSON is copied through.

use super::{push_integer, push_string};

/// Writes `{"name":…,"name":…}` to the end of a text.
pub struct ObjectWriter<'o> {
    out: &'o mut String,
    empty: bool,
}

impl<'o> ObjectWriter<'o> {
    /// Opens the object.
    pub fn new(out: &'o mut String) -> Self {
        out.push('{');
        Self { out, empty: true }
    }

    /// Writes a name; the caller appends the value's JSON to what is returned.
    pub fn member(&mut self, name: &str) -> &mut String {
        if !self.empty {
            self.out.push(',');
        }
        self.empty = false;
        push_string(self.out, name);
        self.out.push(':');
        self.out
    }

    /// A string.
    pub fn string(&mut self, name: &str, value: &str) -> &mut Self {
        push_string(self.member(name), value);
        self
    }

    /// A string, where there is one.
    pub fn optional_string(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.string(name, value);
        }
        self
    }

    /// An integer.
    pub fn integer(&mut self, name: &str, value: u64) -> &mut Self {
        push_integer(self.member(name), value);
        self
    }

    /// An integer, where there is one.
    pub fn optional_integer(&mut self, name: &str, value: Option<u64>) -> &mut Self {
        if let Some(value) = value {
            self.integer(name, value);
        }
        self
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, name: &str, value: bool) -> &mut Self {
        self.member(name).push_str(if value { "true" } else { "false" });
        self
    }

    /// Anything that shows itself as text, as a JSON string.
    pub fn display(&mut self, name: &str, value: impl std::fmt::Display) -> &mut Self {
        push_string(self.member(name), &value.to_string());
        self
    }

    /// Text that is JSON already.
    pub fn raw(&mut self, name: &str, json: &str) -> &mut Self {
        self.member(name).push_str(json);
        self
    }

    /// An object, written by `fill`.
    pub fn object(&mut self, name: &str, fill: impl FnOnce(&mut ObjectWriter<'_>)) -> &mut Self {
        let mut inner = ObjectWriter::new(self.member(name));
        fill(&mut inner);
        inner.end();
        self
    }

    /// An array of texts that are JSON already.
    pub fn array<'a>(&mut self, name: &str, items: impl IntoIterator<Item = &'a str>) -> &mut Self {
        let out = self.member(name);
        out.push('[');
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            out.push_str(item);
        }
        out.push(']');
        self
    }

    /// Closes the object.
    pub fn end(self) {
        self.out.push('}');
    }
}

/// The text of an object, written by `fill`.
pub fn object(fill: impl FnOnce(&mut ObjectWriter<'_>)) -> String {
    let mut out = String::new();
    let mut writer = ObjectWriter::new(&mut out);
    fill(&mut writer);
    writer.end();
    out
}
