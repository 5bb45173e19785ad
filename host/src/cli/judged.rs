//! The publisher's own file of a decision: whether it is what was judged, and what of it is not, so that a decision is
//! explained by the lines that its publisher wrote.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::source::{Candidate, Overrides, Source};
use super::{Trouble, diff, input};
use crate::config::Limits;
use crate::names::pointer;
use crate::registry::release::Kind;

/// Differences that are told of.
const DIFFERENCES_SHOWN: usize = 20;

/// What was judged, in the file that its publisher has.
pub struct Judged {
    /// The submission in the file.
    pub candidate: Candidate,
    /// How far it is what was judged.
    pub note: String,
}

/// Finds what a decision's explanation is about in a file.
///
/// # Errors
/// It is not there; the text says what differs.
pub fn find(path: &Path, explanation: &Value, kinds: &[Arc<Kind>]) -> Result<Judged, Trouble> {
    let usage = |what: String| Trouble::Usage(format!("--source: {what}"));
    let decision = &explanation["decision"];
    let text = |field: &str| decision[field].as_str().unwrap_or("?").to_owned();
    let Value::Object(sent) = &explanation["submission"] else {
        return Err(usage("what was sent was not kept, so no file can be compared with it: leave it out".to_owned()));
    };
    let Some(kind) = kinds.iter().find(|kind| kind.name.as_str() == text("kind")) else {
        let what = format!("no module declares the kind '{}' any more, so no file can be read as one", text("kind"));
        return Err(usage(what));
    };
    if path.is_dir() {
        return Err(usage(format!("{} is a folder: name the file that was published", path.display())));
    }
    let title = format!("{}/{} {}", text("kind"), text("entry"), text("version"));
    let (source, value) = input::read_source(path, &Limits::default())?
        .map_err(|unreadable| usage(format!("{}: {}", unreadable.source.name, unreadable.error)))?;
    let name = source.name.clone();
    let other_kind = kind_of_all(kinds, kind, &value);
    let mut compared = candidates(source, kind, value, sent).map_err(usage)?;
    if let Some(same) = compared.iter().position(|compared| compared.differences.is_empty()) {
        let Compared { candidate, beside, .. } = compared.swap_remove(same);
        let note =
            std::iter::once(if candidate.is_bare() { "the document that was judged" } else { "what was judged" })
                .map(str::to_owned)
                .chain(beside)
                .collect::<Vec<_>>()
                .join("; ");
        return Ok(Judged { candidate, note });
    }
    if let Some(other) = other_kind {
        return Err(usage(format!("{name} holds {other}, and what was judged is {title}")));
    }
    let count = compared.len();
    let of_this_entry = |compared: &Compared| {
        let of = |field: &str| compared.candidate.body.get(field) == sent.get(field);
        !compared.candidate.is_bare() && of(&kind.id_field) && of("version")
    };
    match compared.iter().position(of_this_entry).or((count == 1).then_some(0)) {
        Some(nearest) => Err(usage(refusal(&name, &title, compared.swap_remove(nearest).differences))),
        None => Err(usage(format!("{name} holds {count} submissions, and none of them is {title} as it was judged"))),
    }
}

fn refusal(name: &str, title: &str, mut differences: Vec<String>) -> String {
    let more = differences.len().saturating_sub(DIFFERENCES_SHOWN);
    differences.truncate(DIFFERENCES_SHOWN);
    if more > 0 {
        differences.push(format!("    and {more} more"));
    }
    format!("{name} is not what was judged as {title}. From what was judged to the file:\n{}", differences.join("\n"))
}

/// The kind that everything in the file is of, where that is another.
fn kind_of_all<'a>(kinds: &'a [Arc<Kind>], kind: &Kind, value: &Value) -> Option<&'a str> {
    let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    let is_of = |other: &Kind| items.iter().all(|item| item.get(&other.id_field).is_some());
    let other = kinds.iter().find(|other| other.name != kind.name && is_of(other) && !is_of(kind))?;
    Some(other.name.as_str())
}

/// A submission of the file beside what was sent.
struct Compared {
    candidate: Candidate,
    /// What makes it another.
    differences: Vec<String>,
    /// What may be so for the same file.
    beside: Vec<String>,
}

