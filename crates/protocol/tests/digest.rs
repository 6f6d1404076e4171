//! Guards the digest that tells a command sent again from another one under the same number.
//!
//! Equal values must have equal digests however they are spelt, different values different ones.
//! The digest is stored: the values at the end must never change without a new store format.

use draftwire_protocol::json::{Digest, Value, digest};
use proptest::prelude::*;
use serde_json::Value as Json;

fn of(text: &str) -> Digest {
    let value = Value::parse(text, 64).unwrap_or_else(|error| panic!("{text}: {error}"));
    digest("T", value)
}

fn hex(digest: Digest) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn spellings_of_one_value_are_equal() {
    let table: [&[&str]; 14] = [
        &[
            "1", "1.0", "10e-1", "1E0", "1e+0", "1e-0", "0.1e1", "1.000", "100E-2", "0.001e3",
            "1e0000",
        ],
        &["0", "-0", "0.0", "-0.0", "0e5", "0E-400", "-0e99999999999999999999"],
        &["0.10", "0.1", "1e-1", "10E-2", "0.01e1"],
        &["-1.5", "-15e-1", "-0.15E1", "-1.50"],
        &["100", "1e2", "1E+2", "10e1", "100.0"],
        &["12345678901234567890", "1234567890123456789e1", "12345678901234567890.0"],
        &["1e400", "1E+400", "10e399", "0.1e401"],
        &["\"a\"", r#""\u0061""#, " \"a\" "],
        &["\"/\"", r#""\/""#, r#""\u002f""#, r#""\u002F""#],
        &["\"🎉\"", r#""\ud83c\udf89""#, r#""\uD83C\uDF89""#],
        &[r#""\n\"""#, r#""\u000a\u0022""#],
        &["[1,2]", "[ 1 , 2 ]", "\t[1,\n2.0]\r"],
        &[r#"{"a":1,"b":[2]}"#, r#"{"b":[2],"a":1}"#, " { \"\\u0062\" : [ 2e0 ] , \"a\" : 1.0 } "],
        &[
            r#"{"x":{"p":1,"q":{"r":1,"s":2}},"y":[{"k":1,"l":2}]}"#,
            r#"{"y":[{"l":2,"k":1}],"x":{"q":{"s":2,"r":1},"p":1}}"#,
        ],
    ];
    for spellings in table {
        for spelling in spellings {
            assert_eq!(of(spelling), of(spellings[0]), "{spelling} and {}", spellings[0]);
        }
    }
}

#[test]
fn different_values_differ() {
    let values = [
        "1",
        "\"1\"",
        "-1",
        "2",
        "10",
        "0.1",
        "11",
        "1e1000",
        "1e-1000",
        "0",
        "\"0\"",
        "\"\"",
        "null",
        "\"null\"",
        "true",
        "false",
        "\"true\"",
        "{}",
        "[]",
        "\"{}\"",
        "\"[]\"",
        "[{}]",
        "[[]]",
        "[null]",
        "[0]",
        "[\"\"]",
        "[1,2]",
        "[2,1]",
        "[12]",
        "[1,2,2]",
        "[[1],2]",
        "[[1,2]]",
        "[1,[2]]",
        "[\"1\",2]",
        "[\"1,2\"]",
        "[\"1\",\"2\"]",
        r#"{"a":null}"#,
        r#"{"a":{}}"#,
        r#"{"a":[]}"#,
        r#"{"a":1}"#,
        r#"{"A":1}"#,
        r#"{"a":"1"}"#,
        r#"{"b":1}"#,
        r#"{"a":1,"b":null}"#,
        r#"{"a":1,"b":2}"#,
        r#"{"a":2,"b":1}"#,
        r#"{"a":{"b":1}}"#,
        r#"{"a":{},"b":1}"#,
        r#"{"a":[1,2]}"#,
        r#"{"a":[2,1]}"#,
        r#"{"a":1,"c":{"b":2}}"#,
        r#"{"a":1,"b":2,"c":{}}"#,
        r#"{"a\":1,\"b":2}"#,
        r#"{"a:1e0,b":2}"#,
        "\"a\"",
        "\"a \"",
        "\" a\"",
        "\"A\"",
        "\"\\u0000\"",
        "\"é\"",
        "\"e\u{301}\"",
        "1e999999999999999999999",
        "1e999999999999999999998",
        "-1e999999999999999999999",
        "1e-999999999999999999999",
        "1e9223372036854775807",
        "1e-9223372036854775808",
    ];
    for (at, left) in values.iter().enumerate() {
        for right in &values[..at] {
            assert_ne!(of(left), of(right), "{left} and {right}");
        }
    }
}

#[test]
fn the_name_counts() {
    let value = Value::from_checked("{}");
    assert_ne!(digest("DRAFT_CREATE", value), digest("PENDING_CREATE", value));
    assert_ne!(digest("a", Value::from_checked("\"b\"")), digest("a\"\"b", value));
    assert_ne!(digest("", Value::from_checked("1")), digest("1", value));
}

#[test]
fn stored_digests_stay_readable() {
    // SHA-256, cut to 16 bytes, of these canonical texts (computed apart from this code):
    // "DRAFT_CREATE"{"data"{"empty"{},"lines"[1e0,-25e-1,"a\"b",true,null,{},],"note""Grüße",},"id""a-1",}
    // "SKIP"{}
    let create = r#"{ "id": "a-1", "data": { "note": "Gr\u00fc\u00dfe", "empty": {},
        "lines": [1.0, -2.50, "a\"b", true, null, {}] } }"#;
    let create = Value::parse(create, 64).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(hex(digest("DRAFT_CREATE", create)), "5ff61dbe85fafcff2eab6a731ac848d3");
    assert_eq!(hex(digest("SKIP", Value::from_checked("{}"))), "9d73d75cdc2376c527dab7b4ebf3a8a1");
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (-3_i64..3).prop_map(Json::from),
        "[ab1,:\"{]{0,2}".prop_map(Json::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
            prop::collection::btree_map("[ab:,]{0,2}", inner, 0..4)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

/// The same value with its members backwards, spaced, and its strings escaped.
fn respelt(value: &Json) -> String {
    let escaped = |text: &str| {
        let units: Vec<String> = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
        format!("\"{}\"", units.concat())
    };
    match value {
        Json::String(text) => escaped(text),
        Json::Number(number) if number.as_i64() == Some(0) => "-0.0e7".to_owned(),
        Json::Number(number) => format!("{number}0.0e-1"),
        Json::Array(elements) => {
            let elements: Vec<String> = elements.iter().map(respelt).collect();
            format!("[ {} ]", elements.join(" ,\n"))
        }
        Json::Object(members) => {
            let mut members: Vec<String> = members
                .iter()
                .map(|(name, value)| format!("{} :\t{}", escaped(name), respelt(value)))
                .collect();
            members.reverse();
            format!("{{\r{} }}", members.join(" , "))
        }
        plain => plain.to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn digests_are_equal_exactly_where_values_are(left in any_json(), right in any_json()) {
        prop_assert_eq!(of(&respelt(&left)), of(&left.to_string()));
        prop_assert_eq!(of(&left.to_string()) == of(&respelt(&right)), left == right);
    }
}
