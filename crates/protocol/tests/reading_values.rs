//! Guards what a checked text is read as: kind, members, elements, strings, integers, and its
//! compact form, in which numbers must keep every digit their author wrote.

use draftwire_protocol::json::{Kind, Value, digest, merge_patch, object, push_string};

fn value(text: &str) -> Value<'_> {
    Value::parse(text, 64).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn numbers_survive_compacting_digit_by_digit() {
    let numbers =
        ["1.0", "1E400", "12345678901234567890", "-0", "-0.0", "0.10", "1e+05", "10e-1", "1e-400"];
    for number in numbers {
        assert_eq!(value(number).compact(), number);
        let spaced = format!(" [ {number} , {{ \"a b\" : {number} }} ] ");
        assert_eq!(value(&spaced).compact(), format!("[{number},{{\"a b\":{number}}}]"));
    }
}

#[test]
fn compacting_touches_nothing_inside_strings() {
    let table = [
        ("\t\"a  b\\t\"\r\n", "\"a  b\\t\""),
        ("[ \"\\\" , \" , 1 ]", "[\"\\\" , \",1]"),
        ("{ \" k \" : \" : \" }", "{\" k \":\" : \"}"),
        ("[\u{20}\"é \u{2028} 🎉\" ]", "[\"é \u{2028} 🎉\"]"),
        ("{ }", "{}"),
        ("[ true , false , null ]", "[true,false,null]"),
        ("\"\\u0061\\/\"", "\"\\u0061\\/\""),
    ];
    for (text, compact) in table {
        assert_eq!(value(text).compact(), compact, "{text:?}");
    }
}

#[test]
fn each_kind_is_known_by_its_first_character() {
    let table = [
        ("{}", Kind::Object),
        ("[]", Kind::Array),
        ("\"{}\"", Kind::String),
        ("-1", Kind::Number),
        ("0", Kind::Number),
        ("true", Kind::Boolean),
        ("false", Kind::Boolean),
        ("null", Kind::Null),
    ];
    for (text, kind) in table {
        let value = value(text);
        assert_eq!(value.kind(), kind, "{text}");
        assert_eq!(value.is_object(), kind == Kind::Object);
        assert_eq!(value.is_null(), kind == Kind::Null);
        assert_eq!(value.members().is_some(), kind == Kind::Object);
        assert_eq!(value.elements().is_some(), kind == Kind::Array);
        assert_eq!(value.as_str().is_some(), kind == Kind::String);
        assert_eq!(value.as_bool().is_some(), kind == Kind::Boolean);
    }
}

#[test]
fn members_and_elements_come_in_order_and_unescaped() {
    let text = r#" { "b" : [ 1 , {"x":[]} , "]}" ] , "\u0061\n" : null , "" : {"}":"{"} } "#;
    let members = value(text).members().unwrap_or_default();
    let read: Vec<(&str, &str)> =
        members.iter().map(|(name, value)| (name.as_ref(), value.text())).collect();
    let expected = [("b", r#"[ 1 , {"x":[]} , "]}" ]"#), ("a\n", "null"), ("", r#"{"}":"{"}"#)];
    assert_eq!(read, expected);
    let elements = value(text).get("b").and_then(Value::elements).unwrap_or_default();
    let read: Vec<&str> = elements.iter().map(|element| element.text()).collect();
    assert_eq!(read, ["1", r#"{"x":[]}"#, r#""]}""#]);
    assert_eq!(value(text).get("a\n").map(Value::text), Some("null"));
    assert_eq!(value(text).get("x"), None, "a member of a member is not a member");
    assert_eq!(value("[]").elements().map(|elements| elements.len()), Some(0));
}

#[test]
fn integers_are_decimal_digits_up_to_what_javascript_holds() {
    let table = [
        ("0", Some(0)),
        ("1", Some(1)),
        ("9007199254740991", Some(9_007_199_254_740_991)),
        ("9007199254740992", None),
        ("18446744073709551615", None),
        ("18446744073709551616", None),
        ("99999999999999999999999999", None),
        ("-0", None),
        ("-1", None),
        ("1.0", None),
        ("1e0", None),
        ("\"1\"", None),
        ("true", None),
        ("null", None),
        ("[1]", None),
    ];
    for (text, integer) in table {
        assert_eq!(value(text).as_integer(), integer, "{text}");
    }
}

#[test]
fn strings_are_read_with_their_escapes() {
    let table = [
        (r#""""#, ""),
        (r#""a b""#, "a b"),
        (r#""\u0061\"\\\/\b\f\n\r\t""#, "a\"\\/\u{8}\u{c}\n\r\t"),
        (r#""\ud83c\udf89é""#, "🎉é"),
        (r#""\u0000""#, "\0"),
    ];
    for (text, string) in table {
        assert_eq!(value(text).as_str().as_deref(), Some(string), "{text}");
    }
}

#[test]
fn every_string_is_written_so_that_it_reads_back() {
    let all_control: String = (0_u8..0x20).map(char::from).collect();
    for text in ["", "plain", "\"", "\\", "é🎉\u{7f}\u{2028}", "a\nb", all_control.as_str()] {
        let mut json = String::from("x");
        push_string(&mut json, text);
        assert_eq!(value(&json[1..]).as_str().as_deref(), Some(text), "{text:?}");
        let object = object(|object| {
            object.string(text, text).integer("n", 7).boolean("b", false).array("l", ["1", "{}"]);
        });
        let read: serde_json::Value = serde_json::from_str(&object).unwrap_or_default();
        assert_eq!(read, serde_json::json!({ text: text, "n": 7, "b": false, "l": [1, {}] }));
    }
}

#[test]
fn a_stored_text_that_is_not_json_harms_no_reader() {
    let damaged = [
        "", "é", "\"", "\"abc", "{", "{\"a", "{\"a\":", "{\"a\":1", "[", "[1,", "[é", "{é}", "\\",
        "]",
    ];
    for text in damaged {
        let value = Value::from_checked(text);
        let compact = value.compact();
        assert!(compact.len() <= text.len(), "{text:?}");
        assert_eq!(value.get("a"), None, "{text:?}");
        assert_eq!(value.as_integer(), None, "{text:?}");
        assert!(value.members().is_none_or(|members| members.is_empty()), "{text:?}");
        assert!(value.elements().is_none_or(|elements| elements.is_empty()), "{text:?}");
        assert_eq!(digest("t", value), digest("t", value));
        let merged = merge_patch(value, Value::from_checked(r#"{"a":1}"#));
        assert_eq!(merged, r#"{"a":1}"#, "{text:?}");
    }
}
