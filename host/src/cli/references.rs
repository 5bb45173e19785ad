//! `hallmark references`: what an entry refers to, and which entries would miss it.

use serde_json::{Value, json};

use super::client::{self, Client};
use super::{Ended, Outcome, Output, pages, report, search, show};
use crate::names::{EntryId, KindName};

/// What `references` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The kind, as in `agents`.
    kind: KindName,
    /// The entry.
    id: EntryId,
    #[command(flatten)]
    client: client::Arguments,
    /// How they are written.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Asks, writes, and gives the exit code.
pub fn run(arguments: &Arguments) -> Outcome {
    let Arguments { kind, id, client, output } = arguments;
    let client = Client::new(client)?;
    let all = |what: &str| pages::all(&client, &format!("/api/{kind}/{id}/{what}"), &[]);
    let (references, referrers) = (all("references")?, all("referrers")?);
    if *output == Output::Json {
        show::out(&report::pretty(&json!({"references": references, "referrers": referrers})));
        return Ok(Ended::Fine);
    }
    tell(&format!("{kind}/{id} refers to"), &references);
    tell(&format!("would miss {kind}/{id}"), &referrers);
    Ok(Ended::Fine)
}

fn tell(what: &str, items: &[Value]) {
    if items.is_empty() {
        show::out(&format!("{what}: nothing"));
        return;
    }
    show::out(&format!("{what}:"));
    for item in items {
        let version = item["askedVersion"].as_str().map_or_else(String::new, |version| format!(" (at {version})"));
        show::out(&format!("  {}{}", search::brief(item), show::plain(&version)));
    }
}
