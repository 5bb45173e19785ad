//! What a publisher sent, read as far as it must be to know what it is: the first thing after decoding. What is
//! wrong with the rest of it the gate's stages say.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::canonical::canonical_around;
use super::release::Versioning;
use super::rules::{LoadedKind, is_variable};
use crate::config::Limits;
use crate::names::{Digest, EntryId, VersionName, pointer};
use crate::plugin::{Facts, Variable};
use crate::report::{Finding, Mode, Remark, Source, Stage};

/// A submission whose kind, id and version are known.
pub struct Submission {
    /// Its kind.
    pub kind: Arc<LoadedKind>,
    /// The entry's id.
    pub id: EntryId,
    /// The version it would become.
    pub version: VersionName,
    /// Digest of what was sent, variables included and the values of secrets left out.
    pub submitted_digest: Digest,
    /// The text that `submitted_digest` is over.
    pub(super) sent: String,
    pub(super) value: Value,
    pub(super) variables: Vec<Variable>,
    pub(super) remarks: Vec<Remark>,
}

impl Submission {
    /// Reads a decoded document.
    ///
    /// # Errors
    /// Findings that say why its id or version cannot be told.
    pub fn read(
        kind: &Arc<LoadedKind>,
        document: Value,
        facts: &dyn Facts,
        limits: &Limits,
    ) -> Result<Self, Vec<Finding>> {
        let Value::Object(mut fields) = document else {
            let what = Remark::error("schema.type", "", "a submission is an object")
                .with_help(format!("send {{\"{}\": …, \"name\": …, …}}", kind.kind.id_field));
            return Err(vec![as_finding(what)]);
        };
        let mut remarks = Vec::new();
        let variables = take_variables(kind, &mut fields, limits, &mut remarks);
        let id = read_id(kind, &fields);
        let version = match &id {
            Ok(id) => read_version(kind, &fields, id, facts),
            Err(_) => read_version_name(kind, &fields),
        };
        let (id, version) = match (id, version) {
            (Ok(id), Ok(version)) => (id, version),
            (id, version) => {
                let wrong = [id.err(), version.err()].into_iter().flatten().chain(remarks);
                return Err(wrong.map(as_finding).collect());
            }
        };
        let sent = sent_text(&fields, &variables);
        let submitted_digest = Digest::of(sent.as_bytes());
        if kind.kind.versioning == Versioning::Auto {
            fields.insert("version".to_owned(), Value::String(version.to_string()));
        }
        let value = Value::Object(fields);
        Ok(Self { kind: Arc::clone(kind), id, version, submitted_digest, sent, value, variables, remarks })
    }

    /// Reads again what a decision kept: `sent` of then, and what was wrong with its variables. What these rules declare
    /// secret is masked, whatever the rules of then did.
    ///
    /// # Errors
    /// It is no such text.
    pub(super) fn kept(
        kind: &Arc<LoadedKind>,
        id: EntryId,
        version: VersionName,
        sent: String,
        remarks: Vec<Remark>,
    ) -> Result<Self, serde_json::Error> {
        let submitted_digest = Digest::of(sent.as_bytes());
        let Kept { submission: mut fields, variables } = serde_json::from_str(&sent)?;
        let request = variables.into_iter().map(|(name, KeptVariable { value, secret })| {
            let declared = kind.declarations.iter().find(|declared| declared.name == name);
            let description = declared.and_then(|declared| declared.description.clone());
            let secret = secret || declared.is_some_and(|declared| declared.secret);
            let value = if secret { mask(&name) } else { value };
            Variable { name, value: Some(value), source: Source::Request, description, secret }
        });
        let variables = with_declared(kind, request.collect());
        if kind.kind.versioning == Versioning::Auto {
            fields.insert("version".to_owned(), Value::String(version.to_string()));
        }
        let value = Value::Object(fields);
        Ok(Self { kind: Arc::clone(kind), id, version, submitted_digest, sent, value, variables, remarks })
    }

    /// Reads a version that was stored, to judge it again without resolving it again.
    pub(super) fn stored(kind: &Arc<LoadedKind>, id: EntryId, version: VersionName, value: Value) -> Self {
        let (submitted_digest, sent) = (Digest::of(b""), String::new());
        let (variables, remarks) = (Vec::new(), Vec::new());
        Self { kind: Arc::clone(kind), id, version, submitted_digest, sent, value, variables, remarks }
    }
}

/// What the host itself says in the schema stage.
pub(super) fn as_finding(remark: Remark) -> Finding {
    Finding { stage: Stage::Schema, plugin: None, mode: Mode::Enforce, remark, exemption: None }
}

fn text_field<'a>(fields: &'a Map<String, Value>, field: &str) -> Result<&'a str, Remark> {
    match fields.get(field) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => {
            let what = format!("'{field}' is text");
            Err(Remark::error("schema.type", pointer::child("", field), what).with_help("put it in quotes"))
        }
        None => {
            let what = format!("the field '{field}' is missing");
            Err(Remark::error("schema.required", "", what).with_help(format!("add '{field}'")))
        }
    }
}

fn read_id(kind: &LoadedKind, fields: &Map<String, Value>) -> Result<EntryId, Remark> {
    let field = &kind.kind.id_field;
    text_field(fields, field)?.parse().map_err(|error: crate::names::NameError| {
        Remark::error("schema.id", pointer::child("", field), error.to_string())
    })
}

