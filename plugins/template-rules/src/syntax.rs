//! Where placeholders stand in a text. Work is bounded by the text's length: a placeholder is looked for within one
//! line and no further than a name could reach.

/// The longest placeholder, from its beginning to its end.
const PLACEHOLDER_MAX_BYTES: usize = 200;

/// How placeholders are written.
#[derive(Debug, Clone)]
pub struct Syntax {
    open: String,
    close: String,
    are_names_dotted: bool,
    /// The signs that the delimiters are made of, where each is one sign again and again, as in `{{` and `}}`. A text
    /// may hold such signs one by one, as JSON does, and then a close that stands alone may be two of them.
    braces: Option<(char, char)>,
}

/// What stands in a text.
#[derive(Debug, PartialEq, Eq)]
pub struct Found<'t> {
    /// Its line, from 1.
    pub line: usize,
    /// What it is.
    pub what: What<'t>,
}

/// See [`Found`].
#[derive(Debug, PartialEq, Eq)]
pub enum What<'t> {
    /// A parameter's name, and what of it is read: all that stands in the placeholder.
    Name {
        /// The parameter.
        name: &'t str,
        /// The whole path, as in `customer.name`.
        path: &'t str,
        /// The byte of the text that both begin at.
        at: usize,
    },
    /// It is closed, and holds no name. A name that it begins with is used all the same.
    Malformed {
        /// What it holds, as it is written.
        inner: &'t str,
        /// What it begins with.
        name: Option<&'t str>,
        /// It is a name with dots, and these are not allowed.
        is_dotted: bool,
    },
    /// It does not end where it could; the text from there.
    Unclosed(&'t str),
    /// An end without a beginning.
    Unopened,
}

impl Syntax {
    /// Placeholders between two delimiters, neither of which is empty.
    pub fn new(open: &str, close: &str, are_names_dotted: bool) -> Self {
        let sign = |delimiter: &str| {
            let first = delimiter.chars().next().filter(|_| delimiter.chars().count() > 1)?;
            delimiter.chars().all(|sign| sign == first).then_some(first)
        };
        let braces = sign(open).zip(sign(close)).filter(|(open, close)| open != close);
        Self { open: open.to_owned(), close: close.to_owned(), are_names_dotted, braces }
    }

    /// A placeholder of this name, as it is written.
    pub fn written(&self, name: &str) -> String {
        format!("{} {name} {}", self.open, self.close)
    }

    /// What a placeholder begins with.
    pub fn open(&self) -> &str {
        &self.open
    }

    /// What a placeholder ends with.
    pub fn close(&self) -> &str {
        &self.close
    }

    /// Calls `visit` with all that stands in a text, from its beginning to its end.
    pub fn scan<'t>(&self, text: &'t str, mut visit: impl FnMut(Found<'t>)) {
        let (mut at, mut line, mut depth, mut escaped) = (0, 1, 0_usize, 0_usize);
        while let Some(sign) = text[at..].chars().next() {
            let rest = &text[at..];
            if rest.strip_prefix('\\').is_some_and(|after| after.starts_with(&*self.open)) {
                at += 1 + self.open.len();
                escaped += 1;
            } else if let Some(after) = rest.strip_prefix(&*self.open) {
                let (what, length) = self.read(at, rest, after);
                visit(Found { line, what });
                at += length;
            } else if rest.starts_with(&*self.close) && (escaped > 0 || !self.is_ordinary(depth)) {
                if escaped > 0 {
                    escaped -= 1;
                } else {
                    visit(Found { line, what: What::Unopened });
                    depth = 0;
                }
                at += self.close.len();
            } else {
                match self.braces {
                    Some((open, _)) if sign == open => depth += 1,
                    Some((_, close)) if sign == close => depth = depth.saturating_sub(1),
                    _ => {}
                }
                line += usize::from(sign == '\n');
                at += sign.len_utf8();
            }
        }
    }

    /// True where an end that stands alone is text: it closes single braces, or is a sign that any text may hold.
    fn is_ordinary(&self, depth: usize) -> bool {
        let signs = self.close.chars().count();
        (self.braces.is_some() && depth >= signs) || signs == 1 || self.open == self.close
    }

    /// Reads the placeholder that `rest` begins with, and how much of the text it takes.
    fn read<'t>(&self, at: usize, rest: &'t str, after: &'t str) -> (What<'t>, usize) {
        let window = beginning(after, PLACEHOLDER_MAX_BYTES);
        // It ends before the next one begins, and in its line.
        let reopened = window.find(&*self.open).filter(|_| self.open != self.close);
        let window = &window[..reopened.unwrap_or(window.len())];
        let window = window.split('\n').next().unwrap_or(window);
        match window.find(&*self.close) {
            Some(end) => {
                let name_at = at + self.open.len() + (end - after[..end].trim_start().len());
                (self.named(name_at, &after[..end]), self.open.len() + end + self.close.len())
            }
            None => (What::Unclosed(&rest[..self.open.len() + window.len()]), self.open.len()),
        }
    }

    fn named<'t>(&self, at: usize, inner: &'t str) -> What<'t> {
        let path = inner.trim();
        let name = &path[..name_length(path)];
        let rest = &path[name.len()..];
        let is_dotted = !rest.is_empty() && rest.split('.').skip(1).all(is_step) && rest.starts_with('.');
        if !name.is_empty() && (rest.is_empty() || (is_dotted && self.are_names_dotted)) {
            return What::Name { name, path, at };
        }
        What::Malformed { inner, name: Some(name).filter(|name| !name.is_empty()), is_dotted }
    }
}

