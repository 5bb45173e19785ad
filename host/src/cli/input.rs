//! From paths to submissions: which files are read, which kind each is of, and the variables that go with it.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use serde_json::{Map, Value, json};

use super::Trouble;
use super::source::{Candidate, Overrides, Source, Unreadable};
use crate::config::Limits;
use crate::registry::decode::Format;
use crate::registry::release::Kind;

/// What `validate` and `publish` read.
#[derive(Debug, Default, clap::Args)]
pub struct Arguments {
    /// Files or folders (read recursively, by name: .json, .yaml, .yml); `-` is the standard input.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// The kind of the documents. Needed where a file holds a bare document without its submission around it.
    #[arg(long)]
    pub kind: Option<String>,
    /// The id of a bare document that does not carry one.
    #[arg(long)]
    pub id: Option<String>,
    /// The version of bare documents.
    #[arg(long)]
    pub version: Option<String>,
    /// The name of bare documents.
    #[arg(long)]
    pub name: Option<String>,
    /// Set a placeholder's value.
    #[arg(long = "var", value_name = "KEY=VALUE")]
    pub vars: Vec<String>,
    /// Set placeholders from a JSON or YAML file: an object of names to values.
    #[arg(long, value_name = "FILE")]
    pub var_file: Option<PathBuf>,
    /// Set a placeholder's value that is never shown, logged or stored.
    #[arg(long = "secret-var", value_name = "KEY=VALUE")]
    pub secret_vars: Vec<String>,
}

/// What the paths hold, in the order of the paths and, within a folder, of the names.
#[derive(Debug, Default)]
pub struct Read {
    /// The submissions.
    pub candidates: Vec<Candidate>,
    /// The files that cannot be decoded.
    pub unreadable: Vec<Unreadable>,
}

/// Reads every path.
///
/// # Errors
/// The command line, or a file that is no submission, in words that say what to write instead.
pub fn read(arguments: &Arguments, kinds: &[Arc<Kind>], limits: &Limits) -> Result<Read, Trouble> {
    let variables = variables(arguments, limits)?;
    let mut read = read_paths(arguments, kinds, limits)?;
    for candidate in &mut read.candidates {
        add_variables(candidate, &variables)?;
    }
    Ok(read)
}

/// Reads every path and adds no variables: for manifests that are taken as published.
///
/// # Errors
/// As `read`.
pub fn read_paths(arguments: &Arguments, kinds: &[Arc<Kind>], limits: &Limits) -> Result<Read, Trouble> {
    let reader = Reader {
        named: arguments.kind.as_deref().map(|kind| find_kind(kinds, kind)).transpose()?,
        kinds,
        overrides: Overrides {
            id: arguments.id.clone(),
            version: arguments.version.clone(),
            name: arguments.name.clone(),
        },
        limits,
    };
    let mut read = Read::default();
    for path in &arguments.paths {
        let files = if path.as_os_str() == "-" { vec![path.clone()] } else { files(path)? };
        if files.is_empty() {
            return Err(Trouble::Usage(format!("{}: no .json, .yaml or .yml file in this folder", path.display())));
        }
        for file in files {
            reader.file(&file, &mut read)?;
        }
    }
    if arguments.id.is_some() && read.candidates.len() > 1 {
        let message = format!("--id names one document, and {} are given", read.candidates.len());
        return Err(Trouble::Usage(message));
    }
    Ok(read)
}

fn find_kind(kinds: &[Arc<Kind>], name: &str) -> Result<Arc<Kind>, Trouble> {
    kinds.iter().find(|kind| kind.name.as_str() == name).cloned().ok_or_else(|| {
        Trouble::Usage(format!("--kind: no module declares the kind '{name}'; known kinds are: {}", known(kinds)))
    })
}

fn known(kinds: &[Arc<Kind>]) -> String {
    let names: Vec<_> = kinds.iter().map(|kind| format!("{} ({})", kind.name, kind.id_field)).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// The file that the path is, or the document files in the folder that it is.
fn files(path: &Path) -> Result<Vec<PathBuf>, Trouble> {
    let metadata = std::fs::metadata(path).map_err(|error| unusable(path, &error))?;
    if metadata.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    collect(path, &mut found)?;
    Ok(found)
}

fn unusable(path: &Path, error: &std::io::Error) -> Trouble {
    match error.kind() {
        std::io::ErrorKind::NotFound => Trouble::Usage(format!("{}: no such file or folder", path.display())),
        _ => Trouble::CouldNotRun(anyhow::anyhow!("{}: {error}", path.display())),
    }
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), Trouble> {
    let entries = std::fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut entries = entries.map_err(|error| unusable(folder, &error))?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        // A link to a folder is not followed: it may lead back here.
        let kind = entry.file_type().map_err(|error| unusable(&path, &error))?;
        if kind.is_dir() {
            collect(&path, found)?;
        } else if format_of(&path).is_some() {
            found.push(path);
        }
    }
    Ok(())
}

fn format_of(path: &Path) -> Option<Format> {
    match path.extension()?.to_str()? {
        "json" => Some(Format::Json),
        "yaml" | "yml" => Some(Format::Yaml),
        _ => None,
    }
}

/// Without a name to go by: a document that begins with a bracket is JSON.
fn format_by_look(bytes: &[u8]) -> Format {
    match bytes.trim_ascii_start().first() {
        Some(b'{' | b'[') => Format::Json,
        _ => Format::Yaml,
    }
}

