//! `hallmark verify`: what a signed statement attests, checked on this machine with nothing but the file and the key.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::{Ended, Outcome, Output, Trouble, report, show};
use crate::config::Limits;
use crate::http::ADDED;
use crate::names::Digest;
use crate::registry::decode::{Format, decode};
use crate::registry::signing::{Envelope, PublicKey};
use crate::registry::statement::{DigestSet, Statement};
use crate::registry::submission::mask;

/// Bytes of an envelope: a decision with its findings has far fewer.
const ENVELOPE_MAX_BYTES: u64 = 64 * 1024 * 1024;

/// What `verify` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The statement, as `decision export` writes it: a DSSE envelope.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The public key of who must have signed it, as `GET /api/signing-key` gives it.
    #[arg(long, value_name = "PUBLIC.pem")]
    key: PathBuf,
    /// A manifest that must be what the statement is about: what `hallmark get` gave, or the submission as it was sent.
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// How it is written.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Checks, says what is attested, and gives the exit code.
pub fn run(arguments: &Arguments) -> Outcome {
    let key = PublicKey::from_pem(&read(&arguments.key)?)
        .map_err(|error| Trouble::Usage(format!("--key: {}: {error}", arguments.key.display())))?;
    let wrong = |why: String| Trouble::Wrong(format!("error: {}: {why}", arguments.file.display()));
    let envelope: Envelope = serde_json::from_str(&read(&arguments.file)?)
        .map_err(|error| wrong(format!("it is no DSSE envelope: {error}")))?;
    let statement = Statement::verified(&envelope, &key).map_err(|why| wrong(why.to_string()))?;
    if let Some(manifest) = &arguments.manifest {
        check_manifest(manifest, &statement)?;
    }
    show::out(&match arguments.output {
        Output::Text => told(&statement, &envelope, &key, arguments.manifest.as_deref()),
        Output::Json => report::pretty(&json!({
            "keyId": key.id(), "statement": statement, "manifestMatches": arguments.manifest.as_ref().map(|_| true),
        })),
    });
    Ok(Ended::Fine)
}

fn read(file: &Path) -> Result<String, Trouble> {
    let usage = |why: String| Trouble::Usage(format!("{}: {why}", file.display()));
    let size = std::fs::metadata(file).map_err(|error| usage(error.to_string()))?.len();
    if size > ENVELOPE_MAX_BYTES {
        return Err(usage(format!("it has {size} bytes, more than the {ENVELOPE_MAX_BYTES} that are read")));
    }
    std::fs::read_to_string(file).map_err(|error| usage(error.to_string()))
}

/// Makes sure that the file is what was judged.
fn check_manifest(file: &Path, statement: &Statement) -> Result<(), Trouble> {
    let text = read(file)?;
    let is_yaml = file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    let limits = Limits { document_size_max_bytes: text.len(), ..Limits::default() };
    let value = decode(text.as_bytes(), if is_yaml { Format::Yaml } else { Format::Json }, &limits)
        .map_err(|error| Trouble::Usage(format!("--manifest: {}: {error}", file.display())))?;
    let digests: Vec<Digest> = readings(value).iter().map(digest_of).collect();
    let Some(subject) = statement.subject.first() else {
        return Err(Trouble::Wrong("error: the statement has no subject".to_owned()));
    };
    let is_subject = |digest: &Digest| subject.digest.get("sha256").is_some_and(|sha256| sha256 == digest.hex());
    if digests.iter().any(is_subject) {
        return Ok(());
    }
    let given = digests.first().map_or_else(|| "no digest".to_owned(), ToString::to_string);
    Err(Trouble::Wrong(format!(
        "error: {} is not what the statement is about: {} has {}, the file {given}",
        file.display(),
        show::plain(&subject.name),
        shown(&subject.digest)
    )))
}

fn digest_of(value: &Value) -> Digest {
    Digest::of(serde_json_canonicalizer::to_string(value).expect("what was decoded has a canonical form").as_bytes())
}

/// What the file may stand for: a resolved submission, one as the server shows it, and one as it was sent.
fn readings(value: Value) -> Vec<Value> {
    let Value::Object(mut fields) = value else { return vec![value] };
    let variables = fields.remove("variables");
    let mut readings = vec![Value::Object(fields.clone())];
    let sent = json!({"submission": fields, "variables": variables.map(as_kept).unwrap_or_default()});
    ADDED.iter().for_each(|name| drop(fields.remove(*name)));
    readings.push(Value::Object(fields.clone()));
    // The server shows an empty one where the submission has none.
    let without = |fields: &Map<String, Value>, name: &str, empty: &Value| {
        let mut fields = fields.clone();
        if fields.get(name) == Some(empty) {
            fields.remove(name);
        }
        fields
    };
    let untagged = without(&fields, "tags", &json!([]));
    readings.push(Value::Object(without(&untagged, "description", &Value::Null)));
    readings.push(Value::Object(without(&fields, "description", &Value::Null)));
    readings.push(Value::Object(untagged));
    readings.push(sent);
    readings
}

/// Variables as a decision keeps them: each with its value, a secret one's masked.
fn as_kept(variables: Value) -> Map<String, Value> {
    let Value::Object(variables) = variables else { return Map::new() };
    let kept = |(name, value): (String, Value)| {
        let secret = value["secret"] == true;
        let value = match (secret, value) {
            (true, _) => Value::String(mask(&name)),
            (false, Value::Object(mut form)) => form.remove("value").unwrap_or_default(),
            (false, value) => value,
        };
        (name, json!({"value": value, "secret": secret}))
    };
    variables.into_iter().map(kept).collect()
}

fn shown(digest: &DigestSet) -> String {
    let parts: Vec<_> = digest.iter().map(|(algorithm, hex)| format!("{algorithm}:{hex}")).collect();
    show::plain(&parts.join(", "))
}

fn told(statement: &Statement, envelope: &Envelope, key: &PublicKey, manifest: Option<&Path>) -> String {
    let predicate = &statement.predicate;
    let mut lines = vec![format!("verified: signed by {}", key.id())];
    if envelope.signatures.len() > 1 {
        let others = show::counted(envelope.signatures.len() - 1, "other signature");
        lines.push(format!("           {others} beside it, which this key says nothing about"));
    }
    for subject in &statement.subject {
        lines.push(format!("{}: {} {}", predicate.outcome.as_str(), subject.name, shown(&subject.digest)));
    }
    lines.push(format!("decision   {}", predicate.decision));
    lines.push(format!("tenant     {}", predicate.tenant));
    lines.push(format!("publisher  {}", predicate.publisher));
    lines.push(format!("submitted  {} as {}", predicate.submitted_at, shown(&predicate.submitted_digest)));
    for release in &predicate.releases {
        lines.push(format!("judged by  {} release {} {}", release.scope, release.number, shown(&release.digest)));
    }
    for plugin in &predicate.plugins {
        let observes = if plugin.mode == crate::report::Mode::Observe { ", observing" } else { "" };
        let stage = plugin.stage.as_str();
        lines.push(format!(
            "plugin     {} ({stage}{observes}) {} of {}",
            plugin.binding,
            shown(&plugin.digest),
            plugin.release
        ));
    }
    lines.extend(predicate.failures.iter().map(|failure| format!("broke      {} {}", failure.plugin, failure.cause)));
    lines.extend(predicate.findings.iter().map(show::brief));
    lines.extend(manifest.map(|file| format!("manifest   {} is what it is about", file.display())));
    lines.iter().map(|line| show::plain(line)).collect::<Vec<_>>().join("\n")
}
