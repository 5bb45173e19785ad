//! `hallmark rollback`: makes an earlier version the active one, and shows what today's rules say of it.

use serde_json::json;

use super::client::{self, Client};
use super::{Ended, Outcome, Output, report, show};
use crate::names::{EntryId, KindName, VersionName};
use crate::report::Finding;

/// What `rollback` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The kind, as in `agents`.
    kind: KindName,
    /// The entry.
    id: EntryId,
    /// The version that becomes the active one.
    version: VersionName,
    #[command(flatten)]
    client: client::Arguments,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Asks, writes, and gives the exit code. What today's rules say of the version does not change it: it is active.
pub fn run(arguments: &Arguments) -> Outcome {
    let Arguments { kind, id, version, .. } = arguments;
    let client = Client::new(&arguments.client)?;
    let answer = client.change(kind, id, "rollback", &json!({"targetVersion": version}))?.body;
    if arguments.output == Output::Json {
        show::out(&report::pretty(&answer));
        return Ok(Ended::Fine);
    }
    let previous = answer["previousVersion"].as_str().unwrap_or("?");
    if previous == version.as_str() {
        show::out(&format!("{kind}/{id}: {version} is the active version already"));
    } else {
        show::out(&format!("{kind}/{id}: {version} is the active version, {previous} is archived"));
    }
    if let Some(cause) = answer["failure"]["cause"].as_str() {
        let plugin = answer["failure"]["plugin"].as_str().unwrap_or("?");
        show::out(&show::plain(&format!("today's rules could not judge it: plugin {plugin} {cause}")));
    }
    let findings: Vec<Finding> = serde_json::from_value(answer["report"]["findings"].clone()).unwrap_or_default();
    if !findings.is_empty() {
        show::out("today's rules say of it:");
    }
    for finding in findings {
        show::out(&show::brief(&finding));
    }
    Ok(Ended::Fine)
}