fn candidates(
    source: Source,
    kind: &Arc<Kind>,
    value: Value,
    sent: &Map<String, Value>,
) -> Result<Vec<Compared>, String> {
    let source = Arc::new(source);
    let items = match value {
        Value::Array(items) => items.into_iter().enumerate().map(|(at, item)| (format!("/{at}"), item)).collect(),
        value => vec![(String::new(), value)],
    };
    // What a bare document does not say of itself, the command line or another program said.
    let said = |field: &str| sent.get(field).and_then(Value::as_str).map(str::to_owned);
    let overrides = Overrides { id: said(&kind.id_field), version: said("version"), name: said("name") };
    let mut compared = Vec::new();
    for (base, item) in items {
        let Value::Object(fields) = &item else {
            return Err(format!("{}: not a submission: expected an object", source.name));
        };
        let candidate = match fields.contains_key(&kind.id_field) {
            true => Candidate::whole(&source, kind, base, item),
            false => Candidate::bare(&source, kind, base, item, &overrides)?,
        };
        compared.push(compare(candidate, sent));
    }
    Ok(compared)
}

fn compare(candidate: Candidate, sent: &Map<String, Value>) -> Compared {
    let (judged, judged_variables) = apart(&Value::Object(sent.clone()));
    let (there, variables) = apart(&candidate.body);
    let (mut differences, mut beside) = (Vec::new(), Vec::new());
    if candidate.is_bare() {
        let document = &candidate.kind.document_field;
        difference(&pointer::child("", document), &judged[document], &there[document], &mut differences);
        let members = |value: &Value| value.as_object().into_iter().flat_map(Map::keys).cloned().collect::<Vec<_>>();
        let names: BTreeSet<String> = members(&judged).into_iter().chain(members(&there)).collect();
        let others = names.into_iter().filter(|name| name != document && judged.get(name) != there.get(name));
        let others: Vec<String> = others.collect();
        if !others.is_empty() {
            beside.push(format!("not from the file: {}", others.join(", ")));
        }
    } else {
        difference("", &judged, &there, &mut differences);
    }
    beside.extend(compare_variables(&judged_variables, &variables));
    Compared { candidate, differences, beside }
}

/// Whether a submission is what was sent, as far as that was kept: the values of secrets were not.
pub fn is_as_sent(sent: &Map<String, Value>, submission: &Value) -> bool {
    let (judged, judged_variables) = apart(&Value::Object(sent.clone()));
    let (there, variables) = apart(submission);
    let value = |variable: &Value| match variable {
        Value::Object(form) if form.get("secret") == Some(&Value::Bool(true)) => None,
        Value::Object(form) => form.get("value").cloned(),
        plain => Some(plain.clone()),
    };
    let of = |variables: &Map<String, Value>| -> Vec<(String, Option<Value>)> {
        variables.iter().map(|(name, variable)| (name.clone(), value(variable))).collect()
    };
    judged == there && of(&judged_variables) == of(&variables)
}

/// A submission in its canonical form (1.0 is 1), and its variables.
fn apart(submission: &Value) -> (Value, Map<String, Value>) {
    let canonical = serde_json_canonicalizer::to_vec(submission).ok();
    let canonical = canonical.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let mut submission = canonical.unwrap_or_else(|| submission.clone());
    let variables = submission.as_object_mut().and_then(|fields| fields.remove("variables"));
    let variables = match variables {
        Some(Value::Object(variables)) => variables,
        _ => Map::new(),
    };
    (submission, variables)
}

fn difference(path: &str, judged: &Value, there: &Value, lines: &mut Vec<String>) {
    if judged == there {
        return;
    }
    diff::changes(path, judged, there, lines);
    // Lists whose elements have names are compared by these.
    if lines.is_empty() {
        lines.push("    the elements of a list stand in another order".to_owned());
    }
}

