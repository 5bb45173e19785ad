//! `hallmark policy exempt` and `exemptions`: let one entry, or those of a pattern, pass one finding's code until a date.

use serde_json::{Value, json};

use super::client::{self, Client};
use super::{Ended, Outcome, Output, Trouble, pages, report, show};

/// Where the API has them.
const PATH: &str = "/api/policies/exemptions";

/// What `exempt` takes.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Exempt {
    #[command(subcommand)]
    action: Option<Action>,
    /// The entries: KIND/ENTRY, where '*' in either part stands for any characters, as in 'agents/legacy-*'.
    #[arg(required = true)]
    entries: Option<String>,
    /// The code of the findings that may pass.
    #[arg(required = true)]
    code: Option<String>,
    /// When it ends: a day, whose first moment (UTC) it is, or an instant.
    #[arg(long, value_name = "DATE", required = true)]
    until: Option<String>,
    /// Why: who allows it, and what for.
    #[arg(long, value_name = "TEXT", required = true)]
    reason: Option<String>,
    /// Only findings of this binding.
    #[arg(long, value_name = "NAME")]
    binding: Option<String>,
    /// Even where no plugin documents the code: one gives it all the same.
    #[arg(long)]
    undocumented: bool,
    #[command(flatten)]
    client: client::Arguments,
}

/// What else is done with exemptions.
#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Take an exemption back.
    Revoke {
        /// Its id.
        id: String,
        #[command(flatten)]
        client: client::Arguments,
    },
}

/// What `exemptions` takes.
#[derive(Debug, clap::Args)]
pub struct List {
    /// Also those that ended or were taken back.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    client: client::Arguments,
    /// How they are written.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Makes an exemption, or takes one back.
pub fn exempt(arguments: &Exempt) -> Outcome {
    let Exempt { action, entries, code, until, reason, binding, undocumented, client } = arguments;
    let exemption = match action {
        Some(Action::Revoke { id, client }) => {
            if !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
                let message = format!("'{id}' is not an exemption's id: see 'hallmark policy exemptions'");
                return Err(Trouble::Usage(message));
            }
            Client::new(client)?.post(&format!("{PATH}/{id}/revoke"), &json!({}))?.body
        }
        None => {
            let request = json!({
                "entries": entries, "code": code, "until": until, "reason": reason, "binding": binding,
                "undocumented": undocumented,
            });
            Client::new(client)?.post(PATH, &request)?.body
        }
    };
    show::out(&line(&exemption));
    if let Some(note) = exemption["note"].as_str() {
        show::err(&show::plain(&format!("note: {note}")));
    }
    Ok(Ended::Fine)
}

/// Lists every exemption that holds, or every one.
pub fn list(arguments: &List) -> Outcome {
    let client = Client::new(&arguments.client)?;
    let items = pages::all(&client, PATH, &[("all", Some(arguments.all.to_string()))])?;
    match arguments.output {
        Output::Json => show::out(&report::pretty(&json!({"items": items}))),
        Output::Text if items.is_empty() && arguments.all => show::out("no exemption was ever made"),
        Output::Text if items.is_empty() => show::out("no exemption holds"),
        Output::Text => items.iter().for_each(|item| show::out(&line(item))),
    }
    Ok(Ended::Fine)
}

fn line(exemption: &Value) -> String {
    let field = |name: &str| exemption[name].as_str().unwrap_or("-").to_owned();
    let binding = exemption["binding"].as_str().map_or_else(String::new, |binding| format!(" of {binding}"));
    let state = match field("state").as_str() {
        "revoked" => format!("revoked {} by {}", field("revokedAt"), field("revokedBy")),
        "expired" => format!("expired {}", field("until")),
        _ => format!("until {}", field("until")),
    };
    let text = format!(
        "{}  {} may pass {}{binding} {state} ({}: {})",
        field("id"),
        field("entries"),
        field("code"),
        field("author"),
        field("reason")
    );
    show::plain(&text)
}
