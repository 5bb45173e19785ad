//! What came of a call over many submissions: each one's findings beside its lines, the count of all, and the same
//! for programs.

use annotate_snippets::Renderer;
use serde_json::{Value, json};

use super::source::{Candidate, Unreadable};
use super::{Ended, Output, show};
use crate::registry::Report;
use crate::report::{Finding, Mode, Severity};

/// What came of one submission.
#[derive(Debug)]
pub enum Verdict {
    /// The gate ran.
    Judged(Report),
    /// It did not get as far as the gate, or the server refused it with findings.
    Refused {
        /// A sentence.
        why: String,
        /// The findings.
        findings: Vec<Finding>,
    },
    /// It could not be judged.
    Failed(String),
}

impl Verdict {
    fn findings(&self) -> &[Finding] {
        match self {
            Self::Judged(report) => &report.findings,
            Self::Refused { findings, .. } => findings,
            Self::Failed(_) => &[],
        }
    }

    fn ended(&self) -> Ended {
        match self {
            Self::Judged(report) if report.valid => Ended::Fine,
            Self::Judged(_) | Self::Refused { .. } => Ended::Findings,
            Self::Failed(_) => Ended::CouldNotRun,
        }
    }

    fn json(&self) -> (&'static str, Value) {
        match self {
            Self::Judged(report) => ("report", json!(report)),
            Self::Refused { why, findings } => ("refused", json!({"detail": why, "findings": findings})),
            Self::Failed(why) => ("failed", json!({"detail": why})),
        }
    }
}

/// Writes what came of a call that stores nothing.
pub fn write(output: Output, unreadable: &[Unreadable], judged: &[(Candidate, Verdict)]) -> Ended {
    let broken = if unreadable.is_empty() { Ended::Fine } else { Ended::Findings };
    let ended = judged.iter().map(|(_, verdict)| verdict.ended()).fold(broken, Ended::max);
    match output {
        Output::Text => text(unreadable, judged),
        Output::Json => show::out(&pretty(&document(ended, unreadable, judged))),
    }
    ended
}

/// JSON for people and programs alike.
pub fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).expect("a JSON value can be written")
}

fn document(ended: Ended, unreadable: &[Unreadable], judged: &[(Candidate, Verdict)]) -> Value {
    let malformed = unreadable.iter().map(
        |unreadable| json!({"source": unreadable.source.name, "malformed": {"detail": unreadable.error.to_string()}}),
    );
    let results = judged.iter().map(|(candidate, verdict)| {
        let mut result = json!({
            "source": candidate.source.name,
            "kind": candidate.kind.name,
            "id": candidate.id(),
            "version": candidate.version(),
        });
        let (name, value) = verdict.json();
        result[name] = value;
        result
    });
    json!({"valid": ended == Ended::Fine, "results": malformed.chain(results).collect::<Vec<_>>()})
}

fn text(unreadable: &[Unreadable], judged: &[(Candidate, Verdict)]) {
    let renderer = show::renderer();
    for unreadable in unreadable {
        show::out(&format!("{}\n", show::unreadable(&renderer, unreadable)));
    }
    for (candidate, verdict) in judged {
        write_findings(&renderer, candidate, verdict);
    }
    show::out(&summary(unreadable.len(), judged));
}

/// Writes one submission's findings beside its lines, or why it has none.
pub fn write_findings(renderer: &Renderer, candidate: &Candidate, verdict: &Verdict) {
    for finding in verdict.findings() {
        show::out(&format!("{}\n", show::finding(renderer, candidate, finding)));
    }
    match verdict {
        Verdict::Failed(why) => {
            show::out(&format!("{}: {} could not be judged: {why}\n", candidate.source.name, candidate.title()));
        }
        Verdict::Refused { why, findings } if findings.is_empty() => {
            show::out(&format!("{}: {}: {why}\n", candidate.source.name, candidate.title()));
        }
        _ => {}
    }
}

fn summary(unreadable: usize, judged: &[(Candidate, Verdict)]) -> String {
    let of = |ended| judged.iter().filter(|(_, verdict)| verdict.ended() == ended).count();
    let mut parts = vec![format!("{} valid", of(Ended::Fine)), format!("{} rejected", of(Ended::Findings))];
    if unreadable > 0 {
        parts.push(format!("{unreadable} unreadable"));
    }
    if of(Ended::CouldNotRun) > 0 {
        parts.push(format!("{} not judged", of(Ended::CouldNotRun)));
    }
    let findings = || judged.iter().flat_map(|(_, verdict)| verdict.findings());
    let weighing = |severity| {
        findings()
            .filter(|finding| {
                finding.exemption.is_none() && finding.mode == Mode::Enforce && finding.remark.severity == severity
            })
            .count()
    };
    let exempted = findings().filter(|finding| finding.exemption.is_some()).count();
    let observed = findings().filter(|finding| finding.mode == Mode::Observe).count();
    let mut found = vec![
        show::counted(weighing(Severity::Error) + unreadable, "error"),
        show::counted(weighing(Severity::Warning), "warning"),
    ];
    if observed > 0 {
        found.push(format!("{observed} observed"));
    }
    if exempted > 0 {
        found.push(format!("{exempted} exempted"));
    }
    let total = show::counted(judged.len() + unreadable, "manifest");
    format!("{total}: {} ({})", parts.join(", "), found.join(", "))
}
