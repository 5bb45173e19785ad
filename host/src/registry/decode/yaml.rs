//! YAML 1.2 by its core schema, built from granit-parser's events. Decided here: one document; keys are strings; the
//! core schema's tags alone; no merge keys (YAML 1.2 has none); aliases are written out, and what they add is bounded
//! by the same limit as the document.

use std::collections::HashMap;

use granit_parser::{Event, Options, Parser, ScalarStyle, Span, Tag};
use serde_json::{Map, Value};

use super::places::{Step, Trace};
use super::{Fault, number, shown};

pub(super) fn parse(text: &str, depth_max: usize, size_max: usize, trace: &mut impl Trace) -> Result<Value, Fault> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.flow_nesting_limit = depth_max + 1;
    options.block_nesting_limit = depth_max + 1;
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut builder =
        Builder { trace, depth_max, size_max, expanded: 0, open: Vec::new(), anchors: HashMap::new(), root: None };
    let mut documents = 0;
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| scan_fault(text, depth_max, &error))?;
        let range = range(&span);
        if let Event::DocumentStart(..) = event {
            documents += 1;
            if documents > 1 {
                return Err(Fault::new(range.start, "a second document begins: send one document at a time"));
            }
        }
        builder.take(event, range)?;
    }
    builder.root.ok_or_else(|| Fault::new(0, "the document is empty: expected a YAML value"))
}

type Range = std::ops::Range<usize>;

fn range(span: &Span) -> Range {
    span.byte_range().unwrap_or_else(|| span.start.index()..span.end.index())
}

/// A value with what it costs to repeat it.
#[derive(Clone)]
struct Node {
    value: Value,
    size: usize,
    depth: usize,
}

enum Container {
    Sequence(Vec<Value>),
    Mapping { members: Map<String, Value>, key: Option<(String, Range)> },
}

struct Open {
    container: Container,
    anchor: usize,
    start: usize,
    size: usize,
    depth: usize,
}

struct Builder<'a, T> {
    trace: &'a mut T,
    depth_max: usize,
    size_max: usize,
    expanded: usize,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    root: Option<Value>,
}

