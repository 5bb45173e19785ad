//! `hallmark audit`: takes the audit log out, and checks that nobody worked on it. The check is made here, from the rows
//! as they are exported, so that it needs no trust in the server and none at all where the rows are in a file.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use super::client::{self, Client};
use super::{Ended, Outcome, Trouble, show};
use crate::clock::{Instant, NoInstant};
use crate::names::Digest;
use crate::registry::audit::chain::{Broken, Checked, Head, Verifier};

/// Rows that are asked for at once.
const PAGE_ROWS: u32 = 100;

/// How often a page is asked for where the server is busy, and how long is waited between.
const BUSY_TRIES_MAX: u32 = 40;
const BUSY_PAUSE: Duration = Duration::from_millis(250);

/// Versions that are named of which the log does not tell.
const NAMED_MAX: usize = 10;

/// What is done with the log.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Show how far the log is sealed: the head to keep elsewhere, and the rows that wait.
    Status {
        #[command(flatten)]
        client: client::Arguments,
    },
    /// Write the log as JSON lines, a row each.
    Export {
        /// Leave out what was written before: a date, or an instant as in 2026-11-20T17:40:56Z.
        #[arg(long, value_name = "TIME", value_parser = instant)]
        since: Option<Instant>,
        /// Leave out what was written at this time or later.
        #[arg(long, value_name = "TIME", value_parser = instant)]
        until: Option<Instant>,
        /// The file to write; without it, standard output.
        #[arg(long, short, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        client: client::Arguments,
    },
    /// Check that no row was edited, removed or put in since it was sealed, and name the first that was.
    Verify {
        /// A file that `export` wrote, checked without a server.
        file: Option<PathBuf>,
        /// A head that was kept from an earlier check: make sure that it is part of the log.
        #[arg(long, value_name = "PLACE:HASH")]
        head: Option<Head>,
        #[command(flatten)]
        client: client::Arguments,
    },
}

fn instant(text: &str) -> Result<Instant, NoInstant> {
    text.parse()
}

/// Runs what is asked.
pub fn run(command: &Command) -> Outcome {
    match command {
        Command::Status { client } => status(client),
        Command::Export { since, until, out, client } => export([*since, *until], out.as_deref(), client),
        Command::Verify { file: Some(file), head, .. } => verify_file(file, head.clone()),
        Command::Verify { file: None, head, client } => verify_server(head.clone(), client),
    }
}

/// Why the rows are not read on.
enum Halt {
    Trouble(Trouble),
    Broken(Broken),
}

impl From<Trouble> for Halt {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

/// Gives each row of the log to `take`, in order.
fn read_rows(
    client: &Client,
    [since, until]: [Option<Instant>; 2],
    mut take: impl FnMut(Value) -> Result<(), Halt>,
) -> Result<(), Halt> {
    let bounds = [("since", since), ("until", until)];
    let bounds = bounds.into_iter().filter_map(|(name, at)| Some((name, at?.to_string()))).collect();
    read_pages(client, "/api/audit", bounds, &mut take)
}

/// Gives each thing of a list to `take`, in order.
fn read_pages<E: From<Trouble>>(
    client: &Client,
    path: &str,
    mut query: Vec<(&str, String)>,
    mut take: impl FnMut(Value) -> Result<(), E>,
) -> Result<(), E> {
    loop {
        query.push(("limit", PAGE_ROWS.to_string()));
        let text = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&query).finish();
        let mut page = patiently(client, &format!("{path}?{text}"))?;
        let Value::Array(items) = page["items"].take() else {
            return Err(Trouble::CouldNotRun(anyhow::anyhow!("the server's answer has no rows")).into());
        };
        items.into_iter().try_for_each(&mut take)?;
        // It holds what the first page was asked for.
        let Some(next) = page["nextCursor"].as_str() else { return Ok(()) };
        query = vec![("cursor", next.to_owned())];
    }
}

/// Asks again where others read the log: an export of many pages would else end at the first that meets them.
fn patiently(client: &Client, path: &str) -> Result<Value, Trouble> {
    for _ in 1..BUSY_TRIES_MAX {
        match client.try_get(path)? {
            Err(problem) if problem.code == "busy" => thread::sleep(BUSY_PAUSE),
            answer => return Ok(answer?.body),
        }
    }
    Ok(client.get(path)?.body)
}

fn export(bounds: [Option<Instant>; 2], file: Option<&Path>, client: &client::Arguments) -> Outcome {
    let client = Client::new(client)?;
    let out: Box<dyn Write> = match file {
        Some(path) => Box::new(File::create(path).with_context(|| format!("{} cannot be written", path.display()))?),
        None => Box::new(std::io::stdout().lock()),
    };
    let mut out = BufWriter::new(out);
    let unwritten = |error: std::io::Error| Trouble::from(anyhow::Error::from(error).context("cannot write the rows"));
    let written = read_rows(&client, bounds, |row| Ok(writeln!(out, "{row}").map_err(unwritten)?));
    match written {
        Err(Halt::Trouble(trouble)) => return Err(trouble),
        Err(Halt::Broken(broken)) => return Ok(tell_broken(&broken)),
        Ok(()) => {}
    }
    out.flush().map_err(unwritten)?;
    Ok(Ended::Fine)
}

