//! What is wrong with rules that can be told from them alone, before any plugin of theirs is loaded.

use serde_json::Value;

use crate::config::nearest;
use crate::names::{KindName, Scope, pointer};
use crate::registry::release::{Binding, Declaration, Kind, Rules};
use crate::registry::schema::{self, Schema};
use crate::report::{Mode, Remark, Stage};

/// Route words that are no kinds.
const RESERVED: [&str; 17] = [
    "audit",
    "changes",
    "decisions",
    "docs",
    "events",
    "impacts",
    "inbox",
    "keys",
    "modules",
    "plugins",
    "policies",
    "search",
    "session",
    "signing-key",
    "tokens",
    "trusted-publishers",
    "webhooks",
];

/// Members of the answers to a publish, a rollback and a withdrawal, beside the entry under its kind's singular.
pub const ANSWER_WORDS: [&str; 7] =
    ["decision", "failure", "previousVersion", "reason", "report", "status", "withdrawn"];

/// What is wrong with rules that can be told without their plugins; paths point into the rules.
pub fn check(rules: &Rules) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let is_module = matches!(rules.scope, Scope::Module(_));
    if !is_module && !rules.kinds.is_empty() {
        remarks.push(Remark::error("rules.kind", "/kinds", "policies declare no kinds: a module does"));
    }
    if !is_module && !rules.placeholders.is_empty() {
        remarks.push(Remark::error(
            "rules.placeholder",
            "/placeholders",
            "policies declare no placeholders: a module does",
        ));
    }
    for (index, kind) in rules.kinds.iter().enumerate() {
        check_kind(rules, index, kind, &mut remarks);
    }
    for (index, declaration) in rules.placeholders.iter().enumerate() {
        check_declaration(rules, index, declaration, &mut remarks);
    }
    for (index, binding) in rules.bindings.iter().enumerate() {
        check_binding(rules, is_module, index, binding, &mut remarks);
    }
    remarks
}

/// Kinds that policies are to see and that no module declares: a binding would pass over them in silence. `known` are those
/// that are declared.
pub fn unknown_kinds(rules: &Rules, known: &[KindName]) -> Vec<Remark> {
    let names: Vec<&str> = known.iter().map(KindName::as_str).collect();
    let unknown = |(at, kind): (usize, &KindName)| {
        let help = match nearest(kind.as_str(), &names) {
            Some(near) => format!("did you mean '{near}'?"),
            None if names.is_empty() => "put the module in force first".to_owned(),
            None => format!("declared are {}; put the module in force first", names.join(", ")),
        };
        let message = format!("no module in force declares the kind '{kind}'");
        (at, Remark::error("rules.binding", String::new(), message).with_help(help))
    };
    let is_policies = rules.scope == Scope::Policies;
    let of_binding = |(index, binding): (usize, &Binding)| {
        let kinds = binding.kinds.iter().enumerate().filter(|(_, kind)| !known.contains(kind)).map(unknown);
        kinds.map(|(at, remark)| Remark { path: format!("/bindings/{index}/kinds/{at}"), ..remark }).collect::<Vec<_>>()
    };
    rules.bindings.iter().enumerate().filter(|_| is_policies).flat_map(of_binding).collect()
}

