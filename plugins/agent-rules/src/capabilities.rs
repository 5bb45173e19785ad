//! Capabilities: named, declared once, and declared where the manifest uses them.

use std::collections::BTreeMap;

use hallmark_plugin::findings::{Findings, quoted};
use hallmark_plugin::{Finding, Patch, Submission};
use serde_json::Value;
use shared_rules::values::each_child;

use crate::codes;
use crate::places::{Places, each_name};

const DECLARED: &str = "/capabilities";

/// Checks the declared capabilities and those that are used.
pub fn check(paths: &Places, submission: &Submission, findings: &mut Findings) {
    let declared = match submission.get::<Option<Vec<Value>>>(DECLARED) {
        Ok(declared) => declared.flatten().map(Value::Array),
        Err(mismatch) => return findings.add(mismatch.into()),
    };
    let names = declared.as_ref().map(|declared| check_declared(declared, findings)).unwrap_or_default();
    let used = paths.read(submission);
    let mut undeclared = BTreeMap::new();
    for (place, value) in &used {
        each_name(value, place.clone(), &mut |name, place| {
            if let Some(name) = name.filter(|&name| !names.contains_key(name)) {
                undeclared.entry(name).or_insert(place);
            }
        });
    }
    let all: Vec<_> = undeclared.keys().copied().collect();
    for (name, place) in &undeclared {
        findings.add(undeclared_finding(name, place, declared.is_some(), &all));
    }
}

fn check_declared<'a>(declared: &'a Value, findings: &mut Findings) -> BTreeMap<&'a str, String> {
    let mut first: BTreeMap<&str, String> = BTreeMap::new();
    each_child(declared, DECLARED, |element, element_place| {
        each_name(element, element_place.clone(), &mut |name, place| match name {
            None => findings.add(
                codes::CAPABILITIES_FORM
                    .at(place)
                    .message(
                        "the capability has no name: it is neither a text nor an object with a 'name', 'id' or 'slug'",
                    )
                    .help("write the capability's name"),
            ),
            Some(name) => {
                if let Some(before) = first.get(name) {
                    findings.add(
                        codes::CAPABILITIES_DUPLICATE
                            .at(place)
                            .message(format!("the capability {} is already declared at {before}", quoted(name)))
                            .help("remove this declaration")
                            .fix(Patch::removal(&element_place, element.clone())),
                    );
                } else {
                    first.insert(name, place);
                }
            }
        });
    });
    first
}

fn undeclared_finding(name: &str, place: &str, has_list: bool, all: &[&str]) -> Finding {
    // Without a list, one patch declares all, so that the patches of several findings agree.
    const DECLARED_BY_A_FIX_MAX: usize = 50;
    let patch = match has_list {
        true => Some(Patch::new().add("/capabilities/-", name)),
        false if all.len() <= DECLARED_BY_A_FIX_MAX => Some(Patch::new().add(DECLARED, all.to_vec())),
        false => None,
    };
    let finding = codes::CAPABILITIES_UNDECLARED
        .at(place)
        .message(format!("the manifest uses the capability {}, which {DECLARED} does not declare", quoted(name)))
        .help(format!("add {} to {DECLARED}, or stop using it", quoted(name)));
    match patch {
        Some(patch) => finding.fix(patch),
        None => finding,
    }
}
