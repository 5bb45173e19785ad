//! `hallmark token`: make, list and revoke what people and programs ask a server with.

use serde_json::{Value, json};

use super::client::{self, Client};
use super::{Ended, Outcome, Output, Trouble, pages, report, show};
use crate::clock::{Instant, Millis};

/// Where the API has them.
const PATH: &str = "/api/tokens";

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// What is done with tokens.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make a token. It is written to the standard output, once: nobody can be shown it again.
    Create {
        /// What it is called; decisions and the audit log name by it who published.
        name: String,
        /// What it is for: reader, publisher, rules or admin; may be given often.
        #[arg(long = "role", value_name = "ROLE", required = true)]
        roles: Vec<String>,
        /// The entries that a publisher may change: KIND/ENTRY, where '*' stands for any characters, as in
        /// 'agents/search-*'; may be given often [default: every entry].
        #[arg(long = "entries", value_name = "PATTERN")]
        entries: Vec<String>,
        /// When it ends: a day, whose first moment (UTC) it is, or an instant.
        #[arg(long, value_name = "DATE", conflicts_with = "days")]
        until: Option<String>,
        /// For how many days it holds.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
        days: Option<u16>,
        #[command(flatten)]
        client: client::Arguments,
    },
    /// List the tokens, newest first.
    List {
        /// Also those that expired or were revoked.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        client: client::Arguments,
        /// How they are written.
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Revoke a token, or every one that was made before a time, but the one that asks.
    Revoke {
        /// Its id.
        #[arg(required_unless_present = "before")]
        id: Option<String>,
        /// A day, whose first moment (UTC) it is, or an instant.
        #[arg(long, value_name = "TIME", conflicts_with = "id")]
        before: Option<String>,
        #[command(flatten)]
        client: client::Arguments,
    },
}

/// Does it, and gives the exit code.
pub fn run(command: &Command) -> Outcome {
    match command {
        Command::Create { name, roles, entries, until, days, client } => {
            let expires_at = match days {
                Some(days) => Some(Instant(Millis(Millis::now().0 + i64::from(*days) * DAY_MS)).to_string()),
                None => until.clone(),
            };
            let request = json!({"name": name, "roles": roles, "entries": entries, "expiresAt": expires_at});
            let made = Client::new(client)?.post(PATH, &request)?.body;
            show::out(made["token"].as_str().unwrap_or_default());
            show::err(&line(&made));
            Ok(Ended::Fine)
        }
        Command::List { all, client, output } => list(*all, client, *output),
        Command::Revoke { id, before, client } => revoke(id.as_deref(), before.as_deref(), client),
    }
}

fn revoke(id: Option<&str>, before: Option<&str>, client: &client::Arguments) -> Outcome {
    let client = Client::new(client)?;
    match id {
        Some(id) if !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') => {
            Err(Trouble::Usage(format!("'{id}' is not a token's id: see 'hallmark token list'")))
        }
        Some(id) => {
            show::out(&line(&client.post(&format!("{PATH}/{id}/revoke"), &json!({}))?.body));
            Ok(Ended::Fine)
        }
        None => {
            let done = client.post(&format!("{PATH}/revoke"), &json!({"before": before}))?.body;
            show::out(&match done["revoked"].as_u64() {
                Some(1) => "revoked 1 token".to_owned(),
                count => format!("revoked {} tokens", count.unwrap_or_default()),
            });
            Ok(Ended::Fine)
        }
    }
}

fn list(all: bool, client: &client::Arguments, output: Output) -> Outcome {
    let client = Client::new(client)?;
    let mut items = pages::all(&client, PATH, &[])?;
    items.retain(|item| all || item["state"] == "holding");
    match output {
        Output::Json => show::out(&report::pretty(&json!({"items": items}))),
        Output::Text => items.iter().for_each(|item| show::out(&line(item))),
    }
    Ok(Ended::Fine)
}

fn line(token: &Value) -> String {
    let field = |name: &str| token[name].as_str().unwrap_or("-").to_owned();
    let words =
        |name: &str| -> Vec<&str> { token[name].as_array().into_iter().flatten().filter_map(Value::as_str).collect() };
    let (roles, entries) = (words("roles").join(", "), words("entries").join(", "));
    let reach = if entries.is_empty() { String::new() } else { format!(" of {entries}") };
    let state = match field("state").as_str() {
        "revoked" => format!("revoked {} by {}", field("revokedAt"), field("revokedBy")),
        "expired" => format!("expired {}", field("expiresAt")),
        _ if token["expiresAt"].is_null() => "without end".to_owned(),
        _ => format!("until {}", field("expiresAt")),
    };
    let used = token["lastUsedAt"].as_str().map_or_else(|| "never used".to_owned(), |at| format!("last used {at}"));
    show::plain(&format!("{}  {}…  {}  {roles}{reach}  {state}, {used}", field("id"), field("prefix"), field("name")))
}
