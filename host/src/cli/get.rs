//! `hallmark get`: one entry, or one of its versions, as the server shows it.

use super::client::{self, Client};
use super::{Ended, Outcome, report, show};
use crate::names::{EntryId, KindName, VersionName};

/// What `get` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The kind, as in `agents`.
    kind: KindName,
    /// The entry.
    id: EntryId,
    /// One of its versions, instead of the active one.
    #[arg(long)]
    version: Option<VersionName>,
    #[command(flatten)]
    client: client::Arguments,
}

/// Asks, writes JSON, and gives the exit code.
pub fn run(arguments: &Arguments) -> Outcome {
    let Arguments { kind, id, .. } = arguments;
    let path = match &arguments.version {
        Some(version) => format!("/api/{kind}/{id}/versions/{version}"),
        None => format!("/api/{kind}/{id}"),
    };
    let answer = Client::new(&arguments.client)?.get(&path)?;
    show::out(&report::pretty(&answer.body));
    Ok(Ended::Fine)
}