impl<T: Trace> Builder<'_, T> {
    fn take(&mut self, event: Event<'_>, range: Range) -> Result<(), Fault> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_merge = style == ScalarStyle::Plain && text == "<<";
                let value = scalar(&text, style, tag.as_deref()).map_err(|why| Fault::new(range.start, why))?;
                let node = Node { size: 1 + text.len(), depth: 0, value };
                self.keep(anchor, &node, range.start)?;
                if !self.wants_key() {
                    return self.value(node, range);
                }
                if is_merge {
                    let message = "merge keys ('<<') are not YAML 1.2: write the members out";
                    return Err(Fault::new(range.start, message));
                }
                self.key(node, range)
            }
            Event::Alias(id) => {
                let node = self.anchors.get(&id).cloned().ok_or_else(|| {
                    Fault::new(range.start, "the alias stands within the node that it names: write the value out")
                })?;
                self.expand(node.size, range.start)?;
                if self.open.len() + node.depth > self.depth_max {
                    return Err(Fault::too_deep(range.start, self.depth_max));
                }
                if self.wants_key() { self.key(node, range) } else { self.value(node, range) }
            }
            Event::SequenceStart(_, anchor, tag) => {
                check_tag(tag.as_deref(), "seq", range.start)?;
                self.begin(Container::Sequence(Vec::new()), anchor, range.start)
            }
            Event::MappingStart(_, anchor, tag) => {
                check_tag(tag.as_deref(), "map", range.start)?;
                self.begin(Container::Mapping { members: Map::new(), key: None }, anchor, range.start)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(range.end),
            _ => Ok(()),
        }
    }

    fn wants_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { container: Container::Mapping { key: None, .. }, .. }))
    }

    fn key(&mut self, node: Node, range: Range) -> Result<(), Fault> {
        let Some(Open { container: Container::Mapping { members, key }, size, .. }) = self.open.last_mut() else {
            return Ok(());
        };
        let name = match node.value {
            Value::String(name) => name,
            Value::Null => return Err(Fault::new(range.start, "a key is missing or null: name the member")),
            Value::Array(_) | Value::Object(_) => return Err(Fault::new(range.start, KEY_NOT_SCALAR)),
            other => {
                let message = format!("the key {other} is not a string: put it in quotes");
                return Err(Fault::new(range.start, message));
            }
        };
        if members.contains_key(&name) {
            return Err(Fault::duplicate(range.start, &name));
        }
        Fault::reserved(range.start, &name)?;
        *size += name.len();
        self.trace.enter(Step::Member(&name), Some(range.clone()));
        *key = Some((name, range));
        Ok(())
    }

    fn value(&mut self, node: Node, range: Range) -> Result<(), Fault> {
        if self.open.is_empty() {
            self.trace.leave(range);
            self.root = Some(node.value);
            return Ok(());
        }
        self.enter_element();
        self.trace.leave(range);
        self.put(node);
        Ok(())
    }

    fn enter_element(&mut self) {
        if let Some(Open { container: Container::Sequence(items), .. }) = self.open.last() {
            self.trace.enter(Step::Element(items.len()), None);
        }
    }

    fn put(&mut self, node: Node) {
        let Some(around) = self.open.last_mut() else {
            self.root = Some(node.value);
            return;
        };
        around.size += node.size;
        around.depth = around.depth.max(node.depth + 1);
        match &mut around.container {
            Container::Sequence(items) => items.push(node.value),
            Container::Mapping { members, key } => {
                if let Some((name, _)) = key.take() {
                    members.insert(name, node.value);
                }
            }
        }
    }

    fn begin(&mut self, container: Container, anchor: usize, start: usize) -> Result<(), Fault> {
        if self.wants_key() {
            return Err(Fault::new(start, KEY_NOT_SCALAR));
        }
        if self.open.len() == self.depth_max {
            return Err(Fault::too_deep(start, self.depth_max));
        }
        self.enter_element();
        self.open.push(Open { container, anchor, start, size: 1, depth: 1 });
        Ok(())
    }

    fn end(&mut self, end: usize) -> Result<(), Fault> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let value = match open.container {
            Container::Sequence(items) => Value::Array(items),
            Container::Mapping { members, .. } => Value::Object(members),
        };
        self.trace.leave(open.start..end.max(open.start));
        let node = Node { value, size: open.size, depth: open.depth };
        self.keep(open.anchor, &node, open.start)?;
        self.put(node);
        Ok(())
    }

    fn keep(&mut self, anchor: usize, node: &Node, at: usize) -> Result<(), Fault> {
        // An anchored node is copied here, so anchors within anchors add up as aliases do.
        if anchor != 0 {
            self.expand(node.size, at)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(())
    }

    fn expand(&mut self, size: usize, at: usize) -> Result<(), Fault> {
        self.expanded += size;
        if self.expanded > self.size_max {
            let message = format!(
                "anchors and aliases expand the document beyond document_size_max_bytes = {}: write less of it by alias",
                self.size_max
            );
            return Err(Fault::new(at, message));
        }
        Ok(())
    }
}

const KEY_NOT_SCALAR: &str = "a list or a mapping as a key: keys must be strings";

fn check_tag(tag: Option<&Tag>, suffix: &str, at: usize) -> Result<(), Fault> {
    match tag {
        Some(tag) if !tag.is_yaml_core_schema_tag(suffix) => Err(Fault::new(at, foreign_tag(tag))),
        _ => Ok(()),
    }
}