fn read_version_name(kind: &LoadedKind, fields: &Map<String, Value>) -> Result<VersionName, Remark> {
    let wrong = |message: String| Remark::error("schema.version", "/version", message);
    if kind.kind.versioning == Versioning::Auto {
        return match fields.get("version") {
            None => Ok("1".parse().expect("a digit is a version name")),
            Some(_) => {
                Err(wrong("versions of this kind are counted by the registry".to_owned())
                    .with_help("leave 'version' out"))
            }
        };
    }
    let text = text_field(fields, "version")?;
    if kind.kind.versioning == Versioning::Semver
        && let Err(error) = semver::Version::parse(text)
    {
        let shown: String = text.chars().take(64).collect();
        return Err(wrong(format!("'{shown}' is not a semantic version: {error}"))
            .with_help("write three numbers, as in 1.4.0 (semver.org)"));
    }
    text.parse().map_err(|error: crate::names::NameError| wrong(error.to_string()))
}

fn read_version(
    kind: &LoadedKind,
    fields: &Map<String, Value>,
    id: &EntryId,
    facts: &dyn Facts,
) -> Result<VersionName, Remark> {
    let first = read_version_name(kind, fields)?;
    if kind.kind.versioning != Versioning::Auto {
        return Ok(first);
    }
    let known = facts
        .lookup(kind.kind.name.as_str(), id.as_str(), None)
        .map_err(|_| Remark::error("schema.version", "", "the registry could not be asked for the next version"))?;
    let highest: u64 = known.and_then(|summary| summary.highest_version.parse().ok()).unwrap_or(0);
    Ok((highest + 1).to_string().parse().expect("digits are a version name"))
}

fn take_variables(
    kind: &LoadedKind,
    fields: &mut Map<String, Value>,
    limits: &Limits,
    remarks: &mut Vec<Remark>,
) -> Vec<Variable> {
    let mut wrong = |path: String, message: String| remarks.push(Remark::error("schema.variable", path, message));
    let sent = match fields.remove("variables") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(sent)) => sent,
        Some(_) => {
            wrong("/variables".to_owned(), "variables are an object of names to values".to_owned());
            Map::new()
        }
    };
    if sent.len() > limits.variables_max {
        let message = format!("{} variables are more than variables_max = {}", sent.len(), limits.variables_max);
        wrong("/variables".to_owned(), message);
    }
    let mut variables: Vec<Variable> = Vec::with_capacity(sent.len() + kind.declarations.len());
    for (name, value) in sent.into_iter().take(limits.variables_max) {
        let path = pointer::child("/variables", &name);
        if !is_variable(&name) {
            wrong(path, "a variable's name has letters, digits and '_', no digit first, at most 128".to_owned());
            continue;
        }
        let declared = kind.declarations.iter().find(|declared| declared.name == name);
        let Some((value, secret)) = read_value(value) else {
            wrong(path, "a variable's value is text, or {\"value\": text, \"secret\": true}".to_owned());
            continue;
        };
        if value.len() > limits.variable_size_max_bytes {
            let limit = limits.variable_size_max_bytes;
            wrong(path, format!("the value has more than variable_size_max_bytes = {limit}"));
            continue;
        }
        let secret = secret || declared.is_some_and(|declared| declared.secret);
        let description = declared.and_then(|declared| declared.description.clone());
        // From here on nobody but the publisher knows the secret.
        let value = if secret { mask(&name) } else { value };
        variables.push(Variable { name, value: Some(value), source: Source::Request, description, secret });
    }
    with_declared(kind, variables)
}

/// The request's variables with those that the module declares.
fn with_declared(kind: &LoadedKind, mut variables: Vec<Variable>) -> Vec<Variable> {
    for declared in kind.declarations.iter() {
        if variables.iter().all(|variable| variable.name != declared.name) {
            variables.push(Variable {
                name: declared.name.clone(),
                value: declared.default.clone(),
                source: Source::Module,
                description: declared.description.clone(),
                secret: declared.secret,
            });
        }
    }
    // The contract promises this order.
    variables.sort_by(|one, other| one.name.cmp(&other.name));
    variables
}

/// What stands where a secret's value would.
pub fn mask(name: &str) -> String {
    format!("__secret_{name}__")
}

fn read_value(value: Value) -> Option<(String, bool)> {
    match value {
        Value::String(text) => Some((text, false)),
        Value::Object(mut form) => {
            let secret = match form.remove("secret") {
                None => false,
                Some(Value::Bool(secret)) => secret,
                Some(_) => return None,
            };
            match (form.remove("value"), form.is_empty()) {
                (Some(Value::String(text)), true) => Some((text, secret)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// What a publisher sent, as its digest is over it; borrowed, so that nothing is copied for it.
#[derive(Serialize)]
struct Sent<'a> {
    submission: &'a Map<String, Value>,
    variables: Map<String, Value>,
}

/// The same, read back.
#[derive(Deserialize)]
struct Kept {
    submission: Map<String, Value>,
    variables: BTreeMap<String, KeptVariable>,
}

#[derive(Deserialize)]
struct KeptVariable {
    value: String,
    secret: bool,
}

fn sent_text(submission: &Map<String, Value>, variables: &[Variable]) -> String {
    let variables = variables
        .iter()
        .filter(|variable| variable.source == Source::Request)
        .map(|variable| (variable.name.clone(), json!({"value": variable.value, "secret": variable.secret})))
        .collect();
    let sent = Sent { submission, variables };
    canonical_around(&sent, [sent.submission, &sent.variables])
}

/// What was sent without variables and is stored as it was sent, from its stored form; none where that is no object.
pub(super) fn sent_of_stored(mut stored: Value, versioning: Versioning) -> Option<String> {
    let fields = stored.as_object_mut()?;
    if versioning == Versioning::Auto {
        fields.remove("version");
    }
    Some(sent_text(fields, &[]))
}
