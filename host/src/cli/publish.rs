//! `hallmark publish`: sends manifests to a server, each as a submission of its own, several at once.

mod sending;

use std::sync::Arc;

use serde_json::{Value, json};

use super::client::{self, Client, Problem};
use super::configuration::Configuration;
use super::report::cases::{self, Case};
use super::report::{self, FailOn, Format, Verdict};
use super::source::{Candidate, Unreadable};
use super::{Ended, Outcome, Trouble, input, pages, parallel, show};
use crate::registry::release::Kind;
use crate::report::Finding;
pub use sending::{How, Sent, send_all};

/// What `publish` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    input: input::Arguments,
    #[command(flatten)]
    client: client::Arguments,
    /// Have the server judge the manifests and store nothing.
    #[arg(long)]
    dry_run: bool,
    /// Begin entries that are new as drafts, which lists leave out until they are activated.
    #[arg(long)]
    draft: bool,
    #[command(flatten)]
    sending: SendingArguments,
    #[command(flatten)]
    report: report::Options,
}

/// How much is sent at once.
#[derive(Debug, clap::Args)]
pub struct SendingArguments {
    /// Manifests that are sent at once.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
}

impl SendingArguments {
    /// Manifests that are sent at once.
    pub fn jobs(&self) -> usize {
        usize::from(self.jobs)
    }
}

/// Reads, sends, writes, and gives the exit code.
pub fn run(arguments: &Arguments, configuration: &Configuration) -> Outcome {
    let client = Client::new(&arguments.client)?;
    let kinds = kinds(&client)?;
    let read = input::read(&arguments.input, &kinds, &configuration.limits(&[])?)?;
    let jobs = arguments.sending.jobs();
    if arguments.dry_run {
        let bar = parallel::progress(read.candidates.len(), "judging");
        let verdicts = parallel::each(jobs, &read.candidates, |candidate| {
            let verdict = judge(&client, candidate);
            bar.inc(1);
            verdict
        });
        bar.finish_and_clear();
        let verdicts = verdicts.into_iter().collect::<Result<Vec<_>, _>>()?;
        let judged: Vec<_> = read.candidates.into_iter().zip(verdicts).collect();
        return Ok(report::write(arguments.report, &read.unreadable, &judged));
    }
    let options = arguments.report;
    let how = How { fail_on: options.fail_on, is_draft: arguments.draft };
    let (sent, trouble) = send_all(&client, &read.candidates, jobs, how);
    let ended = tell_all(options, &read.unreadable, &read.candidates, &sent);
    // What was stored before something went wrong for all of them is told first.
    trouble.map_or(Ok(ended), Err)
}

/// Tells what came of each, in their order; those that were never sent are left out.
pub fn tell_all(
    report::Options { output, fail_on }: report::Options,
    unreadable: &[Unreadable],
    candidates: &[Candidate],
    sent: &[Option<Sent>],
) -> Ended {
    let done = || candidates.iter().zip(sent).filter_map(|(candidate, sent)| Some((candidate, sent.as_ref()?)));
    let broken = if unreadable.is_empty() { Ended::Fine } else { Ended::Findings };
    match output {
        Format::Text => {
            for unreadable in unreadable {
                show::out(&format!("{}\n", show::unreadable(&show::renderer(), unreadable)));
            }
            done().for_each(|(candidate, sent)| tell(candidate, sent, fail_on));
        }
        Format::Json => {
            let malformed = unreadable.iter().map(|unreadable| {
                json!({"source": unreadable.source.name, "malformed": {"detail": unreadable.error.to_string()}})
            });
            let results: Vec<Value> =
                malformed.chain(done().map(|(candidate, sent)| document(candidate, sent))).collect();
            show::out(&report::pretty(&json!({"results": results})));
        }
        Format::Sarif | Format::Junit | Format::Github => {
            let told = done().map(|(candidate, sent)| case(candidate, sent, fail_on));
            report::write_cases(output, unreadable.iter().map(cases::of_unreadable).chain(told).collect());
        }
    }
    done().map(|(_, sent)| end_of(sent)).fold(broken, Ended::max)
}

/// Every kind that the server's active modules declare.
///
/// # Errors
/// The server cannot be asked, or tells a problem.
pub fn kinds(client: &Client) -> Result<Vec<Arc<Kind>>, Trouble> {
    let mut kinds: Vec<Arc<Kind>> = Vec::new();
    for name in module_names(client)? {
        let mut module = client.get(&format!("/api/modules/{name}"))?.body;
        let declared: Vec<Kind> = serde_json::from_value(module["rules"]["kinds"].take()).unwrap_or_default();
        kinds.extend(declared.into_iter().map(Arc::new));
    }
    kinds.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(kinds)
}

/// The names of every active module.
fn module_names(client: &Client) -> Result<Vec<String>, Trouble> {
    let modules = pages::all(client, "/api/modules", &[])?;
    Ok(modules.iter().filter_map(|module| module["name"].as_str().map(str::to_owned)).collect())
}

