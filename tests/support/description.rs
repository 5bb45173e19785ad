//! Every answer that a test is given is held to what docs/openapi.json says of its operation: the status, the headers that
//! must be there, the media type, the body, and of a problem the code. So what the description promises is checked by every
//! test that asks a host, and what a host newly answers must be told of.

use std::collections::HashMap;
use std::fs;
use std::sync::{Arc, LazyLock, Mutex};

use serde_json::{Value, json};

use super::host::{Answer, root};

/// The description.
pub static DESCRIPTION: LazyLock<Value> = LazyLock::new(|| {
    let text = fs::read_to_string(root().join("docs/openapi.json")).expect("docs/openapi.json");
    serde_json::from_str(&text).expect("JSON")
});

type Validators = HashMap<String, Arc<jsonschema::Validator>>;

/// What a reference points to, else the value itself.
pub fn resolved(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(place) => DESCRIPTION.pointer(&place[1..]).unwrap_or_else(|| panic!("{place} points to nothing")),
        None => value,
    }
}

/// The operation that serves a path, by its own path: of several that fit, the one with the most fixed words from the left.
pub fn operation(method: &str, path: &str) -> Option<(&'static str, &'static Value)> {
    let words: Vec<&str> = path.split('?').next().unwrap_or(path).split('/').collect();
    let is_open = |word: &str| word.starts_with('{');
    let fits = |template: &&String| {
        let parts: Vec<&str> = template.split('/').collect();
        parts.len() == words.len()
            && parts.iter().zip(&words).all(|(part, word)| (is_open(part) && !word.is_empty()) || part == word)
    };
    let paths = DESCRIPTION["paths"].as_object().expect("paths");
    let template = paths.keys().filter(fits).min_by_key(|one| one.split('/').map(is_open).collect::<Vec<_>>())?;
    let operation = paths[template].get(method.to_lowercase())?;
    Some((template, operation))
}

/// Makes sure that an answer is one that the description tells of.
pub fn check(method: &str, path: &str, answer: &Answer) {
    let Some((template, operation)) = operation(method, path) else { return };
    let told = format!("{method} {template} ({path}) answered {answer:?}");
    let responses = operation["responses"].as_object().expect("responses");
    let Some(response) = responses.get(&answer.status.to_string()).map(resolved) else {
        panic!("{told}: docs/openapi.json does not tell of this status");
    };
    let Some(content) = response["content"].as_object() else {
        assert_eq!(answer.body, "", "{told}: docs/openapi.json tells of no body");
        return;
    };
    let given = answer.header("content-type").unwrap_or_default();
    let Some((media_type, content)) = content.iter().find(|(told, _)| told.as_str() == given) else {
        panic!("{told}: docs/openapi.json does not tell of this media type");
    };
    if media_type == "application/problem+json" {
        let code = answer.body["code"].as_str().unwrap_or_default();
        assert!(content["examples"].get(code).is_some(), "{told}: docs/openapi.json does not tell of this code here");
    }
    if media_type.ends_with("json") {
        let key = format!("{method} {template} {} {media_type}", answer.status);
        let validator = validator(key, &content["schema"]);
        let errors: Vec<String> =
            validator.iter_errors(&answer.body).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{told}: it has not the form of docs/openapi.json: {errors:#?}");
    }
}

fn validator(key: String, schema: &Value) -> Arc<jsonschema::Validator> {
    static KNOWN: LazyLock<Mutex<Validators>> = LazyLock::new(Mutex::default);
    let mut known = KNOWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let made = || {
        let whole = json!({"allOf": [schema], "components": {"schemas": DESCRIPTION["components"]["schemas"]}});
        Arc::new(jsonschema::validator_for(&whole).expect("a schema"))
    };
    Arc::clone(known.entry(key).or_insert_with(made))
}
