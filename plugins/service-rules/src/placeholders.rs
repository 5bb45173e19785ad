//! Placeholders that are still there after resolution, and values that the host masked.

use std::collections::BTreeSet;

use hallmark_plugin::findings::{Findings, quoted};
use hallmark_plugin::{Submission, pointer};
use serde_json::Value;

use crate::codes;

/// How the mask begins that the host puts in the place of a secret.
const MASK: &str = "__secret_";

/// Where placeholders were left, and where the value of a secret will stand: no form can be asked for there.
#[derive(Debug, Default)]
pub struct Left {
    places: BTreeSet<String>,
}

impl Left {
    /// Finds them in the document, and gives a finding for each. What a resolver put somewhere is data, whatever it
    /// looks like.
    pub fn check(text: &str, literal_members: &[String], submission: &Submission, findings: &mut Findings) -> Self {
        let mut left = Self::default();
        let may_have_left = text.contains('$') && (text.contains("${") || text.contains("\"$var\""));
        let may_have_masks = text.contains(MASK);
        if !may_have_left && !may_have_masks {
            return left;
        }
        let substituted = submission.substituted();
        let masked = substituted.iter().filter(|substitution| substitution.value.contains(MASK));
        left.places.extend(masked.map(|substitution| substitution.path.clone()));
        if !may_have_left {
            return left;
        }
        // The host hands out JSON alone.
        let Ok(document) = serde_json::from_str::<Value>(text) else { return left };
        let substituted = substituted.into_iter().map(|substitution| substitution.path).collect();
        let mut search = Search { substituted, literal_members, left: &mut left, findings };
        search.visit(&document, submission.subject().document.clone());
        left
    }

    /// True where there is one at the place or below: what else is wrong there is not worth a word.
    pub fn touches(&self, place: impl FnOnce() -> String) -> bool {
        if self.places.is_empty() {
            return false;
        }
        let place = place();
        let next = self.places.range(place.clone()..).next();
        next.and_then(|next| next.strip_prefix(&place)).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

struct Search<'a, 'b> {
    substituted: BTreeSet<String>,
    literal_members: &'a [String],
    left: &'a mut Left,
    findings: &'a mut Findings<'b>,
}

impl Search<'_, '_> {
    fn visit(&mut self, value: &Value, place: String) {
        if self.substituted.contains(&place) {
            return;
        }
        match value {
            Value::String(text) => {
                if let Some(placeholder) = first_placeholder(text) {
                    self.add(placeholder, place);
                }
            }
            Value::Array(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    self.visit(element, pointer::child(&place, index));
                }
            }
            Value::Object(members) => {
                if let Some(variable) = members.get("$var") {
                    let name = variable.get("name").unwrap_or(variable).as_str().unwrap_or_default();
                    return self.add(&format!("$var: {name}"), place);
                }
                for (name, member) in members {
                    if self.literal_members.contains(name) {
                        continue;
                    }
                    let place = pointer::child(&place, name);
                    if let Some(placeholder) = first_placeholder(name) {
                        self.add(placeholder, place.clone());
                    }
                    self.visit(member, place);
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, placeholder: &str, place: String) {
        self.findings.add(
            codes::PLACEHOLDERS_UNRESOLVED
                .at(place.as_str())
                .message(format!("the placeholder {} is not resolved here", quoted(placeholder)))
                .help("write the value, or move it to where this module resolves placeholders (such as a variable's value)"),
        );
        self.left.places.insert(place);
    }
}

/// The first `${NAME}` or `${NAME:…}` of a text that is not escaped by a second `$` before it.
fn first_placeholder(text: &str) -> Option<&str> {
    let mut rest = text;
    loop {
        rest = &rest[rest.find('$')?..];
        if rest.starts_with("$$") {
            rest = &rest[2..];
            continue;
        }
        if let Some(end) = rest.strip_prefix("${").and_then(placeholder_end) {
            return Some(&rest[..end + 2]);
        }
        rest = &rest[1..];
    }
}

/// Where a placeholder ends, behind its closing brace, in the text that follows its opening one.
fn placeholder_end(inner: &str) -> Option<usize> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let name = inner.bytes().take_while(|&byte| is_name(byte)).count();
    let starts_right = inner.starts_with(|first: char| first == '_' || first.is_ascii_alphabetic());
    let after = &inner[name..];
    let is_placeholder = starts_right && after.starts_with(['}', ':']);
    is_placeholder.then(|| after.find('}').map(|end| name + end + 1)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_placeholders_and_leaves_escapes() {
        assert_eq!(first_placeholder("a ${B} ${C}"), Some("${B}"));
        assert_eq!(first_placeholder("$$${B:-x}"), Some("${B:-x}"));
        assert_eq!(first_placeholder("ü${_b.c-d}"), Some("${_b.c-d}"));
        for none in ["", "$", "$$", "$${B}", "${", "${}", "${B", "${ B }", "${1}", "$B", "${B c}", "{B}", "$${", "$ü"]
        {
            assert_eq!(first_placeholder(none), None, "{none}");
        }
    }

    #[test]
    fn touches_a_place_and_what_is_above_it() {
        let left = Left { places: BTreeSet::from(["/a/b/c".to_owned(), "/a/bc".to_owned()]) };
        let touches = |place: &str| left.touches(|| place.to_owned());
        assert!(touches("/a/b/c") && touches("/a/b") && touches("/a"));
        assert!(!touches("/a/b/cd") && !touches("/b") && !touches("/a/b/c/d"));
    }
}