/// Variables may be set beside the file, and secrets are not kept: they tell no file from another.
fn compare_variables(judged: &Map<String, Value>, there: &Map<String, Value>) -> Vec<String> {
    let names: BTreeSet<&String> = judged.keys().chain(there.keys()).collect();
    let (mut others, mut secrets) = (Vec::new(), Vec::new());
    for name in names {
        let form = |value: &Value| match value {
            Value::Object(form) => form.get("value").cloned().unwrap_or_default(),
            plain => plain.clone(),
        };
        match (judged.get(name), there.get(name)) {
            (Some(kept), Some(_)) if kept["secret"] == true => secrets.push(name.as_str()),
            (Some(kept), Some(value)) if form(kept) == form(value) => {}
            _ => others.push(name.as_str()),
        }
    }
    let told = |what: &str, names: &[&str]| (!names.is_empty()).then(|| format!("{what}: {}", names.join(", ")));
    [told("judged with other variables", &others), told("secret, and not compared", &secrets)]
        .into_iter()
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::registry::decode::Format;

    fn kind() -> Arc<Kind> {
        let kind = json!({
            "name": "agents", "singular": "agent", "idField": "agentId", "documentField": "manifest", "schema": {},
            "derive": {"id": "/metadata/name"},
        });
        Arc::new(serde_json::from_value(kind).expect("a kind"))
    }

    /// What each submission of a file has of another, and what may be so beside it.
    fn compared(file: &Value, sent: &Value) -> Vec<(Vec<String>, Vec<String>)> {
        let text = file.to_string();
        let read = Source::read("a.json".to_owned(), text.as_bytes(), Format::Json, &Limits::default());
        let (source, value) = read.expect("a document");
        let compared = candidates(source, &kind(), value, sent.as_object().expect("an object")).expect("submissions");
        compared.into_iter().map(|compared| (compared.differences, compared.beside)).collect()
    }

    #[test]
    fn a_submission_is_the_same_in_its_canonical_form() {
        let sent = json!({"agentId": "a", "name": "A", "version": "1.0.0", "manifest": {"x": 1, "l": [{"id": "a"}, {"id": "b"}]}});
        let same = json!({"manifest": {"l": [{"id": "a"}, {"id": "b"}], "x": 1.0}, "version": "1.0.0", "name": "A", "agentId": "a"});
        assert_eq!(compared(&same, &sent), [(vec![], vec![])]);
        let mut other = same.clone();
        other["manifest"]["x"] = json!(2);
        other["tags"] = json!([]);
        let differences = ["    /manifest/x: 1 -> 2", "    /tags: added []"].map(str::to_owned).to_vec();
        assert_eq!(compared(&json!([same, other]), &sent), [(vec![], vec![]), (differences, vec![])]);
        let mut turned = same.clone();
        turned["manifest"]["l"] = json!([{"id": "b"}, {"id": "a"}]);
        let differences = vec!["    the elements of a list stand in another order".to_owned()];
        assert_eq!(compared(&turned, &sent), [(differences, vec![])]);
    }

    #[test]
    fn a_bare_document_is_compared_alone() {
        let document = json!({"metadata": {"name": "a"}, "spec": {}});
        let mut sent = json!({"agentId": "b", "name": "A", "version": "1.0.0", "manifest": document});
        assert_eq!(compared(&document, &sent), [(vec![], vec![])], "the command line said the rest");
        sent["tags"] = json!(["x"]);
        assert_eq!(compared(&document, &sent), [(vec![], vec!["not from the file: tags".to_owned()])]);
        sent["manifest"]["spec"] = json!({"y": 1});
        let differences = vec!["    /manifest/spec/y: removed 1".to_owned()];
        assert_eq!(compared(&document, &sent), [(differences, vec!["not from the file: tags".to_owned()])]);
    }

    #[test]
    fn variables_tell_no_file_from_another() {
        let kept = |value: &str, secret: bool| json!({"value": value, "secret": secret});
        let submission = |variables: Value| json!({"agentId": "a", "name": "A", "version": "1.0.0", "manifest": {}, "variables": variables});
        let sent = submission(json!({
            "SAME": kept("1", false), "OTHER": kept("1", false), "SECRET": kept("__secret_SECRET__", true),
            "BESIDE": kept("1", false),
        }));
        let file = submission(json!({
            "SAME": "1", "OTHER": {"value": "2"}, "SECRET": {"value": "hunter2", "secret": true}, "REFUSED": 7,
        }));
        let beside = [
            "judged with other variables: BESIDE, OTHER, REFUSED".to_owned(),
            "secret, and not compared: SECRET".to_owned(),
        ];
        assert_eq!(compared(&file, &sent), [(vec![], beside.to_vec())]);
    }
}
