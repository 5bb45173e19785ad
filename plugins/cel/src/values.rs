//! JSON text to CEL values in one pass. Strings without escapes borrow from the text.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use cel_interpreter::Value;
use cel_interpreter::common::traits::{Container, Indexer, Iterable, Sizer, Zeroer};
use cel_interpreter::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelTimestamp, CelUInt, Type,
};
use cel_interpreter::common::value::{Builtin, BuiltinRef, Val};
use chrono::{DateTime, TimeZone as _, Utc};
use hallmark_plugin::Subject;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A CEL value, as the interpreter holds one.
pub type Boxed<'v> = Box<dyn Val + 'v>;

/// A CEL value that is read from JSON.
struct Json<'v>(Boxed<'v>);

/// A map that is copied by reference: each step of a macro such as `all` binds a copy of its element, and elements are
/// most often objects. To the interpreter it is a map like any other.
#[derive(Debug, Clone)]
struct SharedMap<'v>(Arc<CelMap<'v>>);

impl<'v> Val for SharedMap<'v> {
    fn get_type(&self) -> &Type {
        self.0.get_type()
    }

    fn cel_type() -> &'static Type {
        <CelMap<'v> as Val>::cel_type()
    }

    fn as_container(&self) -> Option<&dyn Container> {
        self.0.as_container()
    }

    fn as_indexer<'b, 'w>(&'b self) -> Option<&'b (dyn Indexer + 'w)>
    where
        Self: 'w,
    {
        self.0.as_indexer()
    }

    fn into_indexer<'w>(self: Box<Self>) -> Option<Box<dyn Indexer + 'w>>
    where
        Self: 'w,
    {
        Box::new(Arc::unwrap_or_clone(self.0)).into_indexer()
    }

    fn as_iterable<'b, 'w>(&'b self) -> Option<&'b (dyn Iterable + 'w)>
    where
        Self: 'w,
    {
        self.0.as_iterable()
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        self.0.as_sizer()
    }

    fn as_zeroer(&self) -> Option<&dyn Zeroer> {
        self.0.as_zeroer()
    }

    fn equals(&self, other: &dyn Val) -> bool {
        self.0.equals(other)
    }

    fn clone_as_boxed<'w>(&self) -> Boxed<'w>
    where
        Self: 'w,
    {
        Box::new(self.clone())
    }

    // What lets the interpreter, and a map that this one is compared with, see the map within.
    fn as_builtin<'b, 'w>(&'b self) -> BuiltinRef<'b, 'w>
    where
        Self: 'w,
    {
        self.0.as_builtin()
    }

    fn into_builtin<'w>(self: Box<Self>) -> Option<Builtin<'w>>
    where
        Self: 'w,
    {
        Box::new(Arc::unwrap_or_clone(self.0)).into_builtin()
    }
}

/// Reads JSON text.
///
/// # Errors
/// It is not JSON.
pub fn read(text: &str) -> Result<Boxed<'_>, serde_json::Error> {
    serde_json::from_str::<Json<'_>>(text).map(|json| json.0)
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
        Ok(Json(Box::new(CelList::from(list))))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut map: HashMap<CelMapKey<'de>, Boxed<'de>> = HashMap::new();
        while let Some((Name(name), Json(value))) = members.next_entry()? {
            map.insert(CelMapKey::String(name), value);
        }
        Ok(Json(Box::new(SharedMap(Arc::new(CelMap::from(map))))))
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
