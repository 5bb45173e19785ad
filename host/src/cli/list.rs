//! `hallmark list`: a page of a kind's entries.

use serde_json::Value;

use super::client::{self, Client};
use super::pages::Paging;
use super::{Ended, Outcome, Output, pages, publish, report, show};
use crate::names::KindName;

/// What `list` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The kind, as in `agents`.
    kind: KindName,
    /// Only entries in these statuses: draft, active, deprecated, disabled, or all. Without it, active and deprecated ones.
    #[arg(long, value_name = "STATUS,…")]
    status: Option<String>,
    /// Only entries with this tag.
    #[arg(long)]
    tag: Option<String>,
    /// Only entries of this category, where the kind has categories.
    #[arg(long)]
    category: Option<String>,
    /// Only entries that hold each of these words, or one that begins so.
    #[arg(long, value_name = "WORDS")]
    search: Option<String>,
    /// The order: id, recent, popular or rating.
    #[arg(long, value_name = "ORDER")]
    sort: Option<String>,
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
        ("status", arguments.status.clone()),
        ("tag", arguments.tag.clone()),
        ("category", arguments.category.clone()),
        ("search", arguments.search.clone()),
        ("sort", arguments.sort.clone()),
    ];
    let parameters = [&parameters[..], &arguments.paging.parameters()].concat();
    let path = pages::path(&format!("/api/{}", arguments.kind), &parameters);
    let client = Client::new(&arguments.client)?;
    let page = client.get(&path)?.body;
    if arguments.output == Output::Json {
        show::out(&report::pretty(&page));
        return Ok(Ended::Fine);
    }
    let items = page["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let kinds = publish::kinds(&client)?;
    let id_field = kinds.iter().find(|kind| kind.name == arguments.kind).map_or("id", |kind| kind.id_field.as_str());
    for line in columns(items, id_field) {
        show::out(&line);
    }
    pages::tell_more(&page);
    Ok(Ended::Fine)
}

/// Id, version, status and name, one entry a line.
fn columns(items: &[Value], id_field: &str) -> Vec<String> {
    let text = |item: &Value, field: &str| show::plain(item[field].as_str().unwrap_or("-"));
    let rows: Vec<[String; 4]> = items
        .iter()
        .map(|item| [text(item, id_field), text(item, "version"), text(item, "status"), text(item, "name")])
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    let line = |[id, version, status, name]: &[String; 4]| {
        format!("{id:0$}  {version:1$}  {status:2$}  {name}", widths[0], widths[1], widths[2])
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_line_up() {
        let items = [
            json!({"agentId": "a", "version": "1.0.0", "status": "active", "name": "A"}),
            json!({"agentId": "planner", "version": "10.0.0-rc.1", "status": "active", "name": "The planner"}),
        ];
        assert_eq!(
            columns(&items, "agentId"),
            ["a        1.0.0        active  A", "planner  10.0.0-rc.1  active  The planner"]
        );
    }
}
