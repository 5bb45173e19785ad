//! The canonical form of what was decoded: RFC 8785, the JSON Canonicalization Scheme.
//!
//! Of a document whose member names are ASCII and whose numbers are integers, what `serde_json` writes is that form
//! already: its maps are ordered by the bytes of the names, which for ASCII is the order of UTF-16 code units, it
//! escapes the same characters in the same way, and writes integers in full. It does so many times faster than a
//! writer that must gather and sort members, so that one has the rest.

use serde::Serialize;
use serde_json::{Map, Value};

/// The canonical form of a value.
pub(super) fn canonical(value: &Value) -> String {
    write(value, is_plain(value))
}

/// The canonical form of what serializes as plainly as the objects in it: its own member names are ASCII and in order.
pub(super) fn canonical_around<'a, T: Serialize>(
    value: &T,
    objects: impl IntoIterator<Item = &'a Map<String, Value>>,
) -> String {
    write(value, objects.into_iter().all(is_plain_object))
}

fn write<T: Serialize>(value: &T, is_plain: bool) -> String {
    let written = if is_plain { serde_json::to_string(value) } else { serde_json_canonicalizer::to_string(value) };
    written.expect("what was decoded has a canonical form")
}

fn is_plain(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => true,
        Value::Number(number) => number.is_i64() || number.is_u64(),
        Value::Array(elements) => elements.iter().all(is_plain),
        Value::Object(members) => is_plain_object(members),
    }
}

fn is_plain_object(members: &Map<String, Value>) -> bool {
    members.iter().all(|(name, value)| name.is_ascii() && is_plain(value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Integers are those that a document may hold: up to 2^53 - 1 (RFC 7493).
    fn values() -> impl Strategy<Value = Value> {
        let texts =
            || prop_oneof![any::<String>(), "[\\x00-\\x7f]{0,8}", "[\u{e000}-\u{ffff}\u{10000}-\u{10ffff}]{0,3}"];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-9_007_199_254_740_991_i64..=9_007_199_254_740_991).prop_map(Value::from),
            any::<f64>().prop_filter("JSON has no other numbers", |number| number.is_finite()).prop_map(Value::from),
            texts().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(texts(), inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn writes_what_the_library_for_it_writes(value in values()) {
            prop_assert_eq!(canonical(&value), serde_json_canonicalizer::to_string(&value).expect("it is JSON"));
        }

        #[test]
        fn plain_values_are_written_as_the_library_writes_them(
            members in prop::collection::btree_map("[\\x00-\\x7f]{0,6}", any::<(String, i32)>(), 0..12),
        ) {
            let value = json!(members);
            prop_assert!(is_plain(&value));
            prop_assert_eq!(canonical(&value), serde_json_canonicalizer::to_string(&value).expect("it is JSON"));
        }
    }

    #[test]
    fn leaves_what_is_not_plain_to_the_library() {
        // By UTF-16 code units U+10000 comes before U+FFFF; by bytes it comes after.
        assert_eq!(canonical(&json!({"\u{ffff}": 1, "\u{10000}": 2})), "{\"\u{10000}\":2,\"\u{ffff}\":1}");
        assert_eq!(canonical(&json!([1.0, 1e21, -0.0, 0.000_001])), "[1,1e+21,0,0.000001]");
    }
}
