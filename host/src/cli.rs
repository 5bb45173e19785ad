//! The command line. One file per subcommand; each reads its arguments, asks the registry or a server, and says what
//! came of it. `serve` alone names every room. Exit codes: 0 fine, 1 findings, 2 usage, 3 could not run.

pub mod build;
mod configuration;
pub mod folder;

mod access;
mod activate;
mod audit;
mod backup;
mod certificate;
mod client;
mod compare;
mod completions;
mod config;
mod database;
mod decision;
mod diff;
mod doctor;
mod edit;
mod exemptions;
mod explain;
mod facts;
mod fix;
mod freeze;
mod get;
mod impact;
mod inbox;
mod input;
mod judged;
mod keys;
mod life;
mod list;
mod migrate;
mod objects;
mod openapi;
mod pages;
mod parallel;
mod patch;
mod place;
mod plugin;
mod publish;
mod references;
mod releases;
mod report;
mod rollback;
mod rules;
mod sampling;
mod search;
mod serve;
mod shadow;
mod show;
mod source;
mod sync;
mod tenant;
mod token;
mod trust_publisher;
mod validate;
mod verify;
mod webhook;
mod webhook_key;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

use configuration::Configuration;

/// A registry with a gate: manifests are judged by sandboxed WebAssembly plugins before they are stored.
#[derive(Debug, Parser)]
#[command(name = "hallmark", version, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 fine, 1 findings, 2 usage, 3 could not run.")]
struct Arguments {
    /// What is configured, in place of hallmark.toml in the working directory [env: HALLMARK_CONFIG].
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a server.
    Serve(serve::Arguments),
    /// Bring a database's schema to what this version needs, or back to what an earlier one needs.
    Migrate(migrate::Arguments),
    /// Write one archive of everything that a registry keeps, while hosts write on.
    Backup(backup::Arguments),
    /// Fill an empty database from an archive, on whichever engine.
    Restore(backup::restore::Arguments),
    /// Look at what a host needs, and say what to do where something is wrong.
    Doctor(doctor::Arguments),
    /// Judge manifests here, with the very pipeline that the server runs, and store nothing.
    Validate(validate::Arguments),
    /// Publish manifests to a server.
    Publish(publish::Arguments),
    /// Bring a server to what a folder says: publish what is new or changed and, with --prune, disable what is gone.
    Sync(sync::Arguments),
    /// Make an earlier version of an entry the active one.
    Rollback(rollback::Arguments),
    /// Say of an entry that it should not be used any more, why, and what to take instead.
    Deprecate(life::Deprecate),
    /// Take an entry out of service.
    Disable(life::Disable),
    /// Put an entry into service, or back.
    Activate(life::Activate),
    /// Take a version back: it stays readable, and is never the active one again.
    Withdraw(life::Withdraw),
    /// Show an entry, or one of its versions.
    Get(get::Arguments),
    /// List the entries of a kind.
    List(list::Arguments),
    /// Find entries of every kind by words.
    Search(search::Arguments),
    /// Show what changes from one version of an entry to another.
    Diff(compare::Arguments),
    /// Show what an entry refers to, and which entries would miss it.
    References(references::Arguments),
    /// A module's rules.
    #[command(subcommand)]
    Module(rules::ModuleCommand),
    /// The tenant's policies.
    #[command(subcommand)]
    Policy(rules::PolicyCommand),
    /// Previews of other rules, which `module impact` and `policy impact` begin.
    #[command(subcommand)]
    Impact(impact::Command),
    /// Plugins.
    #[command(subcommand)]
    Plugin(plugin::Command),
    /// What a server took in.
    #[command(subcommand)]
    Inbox(inbox::Command),
    /// Who may ask a server for what.
    #[command(subcommand)]
    Token(token::Command),
    /// Who has a registry of his own in a database.
    #[command(subcommand)]
    Tenant(tenant::Command),
    /// Who may publish by an issuer's tokens.
    #[command(subcommand)]
    TrustPublisher(trust_publisher::Command),
    /// Who is sent events.
    #[command(subcommand)]
    Webhook(webhook::Command),
    /// The audit log.
    #[command(subcommand)]
    Audit(audit::Command),
    /// The records of what the gate did.
    #[command(subcommand)]
    Decision(decision::Command),
    /// Check what a decision's statement attests, without a server.
    Verify(verify::Arguments),
    /// What this host or client is set to.
    #[command(subcommand)]
    Config(config::Command),
    /// Write what a shell completes commands and flags by.
    Completions(completions::Arguments),
    /// Write pages of the manual.
    Man(completions::ManArguments),
    /// Write the description of the HTTP API (OpenAPI 3.1), which a server has at /api/openapi.json.
    Openapi(openapi::Arguments),
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

impl Trouble {
    /// The same, and what was done before it came up.
    fn after(self, done: &str) -> Self {
        match self {
            Self::Usage(why) => Self::Usage(format!("{why}\n{done}")),
            Self::Wrong(why) => Self::Wrong(format!("{why}\n{done}")),
            Self::Refused(why) => Self::Refused(format!("{why}\n{done}")),
            Self::CouldNotRun(why) => Self::CouldNotRun(anyhow::anyhow!("{why:#}\n{done}")),
        }
    }
}

impl From<anyhow::Error> for Trouble {
    fn from(error: anyhow::Error) -> Self {
        Self::CouldNotRun(error)
    }
}

impl From<folder::FolderError> for Trouble {
    fn from(error: folder::FolderError) -> Self {
        Self::Wrong(error.to_string())
    }
}

type Outcome = Result<Ended, Trouble>;

/// The command line as it is told.
fn command() -> clap::Command {
    configuration::described(Arguments::command())
}

/// Runs the process's command line.
pub fn run() -> ExitCode {
    // Libraries that speak TLS take what they compute with from here. Another may be first only where it is the same.
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    let first = command().get_matches();
    let ended = match read(&first).command {
        // What writes about the command line must not fail for what is configured here.
        Command::Completions(arguments) => completions::run(&arguments, command()),
        Command::Man(arguments) => completions::run_man(&arguments, command()),
        Command::Openapi(arguments) => openapi::run(&arguments),
        _ => run_configured(&first),
    };
    match ended {
        Ok(Ended::Fine) => ExitCode::SUCCESS,
        Ok(Ended::Findings) => ExitCode::from(1),
        Ok(Ended::CouldNotRun) => ExitCode::from(3),
        Err(trouble) => tell(&trouble),
    }
}

fn read(matches: &ArgMatches) -> Arguments {
    Arguments::from_arg_matches(matches).unwrap_or_else(|error| error.exit())
}

/// Reads the command line once more, over what is configured, and does what it says.
fn run_configured(first: &ArgMatches) -> Outcome {
    let told = read(first);
    let configuration = match (Configuration::read(told.config.as_deref(), std::env::vars_os()), &told.command) {
        // What cannot be read is one of the things that it looks at.
        (Err(Trouble::Usage(why)), Command::Doctor(arguments)) => {
            return doctor::run(arguments, &Configuration::default(), Some(why));
        }
        (configuration, _) => configuration?,
    };
    let matches = configuration.parse(command(), first, std::env::args_os())?;
    match read(&matches).command {
        Command::Serve(arguments) => serve::run(&arguments, &configuration),
        Command::Migrate(arguments) => migrate::run(&arguments, &configuration),
        Command::Backup(arguments) => backup::run(&arguments, &configuration),
        Command::Restore(arguments) => backup::restore::run(&arguments, &configuration),
        Command::Doctor(arguments) => doctor::run(&arguments, &configuration, None),
        Command::Validate(arguments) => validate::run(&arguments, &configuration),
        Command::Publish(arguments) => publish::run(&arguments, &configuration),
        Command::Sync(arguments) => sync::run(&arguments, &configuration),
        Command::Rollback(arguments) => rollback::run(&arguments),
        Command::Deprecate(arguments) => life::deprecate(&arguments),
        Command::Disable(arguments) => life::disable(&arguments),
        Command::Activate(arguments) => life::activate(&arguments),
        Command::Withdraw(arguments) => life::withdraw(&arguments),
        Command::Search(arguments) => search::run(&arguments),
        Command::Diff(arguments) => compare::run(&arguments),
        Command::References(arguments) => references::run(&arguments),
        Command::Get(arguments) => get::run(&arguments),
        Command::List(arguments) => list::run(&arguments),
        Command::Module(command) => rules::run_module(&command),
        Command::Policy(command) => rules::run_policies(&command),
        Command::Impact(command) => impact::run(&command),
        Command::Plugin(command) => plugin::run(&command, &configuration),
        Command::Inbox(command) => inbox::run(&command),
        Command::Token(command) => token::run(&command),
        Command::Tenant(command) => tenant::run(&command, &configuration),
        Command::TrustPublisher(command) => trust_publisher::run(&command),
        Command::Webhook(command) => webhook::run(&command),
        Command::Audit(command) => audit::run(&command),
        Command::Decision(command) => decision::run(&command),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Config(command) => config::run(&command, &configuration, &matches, &Arguments::command()),
        Command::Completions(_) | Command::Man(_) | Command::Openapi(_) => Ok(Ended::Fine),
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

/// Does what waits for a database or for an object store, without a server.
fn on_one_thread(work: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("the thread for the database cannot be started")?.block_on(work)
}
