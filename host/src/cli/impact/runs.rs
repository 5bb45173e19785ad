//! `hallmark impact`: previews that run or have run, looked at again by their ids.

use serde_json::{Value, json};

use super::super::client::{self, Client};
use super::super::pages::Paging;
use super::super::{Ended, Outcome, Output, Trouble, pages, report, show};
use super::{PATH, ReportOptions, end_of, look_until_ended};

/// What is done with previews.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List previews, newest first: what each is of, and how far it is.
    List {
        #[command(flatten)]
        paging: Paging,
        #[command(flatten)]
        client: client::Arguments,
        /// How the page is written.
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Show what a preview has found, while it runs and afterwards. Exit code 1 where something would newly fail, or could
    /// not be judged.
    Show {
        /// Its id.
        id: String,
        /// Wait until it has ended. Ctrl-C ends the waiting alone.
        #[arg(long)]
        wait: bool,
        #[command(flatten)]
        report: ReportOptions,
        #[command(flatten)]
        client: client::Arguments,
    },
    /// Stop a preview; what it has found until then stays.
    Cancel {
        /// Its id.
        id: String,
        #[command(flatten)]
        client: client::Arguments,
    },
}

/// Does what is asked of previews.
pub fn run(command: &Command) -> Outcome {
    match command {
        Command::List { paging, client, output } => {
            list(&Client::new(client)?.get(&pages::path(PATH, &paging.parameters()))?.body, *output);
            Ok(Ended::Fine)
        }
        Command::Show { id, wait, report, client } => {
            let (client, id) = (Client::new(client)?, checked(id)?);
            let run = match wait {
                true => look_until_ended(&client, id, "", || false)?.unwrap_or_default(),
                false => client.get(&format!("{PATH}/{id}"))?.body,
            };
            super::report(&client, &run, report)?;
            // Nobody asked for its end.
            Ok(if run["state"] == "running" { Ended::Fine } else { end_of(&run) })
        }
        Command::Cancel { id, client } => {
            let run = Client::new(client)?.post(&format!("{PATH}/{}/cancel", checked(id)?), &json!({}))?.body;
            show::out(&match run["state"].as_str() {
                Some("cancelled") => format!("preview {id} is cancelled"),
                state => format!("preview {id} had ended before: it is {}", show::plain(state.unwrap_or("?"))),
            });
            Ok(Ended::Fine)
        }
    }
}

fn checked(id: &str) -> Result<&str, Trouble> {
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(Trouble::Usage(format!("'{id}' is not a preview's id: see 'hallmark impact list'")));
    }
    Ok(id)
}

fn list(page: &Value, output: Output) {
    if output == Output::Json {
        show::out(&report::pretty(page));
        return;
    }
    let runs = page["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    if runs.is_empty() {
        show::out("no preview was made");
    }
    runs.iter().for_each(|run| show::out(&line(run)));
    pages::tell_more(page);
}

/// One run: `0199…  done       2026-01-02T03:04:05.678Z  ada  policies release 2, 3 of 3 judged`.
fn line(run: &Value) -> String {
    let word = |field: &str| show::plain(run[field].as_str().unwrap_or("?"));
    let candidate = match run["candidate"]["release"].as_i64() {
        Some(number) => format!("release {number}"),
        None => "a folder".to_owned(),
    };
    let what = match (run["since"].as_str(), run["sample"].as_i64()) {
        (Some(since), _) => format!(", since {}", show::plain(since)),
        (None, Some(sample)) => format!(", a sample of {sample}"),
        (None, None) => String::new(),
    };
    let why = run["why"].as_str().map_or_else(String::new, |why| format!(" ({})", show::plain(why)));
    let progress = &run["progress"];
    format!(
        "{}  {:9}  {}  {}  {} {candidate}{what}: {} of {} judged{why}",
        word("id"),
        word("state"),
        word("createdAt"),
        word("author"),
        word("scope"),
        progress["judged"],
        progress["versions"]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_a_preview_is_of_and_how_far_it_is() {
        let mut run = json!({
            "id": "0199-a", "state": "running", "createdAt": "2026-01-02T03:04:05.678Z", "author": "ada", "scope": "policies",
            "candidate": {"digest": "sha256:0", "release": 2}, "what": "active",
            "progress": {"versions": 30, "judged": 7, "chunks": 3, "done": 1},
        });
        assert_eq!(line(&run), "0199-a  running    2026-01-02T03:04:05.678Z  ada  policies release 2: 7 of 30 judged");
        run["candidate"]["release"] = Value::Null;
        run["since"] = json!("2026-01-01T00:00:00.000Z");
        (run["state"], run["why"]) = (json!("failed"), json!("it broke"));
        assert_eq!(
            line(&run),
            "0199-a  failed     2026-01-02T03:04:05.678Z  ada  policies a folder, since 2026-01-01T00:00:00.000Z: \
             7 of 30 judged (it broke)"
        );
    }
}
