//! `hallmark sync`: brings a server to what a folder says. It shows a plan, and does it where it is told to; what is so
//! already stays, so that a second run changes nothing.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::client::{self, Client};
use super::configuration::Configuration;
use super::publish::{self, SendingArguments};
use super::report::{self, FailOn, Verdict};
use super::source::Candidate;
use super::{Ended, Outcome, Output, Trouble, input, judged, pages, parallel, show};
use crate::registry::release::Versioning;

/// What `sync` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The folder of the manifests.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Also disable the entries that are gone from the folder, of the kinds that it has manifests of.
    #[arg(long)]
    prune: bool,
    /// Do what the plan says; without it the plan is shown and nothing is changed.
    #[arg(long)]
    yes: bool,
    /// Show the plan and change nothing, whatever else is said.
    #[arg(long)]
    dry_run: bool,
    /// The kind of the documents, where files hold bare documents.
    #[arg(long)]
    kind: Option<String>,
    /// Set a placeholder's value.
    #[arg(long = "var", value_name = "KEY=VALUE")]
    vars: Vec<String>,
    /// Set placeholders from a JSON or YAML file: an object of names to values.
    #[arg(long, value_name = "FILE")]
    var_file: Option<PathBuf>,
    /// Set a placeholder's value that is never shown, logged or stored.
    #[arg(long = "secret-var", value_name = "KEY=VALUE")]
    secret_vars: Vec<String>,
    #[command(flatten)]
    sending: SendingArguments,
    #[command(flatten)]
    client: client::Arguments,
    /// How the plan and what came of it are written.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// What is to be done about one manifest.
enum Step {
    /// It is there as it is.
    Unchanged,
    /// It is a new entry, or a new version in place of the one that is named.
    Publish { replaces: Option<String> },
    /// It is there with other content.
    Conflict,
    /// The gate would not let it in.
    Rejected(Verdict),
}

/// A manifest with what is to be done about it.
struct Planned {
    candidate: Candidate,
    step: Step,
}

/// An entry that is gone from the folder.
struct Gone {
    kind: String,
    id: String,
}

struct Plan {
    manifests: Vec<Planned>,
    gone: Vec<Gone>,
}

/// Plans, shows and, where it is told to, does it.
pub fn run(arguments: &Arguments, configuration: &Configuration) -> Outcome {
    let client = Client::new(&arguments.client)?;
    let kinds = publish::kinds(&client)?;
    let read = input::read(&what_to_read(arguments), &kinds, &configuration.limits(&[])?)?;
    if !read.unreadable.is_empty() {
        for unreadable in &read.unreadable {
            show::err(&format!("{}\n", show::unreadable(&show::renderer(), unreadable)));
        }
        let count = show::counted(read.unreadable.len(), "file");
        return Err(Trouble::Wrong(format!("{count} cannot be read, and nothing was changed")));
    }
    let plan = plan(arguments, &client, read.candidates)?;
    let does = arguments.yes && !arguments.dry_run;
    if arguments.output == Output::Text {
        tell(&plan);
        if !does && plan.changes() > 0 {
            show::out("nothing was changed: run it again with --yes");
        }
    }
    let mut results = Vec::new();
    let mut ended = if plan.is_in_the_way() { Ended::Findings } else { Ended::Fine };
    if does {
        let (published, sent) = publish_all(arguments, &client, &plan)?;
        ended = ended.max(published);
        results = sent;
        if arguments.prune && !plan.gone.is_empty() {
            if ended == Ended::Fine {
                results.extend(disable_all(arguments, &client, &plan.gone)?);
            } else {
                show::err("nothing was disabled, since not every manifest is published");
            }
        }
    }
    if arguments.output == Output::Json {
        show::out(&report::pretty(&json!({"plan": plan.json(), "applied": does, "results": results})));
    }
    Ok(ended)
}

fn what_to_read(arguments: &Arguments) -> input::Arguments {
    input::Arguments {
        paths: vec![arguments.dir.clone()],
        kind: arguments.kind.clone(),
        vars: arguments.vars.clone(),
        var_file: arguments.var_file.clone(),
        secret_vars: arguments.secret_vars.clone(),
        ..input::Arguments::default()
    }
}

