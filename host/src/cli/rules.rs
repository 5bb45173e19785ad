//! `hallmark module` and `hallmark policy`: bring a server's rules to what a folder says, show what would change, and
//! put another release in force. What is there already is left alone, so that applying twice changes nothing.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::activate::{Replaces, put_in_force};
use super::client::{self, Client};
use super::folder::{self, Folder, FolderError};
use super::{Ended, Outcome, Trouble, activate, diff, exemptions, freeze, impact, releases, shadow, show};
use crate::config::Limits;
use crate::names::Scope;
use crate::registry::release::Rules;

/// What is done to a module's rules.
#[derive(Debug, clap::Subcommand)]
pub enum ModuleCommand {
    /// Bring modules to what their folders say: upload what is missing, create a release and activate it.
    Apply(Arguments),
    /// Make a release of what each folder says, and leave in force what is: to preview it, shadow it, activate it later.
    Release(Arguments),
    /// Show what changes from one release to another, or from what is active to what a folder says.
    Diff {
        /// DIR, or MODULE FROM [TO]; without TO, the release that is active.
        #[arg(value_name = "DIR | MODULE FROM [TO]", num_args = 1..=3, required = true)]
        what: Vec<String>,
        #[command(flatten)]
        client: client::Arguments,
    },
    /// Preview what a folder or another release would say of what is stored.
    Impact {
        /// DIR, or MODULE RELEASE.
        #[arg(value_name = "DIR | MODULE RELEASE", num_args = 1..=2, required = true)]
        what: Vec<String>,
        #[command(flatten)]
        options: impact::Options,
    },
    /// Put a release in force, in place of the one that is active; or stage it, to be put in force by itself.
    Activate {
        /// The module.
        module: String,
        #[command(flatten)]
        what: activate::Arguments,
    },
    /// Show what a release that runs beside the active one would have said; start or stop it.
    Shadow {
        /// The module.
        module: String,
        #[command(subcommand)]
        action: Option<shadow::Action>,
        #[command(flatten)]
        report: shadow::ReportArguments,
    },
    /// Put an earlier release in force again.
    Rollback {
        /// The module.
        module: String,
        #[command(flatten)]
        what: activate::RollbackArguments,
    },
    /// List the module's releases, newest first: which is active, and which runs beside it.
    Releases {
        /// The module.
        module: String,
        #[command(flatten)]
        page: releases::Arguments,
    },
    /// Show which release is active, since when, and whether the module is frozen.
    Status {
        /// The module.
        module: String,
        #[command(flatten)]
        client: client::Arguments,
    },
    /// Keep the active release in force: no other is activated until the module is unfrozen.
    Freeze {
        /// The module.
        module: String,
        #[command(flatten)]
        why: freeze::Arguments,
    },
    /// Let the active release be replaced again.
    Unfreeze {
        /// The module.
        module: String,
        #[command(flatten)]
        client: client::Arguments,
    },
}

