//! What came of each manifest in the one shape that every form for other programs is made of: the rule's code, its weight
//! and its exact place in the file.

use std::ops::Range;

use super::{FailOn, Verdict};
use crate::cli::source::{Candidate, Source, Unreadable};
use crate::cli::{Ended, show};
use crate::registry::decode::DecodeError;
use crate::report::{Finding, Severity};

/// The code of a file that cannot be decoded.
pub const MALFORMED: &str = "malformed";
/// The code of a submission that could not be judged.
const NOT_JUDGED: &str = "not-judged";
/// The code of one that was refused before the gate.
const REFUSED: &str = "refused";

/// Lines and columns, from 1, in characters; the end is the first place after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The first line.
    pub line: usize,
    /// The first column.
    pub column: usize,
    /// The last line.
    pub end_line: usize,
    /// The column after the last.
    pub end_column: usize,
}

/// One thing that is said of a manifest.
#[derive(Debug, Clone)]
pub struct Told {
    /// The rule.
    pub code: String,
    /// How much it weighs.
    pub severity: Severity,
    /// Whether it fails the call.
    pub fails: bool,
    /// Whether it decides: it neither observes nor is exempted.
    pub decides: bool,
    /// What is wrong.
    pub message: String,
    /// What to change.
    pub help: Option<String>,
    /// Who says so.
    pub who: String,
    /// JSON Pointer into the submission.
    pub path: String,
    /// Where in the file.
    pub place: Option<Place>,
}

/// What came of one manifest.
#[derive(Debug, Clone)]
pub struct Case {
    /// The file.
    pub file: String,
    /// `agents/planner 1.2.0`; the file where it is not known.
    pub title: String,
    /// How it ended.
    pub ended: Ended,
    /// What is said of it.
    pub told: Vec<Told>,
}

/// A judged manifest.
pub fn of(candidate: &Candidate, verdict: &Verdict, fail_on: FailOn) -> Case {
    let mut case = Case {
        file: candidate.source.name.clone(),
        title: candidate.title(),
        ended: verdict.ended(fail_on),
        told: verdict.findings().iter().map(|finding| of_finding(candidate, finding, fail_on)).collect(),
    };
    match verdict {
        Verdict::Failed(why) => case.told.push(bare(NOT_JUDGED, why)),
        Verdict::Refused { why, findings } if findings.is_empty() => case.told.push(bare(REFUSED, why)),
        _ => {}
    }
    case
}

/// A finding of a manifest.
pub fn of_finding(candidate: &Candidate, finding: &Finding, fail_on: FailOn) -> Told {
    let remark = &finding.remark;
    let decides = show::observed(finding).is_empty() && finding.exemption.is_none();
    Told {
        code: remark.code.clone(),
        severity: remark.severity,
        fails: fail_on.includes(finding),
        decides,
        message: remark.message.clone(),
        help: remark.help.clone(),
        who: format!("{} ({})", finding.plugin.as_deref().unwrap_or("hallmark"), finding.stage.as_str()),
        path: remark.path.clone(),
        place: show::span(candidate, finding).map(|span| place(&candidate.source, &span)),
    }
}

/// A file that cannot be decoded.
pub fn of_unreadable(unreadable: &Unreadable) -> Case {
    let source = &unreadable.source;
    let (message, place) = match &unreadable.error {
        DecodeError::Malformed(malformed) => {
            (malformed.message.clone(), Some(place(source, &source.span_of(malformed))))
        }
        error @ DecodeError::TooLarge { .. } => (error.to_string(), None),
    };
    Case {
        file: source.name.clone(),
        title: source.name.clone(),
        ended: Ended::Findings,
        told: vec![Told { place, ..bare(MALFORMED, &message) }],
    }
}

/// What is said with no more than a code.
pub fn bare(code: &str, message: &str) -> Told {
    Told {
        code: code.to_owned(),
        severity: Severity::Error,
        fails: true,
        decides: true,
        message: message.to_owned(),
        help: None,
        who: "hallmark".to_owned(),
        path: String::new(),
        place: None,
    }
}

fn place(source: &Source, span: &Range<usize>) -> Place {
    let (line, column) = source.line_and_column(span.start);
    let (end_line, end_column) = source.line_and_column(span.end);
    Place { line, column, end_line, end_column }
}
