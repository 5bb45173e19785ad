//! `hallmark search`: entries of every kind that hold each of some words, or one that begins so.

use serde_json::Value;

use super::client::{self, Client};
use super::pages::Paging;
use super::{Ended, Outcome, Output, pages, report, show};
use crate::names::KindName;

/// What `search` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The words.
    #[arg(required = true)]
    words: Vec<String>,
    /// Only entries of this kind, as in `agents`.
    #[arg(long)]
    kind: Option<KindName>,
    /// Only entries in these statuses: draft, active, deprecated, disabled, or all. Without it, active and deprecated ones.
    #[arg(long, value_name = "STATUS,…")]
    status: Option<String>,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    client: client::Arguments,
    /// How the page is written.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Asks, writes, and gives the exit code.
pub fn run(arguments: &Arguments) -> Outcome {
    let parameters = [
        ("q", Some(arguments.words.join(" "))),
        ("kind", arguments.kind.as_ref().map(ToString::to_string)),
        ("status", arguments.status.clone()),
    ];
    let parameters = [&parameters[..], &arguments.paging.parameters()].concat();
    let page = Client::new(&arguments.client)?.get(&pages::path("/api/search", &parameters))?.body;
    if arguments.output == Output::Json {
        show::out(&report::pretty(&page));
        return Ok(Ended::Fine);
    }
    let items = page["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    if items.is_empty() {
        show::out("nothing is found");
    }
    items.iter().for_each(|item| show::out(&brief(item)));
    pages::tell_more(&page);
    Ok(Ended::Fine)
}

/// An entry of any kind on one line.
pub fn brief(item: &Value) -> String {
    let field = |name: &str| item[name].as_str().unwrap_or("-");
    let status = match field("status") {
        "active" => String::new(),
        status => format!(" ({status})"),
    };
    let description = item["description"].as_str().map_or_else(String::new, |text| format!(": {text}"));
    let line =
        format!("{}/{} {}{status}  {}{description}", field("kind"), field("id"), field("version"), field("name"));
    show::plain(&line).replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_entry_stands_on_one_line() {
        let mut item = json!({"kind": "agents", "id": "a", "version": "1.0.0", "status": "active", "name": "A",
                              "description": "One\ntwo"});
        assert_eq!(brief(&item), "agents/a 1.0.0  A: One two");
        item["status"] = json!("deprecated");
        item["description"] = Value::Null;
        assert_eq!(brief(&item), "agents/a 1.0.0 (deprecated)  A");
    }
}
