//! What a handler is given: who asks, for what, with which body. Nothing in it is unread or unchecked but the words of
//! the path, which the registry parses.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Query, RawPathParams};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::Host;
use super::error::{Code, Problem};
use crate::clock::{Millis, new_id};
use crate::config::{Limits, unknown};
use crate::names::Scope;
use crate::registry::access::Session;
use crate::registry::decode::{Format, Malformed, decode};
use crate::registry::{Actor, Registry, RegistryError};
use crate::telemetry::Trace;

/// The header that carries the correlation id, both ways.
pub static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What ties a request, its answer and its log lines together.
#[derive(Debug, Clone)]
pub struct Correlation(HeaderValue);

impl Correlation {
    /// The caller's own id where it has a sane form, else a new one.
    pub fn of(headers: &HeaderMap) -> Self {
        let given = headers
            .get(&REQUEST_ID)
            .filter(|value| (1..=128).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic));
        Self(given.cloned().unwrap_or_else(|| {
            HeaderValue::try_from(new_id(Millis::now())).expect("a UUID has only characters that a header may have")
        }))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// As it is sent.
    pub fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

/// One request of somebody who may ask.
pub struct Call {
    /// What it is served from.
    pub host: Arc<Host>,
    /// What is asked.
    pub registry: Arc<Registry>,
    /// Who asks.
    pub actor: Actor,
    /// By which session; none where a token asks.
    pub session: Option<Session>,
    /// The request.
    pub correlation: Correlation,
    /// The trace that it is part of.
    pub trace: Arc<Trace>,
    /// When its head had come.
    pub started: Instant,
    /// Its head's fields.
    pub headers: HeaderMap,
    /// How the body is written.
    pub format: Format,
    /// The body.
    pub body: Bytes,
    /// The words of the path.
    pub words: RawPathParams,
    /// The path and the query.
    pub uri: Uri,
}

impl Call {
    /// A word of the path, by its name in the route; empty where the route has none of this name.
    pub fn word(&self, name: &str) -> &str {
        self.words.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
    }

    /// The scope in the path: the module that it names, else the policies.
    ///
    /// # Errors
    /// The module's name does not have its form.
    pub fn scope(&self) -> Result<Scope, Problem> {
        match self.word("name") {
            "" => Ok(Scope::Policies),
            name => Ok(Scope::Module(name.parse()?)),
        }
    }

    /// The release number in the path.
    ///
    /// # Errors
    /// It is no number from 1.
    pub fn number(&self) -> Result<i64, Problem> {
        let word = self.word("number");
        word.parse().ok().filter(|number| *number >= 1).ok_or_else(|| {
            Problem::new(Code::BadName, format!("'{word}' is not a valid release number: a whole number from 1"))
        })
    }

    /// The JSON body.
    ///
    /// # Errors
    /// It does not have the form that the route takes, with the place where it departs from it.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        // Its size is checked, by the route's own limit. What reads it strictly has no types, what has types would
        // take the last of two equal keys.
        let limits = Limits { document_size_max_bytes: self.body.len(), ..(*self.host.limits).clone() };
        decode(&self.body, Format::Json, &limits).map_err(RegistryError::from)?;
        // To the types a list of an object's members in their order is as good as the object.
        if self.body.trim_ascii_start().first() == Some(&b'[') {
            let message = "invalid type: a list, expected an object".to_owned();
            return Err(Malformed { message, line: 1, column: 1 }.into());
        }
        serde_json::from_slice(&self.body).map_err(|error| {
            let text = error.to_string();
            let place = format!(" at line {} column {}", error.line(), error.column());
            let message = text.strip_suffix(&place).unwrap_or(&text).to_owned();
            Malformed { message, line: error.line().max(1), column: error.column().max(1) }.into()
        })
    }

    /// The query's parameters, of which only the known ones may be given.
    ///
    /// # Errors
    /// One is not known, or the query is not form-encoded.
    pub fn query<const N: usize>(&self, known: [&str; N]) -> Result<[Option<String>; N], Problem> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&self.uri)
            .map_err(|_| Problem::new(Code::BadQuery, "the query is not of the form name=value&name=value"))?;
        let mut values = [const { None }; N];
        for (name, value) in pairs {
            let Some(place) = known.iter().position(|candidate| *candidate == name) else {
                return Err(Problem::new(Code::BadQuery, format!("query: {}", unknown(&name, &known))));
            };
            values[place] = Some(value);
        }
        Ok(values)
    }
}

/// Nothing is served at this path.
pub fn no_route(path: &str) -> Problem {
    let path: String = path.chars().take(200).collect();
    Problem::new(Code::NoRoute, format!("nothing is served at {path}"))
}
