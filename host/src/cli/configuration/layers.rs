//! What one file, or the environment, says: read by the table of keys, with everything that is wrong in it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::keys::{find, variable};
use super::{Configuration, Form, Given, KEYS, Key, LIMITS, Origin};
use crate::cli::folder::table::{Sheet, Table};
use crate::config::{Limits, nearest};

/// What every variable of ours begins with.
const PREFIX: &str = "HALLMARK_";
/// The variable that names the file.
const FILE_VARIABLE: &str = "HALLMARK_CONFIG";

/// What one source says.
#[derive(Default)]
pub(super) struct Layer {
    keys: BTreeMap<&'static str, Given>,
    limits: BTreeMap<&'static str, Given>,
}

impl Layer {
    /// Puts it over what is there.
    pub(super) fn lay_over(self, configuration: &mut Configuration, problems: &mut Vec<String>) {
        for (name, given) in &self.keys {
            let Some(twin) = find(name).and_then(|key| key.twin) else { continue };
            match self.keys.get(twin) {
                // Both of a pair are found twice, and told once.
                Some(other) if *name < twin => {
                    problems.push(format!(
                        "{} and {} both say where to find one thing: keep one of them",
                        told(name, &given.origin),
                        told(twin, &other.origin)
                    ));
                }
                _ => {}
            }
            configuration.keys.remove(twin);
        }
        configuration.keys.extend(self.keys);
        configuration.limits.extend(self.limits);
    }
}

fn told(name: &str, origin: &Origin) -> String {
    match origin {
        Origin::File(file) => format!("'{name}' in {}", file.display()),
        other => other.to_string(),
    }
}

/// Reads a file.
pub(super) fn file(path: &Path, problems: &mut Vec<String>) -> Layer {
    let shown = path.display().to_string();
    let mut layer = Layer::default();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            problems.push(format!("{shown}: {error}"));
            return layer;
        }
    };
    let sheet = Sheet::new(&shown, &text);
    let root = match DeTable::parse(&text) {
        Ok(root) => root,
        Err(error) => {
            sheet.problem(error.span().map_or(0, |span| span.start), error.message());
            problems.extend(sheet.problems());
            return layer;
        }
    };
    let top = Table::root(&sheet, &root);
    let mut sections: BTreeMap<&str, Option<Table<'_>>> = BTreeMap::new();
    for key in KEYS {
        let (section, name) = key.parts();
        let value = match section {
            None => read(&top, name, key, path),
            Some(section) => {
                let table = sections.entry(section).or_insert_with(|| top.table(section, &format!("[{section}]")));
                table.as_ref().and_then(|table| read(table, name, key, path))
            }
        };
        if let Some(value) = value {
            layer.keys.insert(key.name, Given { value, origin: Origin::File(path.to_owned()) });
        }
    }
    if let Some(table) = top.table(LIMITS, "[limits]") {
        for name in Limits::NAMES {
            if let Some(value) = table.whole(name, 0..=i64::MAX) {
                match Limits::default().set(&format!("{name}={value}")) {
                    Ok(()) => {
                        let origin = Origin::File(path.to_owned());
                        layer.limits.insert(name, Given { value: value.to_string(), origin });
                    }
                    Err(message) => table.problem(name, message),
                }
            }
        }
        table.finish();
    }
    sections.values().flatten().for_each(Table::finish);
    top.finish();
    problems.extend(sheet.problems());
    layer
}

fn read(table: &Table<'_>, name: &'static str, key: &Key, file: &Path) -> Option<String> {
    match key.form {
        Form::Flag => table.has(name).then(|| table.flag(name).to_string()),
        Form::Path => table.text(name).map(|text| beside(file, text)),
        Form::Location => table.text(name).map(|text| match text.contains("://") {
            true => text.to_owned(),
            false => beside(file, text),
        }),
        Form::Text | Form::Secret | Form::Address => table.text(name).map(str::to_owned),
    }
}

/// A path that a file names.
fn beside(file: &Path, path: &str) -> String {
    file.parent().unwrap_or(Path::new("")).join(path).display().to_string()
}

/// What the environment says.
#[derive(Default)]
pub(super) struct Environment {
    pub(super) layer: Layer,
    /// The file that it names.
    pub(super) file: Option<PathBuf>,
    pub(super) problems: Vec<String>,
}

/// Reads the environment. A variable that is empty says nothing.
pub(super) fn environment(variables: impl Iterator<Item = (OsString, OsString)>) -> Environment {
    let mut found = Environment::default();
    let mut given: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in variables {
        let Ok(name) = name.into_string() else { continue };
        let is_ours = name.starts_with(PREFIX) || KEYS.iter().any(|key| key.variables().contains(&name));
        if !is_ours || value.is_empty() {
            continue;
        }
        match value.into_string() {
            Ok(value) => {
                given.insert(name, value);
            }
            Err(_) => found.problems.push(format!("{name} is not UTF-8")),
        }
    }
    found.file = given.remove(FILE_VARIABLE).map(PathBuf::from);
    for key in KEYS {
        // The first of its variables holds, and the others are known all the same.
        let said: Vec<_> = key.variables().into_iter().filter_map(|name| given.remove_entry(&name)).collect();
        if let Some((name, value)) = said.into_iter().next() {
            match value_of(key, &value) {
                Ok(value) => {
                    found.layer.keys.insert(key.name, Given { value, origin: Origin::Environment(name) });
                }
                Err(message) => found.problems.push(format!("{name}: {message}")),
            }
        }
    }
    for limit in Limits::NAMES {
        if let Some((name, value)) = given.remove_entry(&variable(&format!("{LIMITS}.{limit}"))) {
            match Limits::default().set(&format!("{limit}={value}")) {
                Ok(()) => {
                    found.layer.limits.insert(limit, Given { value, origin: Origin::Environment(name) });
                }
                Err(message) => found.problems.push(format!("{name}: {message}")),
            }
        }
    }
    found.problems.extend(given.keys().filter_map(|name| unknown(name)));
    found
}

fn value_of(key: &Key, value: &str) -> Result<String, String> {
    if key.form != Form::Flag {
        return Ok(value.to_owned());
    }
    match value.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok("true".to_owned()),
        "0" | "false" | "no" | "off" => Ok("false".to_owned()),
        _ => Err(format!("takes 1 or 0, not '{value}'")),
    }
}

/// What is said of a variable of ours that sets no key. One without a section that is near no key is somebody else's:
/// container files and Kubernetes set such (`HALLMARK_VERSION`, `HALLMARK_SERVICE_HOST`).
fn unknown(name: &str) -> Option<String> {
    let known: Vec<String> = KEYS
        .iter()
        .map(|key| variable(key.name))
        .chain(Limits::NAMES.iter().map(|limit| variable(&format!("{LIMITS}.{limit}"))))
        .chain([FILE_VARIABLE.to_owned()])
        .collect();
    // What all names begin with would make them look alike.
    let rest = name.strip_prefix(PREFIX).unwrap_or(name);
    let names: Vec<&str> = known.iter().map(|name| name.strip_prefix(PREFIX).unwrap_or(name)).collect();
    let without_section = names.iter().find(|known| known.split_once("__").is_some_and(|(_, last)| last == rest));
    match nearest(rest, &names).or(without_section.copied()) {
        Some(near) => Some(format!("unknown name '{name}': did you mean '{PREFIX}{near}'?")),
        None if rest.contains("__") => {
            Some(format!("unknown name '{name}': 'hallmark config show --output json' has every name that is known"))
        }
        None => None,
    }
}
