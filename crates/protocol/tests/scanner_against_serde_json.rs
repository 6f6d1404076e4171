//! Guards the scanner against our own misreading of the grammar: it must agree with `serde_json`
//! about every text, well-formed or mutated.
//!
//! The reference reads with `serde_json` and refuses repeated members itself. Numbers that do not
//! fit a float are JSON all the same, so for those only the grammar (`IgnoredAny`) is compared.

use std::collections::HashSet;
use std::fmt;

use draftwire_protocol::json::{JsonFault, Value};
use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Any JSON value in which no object names a member twice.
struct Strict;

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Self;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON without repeated members")
    }
    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self, A::Error> {
        while elements.next_element::<Strict>()?.is_some() {}
        Ok(self)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        let mut names = HashSet::new();
        while let Some((name, _)) = members.next_entry::<String, Strict>()? {
            if !names.insert(name) {
                return Err(A::Error::custom("a member is repeated"));
            }
        }
        Ok(self)
    }
}

/// True, false, or `None` where the reference can't tell.
fn reference_accepts(text: &str) -> Option<bool> {
    if serde_json::from_str::<IgnoredAny>(text).is_err() {
        return Some(false);
    }
    match serde_json::from_str::<Strict>(text) {
        Ok(_) => Some(true),
        Err(error) if error.to_string().contains("number out of range") => None,
        Err(_) => Some(false),
    }
}

fn agree(text: &str) -> Result<(), TestCaseError> {
    let ours = Value::parse(text, 100).map(drop);
    if ours.is_err_and(|error| error.fault == JsonFault::TooDeep) {
        return Ok(());
    }
    if let Some(theirs) = reference_accepts(text) {
        prop_assert_eq!(ours.is_ok(), theirs, "{:?}: {:?}", text, ours);
    }
    if ours.is_err_and(|error| error.fault == JsonFault::Syntax) {
        prop_assert!(serde_json::from_str::<IgnoredAny>(text).is_err(), "{:?}", text);
    }
    Ok(())
}

fn space() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just(String::new()), 1 => "[ \t\n\r]{1,3}"]
}

fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-c]",
        "\\PC",
        Just("\\n".to_owned()),
        Just("\\\"".to_owned()),
        Just("\\u0061".to_owned()),
        Just("\\ud83c\\udf89".to_owned()),
        Just("\\ud83c".to_owned()),
    ]
    .prop_map(|piece| if piece == "\"" || piece == "\\" { "x".to_owned() } else { piece });
    prop::collection::vec(piece, 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

/// Texts that are nearly always JSON, now and then with a repeated member or half a pair.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,3})?",
        string(),
    ];
    leaf.prop_recursive(5, 64, 12, |inner| {
        let element = (space(), inner, space()).prop_map(|(a, b, c)| format!("{a}{b}{c}")).boxed();
        let member = (space(), string(), space(), element.clone())
            .prop_map(|(a, name, b, value)| format!("{a}{name}{b}:{value}"));
        prop_oneof![
            (prop::collection::vec(element, 0..6), space()).prop_map(|(elements, space)| {
                let inside = if elements.is_empty() { space } else { elements.join(",") };
                format!("[{inside}]")
            }),
            prop::collection::vec(member, 0..12)
                .prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
}

const PIECES: [&str; 24] = [
    "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u", "\\ud800", "0", "1", "-", "+", ".", "e", "E",
    "t", "true", "null", " ", "\u{0}", "\u{feff}", "é",
];

fn mutated() -> impl Strategy<Value = String> {
    let edit = (any::<prop::sample::Index>(), 0_u8..3, prop::sample::select(&PIECES[..]));
    (json(), prop::collection::vec(edit, 1..4)).prop_map(|(text, edits)| {
        let mut chars: Vec<char> = text.chars().collect();
        for (place, what, piece) in edits {
            let at = place.index(chars.len() + 1);
            let end = if what == 0 { at } else { (at + 1).min(chars.len()) };
            let with = if what == 1 { "" } else { piece };
            chars.splice(at..end, with.chars());
        }
        chars.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 3_000, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn it_agrees_about_json(text in json()) {
        agree(&text)?;
    }

    #[test]
    fn it_agrees_about_text_that_was_json(text in mutated()) {
        agree(&text)?;
    }

    #[test]
    fn it_agrees_about_soup(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..8)) {
        agree(&pieces.concat())?;
    }

    #[test]
    fn compact_keeps_the_value_and_drops_the_space(text in json()) {
        let Ok(value) = Value::parse(&text, 100) else { return Ok(()) };
        let compact = value.compact();
        let Ok(before) = serde_json::from_str::<serde_json::Value>(&text) else { return Ok(()) };
        let after = serde_json::from_str::<serde_json::Value>(&compact);
        prop_assert_eq!(after.ok(), Some(before));
        let again = Value::parse(&compact, 100).map(Value::compact);
        prop_assert_eq!(again.as_ref(), Ok(&compact));
        let outside: Vec<&str> = compact.split('"').step_by(2).collect();
        let escaped = compact.contains("\\\"");
        prop_assert!(escaped || !outside.concat().contains([' ', '\t', '\n', '\r']));
    }
}
