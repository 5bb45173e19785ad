//! What changes between two documents: as a JSON Patch (RFC 6902) for programs, and place by place for people.

use std::collections::BTreeSet;
use std::sync::Arc;

use json_patch::jsonptr::{PointerBuf, Token};
use json_patch::{AddOperation, PatchOperation, RemoveOperation, ReplaceOperation};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::publish::parse_stored;
use super::release::Kind;
use super::store::VersionRow;
use super::{Actor, Registry, RegistryError};
use crate::names::pointer;

/// Members by which the elements of a list are known, where every element has one and no two the same.
const NAMES: [&str; 3] = ["name", "id", "code"];

/// One place that changes: what stood there, and what stands there then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = VersionChange)]
pub struct Change {
    /// A JSON Pointer, in which elements that have names are told by them: `/rules[name=a]/text`.
    pub path: String,
    /// None where it is added.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "there")]
    pub before: Option<Value>,
    /// None where it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "there")]
    pub after: Option<Value>,
}

/// A value that stands there, which may be null.
fn there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Every place at which two values differ. Elements of lists that have names are compared by them, whatever their order.
/// The values stand at `path`.
pub fn changes(path: &str, before: &Value, after: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    gather(path, Some(before), Some(after), &mut changes);
    changes
}

fn gather(path: &str, before: Option<&Value>, after: Option<&Value>, changes: &mut Vec<Change>) {
    match (before, after) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            members(path, old, new, |path, name| pointer::child(path, name), changes);
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            match NAMES.iter().find_map(|by| Some((by, by_name(old, by)?, by_name(new, by)?))) {
                Some((by, old, new)) => members(path, &old, &new, |path, name| format!("{path}[{by}={name}]"), changes),
                None => {
                    for index in 0..old.len().max(new.len()) {
                        gather(&pointer::child(path, index), old.get(index), new.get(index), changes);
                    }
                }
            }
        }
        _ if before == after => {}
        _ => changes.push(Change { path: path.to_owned(), before: before.cloned(), after: after.cloned() }),
    }
}

fn members(
    path: &str,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    place: impl Fn(&str, &str) -> String,
    changes: &mut Vec<Change>,
) {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for name in names {
        gather(&place(path, name), old.get(name), new.get(name), changes);
    }
}

fn by_name(elements: &[Value], by: &str) -> Option<Map<String, Value>> {
    let mut named = Map::new();
    for element in elements {
        let name = element.get(by)?.as_str()?;
        if named.insert(name.to_owned(), element.clone()).is_some() {
            return None;
        }
    }
    Some(named)
}

/// The JSON Patch (RFC 6902) that makes one value another. Of two lists what stands alike at the beginning and at the end is
/// left, which the library's own comparison, element by element from the first, does not: one that comes at the beginning
/// would change all the others.
pub fn patch(before: &Value, after: &Value) -> Vec<PatchOperation> {
    let mut steps = Vec::new();
    step(&mut PointerBuf::new(), before, after, &mut steps);
    steps
}

fn step(path: &mut PointerBuf, before: &Value, after: &Value, steps: &mut Vec<PatchOperation>) {
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            let gone = old.keys().filter(|name| !new.contains_key(*name));
            steps.extend(gone.map(|name| removal(path, name)));
            for (name, value) in new {
                match old.get(name) {
                    Some(old) => below(path, name, |path| step(path, old, value, steps)),
                    None => steps.push(addition(path, name, value)),
                }
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            let alike = |pairs: &mut dyn Iterator<Item = (&Value, &Value)>| pairs.take_while(|(a, b)| a == b).count();
            let first = alike(&mut old.iter().zip(new));
            let (old, new) = (&old[first..], &new[first..]);
            let last = alike(&mut old.iter().rev().zip(new.iter().rev()));
            let (old, new) = (&old[..old.len() - last], &new[..new.len() - last]);
            for (at, (old, new)) in old.iter().zip(new).enumerate() {
                below(path, first + at, |path| step(path, old, new, steps));
            }
            // Each is taken out, or put in, where those before it have come or gone.
            steps.extend((new.len()..old.len()).rev().map(|at| removal(path, first + at)));
            let come = new.iter().enumerate().skip(old.len());
            steps.extend(come.map(|(at, value)| addition(path, first + at, value)));
        }
        _ if before == after => {}
        _ => {
            let replacement = ReplaceOperation { path: path.clone(), value: after.clone() };
            steps.push(PatchOperation::Replace(replacement));
        }
    }
}

