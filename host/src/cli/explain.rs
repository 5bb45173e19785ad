//! `hallmark decision explain`: which rule said what about which line.

use serde_json::{Value, json};

use super::source::{Candidate, Source};
use super::{report, show};
use crate::config::Limits;
use crate::registry::decode::Format;
use crate::report::Finding;

/// The findings of an explanation, each beside the lines of its publisher's file, where that is at hand, or of what was
/// sent.
pub fn findings(explanation: &Value, file: Option<&Candidate>) -> Vec<String> {
    let source = source(explanation);
    let renderer = show::renderer();
    let explained = explanation["findings"].as_array().map(Vec::as_slice).unwrap_or_default();
    let told = |explained: &Value| {
        let finding: Finding = serde_json::from_value(explained.clone()).ok()?;
        let notes = notes(explained, &finding);
        if let Some(file) = file {
            return Some(show::located(&renderer, &file.source, show::span(file, &finding), &finding, &notes));
        }
        Some(match &source {
            Some(source) => {
                let path = &finding.remark.path;
                let is_of_a_name = show::is_of_a_name(&finding.remark.code);
                let span = if is_of_a_name { source.name_span(path) } else { source.span(path) };
                show::located(&renderer, source, span, &finding, &notes)
            }
            None => {
                let notes = notes.iter().map(|note| format!("\n  {}", show::plain(note)));
                format!("{}{}", show::brief(&finding), notes.collect::<String>())
            }
        })
    };
    explained.iter().filter_map(told).collect()
}

/// Adds to each finding where it is in its publisher's file.
pub fn add_places(explanation: &mut Value, file: &Candidate) {
    for explained in explanation["findings"].as_array_mut().into_iter().flatten() {
        let Ok(finding) = serde_json::from_value::<Finding>(explained.clone()) else { continue };
        let Some(span) = show::span(file, &finding) else { continue };
        let (line, column) = file.source.line_and_column(span.start);
        explained["place"] = json!({"file": file.source.name, "line": line, "column": column});
    }
}

/// What was sent, as lines; none where it was not kept.
fn source(explanation: &Value) -> Option<Source> {
    let submission = &explanation["submission"];
    if submission.is_null() {
        return None;
    }
    let text = report::pretty(submission);
    let limits = Limits { document_size_max_bytes: text.len(), ..Limits::default() };
    let name = format!("decision {}", explanation["decision"]["id"].as_str().unwrap_or_default());
    Source::read(name, text.as_bytes(), Format::Json, &limits).ok().map(|(source, _)| source)
}

/// Who said it, and what the plugin says of its code.
fn notes(explained: &Value, finding: &Finding) -> Vec<String> {
    let release = &explained["release"];
    let rule = match &finding.plugin {
        Some(binding) => format!("by the binding '{binding}'"),
        None => "by hallmark itself".to_owned(),
    };
    let release = if release.is_null() {
        String::new()
    } else {
        format!(" of {} release {}", show::text(&release["scope"]), release["number"])
    };
    let place = show::place(&finding.remark.path);
    let observed = show::observed(finding);
    let mut notes = vec![format!("{rule}{release} ({}), at {place}{observed}", finding.stage.as_str())];
    if let Some(exempted) = &finding.exemption {
        notes.push(format!("passed by exemption {}: {}", exempted.id, exempted.reason));
    }
    let by = &explained["by"];
    if !by.is_null() {
        notes.push(format!(
            "plugin {} {} ({})",
            show::text(&by["name"]),
            show::text(&by["version"]),
            show::text(&by["digest"])
        ));
    }
    let documentation = &explained["documentation"];
    if !documentation.is_null() {
        notes.push(format!("{}: {}", finding.remark.code, show::text(&documentation["summary"])));
        notes.extend(documentation["help"].as_str().filter(|help| !help.is_empty()).map(str::to_owned));
    }
    notes
}
