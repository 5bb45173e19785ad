//! `hallmark module|policy impact`: what other rules would say of what is stored, before they are in force; and `hallmark
//! impact`, which looks at previews again.

mod runs;
mod sarif;

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum;
use serde_json::{Value, json};

use super::client::{self, Client};
use super::folder::{Folder, FolderError};
use super::{Ended, Outcome, Trouble, rules, show};
use crate::names::Scope;
pub use runs::{Command, run};

/// Where the API has runs.
const PATH: &str = "/api/impacts";

/// Between two looks at a run.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What a preview takes.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Judge every version published since a time in UTC, as in 2026-11-20 or 2026-11-20T17:40:56Z, and not the
    /// active version of every entry.
    #[arg(long, value_name = "TIME", conflicts_with = "sample")]
    since: Option<String>,
    /// Judge the active versions of as many entries, the same ones each time.
    #[arg(long, value_name = "NUMBER")]
    sample: Option<u32>,
    #[command(flatten)]
    report: ReportOptions,
    /// Wait for the report, which is what happens unless told otherwise. Ctrl-C cancels the preview.
    #[arg(long, overrides_with = "no_wait")]
    wait: bool,
    /// Begin the preview, say its id and leave it running.
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    client: client::Arguments,
}

/// How a report is written, and where.
#[derive(Debug, clap::Args)]
pub struct ReportOptions {
    /// How the report is written.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
    /// The file that the report is written to.
    #[arg(short = 'o', long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs: what the server answers.
    Json,
    /// For tools that show findings: SARIF 2.1.0.
    Sarif,
    /// A page that one can send.
    Html,
}

/// Previews what a folder says.
pub fn of_folder(folders: Result<Vec<Folder>, FolderError>, options: &Options) -> Outcome {
    let folders = folders?;
    let [folder] = &folders[..] else {
        return Err(Trouble::Usage(format!("the folder has {} modules: name the folder of one", folders.len())));
    };
    let client = Client::new(&options.client)?;
    rules::upload_missing(&client, folder)?;
    let candidate = json!({"rules": folder.rules});
    preview(&client, &folder.rules.scope, candidate, options)
}

/// Previews a release.
pub fn of_release(scope: &Scope, number: i64, options: &Options) -> Outcome {
    preview(&Client::new(&options.client)?, scope, json!({"release": number}), options)
}

fn preview(client: &Client, scope: &Scope, mut request: Value, options: &Options) -> Outcome {
    if let Some(since) = &options.since {
        request["since"] = json!(since);
    }
    if let Some(sample) = options.sample {
        request["sample"] = json!(sample);
    }
    let begun = client.post(&format!("{}/impact", rules::path(scope)), &request)?.body;
    let Some(id) = begun["id"].as_str() else {
        return Err(Trouble::CouldNotRun(anyhow::anyhow!("the server's answer names no preview")));
    };
    if options.no_wait {
        write(&options.report, &format!("{}\n", show::plain(id)))?;
        return Ok(Ended::Fine);
    }
    let ended = wait(client, id)?;
    report(client, &ended, &options.report)?;
    Ok(end_of(&ended))
}

/// Writes what a run found.
fn report(client: &Client, run: &Value, options: &ReportOptions) -> Result<(), Trouble> {
    let text = match options.output {
        Output::Text => text(run),
        Output::Json => format!("{run:#}\n"),
        Output::Sarif => format!("{:#}\n", sarif::of(run)),
        Output::Html => client.get_text(&format!("{PATH}/{}/page", run["id"].as_str().unwrap_or("?")))?,
    };
    write(options, &text)
}

/// What a command that waited for a run ends with.
fn end_of(run: &Value) -> Ended {
    match run["state"].as_str() {
        Some("done") if count(run, "newlyFail") + count(run, "notJudged") == 0 => Ended::Fine,
        Some("done") => Ended::Findings,
        _ => Ended::CouldNotRun,
    }
}

fn write(options: &ReportOptions, text: &str) -> Result<(), Trouble> {
    match &options.out {
        Some(file) => {
            std::fs::write(file, text).with_context(|| format!("{} cannot be written", file.display()))?;
        }
        None => show::out(text.trim_end_matches('\n')),
    }
    Ok(())
}

/// Waits for a run that this command began: Ctrl-C cancels it.
fn wait(client: &Client, id: &str) -> Result<Value, Trouble> {
    let interrupted = on_interrupt();
    let ended = look_until_ended(client, id, " (Ctrl-C cancels)", || interrupted.load(Ordering::Relaxed))?;
    match ended {
        Some(run) => Ok(run),
        None => {
            client.post(&format!("{PATH}/{id}/cancel"), &json!({}))?;
            Err(Trouble::Refused(format!("preview {} is cancelled", show::plain(id))))
        }
    }
}

