//! What changes between two rules of one scope, for people: which kinds, placeholders and bindings come, go and
//! change, and where.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::show;
use crate::registry::difference::{self, Change};

/// Characters of a value that are shown.
const SHOWN_MAX: usize = 100;

/// Characters of a plugin's digest that are shown, its algorithm included: enough to tell one from another.
const DIGEST_SHOWN: usize = "sha256:".len() + 12;

/// What a plugin is called, by its digest; nothing where that is not known.
pub type Named<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// The lines that tell the rules `after` from the rules `before`; none where they say the same.
pub fn lines(before: &Value, after: &Value, plugin: &Named<'_>) -> Vec<String> {
    let [before, after] = [before, after].map(|rules| with_plugins(rules, plugin));
    let (before, after) = (&before, &after);
    let mut lines = Vec::new();
    for (section, one) in [("kinds", "kind"), ("placeholders", "placeholder"), ("bindings", "binding")] {
        let (old, new) = (named(before, section), named(after, section));
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in names {
            let shown = show::plain(name);
            match (old.get(name), new.get(name)) {
                (None, new) => {
                    lines.push(format!("+ {one} {shown}"));
                    if let (Some(binding), "bindings") = (new, section) {
                        whole(binding, &mut lines);
                    }
                }
                (_, None) => lines.push(format!("- {one} {shown}")),
                (Some(old), Some(new)) if old != new => {
                    lines.push(format!("~ {one} {shown}"));
                    changes("", old, new, &mut lines);
                }
                _ => {}
            }
        }
    }
    let order = |rules: &Value, others: &Map<String, Value>| -> Vec<String> {
        let bindings = rules["bindings"].as_array().map(Vec::as_slice).unwrap_or_default();
        let names = bindings.iter().filter_map(|binding| binding["name"].as_str());
        names.filter(|name| others.contains_key(*name)).map(show::plain).collect()
    };
    let (old, new) = (order(before, &named(after, "bindings")), order(after, &named(before, "bindings")));
    if old != new {
        lines.push(format!("~ order of the bindings: {} -> {}", old.join(", "), new.join(", ")));
    }
    if before.get("description") != after.get("description") {
        lines.push("~ description".to_owned());
        let or_null = |rules: &Value| rules.get("description").cloned().unwrap_or_default();
        changes("", &or_null(before), &or_null(after), &mut lines);
    }
    lines
}

/// The rules, with each binding's plugin by its name and version, and the beginning of its digest.
fn with_plugins(rules: &Value, plugin: &Named<'_>) -> Value {
    let mut rules = rules.clone();
    let bindings = rules.get_mut("bindings").and_then(Value::as_array_mut);
    for binding in bindings.into_iter().flatten().filter_map(Value::as_object_mut) {
        let Some(digest) = binding.get("plugin").and_then(Value::as_str) else { continue };
        let short: String = digest.chars().take(DIGEST_SHOWN).collect();
        let told = plugin(digest).map_or_else(|| short.clone(), |name| format!("{name} ({short})"));
        binding.insert("plugin".to_owned(), Value::String(told));
    }
    rules
}

/// Everything that a binding says, in the order in which a folder says it; of its settings each member, and of those that
/// are lists each element.
fn whole(binding: &Value, lines: &mut Vec<String>) {
    for member in ["stage", "plugin", "mode", "percent", "kinds"] {
        match &binding[member] {
            Value::Null => {}
            Value::Array(kinds) if kinds.is_empty() => {}
            Value::String(word) => lines.push(line("", &format!("{member}: {word}"))),
            value => lines.push(line("", &format!("{member}: {}", text(value)))),
        }
    }
    if let Some(settings) = binding["settings"].as_object() {
        let lists = settings.iter().filter(|(_, value)| value.is_array());
        let without = lists.map(|(name, _)| (name.clone(), Value::Array(Vec::new()))).collect();
        changes("/settings", &Value::Object(without), &binding["settings"], lines);
    }
}

fn named(rules: &Value, section: &str) -> Map<String, Value> {
    let elements = rules[section].as_array().map(Vec::as_slice).unwrap_or_default();
    elements.iter().map(|element| (element["name"].as_str().unwrap_or_default().to_owned(), element.clone())).collect()
}

/// The lines that tell one value from another, by their places.
pub fn changes(path: &str, before: &Value, after: &Value, lines: &mut Vec<String>) {
    lines.extend(difference::changes(path, before, after).iter().map(told));
}

