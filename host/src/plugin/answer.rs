//! What a guest answers, checked before anyone acts on it. An answer without the contract's form is the guest's
//! failure, not the publisher's, and says what is wrong for the plugin's author.

use std::collections::HashSet;

use serde_json::Value;

use super::{Cause, Description, FindingCode};
use crate::names::{PluginName, pointer};
use crate::report::{Origin, Remark, Severity, Substitution};

/// Bytes of a finding's code.
const CODE_MAX_BYTES: usize = 100;

fn nonsense(what: impl Into<String>) -> Cause {
    Cause::Nonsense { what: what.into() }
}

/// A text as an answer's fault quotes it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.chars().take(80).collect::<String>().escape_debug())
}

/// A finding as the guest gave it.
pub struct Given {
    /// How much it weighs.
    pub severity: Severity,
    /// Its code.
    pub code: String,
    /// Where.
    pub path: String,
    /// What.
    pub message: String,
    /// What to change.
    pub help: Option<String>,
    /// A JSON Patch, as text.
    pub fix: Option<String>,
}

/// Checks the findings and their number.
pub fn remarks(given: impl ExactSizeIterator<Item = Given>, findings_max: usize) -> Result<Vec<Remark>, Cause> {
    if given.len() > findings_max {
        return Err(Cause::Findings { limit: findings_max });
    }
    given.map(remark).collect()
}

fn remark(given: Given) -> Result<Remark, Cause> {
    let Given { severity, code, path, message, help, fix } = given;
    if !is_code(&code) {
        return Err(nonsense(format!(
            "the code {} of a finding is not dotted lower case letters, digits and dashes, at most {CODE_MAX_BYTES} bytes",
            quoted(&code)
        )));
    }
    if !pointer::is_pointer(&path) {
        return Err(nonsense(format!("the path {} of finding {code} is not a JSON Pointer (RFC 6901)", quoted(&path))));
    }
    if message.trim().is_empty() {
        return Err(nonsense(format!("finding {code} has no message")));
    }
    let fix = fix.map(|text| patch(&text).map_err(|wrong| nonsense(format!("the fix of finding {code} {wrong}"))));
    Ok(Remark { severity, code, path, message, help: help.filter(|help| !help.is_empty()), fix: fix.transpose()? })
}

/// `permissions.wildcard`.
fn is_code(code: &str) -> bool {
    code.len() <= CODE_MAX_BYTES
        && code.split('.').all(|part| {
            part.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
                && !part.ends_with('-')
                && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        })
}

/// A JSON Patch (RFC 6902).
fn patch(text: &str) -> Result<Value, String> {
    let patch: Value = serde_json::from_str(text).map_err(|error| format!("is not JSON: {error}"))?;
    let operations = patch.as_array().ok_or("is not a JSON Patch (RFC 6902): not an array")?;
    for (place, operation) in operations.iter().enumerate() {
        let wrong = |what: &str| Err(format!("is not a JSON Patch (RFC 6902): operation {place} {what}"));
        let is_pointer = |member: &str| operation[member].as_str().is_some_and(pointer::is_pointer);
        if !is_pointer("path") {
            return wrong("has no JSON Pointer as its path");
        }
        match operation["op"].as_str() {
            Some("add" | "replace" | "test") if operation.get("value").is_none() => return wrong("has no value"),
            Some("move" | "copy") if !is_pointer("from") => return wrong("has no JSON Pointer as its from"),
            Some("add" | "replace" | "test" | "move" | "copy" | "remove") => {}
            _ => return wrong("has no op of add, remove, replace, move, copy and test"),
        }
    }
    Ok(patch)
}

/// Checks one substitution against the submission and the places of those before it.
pub fn substitution(
    submission: &Value,
    before: &mut HashSet<String>,
    path: String,
    value: &str,
    origins: Vec<Origin>,
) -> Result<Substitution, Cause> {
    if submission.pointer(&path).is_none() {
        return Err(nonsense(format!("it substitutes at {}, where the submission has nothing", quoted(&path))));
    }
    if !before.insert(path.clone()) {
        return Err(nonsense(format!("it substitutes twice at {}", quoted(&path))));
    }
    let value = serde_json::from_str(value)
        .map_err(|error| nonsense(format!("what it substitutes at {} is not JSON: {error}", quoted(&path))))?;
    Ok(Substitution { path, value, origins })
}

/// Checks that every text is a pointer.
pub fn pointers(name: &str, occurrences: &[String]) -> Result<(), Cause> {
    match occurrences.iter().find(|text| !pointer::is_pointer(text)) {
        Some(wrong) => Err(nonsense(format!(
            "the occurrence {} of placeholder {} is not a JSON Pointer (RFC 6901)",
            quoted(wrong),
            quoted(name)
        ))),
        None => Ok(()),
    }
}

