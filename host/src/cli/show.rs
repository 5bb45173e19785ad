//! What people read on a terminal: findings beside the lines they are about, and the count of them. The same input
//! gives the same text, so that it can be compared and tested.

use std::io::{IsTerminal, Write};
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::Value;

use super::source::{Candidate, Source, Unreadable};
use crate::registry::decode::DecodeError;
use crate::report::{Exempted, Finding, Mode, Severity};

/// What is said of a binding whose findings decide nothing.
pub const OBSERVES: &str = "; it observes, and does not decide";

/// Writes a line to standard output. A reader that went away is no error of ours.
pub fn out(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Writes bytes to standard output as they are.
pub fn raw(bytes: &[u8]) {
    let _ = std::io::stdout().lock().write_all(bytes);
}

/// Writes a line to standard error.
pub fn err(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Colours where standard output is a terminal and `NO_COLOR` is not set.
pub fn renderer() -> Renderer {
    let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if colours { Renderer::styled() } else { Renderer::plain() }
}

/// A finding with the lines it is about.
pub fn finding(renderer: &Renderer, candidate: &Candidate, finding: &Finding) -> String {
    let remark = &finding.remark;
    let who = finding.plugin.as_deref().unwrap_or("hallmark");
    let (observed, exempted) = (observed(finding), exempted(finding));
    let whose = format!("by {who} ({}), at {}{observed}{exempted}", finding.stage.as_str(), place(&remark.path));
    located(renderer, &candidate.source, span(candidate, finding), finding, &[whose])
}

/// The bytes of the file that a finding is about.
pub fn span(candidate: &Candidate, finding: &Finding) -> Option<Range<usize>> {
    let (path, code) = (&finding.remark.path, &finding.remark.code);
    if is_of_a_name(code) { candidate.name_span(path) } else { candidate.span(path) }
}

/// A finding with the lines of a source that it is about, and what there is to know of it.
pub fn located(
    renderer: &Renderer,
    source: &Source,
    span: Option<Range<usize>>,
    finding: &Finding,
    notes: &[String],
) -> String {
    let remark = &finding.remark;
    let level = match remark.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Info => Level::INFO,
    };
    render(renderer, &level, &remark.code, &remark.message, source, span, notes, remark.help.as_deref())
}

/// Whether findings of this code are about a member's name rather than its value.
pub fn is_of_a_name(code: &str) -> bool {
    matches!(code, "schema.additional-properties" | "schema.unevaluated-properties")
}

/// A finding on one line, where its document is not at hand.
pub fn brief(finding: &Finding) -> String {
    let remark = &finding.remark;
    let severity = match remark.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "info",
    };
    let who = finding.plugin.as_deref().unwrap_or("hallmark");
    let notes = [observed(finding).to_owned(), exempted(finding)].concat();
    let text = format!("{severity}[{}] {}: {} ({who}{notes})", remark.code, place(&remark.path), remark.message);
    plain(&text)
}

/// Whether a finding decides nothing.
pub fn observed(finding: &Finding) -> &'static str {
    if finding.mode == Mode::Observe { OBSERVES } else { "" }
}

/// What lets a finding pass.
fn exempted(finding: &Finding) -> String {
    let exempted = finding.exemption.as_ref();
    exempted.map_or_else(String::new, |Exempted { id, reason }| format!("; passed by exemption {id}: {reason}"))
}

/// A file that cannot be decoded, with the place.
pub fn unreadable(renderer: &Renderer, unreadable: &Unreadable) -> String {
    let source = &unreadable.source;
    let (message, span) = match &unreadable.error {
        DecodeError::Malformed(malformed) => (malformed.message.clone(), Some(source.span_of(malformed))),
        error @ DecodeError::TooLarge { .. } => (error.to_string(), None),
    };
    render(renderer, &Level::ERROR, "malformed", &message, source, span, &[], None)
}

/// Where a finding is.
pub fn place(path: &str) -> &str {
    if path.is_empty() { "the whole submission" } else { path }
}

#[expect(clippy::too_many_arguments, reason = "the parts of one message, in the order in which they are shown")]
fn render(
    renderer: &Renderer,
    level: &Level<'_>,
    code: &str,
    message: &str,
    source: &Source,
    span: Option<Range<usize>>,
    notes: &[String],
    help: Option<&str>,
) -> String {
    let (message, help) = (plain(message), help.map(plain));
    let mut group = Group::with_title(level.clone().primary_title(message).id(plain(code)));
    group = match span {
        Some(span) => group.element(
            Snippet::source(source.text.as_str())
                .path(source.name.as_str())
                .annotation(AnnotationKind::Primary.span(span)),
        ),
        None => group.element(annotate_snippets::Origin::path(source.name.as_str())),
    };
    group = group.elements(notes.iter().map(|note| Level::NOTE.message(plain(note))));
    group = group.elements(help.map(|help| Level::HELP.message(help)));
    renderer.render(&[group])
}

/// Text from elsewhere without the control characters that could redraw a terminal.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// A value of an answer; `-` where there is none.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

/// `1 manifest`, `2 manifests`.
pub fn counted(count: usize, one: &str) -> String {
    match (count, one.strip_suffix('y')) {
        (1, _) => format!("1 {one}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        (_, None) => format!("{count} {one}s"),
    }
}