fn foreign_tag(tag: &Tag) -> String {
    format!("the tag {} is not supported here: remove it", shown(&tag.original()))
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
    if text.contains('\0') {
        return Err(Fault::null_character(0).message);
    }
    let Some(tag) = tag else {
        return if style == ScalarStyle::Plain { plain(text) } else { Ok(Value::String(text.to_owned())) };
    };
    // The tag '!' alone is the non-specific tag: the scalar is a string.
    if tag.original() == "!" {
        return Ok(Value::String(text.to_owned()));
    }
    let value = match tag.core_suffix() {
        Some("str") => return Ok(Value::String(text.to_owned())),
        Some("null" | "bool" | "int" | "float") => plain(text)?,
        _ => return Err(foreign_tag(tag)),
    };
    match (tag.core_suffix(), &value) {
        (Some("null"), Value::Null) | (Some("bool"), Value::Bool(_)) => Ok(value),
        (Some("int"), Value::Number(number)) if !number.is_f64() => Ok(value),
        (Some("float"), Value::Number(_)) => Ok(value),
        _ => Err(format!("'{}' is not of the type that its tag {} names", shown(text), tag.original())),
    }
}

/// A plain scalar by the core schema (YAML 1.2.2, section 10.3.2).
fn plain(text: &str) -> Result<Value, String> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => {
            let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
            match unsigned.bytes().next() {
                Some(b'0'..=b'9' | b'.') => return number_or_text(text, unsigned),
                _ => Value::String(text.to_owned()),
            }
        }
    })
}

fn number_or_text(text: &str, unsigned: &str) -> Result<Value, String> {
    let is_all = |digits: &str, base| !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(base));
    if let Some(digits) = text.strip_prefix("0o").filter(|digits| is_all(digits, 8)) {
        return number::integer(false, digits, 8, text);
    }
    if let Some(digits) = text.strip_prefix("0x").filter(|digits| is_all(digits, 16)) {
        return number::integer(false, digits, 16, text);
    }
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Err(format!("JSON has no {text}: write null or a string"));
    }
    if is_all(unsigned, 10) {
        if unsigned.starts_with('0') && unsigned.len() > 1 {
            return Err(format!("{} is a number and would lose its leading zeros: put it in quotes", shown(text)));
        }
        return number::integer(text.starts_with('-'), unsigned, 10, text);
    }
    if is_float(unsigned) { number::double(text) } else { Ok(Value::String(text.to_owned())) }
}

fn is_float(unsigned: &str) -> bool {
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_mantissa = match mantissa.split_once('.') {
        Some((whole, fraction)) => are_digits(whole) && are_digits(fraction) && mantissa.len() > 1,
        None => are_digits(mantissa) && !mantissa.is_empty(),
    };
    let is_exponent = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !digits.is_empty() && are_digits(digits)
    });
    is_mantissa && is_exponent
}

fn scan_fault(text: &str, depth_max: usize, error: &granit_parser::ScanError) -> Fault {
    use granit_parser::ErrorKind as Kind;
    let mark = error.marker();
    let offset = mark
        .byte_offset()
        .unwrap_or_else(|| text.char_indices().nth(mark.index()).map_or(text.len(), |(offset, _)| offset));
    let message = match error.kind() {
        Kind::RecursionLimitExceeded => return Fault::too_deep(offset, depth_max),
        Kind::TabNotAllowed | Kind::TabInBlockIndentation | Kind::TabInIndentation | Kind::TabAtBlockScalarStart => {
            "a tab in the indentation: indent with spaces".to_owned()
        }
        Kind::UnknownAnchor => {
            "the alias names no anchor before it: define the anchor, or write the value out".to_owned()
        }
        Kind::UnclosedQuotedScalar => "the string is not closed: add its closing quote".to_owned(),
        Kind::UnclosedFlowCollection { open } => format!("'{open}' is not closed: add its closing bracket"),
        Kind::MismatchedFlowCollectionEnd { open, close } => {
            format!("'{open}' is closed by '{close}': close it with its own bracket")
        }
        Kind::UnexpectedCharacter { character } => {
            format!("'{}' cannot begin a value: put the value in quotes", character.escape_default())
        }
        Kind::MappingValueNotAllowed | Kind::SimpleKeyExpected | Kind::InvalidSimpleKey => {
            format!("not YAML: {}: check the indentation, and put text that holds ': ' in quotes", error.info())
        }
        _ => format!("not YAML: {}", error.info()),
    };
    Fault::new(offset, message)
}
