//! Canonical JSON (RFC 8785) of a value: what digests are over and what is stored. It runs once or twice for each
//! request, so it writes straight into its text; numbers with a fraction alone are left to `serde_json_canonicalizer`.

use std::io;

use serde_json::{Map, Value};

/// Writes the value.
///
/// # Panics
/// The value has a number that is not finite, which no decoded document has.
pub fn text(value: &Value) -> String {
    let mut bytes = Vec::with_capacity(4 * 1024);
    write(value, &mut bytes).expect("what was decoded has a canonical form");
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

/// Writes an object.
///
/// # Panics
/// As `text`.
pub fn object(members: &Map<String, Value>) -> String {
    let mut bytes = Vec::with_capacity(4 * 1024);
    write_object(members, &mut bytes).expect("what was decoded has a canonical form");
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

fn write(value: &Value, bytes: &mut Vec<u8>) -> io::Result<()> {
    match value {
        Value::Object(members) => write_object(members, bytes),
        Value::Array(elements) => {
            bytes.push(b'[');
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    bytes.push(b',');
                }
                write(element, bytes)?;
            }
            bytes.push(b']');
            Ok(())
        }
        Value::Number(number) if number.is_f64() => Ok(serde_json_canonicalizer::to_writer(number, bytes)?),
        // Of what is left, the usual form is the canonical one.
        plain => Ok(serde_json::to_writer(bytes, plain)?),
    }
}

fn write_object(members: &Map<String, Value>, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut members: Vec<(&String, &Value)> = members.iter().collect();
    // Members are in the order of their names' UTF-16 code units, which is nearly always the order they are in.
    if !members.is_sorted_by(|(one, _), (other, _)| one.encode_utf16().lt(other.encode_utf16())) {
        members.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
    }
    bytes.push(b'{');
    for (index, (name, value)) in members.into_iter().enumerate() {
        if index > 0 {
            bytes.push(b',');
        }
        serde_json::to_writer(&mut *bytes, name)?;
        bytes.push(b':');
        write(value, bytes)?;
    }
    bytes.push(b'}');
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-9_007_199_254_740_991_i64..9_007_199_254_740_992).prop_map(Value::from),
            any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..8)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn writes_what_the_standard_form_is(value in values()) {
            prop_assert_eq!(text(&value), serde_json_canonicalizer::to_string(&value).expect("JSON"));
        }
    }

    #[test]
    fn orders_names_by_utf_16() {
        // U+1F600 is a surrogate pair in UTF-16 and so before U+FB33, though after it in UTF-8.
        let value = json!({"\u{fb33}": 1, "\u{1f600}": 2, "\r": 1e21, "a": -0.0, "b": 4.50, "c": "\u{7f}\u{1}\n/"});
        assert_eq!(
            text(&value),
            "{\"\\r\":1e+21,\"a\":0,\"b\":4.5,\"c\":\"\u{7f}\\u0001\\n/\",\"\u{1f600}\":2,\"\u{fb33}\":1}"
        );
    }
}
