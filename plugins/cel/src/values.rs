//! JSON text to CEL values in one pass. Strings without escapes borrow from the text.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use cel_interpreter::Value;
use cel_interpreter::common::types::{
    CelBool, CelDouble, CelInt, CelMap, CelMapKey, CelNull, CelString, CelTimestamp, CelUInt,
};
use cel_interpreter::common::value::{CowVal, Val};
use chrono::{DateTime, TimeZone as _, Utc};
use hallmark_plugin::{Subject, pointer};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::shared::{array, object, unread_array, unread_object};

/// A CEL value, as the interpreter holds one.
pub type Boxed<'v> = Box<dyn Val + 'v>;

/// A CEL value that is read from JSON.
struct Json<'v>(Boxed<'v>);

/// Reads JSON text.
///
/// # Errors
/// It is not JSON.
pub fn read(text: &str) -> Result<Boxed<'_>, serde_json::Error> {
    serde_json::from_str::<Json<'_>>(text).map(|json| json.0)
}

/// Reads JSON text of which little will be looked at: what is within arrays and objects is read when somebody looks.
///
/// # Errors
/// It is not JSON.
pub fn read_late(text: &str) -> Result<Boxed<'_>, serde_json::Error> {
    serde_json::from_str::<Unread<'_>>(text).map(|unread| unread.0)
}

/// The elements of an array, each unread.
pub fn elements(text: &str) -> Vec<Boxed<'_>> {
    let elements: Vec<Unread<'_>> = serde_json::from_str(text).expect(SEEN);
    elements.into_iter().map(|unread| unread.0).collect()
}

/// The members of an object, each unread.
pub fn members(text: &str) -> Vec<(CelString<'_>, Boxed<'_>)> {
    struct Listed;
    impl<'de> Visitor<'de> for Listed {
        type Value = Vec<(CelString<'de>, Boxed<'de>)>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
            let mut listed = Vec::new();
            while let Some((Name(name), Unread(value))) = members.next_entry()? {
                listed.push((name, value));
            }
            Ok(listed)
        }
    }
    serde_json::Deserializer::from_str(text).deserialize_map(Listed).expect(SEEN)
}

/// The whole was passed over before a part of it is read, and the host writes no number that cannot be read.
const SEEN: &str = "it was seen to be JSON";

/// A CEL value whose text was passed over, and is read later where it has parts.
struct Unread<'v>(Boxed<'v>);

impl<'de> Deserialize<'de> for Unread<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        Ok(Self(match text.as_bytes().first() {
            Some(b'{') => Box::new(unread_object(text)),
            Some(b'[') => Box::new(unread_array(text)),
            _ => read(text).map_err(Error::custom)?,
        }))
    }
}

/// What stands at a JSON Pointer below a value; null where nothing does.
pub fn at<'b, 'v>(value: &'b (dyn Val + 'v), pointer: &str) -> Boxed<'v> {
    let step = |value: &'b (dyn Val + 'v), token: Cow<'_, str>| {
        let found = value.as_indexer()?.get(&CelString::from(token.as_ref()));
        match found {
            Ok(CowVal::Borrowed(found)) => Some(found),
            _ => None,
        }
    };
    let found = pointer::tokens(pointer).try_fold(value, step);
    found.map_or_else(|| Box::new(CelNull) as Boxed<'v>, Val::clone_as_boxed)
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Json(Box::new(CelNull)))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Json(Box::new(CelBool::from(value))))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Json(Box::new(CelInt::from(value))))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Json(match i64::try_from(value) {
            Ok(value) => Box::new(CelInt::from(value)),
            Err(_) => Box::new(CelUInt::from(value)),
        }))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Json(Box::new(CelDouble::from(value))))
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Json(Box::new(CelString::from(value))))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Json(Box::new(CelString::from(value.to_owned()))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut list: Vec<Boxed<'de>> = Vec::new();
        while let Some(Json(element)) = elements.next_element()? {
            list.push(element);
        }
        Ok(Json(Box::new(array(list))))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut listed: Vec<(CelString<'de>, Boxed<'de>)> = Vec::new();
        while let Some((Name(name), Json(value))) = members.next_entry()? {
            listed.push((name, value));
        }
        Ok(Json(Box::new(object(listed))))
    }
}

struct Name<'v>(CelString<'v>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameVisitor)
    }
}

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Name<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a member name")
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Name(CelString::from(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Name(CelString::from(value.to_owned())))
    }
}

/// The variable `subject`.
pub fn subject(subject: &Subject) -> Boxed<'_> {
    let texts = [
        ("tenant", &subject.tenant),
        ("module", &subject.module),
        ("kind", &subject.kind),
        ("id", &subject.id),
        ("version", &subject.version),
        ("publisher", &subject.publisher),
    ];
    let mut map: HashMap<CelMapKey<'_>, Boxed<'_>> = texts
        .into_iter()
        .map(|(name, text)| {
            (CelMapKey::String(CelString::from(name)), Box::new(CelString::from(text.as_str())) as Boxed<'_>)
        })
        .collect();
    let millis = i64::try_from(subject.submitted_at).unwrap_or(i64::MAX);
    let at: DateTime<Utc> = Utc.timestamp_millis_opt(millis).single().unwrap_or(DateTime::<Utc>::MAX_UTC);
    map.insert(CelMapKey::String(CelString::from("submittedAt")), Box::new(CelTimestamp::from(at.fixed_offset())));
    Box::new(CelMap::from(map))
}

/// A value as a message shows it: a string as it is, anything else as JSON.
pub fn show(value: &dyn Val) -> String {
    match Value::try_from(value) {
        Ok(Value::String(text)) => text.to_string(),
        Ok(value) => value.json().map_or_else(|_| format!("{value:?}"), |json| json.to_string()),
        Err(error) => error.to_string(),
    }
}