/// No more than so many bytes of a text.
fn beginning(text: &str, size_max_bytes: usize) -> &str {
    let mut end = text.len().min(size_max_bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn is_step(step: &str) -> bool {
    !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// Bytes of the name that a text begins with: a letter or '_', and then letters, digits, '_' and '-'.
fn name_length(text: &str) -> usize {
    let is_start = text.starts_with(|first: char| first == '_' || first.is_ascii_alphabetic());
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if is_start { text.bytes().take_while(|byte| is_part(byte)).count() } else { 0 }
}

/// True where a text can be the name of a parameter.
pub fn is_name(text: &str) -> bool {
    const NAME_MAX_BYTES: usize = 64;
    !text.is_empty() && text.len() <= NAME_MAX_BYTES && name_length(text) == text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(syntax: &Syntax, text: &str) -> Vec<String> {
        let mut told = Vec::new();
        syntax.scan(text, |Found { line, what }| {
            let what = match what {
                What::Name { path, at, .. } if !text[at..].starts_with(path) => format!("{path} is not at {at}"),
                What::Name { name, path, .. } if name == path => name.to_owned(),
                What::Name { name, path, .. } => format!("{name} by {path}"),
                What::Malformed { inner, name, is_dotted: false } => format!("malformed <{}> {name:?}", inner.trim()),
                What::Malformed { inner, .. } => format!("dotted <{}>", inner.trim()),
                What::Unclosed(from) => format!("unclosed <{from}>"),
                What::Unopened => "unopened".to_owned(),
            };
            told.push(format!("{line} {what}"));
        });
        told
    }

    fn plain(text: &str) -> Vec<String> {
        told(&Syntax::new("{{", "}}", false), text)
    }

    #[test]
    fn finds_names_with_their_lines() {
        assert_eq!(plain("Dear {{ first_name }},\n\n{{a-b}}{{\tc }} {{_d}}"), ["1 first_name", "3 a-b", "3 c", "3 _d"]);
        assert_eq!(plain(""), [""; 0]);
        assert_eq!(plain("ü {{ a }} ü"), ["1 a"]);
    }

    #[test]
    fn tells_what_is_no_name() {
        assert_eq!(
            plain("{{ }} {{ two words }} {{#if a}} {{ a | upper }} {{ 1a }} {{{ raw }}}"),
            [
                "1 malformed <> None",
                "1 malformed <two words> Some(\"two\")",
                "1 malformed <#if a> None",
                "1 malformed <a | upper> Some(\"a\")",
                "1 malformed <1a> None",
                "1 malformed <{ raw> None",
            ]
        );
        assert_eq!(plain("{{ a.b }} {{ a. }}"), ["1 dotted <a.b>", "1 malformed <a.> Some(\"a\")"]);
        let dotted = Syntax::new("{{", "}}", true);
        assert_eq!(told(&dotted, "{{ a.b.0 }} {{ a..b }}"), ["1 a by a.b.0", "1 malformed <a..b> Some(\"a\")"]);
    }

    #[test]
    fn tells_what_is_not_closed_or_not_opened() {
        assert_eq!(plain("a\n{{ b }\n{{ c }}"), ["2 unclosed <{{ b }>", "3 c"]);
        assert_eq!(plain("{{ a {{ b }}"), ["1 unclosed <{{ a >", "1 b"]);
        assert_eq!(plain("{{ a\n}}"), ["1 unclosed <{{ a>", "2 unopened"]);
        assert_eq!(plain("a }} b { c }}"), ["1 unopened", "1 unopened"]);
        let far = format!("{{{{{}}}}}", "ä".repeat(PLACEHOLDER_MAX_BYTES));
        assert!(plain(&far)[0].starts_with("1 unclosed"), "{far}");
    }

    #[test]
    fn braces_that_close_braces_are_text() {
        assert_eq!(plain("{\"a\": {\"b\": {\"c\": 1}}}"), [""; 0]);
        assert_eq!(plain("{\"a\":{\"b\":{{ c }}}}"), ["1 c"]);
        assert_eq!(plain("@media print{p{color:{{ color }}}}"), ["1 color"]);
    }

    #[test]
    fn escaped_placeholders_are_text() {
        assert_eq!(plain("\\{{ github.ref }} {{ a }}"), ["1 a"]);
        assert_eq!(plain("\\{ {{ a }}"), ["1 a"]);
    }

    #[test]
    fn takes_other_delimiters() {
        let erb = Syntax::new("<%", "%>", false);
        assert_eq!(told(&erb, "<% a %> {{ b }} %> <b>"), ["1 a", "1 unopened"]);
        let shell = Syntax::new("${", "}", false);
        assert_eq!(told(&shell, "${a} {} ${b"), ["1 a", "1 unclosed <${b>"]);
        let percent = Syntax::new("%%", "%%", false);
        assert_eq!(told(&percent, "%%a%% 5%% %%b%%"), ["1 a", "1 malformed <> None", "1 unclosed <%%>"]);
    }

    #[test]
    fn knows_names() {
        for right in ["a", "_a", "A1-b_c", &"a".repeat(64)] {
            assert!(is_name(right), "{right}");
        }
        for wrong in ["", "1a", "-a", "a b", "a.b", "ä", &"a".repeat(65)] {
            assert!(!is_name(wrong), "{wrong}");
        }
    }
}