fn check_kind(rules: &Rules, index: usize, kind: &Kind, remarks: &mut Vec<Remark>) {
    let base = format!("/kinds/{index}");
    let mut say = |field: &str, message: String| {
        remarks.push(Remark::error("rules.kind", format!("{base}/{field}"), message));
    };
    if RESERVED.contains(&kind.name.as_str()) {
        say("name", format!("'{}' is a word of the API and cannot be a kind", kind.name));
    }
    if rules.kinds[..index].iter().any(|other| other.name == kind.name) {
        say("name", format!("the kind '{}' is declared twice", kind.name));
    }
    if kind.singular.parse::<KindName>().is_err() {
        say("singular", format!("'{}' is not a singular: lower case letters, digits and dashes", kind.singular));
    }
    if let Some(other) = rules.kinds[..index].iter().find(|other| other.singular == kind.singular) {
        say("singular", format!("the kind '{}' has the singular '{}' already", other.name, kind.singular));
    }
    if ANSWER_WORDS.contains(&kind.singular.as_str()) {
        say(
            "singular",
            format!(
                "'{}' cannot be a singular: answers tell something else under this name, beside the entry",
                kind.singular
            ),
        );
    }
    for (field, name) in [("idField", &kind.id_field), ("documentField", &kind.document_field)] {
        if schema::COMMON_FIELDS.contains(&name.as_str()) || !is_field(name) {
            say(
                field,
                format!(
                    "'{name}' cannot be this field: take a word that is not one of {}",
                    schema::COMMON_FIELDS.join(", ")
                ),
            );
        }
    }
    if kind.id_field == kind.document_field {
        say("documentField", "the id and the document cannot share a field".to_owned());
    }
    for name in kind.fields.keys() {
        if schema::COMMON_FIELDS.contains(&name.as_str()) || *name == kind.id_field || *name == kind.document_field {
            say("fields", format!("the field '{name}' has its meaning already"));
        }
    }
    for (what, place) in [
        ("id", &kind.derive.id),
        ("name", &kind.derive.name),
        ("version", &kind.derive.version),
        ("description", &kind.derive.description),
    ] {
        if place.as_ref().is_some_and(|place| !pointer::is_pointer(place)) {
            say("derive", format!("derive.{what} is not a JSON Pointer (RFC 6901): it starts with '/'"));
        }
    }
    for (at, source) in [("schema", kind.schema.clone()), ("fields", schema::envelope(kind))] {
        if let Err(remark) = Schema::compile(source) {
            remarks.push(Remark { path: format!("{base}/{at}{}", remark.path), ..remark });
        }
    }
}

fn is_field(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// True where `name` can be a placeholder's: a letter or '_' first, then letters, digits and '_', at most 128.
pub fn is_variable(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn check_declaration(rules: &Rules, index: usize, declaration: &Declaration, remarks: &mut Vec<Remark>) {
    let mut say = |message: String| {
        remarks.push(Remark::error("rules.placeholder", format!("/placeholders/{index}"), message));
    };
    let name = &declaration.name;
    if !is_variable(name) {
        say(format!("'{name}' cannot be a placeholder: letters, digits and '_', no digit first, at most 128"));
    }
    if rules.placeholders[..index].iter().any(|other| other.name == *name) {
        say(format!("the placeholder '{name}' is declared twice"));
    }
    if declaration.secret && declaration.default.is_some() {
        say(format!("the secret '{name}' cannot have a default: it would be stored in clear"));
    }
}

fn check_binding(rules: &Rules, is_module: bool, index: usize, binding: &Binding, remarks: &mut Vec<Remark>) {
    let mut say = |field: &str, message: String| {
        remarks.push(Remark::error("rules.binding", format!("/bindings/{index}/{field}"), message));
    };
    if binding.name.parse::<KindName>().is_err() {
        say("name", format!("'{}' is not a binding's name: lower case letters, digits and dashes", binding.name));
    }
    if rules.bindings[..index].iter().any(|other| other.name == binding.name) {
        say("name", format!("the binding '{}' is there twice", binding.name));
    }
    match (is_module, binding.stage) {
        (true, Stage::Resolve | Stage::Validate) | (false, Stage::Policy) => {}
        (true, stage) => say("stage", format!("a module binds 'resolve' and 'validate', not '{}'", stage.as_str())),
        (false, stage) => say("stage", format!("policies bind 'policy', not '{}'", stage.as_str())),
    }
    for kind in &binding.kinds {
        if is_module && !rules.kinds.iter().any(|declared| declared.name == *kind) {
            say("kinds", format!("the module does not declare the kind '{kind}'"));
        }
    }
    match (binding.mode, binding.percent) {
        (_, None) | (Mode::Observe, Some(1..=100)) => {}
        (Mode::Observe, Some(percent)) => say("percent", format!("percent is 1 to 100, not {percent}")),
        (Mode::Enforce, Some(_)) => say(
            "percent",
            "only a binding that observes can see a share of the entries: set mode = \"observe\", or remove percent"
                .to_owned(),
        ),
    }
    if !matches!(binding.settings, Value::Null | Value::Object(_)) {
        say("settings", "settings are an object".to_owned());
    }
}
