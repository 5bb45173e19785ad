//! Places in a submission that settings name as JSONPaths (RFC 9535), read through JSON Pointers.
//!
//! The part of the language that needs no evaluation by the host is understood: `$`, `.name`, `['name']`, `[0]`,
//! `[*]`, `.*`, `..name` and `..*`. So a wrong path is refused when the binding is configured, not when someone
//! publishes, and reading asks the host for the few small parts of the document that the paths start from.

use std::collections::BTreeSet;

use hallmark_plugin::{Submission, pointer};
use serde_json::Value;
use shared_rules::values::each_child;

/// A value that a path selected, and where it stands.
pub type Hit = (String, Value);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Member(String),
    Element(usize),
    Each,
    /// The node itself and all below it.
    Descendants,
}

/// Several paths, grouped by the pointers that they start from, so that each pointer is read once.
#[derive(Debug, Default)]
pub struct Places {
    groups: Vec<(String, Vec<Vec<Step>>)>,
}

impl Places {
    /// Parses the paths.
    ///
    /// # Errors
    /// The index of the first wrong path, and what is wrong with it.
    pub fn parse(paths: &[String]) -> Result<Self, (usize, String)> {
        let mut places = Self::default();
        for (index, path) in paths.iter().enumerate() {
            let steps = parse(path).map_err(|message| (index, message))?;
            let (start, steps) = split(steps);
            match places.groups.iter_mut().find(|(known, _)| *known == start) {
                Some((_, group)) => group.push(steps),
                None => places.groups.push((start, vec![steps])),
            }
        }
        Ok(places)
    }

    /// Everything that the paths select, each place once.
    pub fn read(&self, submission: &Submission) -> Vec<Hit> {
        let mut hits = Vec::new();
        for (start, group) in &self.groups {
            let Some(text) = submission.json(start) else { continue };
            // The host hands out JSON alone.
            let Ok(value) = serde_json::from_str::<Value>(&text) else { continue };
            for steps in group {
                select(&value, start.clone(), steps, &mut hits);
            }
        }
        let mut seen = BTreeSet::new();
        hits.retain(|(place, _)| seen.insert(place.clone()));
        hits
    }
}

/// The leading members as a pointer, and what is left. A member that is a number would also be an array's element to
/// a pointer, so it stays a step.
fn split(mut steps: Vec<Step>) -> (String, Vec<Step>) {
    let is_pointer =
        |step: &Step| matches!(step, Step::Member(name) if !name.bytes().all(|byte| byte.is_ascii_digit()));
    let rest = steps.split_off(steps.iter().take_while(|step| is_pointer(step)).count());
    let start = steps.iter().fold(String::new(), |start, step| match step {
        Step::Member(name) => pointer::child(&start, name),
        _ => start,
    });
    (start, rest)
}

fn select(value: &Value, place: String, steps: &[Step], hits: &mut Vec<Hit>) {
    let Some((step, rest)) = steps.split_first() else {
        hits.push((place, value.clone()));
        return;
    };
    match step {
        Step::Member(name) => {
            if let Some(member) = value.as_object().and_then(|object| object.get(name)) {
                select(member, pointer::child(&place, name), rest, hits);
            }
        }
        Step::Element(index) => {
            if let Some(element) = value.as_array().and_then(|array| array.get(*index)) {
                select(element, pointer::child(&place, index), rest, hits);
            }
        }
        Step::Each => each_child(value, &place, |child, place| select(child, place, rest, hits)),
        Step::Descendants => {
            select(value, place.clone(), rest, hits);
            each_child(value, &place, |child, place| select(child, place, steps, hits));
        }
    }
}

fn parse(path: &str) -> Result<Vec<Step>, String> {
    let wrong =
        |at: &str, what: &str| format!("'{path}' cannot be used, at position {}: {what}", path.len() - at.len() + 1);
    let mut rest = path.strip_prefix('$').ok_or_else(|| wrong(path, "a path starts with '$'"))?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let after = if let Some(after) = rest.strip_prefix("..") {
            steps.push(Step::Descendants);
            if after.starts_with('[') {
                Ok((None, after))
            } else {
                dotted(after).map(|(step, after)| (Some(step), after))
            }
        } else if let Some(after) = rest.strip_prefix('.') {
            dotted(after).map(|(step, after)| (Some(step), after))
        } else if let Some(after) = rest.strip_prefix('[') {
            bracketed(after).map(|(step, after)| (Some(step), after))
        } else {
            Err((rest, "expected '.', '..' or '['"))
        };
        let (step, after) = after.map_err(|(at, what)| wrong(at, what))?;
        steps.extend(step);
        rest = after;
    }
    Ok(steps)
}

type Parsed<'a> = Result<(Step, &'a str), (&'a str, &'static str)>;

