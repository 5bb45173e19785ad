//! JSON (RFC 8259) in one pass. A parser of our own, because serde_json's cannot say where the second of two equal
//! keys stands, nor where a document nests too deep; the tests hold it to serde_json in what it reads and refuses.

use serde_json::{Map, Value};

use super::places::{Step, Trace};
use super::{Fault, number, shown};

pub(super) fn parse(text: &str, depth_max: usize, trace: &mut impl Trace) -> Result<Value, Fault> {
    if text.starts_with('\u{feff}') {
        return Err(Fault::new(0, "the document begins with a byte order mark: save it as UTF-8 without one"));
    }
    let mut reader = Reader { text, bytes: text.as_bytes(), at: 0, depth: 0, depth_max, trace };
    reader.skip_space();
    if reader.at == text.len() {
        return Err(Fault::new(0, "the document is empty: expected a JSON value"));
    }
    let start = reader.at;
    let value = reader.value()?;
    reader.trace.leave(start..reader.at);
    reader.skip_space();
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(reader.unexpected("the end of the document")),
    }
}

struct Reader<'a, T> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    depth_max: usize,
    trace: &'a mut T,
}

// True for the bytes at which the plain part of a string stops.
const STOPS: [bool; 256] = {
    let mut stops = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        stops[byte] = true;
        byte += 1;
    }
    stops[b'"' as usize] = true;
    stops[b'\\' as usize] = true;
    stops
};

