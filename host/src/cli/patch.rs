//! JSON Patch (RFC 6902) on a value. It says what an edited text must say; `edit` does the same to the text.

use serde::Deserialize;
use serde_json::Value;

/// One operation.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Operation {
    /// Puts a value into an object or an array.
    Add {
        /// Where.
        path: String,
        /// What.
        value: Value,
    },
    /// Takes a value out.
    Remove {
        /// Where.
        path: String,
    },
    /// Puts a value in the place of another.
    Replace {
        /// Where.
        path: String,
        /// What.
        value: Value,
    },
    /// Takes a value out and puts it elsewhere.
    Move {
        /// From where.
        from: String,
        /// To where.
        path: String,
    },
    /// Puts a value elsewhere too.
    Copy {
        /// From where.
        from: String,
        /// To where.
        path: String,
    },
    /// Goes on only where a value is as it says.
    Test {
        /// Where.
        path: String,
        /// What.
        value: Value,
    },
}

impl Operation {
    /// The operation with each of its pointers as `to` gives it; none where one has no such.
    pub fn moved(&self, to: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let mut moved = self.clone();
        match &mut moved {
            Self::Add { path, .. } | Self::Remove { path } | Self::Replace { path, .. } | Self::Test { path, .. } => {
                *path = to(path)?;
            }
            Self::Move { from, path } | Self::Copy { from, path } => {
                (*from, *path) = (to(from)?, to(path)?);
            }
        }
        Some(moved)
    }
}

/// Does the operations to a value.
///
/// # Errors
/// One does not fit.
pub fn apply(document: &mut Value, operations: &[Operation]) -> Result<(), String> {
    for operation in operations {
        match operation {
            Operation::Add { path, value } => add(document, path, value.clone())?,
            Operation::Remove { path } => remove(document, path).map(drop)?,
            Operation::Replace { path, value } => {
                *document.pointer_mut(path).ok_or_else(|| nothing(path))? = value.clone();
            }
            Operation::Move { from, path } => {
                if path.strip_prefix(from.as_str()).is_some_and(|rest| rest.starts_with('/')) {
                    return Err(format!("{from} would be moved into itself"));
                }
                let value = remove(document, from)?;
                add(document, path, value)?;
            }
            Operation::Copy { from, path } => {
                let value = document.pointer(from).ok_or_else(|| nothing(from))?.clone();
                add(document, path, value)?;
            }
            Operation::Test { path, value } => {
                if document.pointer(path) != Some(value) {
                    return Err(format!("{path} is not {value}"));
                }
            }
        }
    }
    Ok(())
}

fn nothing(path: &str) -> String {
    format!("nothing stands at {path}")
}

/// The pointer of what is around, and the last token as a name.
fn parent(path: &str) -> Option<(&str, String)> {
    let (parent, token) = path.rsplit_once('/')?;
    Some((parent, token.replace("~1", "/").replace("~0", "~")))
}

/// An index has no sign and no leading zeros.
fn index(token: &str) -> Option<usize> {
    let is_number = token.bytes().all(|byte| byte.is_ascii_digit()) && (token == "0" || !token.starts_with('0'));
    token.parse().ok().filter(|_| is_number)
}

fn add(document: &mut Value, path: &str, value: Value) -> Result<(), String> {
    let Some((around, name)) = parent(path) else {
        *document = value;
        return Ok(());
    };
    match document.pointer_mut(around).ok_or_else(|| nothing(around))? {
        Value::Object(members) => {
            members.insert(name, value);
            Ok(())
        }
        Value::Array(elements) => {
            let end = elements.len();
            let at = if name == "-" { Some(end) } else { index(&name) };
            let at = at.filter(|at| *at <= end).ok_or_else(|| format!("{around} has no place {name}"))?;
            elements.insert(at, value);
            Ok(())
        }
        _ => Err(format!("{around} is no object and no array")),
    }
}

fn remove(document: &mut Value, path: &str) -> Result<Value, String> {
    let (around, name) = parent(path).ok_or_else(|| "the whole document would be removed".to_owned())?;
    let removed = match document.pointer_mut(around) {
        Some(Value::Object(members)) => members.remove(&name),
        Some(Value::Array(elements)) => index(&name).filter(|at| *at < elements.len()).map(|at| elements.remove(at)),
        _ => None,
    };
    removed.ok_or_else(|| nothing(path))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::registry::difference;

    fn patched(mut document: Value, patch: Value) -> Result<Value, String> {
        let operations: Vec<Operation> = serde_json::from_value(patch).expect("a patch");
        apply(&mut document, &operations).map(|()| document)
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(Value::Null), (0..4).prop_map(Value::from), "[a~/]{0,2}".prop_map(Value::from)];
        leaf.prop_recursive(4, 24, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("[ab~/]{0,2}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_tells_two_versions_apart_makes_one_the_other(before in values(), after in values()) {
            let steps = serde_json::to_value(difference::patch(&before, &after)).expect("plain data");
            prop_assert_eq!(patched(before, steps), Ok(after));
        }
    }

    #[test]
    fn does_what_the_examples_of_the_rfc_say() {
        for (document, patch, expected) in [
            (
                json!({"foo": "bar"}),
                json!([{"op": "add", "path": "/baz", "value": "qux"}]),
                json!({"baz": "qux", "foo": "bar"}),
            ),
            (
                json!({"foo": ["bar", "baz"]}),
                json!([{"op": "add", "path": "/foo/1", "value": "qux"}]),
                json!({"foo": ["bar", "qux", "baz"]}),
            ),
            (json!({"baz": "qux", "foo": "bar"}), json!([{"op": "remove", "path": "/baz"}]), json!({"foo": "bar"})),
            (
                json!({"foo": ["bar", "qux", "baz"]}),
                json!([{"op": "remove", "path": "/foo/1"}]),
                json!({"foo": ["bar", "baz"]}),
            ),
            (
                json!({"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}}),
                json!([{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}]),
                json!({"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}}),
            ),
            (
                json!({"foo": ["all", "grass", "cows", "eat"]}),
                json!([{"op": "move", "from": "/foo/1", "path": "/foo/3"}]),
                json!({"foo": ["all", "cows", "eat", "grass"]}),
            ),
            (
                json!({"foo": ["bar"]}),
                json!([{"op": "add", "path": "/foo/-", "value": ["abc"]}]),
                json!({"foo": ["bar", ["abc"]]}),
            ),
            (
                json!({"/": 9, "~1": 10}),
                json!([{"op": "test", "path": "/~01", "value": 10}, {"op": "copy", "from": "/~1", "path": "/a"}]),
                json!({"/": 9, "~1": 10, "a": 9}),
            ),
        ] {
            assert_eq!(patched(document, patch.clone()), Ok(expected), "{patch}");
        }
        for (document, patch, why) in [
            (json!({"baz": "qux"}), json!([{"op": "test", "path": "/baz", "value": "bar"}]), "/baz is not \"bar\""),
            (json!({"foo": "bar"}), json!([{"op": "add", "path": "/baz/bat", "value": 1}]), "nothing stands at /baz"),
            (json!({"foo": ["a"]}), json!([{"op": "remove", "path": "/foo/01"}]), "nothing stands at /foo/01"),
            (json!({"foo": ["a"]}), json!([{"op": "add", "path": "/foo/2", "value": 1}]), "/foo has no place 2"),
            (json!({"a": {}}), json!([{"op": "move", "from": "/a", "path": "/a/b"}]), "/a would be moved into itself"),
        ] {
            assert_eq!(patched(document, patch.clone()), Err(why.to_owned()), "{patch}");
        }
    }
}
