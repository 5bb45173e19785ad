//! `hallmark decision show`: the record of one run of the gate.

use serde_json::Value;

use super::client::{self, Client};
use super::{Ended, Outcome, Output, report, show};
use crate::names::DecisionId;
use crate::report::Finding;

/// What is done with decisions.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Show one decision.
    Show(Arguments),
}

/// What `decision show` takes.
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

/// Asks, writes, and gives the exit code.
pub fn run(command: &Command) -> Outcome {
    let Command::Show(arguments) = command;
    let decision = Client::new(&arguments.client)?.get(&format!("/api/decisions/{}", arguments.id))?.body;
    show::out(&match arguments.output {
        Output::Text => told(&decision),
        Output::Json => report::pretty(&decision),
    });
    Ok(Ended::Fine)
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

/// What a shadow would have said.
fn beside(shadow: &Value) -> Vec<String> {
    let field = |name: &str| text(&shadow[name]);
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
        lines.push(format!("         ! {plugin}{}", text(&failure["cause"])));
    }
    lines
}

fn told(decision: &Value) -> String {
    let list = |field: &str| decision[field].as_array().map(Vec::as_slice).unwrap_or_default();
    let field = |name: &str| text(&decision[name]);
    let mut lines = vec![
        format!("{}: {}/{} {}", field("outcome"), field("kind"), field("entry"), field("version")),
        format!("decision   {}", field("id")),
        format!("publisher  {}", field("publisher")),
        format!("submitted  {} as {}", field("submittedAt"), field("submittedDigest")),
        format!("resolved   {}", field("digest")),
    ];
    for release in list("releases") {
        lines.push(format!("judged by  {} release {}", text(&release["scope"]), text(&release["number"])));
    }
    for substituted in list("substituted") {
        let origins = substituted["origins"].as_array().into_iter().flatten();
        let origins: Vec<_> =
            origins.map(|origin| format!("{} ({})", text(&origin["name"]), text(&origin["source"]))).collect();
        lines.push(format!("replaced   {} from {}", text(&substituted["path"]), origins.join(", ")));
    }
    for lookup in list("lookups") {
        lines.push(format!(
            "looked up  {}/{} for {}: {}",
            text(&lookup["kind"]),
            text(&lookup["id"]),
            text(&lookup["plugin"]),
            lookup["found"].as_str().unwrap_or("not there")
        ));
    }
    for failure in list("failures") {
        lines.push(format!("broke      {} {}", text(&failure["plugin"]), text(&failure["cause"])));
    }
    let findings =
        list("findings").iter().filter_map(|finding| serde_json::from_value::<Finding>(finding.clone()).ok());
    lines.extend(findings.map(|finding| show::brief(&finding)));
    for shadow in list("shadows") {
        lines.extend(beside(shadow));
    }
    for timing in list("timings") {
        let plugin = timing["plugin"].as_str().map_or_else(String::new, |plugin| format!(" {plugin}"));
        lines.push(format!("took       {} us {}{plugin}", text(&timing["micros"]), text(&timing["stage"])));
    }
    lines.iter().map(|line| show::plain(line)).collect::<Vec<_>>().join("\n")
}