fn verify_file(path: &Path, head: Option<Head>) -> Outcome {
    let unreadable = || format!("{} cannot be read", path.display());
    let file = File::open(path).with_context(unreadable)?;
    let mut verifier = Verifier::new(head);
    for line in BufReader::new(file).lines() {
        if let Err(broken) = verifier.read(&line.with_context(unreadable)?) {
            return Ok(tell_broken(&broken));
        }
    }
    Ok(match verifier.end() {
        Ok(checked) => tell_checked(&checked),
        Err(broken) => tell_broken(&broken),
    })
}

/// The versions are read before the rows: one that does not wait by then has its row among those that follow.
fn verify_server(head: Option<Head>, client: &client::Arguments) -> Outcome {
    let client = Client::new(client)?;
    let mut versions = Versions::read(&client)?;
    let mut verifier = Verifier::new(head);
    let take = |row: Value| {
        let told = mark(&row["subject"], &row["body"]["digest"]);
        let is_publish = row["what"] == "entry.published";
        verifier.take(row).map_err(Halt::Broken)?;
        if is_publish {
            versions.told(told);
        }
        Ok(())
    };
    let checked = match read_rows(&client, [None, None], take) {
        Err(Halt::Trouble(trouble)) => return Err(trouble),
        Err(Halt::Broken(broken)) => Err(broken),
        Ok(()) => verifier.end(),
    };
    match checked {
        Ok(checked) => {
            let ended = tell_checked(&checked);
            tell_waiting(&patiently(&client, "/api/audit/status")?, [", and is not checked", ", and are not checked"]);
            Ok(ended.max(versions.tell(&client)?))
        }
        Err(broken) => Ok(tell_broken(&broken)),
    }
}

/// A version with its digest, in 16 bytes: there may be many.
fn mark(subject: &Value, digest: &Value) -> u128 {
    let text = format!("{} {}", subject.as_str().unwrap_or_default(), digest.as_str().unwrap_or_default());
    let digest = Digest::of(text.as_bytes());
    u128::from_str_radix(&digest.hex()[..32], 16).expect("32 hexadecimal digits have 128 bits")
}

/// The stored versions that the log was not found to tell of yet.
#[derive(Default)]
struct Versions {
    count: usize,
    untold: HashSet<u128>,
    /// Their rows wait to be sealed.
    waiting: HashSet<u128>,
}

impl Versions {
    fn read(client: &Client) -> Result<Self, Trouble> {
        let mut versions = Self::default();
        read_pages(client, "/api/audit/versions", Vec::new(), |version| {
            versions.count += 1;
            let is_waiting = version["waiting"] == true;
            let which = if is_waiting { &mut versions.waiting } else { &mut versions.untold };
            which.insert(mark(&version["subject"], &version["digest"]));
            Ok::<_, Trouble>(())
        })?;
        Ok(versions)
    }

    fn told(&mut self, version: u128) {
        self.untold.remove(&version);
        self.waiting.remove(&version);
    }

    fn tell(&self, client: &Client) -> Outcome {
        if self.untold.is_empty() {
            let stored = format!("{} stored: the log tells of", show::counted(self.count, "version"));
            match self.waiting.len() {
                0 => show::out(&format!("{stored} each")),
                waiting => show::out(&format!("{stored} {}, what tells of the others waits", self.count - waiting)),
            }
            return Ok(Ended::Fine);
        }
        // Their names were not kept.
        let mut named = 0;
        read_pages(client, "/api/audit/versions", Vec::new(), |version| {
            if named < NAMED_MAX && self.untold.contains(&mark(&version["subject"], &version["digest"])) {
                let version = show::plain(version["subject"].as_str().unwrap_or("?"));
                show::out(&format!("the log does not tell that {version} was published as it is stored"));
                named += 1;
            }
            Ok::<_, Trouble>(())
        })?;
        if named < self.untold.len() {
            show::out(&format!("and so of {} more", self.untold.len() - named));
        }
        Ok(Ended::Findings)
    }
}

fn tell_broken(broken: &Broken) -> Ended {
    show::out(&show::plain(&format!("the audit log does not hold: {broken}")));
    Ended::Findings
}

fn tell_checked(checked: &Checked) -> Ended {
    let (Some(first), Some(head)) = (checked.first, &checked.head) else {
        show::out("the audit log has no sealed rows");
        return Ended::Fine;
    };
    show::out(&format!("rows {first} to {} follow from one another", head.place));
    if first > 1 {
        show::out(&format!("what comes before row {first} is not here, so row {first} is taken as it stands"));
    }
    show::out(&format!("head {head}"));
    show::out("keep the head elsewhere, and check with --head that a later log still holds it");
    Ended::Fine
}

fn status(client: &client::Arguments) -> Outcome {
    let status = patiently(&Client::new(client)?, "/api/audit/status")?;
    match (status["head"]["place"].as_i64(), status["head"]["hash"].as_str()) {
        (Some(place), Some(hash)) => show::out(&format!("head {place}:{hash}")),
        _ => show::out("the audit log has no sealed rows"),
    }
    tell_waiting(&status, ["", ""]);
    Ok(Ended::Fine)
}

/// How many rows wait, with what there is to say of one or of several.
fn tell_waiting(status: &Value, [of_one, of_several]: [&str; 2]) {
    show::out(&match status["waiting"].as_u64().unwrap_or(0) {
        0 => "no row waits to be sealed".to_owned(),
        1 => format!("1 row waits to be sealed{of_one}"),
        waiting => format!("{waiting} rows wait to be sealed{of_several}"),
    });
}
