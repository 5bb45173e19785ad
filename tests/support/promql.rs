//! As much of Prometheus as a test needs: the series of an exposition, and the selectors of an expression.

use std::collections::BTreeMap;

/// One exported series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// Its name, `_bucket`, `_sum` and `_count` of a histogram included.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// Every series of an exposition.
pub fn series(exposition: &str) -> Vec<Series> {
    let lines = exposition.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (series, _) = line.rsplit_once(' ').expect("a series and its value");
            let (name, labels) =
                series.split_once('{').map_or((series, ""), |(name, rest)| (name, &rest[..rest.len() - 1]));
            Series {
                name: name.to_owned(),
                labels: matchers(labels).into_iter().map(|it| (it.label, it.value)).collect(),
            }
        })
        .collect()
}

/// One condition of a selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matcher {
    /// The label.
    pub label: String,
    /// `=`, `!=`, `=~` or `!~`.
    pub operator: String,
    /// What it is compared with.
    pub value: String,
}

impl Matcher {
    /// Whether a value fits. Of expressions it knows alternatives, `.` and `.*`.
    pub fn fits(&self, value: &str) -> bool {
        match self.operator.as_str() {
            "=" => self.value == value,
            "!=" => self.value != value,
            "=~" => self.value.split('|').any(|pattern| fits(pattern.as_bytes(), value.as_bytes())),
            _ => !self.value.split('|').any(|pattern| fits(pattern.as_bytes(), value.as_bytes())),
        }
    }
}

fn fits(pattern: &[u8], value: &[u8]) -> bool {
    match (pattern, value) {
        ([], []) => true,
        ([b'.', b'*', rest @ ..], _) => {
            fits(rest, value) || value.split_first().is_some_and(|(_, left)| fits(pattern, left))
        }
        ([b'.', rest @ ..], [_, left @ ..]) => fits(rest, left),
        ([one, rest @ ..], [other, left @ ..]) => one == other && fits(rest, left),
        _ => false,
    }
}

/// What an expression asks for: its selectors, and the labels that it groups by.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Each name with its conditions.
    pub selectors: Vec<(String, Vec<Matcher>)>,
    /// The labels of `by`, `on` and their like.
    pub groups: Vec<String>,
}

/// Reads an expression. What follows a name tells what it is: a parenthesis or `by` a function, anything else a metric.
pub fn asked(expression: &str) -> Asked {
    let mut asked = Asked::default();
    let mut rest = expression;
    while let Some(next) = rest.chars().next() {
        if next.is_ascii_alphabetic() || next == '_' {
            let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(rest.len());
            let (word, behind) = rest.split_at(end);
            let behind = behind.trim_start();
            rest = behind;
            let is_aggregation = behind.starts_with("by") || behind.starts_with("without");
            match (word, behind.chars().next()) {
                _ if is_aggregation => {}
                ("by" | "without" | "on" | "ignoring" | "group_left" | "group_right", Some('(')) => {
                    let (labels, behind) = behind[1..].split_once(')').expect("a list that ends");
                    asked.groups.extend(
                        labels.split(',').map(|label| label.trim().to_owned()).filter(|label| !label.is_empty()),
                    );
                    rest = behind;
                }
                (_, Some('(')) | ("by" | "and" | "or" | "unless" | "bool" | "offset", _) => {}
                (name, Some('{')) => {
                    let (conditions, behind) = braced(behind);
                    asked.selectors.push((name.to_owned(), matchers(conditions)));
                    rest = behind;
                }
                (name, _) => asked.selectors.push((name.to_owned(), Vec::new())),
            }
        } else if next.is_ascii_digit() {
            // A number or a duration.
            let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '.').unwrap_or(rest.len());
            rest = &rest[end..];
        } else if next == '[' {
            rest = rest.split_once(']').expect("a range that ends").1;
        } else {
            rest = &rest[next.len_utf8()..];
        }
    }
    asked
}

/// What stands between braces, and what comes behind them. A value may hold braces.
fn braced(text: &str) -> (&str, &str) {
    let mut is_quoted = false;
    let end = text.find(|letter| {
        is_quoted ^= letter == '"';
        letter == '}' && !is_quoted
    });
    let end = end.expect("braces that end");
    (&text[1..end], &text[end + 1..])
}

/// `label="value", other=~"value"`.
fn matchers(mut text: &str) -> Vec<Matcher> {
    let mut matchers = Vec::new();
    while let Some((head, rest)) = text.split_once('"') {
        let (value, rest) = rest.split_once('"').expect("a value that ends");
        let head = head.trim_matches([',', ' ', '\n']);
        let operator = head.trim_start_matches(|letter: char| letter.is_ascii_alphanumeric() || letter == '_');
        let label = head[..head.len() - operator.len()].to_owned();
        matchers.push(Matcher { label, operator: operator.trim().to_owned(), value: value.to_owned() });
        text = rest;
    }
    matchers
}
