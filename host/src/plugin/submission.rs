//! The submission as guests read it: by JSON Pointer, by key, by JSONPath. The document is shared and never copied;
//! texts of its larger parts are kept while one thread judges it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

use serde_json::Value;

use super::Document;

/// The JSON text at the pointer.
pub fn text_at(document: &Arc<Document>, pointer: &str) -> Option<Arc<str>> {
    let value = document.value.pointer(pointer)?;
    // The whole and its members are what several plugins read in full; deeper parts are cheap to write again.
    let is_shared = pointer.bytes().filter(|byte| *byte == b'/').count() <= 1;
    if is_shared && matches!(value, Value::Object(_) | Value::Array(_)) {
        return Some(TEXTS.with_borrow_mut(|texts| texts.get(document, pointer, value)));
    }
    Some(value.to_string().into())
}

/// The member names of the object at the pointer, sorted.
pub fn keys_at(document: &Document, pointer: &str) -> Option<Vec<String>> {
    let mut keys: Vec<String> = document.value.pointer(pointer)?.as_object()?.keys().cloned().collect();
    keys.sort_unstable();
    Some(keys)
}

thread_local! {
    static TEXTS: RefCell<Texts> = RefCell::default();
}

/// The texts of the document that this thread judges now. The plugins of a submission run one after another on one
/// thread, so the next document makes these useless.
#[derive(Default)]
struct Texts {
    of: Weak<Document>,
    by_pointer: HashMap<String, Arc<str>>,
}

impl Texts {
    fn get(&mut self, document: &Arc<Document>, pointer: &str, value: &Value) -> Arc<str> {
        // While the weak reference is held, its address names no other document, and the document it names can
        // not be changed in place.
        if !std::ptr::eq(self.of.as_ptr(), Arc::as_ptr(document)) {
            self.of = Arc::downgrade(document);
            self.by_pointer.clear();
        }
        if let Some(text) = self.by_pointer.get(pointer) {
            return Arc::clone(text);
        }
        let text: Arc<str> = value.to_string().into();
        self.by_pointer.insert(pointer.to_owned(), Arc::clone(&text));
        text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(value: Value) -> Arc<Document> {
        Arc::new(Document { value, substituted: Vec::new() })
    }

    #[test]
    fn reads_by_pointer_and_keeps_the_texts_of_one_document() {
        let first = document(json!({"manifest": {"b": [1, {"c": null}], "a": "x"}, "id": "one"}));
        let second = document(json!({"manifest": {"b": 2}}));
        let text = text_at(&first, "/manifest").expect("a member");
        assert_eq!(&*text, r#"{"a":"x","b":[1,{"c":null}]}"#);
        assert!(Arc::ptr_eq(&text, &text_at(&first, "/manifest").expect("the same")));
        assert_eq!(text_at(&second, "/manifest").as_deref(), Some(r#"{"b":2}"#));
        assert_eq!(text_at(&first, "/manifest").as_deref(), Some(&*text));
        assert_eq!(text_at(&first, "/manifest/b/1/c").as_deref(), Some("null"));
        assert_eq!(text_at(&first, "/id").as_deref(), Some("\"one\""));
        assert_eq!(text_at(&first, "/nothing"), None);
        assert_eq!(text_at(&first, "no-pointer"), None);
    }

    #[test]
    fn lists_keys_in_order() {
        let document = document(json!({"manifest": {"b": 1, "a": 2}}));
        assert_eq!(keys_at(&document, "/manifest"), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(keys_at(&document, "/manifest/a"), None);
    }
}
