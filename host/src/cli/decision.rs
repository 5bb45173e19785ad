//! `hallmark decision`: the records of the gate's runs are listed, shown, explained, run again and exported.

use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::client::{self, Client};
use super::judged::{self, Judged};
use super::pages::Paging;
use super::{Ended, Outcome, Output, Trouble, diff, explain, pages, publish, report, show};
use crate::names::{DecisionId, EntryId, KindName};
use crate::registry;
use crate::report::Finding;

/// What is done with decisions.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List decisions, newest first.
    List(ListArguments),
    /// Show one decision.
    Show(Arguments),
    /// Say which rule said what about which line.
    Explain(ExplainArguments),
    /// Run the gate again on what was sent, by the very releases that judged, and compare.
    #[command(after_help = "Exit codes: 0 the same, 1 not the same, 2 usage, 3 it cannot be told.")]
    Replay(Arguments),
    /// Write a decision as a signed statement, for `hallmark verify` and whatever else reads in-toto.
    Export(ExportArguments),
}

/// What `decision list` takes.
#[derive(Debug, clap::Args)]
pub struct ListArguments {
    /// Of this kind, as in `agents`.
    #[arg(long)]
    kind: Option<KindName>,
    /// About this entry of the kind.
    #[arg(long, requires = "kind")]
    entry: Option<EntryId>,
    /// That ended so: approved, rejected or failed.
    #[arg(long, value_enum)]
    outcome: Option<Ending>,
    /// That this release judged, as in module:agents#3.
    #[arg(long, value_name = "SCOPE#NUMBER")]
    release: Option<String>,
    /// Of submissions from this instant on, in UTC: 2026-11-20 or 2026-11-20T17:40:00Z.
    #[arg(long, value_name = "INSTANT")]
    since: Option<String>,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    client: client::Arguments,
    /// How the page is written.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// How a run of the gate ended.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Ending {
    /// It was let in.
    Approved,
    /// Findings rejected it.
    Rejected,
    /// An enforcing plugin broke.
    Failed,
}

/// What `decision explain` takes.
#[derive(Debug, clap::Args)]
pub struct ExplainArguments {
    #[command(flatten)]
    decision: Arguments,
    /// The file that was published: the lines told of are those of this file. Where it is not what was judged, that is
    /// told instead.
    #[arg(long, value_name = "FILE")]
    source: Option<PathBuf>,
}

/// What `decision show` and `replay` take.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The decision.
    id: DecisionId,
    #[command(flatten)]
    client: client::Arguments,
    /// How it is written.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// What `decision export` takes.
#[derive(Debug, clap::Args)]
pub struct ExportArguments {
    /// The decision.
    id: DecisionId,
    /// The file to write; without it, standard output.
    #[arg(long = "out", short, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    client: client::Arguments,
}

/// Asks, writes, and gives the exit code.
pub fn run(command: &Command) -> Outcome {
    match command {
        Command::List(arguments) => list(arguments),
        Command::Show(arguments) => show_one(arguments),
        Command::Explain(arguments) => explain_one(arguments),
        Command::Replay(arguments) => replay(arguments),
        Command::Export(arguments) => export(arguments),
    }
}

fn show_one(arguments: &Arguments) -> Outcome {
    let decision = Client::new(&arguments.client)?.get(&format!("/api/decisions/{}", arguments.id))?.body;
    show::out(&match arguments.output {
        Output::Text => told(&decision),
        Output::Json => report::pretty(&decision),
    });
    Ok(Ended::Fine)
}

fn list(arguments: &ListArguments) -> Outcome {
    let outcome = arguments.outcome.map(|ending| match ending {
        Ending::Approved => registry::Outcome::Approved,
        Ending::Rejected => registry::Outcome::Rejected,
        Ending::Failed => registry::Outcome::Failed,
    });
    let parameters = [
        ("kind", arguments.kind.as_ref().map(ToString::to_string)),
        ("entry", arguments.entry.as_ref().map(ToString::to_string)),
        ("outcome", outcome.map(|outcome| outcome.as_str().to_owned())),
        ("release", arguments.release.clone()),
        ("since", arguments.since.clone()),
    ];
    let parameters = [&parameters[..], &arguments.paging.parameters()].concat();
    let page = Client::new(&arguments.client)?.get(&pages::path("/api/decisions", &parameters))?.body;
    if arguments.output == Output::Json {
        show::out(&report::pretty(&page));
        return Ok(Ended::Fine);
    }
    for item in page["items"].as_array().into_iter().flatten() {
        show::out(&listed(item));
    }
    pages::tell_more(&page);
    Ok(Ended::Fine)
}