/// What is done to the policies.
#[derive(Debug, clap::Subcommand)]
pub enum PolicyCommand {
    /// Bring the policies to what their folder says: upload what is missing, create a release and activate it.
    Apply(Arguments),
    /// Make a release of what the folder says, and leave in force what is: to preview it, shadow it, activate it later.
    Release(Arguments),
    /// Show what changes from one release to another, or from what is active to what a folder says.
    Diff {
        /// DIR, or FROM [TO]; without TO, the release that is active.
        #[arg(value_name = "DIR | FROM [TO]", num_args = 1..=2, required = true)]
        what: Vec<String>,
        #[command(flatten)]
        client: client::Arguments,
    },
    /// Preview what a folder or another release would say of what is stored.
    Impact {
        /// DIR, or RELEASE.
        #[arg(value_name = "DIR | RELEASE", num_args = 1..=1, required = true)]
        what: Vec<String>,
        #[command(flatten)]
        options: impact::Options,
    },
    /// Put a release in force, in place of the one that is active; or stage it, to be put in force by itself.
    Activate(activate::Arguments),
    /// Show what a release that runs beside the active one would have said; start or stop it.
    Shadow {
        #[command(subcommand)]
        action: Option<shadow::Action>,
        #[command(flatten)]
        report: shadow::ReportArguments,
    },
    /// Let one entry, or those of a pattern, pass one finding's code until a date.
    Exempt(exemptions::Exempt),
    /// List the exemptions that hold.
    Exemptions(exemptions::List),
    /// Put an earlier release in force again.
    Rollback(activate::RollbackArguments),
    /// List the policies' releases, newest first: which is active, and which runs beside it.
    Releases(releases::Arguments),
    /// Show which release is active, since when, and whether the policies are frozen.
    Status {
        #[command(flatten)]
        client: client::Arguments,
    },
    /// Keep the active release in force: no other is activated until the policies are unfrozen.
    Freeze(freeze::Arguments),
    /// Let the active release be replaced again.
    Unfreeze {
        #[command(flatten)]
        client: client::Arguments,
    },
}

/// What `apply` and `release` take.
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

/// Runs what is asked of modules.
pub fn run_module(command: &ModuleCommand) -> Outcome {
    match command {
        ModuleCommand::Apply(arguments) => apply(arguments, modules(&arguments.folder, "apply")),
        ModuleCommand::Release(arguments) => release_only(arguments, modules(&arguments.folder, "release")),
        ModuleCommand::Diff { what, client } => match &what[..] {
            [folder] => diff_folders(modules(Path::new(folder), "diff"), client),
            [module, releases @ ..] => diff_releases(&scope_of(module)?, releases, client),
            [] => Err(Trouble::Usage("say what to compare: DIR, or MODULE FROM [TO]".to_owned())),
        },
        ModuleCommand::Impact { what, options } => match &what[..] {
            [folder] => impact::of_folder(modules(Path::new(folder), "impact"), options),
            [module, release] => impact::of_release(&scope_of(module)?, release_number(release)?, options),
            _ => Err(Trouble::Usage("say what to preview: DIR, or MODULE RELEASE".to_owned())),
        },
        ModuleCommand::Activate { module, what } => activate::activate_or_stage(&scope_of(module)?, what),
        ModuleCommand::Shadow { module, action, report } => shadow::run(&scope_of(module)?, action.as_ref(), report),
        ModuleCommand::Rollback { module, what } => activate::roll_back(&scope_of(module)?, what),
        ModuleCommand::Releases { module, page } => releases::run(&scope_of(module)?, page),
        ModuleCommand::Status { module, client } => freeze::status(&scope_of(module)?, client),
        ModuleCommand::Freeze { module, why } => freeze::freeze(&scope_of(module)?, why),
        ModuleCommand::Unfreeze { module, client } => freeze::unfreeze(&scope_of(module)?, client),
    }
}

/// Runs what is asked of the policies.
pub fn run_policies(command: &PolicyCommand) -> Outcome {
    match command {
        PolicyCommand::Apply(arguments) => apply(arguments, policies(&arguments.folder, "apply")),
        PolicyCommand::Release(arguments) => release_only(arguments, policies(&arguments.folder, "release")),
        PolicyCommand::Diff { what, client } => match &what[..] {
            [folder] if folder.parse::<i64>().is_err() => diff_folders(policies(Path::new(folder), "diff"), client),
            releases => diff_releases(&Scope::Policies, releases, client),
        },
        PolicyCommand::Impact { what, options } => match &what[..] {
            [folder] if impact::is_folder(folder) => impact::of_folder(policies(Path::new(folder), "impact"), options),
            [release] => impact::of_release(&Scope::Policies, release_number(release)?, options),
            _ => Err(Trouble::Usage("say what to preview: DIR, or RELEASE".to_owned())),
        },
        PolicyCommand::Activate(what) => activate::activate_or_stage(&Scope::Policies, what),
        PolicyCommand::Shadow { action, report } => shadow::run(&Scope::Policies, action.as_ref(), report),
        PolicyCommand::Exempt(arguments) => exemptions::exempt(arguments),
        PolicyCommand::Exemptions(arguments) => exemptions::list(arguments),
        PolicyCommand::Rollback(what) => activate::roll_back(&Scope::Policies, what),
        PolicyCommand::Releases(page) => releases::run(&Scope::Policies, page),
        PolicyCommand::Status { client } => freeze::status(&Scope::Policies, client),
        PolicyCommand::Freeze(why) => freeze::freeze(&Scope::Policies, why),
        PolicyCommand::Unfreeze { client } => freeze::unfreeze(&Scope::Policies, client),
    }
}

