//! Reading the members of a JSON object that somebody else wrote.
//!
//! Owns the one way in which frames and journal records are taken apart: a member that is missing
//! or of another kind is a [`Malformed`] that names it. It never holds any of the text.

use std::borrow::Cow;
use std::fmt;

use draftwire_protocol::json::Value;
use draftwire_protocol::{Document, Timestamp};

/// A text that is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "'{}' is missing or malformed", self.0)
    }
}

impl std::error::Error for Malformed {}

/// The members of one object. A member that is `null` counts as absent.
pub(super) struct Fields<'a>(Vec<(Cow<'a, str>, Value<'a>)>);

impl<'a> Fields<'a> {
    pub(super) fn of(value: Value<'a>, what: &'static str) -> Result<Self, Malformed> {
        value.members().map(Self).ok_or(Malformed(what))
    }

    pub(super) fn optional(&self, name: &str) -> Option<Value<'a>> {
        let found = self.0.iter().find(|(member, _)| member == name);
        found.map(|(_, value)| *value).filter(|value| !value.is_null())
    }

    pub(super) fn value(&self, name: &'static str) -> Result<Value<'a>, Malformed> {
        self.optional(name).ok_or(Malformed(name))
    }

    pub(super) fn object(&self, name: &'static str) -> Result<Self, Malformed> {
        Self::of(self.value(name)?, name)
    }

    pub(super) fn string(&self, name: &'static str) -> Result<String, Malformed> {
        let text = self.value(name)?.as_str().ok_or(Malformed(name))?;
        Ok(text.into_owned())
    }

    pub(super) fn optional_string(&self, name: &'static str) -> Result<Option<String>, Malformed> {
        self.optional(name).map(|_| self.string(name)).transpose()
    }

    pub(super) fn integer(&self, name: &'static str) -> Result<u64, Malformed> {
        self.value(name)?.as_integer().ok_or(Malformed(name))
    }

    pub(super) fn optional_integer(&self, name: &'static str) -> Result<Option<u64>, Malformed> {
        self.optional(name).map(|_| self.integer(name)).transpose()
    }

    pub(super) fn time(&self, name: &'static str) -> Result<Timestamp, Malformed> {
        let text = self.value(name)?.as_str().ok_or(Malformed(name))?;
        Timestamp::parse(&text).ok_or(Malformed(name))
    }

    pub(super) fn elements(&self, name: &'static str) -> Result<Vec<Value<'a>>, Malformed> {
        self.value(name)?.elements().ok_or(Malformed(name))
    }

    pub(super) fn document(&self, name: &'static str) -> Result<Document, Malformed> {
        document(self.value(name)?)
    }
}

/// Reads `{id, version, data, createdAt, updatedAt}`.
pub(super) fn document(value: Value<'_>) -> Result<Document, Malformed> {
    let fields = Fields::of(value, "document")?;
    let data = fields.value("data")?;
    if !data.is_object() {
        return Err(Malformed("data"));
    }
    Ok(Document {
        id: fields.string("id")?,
        version: fields.integer("version")?,
        data: data.compact(),
        created_at: fields.time("createdAt")?,
        updated_at: fields.time("updatedAt")?,
    })
}
