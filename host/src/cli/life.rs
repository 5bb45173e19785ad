//! `hallmark deprecate`, `disable`, `activate` and `withdraw`: what becomes of entries and versions after they were
//! published. Each is done to the entry as it was when the command began, and refused where it changed meanwhile.

use serde_json::{Value, json};

use super::client::{self, Client};
use super::{Ended, Outcome, Output, Trouble, report, show};
use crate::names::{EntryId, KindName, Reason, VersionName};

/// Which entry, on which server.
#[derive(Debug, clap::Args)]
pub struct Entry {
    /// The kind, as in `agents`.
    kind: KindName,
    /// The entry.
    id: EntryId,
    #[command(flatten)]
    client: client::Arguments,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// What `deprecate` takes.
#[derive(Debug, clap::Args)]
pub struct Deprecate {
    #[command(flatten)]
    entry: Entry,
    /// Why it should not be used any more.
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
    /// What to take instead: an id of the same kind, or KIND/ID.
    #[arg(long, value_name = "ENTRY")]
    replacement: Option<String>,
}

/// What `disable` takes.
#[derive(Debug, clap::Args)]
pub struct Disable {
    #[command(flatten)]
    entry: Entry,
    /// Why it is out of service.
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
}

/// What `activate` takes.
#[derive(Debug, clap::Args)]
pub struct Activate {
    #[command(flatten)]
    entry: Entry,
}

/// What `withdraw` takes.
#[derive(Debug, clap::Args)]
pub struct Withdraw {
    /// The kind, as in `agents`.
    kind: KindName,
    /// The entry.
    id: EntryId,
    /// The version.
    version: VersionName,
    /// Why it is taken back.
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
    #[command(flatten)]
    client: client::Arguments,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Deprecates an entry.
pub fn deprecate(arguments: &Deprecate) -> Outcome {
    let replacement = arguments.replacement.as_deref().map(replacement).transpose()?;
    set(&arguments.entry, "deprecate", &json!({"reason": arguments.reason, "replacement": replacement}))
}

/// Disables an entry.
pub fn disable(arguments: &Disable) -> Outcome {
    set(&arguments.entry, "disable", &json!({"reason": arguments.reason}))
}

/// Activates an entry.
pub fn activate(arguments: &Activate) -> Outcome {
    set(&arguments.entry, "activate", &json!({}))
}

fn replacement(text: &str) -> Result<Value, Trouble> {
    let usage = |error: crate::names::NameError| Trouble::Usage(format!("--replacement: {error}"));
    match text.split_once('/') {
        None => Ok(json!(text.parse::<EntryId>().map_err(usage)?)),
        Some((kind, id)) => {
            let (kind, id): (KindName, EntryId) = (kind.parse().map_err(usage)?, id.parse().map_err(usage)?);
            Ok(json!({"kind": kind, "id": id}))
        }
    }
}

fn set(entry: &Entry, what: &str, body: &Value) -> Outcome {
    let Entry { kind, id, client, output } = entry;
    let answer = Client::new(client)?.change(kind, id, what, body)?.body;
    if *output == Output::Json {
        show::out(&report::pretty(&answer));
        return Ok(Ended::Fine);
    }
    let shown = shown_entry(&answer);
    let mut line = format!("{kind}/{id} is {}", shown["status"].as_str().unwrap_or("?"));
    if let Some(reason) = shown["statusReason"].as_str() {
        line.push_str(&format!(": {reason}"));
    }
    if let (Some(kind), Some(id)) = (shown["replacement"]["kind"].as_str(), shown["replacement"]["id"].as_str()) {
        line.push_str(&format!(" (take {kind}/{id})"));
    }
    show::out(&show::plain(&line));
    Ok(Ended::Fine)
}

/// The entry of an answer, which stands under its kind's singular: the one member with a status of its own.
fn shown_entry(answer: &Value) -> Value {
    let members = answer.as_object().into_iter().flatten();
    members.map(|(_, value)| value).find(|value| value["status"].is_string()).cloned().unwrap_or_default()
}

/// Withdraws a version.
pub fn withdraw(arguments: &Withdraw) -> Outcome {
    let Withdraw { kind, id, version, reason, client, output } = arguments;
    let what = format!("versions/{version}/withdraw");
    let answer = Client::new(client)?.change(kind, id, &what, &json!({"reason": reason}))?.body;
    if *output == Output::Json {
        show::out(&report::pretty(&answer));
        return Ok(Ended::Fine);
    }
    let active = shown_entry(&answer);
    let active = active["version"].as_str().unwrap_or("?");
    let line = match answer["previousVersion"].as_str() == Some(version.as_str()) {
        true => format!("{kind}/{id}: {version} is withdrawn, {active} is the active version"),
        false => format!("{kind}/{id}: {version} is withdrawn, {active} stays the active version"),
    };
    show::out(&show::plain(&line));
    Ok(Ended::Fine)
}
