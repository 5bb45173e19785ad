//! `hallmark config show`: what is in force, and who said so.

use anyhow::Context as _;
use clap::ArgMatches;
use clap::parser::ValueSource;
use serde_json::{Value, json};
use url::Url;

use super::configuration::{Configuration, Form, KEYS, Key, Origin};
use super::{Ended, Outcome, Output, Trouble, client, report, serve, show};
use crate::config::Limits;

/// What stands for a secret.
const MASK: &str = "********";

/// What is done with the configuration.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Show every key with its value and who said it: nobody (default), a file, a variable or a flag. Takes the flags of
    /// `serve` and of the clients. Secrets are masked.
    Show(Box<Arguments>),
}

/// What `config show` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    serve: serve::Arguments,
    #[command(flatten)]
    client: client::Arguments,
    /// Have the server judge the manifests and store nothing.
    #[arg(long)]
    dry_run: bool,
    /// How the values are written.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Shows it. `plain` is the whole command line as it is without any configuration.
pub fn run(command: &Command, configuration: &Configuration, matches: &ArgMatches, plain: &clap::Command) -> Outcome {
    let Command::Show(arguments) = command;
    let plain = ["config", "show"].iter().try_fold(plain, |command, name| command.find_subcommand(name));
    let plain = plain.context("the command line has lost 'config show'")?;
    let rows = rows(arguments, configuration, deepest(matches), plain)?;
    match arguments.output {
        Output::Json => show::out(&report::pretty(&json!({
            "file": configuration.file,
            "keys": rows.iter().map(Row::json).collect::<Vec<_>>(),
        }))),
        Output::Text => lines(&rows).iter().for_each(|line| show::out(line)),
    }
    Ok(Ended::Fine)
}

fn deepest(matches: &ArgMatches) -> &ArgMatches {
    matches.subcommand().map_or(matches, |(_, inner)| deepest(inner))
}

struct Row {
    name: String,
    value: Option<String>,
    default: Option<String>,
    origin: Origin,
    variables: Vec<String>,
    flag: String,
    meaning: String,
}

impl Row {
    fn json(&self) -> Value {
        let (origin, source) = match &self.origin {
            Origin::Default => ("default", None),
            Origin::File(path) => ("file", Some(path.display().to_string())),
            Origin::Environment(name) => ("environment", Some(name.clone())),
            Origin::Flag(name) => ("flag", Some(name.clone())),
        };
        json!({
            "key": self.name, "value": self.value, "origin": origin, "source": source, "default": self.default,
            "environment": self.variables, "flag": self.flag, "meaning": self.meaning,
        })
    }
}

fn rows(
    arguments: &Arguments,
    configuration: &Configuration,
    matches: &ArgMatches,
    plain: &clap::Command,
) -> Result<Vec<Row>, Trouble> {
    let declared = |key: &Key| plain.get_arguments().find(|argument| argument.get_id() == key.argument);
    let mut rows: Vec<Row> = KEYS
        .iter()
        .map(|key| {
            let argument = declared(key);
            let default = argument.and_then(|argument| argument.get_default_values().first());
            Row {
                name: key.name.to_owned(),
                value: value(key, matches),
                default: default.map(|value| value.to_string_lossy().into_owned()),
                origin: origin(key, configuration, matches),
                variables: key.variables(),
                flag: key.flag(),
                meaning: argument.and_then(|argument| argument.get_help()).map(ToString::to_string).unwrap_or_default(),
            }
        })
        .collect();
    let in_force = serde_json::to_value(configuration.limits(&arguments.serve.limits)?).unwrap_or_default();
    let defaults = serde_json::to_value(Limits::default()).unwrap_or_default();
    rows.extend(Limits::NAMES.iter().zip(Limits::MEANINGS).map(|(name, meaning)| {
        let is_flagged = arguments.serve.limits.iter().any(|limit| limit.split('=').next() == Some(name));
        Row {
            name: format!("limits.{name}"),
            value: Some(in_force[name].to_string()),
            default: Some(defaults[name].to_string()),
            origin: match is_flagged {
                true => Origin::Flag("--limit".to_owned()),
                false => configuration.origin_of_limit(name),
            },
            variables: vec![format!("HALLMARK_LIMITS__{}", name.to_uppercase())],
            flag: format!("--limit {name}=N"),
            meaning: meaning.trim().trim_end_matches('.').to_owned(),
        }
    }));
    Ok(rows)
}

fn origin(key: &Key, configuration: &Configuration, matches: &ArgMatches) -> Origin {
    match (matches.value_source(key.argument), configuration.given(key)) {
        (Some(ValueSource::CommandLine), _) => Origin::Flag(key.flag()),
        (Some(_), Some(given)) => given.origin.clone(),
        _ => Origin::Default,
    }
}

fn value(key: &Key, matches: &ArgMatches) -> Option<String> {
    let value = matches.get_raw(key.argument)?.next()?.to_string_lossy().into_owned();
    Some(match key.form {
        Form::Secret => MASK.to_owned(),
        Form::Address => without_password(&value),
        Form::Text | Form::Path | Form::Location | Form::Flag => value,
    })
}

/// A URL that can be shown. What cannot be told apart is masked whole.
fn without_password(address: &str) -> String {
    if address.starts_with("sqlite:") && !address.contains('?') {
        return address.to_owned();
    }
    let Ok(mut url) = Url::parse(address) else { return MASK.to_owned() };
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return MASK.to_owned();
    }
    if url.query_pairs().any(|(name, _)| name.to_ascii_lowercase().contains("pass")) {
        return MASK.to_owned();
    }
    if url.password().is_some() && url.set_password(Some(MASK)).is_err() {
        return MASK.to_owned();
    }
    url.to_string()
}

fn lines(rows: &[Row]) -> Vec<String> {
    let shown = |row: &Row| show::plain(row.value.as_deref().unwrap_or("-"));
    let width = |text: fn(&Row) -> String| rows.iter().map(|row| text(row).chars().count()).max().unwrap_or(0);
    let names = width(|row| row.name.clone());
    let values = width(|row| show::plain(row.value.as_deref().unwrap_or("-"))).min(40);
    let line = |row: &Row| format!("{:names$}  {:values$}  {}", row.name, shown(row), row.origin);
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_masked_wherever_a_url_has_them() {
        for (address, shown) in [
            ("sqlite:data/hallmark.db", "sqlite:data/hallmark.db"),
            ("postgres://db.example/registry", "postgres://db.example/registry"),
            ("postgres://hallmark:hush@db.example/registry", "postgres://hallmark:********@db.example/registry"),
            ("postgres://db.example/registry?user=a&password=hush", MASK),
            ("postgres://db.example/registry?sslpassword=hush", MASK),
            ("hallmark:hush@db.example", MASK),
        ] {
            let masked = without_password(address);
            assert!(!masked.contains("hush"), "{address}: {masked}");
            assert_eq!(masked, shown);
        }
    }
}