/// Does something at the place below this one.
fn below<'a>(path: &mut PointerBuf, token: impl Into<Token<'a>>, act: impl FnOnce(&mut PointerBuf)) {
    path.push_back(token);
    act(path);
    path.pop_back();
}

fn removal<'a>(path: &PointerBuf, token: impl Into<Token<'a>>) -> PatchOperation {
    PatchOperation::Remove(RemoveOperation { path: path.with_trailing_token(token) })
}

fn addition<'a>(path: &PointerBuf, token: impl Into<Token<'a>>, value: &Value) -> PatchOperation {
    PatchOperation::Add(AddOperation { path: path.with_trailing_token(token), value: value.clone() })
}

/// Two versions of an entry, and what changes from the one to the other.
#[derive(Debug)]
pub struct Difference {
    /// The kind.
    pub kind: Arc<Kind>,
    /// From.
    pub from: VersionRow,
    /// To.
    pub to: VersionRow,
    /// What makes the one's resolved submission the other's.
    pub patch: Vec<PatchOperation>,
    /// The same for people.
    pub changes: Vec<Change>,
}

impl Registry {
    /// What changes from one version of an entry to another.
    ///
    /// # Errors
    /// `NoKind`, `NotReady`, `NotFound`, `Store`.
    pub async fn difference(
        self: &Arc<Self>,
        actor: &Actor,
        (kind, id): (&str, &str),
        (from, to): (&str, &str),
    ) -> Result<Difference, RegistryError> {
        let (kind_of, from) = self.version(actor, kind, id, from).await?;
        let (_, to) = self.version(actor, kind, id, to).await?;
        let (before, after) = (parse_stored(&from.manifest)?, parse_stored(&to.manifest)?);
        let (patch, changes) = (patch(&before, &after), changes("", &before, &after));
        Ok(Difference { kind: kind_of, from, to, patch, changes })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tells_the_places_that_change() {
        let before = json!({"a": [{"name": "x", "n": 1}, {"name": "y"}], "b": [1, 2], "c": {"d/e": null}, "same": 1});
        let after = json!({"a": [{"name": "z"}, {"name": "x", "n": 2}], "b": [1], "c": {"d/e": 0}, "same": 1});
        let told: Vec<(String, Option<Value>, Option<Value>)> =
            changes("", &before, &after).into_iter().map(|change| (change.path, change.before, change.after)).collect();
        let at = |path: &str| path.to_owned();
        assert_eq!(
            told,
            [
                (at("/a[name=x]/n"), Some(json!(1)), Some(json!(2))),
                (at("/a[name=y]"), Some(json!({"name": "y"})), None),
                (at("/a[name=z]"), None, Some(json!({"name": "z"}))),
                (at("/b/1"), Some(json!(2)), None),
                (at("/c/d~1e"), Some(json!(null)), Some(json!(0))),
            ]
        );
        assert!(changes("", &before, &before).is_empty());
    }

    #[test]
    fn a_patch_leaves_what_stands_alike_around_what_changes() {
        for (before, after, steps) in [
            (json!([1, 2, 3]), json!([0, 1, 2, 3]), json!([{"op": "add", "path": "/0", "value": 0}])),
            (json!([1, 2, 3]), json!([1, 3]), json!([{"op": "remove", "path": "/1"}])),
            (
                json!({"a": [{"x~/": 1}, 2], "b": 1}),
                json!({"a": [{"x~/": 2}, 2], "c": 1}),
                json!([
                    {"op": "remove", "path": "/b"},
                    {"op": "replace", "path": "/a/0/x~0~1", "value": 2},
                    {"op": "add", "path": "/c", "value": 1},
                ]),
            ),
            (json!(1), json!([]), json!([{"op": "replace", "path": "", "value": []}])),
        ] {
            assert_eq!(json!(patch(&before, &after)), steps, "{before} {after}");
            // The library says at least as much.
            assert!(json_patch::diff(&before, &after).len() >= patch(&before, &after).len());
        }
    }
}
