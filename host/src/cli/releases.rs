//! `hallmark module|policy releases`: a page of a scope's releases, newest first, with what each is to the scope now.

use serde_json::Value;

use super::client::{self, Client};
use super::pages::Paging;
use super::rules::path;
use super::{Ended, Outcome, Output, pages, report, show};
use crate::names::Scope;

/// Characters of a digest that are shown, its algorithm included: enough to tell one release from another.
const DIGEST_SHOWN: usize = "sha256:".len() + 12;

/// What `releases` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    client: client::Arguments,
    /// How the page is written.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Asks, writes, and gives the exit code.
pub fn run(scope: &Scope, arguments: &Arguments) -> Outcome {
    let list = pages::path(&format!("{}/releases", path(scope)), &arguments.paging.parameters());
    let page = Client::new(&arguments.client)?.get(&list)?.body;
    if arguments.output == Output::Json {
        show::out(&report::pretty(&page));
        return Ok(Ended::Fine);
    }
    let lines = columns(&page);
    if lines.is_empty() {
        show::out(&format!("{scope}: no release was made"));
    }
    lines.iter().for_each(|line| show::out(line));
    pages::tell_more(&page);
    Ok(Ended::Fine)
}

/// Number, what it is now, when it was made and by whom, digest and message, one release a line.
fn columns(page: &Value) -> Vec<String> {
    let text = |value: &Value| show::plain(value.as_str().unwrap_or("-")).replace('\n', " ");
    let items = page["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let rows: Vec<[String; 6]> = items
        .iter()
        .map(|release| {
            let digest: String = text(&release["digest"]).chars().take(DIGEST_SHOWN).collect();
            let [made_at, author, message] = ["createdAt", "author", "message"].map(|field| text(&release[field]));
            [release["number"].to_string(), show::plain(&standing(page, release)), made_at, author, digest, message]
        })
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3), width(4)];
    let line = |[number, standing, made_at, author, digest, message]: &[String; 6]| {
        let line = format!(
            "{number:>0$}  {standing:1$}  {made_at:2$}  {author:3$}  {digest:4$}  {message}",
            widths[0], widths[1], widths[2], widths[3], widths[4]
        );
        line.trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// What a release is to its scope now: `active since … by bob`, `staged`, `shadow of 25 %`.
fn standing(page: &Value, release: &Value) -> String {
    let mut is = Vec::new();
    if release["active"] == true {
        let since = page["activatedAt"].as_str().map_or_else(String::new, |at| format!(" since {at}"));
        let by = page["activatedBy"].as_str().map_or_else(String::new, |by| format!(" by {by}"));
        is.push(format!("active{since}{by}"));
    }
    let shadow = &page["shadow"];
    if shadow.is_object() && shadow["release"] == release["number"] {
        is.push(match shadow["state"].as_str() {
            Some("staged") => "staged".to_owned(),
            _ => format!("shadow of {} %", shadow["percent"]),
        });
    }
    if is.is_empty() { "-".to_owned() } else { is.join(", ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn release(number: i64, message: &str, is_active: bool) -> Value {
        json!({
            "number": number, "digest": format!("sha256:{}", "0123456789abcdef".repeat(4)), "author": "ada",
            "message": message, "createdAt": "2026-01-02T03:04:05.678Z", "active": is_active,
        })
    }

    #[test]
    fn says_which_is_active_and_which_runs_beside_it() {
        let items = [release(10, "tags\nand more", false), release(9, "", true), release(8, "first", false)];
        let mut page = json!({
            "items": items, "active": 9, "activatedAt": "2026-02-03T04:05:06.789Z", "activatedBy": "bob",
            "shadow": {"release": 10, "state": "shadowing", "percent": 25},
        });
        assert_eq!(
            columns(&page),
            [
                "10  shadow of 25 %                                2026-01-02T03:04:05.678Z  ada  sha256:0123456789ab  tags and more",
                " 9  active since 2026-02-03T04:05:06.789Z by bob  2026-01-02T03:04:05.678Z  ada  sha256:0123456789ab",
                " 8  -                                             2026-01-02T03:04:05.678Z  ada  sha256:0123456789ab  first",
            ]
        );
        page["shadow"]["state"] = json!("staged");
        assert!(columns(&page)[0].starts_with("10  staged  "));
        page["shadow"] = json!(null);
        assert!(columns(&page)[0].starts_with("10  -  "));
    }
}
