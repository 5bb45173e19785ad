//! Building findings, and the JSON Patch that a finding may offer.

use serde_json::{Value, json};

use crate::{Finding, Severity};

impl Finding {
    /// A finding that rejects the submission (where the binding enforces). `code` is stable and documented: dotted
    /// lower case letters, digits and dashes, at most 100 bytes: `permissions.wildcard`.
    #[must_use]
    pub fn error(code: impl Into<String>) -> Self {
        Self::new(Severity::Error, code)
    }

    /// A finding that should be mended and does not reject.
    #[must_use]
    pub fn warning(code: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code)
    }

    /// A finding that is worth knowing.
    #[must_use]
    pub fn info(code: impl Into<String>) -> Self {
        Self::new(Severity::Info, code)
    }

    /// What is wrong with a setting, for `configure`: an error `settings.invalid` at a JSON Pointer into the settings.
    #[must_use]
    pub fn setting(pointer: impl Into<String>) -> Self {
        Self::error("settings.invalid").at(pointer)
    }

    /// A finding of the given weight about the whole submission, without a message.
    #[must_use]
    pub fn new(severity: Severity, code: impl Into<String>) -> Self {
        Self { severity, code: code.into(), path: String::new(), message: String::new(), help: None, fix: None }
    }

    /// The place: a JSON Pointer (RFC 6901) into the submission, `/manifest/permissions/0`. See
    /// [`pointer`](crate::pointer) for building one.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>) -> Self {
        self.path = pointer.into();
        self
    }

    /// One sentence for the publisher: what is wrong.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// What to change.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// A JSON Patch that would mend the submission.
    #[must_use]
    pub fn fix(mut self, patch: Patch) -> Self {
        self.fix = Some(Value::Array(patch.operations).to_string());
        self
    }
}

/// A JSON Patch (RFC 6902). Its pointers, like a finding's, point into the submission.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Patch {
    operations: Vec<Value>,
}

impl Patch {
    /// A patch that changes nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a value where nothing stands; `-` as the last token appends to an array.
    #[must_use]
    pub fn add(self, path: &str, value: impl Into<Value>) -> Self {
        self.with(json!({"op": "add", "path": path, "value": value.into()}))
    }

    /// Puts a value in the place of what stands there.
    #[must_use]
    pub fn replace(self, path: &str, value: impl Into<Value>) -> Self {
        self.with(json!({"op": "replace", "path": path, "value": value.into()}))
    }

    /// Takes away what stands there.
    #[must_use]
    pub fn remove(self, path: &str) -> Self {
        self.with(json!({"op": "remove", "path": path}))
    }

    /// Applies the patch only while this value stands there.
    #[must_use]
    pub fn test(self, path: &str, value: impl Into<Value>) -> Self {
        self.with(json!({"op": "test", "path": path, "value": value.into()}))
    }

    /// A patch that takes an element away only while it is the value that was meant: when another element of the list
    /// was removed before, it has moved.
    #[must_use]
    pub fn removal(path: &str, value: impl Into<Value>) -> Self {
        Self::new().test(path, value).remove(path)
    }

    /// A patch that puts one value in the place of another only while that one stands there, so that it takes nothing
    /// back that another patch changed.
    #[must_use]
    pub fn exchange(path: &str, before: impl Into<Value>, after: impl Into<Value>) -> Self {
        Self::new().test(path, before).replace(path, after)
    }

    /// This patch, and another after it.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.operations.extend(other.operations);
        self
    }

    fn with(mut self, operation: Value) -> Self {
        self.operations.push(operation);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_a_finding_with_a_patch() {
        let finding = Finding::error("permissions.wildcard")
            .at("/manifest/permissions/0")
            .message("the permission '*' grants everything")
            .help("name the permissions that are needed")
            .fix(Patch::new().remove("/manifest/permissions/0").add("/manifest/permissions/-", "read"));
        assert_eq!(finding.severity, Severity::Error);
        assert_eq!(finding.path, "/manifest/permissions/0");
        assert_eq!(
            finding.fix.as_deref(),
            Some(
                r#"[{"op":"remove","path":"/manifest/permissions/0"},{"op":"add","path":"/manifest/permissions/-","value":"read"}]"#
            )
        );
    }

    #[test]
    fn a_patch_may_ask_for_what_it_was_made_for() {
        let patch = Patch::removal("/a/1", "x").and(Patch::exchange("/b", 1, 2));
        assert_eq!(
            Finding::error("a").fix(patch).fix.as_deref(),
            Some(
                r#"[{"op":"test","path":"/a/1","value":"x"},{"op":"remove","path":"/a/1"},{"op":"test","path":"/b","value":1},{"op":"replace","path":"/b","value":2}]"#
            )
        );
    }

    #[test]
    fn a_setting_is_an_error_that_points_into_the_settings() {
        let finding = Finding::setting("/rules/0").message("no such rule");
        assert_eq!((finding.code.as_str(), finding.path.as_str()), ("settings.invalid", "/rules/0"));
        assert_eq!(Finding::info("a").severity, Severity::Info);
        assert_eq!(Finding::warning("a").severity, Severity::Warning);
    }
}
