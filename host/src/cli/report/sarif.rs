//! SARIF 2.1.0 (OASIS): a result for each finding, a rule for each code.

use serde_json::{Value, json};

use super::cases::{Case, Told};
use crate::cli::Ended;
use crate::report::Severity;

/// The cases as a log of one run.
pub fn of(cases: &[Case]) -> Value {
    let mut rules: Vec<Value> = Vec::new();
    let mut results = Vec::new();
    for case in cases {
        for told in &case.told {
            let known = rules.iter().position(|rule| rule["id"] == told.code.as_str());
            let index = known.unwrap_or_else(|| {
                rules.push(json!({"id": told.code}));
                rules.len() - 1
            });
            results.push(result(case, told, index));
        }
    }
    let ran = cases.iter().all(|case| case.ended != Ended::CouldNotRun);
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "hallmark", "semanticVersion": env!("CARGO_PKG_VERSION"), "rules": rules}},
            "columnKind": "unicodeCodePoints",
            "invocations": [{"executionSuccessful": ran}],
            "results": results,
        }],
    })
}

fn result(case: &Case, told: &Told, index: usize) -> Value {
    let level = match told.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    };
    let mut location = json!({
        "physicalLocation": {"artifactLocation": {"uri": uri(&case.file)}},
        "logicalLocations": [{"fullyQualifiedName": format!("{}#{}", case.title, told.path)}],
    });
    if let Some(place) = told.place {
        location["physicalLocation"]["region"] = json!({
            "startLine": place.line, "startColumn": place.column,
            "endLine": place.end_line, "endColumn": place.end_column,
        });
    }
    let help = told.help.as_ref().map_or_else(String::new, |help| format!("\n{help}"));
    let mut result = json!({
        "ruleId": told.code,
        "ruleIndex": index,
        "level": level,
        "message": {"text": format!("{}{help}", told.message)},
        "locations": [location],
        "properties": {"by": told.who},
    });
    if !told.decides {
        // What observes or is exempted is shown and does not count.
        result["suppressions"] = json!([{"kind": "external"}]);
    }
    result
}

/// A path as a URI reference: what a URI cannot have is percent-encoded.
fn uri(path: &str) -> String {
    let mut uri = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}
