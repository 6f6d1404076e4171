//! JSON as `serde_json` reads it, without repeated members: what the scanner is compared with.
//!
//! It can't tell about numbers beyond every double and about text nested deeper than 127 levels;
//! both are JSON all the same, so there it says that it does not know.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// What the reference makes of a text.
pub(crate) enum Verdict {
    /// It is JSON, and means this.
    Means(Value),
    /// It is none, or a member is repeated.
    Refused,
    /// The reference can't tell.
    Unknown,
}

/// Reads a text.
pub(crate) fn read(text: &str) -> Verdict {
    match serde_json::from_str::<Strict>(text) {
        Ok(Strict(value)) => Verdict::Means(value),
        Err(error) => {
            let why = error.to_string();
            let unknown = why.contains("number out of range") || why.contains("recursion limit");
            if unknown { Verdict::Unknown } else { Verdict::Refused }
        }
    }
}

/// True where the grammar alone refuses the text.
pub(crate) fn is_no_json(text: &str) -> bool {
    let error = serde_json::from_str::<IgnoredAny>(text).err();
    error.is_some_and(|error| !error.to_string().contains("recursion limit"))
}

/// How many arrays and objects lie in one another.
pub(crate) fn levels(value: &Value) -> usize {
    match value {
        Value::Array(elements) => 1 + elements.iter().map(levels).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(levels).max().unwrap_or(0),
        _ => 0,
    }
}

/// The pseudo code of RFC 7396 §2.
pub(crate) fn merge_patch(target: Value, patch: &Value) -> Value {
    let Value::Object(changes) = patch else { return patch.clone() };
    let mut members = match target {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    for (name, change) in changes {
        let old = members.remove(name).unwrap_or(Value::Null);
        if !change.is_null() {
            members.insert(name.clone(), merge_patch(old, change));
        }
    }
    Value::Object(members)
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON without repeated members")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(Strict(element)) = from.next_element()? {
            elements.push(element);
        }
        Ok(Value::Array(elements))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some((name, Strict(value))) = from.next_entry::<String, Strict>()? {
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a member is repeated"));
            }
        }
        Ok(Value::Object(members))
    }
}
