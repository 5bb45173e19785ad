//! The command line. One file per subcommand; each reads its arguments, asks the registry or a server, and says what
//! came of it. `serve` alone names every room. Exit codes: 0 fine, 1 findings, 2 usage, 3 could not run.

pub mod build;
pub mod folder;

mod access;
mod activate;
mod audit;
mod client;
mod decision;
mod diff;
mod exemptions;
mod explain;
mod facts;
mod freeze;
mod get;
mod impact;
mod input;
mod judged;
mod keys;
mod list;
mod migrate;
mod pages;
mod plugin;
mod publish;
mod releases;
mod report;
mod rollback;
mod rules;
mod sampling;
mod serve;
mod shadow;
mod show;
mod source;
mod token;
mod trust_publisher;
mod validate;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::config::Limits;

/// A registry with a gate: manifests are judged by sandboxed WebAssembly plugins before they are stored.
#[derive(Debug, Parser)]
#[command(name = "hallmark", version, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 fine, 1 findings, 2 usage, 3 could not run.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a server.
    Serve(serve::Arguments),
    /// Bring a database's schema to what this version needs.
    Migrate(migrate::Arguments),
    /// Judge manifests here, with the very pipeline that the server runs, and store nothing.
    Validate(validate::Arguments),
    /// Publish manifests to a server.
    Publish(publish::Arguments),
    /// Make an earlier version of an entry the active one.
    Rollback(rollback::Arguments),
    /// Show an entry, or one of its versions.
    Get(get::Arguments),
    /// List the entries of a kind.
    List(list::Arguments),
    /// A module's rules.
    #[command(subcommand)]
    Module(rules::ModuleCommand),
    /// The tenant's policies.
    #[command(subcommand)]
    Policy(rules::PolicyCommand),
    /// Plugins.
    #[command(subcommand)]
    Plugin(plugin::Command),
    /// Who may ask a server for what.
    #[command(subcommand)]
    Token(token::Command),
    /// Who may publish by an issuer's tokens.
    #[command(subcommand)]
    TrustPublisher(trust_publisher::Command),
    /// The audit log.
    #[command(subcommand)]
    Audit(audit::Command),
    /// The records of what the gate did.
    #[command(subcommand)]
    Decision(decision::Command),
    /// Check what a decision's statement attests, without a server.
    Verify(verify::Arguments),
}

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON document.
    Json,
}

/// How a command ended that ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ended {
    Fine,
    Findings,
    CouldNotRun,
}

/// Why a command did not run to its end.
#[derive(Debug)]
enum Trouble {
    /// The command line asks for what cannot be; the text says what to write instead.
    Usage(String),
    /// Something that the command needs is wrong, as findings are: a rules folder, say.
    Wrong(String),
    /// The server does not do its part, or not for this caller.
    Refused(String),
    /// Something that the command needs is not there.
    CouldNotRun(anyhow::Error),
}

impl From<anyhow::Error> for Trouble {
    fn from(error: anyhow::Error) -> Self {
        Self::CouldNotRun(error)
    }
}

type Outcome = Result<Ended, Trouble>;

/// Runs the process's command line.
pub fn run() -> ExitCode {
    let ended = match Arguments::parse().command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Migrate(arguments) => migrate::run(&arguments),
        Command::Validate(arguments) => validate::run(&arguments),
        Command::Publish(arguments) => publish::run(&arguments),
        Command::Rollback(arguments) => rollback::run(&arguments),
        Command::Get(arguments) => get::run(&arguments),
        Command::List(arguments) => list::run(&arguments),
        Command::Module(command) => rules::run_module(&command),
        Command::Policy(command) => rules::run_policies(&command),
        Command::Plugin(command) => plugin::run(&command),
        Command::Token(command) => token::run(&command),
        Command::TrustPublisher(command) => trust_publisher::run(&command),
        Command::Audit(command) => audit::run(&command),
        Command::Decision(command) => decision::run(&command),
        Command::Verify(arguments) => verify::run(&arguments),
    };
    match ended {
        Ok(Ended::Fine) => ExitCode::SUCCESS,
        Ok(Ended::Findings) => ExitCode::from(1),
        Ok(Ended::CouldNotRun) => ExitCode::from(3),
        Err(trouble) => tell(&trouble),
    }
}

fn tell(trouble: &Trouble) -> ExitCode {
    match trouble {
        Trouble::Usage(message) => {
            show::err(&format!("error: {message}"));
            ExitCode::from(2)
        }
        Trouble::Wrong(message) => {
            show::err(message);
            ExitCode::from(1)
        }
        Trouble::Refused(message) => {
            show::err(message);
            ExitCode::from(3)
        }
        Trouble::CouldNotRun(error) => {
            show::err(&format!("error: {error:#}"));
            ExitCode::from(3)
        }
    }
}

/// The limits with what `--limit` set.
fn limits(assignments: &[String]) -> Result<Limits, Trouble> {
    let mut limits = Limits::default();
    for assignment in assignments {
        limits.set(assignment).map_err(|message| Trouble::Usage(format!("--limit: {message}")))?;
    }
    Ok(limits)
}
