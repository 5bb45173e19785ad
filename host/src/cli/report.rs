//! What came of a call over many submissions: each one's findings beside its lines, the count of all, and the same
//! for programs.

pub mod cases;

mod github;
mod junit;
mod sarif;

use annotate_snippets::Renderer;
use clap::ValueEnum;
use serde_json::{Value, json};

use super::source::{Candidate, Unreadable};
use super::{Ended, show};
use crate::registry::Report;
use crate::report::{Finding, Mode, Severity};

/// How what came of manifests is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people: each finding beside its lines.
    #[default]
    Text,
    /// For programs: one JSON document.
    Json,
    /// SARIF 2.1.0, which code hosts show beside the lines.
    Sarif,
    /// JUnit's XML, which most CI shows as tests.
    Junit,
    /// Workflow commands, which GitHub Actions shows beside the lines of a pull request.
    Github,
}

/// The lightest findings that fail a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum FailOn {
    /// Errors alone.
    #[default]
    Error,
    /// Warnings too.
    Warning,
    /// Every finding.
    Info,
}

impl FailOn {
    /// Whether a finding fails the call. One that decides nothing does not, whatever its weight.
    pub fn includes(self, finding: &Finding) -> bool {
        let lightest = match self {
            Self::Error => Severity::Error,
            Self::Warning => Severity::Warning,
            Self::Info => Severity::Info,
        };
        finding.mode == Mode::Enforce && finding.exemption.is_none() && finding.remark.severity <= lightest
    }

    /// As the flag says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// How results are written, and what fails the call.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct Options {
    /// How the results are written.
    #[arg(long, value_enum, default_value_t)]
    pub output: Format,
    /// The lightest findings that fail the call; a manifest that has one is not published.
    #[arg(long, value_enum, default_value_t, value_name = "SEVERITY")]
    pub fail_on: FailOn,
}

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
    /// What was found.
    pub fn findings(&self) -> &[Finding] {
        match self {
            Self::Judged(report) => &report.findings,
            Self::Refused { findings, .. } => findings,
            Self::Failed(_) => &[],
        }
    }

    /// How a call ends that judged only this.
    pub fn ended(&self, fail_on: FailOn) -> Ended {
        match self {
            Self::Judged(report) if report.valid && !report.findings.iter().any(|one| fail_on.includes(one)) => {
                Ended::Fine
            }
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
pub fn write(options: Options, unreadable: &[Unreadable], judged: &[(Candidate, Verdict)]) -> Ended {
    let Options { output, fail_on } = options;
    let broken = if unreadable.is_empty() { Ended::Fine } else { Ended::Findings };
    let ended = judged.iter().map(|(_, verdict)| verdict.ended(fail_on)).fold(broken, Ended::max);
    match output {
        Format::Text => text(fail_on, unreadable, judged),
        Format::Json => show::out(&pretty(&document(ended, unreadable, judged))),
        Format::Sarif | Format::Junit | Format::Github => {
            let judged = judged.iter().map(|(candidate, verdict)| cases::of(candidate, verdict, fail_on));
            write_cases(output, unreadable.iter().map(cases::of_unreadable).chain(judged).collect());
        }
    }
    ended
}

/// Writes cases in one of the forms of other programs.
pub fn write_cases(output: Format, cases: Vec<cases::Case>) {
    match output {
        Format::Sarif => show::out(&pretty(&sarif::of(&cases))),
        Format::Junit => show::out(junit::of(&cases).trim_end()),
        Format::Github => github::lines(&cases).iter().for_each(|line| show::out(line)),
        Format::Text | Format::Json => {}
    }
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

fn text(fail_on: FailOn, unreadable: &[Unreadable], judged: &[(Candidate, Verdict)]) {
    let renderer = show::renderer();
    for unreadable in unreadable {
        show::out(&format!("{}\n", show::unreadable(&renderer, unreadable)));
    }
    for (candidate, verdict) in judged {
        write_findings(&renderer, candidate, verdict);
    }
    show::out(&summary(fail_on, unreadable.len(), judged));
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

fn summary(fail_on: FailOn, unreadable: usize, judged: &[(Candidate, Verdict)]) -> String {
    let of = |ended| judged.iter().filter(|(_, verdict)| verdict.ended(fail_on) == ended).count();
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
