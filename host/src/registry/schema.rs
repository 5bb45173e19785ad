//! JSON Schema as the gate uses it: a kind's envelope and its document's schema, compiled once for each release, and
//! violations told as findings. Nothing is fetched: a `$ref` outside the schema is refused when it is compiled.

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::{Value, json};

use super::release::{Kind, Versioning};
use crate::config::{instead, nearest};
use crate::names::pointer;
use crate::report::Remark;

/// Longest excerpt of a value or pattern in a message, in characters.
const EXCERPT_MAX: usize = 120;

/// Bytes that the findings of one document may take together. A document may have a name of a megabyte, and each
/// finding below it repeats that name in its path: without this a decision would be a hundred times what was sent.
const FINDINGS_MAX_BYTES: usize = 256 * 1024;

/// Top-level fields that every kind has beside its id and document fields.
pub const COMMON_FIELDS: [&str; 8] =
    ["name", "version", "description", "capabilities", "tags", "sourceCommit", "metadata", "variables"];

/// A compiled schema, with its text for what a message can say of it.
#[derive(Debug)]
pub struct Schema {
    validator: Validator,
    source: Value,
}

impl Schema {
    /// Compiles a schema.
    ///
    /// # Errors
    /// What is wrong with it, with a JSON Pointer into the schema.
    pub fn compile(source: Value) -> Result<Self, Remark> {
        let validator = jsonschema::options()
            .offline()
            .should_validate_formats(true)
            // The linear-time engine: a pattern must not be able to stall the gate.
            .with_pattern_options(PatternOptions::regex())
            .build(&source)
            .map_err(|error| {
                Remark::error("rules.schema", error.instance_path().as_str(), excerpt(&error.to_string()))
            })?;
        Ok(Self { validator, source })
    }

    /// True where both were compiled from the same text.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.source == other.source
    }

    /// Every violation as a remark, `base` before each path, at most `limit` (and no more text than one answer should
    /// carry) and then one that says so.
    pub fn violations(&self, instance: &Value, base: &str, limit: usize) -> Vec<Remark> {
        if self.validator.is_valid(instance) {
            return Vec::new();
        }
        let mut remarks: Vec<Remark> = Vec::new();
        let mut size_bytes = 0;
        for error in self.validator.iter_errors(instance) {
            let told = remarks.len();
            self.describe(&error, base, limit + 1 - told, &mut remarks);
            if remarks.len() > limit {
                remarks.truncate(limit);
                let message = format!("there are more than {limit} violations (schema_findings_max)");
                remarks.push(Remark::error("schema.more", base, message));
                break;
            }
            size_bytes += remarks[told..].iter().map(size).sum::<usize>();
            if size_bytes > FINDINGS_MAX_BYTES {
                shorten(&mut remarks);
                let message = "there may be more violations: those above are too long to go on".to_owned();
                remarks.push(Remark::error("schema.more", base, message).with_help("give the members shorter names"));
                break;
            }
        }
        remarks
    }

    /// Adds what the violation says, at most `limit` remarks.
    fn describe(&self, error: &ValidationError<'_>, base: &str, limit: usize, remarks: &mut Vec<Remark>) {
        let path = format!("{base}{}", error.instance_path().as_str());
        let message = match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected }
            | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
                let known = pointer::named_beside(&self.source, error.schema_path().as_str());
                remarks.extend(unexpected.iter().take(limit).map(|field| unknown_field(&path, field, &known)));
                return;
            }
            ValidationErrorKind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                remarks.push(
                    Remark::error("schema.required", path, format!("the field '{name}' is missing"))
                        .with_help(format!("add '{name}'")),
                );
                return;
            }
            ValidationErrorKind::Enum { options } => {
                format!("the value must be one of {}", excerpt(&options.to_string()))
            }
            ValidationErrorKind::Constant { expected_value } => {
                format!("the value must be {}", excerpt(&expected_value.to_string()))
            }
            ValidationErrorKind::Pattern { pattern } => {
                format!("the text does not match the pattern {}", excerpt(pattern))
            }
            ValidationErrorKind::FalseSchema => "nothing may stand here".to_owned(),
            _ => excerpt(&error.masked_with("the value").to_string()),
        };
        remarks.push(Remark::error(&format!("schema.{}", dashed(error.kind().keyword())), path, message));
    }
}

