//! Which parts of a submission placeholders are looked for in: JSON Pointers with wildcards.

use hallmark_plugin::{Finding, pointer};

/// One token of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// This member or element.
    Exactly(String),
    /// Any one member or element: `*`.
    One,
    /// Any number of them, none included: `**`.
    Any,
}

/// A pattern: what it names, with all that lies below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<Token>);

/// The patterns of a binding.
#[derive(Debug, Clone, Default)]
pub struct Scope(Vec<Pattern>);

/// How far a walk has come within each pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Here and below, all is in scope.
    Inside,
    /// Something below may be: pattern and token yet to be met.
    Towards(Vec<(usize, usize)>),
}

impl Scope {
    /// Reads the patterns of the settings.
    ///
    /// # Errors
    /// Those that are no pointers.
    pub fn parse(patterns: &[String]) -> Result<Self, Vec<Finding>> {
        let is_wrong = |pattern: &&String| !pointer::is_pointer(pattern);
        let wrong: Vec<_> = patterns
            .iter()
            .enumerate()
            .filter(|(_, pattern)| is_wrong(pattern))
            .map(|(index, pattern)| {
                Finding::setting(format!("/paths/{index}")).message(format!("'{pattern}' is not a JSON Pointer")).help(
                    "start with '/': '/manifest/services/*/env/*/value'; '*' is any one name or index, '**' any number",
                )
            })
            .collect();
        if wrong.is_empty() {
            Ok(Self(patterns.iter().map(|pattern| Pattern::parse(pattern)).collect()))
        } else {
            Err(wrong)
        }
    }

    /// Where a walk begins. Without patterns it is the document that counts.
    pub fn start(&self, document: &str) -> (Self, Reach) {
        let scope = if self.0.is_empty() { Self(vec![Pattern::parse(document)]) } else { self.clone() };
        let states = (0..scope.0.len()).map(|pattern| (pattern, 0)).collect();
        let reach = scope.settle(states);
        (scope, reach)
    }

    /// One step down, to a member or an element.
    pub fn step(&self, reach: &Reach, token: &str) -> Reach {
        let Reach::Towards(states) = reach else { return Reach::Inside };
        let next = states.iter().filter_map(|&(pattern, at)| match self.0[pattern].0.get(at)? {
            Token::Exactly(expected) if expected != token => None,
            Token::Exactly(_) | Token::One => Some((pattern, at + 1)),
            Token::Any => Some((pattern, at)),
        });
        self.settle(next.collect())
    }

    /// Adds what `**` reaches by standing for nothing, and sees whether a pattern is met.
    fn settle(&self, mut states: Vec<(usize, usize)>) -> Reach {
        let mut next = 0;
        while let Some(&(pattern, at)) = states.get(next) {
            match self.0[pattern].0.get(at) {
                None => return Reach::Inside,
                Some(Token::Any) if !states.contains(&(pattern, at + 1)) => states.push((pattern, at + 1)),
                Some(_) => {}
            }
            next += 1;
        }
        Reach::Towards(states)
    }
}

impl Pattern {
    fn parse(text: &str) -> Self {
        let token = |token: std::borrow::Cow<'_, str>| match &*token {
            "*" => Token::One,
            "**" => Token::Any,
            _ => Token::Exactly(token.into_owned()),
        };
        Self(pointer::tokens(text).map(token).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_inside(pattern: &str, path: &str) -> bool {
        let scope = Scope::parse(&[pattern.to_owned()]).expect("a pattern");
        let (scope, start) = scope.start("/manifest");
        let end = pointer::tokens(path).fold(start, |reach, token| scope.step(&reach, &token));
        end == Reach::Inside
    }

    #[test]
    fn matches_what_a_pattern_names_and_all_below() {
        for (pattern, inside, outside) in [
            ("", &["", "/a", "/a/0"] as &[&str], &[] as &[&str]),
            ("/a", &["/a", "/a/b"], &["", "/b", "/b/a"]),
            ("/a/*/c", &["/a/b/c", "/a/0/c/d"], &["/a/c", "/a/b", "/a/b/b/c"]),
            ("/a/**/c", &["/a/c", "/a/b/c", "/a/b/b/c/d"], &["/c", "/a/b"]),
            ("/**/env/*/value", &["/env/0/value", "/a/b/env/x/value"], &["/env/value", "/env/0/key"]),
            ("/a~1b/*", &["/a~1b/c"], &["/a/b/c", "/a~1b"]),
        ] {
            inside.iter().for_each(|path| assert!(is_inside(pattern, path), "{pattern} holds {path}"));
            outside.iter().for_each(|path| assert!(!is_inside(pattern, path), "{pattern} does not hold {path}"));
        }
    }

    #[test]
    fn refuses_what_is_no_pointer() {
        let findings = Scope::parse(&["/a".to_owned(), "$.a".to_owned()]).map(|_| ()).expect_err("a JSONPath");
        assert_eq!(findings[0].path, "/paths/1");
        assert_eq!(findings[0].message, "'$.a' is not a JSON Pointer");
    }
}
