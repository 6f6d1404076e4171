//! Guards the door: which texts `Value::parse` lets in, and with which fault it refuses others.
//!
//! RFC 8259, plus what the protocol adds: 64 levels, no repeated member, no lone surrogate.
//! Whatever slips through here is stored, and is read by every device later on.

use draftwire_protocol::json::{JsonFault, Value};
use draftwire_protocol::limits::FRAME_LEVELS_MAX;

fn fault(text: &str) -> Option<JsonFault> {
    Value::parse(text, FRAME_LEVELS_MAX).err().map(|error| error.fault)
}

fn nested(levels: usize, open: &str, inner: &str, close: &str) -> String {
    format!("{}{inner}{}", open.repeat(levels), close.repeat(levels))
}

#[test]
fn well_formed_texts_are_accepted_and_keep_their_text() {
    let accepted = [
        "0",
        "-0",
        "7",
        "10",
        "-12",
        "1.0",
        "1.25",
        "0.5",
        "1e3",
        "1E3",
        "1e+3",
        "1e-3",
        "0e0",
        "1.5E-10",
        "1E400",
        "-0.0",
        "12345678901234567890",
        "1e00",
        "true",
        "false",
        "null",
        "\"\"",
        "\"a\"",
        "\"\u{7f}\"",
        "\"é🎉\"",
        "\"\u{2028}\"",
        r#""\" \\ \/ \b \f \n \r \t""#,
        r#""\u0000""#,
        r#""\u00e9\uFFFF""#,
        r#""\uD83C\uDF89""#,
        r#""\ud83c\udf89""#,
        r#""\ud800\udc00\udbff\udfff""#,
        "[]",
        "{}",
        "[1,2]",
        "[ ]",
        "{ }",
        "[[],{}]",
        r#"{"a":1}"#,
        r#"{"":0}"#,
        r#"{"a":1,"b":[{"a":1}]}"#,
        r#"{"a":{"a":{"a":1}}}"#,
        r#"[{"a":1},{"a":1}]"#,
    ];
    for text in accepted {
        assert_eq!(fault(text), None, "{text}");
        for around in [format!(" {text}"), format!("{text}\n"), format!("\t\r\n {text} \r")] {
            let value = Value::parse(&around, FRAME_LEVELS_MAX);
            assert_eq!(value.map(Value::text), Ok(text), "{around:?}");
        }
    }
}

#[test]
fn texts_that_are_not_json_are_refused() {
    let refused = [
        "",
        " ",
        "\n",
        "\u{feff}",
        "\u{feff}{}",
        "{}\u{feff}",
        "\u{a0}{}",
        "\u{b}1",
        "\u{c}1",
        "\0",
        "1\0",
        "01",
        "00",
        "-01",
        "1.",
        ".5",
        "-.5",
        "+1",
        "1e",
        "1e+",
        "1e-",
        "1.e1",
        "1e1.5",
        "-",
        "--1",
        "0x1",
        "1_0",
        "1a",
        "NaN",
        "Infinity",
        "-Infinity",
        "nan",
        "1 2",
        "1,",
        "١",
        "tru",
        "truE",
        "True",
        "nul",
        "nulll",
        "truefalse",
        "undefined",
        "t",
        "f",
        "n",
        "\"",
        "\"a",
        "a\"",
        "'a'",
        "\"\\\"",
        "\"\\",
        "\"\\x\"",
        "\"\\'\"",
        "\"\\U0041\"",
        "\"\\é\"",
        "\"\\u\"",
        "\"\\u1\"",
        "\"\\u123\"",
        "\"\\u12g4\"",
        "\"\\u+123\"",
        "\"\\u123",
        "\"a\"b\"",
        "[",
        "]",
        "[1",
        "[1,",
        "[,]",
        "[1,]",
        "[,1]",
        "[1,,2]",
        "[1 2]",
        "[1]]",
        "[1:2]",
        "[1}",
        "[\"a\":1]",
        "{",
        "}",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{,}",
        "{,\"a\":1}",
        "{\"a\":1,,\"b\":1}",
        "{\"a\" 1}",
        "{\"a\"}",
        "{\"a\":}",
        "{:1}",
        "{a:1}",
        "{1:1}",
        "{null:1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":1]",
        "{\"a\"::1}",
        "{}{}",
        "[][]",
        "{}[]",
        "{} x",
        "// c\n1",
        "/* c */ 1",
        "1 // c",
        "[\"a\"\"b\"]",
        "\"\n\"",
    ];
    for text in refused {
        assert_eq!(fault(text), Some(JsonFault::Syntax), "{text:?}");
    }
}

#[test]
fn control_characters_stand_in_no_string() {
    for code in 0_u8..0x20 {
        let raw = char::from(code);
        for text in [format!("\"{raw}\""), format!("\"a{raw}b\""), format!("{{\"{raw}\":1}}")] {
            assert_eq!(fault(&text), Some(JsonFault::Syntax), "raw U+{code:04X}");
        }
        assert_eq!(fault(&format!("\"\\u{code:04x}\"")), None, "escaped U+{code:04X}");
    }
    assert_eq!(fault("\"\u{7f}\u{80}\u{9f}\""), None);
}