/// The schema of a kind's submission around its document.
pub fn envelope(kind: &Kind) -> Value {
    let text = |length_max: u32| json!({"type": "string", "minLength": 1, "maxLength": length_max});
    let mut properties = json!({
        "name": text(200),
        "version": text(64),
        "description": {"type": "string", "maxLength": 10_000},
        "capabilities": {"type": "array", "items": text(200), "maxItems": 500},
        "tags": {"type": "array", "items": text(100), "maxItems": 100},
        "sourceCommit": text(200),
        "metadata": {"type": "object"},
    });
    for (field, schema) in &kind.fields {
        properties[field] = schema.clone();
    }
    properties[&kind.id_field] = text(128);
    properties[&kind.document_field] = json!(true);
    let mut required = vec![kind.id_field.as_str(), "name", kind.document_field.as_str()];
    if kind.versioning != Versioning::Auto {
        required.push("version");
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn unknown_field(path: &str, field: &str, known: &[&str]) -> Remark {
    let place = pointer::child(path, field);
    let message = format!("the field '{}' is not known here", excerpt(field));
    let remark = Remark::error("schema.additional-properties", place.clone(), message);
    let fix =
        nearest(field, known).map(|near| json!([{"op": "move", "from": place, "path": pointer::child(path, near)}]));
    Remark { fix, ..remark }.with_help(instead(field, known))
}

/// Bytes of a remark that the document can make long.
fn size(remark: &Remark) -> usize {
    // A fix repeats the path, twice where it moves something.
    remark.path.len() * if remark.fix.is_some() { 3 } else { 1 } + remark.message.len()
}

/// Keeps of the remarks as many as fit, and the first in any case.
fn shorten(remarks: &mut Vec<Remark>) {
    let mut left_bytes = FINDINGS_MAX_BYTES;
    let fit = remarks.iter().take_while(|remark| {
        let size_bytes = size(remark);
        let fits = size_bytes <= left_bytes;
        left_bytes = left_bytes.saturating_sub(size_bytes);
        fits
    });
    let kept = fit.count().max(1);
    remarks.truncate(kept);
}

/// `additionalProperties` as `additional-properties`.
fn dashed(keyword: &str) -> String {
    keyword.chars().filter(|letter| *letter != '$').fold(String::new(), |mut text, letter| {
        if letter.is_ascii_uppercase() {
            text.push('-');
        }
        text.push(letter.to_ascii_lowercase());
        text
    })
}

fn excerpt(text: &str) -> String {
    let mut cut: String = text.chars().take(EXCERPT_MAX).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(schema: Value, instance: &Value) -> Vec<String> {
        let schema = Schema::compile(schema).expect("a schema");
        schema
            .violations(instance, "/manifest", 10)
            .into_iter()
            .map(|remark| {
                let help = remark.help.map(|help| format!(" ({help})")).unwrap_or_default();
                format!("{} {}: {}{help}", remark.code, remark.path, remark.message)
            })
            .collect()
    }

    #[test]
    fn tells_violations_with_their_place_and_what_to_change() {
        let schema = json!({
            "type": "object",
            "properties": {"slug": {"type": "string", "pattern": "^[a-z]+$"}, "port": {"type": "integer", "maximum": 10}},
            "required": ["slug"],
            "additionalProperties": false,
        });
        assert_eq!(
            told(schema.clone(), &json!({"slugg": "a", "port": "x", "zzzzzzzzzzzz": 1})),
            [
                "schema.type /manifest/port: the value is not of type \"integer\"",
                "schema.additional-properties /manifest/slugg: the field 'slugg' is not known here (did you mean 'slug'?)",
                "schema.additional-properties /manifest/zzzzzzzzzzzz: the field 'zzzzzzzzzzzz' is not known here \
                 (take it out; known are: port, slug)",
                "schema.required /manifest: the field 'slug' is missing (add 'slug')",
            ]
        );
        assert_eq!(
            told(schema, &json!({"slug": "A", "port": 11})),
            [
                "schema.maximum /manifest/port: the value is greater than the maximum of 10",
                "schema.pattern /manifest/slug: the text does not match the pattern ^[a-z]+$",
            ]
        );
    }

    #[test]
    fn long_names_do_not_multiply_in_findings() {
        let long = "k".repeat(200_000);
        let schema = json!({"additionalProperties": {"items": {"type": "string"}}});
        let remarks = Schema::compile(schema).expect("a schema").violations(&json!({&long: [1, 2, 3]}), "", 10);
        assert_eq!(remarks.iter().map(|remark| &*remark.code).collect::<Vec<_>>(), ["schema.type", "schema.more"]);
        assert_eq!(remarks[1].help.as_deref(), Some("give the members shorter names"));

        let schema = json!({"properties": {"a": true}, "additionalProperties": false});
        let many: serde_json::Map<String, Value> = (0..50).map(|index| (format!("n{index}"), json!(1))).collect();
        let remarks = Schema::compile(schema).expect("a schema").violations(&Value::Object(many), "", 10);
        assert_eq!(remarks.len(), 11);
        assert_eq!(remarks[10].message, "there are more than 10 violations (schema_findings_max)");
    }

    #[test]
    fn refuses_a_schema_that_reaches_outside_itself() {
        let remark =
            Schema::compile(json!({"$ref": "https://example.com/other.json"})).expect_err("a remote reference");
        assert_eq!(remark.code, "rules.schema");
    }
}
