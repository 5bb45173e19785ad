//! Permissions that grant more than they name.

use std::collections::BTreeSet;

use hallmark_plugin::findings::{Findings, quoted};
use hallmark_plugin::{Submission, pointer};
use serde_json::Value;
use shared_rules::values::each_child;

use crate::codes;
use crate::places::Places;

/// How far a permission with a wildcard reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Everything,
    Scope,
}

/// Flags the wildcards in every text, and in every member name, at and below the places.
pub fn check(paths: &Places, allowed: &BTreeSet<String>, submission: &Submission, findings: &mut Findings) {
    for (place, value) in paths.read(submission) {
        check_below(&value, place, allowed, findings);
    }
}

fn check_below(value: &Value, place: String, allowed: &BTreeSet<String>, findings: &mut Findings) {
    match value {
        Value::String(text) => check_permission(text, place, allowed, findings),
        Value::Object(members) => {
            for (name, member) in members {
                let place = pointer::child(&place, name);
                check_permission(name, place.clone(), allowed, findings);
                check_below(member, place, allowed, findings);
            }
        }
        _ => each_child(value, &place, |child, place| check_below(child, place, allowed, findings)),
    }
}

fn check_permission(text: &str, place: String, allowed: &BTreeSet<String>, findings: &mut Findings) {
    let Some(reach) = reach(text) else { return };
    if allowed.contains(text) {
        return;
    }
    findings.add(match reach {
        Reach::Everything => codes::PERMISSIONS_WILDCARD
            .at(place)
            .message(format!("the permission {} grants everything", quoted(text)))
            .help("name what the agent needs"),
        Reach::Scope => codes::PERMISSIONS_WILDCARD_SCOPED
            .at(place)
            .message(format!(
                "the permission {} has a wildcard: it also grants what is added there later",
                quoted(text)
            ))
            .help("name what the agent needs in this scope"),
    });
}

/// Parts are divided by '.', ':', '/' and white space. In a text of several words, which may be prose, only a part
/// that is nothing but a wildcard counts.
fn reach(text: &str) -> Option<Reach> {
    if !text.contains('*') {
        return None;
    }
    let is_wildcard = |part: &str| part.bytes().all(|byte| byte == b'*');
    let is_divider = |character: char| matches!(character, '.' | ':' | '/') || character.is_whitespace();
    let mut parts = text.split(is_divider).filter(|part| !part.is_empty());
    if parts.clone().all(is_wildcard) {
        return Some(Reach::Everything);
    }
    let is_one_word = text.split_whitespace().count() == 1;
    parts.any(|part| is_wildcard(part) || (is_one_word && part.contains('*'))).then_some(Reach::Scope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_everything_from_a_scope() {
        for everything in ["*", "**", "*.*", "*:*", "/*", " * ", ".*", "* *"] {
            assert_eq!(reach(everything), Some(Reach::Everything), "{everything}");
        }
        for scope in ["agent.*", "events.workflow.*", "*.read", "s3:Get*", "db/*/read", "GET /api/*", "read *"] {
            assert_eq!(reach(scope), Some(Reach::Scope), "{scope}");
        }
        for named in ["", "agent.read", "may read *all* reports", "?"] {
            assert_eq!(reach(named), None, "{named}");
        }
    }
}
