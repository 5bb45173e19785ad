//! Typed access to the submission. Each call asks the host for one place; nothing else is parsed.

use serde::de::DeserializeOwned;

use crate::stage::without_position;
use crate::{Finding, Node, Subject, Substitution, host};

/// The submission under judgement: the JSON object that the publisher sent, `{agentId, name, version, manifest, …}`,
/// without its variables. Validators and policies see it with its placeholders resolved.
///
/// Pointers are JSON Pointers (RFC 6901) from the top of the submission; the document itself lies under
/// [`Subject::document`], which [`in_document`](Self::in_document) puts in front. Each method is one host call or two
/// (`plugin_host_calls_max`, 100,000 of an evaluation unless set otherwise).
#[derive(Debug, Clone, Copy)]
pub struct Submission<'a> {
    subject: &'a Subject,
}

impl<'a> Submission<'a> {
    /// The submission that the host holds for this evaluation.
    #[doc(hidden)]
    pub fn new(subject: &'a Subject) -> Self {
        Self { subject }
    }

    /// What is being judged: tenant, module, kind, id, version, publisher and time.
    pub fn subject(&self) -> &'a Subject {
        self.subject
    }

    /// The pointer of a place in the document: `in_document("/spec")` is `/manifest/spec`.
    pub fn in_document(&self, pointer: &str) -> String {
        [&self.subject.document, pointer].concat()
    }

    /// The value at a pointer, read into a type; none where nothing stands there.
    ///
    /// # Errors
    /// Something stands there that does not have the type's form; as a [`Finding`], it says so to the publisher.
    pub fn get<T: DeserializeOwned>(&self, pointer: &str) -> Result<Option<T>, Mismatch> {
        self.json(pointer).map(|text| read(pointer, &text)).transpose()
    }

    /// The string at a pointer; none where nothing or something other than a string stands there.
    pub fn text(&self, pointer: &str) -> Option<String> {
        let json = self.json(pointer)?;
        let inner = json.strip_prefix('"')?.strip_suffix('"')?;
        // Most strings have no escape: they are what stands between the quotes.
        if inner.contains('\\') { serde_json::from_str(&json).ok() } else { Some(inner.to_owned()) }
    }

    /// The JSON text at a pointer, as the host holds it; none where nothing stands there.
    pub fn json(&self, pointer: &str) -> Option<String> {
        host::submission::get(pointer)
    }

    /// The member names of the object at a pointer, sorted; none where no object stands there.
    pub fn keys(&self, pointer: &str) -> Option<Vec<String>> {
        host::submission::keys(pointer)
    }

    /// Every node that a JSONPath (RFC 9535) selects, in document order. Paths start at the top of the submission:
    /// `$.manifest.services[*].slug`.
    ///
    /// # Errors
    /// The path is not one.
    pub fn query(&self, path: &str) -> Result<Vec<Node>, BadQuery> {
        host::submission::query(path).map_err(|message| BadQuery { path: path.to_owned(), message })
    }

    /// The whole document, read into a type: what stands at [`Subject::document`].
    ///
    /// # Errors
    /// It does not have the type's form.
    pub fn document<T: DeserializeOwned>(&self) -> Result<T, Mismatch> {
        let pointer = &self.subject.document;
        match self.json(pointer) {
            Some(text) => read(pointer, &text),
            None => Err(Mismatch { pointer: pointer.clone(), message: "there is no document".to_owned() }),
        }
    }

    /// The whole submission, read into a type.
    ///
    /// # Errors
    /// It does not have the type's form.
    pub fn whole<T: DeserializeOwned>(&self) -> Result<T, Mismatch> {
        read("", &self.json("").unwrap_or_else(|| "null".to_owned()))
    }

    /// What the resolvers replaced, by path; empty during resolution.
    pub fn substituted(&self) -> Vec<Substitution> {
        host::submission::substituted()
    }
}

impl Node {
    /// The node's value, read into a type.
    ///
    /// # Errors
    /// It does not have the type's form.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Mismatch> {
        read(&self.path, &self.value)
    }
}

pub(crate) fn read<T: DeserializeOwned>(pointer: &str, text: &str) -> Result<T, Mismatch> {
    serde_json::from_str(text).map_err(|error| Mismatch::new(pointer, &error))
}

/// A value that does not have the form that the plugin reads it in. A kind's JSON Schema keeps it from happening;
/// turned into a [`Finding`] it is the error `submission.unreadable`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Where the value stands.
    pub pointer: String,
    /// What was expected.
    pub message: String,
}

impl Mismatch {
    /// What serde_json says of the value at a pointer, without its line and column: they are those of the host's own
    /// text, which the publisher never sees.
    #[must_use]
    pub fn new(pointer: &str, error: &serde_json::Error) -> Self {
        Self { pointer: pointer.to_owned(), message: without_position(&error.to_string()).to_owned() }
    }
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = if self.pointer.is_empty() { "the submission" } else { &self.pointer };
        write!(formatter, "{place} cannot be read: {}", self.message)
    }
}

impl std::error::Error for Mismatch {}

impl From<Mismatch> for Finding {
    fn from(mismatch: Mismatch) -> Self {
        Self::error("submission.unreadable").message(mismatch.to_string()).at(mismatch.pointer)
    }
}

/// A text that is no JSONPath.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadQuery {
    /// The text.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

impl std::fmt::Display for BadQuery {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "'{}' is not a JSONPath: {}", self.path, self.message)
    }
}

impl std::error::Error for BadQuery {}
