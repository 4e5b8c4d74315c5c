use proptest::prelude::*;

use super::*;

fn raw_of(text: &str, key: &str) -> Option<String> {
    let mut parser = Parser::new(32);
    parser
        .parse(text.as_bytes(), |value| {
            value.get(key).map(|value| String::from_utf8(value.raw().to_vec()).expect("cut from text"))
        })
        .expect("valid")
}

#[test]
fn a_value_is_the_bytes_that_were_sent() {
    for content in [
        "1e400",
        "-0.0",
        "12345678901234567890123",
        r#""\ud800""#,
        r#""\ud83d\ude00 \u0041""#,
        r#"{ "a" : [ 1 , {"b":"}]"} ] }"#,
        "[]",
        "{}",
        "null",
        r#""\"\\""#,
        r#""é""#,
    ] {
        let text = format!("{{ \"x\":[1,2], \"content\" :\t{content} , \"y\":true}}");
        assert_eq!(raw_of(&text, "content").as_deref(), Some(content), "{text}");
    }
}

#[test]
fn the_last_of_duplicate_keys_counts() {
    assert_eq!(raw_of(r#"{"a":1,"a":{"b":2},"\u0061":3}"#, "a").as_deref(), Some("3"));
}

#[test]
fn escaped_pairs_are_one_character() {
    let text_of = |text: &str| {
        Parser::new(32).parse(text.as_bytes(), |value| value.as_str().map(str::to_owned)).expect("valid")
    };
    assert_eq!(text_of(r#""\\ud83d\ude00\uD83D\uDE01""#).as_deref(), Some("\\ud83d\u{fffd}😁"));
    assert_eq!(text_of(r#""\ud83d\ud83d\ude00\ude00""#).as_deref(), Some("\u{fffd}😀\u{fffd}"));
    assert_eq!(text_of(r#""\ud83d\u0041""#).as_deref(), Some("\u{fffd}A"));
}

#[test]
fn whole_numbers_are_exact_or_none() {
    let number_of =
        |text: &str| Parser::new(32).parse(text.as_bytes(), |value| value.as_u64()).expect("valid");
    assert_eq!(number_of("18446744073709551615"), Some(u64::MAX));
    assert_eq!(number_of("1234567890123456"), Some(1_234_567_890_123_456));
    for text in ["18446744073709551616", "1e3", "1.0", "-1", "\"1\"", "123456789012345678901234567890"] {
        assert_eq!(number_of(text), None, "{text}");
    }
}

#[test]
fn depth_counts_from_the_outer_object() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let mut parser = Parser::new(4);
    assert_eq!(parser.parse(nested(4).as_bytes(), |_| ()), Ok(()));
    assert_eq!(parser.parse(nested(5).as_bytes(), |_| ()), Err(JsonError::Depth));
    assert_eq!(parser.parse(nested(100_000).as_bytes(), |_| ()), Err(JsonError::Depth));
}

#[test]
fn what_is_not_json_is_refused() {
    let mut parser = Parser::new(32);
    for text in [
        "",
        " ",
        "{",
        "}",
        "{\"a\":}",
        "[1,]",
        "{,}",
        "01",
        "+1",
        "1.",
        ".5",
        "1e",
        "nul",
        "tru",
        "\"a",
        "'a'",
        "\"\u{1}\"",
        "\"a\nb\"",
        "[1] 2",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\ud8\"",
        "NaN",
        "-",
        "[1 2]",
        "{\"a\" 1}",
        "\u{feff}1",
        "1\u{0}",
        "[\u{b}1]",
        "0x10",
        "-01",
        "1e400x",
        "\"\\ud800",
        "{1:2}",
    ] {
        assert_eq!(parser.parse(text.as_bytes(), |_| ()), Err(JsonError::Syntax), "{text:?}");
    }
}

/// Text that is nearly JSON: valid fragments, joined and broken at random.
fn nearly_json() -> impl Strategy<Value = String> {
    let fragment = prop_oneof![
        Just("{".to_owned()),
        Just("}".to_owned()),
        Just("[".to_owned()),
        Just("]".to_owned()),
        Just(",".to_owned()),
        Just(":".to_owned()),
        Just("\"a\"".to_owned()),
        Just("\"".to_owned()),
        Just("\\".to_owned()),
        Just("1e999".to_owned()),
        Just("-1".to_owned()),
        Just("1.5".to_owned()),
        Just("99999999999999999999999".to_owned()),
        Just("\"\\ud800\"".to_owned()),
        Just("true".to_owned()),
        Just("null".to_owned()),
        Just(" ".to_owned()),
        Just("\n".to_owned()),
        Just("\u{7}".to_owned()),
        Just("0".to_owned()),
        Just("e5".to_owned()),
        Just(".".to_owned()),
        Just("-".to_owned()),
        Just("\"\\u00e9\\n\"".to_owned()),
        "[ -~]{0,4}",
    ];
    proptest::collection::vec(fragment, 0..24).prop_map(|parts| parts.concat())
}

fn value_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "[0-9]{1,30}".prop_map(|digits| if digits == "0" { digits } else { format!("1{digits}") }),
        Just("-1.5e300".to_owned()),
        Just("1e-7".to_owned()),
        Just("true".to_owned()),
        Just("null".to_owned()),
        "\"([a-zé ]|\\\\n|\\\\u[0-9a-f]{4}|\\\\\"){0,8}\"",
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(|list| format!("[{}]", list.join(" , "))),
            proptest::collection::vec(("\"[a-c]\"", inner), 0..5).prop_map(|members| {
                let list: Vec<_> =
                    members.into_iter().map(|(key, value)| format!("{key} :{value}")).collect();
                format!("{{ {} }}", list.join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn accepts_what_rfc_8259_accepts_and_nothing_else(text in prop_oneof![nearly_json(), value_text()]) {
        let expected = serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok();
        let got = Parser::new(64).parse(text.as_bytes(), |_| ()).is_ok();
        prop_assert_eq!(got, expected, "{:?}", text);
    }

    #[test]
    fn every_member_is_cut_where_it_stands(content in value_text(), other in value_text()) {
        let text = format!("{{\"a\":{other},\"content\":{content},\"z\":[{other}]}}");
        prop_assert_eq!(raw_of(&text, "content"), Some(content));
        let raw = raw_of(&text, "z");
        prop_assert_eq!(raw, Some(format!("[{other}]")));
    }
}
