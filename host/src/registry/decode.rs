//! Bytes to a submission: the first step of the gate. It refuses what cannot be read without loss.

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON (RFC 8259).
    Json,
    /// YAML 1.2, one document.
    Yaml,
}

/// A document that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} at line {line}, column {column}")]
pub struct Malformed {
    /// What is wrong, and what to change.
    pub message: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

/// Why bytes are no document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// They cannot be read.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// They are too many.
    #[error("the document has more than document_size_max_bytes = {limit_bytes}")]
    TooLarge {
        /// The limit in force.
        limit_bytes: usize,
    },
}

/// Reads a document.
///
/// # Errors
/// Why it cannot be read.
pub fn decode(
    _bytes: &[u8],
    _format: Format,
    _limits: &crate::config::Limits,
) -> Result<serde_json::Value, DecodeError> {
    todo!()
}