fn plan(arguments: &Arguments, client: &Client, candidates: Vec<Candidate>) -> Result<Plan, Trouble> {
    let bar = parallel::progress(candidates.len(), "comparing");
    let steps = parallel::each(arguments.sending.jobs(), &candidates, |candidate| {
        let step = step(client, candidate);
        bar.inc(1);
        step
    });
    bar.finish_and_clear();
    let steps = steps.into_iter().collect::<Result<Vec<_>, _>>()?;
    let manifests: Vec<Planned> =
        candidates.into_iter().zip(steps).map(|(candidate, step)| Planned { candidate, step }).collect();
    let gone = if arguments.prune { gone(client, &manifests)? } else { Vec::new() };
    Ok(Plan { manifests, gone })
}

/// Asks for what may not be there.
fn look(client: &Client, path: &str) -> Result<Option<Value>, Trouble> {
    match client.try_get(path)? {
        Ok(answer) => Ok(Some(answer.body)),
        Err(problem) if problem.status == 404 => Ok(None),
        Err(problem) => Err(problem.into()),
    }
}

fn step(client: &Client, candidate: &Candidate) -> Result<Step, Trouble> {
    let kind = candidate.kind.name.as_str();
    let Some(id) = candidate.id() else { return judged_first(client, candidate, None) };
    let Some(entry) = look(client, &pages::below("/api", &[kind, id]))? else {
        return judged_first(client, candidate, None);
    };
    let current = entry["version"].as_str().unwrap_or_default().to_owned();
    let is_counted = candidate.kind.versioning == Versioning::Auto;
    let stored = match candidate.version() {
        Some(version) if !is_counted && version != current => {
            look(client, &pages::below("/api", &[kind, id, "versions", version]))?
        }
        _ => Some(entry),
    };
    let Some(stored) = stored else { return judged_first(client, candidate, Some(current)) };
    let decision = stored["decisionId"].as_str().unwrap_or_default();
    let explanation = client.get(&pages::below("/api/decisions", &[decision, "explanation"]))?.body;
    match &explanation["submission"] {
        Value::Object(sent) if judged::is_as_sent(sent, &candidate.body) => Ok(Step::Unchanged),
        _ if is_counted => judged_first(client, candidate, Some(current)),
        _ => Ok(Step::Conflict),
    }
}

/// What is to be published, unless the gate would not let it in.
fn judged_first(client: &Client, candidate: &Candidate, replaces: Option<String>) -> Result<Step, Trouble> {
    let verdict = publish::judge(client, candidate)?;
    Ok(if verdict.ended(FailOn::Error) == Ended::Fine { Step::Publish { replaces } } else { Step::Rejected(verdict) })
}

/// The entries of the folder's kinds that it has no manifest of.
fn gone(client: &Client, manifests: &[Planned]) -> Result<Vec<Gone>, Trouble> {
    let of = |planned: &Planned| planned.candidate.kind.clone();
    let mut kinds: Vec<_> = manifests.iter().map(of).collect();
    kinds.sort_by(|one, other| one.name.cmp(&other.name));
    kinds.dedup_by(|one, other| one.name == other.name);
    let mut gone = Vec::new();
    for kind in kinds {
        let of_kind = manifests.iter().filter(|planned| planned.candidate.kind.name == kind.name);
        let kept: BTreeSet<&str> = of_kind.filter_map(|planned| planned.candidate.id()).collect();
        for entry in pages::all(client, &format!("/api/{}", kind.name), &[])? {
            let id = entry[&kind.id_field].as_str().unwrap_or_default();
            if !kept.contains(id) && entry["status"] != "disabled" {
                gone.push(Gone { kind: kind.name.to_string(), id: id.to_owned() });
            }
        }
    }
    Ok(gone)
}

impl Plan {
    fn changes(&self) -> usize {
        let published = self.manifests.iter().filter(|planned| matches!(planned.step, Step::Publish { .. }));
        published.count() + self.gone.len()
    }

    fn is_in_the_way(&self) -> bool {
        self.manifests.iter().any(|planned| matches!(planned.step, Step::Conflict | Step::Rejected(_)))
    }

