//! What a scope's rules are: kinds, placeholder declarations and bindings, as one immutable value with a digest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::names::{Digest, KindName, Scope};
use crate::report::{Mode, Stage};

/// How the versions of a kind are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Versioning {
    /// Semantic versions (semver.org 2.0.0).
    #[default]
    Semver,
    /// Any version name.
    Any,
    /// The registry counts 1, 2, 3; a submission names none.
    Auto,
}

/// Where a bare document carries what a submission's fields would say, as JSON Pointers into the document.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = KindDerive)]
pub struct Derive {
    /// The entry's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A type of manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Kind {
    /// The plural, which is also the route: `agents`.
    pub name: KindName,
    /// The singular, as JSON shows one: `agent`.
    pub singular: String,
    /// The field that carries the id: `agentId`.
    pub id_field: String,
    /// The field that carries the document: `manifest` or `content`.
    pub document_field: String,
    /// How versions are named.
    #[serde(default)]
    pub versioning: Versioning,
    /// JSON Schema of the document.
    pub schema: Value,
    /// Further top-level fields of a submission, each with its JSON Schema.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, Value>,
    /// Where a bare document carries the submission's fields.
    #[serde(default)]
    pub derive: Derive,
}

/// A placeholder name that the module knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = PlaceholderDeclaration)]
pub struct Declaration {
    /// The name.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The value where a request sets none. A secret has none: it would be stored in clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// The value is never shown or stored.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
}

/// A plugin put to work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Binding {
    /// Its name within the scope, which findings carry.
    pub name: String,
    /// The stage it serves.
    pub stage: Stage,
    /// The component.
    pub plugin: Digest,
    /// What `configure` is given.
    #[serde(default)]
    pub settings: Value,
    /// Whether its findings decide.
    #[serde(default)]
    pub mode: Mode,
    /// The share of entries that it sees, where that is not all of them; only of one that observes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// The kinds it sees; empty means every kind of the scope.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<KindName>,
}

/// The rules of one scope. Stored as the canonical JSON that its digest is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Rules {
    /// Whose rules these are.
    pub scope: Scope,
    /// What the module is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The kinds that the module declares; none for policies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<Kind>,
    /// The placeholder names that the module knows; none for policies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub placeholders: Vec<Declaration>,
    /// The plugins at work, in line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bindings: Vec<Binding>,
}

impl Rules {
    /// Canonical JSON (RFC 8785) and its digest.
    pub fn canonical(&self) -> (String, Digest) {
        let text = serde_json_canonicalizer::to_string(self).expect("rules hold only what came from JSON");
        let digest = Digest::of(text.as_bytes());
        (text, digest)
    }
}

/// A release as judgement refers to it: which rules of a scope were in force.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ReleaseRef {
    /// The scope.
    pub scope: Scope,
    /// The release's number within it, from 1.
    pub number: i64,
    /// The digest of its rules.
    pub digest: Digest,
}
