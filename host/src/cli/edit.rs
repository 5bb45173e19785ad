//! A JSON Patch done to the text of a document, so that comments, order and the way of writing stay as they are where
//! the patch does not touch them. What comes out is read again and must say what the patch says: a text that this file
//! misjudges is refused, and never written.

use std::ops::Range;

use json_patch::PatchOperation;
use serde_json::Value;

use super::patch;
use super::source::Source;
use crate::config::Limits;
use crate::names::pointer;
use crate::registry::decode::Format;

/// A document that is edited.
pub struct Document<'a> {
    source: Source,
    value: Value,
    limits: &'a Limits,
}

impl<'a> Document<'a> {
    /// Reads a text.
    ///
    /// # Errors
    /// It cannot be decoded.
    pub fn read(name: &str, text: &str, format: Format, limits: &'a Limits) -> Result<Self, String> {
        let read = Source::read(name.to_owned(), text.as_bytes(), format, limits);
        let (source, value) = read.map_err(|unreadable| unreadable.error.to_string())?;
        Ok(Self { source, value, limits })
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.source.text
    }

    /// The text after the patch, as a document.
    ///
    /// # Errors
    /// Why it cannot be done, or not in this text.
    pub fn patched(&self, operations: &[PatchOperation]) -> Result<Self, String> {
        let mut expected = self.value.clone();
        patch::apply(&mut expected, operations).map_err(|why| format!("the patch does not fit: {why}"))?;
        let mut edited = self.again();
        for operation in operations {
            edited = edited.after(operation)?;
        }
        if edited.value != expected {
            return Err("the text cannot be edited without changing something else".to_owned());
        }
        Ok(edited)
    }

    fn again(&self) -> Self {
        Self { source: self.source.clone(), value: self.value.clone(), limits: self.limits }
    }

    fn after(&self, operation: &PatchOperation) -> Result<Self, String> {
        let path = operation.path().as_str();
        match operation {
            PatchOperation::Test(_) => Ok(self.again()),
            PatchOperation::Add(add) => self.with(self.addition(path, &add.value)?),
            PatchOperation::Replace(replace) => self.with(self.replacement(path, &replace.value)?),
            PatchOperation::Remove(_) => self.with(self.removal(path)?),
            PatchOperation::Copy(copy) => self.with(self.addition(path, self.there(copy.from.as_str())?)?),
            PatchOperation::Move(moving) => {
                let from = moving.from.as_str();
                let without = self.with(self.removal(from)?)?;
                without.with(without.addition(path, self.there(from)?)?)
            }
        }
    }

    /// The document with a piece of its text replaced.
    fn with(&self, (range, piece): (Range<usize>, String)) -> Result<Self, String> {
        let mut text = self.source.text.clone();
        text.replace_range(range, &piece);
        Self::read(&self.source.name, &text, self.source.format, self.limits)
            .map_err(|why| format!("the text cannot be edited safely: {why}"))
    }

    fn there(&self, path: &str) -> Result<&Value, String> {
        self.value.pointer(path).ok_or_else(|| format!("nothing stands at {path}"))
    }

    fn range(&self, path: &str) -> Result<Range<usize>, String> {
        let place = self.source.place(path).ok_or_else(|| format!("{path} is not written out in the file"))?;
        let text = &self.text()[place.value.clone()];
        Ok(place.value.start..place.value.start + text.trim_end().len())
    }

    /// Whether a collection stands between brackets.
    fn is_flow(&self, path: &str) -> Result<bool, String> {
        Ok(self.text()[self.range(path)?].starts_with(['{', '[']))
    }

    /// Where a value ends; what follows a block's last line, a comment say, is not of it.
    fn end(&self, path: &str) -> Result<usize, String> {
        let range = self.range(path)?;
        match self.children(path) {
            Some(children) if !self.is_flow(path)? => children.last().map_or(Ok(range.end), |last| self.end(last)),
            _ => Ok(range.end),
        }
    }

    /// The pointers of a collection's members, in the order of the text; none for a scalar and an empty collection.
    fn children(&self, path: &str) -> Option<Vec<String>> {
        let mut children: Vec<String> = match self.value.pointer(path)? {
            Value::Object(members) => members.keys().map(|name| pointer::child(path, name)).collect(),
            Value::Array(elements) => (0..elements.len()).map(|index| pointer::child(path, index)).collect(),
            _ => return None,
        };
        children.sort_by_key(|child| self.source.place(child).map_or(0, |place| place.value.start));
        (!children.is_empty()).then_some(children)
    }

