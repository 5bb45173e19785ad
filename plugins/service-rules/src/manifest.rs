//! The part of a service manifest that is judged, borrowed from its text. The kind's JSON Schema decides what a
//! manifest may look like; here a value of another form is simply not what was looked for.

use std::borrow::Cow;
use std::fmt;

use hallmark_plugin::pointer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// The document.
#[derive(Debug, serde::Deserialize)]
pub struct Manifest<'a> {
    /// Its services.
    #[serde(borrow, default)]
    pub services: Vec<Service<'a>>,
}

/// One service.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service<'a> {
    /// Its name.
    #[serde(borrow, default)]
    pub slug: Loose<'a>,
    /// Where it is reached.
    #[serde(borrow, default)]
    pub base_url: Loose<'a>,
    /// Where it says how it is.
    #[serde(borrow, default)]
    pub health_endpoint: Loose<'a>,
    /// What must run first.
    #[serde(borrow, default)]
    pub depends_on: Loose<'a>,
    /// Its environment.
    #[serde(borrow, default)]
    pub env: Loose<'a>,
    /// Where it listens.
    #[serde(borrow, default)]
    pub port: Loose<'a>,
    /// Where it listens.
    #[serde(borrow, default)]
    pub ports: Loose<'a>,
}

/// A value that may have one of several forms.
#[derive(Debug, Default, PartialEq)]
pub enum Loose<'a> {
    /// Nothing, or null.
    #[default]
    Absent,
    /// A text.
    Text(Cow<'a, str>),
    /// A whole number that is not negative.
    Number(u64),
    /// An array.
    List(Vec<Loose<'a>>),
    /// An object.
    Members(Vec<(Cow<'a, str>, Loose<'a>)>),
    /// A boolean, or another number.
    Other,
}

impl<'a> Loose<'a> {
    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The member of an object; nothing stands there in all else.
    pub fn member(&self, name: &str) -> &Loose<'a> {
        const ABSENT: &Loose = &Loose::Absent;
        match self {
            Self::Members(members) => {
                members.iter().find(|(known, _)| known == name).map_or(ABSENT, |(_, value)| value)
            }
            _ => ABSENT,
        }
    }

    /// The elements of an array; none in all else.
    pub fn elements(&self) -> &[Loose<'a>] {
        match self {
            Self::List(elements) => elements,
            _ => &[],
        }
    }

    /// True where nothing stands.
    pub fn is_absent(&self) -> bool {
        *self == Self::Absent
    }
}

#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Loose<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LooseVisitor)
    }
}

struct LooseVisitor;

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = Loose<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Loose::Absent)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Loose::Other)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Loose::Number(number))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Loose::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Loose::Other)
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Loose::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Loose::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = sequence.next_element()? {
            elements.push(element);
        }
        Ok(Loose::List(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(Name(name)) = map.next_key()? {
            members.push((name, map.next_value()?));
        }
        Ok(Loose::Members(members))
    }
}

/// An entry of an environment: `[{"key": "PORT", "value": "4311"}]` or `{"PORT": "4311"}`.
#[derive(Debug)]
pub struct Variable<'a, 'b> {
    /// Its name.
    pub name: &'b str,
    /// Its value, of whatever form.
    pub value: &'b Loose<'a>,
    /// The service that its value comes from.
    pub from_service: &'b Loose<'a>,
    /// Where it stands in `env`.
    pub token: Token<'b>,
    /// Where `value` stands below that: empty in the short form.
    pub value_member: &'static str,
}

/// The last step to a place: the index of an element or the name of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token<'b> {
    /// No step.
    None,
    /// An element.
    Index(usize),
    /// A member.
    Name(&'b str),
}

impl<'a> Service<'a> {
    /// Its environment's entries.
    pub fn variables(&self) -> impl Iterator<Item = Variable<'a, '_>> {
        let listed = self.env.elements().iter().enumerate().map(|(index, entry)| Variable {
            name: entry.member("key").text().or_else(|| entry.member("name").text()).unwrap_or_default(),
            value: entry.member("value"),
            from_service: entry.member("fromService"),
            token: Token::Index(index),
            value_member: "/value",
        });
        let members = if let Loose::Members(members) = &self.env { members.as_slice() } else { &[] };
        let named = members.iter().map(|(name, entry)| {
            let is_object = matches!(entry, Loose::Members(_));
            Variable {
                name,
                value: if is_object { entry.member("value") } else { entry },
                from_service: entry.member("fromService"),
                token: Token::Name(name),
                value_member: if is_object { "/value" } else { "" },
            }
        });
        listed.chain(named)
    }
}

/// A place in a service, made a pointer only where a finding needs it.
#[derive(Debug, Clone, Copy)]
pub struct Place<'b> {
    /// The service's index.
    pub service: usize,
    /// `/dependsOn`.
    pub field: &'static str,
    /// The step below the field.
    pub token: Token<'b>,
    /// What follows: `/fromService`.
    pub tail: &'static str,
}

impl<'b> Place<'b> {
    /// A field of a service.
    pub fn field(service: usize, field: &'static str) -> Self {
        Self { service, field, token: Token::None, tail: "" }
    }

    /// The step below the field, and what follows.
    pub fn below(self, token: Token<'b>, tail: &'static str) -> Self {
        Self { token, tail, ..self }
    }

    /// The pointer, where `services` is that of the list.
    pub fn pointer(&self, services: &str) -> String {
        let mut pointer = pointer::child(services, self.service);
        pointer.push_str(self.field);
        let mut pointer = match self.token {
            Token::None => pointer,
            Token::Index(index) => pointer::child(&pointer, index),
            Token::Name(name) => pointer::child(&pointer, name),
        };
        pointer.push_str(self.tail);
        pointer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borrows_what_has_no_escape() {
        let text = r#"{"services": [{"slug": "a", "baseUrl": "a\nb", "port": 80, "other": [1, {"a": null}]}]}"#;
        let manifest: Manifest = serde_json::from_str(text).expect("a manifest");
        let service = &manifest.services[0];
        assert!(matches!(service.slug, Loose::Text(Cow::Borrowed("a"))));
        assert!(matches!(&service.base_url, Loose::Text(Cow::Owned(text)) if text == "a\nb"));
        assert_eq!(service.port, Loose::Number(80));
        assert!(service.env.is_absent());
    }

    #[test]
    fn reads_both_forms_of_an_environment() {
        let text = r#"{"services": [
            {"env": [{"key": "A", "value": "1"}, {"key": "B", "fromService": "b"}]},
            {"env": {"A": "1", "B/C": {"fromService": {"service": "b"}}}}
        ]}"#;
        let manifest: Manifest = serde_json::from_str(text).expect("a manifest");
        let seen = |service: usize| -> Vec<_> {
            let variables = manifest.services[service].variables();
            variables
                .map(|variable| {
                    let place = Place::field(service, "/env").below(variable.token, variable.value_member);
                    format!("{} {} {:?}", variable.name, place.pointer("/s"), variable.value.text())
                })
                .collect()
        };
        assert_eq!(seen(0), ["A /s/0/env/0/value Some(\"1\")", "B /s/0/env/1/value None"]);
        assert_eq!(seen(1), ["A /s/1/env/A Some(\"1\")", "B/C /s/1/env/B~1C/value None"]);
    }
}