/// Checks what a plugin says of itself.
pub fn description(
    name: String,
    version: String,
    summary: String,
    settings_schema: &str,
    finding_codes: Vec<FindingCode>,
) -> Result<Description, String> {
    name.parse::<PluginName>().map_err(|error| format!("describe() answers a wrong name: {error}"))?;
    semver::Version::parse(&version)
        .map_err(|error| format!("describe() answers {} as the version: {error}", quoted(&version)))?;
    let settings_schema: Value = serde_json::from_str(settings_schema)
        .map_err(|error| format!("describe() answers a settings schema that is not JSON: {error}"))?;
    schema(&settings_schema)?;
    if let Some(wrong) = finding_codes.iter().find(|documented| !is_code(&documented.code)) {
        return Err(format!(
            "describe() documents the code {}, which is not dotted lower case letters, digits and dashes, at most \
             {CODE_MAX_BYTES} bytes",
            quoted(&wrong.code)
        ));
    }
    Ok(Description { name, version, summary, settings_schema, finding_codes })
}

/// The schema of a plugin's settings, ready to check them.
pub fn schema(schema: &Value) -> Result<jsonschema::Validator, String> {
    jsonschema::options()
        // A guest wrote it: nothing is fetched for it, and its patterns take linear time.
        .offline()
        .with_pattern_options(jsonschema::PatternOptions::regex())
        .build(schema)
        .map_err(|error| format!("describe() answers a settings schema that is not a JSON Schema: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn given(code: &str, path: &str, message: &str, fix: Option<&str>) -> Given {
        Given {
            severity: Severity::Error,
            code: code.to_owned(),
            path: path.to_owned(),
            message: message.to_owned(),
            help: Some(String::new()),
            fix: fix.map(str::to_owned),
        }
    }

    fn refusal(given: Given) -> String {
        remark(given).expect_err("nonsense").to_string()
    }

    #[test]
    fn accepts_a_finding_of_the_form() {
        let fix = r#"[{"op": "remove", "path": "/a"}, {"op": "move", "from": "", "path": "/b"}]"#;
        let remark = remark(given("permissions.wild-card2", "/a~1b", "No.", Some(fix))).expect("of the form");
        assert_eq!(remark.help, None);
        assert_eq!(remark.fix.expect("a fix")[0]["op"], "remove");
    }

    #[test]
    fn says_what_is_wrong_with_a_finding() {
        for code in ["", "A", "a..b", "a.-b", "a-", "a b", &"a".repeat(101)] {
            assert!(refusal(given(code, "", "m", None)).contains("is not dotted lower case"), "{code}");
        }
        assert_eq!(
            refusal(given("A\u{1b}", "", "m", None)),
            "answered nonsense: the code 'A\\u{1b}' of a finding is not dotted lower case letters, digits and dashes, \
             at most 100 bytes"
        );
        assert_eq!(
            refusal(given("a", "b", "m", None)),
            "answered nonsense: the path 'b' of finding a is not a JSON Pointer (RFC 6901)"
        );
        assert_eq!(refusal(given("a", "", " \n", None)), "answered nonsense: finding a has no message");
        for (fix, wrong) in [
            ("{", "the fix of finding a is not JSON: "),
            ("{}", "not an array"),
            (r#"[{"op": "remove"}]"#, "operation 0 has no JSON Pointer as its path"),
            (r#"[{"op": "add", "path": ""}]"#, "operation 0 has no value"),
            (r#"[{"op": "copy", "path": ""}]"#, "operation 0 has no JSON Pointer as its from"),
            (r#"[{"op": "mend", "path": ""}]"#, "operation 0 has no op of add, remove"),
        ] {
            assert!(refusal(given("a", "", "m", Some(fix))).contains(wrong), "{fix}");
        }
    }

    #[test]
    fn a_settings_schema_fetches_nothing_and_its_patterns_cannot_stall() {
        for outside in ["https://example.com/schema.json", "file:///etc/hostname"] {
            assert!(schema(&json!({"$ref": outside})).is_err(), "{outside}");
        }
        // Only an engine that backtracks has look-around, and only such an engine can be stalled.
        assert!(schema(&json!({"pattern": "^(?=a)a+$"})).is_err());
        assert!(schema(&json!({"pattern": "^(a+)+$"})).is_ok());
    }

    #[test]
    fn counts_findings() {
        let many = vec![given("a", "", "m", None), given("b", "", "m", None)];
        assert_eq!(remarks(many.into_iter(), 1), Err(Cause::Findings { limit: 1 }));
    }

    #[test]
    fn checks_substitutions_against_the_submission() {
        let submission = json!({"manifest": {"a": "${X}"}});
        let mut before = HashSet::new();
        substitution(&submission, &mut before, "/manifest/a".into(), "\"x\"", vec![]).expect("of the form");
        let refused = |before: &HashSet<String>, path: &str, value: &str| {
            let mut before = before.clone();
            substitution(&submission, &mut before, path.to_owned(), value, vec![]).expect_err("nonsense").to_string()
        };
        let none = HashSet::new();
        assert_eq!(
            refused(&none, "/manifest/b", "1"),
            "answered nonsense: it substitutes at '/manifest/b', where the submission has nothing"
        );
        assert_eq!(refused(&before, "/manifest/a", "1"), "answered nonsense: it substitutes twice at '/manifest/a'");
        assert!(refused(&none, "/manifest/a", "x").contains("what it substitutes at '/manifest/a' is not JSON: "));
    }
}