    /// Where a member begins: at its name, at its dash, or at itself.
    fn start(&self, path: &str) -> Result<usize, String> {
        let (parent, _) = split(path)?;
        let place = self.source.place(path).ok_or_else(|| format!("{path} is not written out in the file"))?;
        match &place.key {
            Some(key) => Ok(key.start),
            None if self.is_flow(parent)? => Ok(place.value.start),
            None => {
                let before = self.text()[..place.value.start].trim_end_matches([' ', '\t']);
                let dash = before.strip_suffix('-').map(str::len);
                dash.ok_or_else(|| format!("the dash of {path} does not stand before it"))
            }
        }
    }

    fn line_start(&self, at: usize) -> usize {
        self.text()[..at].rfind('\n').map_or(0, |newline| newline + 1)
    }

    /// The end of the line, before its newline.
    fn line_end(&self, at: usize) -> usize {
        self.text()[at..].find('\n').map_or(self.text().len(), |newline| at + newline)
    }

    fn newline(&self) -> &'static str {
        if self.text().contains("\r\n") { "\r\n" } else { "\n" }
    }

    fn replacement(&self, path: &str, value: &Value) -> Result<(Range<usize>, String), String> {
        split(path)?;
        let range = self.range(path)?;
        let end = self.end(path)?;
        if range.is_empty() {
            return Ok((range.clone(), format!(" {}", self.written(value, ""))));
        }
        let old = &self.text()[range.start..end];
        Ok((range.start..end, self.written(value, old)))
    }

    fn removal(&self, path: &str) -> Result<(Range<usize>, String), String> {
        let (parent, _) = split(path)?;
        let siblings = self.children(parent).ok_or_else(|| format!("nothing stands at {path}"))?;
        let at =
            siblings.iter().position(|sibling| sibling == path).ok_or_else(|| format!("nothing stands at {path}"))?;
        if siblings.len() == 1 {
            let empty = if self.there(parent)?.is_array() {
                Value::Array(Vec::new())
            } else {
                Value::Object(Default::default())
            };
            return self.replacement(parent, &empty);
        }
        let (start, end) = (self.start(path)?, self.end(path)?);
        let line_start = self.line_start(start);
        let begins_its_line = self.text()[line_start..start].trim().is_empty();
        if !self.is_flow(parent)? && begins_its_line {
            let line_end = self.line_end(end);
            let with_newline = (line_end + 1).min(self.text().len());
            return Ok((line_start..with_newline, String::new()));
        }
        match siblings.get(at + 1) {
            Some(next) => Ok((start..self.start(next)?, String::new())),
            // The comma, or the line's end, before it.
            None => Ok((self.end(&siblings[at - 1])?..end, String::new())),
        }
    }

    fn addition(&self, path: &str, value: &Value) -> Result<(Range<usize>, String), String> {
        let (parent, name) = split(path)?;
        match self.there(parent)? {
            Value::Object(members) => {
                let name = name.replace("~1", "/").replace("~0", "~");
                if members.contains_key(&name) {
                    return self.replacement(path, value);
                }
                let is_flow = self.is_flow(parent)? || self.children(parent).is_none();
                let name = if is_flow { json(&Value::String(name)) } else { self.written(&Value::String(name), "a") };
                self.append(parent, &format!("{name}: {}", self.written(value, "")))
            }
            Value::Array(elements) if name == "-" || name.parse() == Ok(elements.len()) => {
                let is_flow = self.is_flow(parent)? || self.children(parent).is_none();
                let dash = if is_flow { "" } else { "- " };
                self.append(parent, &format!("{dash}{}", self.written(value, "")))
            }
            Value::Array(_) => {
                let start = self.start(path)?;
                let value = self.written(value, "");
                if self.is_flow(parent)? {
                    return Ok((start..start, format!("{value}, ")));
                }
                let indent = " ".repeat(self.column(start));
                Ok((start..start, format!("- {value}{}{indent}", self.newline())))
            }
            _ => Err(format!("{parent} is no object and no array")),
        }
    }

    fn column(&self, at: usize) -> usize {
        self.text()[self.line_start(at)..at].chars().count()
    }

    /// Puts a member behind the last one of a collection, as that one is put.
    fn append(&self, parent: &str, member: &str) -> Result<(Range<usize>, String), String> {
        let range = self.range(parent)?;
        let Some(children) = self.children(parent) else {
            let close = range.end.saturating_sub(1);
            return match self.text().get(close..range.end) {
                Some("}" | "]") => Ok((close..close, member.to_owned())),
                _ => Err(format!("{parent} is not written as a collection")),
            };
        };
        let last = children.last().map_or(parent, String::as_str);
        let (start, end) = (self.start(last)?, self.end(last)?);
        if self.is_flow(parent)? {
            let before = &self.text()[..start];
            let space = &before[before.trim_end().len()..];
            let space = if space.is_empty() { " " } else { space };
            let space = if children.len() == 1 && !space.contains('\n') { " " } else { space };
            return Ok((end..end, format!(",{space}{member}")));
        }
        let line_end = self.line_end(end);
        let line_end = line_end - usize::from(self.text()[..line_end].ends_with('\r'));
        let indent = " ".repeat(self.column(self.start(&children[0])?));
        Ok((line_end..line_end, format!("{}{indent}{member}", self.newline())))
    }

    /// A value as the file writes values, and strings as it wrote the old one.
    fn written(&self, value: &Value, old: &str) -> String {
        match (self.source.format, value) {
            (Format::Yaml, Value::String(text)) if old.starts_with('\'') && is_of_one_line(text) => {
                format!("'{}'", text.replace('\'', "''"))
            }
            (Format::Yaml, Value::String(text)) if !old.starts_with('"') && is_plain(text) => text.clone(),
            _ => json(value),
        }
    }
}