impl<T: Trace> Reader<'_, T> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn unexpected(&self, expected: &str) -> Fault {
        let Some(found) = self.text[self.at..].chars().next() else {
            return Fault::new(self.at, format!("the document ends where {expected} should be: complete it"));
        };
        if self.text[self.at..].starts_with("//") || self.text[self.at..].starts_with("/*") {
            return Fault::new(self.at, "JSON has no comments: remove it, or write the document as YAML");
        }
        if found == '\'' {
            return Fault::new(self.at, "JSON strings stand in double quotes: replace the single quotes");
        }
        Fault::new(self.at, format!("expected {expected}, found '{}'", shown(found.encode_utf8(&mut [0; 4]))))
    }

    fn value(&mut self) -> Result<Value, Fault> {
        match self.peek() {
            Some(b'"') => Ok(Value::String(self.string()?)),
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ if self.text[self.at..].starts_with("NaN") || self.text[self.at..].starts_with("Infinity") => {
                Err(Fault::new(self.at, "JSON has no NaN and no Infinity: write null or a string"))
            }
            _ => Err(self.unexpected("a value")),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, Fault> {
        if self.text[self.at..].starts_with(word) {
            self.at += word.len();
            Ok(value)
        } else {
            Err(self.unexpected("a value"))
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Value, Fault>) -> Result<Value, Fault> {
        if self.depth == self.depth_max {
            return Err(Fault::too_deep(self.at, self.depth_max));
        }
        self.depth += 1;
        self.at += 1;
        self.skip_space();
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn array(&mut self) -> Result<Value, Fault> {
        let mut items = Vec::new();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(items));
        }
        loop {
            let start = self.at;
            self.trace.enter(Step::Element(items.len()), None);
            items.push(self.value()?);
            self.trace.leave(start..self.at);
            if self.ends(b']', "',' or ']'")? {
                return Ok(Value::Array(items));
            }
        }
    }

    fn object(&mut self) -> Result<Value, Fault> {
        let mut members = Map::new();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(members));
        }
        loop {
            let key_start = self.at;
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("a member name in double quotes"));
            }
            let key = self.string()?;
            Fault::reserved(key_start, &key)?;
            self.trace.enter(Step::Member(&key), Some(key_start..self.at));
            self.skip_space();
            if self.peek() != Some(b':') {
                return Err(self.unexpected("':' after the member name"));
            }
            self.at += 1;
            self.skip_space();
            let start = self.at;
            let value = self.value()?;
            self.trace.leave(start..self.at);
            match members.entry(key) {
                serde_json::map::Entry::Vacant(entry) => entry.insert(value),
                serde_json::map::Entry::Occupied(entry) => return Err(Fault::duplicate(key_start, entry.key())),
            };
            if self.ends(b'}', "',' or '}'")? {
                return Ok(Value::Object(members));
            }
        }
    }

    /// After an element or a member: true where the container closes, false where another one follows.
    fn ends(&mut self, close: u8, expected: &str) -> Result<bool, Fault> {
        self.skip_space();
        let at = self.at;
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(true)
            }
            Some(b',') => {
                self.at += 1;
                self.skip_space();
                if self.peek() == Some(close) {
                    return Err(Fault::new(at, "a comma after the last one: remove it"));
                }
                Ok(false)
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    fn number(&mut self) -> Result<Value, Fault> {
        let start = self.at;
        let is_negative = self.peek() == Some(b'-');
        self.at += usize::from(is_negative);
        let digits = self.at;
        self.digits()?;
        if self.bytes[digits] == b'0' && self.at > digits + 1 {
            return Err(Fault::new(start, "a number has no leading zeros: remove them, or write it as a string"));
        }
        let digits_end = self.at;
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        let written = &self.text[start..self.at];
        let value = if self.at == digits_end {
            number::integer(is_negative, &self.text[digits..digits_end], 10, written)
        } else {
            number::double(written)
        };
        value.map_err(|message| Fault::new(start, message))
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { Err(self.unexpected("a digit")) } else { Ok(()) }
    }

    fn string(&mut self) -> Result<String, Fault> {
        let quote = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            let start = self.at;
            let rest = &self.bytes[start..];
            let length = rest.iter().position(|byte| STOPS[usize::from(*byte)]).unwrap_or(rest.len());
            self.at += length;
            let plain = &self.text[start..self.at];
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    if text.is_empty() {
                        return Ok(plain.to_owned());
                    }
                    text.push_str(plain);
                    return Ok(text);
                }
                Some(b'\\') => {
                    text.push_str(plain);
                    text.push(self.escape()?);
                }
                Some(control) => {
                    let message = match control {
                        b'\n' => {
                            "the string is not closed on its line: add '\"', or write the line break as \\n".to_owned()
                        }
                        _ => format!("a control character in a string: write it as \\u{control:04x}"),
                    };
                    return Err(Fault::new(self.at, message));
                }
                None => return Err(Fault::new(quote, "the string is not closed: add '\"'")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Fault> {
        let start = self.at;
        self.at += 2;
        Ok(match self.bytes.get(start + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(start),
            _ => return Err(Fault::new(start, "an unknown escape in a string: write a backslash as \\\\")),
        })
    }

    fn unicode_escape(&mut self, start: usize) -> Result<char, Fault> {
        let first = self.four_digits(start)?;
        let code = match first {
            0xd800..=0xdbff if self.text[self.at..].starts_with("\\u") => {
                self.at += 2;
                match self.four_digits(start)? {
                    second @ 0xdc00..=0xdfff => 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00),
                    _ => first,
                }
            }
            _ => first,
        };
        match char::from_u32(code) {
            Some('\0') => Err(Fault::null_character(start)),
            Some(character) => Ok(character),
            None => Err(Fault::new(start, "half of a surrogate pair: write both halves, or the character itself")),
        }
    }

    fn four_digits(&mut self, start: usize) -> Result<u32, Fault> {
        let digits = self.bytes.get(self.at..self.at + 4).unwrap_or_default();
        let code = digits.iter().try_fold(0, |code, digit| Some(code * 16 + char::from(*digit).to_digit(16)?));
        match code {
            Some(code) if digits.len() == 4 => {
                self.at += 4;
                Ok(code)
            }
            _ => Err(Fault::new(start, "\\u takes four hexadecimal digits")),
        }
    }
}