/// The modules in a folder, of which `verb` is to be done.
fn modules(folder: &Path, verb: &str) -> Result<Vec<Folder>, FolderError> {
    folder::read_modules(folder, &Limits::default(), &format!("`hallmark policy {verb}`"))
}

/// The policies in a folder, of which `verb` is to be done.
fn policies(folder: &Path, verb: &str) -> Result<Vec<Folder>, FolderError> {
    folder::read_policies(folder, &Limits::default(), &format!("`hallmark module {verb}`")).map(|folder| vec![folder])
}

pub fn scope_of(module: &str) -> Result<Scope, Trouble> {
    module.parse().map(Scope::Module).map_err(|error: crate::names::NameError| Trouble::Usage(error.to_string()))
}

fn release_number(text: &str) -> Result<i64, Trouble> {
    let number = text.parse().ok().filter(|number: &i64| *number > 0);
    number.ok_or_else(|| Trouble::Usage(format!("'{text}' is not a release's number: write 1, 2, 3 and so on")))
}

/// Shows what each folder would change.
fn diff_folders(folders: Result<Vec<Folder>, FolderError>, client: &client::Arguments) -> Outcome {
    let folders = folders?;
    let client = Client::new(client)?;
    for folder in &folders {
        let scope = &folder.rules.scope;
        let (number, rules) = match active_rules(&client, scope)? {
            Some((number, rules)) => (format!("release {number}"), rules),
            None => ("nothing".to_owned(), Value::Null),
        };
        let folder = serde_json::to_value(&folder.rules).map_err(anyhow::Error::from)?;
        show_changes(&client, &format!("{scope}: {number} -> the folder"), &rules, &folder);
    }
    Ok(Ended::Fine)
}

fn diff_releases(scope: &Scope, releases: &[String], client: &client::Arguments) -> Outcome {
    let numbers = releases.iter().map(|text| release_number(text)).collect::<Result<Vec<_>, _>>()?;
    let client = Client::new(client)?;
    let rules_of = |number: i64| -> Result<Value, Trouble> {
        Ok(client.get(&format!("{}/releases/{number}", path(scope)))?.body["rules"].take())
    };
    let Some(from) = numbers.first().copied() else {
        return Err(Trouble::Usage("say which releases to compare: FROM [TO]".to_owned()));
    };
    let (to, after) = match numbers.get(1) {
        Some(to) => (*to, rules_of(*to)?),
        None => active_rules(&client, scope)?.ok_or_else(|| {
            Trouble::Refused(format!("error: {scope} has no active release: name the one to compare with"))
        })?,
    };
    show_changes(&client, &format!("{scope}: release {from} -> release {to}"), &rules_of(from)?, &after);
    Ok(Ended::Fine)
}

fn show_changes(client: &Client, title: &str, before: &Value, after: &Value) {
    // One that the server has not, as a folder's may be, is told by its digest alone.
    let plugin = |digest: &str| {
        let plugin = client.try_get(&format!("/api/plugins/{digest}")).ok()?.ok()?.body;
        Some(format!("{} {}", plugin["name"].as_str()?, plugin["version"].as_str()?))
    };
    let lines = diff::lines(before, after, &plugin);
    if lines.is_empty() {
        show::out(&format!("{title}: nothing changes"));
    } else {
        show::out(title);
        lines.iter().for_each(|line| show::out(line));
    }
}

