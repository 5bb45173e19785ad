//! `hallmark plugin`: what a component is, and how it gets to a server.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use serde_json::json;

use super::client::{self, Client};
use super::{Ended, Outcome, Output, Trouble, report, rules, show};
use crate::plugin::{Inspection, Sandbox, Unfit};

/// What is done with plugins.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Say what a component is, what it imports and exports, and whether it can be put to work.
    Check(CheckArguments),
    /// Send a component to a server.
    Push(PushArguments),
}

/// What `plugin check` takes.
#[derive(Debug, clap::Args)]
pub struct CheckArguments {
    /// The component.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Set a limit; may be given more than once.
    #[arg(long = "limit", value_name = "NAME=VALUE")]
    limits: Vec<String>,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// What `plugin push` takes.
#[derive(Debug, clap::Args)]
pub struct PushArguments {
    /// The component.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    client: client::Arguments,
}

/// Does it, and gives the exit code.
pub fn run(command: &Command) -> Outcome {
    match command {
        Command::Check(arguments) => check(arguments),
        Command::Push(arguments) => push(arguments),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Trouble> {
    std::fs::read(file).map_err(|error| Trouble::Usage(format!("{}: {error}", file.display())))
}

fn check(arguments: &CheckArguments) -> Outcome {
    let component = read(&arguments.file)?;
    let limits = Arc::new(super::limits(&arguments.limits)?);
    let sandbox = Sandbox::start(limits, None).map_err(|why| anyhow!(why)).context("the sandbox does not start")?;
    match sandbox.inspect(&component) {
        Ok(inspection) => {
            show::out(&match arguments.output {
                Output::Text => told(&inspection),
                Output::Json => report::pretty(&json!(inspection)),
            });
            Ok(Ended::Fine)
        }
        Err(unfit) => {
            match arguments.output {
                Output::Text => show::out(&format!("{}: {}", arguments.file.display(), unfit_text(&unfit))),
                Output::Json => show::out(&report::pretty(&json!({"unfit": unfit_text(&unfit)}))),
            }
            Ok(Ended::Findings)
        }
    }
}

fn unfit_text(unfit: &Unfit) -> String {
    match unfit {
        Unfit::Broke(failure) => format!("{unfit}: {failure}"),
        unfit => unfit.to_string(),
    }
}

fn told(inspection: &Inspection) -> String {
    let description = &inspection.description;
    let stages: Vec<_> = inspection.stages.iter().map(|stage| stage.as_str()).collect();
    let mut lines = vec![
        format!("{} {}: {}", description.name, description.version, description.summary),
        format!("digest     {}", inspection.digest),
        format!("size       {} bytes", inspection.size_bytes),
        format!("contract   {}", inspection.contract),
        format!("stages     {}", stages.join(", ")),
        match &inspection.not_snapshottable {
            None => "snapshot   yes: it is configured once, and each evaluation starts from there".to_owned(),
            Some(why) => format!("snapshot   no, it is configured on each evaluation: {why}"),
        },
    ];
    for (title, names) in [("imports", &inspection.imports), ("exports", &inspection.exports)] {
        lines.push(title.to_owned());
        lines.extend(names.iter().map(|name| format!("  {name}")));
    }
    lines.push("finding codes".to_owned());
    lines.extend(description.finding_codes.iter().map(|code| format!("  {}: {}", code.code, code.summary)));
    lines.iter().map(|line| show::plain(line)).collect::<Vec<_>>().join("\n")
}

fn push(arguments: &PushArguments) -> Outcome {
    let component = read(&arguments.file)?;
    let pushed = Client::new(&arguments.client)?.send("/api/plugins", "application/wasm", &component)??;
    show::out(&rules::pushed_line(&pushed.body));
    Ok(Ended::Fine)
}
