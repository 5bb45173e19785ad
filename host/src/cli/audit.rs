//! `hallmark audit`: takes the audit log out, and checks that nobody worked on it. The check is made here, from the rows
//! as they are exported, so that it needs no trust in the server and none at all where the rows are in a file.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value;

use super::client::{self, Client};
use super::{Ended, Outcome, Trouble, show};
use crate::clock::{Instant, NoInstant};
use crate::registry::audit::chain::{Broken, Checked, Head, Verifier};

/// Rows that are asked for at once.
const PAGE_ROWS: u32 = 100;

/// What is done with the log.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
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
    let mut query = vec![("limit", PAGE_ROWS.to_string())];
    let bounds = [("since", since), ("until", until)];
    query.extend(bounds.into_iter().filter_map(|(name, at)| Some((name, at?.to_string()))));
    loop {
        let text = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&query).finish();
        let mut page = client.get(&format!("/api/audit?{text}"))?.body;
        let Value::Array(items) = page["items"].take() else {
            return Err(Trouble::CouldNotRun(anyhow::anyhow!("the server's answer has no rows")).into());
        };
        items.into_iter().try_for_each(&mut take)?;
        // It holds the bounds that the first page was asked for.
        let Some(next) = page["nextCursor"].as_str() else { return Ok(()) };
        query = vec![("limit", PAGE_ROWS.to_string()), ("cursor", next.to_owned())];
    }
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

fn verify_server(head: Option<Head>, client: &client::Arguments) -> Outcome {
    let client = Client::new(client)?;
    let mut verifier = Verifier::new(head);
    let checked = match read_rows(&client, [None, None], |row| verifier.take(row).map_err(Halt::Broken)) {
        Err(Halt::Trouble(trouble)) => return Err(trouble),
        Err(Halt::Broken(broken)) => Err(broken),
        Ok(()) => verifier.end(),
    };
    match checked {
        Ok(checked) => {
            let ended = tell_checked(&checked);
            Ok(ended.max(tell_status(&client.get("/api/audit/status")?.body)))
        }
        Err(broken) => Ok(tell_broken(&broken)),
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
    show::out(&format!("head {head}: keep it elsewhere, and check with --head that a later log still holds it"));
    Ended::Fine
}

/// What the server knows beside the rows.
fn tell_status(status: &Value) -> Ended {
    let count = |name: &str| usize::try_from(status[name].as_u64().unwrap_or(0)).unwrap_or(usize::MAX);
    match count("waiting") {
        0 => show::out("no row waits to be sealed"),
        1 => show::out("1 row waits to be sealed, and is not checked"),
        waiting => show::out(&format!("{waiting} rows wait to be sealed, and are not checked")),
    }
    let unrecorded = status["unrecorded"].as_array().map(Vec::as_slice).unwrap_or_default();
    for version in unrecorded {
        let version = show::plain(version.as_str().unwrap_or("?"));
        show::out(&format!("the log does not tell that {version} was published as it is stored"));
    }
    if unrecorded.is_empty() {
        show::out(&format!("{} stored: the log tells of each", show::counted(count("versions"), "version")));
        return Ended::Fine;
    }
    Ended::Findings
}