/// The active release's number and rules, in the form in which a folder's are compared with them.
pub(super) fn active_rules(client: &Client, scope: &Scope) -> Result<Option<(i64, Value)>, Trouble> {
    let body = match client.try_get(&path(scope))? {
        Ok(answer) => answer.body,
        Err(problem) if problem.status == 404 => return Ok(None),
        Err(problem) => return Err(problem.into()),
    };
    let Some(number) = body["release"]["number"].as_i64() else { return Ok(None) };
    let rules: Rules = serde_json::from_value(body["rules"].clone()).map_err(anyhow::Error::from)?;
    Ok(Some((number, serde_json::to_value(rules).map_err(anyhow::Error::from)?)))
}

fn apply(arguments: &Arguments, folders: Result<Vec<Folder>, FolderError>) -> Outcome {
    each_release(arguments, folders, |client, scope, made| match made {
        Made { number, active: Some(active), .. } if active == number => {
            Ok(format!("{scope}: unchanged, release {number} is active and says the same"))
        }
        Made { number, active, .. } => put_in_force(client, scope, number, &Replaces::of(active), None)
            .map_err(|trouble| trouble.after(&made_only(scope, number))),
    })
}

/// What a release whose activation did not go well leaves behind: it is there, and is not made again.
fn made_only(scope: &Scope, number: i64) -> String {
    let activate = match scope {
        Scope::Policies => format!("hallmark policy activate {number}"),
        Scope::Module(module) => format!("hallmark module activate {module} {number}"),
    };
    format!(
        "{scope}: release {number} is made and stays: once what is told above is settled, `{activate}` puts it in force"
    )
}

fn release_only(arguments: &Arguments, folders: Result<Vec<Folder>, FolderError>) -> Outcome {
    each_release(arguments, folders, |_, scope, Made { number, is_new, active }| {
        let active = active.map_or("none".to_owned(), |active| format!("release {active}"));
        Ok(match is_new {
            true => format!("{scope}: release {number} is made, {active} is active"),
            false => format!("{scope}: unchanged, release {number} is active and says the same"),
        })
    })
}

/// What came of a request for a release.
struct Made {
    number: i64,
    is_new: bool,
    /// The one that was active before.
    active: Option<i64>,
}

/// Makes a release of each folder and says what is done with it.
fn each_release(
    arguments: &Arguments,
    folders: Result<Vec<Folder>, FolderError>,
    then: impl Fn(&Client, &Scope, Made) -> Result<String, Trouble>,
) -> Outcome {
    let folders = folders?;
    let client = Client::new(&arguments.client)?;
    for folder in &folders {
        upload_missing(&client, folder)?;
        let made = release(&client, folder, &arguments.message)?;
        show::out(&then(&client, &folder.rules.scope, made)?);
    }
    Ok(Ended::Fine)
}

/// Pushes the components that the server has not.
pub(super) fn upload_missing(client: &Client, folder: &Folder) -> Result<(), Trouble> {
    for (digest, bytes) in &folder.components {
        match client.try_get(&format!("/api/plugins/{digest}"))? {
            Ok(_) => {}
            Err(problem) if problem.status == 404 => {
                let pushed = client.push(bytes, folder.signatures.get(digest), |_| {})??;
                show::out(&pushed_line(&pushed));
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
pub(super) fn path(scope: &Scope) -> String {
    match scope {
        Scope::Module(name) => format!("/api/modules/{name}"),
        Scope::Policies => "/api/policies".to_owned(),
    }
}

fn release(client: &Client, folder: &Folder, message: &str) -> Result<Made, Trouble> {
    let path = path(&folder.rules.scope);
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
    Ok(Made { number, is_new: release["created"] == true, active })
}
