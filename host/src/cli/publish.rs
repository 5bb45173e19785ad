//! `hallmark publish`: sends manifests to a server, each as a submission of its own.

use std::sync::Arc;

use serde_json::{Value, json};

use super::client::{self, Client, Problem};
use super::report::{self, Verdict};
use super::source::{Candidate, Unreadable};
use super::{Ended, Outcome, Output, Trouble, input, pages, show};
use crate::config::Limits;
use crate::registry::release::Kind;

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
    /// How the results are written.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// What the server did with one submission.
enum Sent {
    /// Stored, or there already.
    Stored { skipped: bool, answer: Value },
    /// Neither.
    Refused(Problem),
}

/// Reads, sends, writes, and gives the exit code.
pub fn run(arguments: &Arguments) -> Outcome {
    let client = Client::new(&arguments.client)?;
    let kinds = kinds(&client)?;
    let read = input::read(&arguments.input, &kinds, &Limits::default())?;
    if arguments.dry_run {
        let judged: Result<Vec<_>, Trouble> = read
            .candidates
            .into_iter()
            .map(|candidate| {
                Ok((judge(&client, &candidate)?, candidate)).map(|(verdict, candidate)| (candidate, verdict))
            })
            .collect();
        return Ok(report::write(arguments.output, &read.unreadable, &judged?));
    }
    let mut ended = if read.unreadable.is_empty() { Ended::Fine } else { Ended::Findings };
    let mut results = Vec::new();
    for unreadable in &read.unreadable {
        results.push(tell_unreadable(arguments.output, unreadable));
    }
    for candidate in &read.candidates {
        let sent = send(&client, candidate, arguments.draft)?;
        ended = ended.max(end_of(&sent));
        results.push(tell(arguments.output, candidate, &sent));
    }
    if arguments.output == Output::Json {
        show::out(&report::pretty(&json!({"results": results})));
    }
    Ok(ended)
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

fn judge(client: &Client, candidate: &Candidate) -> Result<Verdict, Trouble> {
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

fn send(client: &Client, candidate: &Candidate, is_draft: bool) -> Result<Sent, Trouble> {
    let status = is_draft.then(|| "draft".to_owned());
    let path = pages::path(&format!("/api/{}/publish", candidate.kind.name), &[("status", status)]);
    Ok(match client.try_post(&path, &candidate.body)? {
        Ok(answer) => Sent::Stored { skipped: answer.body["status"] == "skipped", answer: answer.body },
        // Whatever is wrong with the token is wrong with all of them.
        Err(problem) if matches!(problem.status, 401 | 403) => return Err(problem.into()),
        Err(problem) => Sent::Refused(problem),
    })
}

fn end_of(sent: &Sent) -> Ended {
    match sent {
        Sent::Stored { .. } => Ended::Fine,
        Sent::Refused(problem) if problem.is_about_what_was_sent() => Ended::Findings,
        Sent::Refused(_) => Ended::CouldNotRun,
    }
}

fn tell_unreadable(output: Output, unreadable: &Unreadable) -> Value {
    if output == Output::Text {
        show::out(&format!("{}\n", show::unreadable(&show::renderer(), unreadable)));
    }
    json!({"source": unreadable.source.name, "malformed": {"detail": unreadable.error.to_string()}})
}

fn tell(output: Output, candidate: &Candidate, sent: &Sent) -> Value {
    if output == Output::Text {
        match sent {
            Sent::Stored { skipped: true, .. } => {
                show::out(&format!("skipped {}: the same content is published already", candidate.title()));
            }
            Sent::Stored { answer, .. } => show::out(&published(candidate, answer)),
            Sent::Refused(problem) => refused(candidate, problem),
        }
    }
    let (name, value) = match sent {
        Sent::Stored { skipped: true, answer } => ("skipped", answer.clone()),
        Sent::Stored { answer, .. } => ("published", answer.clone()),
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

/// The server says which version it became: it may have counted it.
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
