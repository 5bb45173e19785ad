//! `hallmark diff`: what changes from one version of an entry to another.

use super::client::{self, Client};
use super::{Ended, Outcome, Output, diff, report, show};
use crate::names::{EntryId, KindName, VersionName};
use crate::registry::difference::Change;

/// What `diff` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The kind, as in `agents`.
    kind: KindName,
    /// The entry.
    id: EntryId,
    /// The version before.
    from: VersionName,
    /// The version after.
    to: VersionName,
    #[command(flatten)]
    client: client::Arguments,
    /// How it is written: as JSON it holds a JSON Patch (RFC 6902).
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Asks, writes, and gives the exit code.
pub fn run(arguments: &Arguments) -> Outcome {
    let Arguments { kind, id, from, to, .. } = arguments;
    let path = format!("/api/{kind}/{id}/versions/{from}/diff/{to}");
    let answer = Client::new(&arguments.client)?.get(&path)?.body;
    if arguments.output == Output::Json {
        show::out(&report::pretty(&answer));
        return Ok(Ended::Fine);
    }
    let changes: Vec<Change> = serde_json::from_value(answer["changes"].clone()).unwrap_or_default();
    if changes.is_empty() {
        show::out(&format!("{kind}/{id}: {from} and {to} say the same"));
        return Ok(Ended::Fine);
    }
    show::out(&format!("{kind}/{id}: {from} -> {to}"));
    changes.iter().for_each(|change| show::out(&diff::told(change)));
    Ok(Ended::Fine)
}
