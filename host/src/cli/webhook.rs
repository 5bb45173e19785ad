//! `hallmark webhook`: say where events are sent, and look at what was.

use serde_json::{Value, json};

use super::client::{self, Client};
use super::{Ended, Outcome, Output, Trouble, pages, report, show};

/// Where the API has them.
const PATH: &str = "/api/webhooks";

/// What is done with webhooks.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Send events to an address. Its secret is written to the standard output, once: nobody can be shown it again.
    Add {
        /// Where they are sent.
        url: String,
        /// What is sent, as in dev.hallmark.entry.published.v1; may be given often [default: everything].
        #[arg(long = "type", value_name = "TYPE")]
        types: Vec<String>,
        /// Of which kind of entries, as in agents; may be given often [default: everything].
        #[arg(long = "kind", value_name = "KIND")]
        kinds: Vec<String>,
        #[command(flatten)]
        client: client::Arguments,
    },
    /// List the webhooks, newest first.
    List {
        #[command(flatten)]
        client: client::Arguments,
        /// How they are written.
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Remove a webhook with the log of what was sent to it.
    Remove {
        /// Its id.
        id: String,
        #[command(flatten)]
        client: client::Arguments,
    },
    /// Give a webhook another secret, which is written to the standard output, once.
    Rotate {
        /// Its id.
        id: String,
        /// For how many hours the secret before signs too [default: the server's webhook_overlap_ms].
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=168))]
        overlap_hours: Option<u64>,
        #[command(flatten)]
        client: client::Arguments,
    },
    /// Send to a webhook again that was disabled, what waits first.
    Enable {
        /// Its id.
        id: String,
        #[command(flatten)]
        client: client::Arguments,
    },
    /// List what was sent to a webhook, and what waits, newest first.
    Deliveries {
        /// The webhook's id.
        id: String,
        /// How many at most.
        #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u8).range(1..=100))]
        limit: u8,
        /// Where the page before ended.
        #[arg(long)]
        cursor: Option<String>,
        #[command(flatten)]
        client: client::Arguments,
        /// How they are written.
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Send the event of a delivery once more.
    Replay {
        /// The webhook's id.
        id: String,
        /// The delivery's id.
        delivery: String,
        #[command(flatten)]
        client: client::Arguments,
    },
}

/// Does it, and gives the exit code.
pub fn run(command: &Command) -> Outcome {
    match command {
        Command::Add { url, types, kinds, client } => {
            let request = json!({"url": url, "types": types, "kinds": kinds});
            tell_secret(&Client::new(client)?.post(PATH, &request)?.body);
        }
        Command::List { client, output } => {
            let items = pages::all(&Client::new(client)?, PATH, &[])?;
            match output {
                Output::Json => show::out(&report::pretty(&json!({"items": items}))),
                Output::Text => items.iter().for_each(|item| show::out(&line(item))),
            }
        }
        Command::Remove { id, client } => {
            let removed = Client::new(client)?.delete(&format!("{PATH}/{}", sane("webhook", id)?))?.body;
            show::out(&show::plain(&format!("removed {}", line(&removed))));
        }
        Command::Rotate { id, overlap_hours, client } => {
            let request = match overlap_hours {
                Some(hours) => json!({"overlapSeconds": hours * 3_600}),
                None => json!({}),
            };
            let path = format!("{PATH}/{}/rotate", sane("webhook", id)?);
            tell_secret(&Client::new(client)?.post(&path, &request)?.body);
        }
        Command::Enable { id, client } => {
            let path = format!("{PATH}/{}/enable", sane("webhook", id)?);
            show::out(&line(&Client::new(client)?.post(&path, &json!({}))?.body));
        }
        Command::Deliveries { id, limit, cursor, client, output } => {
            let path = format!("{PATH}/{}/deliveries", sane("webhook", id)?);
            let query = [("limit", Some(limit.to_string())), ("cursor", cursor.clone())];
            let page = Client::new(client)?.get(&pages::path(&path, &query))?.body;
            match output {
                Output::Json => show::out(&report::pretty(&page)),
                Output::Text => {
                    page["items"].as_array().into_iter().flatten().for_each(|item| show::out(&delivery_line(item)));
                    pages::tell_more(&page);
                }
            }
        }
        Command::Replay { id, delivery, client } => {
            let path = format!("{PATH}/{}/deliveries/{}/replay", sane("webhook", id)?, sane("delivery", delivery)?);
            show::out(&delivery_line(&Client::new(client)?.post(&path, &json!({}))?.body));
        }
    }
    Ok(Ended::Fine)
}

/// An id that can stand in a path.
fn sane<'a>(what: &str, id: &'a str) -> Result<&'a str, Trouble> {
    if !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Ok(id);
    }
    let list = if what == "webhook" { "hallmark webhook list" } else { "hallmark webhook deliveries" };
    Err(Trouble::Usage(format!("'{id}' is not a {what}'s id: see '{list}'")))
}

fn tell_secret(webhook: &Value) {
    show::out(webhook["secret"].as_str().unwrap_or_default());
    show::err(&line(webhook));
}

fn words(value: &Value) -> String {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

fn line(webhook: &Value) -> String {
    let field = |name: &str| webhook[name].as_str().unwrap_or("-").to_owned();
    let (types, kinds) = (words(&webhook["types"]), words(&webhook["kinds"]));
    let types = if types.is_empty() { "every type".to_owned() } else { types };
    let kinds = if kinds.is_empty() { String::new() } else { format!(" of {kinds}") };
    let state = match field("state").as_str() {
        "disabled" => format!("disabled {}: {}", field("disabledAt"), field("disabledReason")),
        state => state.to_owned(),
    };
    let rotated = webhook["previousSecretUntil"].as_str();
    let rotated = rotated.map_or_else(String::new, |until| format!(", the secret before signs until {until}"));
    show::plain(&format!("{}  {}  {types}{kinds}  {state}{rotated}", field("id"), field("url")))
}

fn delivery_line(delivery: &Value) -> String {
    let field = |name: &str| delivery[name].as_str().unwrap_or("-").to_owned();
    let attempts = delivery["attempts"].as_array().cloned().unwrap_or_default();
    let last = attempts.last().map_or_else(String::new, |last| {
        let status = last["status"].as_u64().map_or_else(String::new, |status| format!(" {status}"));
        let error = last["error"].as_str().map_or_else(String::new, |error| format!(" ({error})"));
        format!(",{status}{error}")
    });
    let next = match field("state").as_str() {
        "waiting" => format!(", next {}", field("nextAt")),
        _ => String::new(),
    };
    let replay = delivery["replayOf"].as_str().map_or_else(String::new, |of| format!(", replays {of}"));
    let tries = show::counted(attempts.len(), "attempt");
    show::plain(&format!(
        "{}  {}  {}  {}  {tries}{last}{next}{replay}",
        field("id"),
        field("type"),
        field("subject"),
        field("state")
    ))
}