/// The pointer of what is around, and the last token.
fn split(path: &str) -> Result<(&str, &str), String> {
    path.rsplit_once('/').ok_or_else(|| "the whole document would be replaced".to_owned())
}

/// JSON is YAML too. Spaced as people write it on one line.
fn json(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(json).collect::<Vec<_>>().join(", ")),
        Value::Object(members) if members.is_empty() => "{}".to_owned(),
        Value::Object(members) => {
            let members =
                members.iter().map(|(name, value)| format!("{}: {}", Value::from(name.as_str()), json(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        scalar => scalar.to_string(),
    }
}

fn is_of_one_line(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

/// Whether YAML reads the text as a string where it stands without quotes. Numbers and words of YAML begin otherwise or
/// are listed.
fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_./".contains(letter))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(format: Format, text: &str, patch: Value) -> Result<String, String> {
        let limits = Limits::default();
        let document = Document::read("a", text, format, &limits).expect("a document");
        let patch: Vec<PatchOperation> = serde_json::from_value(patch).expect("a patch");
        document.patched(&patch).map(|edited| edited.text().to_owned())
    }

    fn yaml(text: &str, patch: Value) -> String {
        patched(Format::Yaml, text, patch).unwrap_or_else(|why| format!("refused: {why}"))
    }

    fn in_json(text: &str, patch: Value) -> String {
        patched(Format::Json, text, patch).unwrap_or_else(|why| format!("refused: {why}"))
    }

    const BLOCK: &str = "# An agent.\nname: planner # its name\ntags:\n  # The first.\n  - a\n  - 'b' # the second\n\
                         spec:\n  cpu: \"1\"\n  list:\n    - x: 1\n      y: 2\n    - x: 3\n# The end.\nlast: |\n  text\n";

    #[test]
    fn keeps_comments_and_quotes_of_yaml() {
        for (patch, from, to) in [
            (json!([{"op": "replace", "path": "/name", "value": "writer"}]), "planner", "writer"),
            (json!([{"op": "replace", "path": "/name", "value": "yes"}]), "planner", "\"yes\""),
            (json!([{"op": "replace", "path": "/tags/1", "value": "it's"}]), "'b'", "'it''s'"),
            (json!([{"op": "replace", "path": "/spec/cpu", "value": "2"}]), "\"1\"", "\"2\""),
            (json!([{"op": "replace", "path": "/spec/cpu", "value": 2}]), "\"1\"", "2"),
            (json!([{"op": "add", "path": "/tags/-", "value": "c"}]), "# the second\n", "# the second\n  - c\n"),
            (json!([{"op": "add", "path": "/tags/0", "value": "c"}]), "  - a\n", "  - c\n  - a\n"),
            (json!([{"op": "remove", "path": "/tags/0"}]), "  - a\n", ""),
            (json!([{"op": "remove", "path": "/tags/1"}]), "  - 'b' # the second\n", ""),
            (json!([{"op": "remove", "path": "/name"}]), "name: planner # its name\n", ""),
            (
                json!([{"op": "add", "path": "/spec/memory", "value": {"max": [1, 2]}}]),
                "    - x: 3\n",
                "    - x: 3\n  memory: {\"max\": [1, 2]}\n",
            ),
            (json!([{"op": "remove", "path": "/spec/list/0/x"}]), "- x: 1\n      y: 2", "- y: 2"),
            (json!([{"op": "remove", "path": "/spec/list/0/y"}]), "- x: 1\n      y: 2\n", "- x: 1\n"),
            (json!([{"op": "remove", "path": "/spec/list/1"}]), "    - x: 3\n", ""),
            (json!([{"op": "replace", "path": "/spec/list", "value": []}]), "- x: 1\n      y: 2\n    - x: 3", "[]"),
            (json!([{"op": "remove", "path": "/last"}]), "last: |\n  text\n", ""),
            (
                json!([{"op": "test", "path": "/name", "value": "planner"}, {"op": "move", "from": "/name", "path": "/spec/name"}]),
                "",
                "",
            ),
        ] {
            let edited = yaml(BLOCK, patch.clone());
            if !from.is_empty() {
                assert_eq!(edited, BLOCK.replacen(from, to, 1), "{patch}");
            }
            assert!(edited.contains("# An agent.") && edited.contains("# The end."), "{patch}: {edited}");
        }
    }

    #[test]
    fn keeps_the_form_of_json() {
        let pretty = "{\n  \"a\": 1,\n  \"list\": [\n    \"x\",\n    \"y\"\n  ],\n  \"empty\": []\n}\n";
        for (patch, from, to) in [
            (json!([{"op": "replace", "path": "/a", "value": "b"}]), "1", "\"b\""),
            (json!([{"op": "add", "path": "/b", "value": true}]), "\"empty\": []", "\"empty\": [],\n  \"b\": true"),
            (json!([{"op": "add", "path": "/list/-", "value": "z"}]), "\"y\"", "\"y\",\n    \"z\""),
            (json!([{"op": "add", "path": "/empty/-", "value": "z"}]), "[]", "[\"z\"]"),
            (json!([{"op": "remove", "path": "/list/0"}]), "\"x\",\n    ", ""),
            (json!([{"op": "remove", "path": "/list/1"}]), ",\n    \"y\"", ""),
            (json!([{"op": "remove", "path": "/a"}]), "\"a\": 1,\n  ", ""),
        ] {
            assert_eq!(in_json(pretty, patch.clone()), pretty.replacen(from, to, 1), "{patch}");
        }
        assert_eq!(
            in_json("{\"l\": [1, 2]}", json!([{"op": "add", "path": "/l/-", "value": 3}])),
            "{\"l\": [1, 2, 3]}"
        );
        assert_eq!(in_json("{\"l\":[1]}", json!([{"op": "remove", "path": "/l/0"}])), "{\"l\":[]}");
    }

    #[test]
    fn refuses_what_it_cannot_do_safely() {
        let shared = "base: &base\n  x: 1\nother: *base\n";
        for (patch, why) in [
            (json!([{"op": "replace", "path": "/other/x", "value": 2}]), "/other/x is not written out in the file"),
            (
                json!([{"op": "replace", "path": "/base/x", "value": 2}]),
                "the text cannot be edited without changing something else",
            ),
            (json!([{"op": "replace", "path": "", "value": {}}]), "the whole document would be replaced"),
        ] {
            assert_eq!(patched(Format::Yaml, shared, patch).err().as_deref(), Some(why));
        }
        let unfit = patched(Format::Yaml, shared, json!([{"op": "test", "path": "/base/x", "value": 7}]));
        assert!(unfit.expect_err("refused").starts_with("the patch does not fit: "));
    }
}