/// One decision on one line.
fn listed(item: &Value) -> String {
    let text = |field: &str| item[field].as_str().unwrap_or("-");
    let count = |field: &str, one: &str| {
        show::counted(usize::try_from(item[field].as_u64().unwrap_or(0)).unwrap_or(usize::MAX), one)
    };
    let (errors, warnings) = (count("errors", "error"), count("warnings", "warning"));
    show::plain(&format!(
        "{}  {}  {:8}  {}/{} {} by {} ({errors}, {warnings})",
        text("submittedAt"),
        text("id"),
        text("outcome"),
        text("kind"),
        text("entry"),
        text("version"),
        text("publisher"),
    ))
}

fn explain_one(ExplainArguments { decision: arguments, source }: &ExplainArguments) -> Outcome {
    let client = Client::new(&arguments.client)?;
    let mut explanation = client.get(&format!("/api/decisions/{}/explanation", arguments.id))?.body;
    let judged = match source {
        Some(path) => Some(judged::find(path, &explanation, &publish::kinds(&client)?)?),
        None => None,
    };
    if arguments.output == Output::Json {
        if let Some(Judged { candidate, note }) = &judged {
            explain::add_places(&mut explanation, candidate);
            explanation["source"] = json!({"file": candidate.source.name, "note": note});
        }
        show::out(&report::pretty(&explanation));
        return Ok(Ended::Fine);
    }
    let decision = &explanation["decision"];
    let mut lines = head(decision);
    if let Some(Judged { candidate, note }) = &judged {
        lines.push(format!("source     {}: {note}", candidate.source.name));
    }
    show::out(&format!("{}\n", lines.iter().map(|line| show::plain(line)).collect::<Vec<_>>().join("\n")));
    let findings = explain::findings(&explanation, judged.as_ref().map(|judged| &judged.candidate));
    if findings.is_empty() {
        show::out("no rule said anything");
    }
    findings.iter().for_each(|finding| show::out(&format!("{finding}\n")));
    if explanation["submission"].is_null() {
        show::out("what was sent was not kept: the decision is of the time before it was");
    }
    for failure in decision["failures"].as_array().into_iter().flatten() {
        let text = |field: &str| failure[field].as_str().unwrap_or("?");
        let observed = if failure["mode"] == "observe" { show::OBSERVES } else { "" };
        show::out(&show::plain(&format!("the binding '{}' broke: it {}{observed}", text("plugin"), text("cause"))));
    }
    Ok(Ended::Fine)
}

fn replay(arguments: &Arguments) -> Outcome {
    let path = format!("/api/decisions/{}/replay", arguments.id);
    let replay = Client::new(&arguments.client)?.post(&path, &Value::Null)?.body;
    let (text, ended) = match replay["verdict"].as_str() {
        Some("same") => ("same: every byte of the decision but its id and times came again".to_owned(), Ended::Fine),
        Some("different") => {
            let mut lines = vec!["different:".to_owned()];
            diff::changes("", &replay["recorded"], &replay["replayed"], &mut lines);
            (lines.join("\n"), Ended::Findings)
        }
        _ => {
            let reason = show::plain(replay["reason"].as_str().unwrap_or("the server does not say why"));
            (format!("it cannot be told: {reason}"), Ended::CouldNotRun)
        }
    };
    show::out(&match arguments.output {
        Output::Text => text,
        Output::Json => report::pretty(&replay),
    });
    Ok(ended)
}