fn read_bytes(path: &Path) -> Result<(String, Vec<u8>), Trouble> {
    if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes).context("the standard input cannot be read")?;
        return Ok(("<stdin>".to_owned(), bytes));
    }
    let bytes = std::fs::read(path).map_err(|error| unusable(path, &error))?;
    Ok((path.display().to_string(), bytes))
}

/// Reads one file; what cannot be decoded is a value.
///
/// # Errors
/// The file cannot be read.
pub fn read_source(path: &Path, limits: &Limits) -> Result<Result<(Source, Value), Box<Unreadable>>, Trouble> {
    let (name, bytes) = read_bytes(path)?;
    let format = format_of(path).unwrap_or_else(|| format_by_look(&bytes));
    Ok(Source::read(name, &bytes, format, limits))
}

struct Reader<'a> {
    kinds: &'a [Arc<Kind>],
    named: Option<Arc<Kind>>,
    overrides: Overrides,
    limits: &'a Limits,
}

impl Reader<'_> {
    fn file(&self, path: &Path, read: &mut Read) -> Result<(), Trouble> {
        let (source, value) = match read_source(path, self.limits)? {
            Ok(decoded) => decoded,
            Err(unreadable) => {
                read.unreadable.push(*unreadable);
                return Ok(());
            }
        };
        let source = Arc::new(source);
        match value {
            Value::Array(items) => {
                for (index, item) in items.into_iter().enumerate() {
                    read.candidates.push(self.candidate(&source, format!("/{index}"), item)?);
                }
            }
            value => read.candidates.push(self.candidate(&source, String::new(), value)?),
        }
        Ok(())
    }

    fn candidate(&self, source: &Arc<Source>, base: String, value: Value) -> Result<Candidate, Trouble> {
        let Value::Object(fields) = &value else {
            let place = if base.is_empty() { String::new() } else { format!(" at {base}") };
            let message = format!("{}: not a submission{place}: expected an object", source.name);
            return Err(Trouble::Usage(message));
        };
        let kind = match &self.named {
            Some(kind) => Arc::clone(kind),
            None => self.tell_kind(source, fields)?,
        };
        if fields.contains_key(&kind.id_field) {
            self.refuse_overrides(source)?;
            return Ok(Candidate::whole(source, &kind, base, value));
        }
        Candidate::bare(source, &kind, base, value, &self.overrides).map_err(Trouble::Usage)
    }

    fn tell_kind(&self, source: &Source, fields: &Map<String, Value>) -> Result<Arc<Kind>, Trouble> {
        let mut fitting = self.kinds.iter().filter(|kind| fields.contains_key(&kind.id_field));
        match (fitting.next(), fitting.next()) {
            (Some(kind), None) => Ok(Arc::clone(kind)),
            (first, _) => {
                let why = match first {
                    None => "it has the id field of no kind",
                    Some(_) => "it has the id fields of two kinds",
                };
                Err(Trouble::Usage(format!(
                    "{}: the kind cannot be told, since {why}: give --kind; known kinds are: {}",
                    source.name,
                    known(self.kinds)
                )))
            }
        }
    }

    fn refuse_overrides(&self, source: &Source) -> Result<(), Trouble> {
        let Overrides { id, version, name } = &self.overrides;
        let given = [("--id", id), ("--version", version), ("--name", name)];
        match given.iter().find(|(_, value)| value.is_some()) {
            Some((flag, _)) => Err(Trouble::Usage(format!(
                "{flag} is for bare documents, and {} is a whole submission: change it there",
                source.name
            ))),
            None => Ok(()),
        }
    }
}

fn variables(arguments: &Arguments, limits: &Limits) -> Result<BTreeMap<String, Value>, Trouble> {
    let mut variables = BTreeMap::new();
    if let Some(path) = &arguments.var_file {
        let (source, value) = read_source(path, limits)?
            .map_err(|unreadable| Trouble::Usage(format!("{}: {}", unreadable.source.name, unreadable.error)))?;
        let Value::Object(fields) = value else {
            return Err(Trouble::Usage(format!("{}: expected an object of names to values", source.name)));
        };
        variables.extend(fields);
    }
    for (flag, assignments) in [("--var", &arguments.vars), ("--secret-var", &arguments.secret_vars)] {
        for assignment in assignments {
            // The value may be a secret, so the message does not repeat it.
            let (name, value) = assignment
                .split_once('=')
                .ok_or_else(|| Trouble::Usage(format!("{flag} takes KEY=VALUE: an '=' is missing")))?;
            let value = if flag == "--var" { json!(value) } else { json!({"value": value, "secret": true}) };
            variables.insert(name.to_owned(), value);
        }
    }
    Ok(variables)
}

/// The command line's variables go over those in the file.
fn add_variables(candidate: &mut Candidate, variables: &BTreeMap<String, Value>) -> Result<(), Trouble> {
    if variables.is_empty() {
        return Ok(());
    }
    let Value::Object(fields) = &mut candidate.body else { return Ok(()) };
    let there = fields.entry("variables").or_insert_with(|| json!({}));
    let Value::Object(there) = there else {
        let message = format!("{}: 'variables' is not an object of names to values", candidate.source.name);
        return Err(Trouble::Usage(message));
    };
    there.extend(variables.iter().map(|(name, value)| (name.clone(), value.clone())));
    Ok(())
}

#[cfg(test)]
mod tests;
