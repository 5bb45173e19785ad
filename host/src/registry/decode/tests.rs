//! Every text that a document's author may read, with its place; and that nothing is lost.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn limits() -> Limits {
    Limits { document_depth_max: 4, document_size_max_bytes: 2_000, ..Limits::default() }
}

fn json(text: &str) -> String {
    said(decode(text.as_bytes(), Format::Json, &limits()))
}

fn yaml(text: &str) -> String {
    said(decode(text.as_bytes(), Format::Yaml, &limits()))
}

fn said(result: Result<Value, DecodeError>) -> String {
    match result {
        Ok(value) => value.to_string(),
        Err(error) => error.to_string(),
    }
}

fn check(read: fn(&str) -> String, cases: &[(&str, &str)]) {
    let wrong: Vec<_> = cases
        .iter()
        .map(|(text, expected)| (text, read(text), *expected))
        .filter(|(_, said, expected)| said != expected)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn reads_json_without_loss() {
    check(
        json,
        &[
            (" {\"b\": [1, -2, 0.5, 1e3], \"a\": null}\n", r#"{"a":null,"b":[1,-2,0.5,1000.0]}"#),
            ("9007199254740991", "9007199254740991"),
            ("-9007199254740991", "-9007199254740991"),
            ("-0", "0"),
            ("\"\"", "\"\""),
            ("[]", "[]"),
            ("{}", "{}"),
            (r#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00ü""#, "\"\\\"\\\\/\\b\\f\\n\\r\\té😀ü\""),
            ("[[[[]]]]", "[[[[]]]]"),
        ],
    );
}

#[test]
fn refuses_json_with_its_place_and_what_to_change() {
    check(
        json,
        &[
            ("", "the document is empty: expected a JSON value at line 1, column 1"),
            ("  \n", "the document is empty: expected a JSON value at line 1, column 1"),
            (
                "\u{feff}{}",
                "the document begins with a byte order mark: save it as UTF-8 without one at line 1, column 1",
            ),
            (
                "{\"é\": 1,\n  \"a\": {},\n  \"\\u0061\": 2}",
                "'a' stands twice in one object: remove one of them at line 3, column 3",
            ),
            (
                r#"{"a": {"$serde_json::private::RawValue": "1"}}"#,
                "no member can be called '$serde_json::private::RawValue': rename it at line 1, column 8",
            ),
            (
                "[[[\n  [[]]]]]",
                "nested deeper than document_depth_max = 4: flatten the document or split it at line 2, column 4",
            ),
            (
                "{\"a\": 9007199254740992}",
                "the integer 9007199254740992 is beyond 9007199254740991, past which integers are not exact: \
                 write it as a string at line 1, column 7",
            ),
            (
                "-99999999999999999999999999999999999999999999",
                "the integer -999999999999999999999999999999999999999… is beyond 9007199254740991, past which \
                 integers are not exact: write it as a string at line 1, column 1",
            ),
            ("[1e999]", "the number 1e999 is too large for a double: write it as a string at line 1, column 2"),
            ("[NaN]", "JSON has no NaN and no Infinity: write null or a string at line 1, column 2"),
            ("[01]", "a number has no leading zeros: remove them, or write it as a string at line 1, column 2"),
            ("[1.]", "expected a digit, found ']' at line 1, column 4"),
            ("[-]", "expected a digit, found ']' at line 1, column 3"),
            ("{} {}", "expected the end of the document, found '{' at line 1, column 4"),
            ("{\"a\": 1,}", "a comma after the last one: remove it at line 1, column 8"),
            ("[1,\n]", "a comma after the last one: remove it at line 1, column 3"),
            ("[1 2]", "expected ',' or ']', found '2' at line 1, column 4"),
            ("{\"a\": 1 \"b\": 2}", "expected ',' or '}', found '\"' at line 1, column 9"),
            ("{\"a\" 1}", "expected ':' after the member name, found '1' at line 1, column 6"),
            ("{a: 1}", "expected a member name in double quotes, found 'a' at line 1, column 2"),
            ("{'a': 1}", "JSON strings stand in double quotes: replace the single quotes at line 1, column 2"),
            ("{\n// why\n}", "JSON has no comments: remove it, or write the document as YAML at line 2, column 1"),
            ("[tru]", "expected a value, found 't' at line 1, column 2"),
            ("[\u{7}]", "expected a value, found '\\u{7}' at line 1, column 2"),
            ("{\"a\":", "the document ends where a value should be: complete it at line 1, column 6"),
            ("[1", "the document ends where ',' or ']' should be: complete it at line 1, column 3"),
            ("[\"ab", "the string is not closed: add '\"' at line 1, column 2"),
            (
                "[\"ab\n\"]",
                "the string is not closed on its line: add '\"', or write the line break as \\n at line 1, column 5",
            ),
            ("\"a\tb\"", "a control character in a string: write it as \\u0009 at line 1, column 3"),
            (r#""a\xb""#, "an unknown escape in a string: write a backslash as \\\\ at line 1, column 3"),
            (r#""\u12g4""#, "\\u takes four hexadecimal digits at line 1, column 2"),
            (
                r#""\ud800x""#,
                "half of a surrogate pair: write both halves, or the character itself at line 1, column 2",
            ),
            (
                r#""\ud800\u0041""#,
                "half of a surrogate pair: write both halves, or the character itself at line 1, column 2",
            ),
            (r#""\u0000""#, "the character U+0000 cannot be stored: remove it at line 1, column 2"),
        ],
    );
}

#[test]
fn refuses_bytes_that_are_too_many_or_not_utf8() {
    for format in [Format::Json, Format::Yaml] {
        let decoded = decode(&[b' '; 2_001], format, &limits());
        assert_eq!(decoded, Err(DecodeError::TooLarge { limit_bytes: 2_000 }));
        assert_eq!(said(decoded), "the document has more than document_size_max_bytes = 2000");
        assert_eq!(
            said(decode(b"[\n \"\xc3\xa9\xff\"]", format, &limits())),
            "the byte 0xff is not UTF-8: save the document as UTF-8 at line 2, column 4"
        );
    }
}

#[test]
fn reads_yaml_by_the_core_schema() {
    check(
        yaml,
        &[
            ("a: 1.0\nb: \"1.0\"\nc: 1.2.3\n", r#"{"a":1.0,"b":"1.0","c":"1.2.3"}"#),
            ("[~, null, '', yes, on, True, FALSE]", r#"[null,null,"","yes","on",true,false]"#),
            ("[0, -1, +2, 0o17, 0xff, .5, -1e3, 1.]", "[0,-1,2,15,255,0.5,-1000.0,1.0]"),
            ("[2024-01-02, 12:30, 1_000, 0b1, ., e3]", r#"["2024-01-02","12:30","1_000","0b1",".","e3"]"#),
            ("[!!str 1, ! 1, !!float 1.5, !!int 3]", r#"["1","1",1.5,3]"#),
            ("a:\nb: |\n  one\n  two\nc: >\n  one\n  two\n", r#"{"a":null,"b":"one\ntwo\n","c":"one two\n"}"#),
            ("base: &b {x: 1}\nother: *b\n", r#"{"base":{"x":1},"other":{"x":1}}"#),
            ("&k name: 1\nx: *k", r#"{"name":1,"x":"name"}"#),
            ("%YAML 1.2\n---\n# a comment\na: 1\n...\n", r#"{"a":1}"#),
            ("{\"a\": [1, {\"b\": \"\\u00e9\"}]}", r#"{"a":[1,{"b":"é"}]}"#),
            ("\u{feff}a: 1", r#"{"a":1}"#),
        ],
    );
}

#[test]
fn refuses_yaml_with_its_place_and_what_to_change() {
    check(
        yaml,
        &[
            ("", "the document is empty: expected a YAML value at line 1, column 1"),
            ("# nothing\n", "the document is empty: expected a YAML value at line 1, column 1"),
            ("a: 1\n---\nb: 2\n", "a second document begins: send one document at a time at line 2, column 1"),
            ("é: 1\na: {}\n'a': 2\n", "'a' stands twice in one object: remove one of them at line 3, column 1"),
            (
                "a:\n  $serde_json::private::RawValue: '1'",
                "no member can be called '$serde_json::private::RawValue': rename it at line 2, column 3",
            ),
            ("1: x", "the key 1 is not a string: put it in quotes at line 1, column 1"),
            ("a:\n  true: x", "the key true is not a string: put it in quotes at line 2, column 3"),
            (": x", "a key is missing or null: name the member at line 1, column 1"),
            ("? [a]\n: x", "a list or a mapping as a key: keys must be strings at line 1, column 3"),
            (
                "a: &a {x: 1}\nb:\n  <<: *a\n",
                "merge keys ('<<') are not YAML 1.2: write the members out at line 3, column 3",
            ),
            (
                "a:\n  b:\n    c:\n      - - x",
                "nested deeper than document_depth_max = 4: flatten the document or split it at line 4, column 9",
            ),
            (
                "[[[[[]]]]]",
                "nested deeper than document_depth_max = 4: flatten the document or split it at line 1, column 5",
            ),
            (
                "a: &a [[1]]\nb: [[*a]]",
                "nested deeper than document_depth_max = 4: flatten the document or split it at line 2, column 6",
            ),
            ("a: &a [*a]", "the alias stands within the node that it names: write the value out at line 1, column 8"),
            (
                "a: *b",
                "the alias names no anchor before it: define the anchor, or write the value out at line 1, column 4",
            ),
            ("a: !secret x", "the tag !secret is not supported here: remove it at line 1, column 12"),
            ("a: !!set {x}", "the tag !!set is not supported here: remove it at line 1, column 10"),
            ("a: !!int x", "'x' is not of the type that its tag !!int names at line 1, column 10"),
            ("a: .nan", "JSON has no .nan: write null or a string at line 1, column 4"),
            ("a: -.inf", "JSON has no -.inf: write null or a string at line 1, column 4"),
            ("a: 007", "007 is a number and would lose its leading zeros: put it in quotes at line 1, column 4"),
            (
                "a: 0x20000000000000",
                "the integer 0x20000000000000 is beyond 9007199254740991, past which integers are not exact: \
                 write it as a string at line 1, column 4",
            ),
            ("a: 1e999", "the number 1e999 is too large for a double: write it as a string at line 1, column 4"),
            ("a: \"\\0\"", "the character U+0000 cannot be stored: remove it at line 1, column 4"),
            ("a:\n\tb: 1", "a tab in the indentation: indent with spaces at line 2, column 2"),
            ("a: \"x", "the string is not closed: add its closing quote at line 1, column 4"),
            (
                "a: b: c",
                "not YAML: mapping values are not allowed in this context: check the indentation, and put text that \
                 holds ': ' in quotes at line 1, column 5",
            ),
            ("a: [1, 2", "'[' is not closed: add its closing bracket at line 1, column 4"),
            ("a: {b: 1]", "'{' is closed by ']': close it with its own bracket at line 1, column 4"),
            ("a: @b", "'@' cannot begin a value: put the value in quotes at line 1, column 4"),
            (
                "- a\nb: c",
                "not YAML: while parsing a block collection, did not find expected '-' indicator at line 2, column 1",
            ),
        ],
    );
}

#[test]
fn bounds_what_aliases_add() {
    let mut laughs = "a0: &a0 [lol, lol, lol, lol]\n".to_owned();
    for level in 1..4 {
        let before = level - 1;
        laughs.push_str(&format!("a{level}: &a{level} [*a{before}, *a{before}, *a{before}, *a{before}]\n"));
    }
    let deep = Limits { document_depth_max: 64, document_size_max_bytes: 500, ..Limits::default() };
    assert_eq!(
        said(decode(laughs.as_bytes(), Format::Yaml, &deep)),
        "anchors and aliases expand the document beyond document_size_max_bytes = 500: write less of it by alias \
         at line 3, column 9"
    );
}

#[test]
fn keeps_the_place_of_every_value() {
    let cases = [
        (Format::Json, "{\"a\": {\"b/c\": [1, {\"d\": \"x\"}]}}"),
        (Format::Yaml, "a:\n  b/c:\n    - 1\n    - d: x\n"),
        (Format::Yaml, "{\"a\": {\"b/c\": [1, {\"d\": \"x\"}]}}"),
    ];
    for (format, text) in cases {
        let limits = Limits::default();
        let (value, places) = decode_with_places(text.as_bytes(), format, &limits).expect("a document");
        assert_eq!(value, json!({"a": {"b/c": [1, {"d": "x"}]}}));
        let (found, place) = places.nearest("/a/b~1c/1/d").expect("a place");
        assert_eq!(found, "/a/b~1c/1/d");
        assert_eq!(text[place.value.clone()].trim_matches('"'), "x");
        assert_eq!(text[place.key.clone().expect("a key")].trim_matches('"'), "d");
        let (found, place) = places.nearest("/a/b~1c/0/nothing/here").expect("an ancestor");
        assert_eq!((found, &text[place.value.clone()]), ("/a/b~1c/0", "1"));
        assert_eq!(places.nearest("/missing").map(|(found, _)| found), Some(""));
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-(1_i64 << 53) + 1..1 << 53).prop_map(Value::from),
        any::<f64>().prop_filter("finite", |number| number.is_finite() && *number != 0.0).prop_map(Value::from),
        "[^\u{0}]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[^\u{0}]{0,6}", inner, 0..5).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn reads_what_serde_json_writes(value in any_json(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        let text = text.expect("JSON");
        prop_assert_eq!(decode(text.as_bytes(), Format::Json, &Limits::default()), Ok(value));
    }

    #[test]
    fn refuses_what_serde_json_refuses(value in any_json(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = serde_json::to_vec(&value).expect("JSON");
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if serde_json::from_slice::<Value>(&bytes).is_err() {
            prop_assert!(decode(&bytes, Format::Json, &Limits::default()).is_err());
        }
    }

    #[test]
    fn survives_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[\\[\\]{}:,&*a\"'!|>%#\n -]{0,80}") {
        for format in [Format::Json, Format::Yaml] {
            let _ = decode_with_places(&bytes, format, &Limits::default());
            let _ = decode_with_places(text.as_bytes(), format, &Limits::default());
        }
    }
}