#[test]
fn half_a_surrogate_pair_is_refused_in_values_and_in_names() {
    let halves = [
        r"\ud800",
        r"\udbff",
        r"\udc00",
        r"\udfff",
        r"\uD834",
        r"\uDD1E",
        r"\ud800x",
        r"\ud800\n",
        r"\ud800 \udc00",
        r"\udc00\ud800",
        r"\ud800\ud800",
        r"\ud800\ud800\udc00",
        r"\ud800\u0041",
        r"\ud83c\udf89\ud83c",
        r"a\udf89",
        r"\ud800\\udc00",
    ];
    for half in halves {
        for text in [format!("\"{half}\""), format!("{{\"{half}\":1}}"), format!("[[\"{half}\"]]")]
        {
            assert_eq!(fault(&text), Some(JsonFault::LoneSurrogate), "{text}");
        }
    }
    for text in [r#""\ud800"#, r#""\ud800\"#] {
        assert!(fault(text).is_some(), "{text}");
    }
}

#[test]
fn levels_are_counted_exactly() {
    for max in [0, 1, 2, FRAME_LEVELS_MAX] {
        for (open, inner, close) in
            [("[", "1", "]"), ("[", "", "]"), ("{\"a\":", "1", "}"), ("[ ", "\"[[[{{{\"", " ]")]
        {
            let ok = nested(max, open, if max == 0 { "1" } else { inner }, close);
            assert!(Value::parse(&ok, max).is_ok(), "{max} levels of {open}");
            let deep = Value::parse(&nested(max + 1, open, inner, close), max).err();
            assert_eq!(deep.map(|error| error.fault), Some(JsonFault::TooDeep), "{open}");
        }
    }
    let mixed = nested(FRAME_LEVELS_MAX / 2, "[{\"a\":", "0", "}]");
    assert_eq!(fault(&mixed), None);
    assert_eq!(fault(&format!("[{mixed}]")), Some(JsonFault::TooDeep));
    let beside = format!("[{}]", vec!["[]"; 1_000].join(","));
    assert_eq!(fault(&beside), None, "a thousand arrays beside each other are two levels");
}

#[test]
fn endless_nesting_is_refused_and_does_not_use_up_the_stack() {
    for open in ["[", "{\"a\":", "[{\"a\":"] {
        let endless = open.repeat(100_000);
        let small_stack = std::thread::Builder::new().stack_size(64 * 1024);
        let faults =
            small_stack.spawn(move || fault(&endless)).map(|thread| thread.join().ok().flatten());
        assert_eq!(faults.ok().flatten(), Some(JsonFault::TooDeep), "{open}");
    }
}

/// An object with `count` members of which the last has the name `last`.
fn object_ending_in(count: usize, last: &str) -> String {
    let mut members: Vec<String> = (1..count).map(|n| format!("\"m{n}\":{n}")).collect();
    members.push(format!("\"{last}\":0"));
    format!("{{{}}}", members.join(","))
}

#[test]
fn a_member_named_twice_is_refused_in_small_and_large_objects() {
    for count in [2, 3, 7, 8, 9, 10, 100, 5_000] {
        assert_eq!(fault(&object_ending_in(count, "other")), None, "{count} members");
        let middle = format!("m{}", count / 2);
        for twin in ["m1", r"\u006d1", r"m\u0031", r"\u006D\u0031", middle.as_str()] {
            let text = object_ending_in(count, twin);
            assert_eq!(fault(&text), Some(JsonFault::RepeatedMember), "{count} members, {twin}");
            let inside = format!("{{\"m1\":[{text}]}}");
            assert_eq!(fault(&inside), Some(JsonFault::RepeatedMember), "nested: {count}, {twin}");
        }
    }
}

#[test]
fn names_are_compared_as_strings() {
    let twins = [
        (r#"{"":1,"":2}"#, true),
        (r#"{"a":1,"\u0061":2}"#, true),
        (r#"{"/":1,"\/":2}"#, true),
        (r#"{"\n":1,"\u000a":2}"#, true),
        (r#"{"🎉":1,"\ud83c\udf89":2}"#, true),
        (r#"{"a":1,"b":{"x":1},"c":{"x":1},"a":2}"#, true),
        (r#"{"a":1,"A":2}"#, false),
        (r#"{"a":1,"a ":2}"#, false),
        ("{\"\u{e9}\":1,\"e\u{301}\":2}", false),
        (r#"{"a":{"a":1},"b":{"a":1}}"#, false),
        (r#"{"a\u0000":1,"a":2}"#, false),
    ];
    for (text, repeated) in twins {
        assert_eq!(fault(text) == Some(JsonFault::RepeatedMember), repeated, "{text}");
        assert_eq!(fault(text).is_some(), repeated, "{text}");
    }
}

#[test]
fn a_refusal_says_where_but_shows_nothing_of_the_text() {
    for text in [r#"{"canary":1,}"#, r#"{"canary":"canary\ud800"}"#, r#"{"canary":1,"canary":2}"#] {
        let Err(error) = Value::parse(text, FRAME_LEVELS_MAX) else { panic!("accepted {text}") };
        assert!(error.at <= text.len());
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("canary"), "{shown}");
        assert!(error.to_string().contains(&format!("byte {}", error.at)), "{shown}");
    }
}
