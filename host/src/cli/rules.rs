//! `hallmark module apply` and `hallmark policy apply`: bring a server's rules to what a folder says. What is there
//! already is left alone, so that applying twice changes nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::client::{self, Client};
use super::folder::{self, Folder, FolderError};
use super::{Ended, Outcome, Trouble, show};
use crate::config::Limits;
use crate::names::{Digest, Scope};

/// What is done to a module's rules.
#[derive(Debug, clap::Subcommand)]
pub enum ModuleCommand {
    /// Bring modules to what their folders say: upload what is missing, create a release and activate it.
    Apply(Arguments),
}

/// What is done to the policies.
#[derive(Debug, clap::Subcommand)]
pub enum PolicyCommand {
    /// Bring the policies to what their folder says: upload what is missing, create a release and activate it.
    Apply(Arguments),
}

/// What `apply` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The folder of a module, or of several modules' folders; of the policies.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Why: kept with the release.
    #[arg(long, short, default_value = "")]
    message: String,
    #[command(flatten)]
    client: client::Arguments,
}

/// Applies every module of the folder.
pub fn apply_module(arguments: &Arguments) -> Outcome {
    apply(arguments, folder::read_modules(&arguments.folder, &Limits::default()))
}

/// Applies the policies of the folder.
pub fn apply_policies(arguments: &Arguments) -> Outcome {
    let read = folder::read_policies(&arguments.folder, &Limits::default());
    apply(arguments, read.map(|folder| vec![folder]))
}

fn apply(arguments: &Arguments, folders: Result<Vec<Folder>, FolderError>) -> Outcome {
    let folders = folders.map_err(|error| Trouble::Wrong(error.to_string()))?;
    let client = Client::new(&arguments.client)?;
    for folder in &folders {
        upload_missing(&client, &folder.components)?;
        show::out(&release(&client, folder, &arguments.message)?);
    }
    Ok(Ended::Fine)
}

fn upload_missing(client: &Client, components: &BTreeMap<Digest, Vec<u8>>) -> Result<(), Trouble> {
    for (digest, bytes) in components {
        match client.try_get(&format!("/api/plugins/{digest}"))? {
            Ok(_) => {}
            Err(problem) if problem.status == 404 => {
                let pushed = client.send("/api/plugins", "application/wasm", bytes)??;
                show::out(&pushed_line(&pushed.body));
            }
            Err(problem) => return Err(problem.into()),
        }
    }
    Ok(())
}

/// What came of a push.
pub fn pushed_line(plugin: &Value) -> String {
    let text = |field: &str| plugin[field].as_str().unwrap_or("?").to_owned();
    let verb = if plugin["created"] == false { "there already:" } else { "pushed" };
    show::plain(&format!("{verb} {} {} ({})", text("name"), text("version"), text("digest")))
}

/// Where the API has a scope's rules.
fn path(scope: &Scope) -> String {
    match scope {
        Scope::Module(name) => format!("/api/modules/{name}"),
        Scope::Policies => "/api/policies".to_owned(),
    }
}

fn release(client: &Client, folder: &Folder, message: &str) -> Result<String, Trouble> {
    let scope = &folder.rules.scope;
    let path = path(scope);
    let active = match client.try_get(&path)? {
        Ok(answer) => answer.body["release"]["number"].as_i64(),
        Err(problem) if problem.status == 404 => None,
        Err(problem) => return Err(problem.into()),
    };
    let request = json!({"rules": folder.rules, "message": message});
    let release = client.post(&format!("{path}/releases"), &request)?.body;
    let Some(number) = release["number"].as_i64() else {
        return Err(Trouble::CouldNotRun(anyhow::anyhow!("the server's answer names no release")));
    };
    if active == Some(number) {
        return Ok(format!("{scope}: unchanged, release {number} is active and says the same"));
    }
    // Somebody who activated another release meanwhile must not be overruled unseen.
    client.post(&format!("{path}/activate"), &json!({"release": number, "expected": active}))?;
    Ok(match active {
        Some(before) => format!("{scope}: release {number} is active, it was {before}"),
        None => format!("{scope}: release {number} is active, the first"),
    })
}