/// A place that changes, as it is told.
pub fn told(change: &Change) -> String {
    match (&change.before, &change.after) {
        (None, Some(after)) => line(&change.path, &format!("added {}", text(after))),
        (Some(before), None) => line(&change.path, &format!("removed {}", text(before))),
        (before, after) => {
            let shown = |value: &Option<Value>| text(value.as_ref().unwrap_or(&Value::Null));
            line(&change.path, &format!("{} -> {}", shown(before), shown(after)))
        }
    }
}

fn line(path: &str, what: &str) -> String {
    let path = if path.is_empty() { String::new() } else { format!("{path}: ") };
    format!("    {}", show::plain(&format!("{path}{what}")).replace('\n', " "))
}

fn text(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_what_comes_goes_and_changes() {
        let before = json!({
            "scope": "policies",
            "description": "old",
            "placeholders": [{"name": "GONE"}],
            "bindings": [
                {"name": "cel", "settings": {"rules": [{"id": "a", "expression": "1"}, {"id": "b"}], "list": [1, 2]}},
                {"name": "same", "settings": null},
            ],
        });
        let after = json!({
            "scope": "policies",
            "kinds": [{"name": "notes"}],
            "bindings": [
                {"name": "same", "settings": null},
                {"name": "new"},
                {"name": "cel", "settings": {"rules": [{"id": "c"}, {"id": "a", "expression": "2"}], "list": [1, 3, 4]}},
            ],
        });
        assert_eq!(
            lines(&before, &after, &|_| None),
            [
                "+ kind notes",
                "- placeholder GONE",
                "~ binding cel",
                "    /settings/list/1: 2 -> 3",
                "    /settings/list/2: added 4",
                "    /settings/rules[id=a]/expression: \"1\" -> \"2\"",
                "    /settings/rules[id=b]: removed {\"id\":\"b\"}",
                "    /settings/rules[id=c]: added {\"id\":\"c\"}",
                "+ binding new",
                "~ order of the bindings: cel, same -> same, cel",
                "~ description",
                "    \"old\" -> null",
            ]
        );
        assert!(lines(&after, &after, &|_| None).is_empty());
    }

    #[test]
    fn shows_the_whole_of_a_binding_that_comes_and_plugins_by_their_names() {
        let digest = |of: char| format!("sha256:{}", of.to_string().repeat(64));
        let known = |asked: &str| (asked == digest('a')).then(|| "cel 0.1.0".to_owned());
        let binding = json!({
            "name": "house", "stage": "policy", "plugin": digest('a'), "mode": "observe", "percent": 25, "kinds": ["agents"],
            "settings": {"rules": [{"id": "a", "title": "A"}, {"id": "b"}], "list": [1], "strict": true},
        });
        let plain = json!({
            "name": "plain", "stage": "policy", "plugin": digest('b'), "mode": "enforce", "percent": null, "kinds": [],
            "settings": {},
        });
        let none = json!({"bindings": []});
        assert_eq!(
            lines(&none, &json!({"bindings": [binding, plain]}), &known),
            [
                "+ binding house",
                "    stage: policy",
                "    plugin: cel 0.1.0 (sha256:aaaaaaaaaaaa)",
                "    mode: observe",
                "    percent: 25",
                "    kinds: [\"agents\"]",
                "    /settings/list/0: added 1",
                "    /settings/rules[id=a]: added {\"id\":\"a\",\"title\":\"A\"}",
                "    /settings/rules[id=b]: added {\"id\":\"b\"}",
                "    /settings/strict: added true",
                "+ binding plain",
                "    stage: policy",
                "    plugin: sha256:bbbbbbbbbbbb",
                "    mode: enforce",
            ]
        );
        let mut newer = plain.clone();
        newer["plugin"] = json!(digest('a'));
        assert_eq!(
            lines(&json!({"bindings": [plain]}), &json!({"bindings": [newer]}), &known),
            ["~ binding plain", "    /plugin: \"sha256:bbbbbbbbbbbb\" -> \"cel 0.1.0 (sha256:aaaaaaaaaaaa)\""]
        );
    }

    #[test]
    fn keeps_long_and_strange_values_from_the_terminal() {
        let rules = |text: String| json!({"bindings": [{"name": "a", "settings": text}]});
        let told = lines(&rules("x".repeat(500)), &rules("\u{1b}[2J".to_owned()), &|_| None);
        assert_eq!(told[0], "~ binding a");
        assert!(told[1].chars().count() < 300 && told[1].contains("xx…") && !told[1].contains('\u{1b}'), "{}", told[1]);
    }
}