    fn json(&self) -> Vec<Value> {
        let manifest = |planned: &Planned| {
            let candidate = &planned.candidate;
            let mut step = json!({
                "action": planned.step.word(), "source": candidate.source.name, "kind": candidate.kind.name,
                "id": candidate.id(), "version": candidate.version(),
            });
            match &planned.step {
                Step::Publish { replaces } => step["replaces"] = json!(replaces),
                Step::Rejected(verdict) => step["findings"] = json!(verdict.findings()),
                Step::Unchanged | Step::Conflict => {}
            }
            step
        };
        let gone = |gone: &Gone| json!({"action": "disable", "kind": gone.kind, "id": gone.id});
        self.manifests.iter().map(manifest).chain(self.gone.iter().map(gone)).collect()
    }
}

impl Step {
    fn word(&self) -> &'static str {
        match self {
            Self::Unchanged => "none",
            Self::Publish { .. } => "publish",
            Self::Conflict => "conflict",
            Self::Rejected(_) => "rejected",
        }
    }
}

fn tell(plan: &Plan) {
    let mut unchanged = 0;
    let mut in_the_way = 0;
    for Planned { candidate, step } in &plan.manifests {
        let title = candidate.title();
        match step {
            Step::Unchanged => unchanged += 1,
            Step::Publish { replaces: None } => show::out(&format!("+ {title}")),
            Step::Publish { replaces: Some(version) } => show::out(&format!("~ {title}, in place of {version}")),
            Step::Conflict => {
                in_the_way += 1;
                show::out(&format!("! {title} is published with other content: give the file another version"));
            }
            Step::Rejected(verdict) => {
                in_the_way += 1;
                show::out(&format!("! {title} would be rejected:"));
                report::write_findings(&show::renderer(), candidate, verdict);
            }
        }
    }
    plan.gone.iter().for_each(|gone| show::out(&format!("- {}/{}", gone.kind, show::plain(&gone.id))));
    let published = plan.changes() - plan.gone.len();
    let mut parts = vec![format!("{published} to publish")];
    if !plan.gone.is_empty() {
        parts.push(format!("{} to disable", plan.gone.len()));
    }
    if in_the_way > 0 {
        parts.push(format!("{in_the_way} cannot be published"));
    }
    parts.push(format!("{unchanged} unchanged"));
    show::out(&format!("plan: {}", parts.join(", ")));
}

fn publish_all(arguments: &Arguments, client: &Client, plan: &Plan) -> Result<(Ended, Vec<Value>), Trouble> {
    let changed = plan.manifests.iter().filter(|planned| matches!(planned.step, Step::Publish { .. }));
    let candidates: Vec<Candidate> = changed.map(|planned| planned.candidate.clone()).collect();
    let how = publish::How { fail_on: FailOn::Error, is_draft: false };
    let (sent, trouble) = publish::send_all(client, &candidates, arguments.sending.jobs(), how);
    let done = publish::tell_each(&candidates, &sent, arguments.output == Output::Text);
    trouble.map_or(Ok(done), Err)
}

fn disable_all(arguments: &Arguments, client: &Client, gone: &[Gone]) -> Result<Vec<Value>, Trouble> {
    let reason = format!("gone from {}", arguments.dir.display());
    let mut results = Vec::new();
    for Gone { kind, id } in gone {
        let path = pages::below("/api", &[kind, id, "disable"]);
        match client.try_post(&path, &json!({"reason": reason}))? {
            Ok(_) => {
                if arguments.output == Output::Text {
                    show::out(&format!("disabled {kind}/{}: {}", show::plain(id), show::plain(&reason)));
                }
                results.push(json!({"kind": kind, "id": id, "disabled": {"reason": reason}}));
            }
            Err(problem) if problem.status == 404 => return Err(cannot_disable(kind, id, &problem.detail)),
            Err(problem) => return Err(problem.into()),
        }
    }
    Ok(results)
}

fn cannot_disable(kind: &str, id: &str, detail: &str) -> Trouble {
    let (id, detail) = (show::plain(id), show::plain(detail));
    Trouble::Refused(format!(
        "error: {kind}/{id} is not disabled, since the server knows no way to do it ({detail}): run a server that can \
         disable entries, or leave --prune out"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_cannot_disable_is_told_of() {
        let Trouble::Refused(text) = cannot_disable("agents", "a", "nothing is served at /api/agents/a/disable") else {
            panic!("it is the server that does not do its part")
        };
        assert_eq!(
            text,
            "error: agents/a is not disabled, since the server knows no way to do it (nothing is served at \
             /api/agents/a/disable): run a server that can disable entries, or leave --prune out"
        );
    }
}
