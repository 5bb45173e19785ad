//! `hallmark inbox`: which submissions a server took in, and forgetting that it did.

use serde_json::json;

use super::client::{self, Client};
use super::{Ended, Outcome, Output, pages, report, show};

/// Where the API has it.
const PATH: &str = "/api/inbox";

/// What is done with the inbox.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List what was taken in, by key: registry:KIND:ENTRY:VERSION, with the kind's singular.
    List {
        /// Only keys that begin so, as in 'registry:agent:planner:'.
        #[arg(long, value_name = "TEXT")]
        prefix: Option<String>,
        #[command(flatten)]
        client: client::Arguments,
        /// How they are written.
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Forget that a submission was taken in. The version that came of it stays, and nobody can publish it anew.
    Delete {
        /// The keys.
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
        #[command(flatten)]
        client: client::Arguments,
    },
}

/// Does it, and gives the exit code.
pub fn run(command: &Command) -> Outcome {
    match command {
        Command::List { prefix, client, output } => {
            let client = Client::new(client)?;
            let items = pages::all(&client, PATH, &[("prefix", prefix.clone())])?;
            match output {
                Output::Json => show::out(&report::pretty(&json!({"items": items}))),
                Output::Text => items.iter().for_each(|item| {
                    show::out(&show::plain(&format!(
                        "{}  {}",
                        show::text(&item["receivedAt"]),
                        show::text(&item["key"])
                    )));
                }),
            }
        }
        Command::Delete { keys, client } => {
            let client = Client::new(client)?;
            for key in keys {
                client.delete(&pages::below(PATH, &[key]))?;
                show::out(&format!("forgot {}", show::plain(key)));
            }
        }
    }
    Ok(Ended::Fine)
}