/// Has the server judge one and store nothing.
///
/// # Errors
/// The server cannot be asked.
pub fn judge(client: &Client, candidate: &Candidate) -> Result<Verdict, Trouble> {
    let path = format!("/api/{}/validate", candidate.kind.name);
    Ok(match client.try_post(&path, &candidate.body)? {
        Ok(answer) => match serde_json::from_value(answer.body) {
            Ok(report) => Verdict::Judged(report),
            Err(error) => Verdict::Failed(format!("the server's report cannot be read: {error}")),
        },
        Err(problem) if problem.is_about_what_was_sent() => {
            Verdict::Refused { why: problem.detail.clone(), findings: problem.findings() }
        }
        Err(problem) => Verdict::Failed(problem.text()),
    })
}

/// Tells what came of each for people, where they are to be told, and gives it for programs.
pub fn tell_each(candidates: &[Candidate], sent: &[Option<Sent>], in_words: bool) -> (Ended, Vec<Value>) {
    let done = || candidates.iter().zip(sent).filter_map(|(candidate, sent)| Some((candidate, sent.as_ref()?)));
    if in_words {
        done().for_each(|(candidate, sent)| tell(candidate, sent, FailOn::Error));
    }
    let ended = done().map(|(_, sent)| end_of(sent)).fold(Ended::Fine, Ended::max);
    (ended, done().map(|(candidate, sent)| document(candidate, sent)).collect())
}

fn end_of(sent: &Sent) -> Ended {
    match sent {
        Sent::Stored { .. } => Ended::Fine,
        Sent::Held(_) => Ended::Findings,
        Sent::Refused(problem) if problem.is_about_what_was_sent() => Ended::Findings,
        Sent::Refused(_) => Ended::CouldNotRun,
    }
}

fn tell(candidate: &Candidate, sent: &Sent, fail_on: FailOn) {
    match sent {
        Sent::Stored { skipped: true, .. } => {
            show::out(&format!("skipped {}: the same content is published already", candidate.title()));
        }
        Sent::Stored { answer, .. } => {
            show::out(&published(candidate, answer));
            // What was let pass is told: nobody who publishes may take it for what is right.
            let passed = findings_of(answer).into_iter().filter(|finding| finding.exemption.is_some());
            passed.for_each(|finding| show::out(&format!("  {}", show::brief(&finding))));
        }
        Sent::Held(findings) => {
            let why = format!("a finding is as heavy as --fail-on {}", fail_on.as_str());
            let verdict = Verdict::Refused { why: why.clone(), findings: findings.clone() };
            report::write_findings(&show::renderer(), candidate, &verdict);
            show::out(&format!("not published {}: {why}", candidate.title()));
        }
        Sent::Refused(problem) => refused(candidate, problem),
    }
}

fn document(candidate: &Candidate, sent: &Sent) -> Value {
    let (name, value) = match sent {
        Sent::Stored { skipped: true, answer } => ("skipped", answer.clone()),
        Sent::Stored { answer, .. } => ("published", answer.clone()),
        Sent::Held(findings) => ("held", json!({"findings": findings})),
        Sent::Refused(problem) => (
            "refused",
            json!({
                "code": problem.code, "detail": problem.detail, "correlationId": problem.correlation_id,
                "decisionId": problem.decision_id, "findings": problem.findings(),
            }),
        ),
    };
    let mut result = json!({"source": candidate.source.name, "kind": candidate.kind.name, "id": candidate.id()});
    result[name] = value;
    result
}

fn case(candidate: &Candidate, sent: &Sent, fail_on: FailOn) -> Case {
    let of = |findings: &[Finding]| {
        findings.iter().map(|finding| cases::of_finding(candidate, finding, fail_on)).collect::<Vec<_>>()
    };
    let told = match sent {
        Sent::Stored { answer, .. } => of(&findings_of(answer)),
        Sent::Held(findings) => of(findings),
        Sent::Refused(problem) if problem.findings().is_empty() => vec![cases::bare(&problem.code, &problem.detail)],
        Sent::Refused(problem) => of(&problem.findings()),
    };
    Case { file: candidate.source.name.clone(), title: candidate.title(), ended: end_of(sent), told }
}

/// The server says which version it became: it may have counted it.
fn findings_of(answer: &Value) -> Vec<Finding> {
    serde_json::from_value(answer["decision"]["findings"].clone()).unwrap_or_default()
}

fn published(candidate: &Candidate, answer: &Value) -> String {
    let version = answer[&candidate.kind.singular]["version"].as_str().or(candidate.version()).unwrap_or("?");
    let id = candidate.id().unwrap_or("?");
    let decision = answer["decision"]["id"].as_str().unwrap_or("?");
    format!("published {}/{id} {version} (decision {decision})", candidate.kind.name)
}

fn refused(candidate: &Candidate, problem: &Problem) {
    let findings = problem.findings();
    if findings.is_empty() {
        show::out(&format!("{}: {} is not published", candidate.source.name, candidate.title()));
        show::out(&format!("{}\n", problem.text()));
        return;
    }
    let verdict = Verdict::Refused { why: problem.detail.clone(), findings };
    report::write_findings(&show::renderer(), candidate, &verdict);
    let decision = problem.decision_id.as_ref().map_or_else(String::new, |id| format!("decision {id}, "));
    show::out(&format!(
        "rejected {}: {} ({decision}correlation id {})",
        candidate.title(),
        show::plain(&problem.detail),
        show::plain(&problem.correlation_id)
    ));
}
