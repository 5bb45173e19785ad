//! JSON Patch (RFC 6902) on a value. It says what an edited text must say; `edit` does the same to the text.

use json_patch::jsonptr::PointerBuf;
use json_patch::{PatchErrorKind, PatchOperation};
use serde_json::Value;

/// The operation with each of its pointers as `to` gives it; none where one has no such.
pub fn moved(operation: &PatchOperation, to: impl Fn(&str) -> Option<String>) -> Option<PatchOperation> {
    use PatchOperation as Operation;
    let to = |pointer: &PointerBuf| PointerBuf::parse(to(pointer.as_str())?).ok();
    let mut moved = operation.clone();
    match &mut moved {
        Operation::Add(add) => add.path = to(&add.path)?,
        Operation::Remove(remove) => remove.path = to(&remove.path)?,
        Operation::Replace(replace) => replace.path = to(&replace.path)?,
        Operation::Test(test) => test.path = to(&test.path)?,
        Operation::Move(from) => (from.from, from.path) = (to(&from.from)?, to(&from.path)?),
        Operation::Copy(from) => (from.from, from.path) = (to(&from.from)?, to(&from.path)?),
    }
    Some(moved)
}

/// Does the operations to a value.
///
/// # Errors
/// One does not fit, and those before it are done.
pub fn apply(document: &mut Value, operations: &[PatchOperation]) -> Result<(), String> {
    for operation in operations {
        // One at a time: where one fails, the value is as that one found it, and tells more than the library.
        json_patch::patch(document, std::slice::from_ref(operation))
            .map_err(|error| why(document, operation, &error.kind))?;
    }
    Ok(())
}

/// Why an operation does not fit a value.
fn why(document: &Value, operation: &PatchOperation, kind: &PatchErrorKind) -> String {
    use PatchOperation as Operation;
    let path = operation.path().as_str();
    match (operation, kind) {
        (Operation::Move(wanted), PatchErrorKind::CannotMoveInsideItself) => {
            format!("{} would be moved into itself", wanted.from)
        }
        (Operation::Move(json_patch::MoveOperation { from, .. }), PatchErrorKind::InvalidFromPointer)
        | (Operation::Copy(json_patch::CopyOperation { from, .. }), PatchErrorKind::InvalidFromPointer) => {
            nothing(from.as_str())
        }
        (Operation::Test(test), _) => format!("{path} is not {}", test.value),
        (Operation::Remove(_), _) if path.is_empty() => "the whole document would be removed".to_owned(),
        (Operation::Remove(_) | Operation::Replace(_), _) => nothing(path),
        _ => {
            let (around, name) = path.rsplit_once('/').unwrap_or_default();
            match document.pointer(around) {
                None => nothing(around),
                Some(Value::Array(_)) => format!("{around} has no place {name}"),
                Some(_) => format!("{around} is no object and no array"),
            }
        }
    }
}

fn nothing(path: &str) -> String {
    format!("nothing stands at {path}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::registry::difference;

    fn patched(mut document: Value, patch: Value) -> Result<Value, String> {
        let operations: Vec<PatchOperation> = serde_json::from_value(patch).expect("a patch");
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
            let mut patched = before.clone();
            let applied = apply(&mut patched, &difference::patch(&before, &after));
            prop_assert_eq!(applied.map(|()| patched), Ok(after));
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
            (json!({"a": 1}), json!([{"op": "move", "from": "/b", "path": "/a"}]), "nothing stands at /b"),
            (json!({"a": 1}), json!([{"op": "copy", "from": "/b", "path": "/a"}]), "nothing stands at /b"),
            (json!({"a": 1}), json!([{"op": "copy", "from": "/a", "path": "/a/b"}]), "/a is no object and no array"),
            (json!({"a": 1}), json!([{"op": "replace", "path": "/b", "value": 1}]), "nothing stands at /b"),
            (json!({"a": 1}), json!([{"op": "test", "path": "/b", "value": 1}]), "/b is not 1"),
            (json!({"a": 1}), json!([{"op": "remove", "path": ""}]), "the whole document would be removed"),
        ] {
            assert_eq!(patched(document, patch.clone()), Err(why.to_owned()), "{patch}");
        }
    }
}