/// Looks at the run until it has ended, and says how far it is where somebody watches; none where it was told to stop
/// looking before.
fn look_until_ended(
    client: &Client,
    id: &str,
    hint: &'static str,
    stop: impl Fn() -> bool,
) -> Result<Option<Value>, Trouble> {
    let mut progress = Progress::new(hint);
    loop {
        let run = client.get(&format!("{PATH}/{id}"))?.body;
        if run["state"] != "running" {
            progress.end();
            return Ok(Some(run));
        }
        progress.show(&run["progress"]);
        if stop() {
            progress.end();
            return Ok(None);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Set by Ctrl-C. Where signals cannot be listened to, Ctrl-C ends the command and leaves the run.
fn on_interrupt() -> Arc<AtomicBool> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&interrupted);
    std::thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            told.store(true, Ordering::Relaxed);
        }
    });
    interrupted
}

/// One line on a terminal, written over and over.
struct Progress {
    is_watched: bool,
    has_line: bool,
    hint: &'static str,
}

impl Progress {
    fn new(hint: &'static str) -> Self {
        Self { is_watched: std::io::stderr().is_terminal(), has_line: false, hint }
    }

    fn show(&mut self, progress: &Value) {
        if self.is_watched {
            let (judged, versions) = (&progress["judged"], &progress["versions"]);
            let _ = write!(std::io::stderr(), "\r\u{1b}[Kjudged {judged} of {versions}{}", self.hint);
            let _ = std::io::stderr().flush();
            self.has_line = true;
        }
    }

    fn end(&mut self) {
        if std::mem::take(&mut self.has_line) {
            let _ = write!(std::io::stderr(), "\r\u{1b}[K");
        }
    }
}

fn count(run: &Value, part: &str) -> u64 {
    run["counts"][part].as_u64().unwrap_or(0)
}

/// The report for people.
fn text(run: &Value) -> String {
    let word = |value: &Value| show::plain(value.as_str().unwrap_or("?"));
    let candidate = match run["candidate"]["release"].as_i64() {
        Some(number) => format!("release {number}"),
        None => "the folder".to_owned(),
    };
    let beside: Vec<String> = run["beside"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|release| format!("{} release {}", word(&release["scope"]), release["number"]))
        .collect();
    let mut text = format!(
        "{}: {candidate} beside {} (preview {})\n",
        word(&run["scope"]),
        if beside.is_empty() { "nothing".to_owned() } else { beside.join(", ") },
        word(&run["id"])
    );
    match run["exemptions"].as_i64() {
        None | Some(0) => {}
        Some(1) => text.push_str("1 exemption held when it began\n"),
        Some(count) => text.push_str(&format!("{count} exemptions held when it began\n")),
    }
    if let Some(bindings) = run["notIndependent"].as_str() {
        text.push_str(&format!(
            "{} declares settings independent that are not: the preview began again, by whole settings\n",
            show::plain(bindings)
        ));
    }
    if run["state"] != "done" {
        let why = run["why"].as_str().map(|why| format!(": {}", show::plain(why))).unwrap_or_default();
        text.push_str(&format!("the preview is {}{why}; so far\n", word(&run["state"])));
    }
    text.push_str(&format!(
        "{} judged: {} would newly fail, {} would newly pass, {} have other findings, {} could not be judged, {} \
         are unchanged\n",
        run["progress"]["judged"],
        count(run, "newlyFail"),
        count(run, "newlyPass"),
        count(run, "changed"),
        count(run, "notJudged"),
        count(run, "unchanged")
    ));
    for (part, title) in [
        ("newlyFail", "would newly fail"),
        ("newlyPass", "would newly pass"),
        ("changed", "other findings"),
        ("notJudged", "could not be judged"),
    ] {
        for group in run[part].as_array().into_iter().flatten() {
            text.push_str(&format!("\n{title}: {} ({})\n", word(&group["code"]), group["count"]));
            for example in group["examples"].as_array().into_iter().flatten() {
                let gone = if example["change"] == "gone" { "no longer: " } else { "" };
                let path = word(&example["path"]);
                let place = if path.is_empty() { String::new() } else { format!("{path}: ") };
                text.push_str(&format!(
                    "  {}/{} {}\n    {gone}{place}{}\n",
                    word(&example["kind"]),
                    word(&example["id"]),
                    word(&example["version"]),
                    word(&example["message"])
                ));
            }
        }
    }
    text
}

/// True where the argument is a folder and no number.
pub fn is_folder(argument: &str) -> bool {
    argument.parse::<i64>().is_err() || Path::new(argument).is_dir()
}
