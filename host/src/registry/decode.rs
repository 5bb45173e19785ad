//! Bytes to a JSON value: the first step of the gate. It refuses what cannot be read without loss, and says where.
//! It never repairs, guesses or drops anything that was written.

mod json;
mod number;
mod places;
mod yaml;

use serde_json::Value;

pub use places::{Place, Places};

use crate::config::Limits;
use places::Trace;

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON (RFC 8259), read as I-JSON (RFC 7493).
    Json,
    /// YAML 1.2 (core schema), one document.
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

/// Why bytes are not a document.
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

impl From<DecodeError> for super::RegistryError {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Malformed(malformed) => Self::Malformed(malformed),
            DecodeError::TooLarge { limit_bytes } => Self::TooLarge { limit_bytes },
        }
    }
}

// Deeper documents would overrun the stack of whoever walks them, whatever the limit says.
const DEPTH_CEILING: usize = 512;

/// Something wrong at a byte of the text.
struct Fault {
    offset: usize,
    message: String,
}

impl Fault {
    fn new(offset: usize, message: impl Into<String>) -> Self {
        Self { offset, message: message.into() }
    }

    fn too_deep(offset: usize, depth_max: usize) -> Self {
        let message = format!("nested deeper than document_depth_max = {depth_max}: flatten the document or split it");
        Self::new(offset, message)
    }

    fn duplicate(offset: usize, key: &str) -> Self {
        Self::new(offset, format!("'{}' stands twice in one object: remove one of them", shown(key)))
    }

    /// The library that JSON is read with takes an object with such a member for something else: it would be read as
    /// another document later than it is judged as now.
    fn reserved(offset: usize, key: &str) -> Result<(), Self> {
        if key.starts_with("$serde_json::private::") {
            return Err(Self::new(offset, format!("no member can be called '{}': rename it", shown(key))));
        }
        Ok(())
    }

    fn null_character(offset: usize) -> Self {
        Self::new(offset, "the character U+0000 cannot be stored: remove it")
    }
}

/// Reads one document.
///
/// # Errors
/// Where and why it cannot be read without loss, or that it is too large.
pub fn decode(bytes: &[u8], format: Format, limits: &Limits) -> Result<Value, DecodeError> {
    read(bytes, format, limits, &mut ())
}

/// Reads one document and keeps where each value stands, for who shows findings beside the text.
///
/// # Errors
/// As `decode`.
pub fn decode_with_places(bytes: &[u8], format: Format, limits: &Limits) -> Result<(Value, Places), DecodeError> {
    let mut places = Places::default();
    let value = read(bytes, format, limits, &mut places)?;
    Ok((value, places))
}

fn read(bytes: &[u8], format: Format, limits: &Limits, trace: &mut impl Trace) -> Result<Value, DecodeError> {
    let limit_bytes = limits.document_size_max_bytes;
    if bytes.len() > limit_bytes {
        return Err(DecodeError::TooLarge { limit_bytes });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| not_utf8(bytes, error.valid_up_to()))?;
    let depth_max = limits.document_depth_max.min(DEPTH_CEILING);
    let value = match format {
        Format::Json => json::parse(text, depth_max, trace),
        Format::Yaml => yaml::parse(text, depth_max, limit_bytes, trace),
    };
    value.map_err(|fault| DecodeError::Malformed(malformed(text, fault)))
}

fn not_utf8(bytes: &[u8], valid: usize) -> Malformed {
    let text = String::from_utf8_lossy(&bytes[..valid]);
    let message = format!("the byte 0x{:02x} is not UTF-8: save the document as UTF-8", bytes[valid]);
    malformed(&text, Fault::new(valid, message))
}

fn malformed(text: &str, fault: Fault) -> Malformed {
    let (line, column) = position(text, fault.offset);
    Malformed { message: fault.message, line, column }
}

/// Line and column (in characters) of a byte of the text, both from 1.
pub fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(offset)];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}

/// A piece of the document as a message shows it: short, on one line.
fn shown(text: &str) -> String {
    const SHOWN_MAX_CHARS: usize = 40;
    let mut short = String::new();
    for character in text.chars().take(SHOWN_MAX_CHARS) {
        if character.is_control() {
            short.extend(character.escape_default());
        } else {
            short.push(character);
        }
    }
    if text.chars().nth(SHOWN_MAX_CHARS).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests;
