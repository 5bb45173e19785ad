//! Conditions on what a token claims.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::names::is_like;

/// What must be claimed: of each claim one of the values, in which `*` stands for any characters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(transparent)]
pub struct Claims(BTreeMap<String, Values>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(untagged)]
#[schema(as = ClaimValues)]
enum Values {
    One(String),
    Any(Vec<String>),
}

impl Values {
    fn as_slice(&self) -> &[String] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Any(values) => values,
        }
    }
}

impl Claims {
    /// One more claim that must be there; of a claim that is named twice one value will do.
    pub fn add(&mut self, name: String, value: String) {
        let mut values = self.0.get(&name).map_or_else(Vec::new, |values| values.as_slice().to_vec());
        values.push(value);
        let values = match <[String; 1]>::try_from(values) {
            Ok([value]) => Values::One(value),
            Err(values) => Values::Any(values),
        };
        self.0.insert(name, values);
    }

    /// Makes sure that something is demanded.
    ///
    /// # Errors
    /// Nothing is.
    pub fn check(&self) -> Result<(), String> {
        const CLAIMS_MAX: usize = 20;
        const VALUE_MAX_BYTES: usize = 500;
        if self.0.is_empty() || self.0.len() > CLAIMS_MAX {
            return Err(format!("name 1 to {CLAIMS_MAX} claims that a token must have"));
        }
        for (name, values) in &self.0 {
            let values = values.as_slice();
            let is_sane = |text: &String| !text.is_empty() && text.len() <= VALUE_MAX_BYTES;
            if !is_sane(name) || values.is_empty() || values.len() > CLAIMS_MAX || !values.iter().all(is_sane) {
                return Err(format!(
                    "a claim has a name and 1 to {CLAIMS_MAX} values, each of 1 to {VALUE_MAX_BYTES} bytes"
                ));
            }
        }
        Ok(())
    }

    /// True where a claim is demanded that not every token of an issuer has: one that is no part of each, or a value
    /// with a character of its own.
    pub fn are_narrow(&self) -> bool {
        let is_narrow = |(name, values): (&String, &Values)| {
            !matches!(name.as_str(), "iss" | "aud")
                && values.as_slice().iter().all(|value| value.bytes().any(|byte| byte != b'*'))
        };
        self.0.iter().any(is_narrow)
    }

    /// True where a token has every one of the claims.
    pub fn hold(&self, claims: &Map<String, Value>) -> bool {
        self.0.iter().all(|(name, values)| {
            value(claims, name).is_some_and(|claimed| values.as_slice().iter().any(|wanted| says(claimed, wanted)))
        })
    }
}

impl fmt::Display for Claims {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = |(name, values): (&String, &Values)| format!("{name}={}", values.as_slice().join("|"));
        formatter.write_str(&self.0.iter().map(one).collect::<Vec<_>>().join(", "))
    }
}

/// A claim: by its name, or by a JSON Pointer where it lies deeper.
pub(super) fn value<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let (first, rest) = name.strip_prefix('/')?.split_once('/')?;
    claims.get(&first.replace("~1", "/").replace("~0", "~"))?.pointer(&format!("/{rest}"))
}

fn says(claimed: &Value, wanted: &str) -> bool {
    match claimed {
        Value::String(text) => is_like(wanted, text),
        Value::Number(number) => number.to_string() == wanted,
        Value::Bool(flag) => flag.to_string() == wanted,
        Value::Array(values) => values.iter().any(|value| !value.is_array() && says(value, wanted)),
        Value::Null | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(value: Value) -> Claims {
        serde_json::from_value(value).expect("claims")
    }

    #[test]
    fn every_claim_must_have_one_of_its_values() {
        let token = json!({
            "sub": "repo:acme/agents:ref:refs/heads/main", "repository": "acme/agents", "groups": ["dev", "ops"],
            "run": 7, "protected": true, "realm": {"roles": ["admin"]}, "https://x/y": "z", "deep": [["dev"]],
        });
        let token = token.as_object().expect("an object");
        for (wanted, holds) in [
            (json!({"repository": "acme/agents"}), true),
            (json!({"repository": "acme/agent"}), false),
            (json!({"repository": "acme/*", "groups": "ops"}), true),
            (json!({"repository": "acme/*", "groups": "qa"}), false),
            (json!({"groups": ["qa", "ops"]}), true),
            (json!({"run": "7", "protected": "true"}), true),
            (json!({"missing": "*"}), false),
            (json!({"/realm/roles": "admin"}), true),
            (json!({"/realm/roles": "other"}), false),
            (json!({"realm": "*"}), false),
            (json!({"deep": "dev"}), false),
            (json!({"https://x/y": "z"}), true),
        ] {
            assert_eq!(claims(wanted.clone()).hold(token), holds, "{wanted}");
        }
    }

    #[test]
    fn claims_that_every_token_has_bind_nobody() {
        for (wanted, is_narrow) in [
            (json!({"aud": "registry"}), false),
            (json!({"sub": "**"}), false),
            (json!({"repository": ["acme/agents", "*"]}), false),
            (json!({"repository": "acme/*"}), true),
            (json!({"iss": "x", "ref": "refs/heads/main"}), true),
        ] {
            assert_eq!(claims(wanted.clone()).are_narrow(), is_narrow, "{wanted}");
        }
        assert_eq!(claims(json!({})).check(), Err("name 1 to 20 claims that a token must have".to_owned()));
        assert!(claims(json!({"a": []})).check().is_err() && claims(json!({"a": ""})).check().is_err());
        let mut added = Claims::default();
        for value in ["a", "b"] {
            added.add("ref".to_owned(), value.to_owned());
        }
        assert_eq!(added, claims(json!({"ref": ["a", "b"]})));
        assert_eq!(added.to_string(), "ref=a|b");
    }
}