fn dotted(text: &str) -> Parsed<'_> {
    if let Some(after) = text.strip_prefix('*') {
        return Ok((Step::Each, after));
    }
    let is_name = |character: char| character == '_' || character.is_ascii_alphanumeric() || !character.is_ascii();
    let (name, after) = text.split_at(text.find(|character| !is_name(character)).unwrap_or(text.len()));
    if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) {
        return Err((text, "expected a name or '*'; a name with other characters is written ['name']"));
    }
    Ok((Step::Member(name.to_owned()), after))
}

fn bracketed(text: &str) -> Parsed<'_> {
    const FORMS: &str = "expected '*', a number or a name in quotes; filters, slices and lists are not supported here";
    let closed = |step, after: &'_ str| after.strip_prefix(']').map(|after| (step, after.len()));
    let found = if let Some(after) = text.strip_prefix('*') {
        closed(Step::Each, after)
    } else if let Some(quote) = text.chars().next().filter(|first| matches!(first, '\'' | '"')) {
        let inner = &text[1..];
        let end = inner.find(quote).ok_or((text, "the quote is not closed"))?;
        if inner[..end].contains('\\') {
            return Err((text, "escapes in names are not supported here"));
        }
        closed(Step::Member(inner[..end].to_owned()), &inner[end + 1..])
    } else {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let index = text[..digits].parse().map_err(|_| (text, FORMS))?;
        closed(Step::Element(index), &text[digits..])
    };
    let (step, left) = found.ok_or((text, FORMS))?;
    Ok((step, &text[text.len() - left..]))
}

/// The names in a value that may be a text, an object with a `name`, `id` or `slug`, or a list of them. What is none
/// of these is visited without a name.
pub fn each_name<'a>(value: &'a Value, place: String, visit: &mut impl FnMut(Option<&'a str>, String)) {
    match value {
        Value::Array(_) => each_child(value, &place, |element, place| each_name(element, place, visit)),
        Value::Object(object) => {
            let named = ["name", "id", "slug"].iter().find_map(|&key| Some((key, object.get(key)?.as_str()?)));
            match named.filter(|(_, name)| !name.trim().is_empty()) {
                Some((key, name)) => visit(Some(name), pointer::child(&place, key)),
                None => visit(None, place),
            }
        }
        Value::String(name) if !name.trim().is_empty() => visit(Some(name), place),
        _ => visit(None, place),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn selected(path: &str, value: &Value) -> Vec<String> {
        let mut hits = Vec::new();
        select(value, String::new(), &parse(path).expect("a path"), &mut hits);
        hits.into_iter().map(|(place, _)| place).collect()
    }

    #[test]
    fn selects_like_jsonpath() {
        let value = json!({"a": [{"b": 1}, {"b": 2, "c/d": {"b": 3}}], "e": {"0": true}});
        assert_eq!(selected("$", &value), [""]);
        assert_eq!(selected("$.a[*].b", &value), ["/a/0/b", "/a/1/b"]);
        assert_eq!(selected("$['a'][1][\"c/d\"].*", &value), ["/a/1/c~1d/b"]);
        assert_eq!(selected("$..b", &value), ["/a/0/b", "/a/1/b", "/a/1/c~1d/b"]);
        assert_eq!(selected("$..[0]", &value), ["/a/0"]);
        assert_eq!(selected("$.e['0']", &value), ["/e/0"]);
        assert_eq!(selected("$.e[0]", &value), [""; 0]);
        assert_eq!(selected("$.nothing.b", &value), [""; 0]);
    }

    #[test]
    fn starts_from_pointers_and_groups_by_them() {
        let paths = ["$.manifest.tools[*].a", "$.manifest.tools[*].b", "$.manifest['a/b']"].map(str::to_owned);
        let places = Places::parse(&paths).expect("paths");
        let starts: Vec<_> = places.groups.iter().map(|(start, paths)| (start.as_str(), paths.len())).collect();
        assert_eq!(starts, [("/manifest/tools", 2), ("/manifest/a~1b", 1)]);
    }

    #[test]
    fn says_what_is_wrong_with_a_path() {
        let text = |path: &str| parse(path).expect_err("a wrong path");
        assert_eq!(text("manifest"), "'manifest' cannot be used, at position 1: a path starts with '$'");
        assert_eq!(text("$manifest"), "'$manifest' cannot be used, at position 2: expected '.', '..' or '['");
        assert_eq!(
            text("$.a[?@.b]"),
            "'$.a[?@.b]' cannot be used, at position 5: expected '*', a number or a name in quotes; \
             filters, slices and lists are not supported here"
        );
        for wrong in ["$.", "$.a-b", "$[", "$['a", "$['a\\n']", "$[1:2]", "$[1", "$..", "$.a b", "$.1"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
