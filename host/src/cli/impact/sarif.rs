//! A preview as SARIF 2.1.0 (OASIS): the examples as results, against the active rules as their baseline.

use serde_json::{Value, json};

/// The parts of a report with the state that their results have against the baseline.
const PARTS: [(&str, &str); 4] =
    [("newlyFail", "new"), ("newlyPass", "absent"), ("changed", "updated"), ("notJudged", "new")];

/// The report as a log of one run.
pub fn of(run: &Value) -> Value {
    let mut rules: Vec<Value> = Vec::new();
    let mut results = Vec::new();
    for (part, state) in PARTS {
        for group in run[part].as_array().into_iter().flatten() {
            let code = group["code"].as_str().unwrap_or("?");
            let known = rules.iter().position(|rule| rule["id"] == code);
            let index = known.unwrap_or_else(|| {
                rules.push(json!({"id": code}));
                rules.len() - 1
            });
            let examples = group["examples"].as_array().into_iter().flatten();
            results.extend(examples.map(|example| result(code, index, state, part, group, example)));
        }
    }
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "hallmark", "semanticVersion": env!("CARGO_PKG_VERSION"), "rules": rules}},
            "automationDetails": {"id": format!("hallmark/impact/{}", run["id"].as_str().unwrap_or("?"))},
            "invocations": [{"executionSuccessful": run["state"] == "done"}],
            "properties": {
                "scope": run["scope"], "candidate": run["candidate"], "beside": run["beside"],
                "counts": run["counts"], "exemptions": run["exemptions"], "notIndependent": run["notIndependent"],
            },
            "results": results,
        }],
    })
}

fn result(code: &str, index: usize, state: &str, part: &str, group: &Value, example: &Value) -> Value {
    let text = |field: &str| example[field].as_str().unwrap_or_default();
    let level = match text("severity") {
        "error" => "error",
        "warning" => "warning",
        _ => "note",
    };
    // Names have only characters that a URI may have.
    let uri = format!("{}/{}/versions/{}", text("kind"), text("id"), text("version"));
    json!({
        "ruleId": code,
        "ruleIndex": index,
        "level": level,
        "baselineState": state,
        "message": {"text": text("message")},
        "locations": [{
            "physicalLocation": {"artifactLocation": {"uri": uri}},
            "logicalLocations": [{"fullyQualifiedName": format!("{uri}#{}", text("path"))}],
        }],
        "properties": {"part": part, "plugin": example["plugin"], "manifests": group["count"]},
    })
}
