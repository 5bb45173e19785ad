//! A manifest file and the submissions in it, and the way from a finding's JSON Pointer back to the lines that the
//! author wrote.

use std::ops::Range;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::config::Limits;
use crate::names::pointer;
use crate::registry::decode::{self, DecodeError, Format, Malformed, Place, Places};
use crate::registry::release::{Kind, Versioning};

/// One file as it was read.
#[derive(Debug, Clone)]
pub struct Source {
    /// What it is called in messages: its path as given, or `<stdin>`.
    pub name: String,
    /// Its text; bytes that are not UTF-8 are replaced.
    pub text: String,
    /// How it is written.
    pub format: Format,
    places: Places,
}

/// A file that cannot be decoded.
#[derive(Debug, Clone)]
pub struct Unreadable {
    /// The file.
    pub source: Source,
    /// Why.
    pub error: DecodeError,
}

impl Source {
    /// Decodes a file's bytes.
    ///
    /// # Errors
    /// It cannot be decoded.
    pub fn read(name: String, bytes: &[u8], format: Format, limits: &Limits) -> Result<(Self, Value), Box<Unreadable>> {
        let text = String::from_utf8_lossy(bytes).into_owned();
        match decode::decode_with_places(bytes, format, limits) {
            Ok((value, places)) => Ok((Self { name, text, format, places }, value)),
            Err(error) => {
                let source = Self { name, text, format, places: Places::default() };
                Err(Box::new(Unreadable { source, error }))
            }
        }
    }

    /// Where the value at the pointer stands, and its name.
    pub fn place(&self, pointer: &str) -> Option<&Place> {
        self.places.at(pointer)
    }

    /// The bytes to show for a pointer into the file: a value on one line, else its name, else its first line.
    pub fn span(&self, pointer: &str) -> Option<Range<usize>> {
        let (_, place) = self.places.nearest(pointer)?;
        let value = place.value.clone();
        match &place.key {
            Some(key) if self.text[value.clone()].trim_end().contains('\n') || value.is_empty() => Some(key.clone()),
            _ => {
                let text = &self.text[value.clone()];
                let line = text.lines().next().unwrap_or_default().trim_end().len();
                Some(value.start..value.start + line)
            }
        }
    }

    /// The bytes of the member's name at the pointer; as `span` where it has none.
    pub fn name_span(&self, pointer: &str) -> Option<Range<usize>> {
        match self.places.nearest(pointer) {
            Some((found, place)) if found == pointer => place.key.clone().or_else(|| self.span(pointer)),
            _ => self.span(pointer),
        }
    }

    /// Line and column, both from 1, of a byte of the text.
    pub fn line_and_column(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// The character at which decoding stopped.
    pub fn span_of(&self, malformed: &Malformed) -> Range<usize> {
        let line_start: usize = self.text.split_inclusive('\n').take(malformed.line - 1).map(str::len).sum();
        let line = self.text[line_start..].lines().next().unwrap_or_default();
        let column = line.char_indices().nth(malformed.column - 1).map_or(line.len(), |(at, _)| at);
        let width = line[column..].chars().next().map_or(0, char::len_utf8);
        line_start + column..line_start + column + width
    }
}

/// What the command line says of bare documents.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--id`.
    pub id: Option<String>,
    /// `--version`.
    pub version: Option<String>,
    /// `--name`.
    pub name: Option<String>,
}

/// A submission that a file holds or stands for.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The file.
    pub source: Arc<Source>,
    /// Its kind.
    pub kind: Arc<Kind>,
    /// The submission, as it would be sent.
    pub body: Value,
    /// Where the submission, or the bare document, stands in the file.
    base: String,
    is_bare: bool,
}

impl Candidate {
    /// A submission that stands whole in the file at `base`.
    pub fn whole(source: &Arc<Source>, kind: &Arc<Kind>, base: String, body: Value) -> Self {
        Self { source: Arc::clone(source), kind: Arc::clone(kind), body, base, is_bare: false }
    }

    /// A submission made of a bare document, what it says of itself and what the command line says of it.
    ///
    /// # Errors
    /// What is missing, and how to say it.
    pub fn bare(
        source: &Arc<Source>,
        kind: &Arc<Kind>,
        base: String,
        document: Value,
        overrides: &Overrides,
    ) -> Result<Self, String> {
        let derive = &kind.derive;
        let field = |given: &Option<String>, derived: &Option<String>| {
            let derived = || derived.as_deref().and_then(|pointer| document.pointer(pointer)).cloned();
            given.clone().map(Value::String).or_else(derived)
        };
        let missing = |what: &str, derived: &Option<String>, flag: &str| {
            let place = match derived {
                Some(pointer) => format!("nothing stands at {pointer}"),
                None => format!("a bare document of the kind {} carries none", kind.name),
            };
            format!("{}: the {what} is not known, since {place}: give {flag}", source.name)
        };
        let id = field(&overrides.id, &derive.id).ok_or_else(|| missing("id", &derive.id, "--id"))?;
        let mut body = Map::new();
        body.insert("name".to_owned(), field(&overrides.name, &derive.name).unwrap_or_else(|| id.clone()));
        body.insert(kind.id_field.clone(), id);
        if kind.versioning != Versioning::Auto {
            let version = field(&overrides.version, &derive.version);
            let version = version.ok_or_else(|| missing("version", &derive.version, "--version"))?;
            body.insert("version".to_owned(), version);
        }
        if let Some(description) = field(&None, &derive.description) {
            body.insert("description".to_owned(), description);
        }
        body.insert(kind.document_field.clone(), document);
        let (source, kind) = (Arc::clone(source), Arc::clone(kind));
        Ok(Self { source, kind, body: Value::Object(body), base, is_bare: true })
    }

