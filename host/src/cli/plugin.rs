//! `hallmark plugin`: how a component is made, what it is, and how it gets to a server.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use serde_json::json;

use super::client::{self, Client};
use super::configuration::Configuration;
use super::{Ended, Outcome, Output, Trouble, build, keys, report, rules, show};
use crate::names::Digest;
use crate::plugin::{Inspection, Sandbox, Unfit};

/// What is done with plugins.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Compile plugins that are written in Rust, and make them components.
    Build(BuildArguments),
    /// Say what a component is, what it imports and exports, and whether it can be put to work.
    Check(CheckArguments),
    /// Send a component to a server.
    Push(PushArguments),
    /// Make a pair of keys to sign plugins with.
    Keygen(keys::KeygenArguments),
    /// Sign a component.
    Sign(keys::SignArguments),
    /// Say whose signatures a server believes.
    #[command(subcommand)]
    Trust(keys::TrustCommand),
}

/// What `plugin build` takes.
#[derive(Debug, clap::Args)]
pub struct BuildArguments {
    /// The folders of the plugins' crates; a workspace's folder stands for its members.
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
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
    /// Its signature [default: FILE.sig, where it is there].
    #[arg(long, value_name = "FILE.sig")]
    signature: Option<PathBuf>,
    #[command(flatten)]
    client: client::Arguments,
}

/// Does it, and gives the exit code.
pub fn run(command: &Command, configuration: &Configuration) -> Outcome {
    match command {
        Command::Build(arguments) => build_all(arguments),
        Command::Check(arguments) => check(arguments, configuration),
        Command::Push(arguments) => push(arguments),
        Command::Keygen(arguments) => keys::keygen(arguments),
        Command::Sign(arguments) => keys::sign(arguments),
        Command::Trust(command) => keys::trust(command),
    }
}

/// Milliseconds that `rustup target add` may take; on a closed network it waits for ever.
const RUSTUP_WAIT_MAX_MS: u64 = 60_000;

fn build_all(arguments: &BuildArguments) -> Outcome {
    let mut crates = Vec::new();
    for folder in &arguments.folders {
        crates.extend(members(folder)?);
    }
    let options =
        build::Options { rustup_wait_max: Duration::from_millis(RUSTUP_WAIT_MAX_MS), say: &|line| show::err(line) };
    let built = build::build(&crates, &options).map_err(|error| Trouble::CouldNotRun(error.into()))?;
    match arguments.output {
        Output::Text => {
            for component in built {
                show::out(&format!(
                    "{}  {} bytes  {}",
                    component.path.display(),
                    component.size_bytes,
                    component.digest
                ));
            }
        }
        Output::Json => {
            let items = built.iter().map(|component| {
                json!({
                    "name": component.name, "path": component.path, "digest": component.digest,
                    "sizeBytes": component.size_bytes,
                })
            });
            show::out(&report::pretty(&items.collect()));
        }
    }
    Ok(Ended::Fine)
}

/// The crate that the folder is or, of a workspace, every member that makes a WebAssembly module.
fn members(folder: &Path) -> Result<Vec<PathBuf>, Trouble> {
    let Some(manifest) = read_manifest(folder)? else { return Ok(vec![folder.to_owned()]) };
    let workspace = manifest.get("workspace").and_then(toml::Value::as_table);
    let Some(workspace) = workspace.filter(|_| !manifest.contains_key("package")) else {
        return Ok(vec![folder.to_owned()]);
    };
    let mut crates = Vec::new();
    for member in workspace.get("members").and_then(toml::Value::as_array).into_iter().flatten() {
        let member = folder.join(member.as_str().unwrap_or_default());
        if read_manifest(&member)?.is_some_and(|manifest| makes_a_module(&manifest)) {
            crates.push(member);
        }
    }
    if crates.is_empty() {
        let message = format!("{}: no member of this workspace has the crate-type cdylib", folder.display());
        return Err(Trouble::Usage(message));
    }
    Ok(crates)
}

fn read_manifest(folder: &Path) -> Result<Option<toml::Table>, Trouble> {
    let path = folder.join("Cargo.toml");
    let Ok(text) = std::fs::read_to_string(&path) else { return Ok(None) };
    let read = text.parse().map_err(|error| Trouble::Usage(format!("{}: {error}", path.display())));
    read.map(Some)
}

fn makes_a_module(manifest: &toml::Table) -> bool {
    let types = manifest.get("lib").and_then(|lib| lib.get("crate-type")).and_then(toml::Value::as_array);
    types.into_iter().flatten().any(|crate_type| crate_type.as_str() == Some("cdylib"))
}

fn read(file: &Path) -> Result<Vec<u8>, Trouble> {
    std::fs::read(file).map_err(|error| Trouble::Usage(format!("{}: {error}", file.display())))
}

fn check(arguments: &CheckArguments, configuration: &Configuration) -> Outcome {
    let component = read(&arguments.file)?;
    let limits = Arc::new(configuration.limits(&arguments.limits)?);
    let sandbox = Sandbox::start(limits, None).map_err(|why| anyhow!(why)).context("the sandbox does not start")?;
    match sandbox.inspect(&component, &|_| {}) {
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
        match inspection.examples {
            None => "self-test  it brings none".to_owned(),
            Some(count) => format!("self-test  {count} examples, each answered as it says"),
        },
    ];
    for (title, names) in [("imports", &inspection.imports), ("exports", &inspection.exports)] {
        lines.push(title.to_owned());
        lines.extend(names.iter().map(|name| format!("  {name}")));
    }
    let independent = description.independent_settings();
    if !independent.is_empty() {
        lines.push(format!("independent  /{}", independent.join(", /")));
    }
    lines.push("settings schema".to_owned());
    lines.extend(report::pretty(&description.settings_schema).lines().map(|line| format!("  {line}")));
    lines.push("finding codes".to_owned());
    lines.extend(description.finding_codes.iter().map(|code| format!("  {}: {}", code.code, code.summary)));
    lines.iter().map(|line| show::plain(line)).collect::<Vec<_>>().join("\n")
}

fn push(arguments: &PushArguments) -> Outcome {
    let component = read(&arguments.file)?;
    let signature = keys::signature_of(&arguments.file, &Digest::of(&component), arguments.signature.as_deref())
        .map_err(Trouble::Usage)?;
    let client = Client::new(&arguments.client)?;
    let plugin = client.push(&component, signature.as_ref(), |step| show::err(step_text(step)))??;
    show::out(&rules::pushed_line(&plugin));
    if let Some(signature) = signature {
        let kept = plugin["signatures"].as_array().is_some_and(|signers| {
            signers.iter().any(|signer| signer["keyId"] == signature.key_id.as_str() && signer["trusted"] == true)
        });
        let not_kept = "its signature was not kept: the server does not trust the key";
        let told = if kept { "signed by" } else { not_kept };
        show::out(&format!("{told} {}", signature.key_id));
    }
    Ok(Ended::Fine)
}

/// What a step of a push is, for who waits.
fn step_text(step: &str) -> &str {
    match step {
        "waiting" => "waiting: the server compiles another plugin",
        "reading" => "reading it: what it imports and exports",
        "compiling" => "compiling it: about a second for each megabyte",
        "describing" => "asking it what it is",
        "testing" => "running the examples that it brings",
        "keeping" => "keeping it",
        other => other,
    }
}
