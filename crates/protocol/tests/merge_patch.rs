//! Guards JSON Merge Patch (RFC 7396): the table of its appendix A, and agreement with a plain
//! reference implementation on arbitrary values.
//!
//! Beyond the RFC it guards what draftwire adds: members that the patch does not name keep their
//! bytes and their order, and a large patch of a large document takes linear time.

use std::time::{Duration, Instant};

use draftwire_protocol::json::{Value, merge_patch};
use proptest::prelude::*;
use serde_json::{Map, Value as Json};

fn merged(target: &str, patch: &str) -> String {
    let parse = |text| Value::parse(text, 64).unwrap_or_else(|error| panic!("{error}"));
    merge_patch(parse(target), parse(patch))
}

fn json(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The pseudo code of RFC 7396 §2.
fn reference(target: Json, patch: &Json) -> Json {
    let Json::Object(changes) = patch else { return patch.clone() };
    let mut members = match target {
        Json::Object(members) => members,
        _ => Map::new(),
    };
    for (name, change) in changes {
        if change.is_null() {
            members.remove(name);
        } else {
            let old = members.remove(name).unwrap_or(Json::Null);
            members.insert(name.clone(), reference(old, change));
        }
    }
    Json::Object(members)
}

#[test]
fn appendix_a_of_rfc_7396_holds() {
    let table = [
        (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"a":null}"#, r#"{}"#),
        (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
        (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
        (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
        (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
        (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
        (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
        (r#"{"a":"foo"}"#, "null", "null"),
        (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
        (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
        (r#"[1,2]"#, r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
        (r#"{}"#, r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
    ];
    for (target, patch, result) in table {
        assert_eq!(merged(target, patch), result, "{target} with {patch}");
        assert_eq!(reference(json(target), &json(patch)), json(result), "the reference itself");
    }
}

#[test]
fn members_that_are_not_named_keep_their_bytes_and_their_order() {
    let target =
        r#"{"z":1.0,"a":{"q":1E400,"m":[ 1, 2 ]},"n":12345678901234567890,"k":"\u0061\/"}"#;
    let table = [
        ("{}", r#"{"z":1.0,"a":{"q":1E400,"m":[ 1, 2 ]},"n":12345678901234567890,"k":"\u0061\/"}"#),
        (r#"{"n":-0}"#, r#"{"z":1.0,"a":{"q":1E400,"m":[ 1, 2 ]},"n":-0,"k":"\u0061\/"}"#),
        (r#"{"z":null,"k":null,"a":null}"#, r#"{"n":12345678901234567890}"#),
        (
            r#"{ "b" : 1.50 , "a" : { "q" : null , "x" : [ 1.0 , {"y" : null} ] } }"#,
            r#"{"z":1.0,"a":{"m":[ 1, 2 ],"x":[1.0,{"y":null}]},"n":12345678901234567890,"k":"\u0061\/","b":1.50}"#,
        ),
    ];
    for (patch, result) in table {
        assert_eq!(merged(target, patch), result, "{patch}");
    }
}

#[test]
fn names_are_matched_as_strings_and_none_of_them_is_special() {
    let table = [
        (r#"{"a":1}"#, r#"{"\u0061":2}"#, r#"{"a":2}"#),
        (r#"{"\u0061":1}"#, r#"{"a":null}"#, r#"{}"#),
        (r#"{"__proto__":1}"#, r#"{"__proto__":{"x":1}}"#, r#"{"__proto__":{"x":1}}"#),
        (r#"{}"#, r#"{"__proto__":{"polluted":true}}"#, r#"{"__proto__":{"polluted":true}}"#),
        (r#"{"__proto__":{"a":1}}"#, r#"{"__proto__":null}"#, r#"{}"#),
        (
            r#"{"constructor":1,"":2}"#,
            r#"{"":null,"toString":3}"#,
            r#"{"constructor":1,"toString":3}"#,
        ),
        (r#"{"a\"b\n":1}"#, r#"{"c":2}"#, r#"{"a\"b\n":1,"c":2}"#),
    ];
    for (target, patch, result) in table {
        assert_eq!(merged(target, patch), result, "{target} with {patch}");
    }
}

fn members(count: usize, skip: usize, value: &str) -> String {
    let members: Vec<String> =
        (skip..skip + count).map(|n| format!("\"line{n}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

/// The shortest of three times that `count` members onto `count` take; half of them are new.
fn time_to_merge(count: usize) -> Duration {
    let (target, patch) = (members(count, 0, "1"), members(count, count / 2, "2"));
    let once = || {
        let started = Instant::now();
        let result = merged(&target, &patch);
        let took = started.elapsed();
        assert_eq!(json(&result).as_object().map(Map::len), Some(count + count / 2));
        took
    };
    (0..3).map(|_| once()).min().unwrap_or_default()
}

#[test]
fn a_large_patch_of_a_large_document_takes_linear_time() {
    let (small, large) = (time_to_merge(2_500), time_to_merge(20_000));
    // Eight times the members: eight times as long, where pairs are compared 64 times.
    assert!(large < small * 30, "2,500 members took {small:?}, 20,000 took {large:?}");
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        2 => Just(Json::Null),
        1 => any::<bool>().prop_map(Json::from),
        2 => any::<i64>().prop_map(Json::from),
        2 => "[a-c\"\\n é]{0,3}".prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        let name = prop::sample::select(&["a", "b", "c", "d", "", "\"", "é\n", "__proto__"][..]);
        let object = prop::collection::btree_map(name, inner.clone(), 0..6);
        prop_oneof![
            1 => prop::collection::vec(inner, 0..3).prop_map(Json::from),
            4 => object.prop_map(|members| {
                members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn it_does_what_the_reference_does(target in any_json(), patch in any_json()) {
        let result = merged(&target.to_string(), &patch.to_string());
        prop_assert!(Value::parse(&result, 64).is_ok(), "{}", result);
        prop_assert_eq!(json(&result), reference(target, &patch));
    }

    #[test]
    fn the_same_patch_again_changes_nothing(target in any_json(), patch in any_json()) {
        let once = merged(&target.to_string(), &patch.to_string());
        let twice = merged(&once, &patch.to_string());
        prop_assert_eq!(json(&twice), json(&once));
    }

    #[test]
    fn white_space_in_the_patch_is_left_out(patch in any_json()) {
        let Ok(pretty) = serde_json::to_string_pretty(&patch) else { return Ok(()) };
        prop_assert_eq!(merged("{}", &pretty), merged("{}", &patch.to_string()));
    }
}
