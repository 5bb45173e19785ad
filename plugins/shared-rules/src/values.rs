//! Walking through JSON with the place of each value.

use hallmark_plugin::pointer;
use serde_json::Value;

/// Calls `visit` with every member or element and its pointer.
pub fn each_child<'a>(value: &'a Value, place: &str, mut visit: impl FnMut(&'a Value, String)) {
    match value {
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                visit(element, pointer::child(place, index));
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                visit(member, pointer::child(place, name));
            }
        }
        _ => {}
    }
}
