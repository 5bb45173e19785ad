//! `hallmark trust-publisher`: let a CI publish by the tokens that its issuer signs for it, without a secret.

use serde_json::{Value, json};

use super::client::{self, Client};
use super::{Ended, Outcome, Output, Trouble, pages, report, show};
use crate::identity::Claims;

/// Where the API has them.
const PATH: &str = "/api/trusted-publishers";

/// What is done with trusted publishers.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Let whoever an issuer vouches for, with these claims, publish these entries.
    Add {
        /// What it is called.
        name: String,
        /// The issuer that vouches for it: its name in the server's settings, or its URL.
        #[arg(long, value_name = "ISSUER")]
        issuer: String,
        /// What its tokens must claim: NAME=VALUE, where '*' in the value stands for any characters, as in
        /// 'ref=refs/tags/v*'; each claim that is named must hold, and of one that is named twice either value.
        #[arg(long = "claim", value_name = "NAME=VALUE", required = true)]
        claims: Vec<String>,
        /// The entries that it may publish: KIND/ENTRY, where '*' stands for any characters, as in 'agents/search-*';
        /// may be given often.
        #[arg(long = "entries", value_name = "PATTERN", required = true)]
        entries: Vec<String>,
        #[command(flatten)]
        client: client::Arguments,
    },
    /// List the trusted publishers, newest first.
    List {
        /// Also those that were removed.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        client: client::Arguments,
        /// How they are written.
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Trust a publisher no more.
    Remove {
        /// Its id.
        id: String,
        #[command(flatten)]
        client: client::Arguments,
    },
}

/// Does it, and gives the exit code.
pub fn run(command: &Command) -> Outcome {
    match command {
        Command::Add { name, issuer, claims, entries, client } => {
            let claims = read(claims)?;
            let request = json!({"name": name, "issuer": issuer, "claims": claims, "entries": entries});
            show::out(&line(&Client::new(client)?.post(PATH, &request)?.body));
            Ok(Ended::Fine)
        }
        Command::List { all, client, output } => list(*all, client, *output),
        Command::Remove { id, .. } if !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') => {
            Err(Trouble::Usage(format!("'{id}' is no trusted publisher's id: see 'hallmark trust-publisher list'")))
        }
        Command::Remove { id, client } => {
            show::out(&line(&Client::new(client)?.post(&format!("{PATH}/{id}/remove"), &json!({}))?.body));
            Ok(Ended::Fine)
        }
    }
}

fn read(given: &[String]) -> Result<Claims, Trouble> {
    let mut claims = Claims::default();
    for claim in given {
        let Some((name, value)) = claim.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            let message = format!("--claim: '{claim}' is not of the form NAME=VALUE, as in repository=acme/agents");
            return Err(Trouble::Usage(message));
        };
        claims.add(name.to_owned(), value.to_owned());
    }
    Ok(claims)
}

fn list(all: bool, client: &client::Arguments, output: Output) -> Outcome {
    let client = Client::new(client)?;
    let mut items = pages::all(&client, PATH, &[])?;
    items.retain(|item| all || item["state"] == "trusted");
    match output {
        Output::Json => show::out(&report::pretty(&json!({"items": items}))),
        Output::Text => items.iter().for_each(|item| show::out(&line(item))),
    }
    Ok(Ended::Fine)
}

fn line(publisher: &Value) -> String {
    let field = |name: &str| publisher[name].as_str().unwrap_or("-").to_owned();
    let entries: Vec<&str> = publisher["entries"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let claims: Claims = serde_json::from_value(publisher["claims"].clone()).unwrap_or_default();
    let state = match field("state").as_str() {
        "removed" => format!("removed {} by {}", field("removedAt"), field("removedBy")),
        _ => format!("since {} by {}", field("addedAt"), field("addedBy")),
    };
    let (id, name, issuer) = (field("id"), field("name"), field("issuer"));
    show::plain(&format!("{id}  {name}  {issuer} with {claims}  may publish {}  {state}", entries.join(", ")))
}