    /// True where the file holds the document alone.
    pub fn is_bare(&self) -> bool {
        self.is_bare
    }

    /// The entry's id, as far as the submission has one.
    pub fn id(&self) -> Option<&str> {
        self.body.get(&self.kind.id_field).and_then(Value::as_str)
    }

    /// The version, as far as the submission has one.
    pub fn version(&self) -> Option<&str> {
        self.body.get("version").and_then(Value::as_str)
    }

    /// What messages call it: `agents/planner 1.2.0`.
    pub fn title(&self) -> String {
        let id = self.id().unwrap_or("?");
        match self.version() {
            Some(version) => format!("{}/{id} {version}", self.kind.name),
            None => format!("{}/{id}", self.kind.name),
        }
    }

    /// A finding's pointer as a pointer into the file; where the file does not have it, as one to what it comes from.
    pub fn in_file(&self, path: &str) -> String {
        self.exactly_in_file(path).unwrap_or_else(|| self.base.clone())
    }

    /// The same; none where the file does not have it.
    pub fn exactly_in_file(&self, path: &str) -> Option<String> {
        if !self.is_bare {
            return Some(format!("{}{path}", self.base));
        }
        let document = pointer::child("", &self.kind.document_field);
        if let Some(within) = path.strip_prefix(&document).filter(|rest| rest.is_empty() || rest.starts_with('/')) {
            return Some(format!("{}{within}", self.base));
        }
        let derive = &self.kind.derive;
        let derived = match path.strip_prefix('/') {
            Some("name") => derive.name.as_ref().or(derive.id.as_ref()),
            Some("version") => derive.version.as_ref(),
            Some("description") => derive.description.as_ref(),
            Some(field) if field == self.kind.id_field => derive.id.as_ref(),
            _ => None,
        };
        derived.map(|derived| format!("{}{derived}", self.base))
    }

    /// The bytes of the file to show for a finding.
    pub fn span(&self, path: &str) -> Option<Range<usize>> {
        self.source.span(&self.in_file(path))
    }

    /// The same for a finding about a member's name.
    pub fn name_span(&self, path: &str) -> Option<Range<usize>> {
        self.source.name_span(&self.in_file(path))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kind() -> Arc<Kind> {
        let kind = json!({
            "name": "agents", "singular": "agent", "idField": "agentId", "documentField": "manifest", "schema": {},
            "derive": {"id": "/metadata/name", "version": "/metadata/version"},
        });
        Arc::new(serde_json::from_value(kind).expect("a kind"))
    }

    fn source(text: &str, format: Format) -> (Arc<Source>, Value) {
        let read = Source::read("a.yaml".to_owned(), text.as_bytes(), format, &Limits::default());
        let (source, value) = read.expect("a document");
        (Arc::new(source), value)
    }

    #[test]
    fn shows_a_bare_documents_lines_for_a_submissions_pointers() {
        let text = "metadata:\n  name: planner\n  version: \"1.0.0\"\nspec:\n  tools:\n    - a: 1\n    - b: 2\n";
        let (source, value) = source(text, Format::Yaml);
        let candidate = Candidate::bare(&source, &kind(), String::new(), value, &Overrides::default());
        let candidate = candidate.expect("a submission");
        assert_eq!(
            candidate.body,
            json!({"agentId": "planner", "name": "planner", "version": "1.0.0", "manifest": {
                "metadata": {"name": "planner", "version": "1.0.0"}, "spec": {"tools": [{"a": 1}, {"b": 2}]},
            }})
        );
        for (path, shown) in [
            ("/manifest/spec/tools/1/b", "2"),
            ("/manifest/spec/tools/1/missing", "b: 2"),
            ("/manifest/spec/tools", "tools"),
            ("/manifest/spec/nothing/here", "spec"),
            ("/agentId", "planner"),
            ("/name", "planner"),
            ("/version", "\"1.0.0\""),
            ("/tags/0", "metadata:"),
        ] {
            let span = candidate.span(path).expect("a place");
            assert_eq!(&text[span], shown, "{path}");
        }
    }

    #[test]
    fn shows_the_lines_of_one_of_many_submissions() {
        let text = "[{\"agentId\": \"a\"},\n {\"agentId\": \"b\", \"manifest\": {\"x\": []}}]";
        let (source, value) = source(text, Format::Json);
        let candidate = Candidate::whole(&source, &kind(), "/1".to_owned(), value[1].clone());
        assert_eq!(candidate.title(), "agents/b");
        assert_eq!(&text[candidate.span("/agentId").expect("a place")], "\"b\"");
        assert_eq!(&text[candidate.span("/manifest/x/0").expect("a place")], "[]");
    }

    #[test]
    fn says_what_a_bare_document_lacks() {
        let (source, value) = source("{}", Format::Json);
        let bare = |kind: &Kind| {
            let kind = Arc::new(kind.clone());
            Candidate::bare(&source, &kind, String::new(), value.clone(), &Overrides::default()).expect_err("no id")
        };
        let mut kind = kind().as_ref().clone();
        assert_eq!(bare(&kind), "a.yaml: the id is not known, since nothing stands at /metadata/name: give --id");
        kind.derive.id = None;
        assert_eq!(
            bare(&kind),
            "a.yaml: the id is not known, since a bare document of the kind agents carries none: give --id"
        );
    }
}