fn export(arguments: &ExportArguments) -> Outcome {
    let path = format!("/api/decisions/{}/statement", arguments.id);
    let envelope = report::pretty(&Client::new(&arguments.client)?.get(&path)?.body);
    match &arguments.out {
        None => show::out(&envelope),
        Some(file) => std::fs::write(file, format!("{envelope}\n"))
            .with_context(|| format!("{} cannot be written", file.display()))
            .map_err(Trouble::CouldNotRun)?,
    }
    Ok(Ended::Fine)
}

/// What a shadow would have said.
fn beside(shadow: &Value) -> Vec<String> {
    let field = |name: &str| show::text(&shadow[name]);
    let mut lines = vec![format!(
        "beside     {} release {}: {} ({}), {} us",
        field("scope"),
        field("release"),
        field("outcome"),
        field("agreement"),
        field("micros")
    )];
    for (list, sign) in [("newFindings", '+'), ("goneFindings", '-')] {
        let findings = shadow[list].as_array().into_iter().flatten();
        let findings = findings.filter_map(|finding| serde_json::from_value::<Finding>(finding.clone()).ok());
        lines.extend(findings.map(|finding| format!("         {sign} {}", show::brief(&finding))));
    }
    for failure in shadow["failures"].as_array().into_iter().flatten() {
        let plugin = failure["plugin"].as_str().map_or_else(String::new, |plugin| format!("{plugin} "));
        lines.push(format!("         ! {plugin}{}", show::text(&failure["cause"])));
    }
    lines
}

/// What was decided about what, and by which rules.
fn head(decision: &Value) -> Vec<String> {
    let field = |name: &str| show::text(&decision[name]);
    let mut lines = vec![
        format!("{}: {}/{} {}", field("outcome"), field("kind"), field("entry"), field("version")),
        format!("decision   {}", field("id")),
        format!("publisher  {}", field("publisher")),
        format!("submitted  {} as {}", field("submittedAt"), field("submittedDigest")),
        format!("resolved   {}", field("digest")),
    ];
    for release in decision["releases"].as_array().into_iter().flatten() {
        lines.push(format!("judged by  {} release {}", show::text(&release["scope"]), show::text(&release["number"])));
    }
    lines
}

fn told(decision: &Value) -> String {
    let list = |field: &str| decision[field].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut lines = head(decision);
    for substituted in list("substituted") {
        let origins = substituted["origins"].as_array().into_iter().flatten();
        let origins: Vec<_> = origins
            .map(|origin| format!("{} ({})", show::text(&origin["name"]), show::text(&origin["source"])))
            .collect();
        lines.push(format!("replaced   {} from {}", show::text(&substituted["path"]), origins.join(", ")));
    }
    for lookup in list("lookups") {
        lines.push(format!(
            "looked up  {}/{} for {}: {}",
            show::text(&lookup["kind"]),
            show::text(&lookup["id"]),
            show::text(&lookup["plugin"]),
            lookup["found"].as_str().unwrap_or("not there")
        ));
    }
    for failure in list("failures") {
        let observed = if failure["mode"] == "observe" { show::OBSERVES } else { "" };
        lines.push(format!(
            "broke      {} {}{observed}",
            show::text(&failure["plugin"]),
            show::text(&failure["cause"])
        ));
    }
    let findings =
        list("findings").iter().filter_map(|finding| serde_json::from_value::<Finding>(finding.clone()).ok());
    lines.extend(findings.map(|finding| show::brief(&finding)));
    for observed in list("observing") {
        let field = |name: &str| show::text(&observed[name]);
        lines.push(format!(
            "observing  {} of {} release {}: {}",
            field("binding"),
            field("scope"),
            field("release"),
            field("agreement")
        ));
    }
    for shadow in list("shadows") {
        lines.extend(beside(shadow));
    }
    for timing in list("timings") {
        let plugin = timing["plugin"].as_str().map_or_else(String::new, |plugin| format!(" {plugin}"));
        lines.push(format!("took       {} us {}{plugin}", show::text(&timing["micros"]), show::text(&timing["stage"])));
    }
    lines.iter().map(|line| show::plain(line)).collect::<Vec<_>>().join("\n")
}
