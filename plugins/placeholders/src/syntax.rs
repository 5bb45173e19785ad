//! The syntax of a placeholder in a string: `${NAME}`, `${NAME:-default}`, and `$$` for a dollar sign.

use std::borrow::Cow;

/// A piece of a string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part<'a> {
    /// Text that stays as it is.
    Text(&'a str),
    /// What `$$` means.
    Dollar,
    /// A placeholder.
    Variable {
        /// The name.
        name: &'a str,
        /// What follows `:-`, with its escapes undone.
        default: Option<Cow<'a, str>>,
    },
}

/// A placeholder that does not have its form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

const LITERAL: &str = "write '$$' for a dollar sign that starts no placeholder";

/// The pieces of a string; none where it has no dollar sign that means anything.
///
/// # Errors
/// The first placeholder that does not have its form.
pub fn parse(text: &str) -> Result<Option<Vec<Part<'_>>>, SyntaxError> {
    let mut parts = Vec::new();
    let mut means_something = false;
    let mut rest = text;
    while let Some(start) = rest.find('$') {
        let after = &rest[start + 1..];
        if after.starts_with(['$', '{']) {
            means_something = true;
            push_text(&mut parts, &rest[..start]);
            if let Some(after) = after.strip_prefix('$') {
                parts.push(Part::Dollar);
                rest = after;
            } else {
                let (part, after) = variable(&after[1..])?;
                parts.push(part);
                rest = after;
            }
        } else {
            push_text(&mut parts, &rest[..=start]);
            rest = after;
        }
    }
    push_text(&mut parts, rest);
    Ok(means_something.then_some(parts))
}

fn push_text<'a>(parts: &mut Vec<Part<'a>>, text: &'a str) {
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
}

/// What follows `${`, and the text behind its closing brace.
fn variable(text: &str) -> Result<(Part<'_>, &str), SyntaxError> {
    let end = text.find(['}', ':']).ok_or_else(|| unclosed(text))?;
    let name = &text[..end];
    if text[end..].starts_with('}') {
        check_name(name)?;
        return Ok((Part::Variable { name, default: None }, &text[end + 1..]));
    }
    let Some(default) = text[end..].strip_prefix(":-") else {
        return Err(SyntaxError {
            message: format!("the placeholder '${{{}' has ':' where '}}' or ':-' is expected", shown(text)),
            help: format!("write '${{{}:-default}}' for a default", shown(name)),
        });
    };
    check_name(name)?;
    let (default, rest) = default_text(name, default)?;
    Ok((Part::Variable { name, default: Some(default) }, rest))
}

/// A default ends at the first `}`. In it `$$` is `$` and `$}` is `}`; placeholders do not nest.
fn default_text<'a>(name: &str, text: &'a str) -> Result<(Cow<'a, str>, &'a str), SyntaxError> {
    let mut value = Cow::Borrowed("");
    let mut taken = 0;
    while let Some(found) = text[taken..].find(['}', '$']) {
        let at = taken + found;
        append(&mut value, &text[taken..at]);
        if text[at..].starts_with('}') {
            return Ok((value, &text[at + 1..]));
        }
        match text[at + 1..].chars().next() {
            Some('{') => {
                return Err(SyntaxError {
                    message: format!("the default of the placeholder '{name}' holds another placeholder"),
                    help: "write the default as plain text; '$$' is a dollar sign in it, '$}' a brace".to_owned(),
                });
            }
            Some(escaped @ ('$' | '}')) => {
                value.to_mut().push(escaped);
                taken = at + 2;
            }
            _ => {
                value.to_mut().push('$');
                taken = at + 1;
            }
        }
    }
    Err(unclosed(&format!("{name}:-{text}")))
}

fn append<'a>(value: &mut Cow<'a, str>, text: &'a str) {
    if value.is_empty() {
        *value = Cow::Borrowed(text);
    } else {
        value.to_mut().push_str(text);
    }
}

/// A name has letters, digits and underscores, and no digit first.
///
/// # Errors
/// It has not.
pub fn check_name(name: &str) -> Result<(), SyntaxError> {
    if name.is_empty() {
        return Err(SyntaxError { message: "the placeholder has no name".to_owned(), help: LITERAL.to_owned() });
    }
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with(|first: char| first.is_ascii_digit());
    if is_name {
        return Ok(());
    }
    Err(SyntaxError {
        message: format!("'{}' is not a placeholder name: letters, digits and '_', no digit first", shown(name)),
        help: LITERAL.to_owned(),
    })
}

fn unclosed(text: &str) -> SyntaxError {
    SyntaxError {
        message: format!("the placeholder '${{{}' has no closing brace", shown(text)),
        help: LITERAL.to_owned(),
    }
}

/// Enough of a text to find it by.
fn shown(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(40) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &'static str, default: Option<&'static str>) -> Part<'static> {
        Part::Variable { name, default: default.map(Cow::Borrowed) }
    }

    #[test]
    fn reads_placeholders_and_escapes() {
        use Part::{Dollar, Text};
        let cases: [(&str, Option<Vec<Part>>); 17] = [
            ("", None),
            ("plain", None),
            ("5 $ and $x", None),
            ("$", None),
            ("${A}", Some(vec![variable("A", None)])),
            ("a${A}b", Some(vec![Text("a"), variable("A", None), Text("b")])),
            ("${A}${B}", Some(vec![variable("A", None), variable("B", None)])),
            ("${A:-}", Some(vec![variable("A", Some(""))])),
            ("${A:-x y:-z}", Some(vec![variable("A", Some("x y:-z"))])),
            ("${A:-a$}b$$c$d}e", Some(vec![variable("A", Some("a}b$c$d")), Text("e")])),
            ("$$", Some(vec![Dollar])),
            ("$${A}", Some(vec![Dollar, Text("{A}")])),
            ("$$${A}", Some(vec![Dollar, variable("A", None)])),
            ("$x$$", Some(vec![Text("$"), Text("x"), Dollar])),
            ("${_a1}", Some(vec![variable("_a1", None)])),
            ("${A}}", Some(vec![variable("A", None), Text("}")])),
            ("ü${A:-ü}ü", Some(vec![Text("ü"), variable("A", Some("ü")), Text("ü")])),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong_with_a_placeholder() {
        let cases = [
            ("${", "the placeholder '${' has no closing brace"),
            ("a ${NAME", "the placeholder '${NAME' has no closing brace"),
            ("${NAME:-x", "the placeholder '${NAME:-x' has no closing brace"),
            ("${NAME:-x$}", "the placeholder '${NAME:-x$}' has no closing brace"),
            ("${}", "the placeholder has no name"),
            ("${:-x}", "the placeholder has no name"),
            ("${1X}", "'1X' is not a placeholder name: letters, digits and '_', no digit first"),
            ("${A B}", "'A B' is not a placeholder name: letters, digits and '_', no digit first"),
            ("${A-x}", "'A-x' is not a placeholder name: letters, digits and '_', no digit first"),
            ("${${A}}", "'${A' is not a placeholder name: letters, digits and '_', no digit first"),
            ("${A:x}", "the placeholder '${A:x}' has ':' where '}' or ':-' is expected"),
            ("${NAME:-a${B}}", "the default of the placeholder 'NAME' holds another placeholder"),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).expect_err(text).message, expected, "{text}");
        }
    }
}
