//! Rules as files: a module's folder with its `module.toml`, and the tenant's with its `policy.toml`. Reading one
//! gives the rules and the bytes of the components that they name by file. It asks no server and runs no plugin.

pub(super) mod table;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::Value;
use toml::de::DeTable;

use self::table::{Sheet, Table};
use super::keys;
use crate::config::Limits;
use crate::names::{Digest, KindName, ModuleName, Scope};
use crate::registry::decode::{self, Format};
use crate::registry::release::{Binding, Declaration, Derive, Kind, Rules, Versioning};
use crate::registry::signing::PluginSignature;
use crate::report::{Mode, Stage};

/// The file that makes a folder a module's.
pub const MODULE_FILE: &str = "module.toml";

/// The file that makes a folder the tenant's policies.
pub const POLICY_FILE: &str = "policy.toml";

/// What a folder says.
#[derive(Debug, Clone)]
pub struct Folder {
    /// The rules.
    pub rules: Rules,
    /// The components that the rules name by file.
    pub components: BTreeMap<Digest, Vec<u8>>,
    /// Their signatures, where they lie beside them.
    pub signatures: BTreeMap<Digest, PluginSignature>,
}

/// What is wrong with a folder, each with file, line and key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct FolderError(pub Vec<String>);

impl FolderError {
    fn one(message: String) -> Self {
        Self(vec![message])
    }
}

/// Reads the folders that `--modules` and `--policies` name.
///
/// # Errors
/// What is wrong with them.
pub fn read_all(modules: Option<&Path>, policies: Option<&Path>, limits: &Limits) -> Result<Vec<Folder>, FolderError> {
    let mut folders = modules.map_or(Ok(Vec::new()), |modules| read_modules(modules, limits, "--policies"))?;
    if let Some(policies) = policies {
        folders.push(read_policies(policies, limits, "--modules")?);
    }
    Ok(folders)
}

/// Reads every module folder in `path`, by name, or the one that it is. `policies` is what takes the policies' folder.
///
/// # Errors
/// There is none, or what is wrong with those that are there.
pub fn read_modules(path: &Path, limits: &Limits, policies: &str) -> Result<Vec<Folder>, FolderError> {
    let folders = if path.join(MODULE_FILE).is_file() {
        vec![path.to_owned()]
    } else {
        let mut within = list(path)?;
        within.retain(|folder| folder.join(MODULE_FILE).is_file());
        within
    };
    if folders.is_empty() {
        let message = format!("{}: no {MODULE_FILE} here or one folder below", path.display());
        return Err(FolderError::one(match path.join(POLICY_FILE).is_file() {
            true => format!("{message}; it is a folder of policies ({POLICY_FILE}): give it to {policies}"),
            false => message,
        }));
    }
    let mut read = Vec::new();
    let mut problems = Vec::new();
    for folder in folders {
        match read_module(&folder, limits) {
            Ok(module) => read.push(module),
            Err(FolderError(more)) => problems.extend(more),
        }
    }
    if problems.is_empty() { Ok(read) } else { Err(FolderError(problems)) }
}

fn list(path: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let entries = std::fs::read_dir(path).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
    let entries = entries.map_err(|error| {
        let shown = path.display();
        FolderError::one(match error.kind() {
            ErrorKind::NotFound => format!("{shown}: there is no such folder"),
            ErrorKind::NotADirectory => format!("{shown}: it is a file: name the folder with the {MODULE_FILE}"),
            _ => format!("{shown}: {error}"),
        })
    })?;
    let mut paths: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    Ok(paths)
}

/// Reads a module's folder.
///
/// # Errors
/// What is wrong with it.
pub fn read_module(folder: &Path, limits: &Limits) -> Result<Folder, FolderError> {
    read(folder, MODULE_FILE, limits, |root, reader| {
        let module = root.table("module", "[module]");
        if module.is_none() {
            root.problem("module", "the table [module] is missing: add it with a name");
        }
        let name: Option<ModuleName> = module.as_ref().and_then(|module| module.name("name"));
        let description = module.as_ref().and_then(|module| module.text("description")).map(str::to_owned);
        module.iter().for_each(Table::finish);
        let kinds: Vec<Kind> = root.tables("kinds").iter().filter_map(|kind| reader.kind(kind)).collect();
        let placeholders = root.tables("placeholders").iter().filter_map(declaration).collect();
        let bindings = reader.bindings(root, &MODULE_STAGES);
        name.map(|name| Rules { scope: Scope::Module(name), description, kinds, placeholders, bindings })
    })
}

/// Reads the folder of the tenant's policies. `modules` is what takes a module's folder.
///
/// # Errors
/// What is wrong with it.
pub fn read_policies(folder: &Path, limits: &Limits, modules: &str) -> Result<Folder, FolderError> {
    let file = folder.join(POLICY_FILE);
    if !file.exists() {
        let shown = folder.display();
        return Err(FolderError::one(match (folder.is_dir(), folder.join(MODULE_FILE).is_file()) {
            (false, _) if folder.exists() => {
                format!("{shown}: it is a file: name the folder with the {POLICY_FILE}")
            }
            (false, _) => format!("{shown}: there is no such folder"),
            (true, true) => {
                format!("{shown}: no {POLICY_FILE} here; it is a module's folder ({MODULE_FILE}): give it to {modules}")
            }
            (true, false) => format!("{shown}: no {POLICY_FILE} here: name the folder that has it"),
        }));
    }
    read(folder, POLICY_FILE, limits, |root, reader| {
        let description = root.text("description").map(str::to_owned);
        let bindings = reader.bindings(root, &POLICY_STAGES);
        Some(Rules { scope: Scope::Policies, description, kinds: Vec::new(), placeholders: Vec::new(), bindings })
    })
}

const MODULE_STAGES: [(&str, Stage); 2] = [("resolve", Stage::Resolve), ("validate", Stage::Validate)];
const POLICY_STAGES: [(&str, Stage); 1] = [("policy", Stage::Policy)];
const MODES: [(&str, Mode); 2] = [("enforce", Mode::Enforce), ("observe", Mode::Observe)];
const VERSIONINGS: [(&str, Versioning); 3] =
    [("semver", Versioning::Semver), ("any", Versioning::Any), ("auto", Versioning::Auto)];

fn read(
    folder: &Path,
    file: &str,
    limits: &Limits,
    rules: impl FnOnce(&Table<'_>, &mut Reader<'_>) -> Option<Rules>,
) -> Result<Folder, FolderError> {
    let path = folder.join(file);
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(&path).map_err(|error| FolderError::one(format!("{shown}: {error}")))?;
    let sheet = Sheet::new(&shown, &text);
    let root = match DeTable::parse(&text) {
        Ok(root) => root,
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            sheet.problem(at, error.message());
            return Err(FolderError(sheet.problems()));
        }
    };
    let mut reader = Reader { folder, limits, components: BTreeMap::new(), signatures: BTreeMap::new() };
    let table = Table::root(&sheet, &root);
    let rules = rules(&table, &mut reader);
    table.finish();
    let Reader { components, signatures, .. } = reader;
    match (rules, sheet.problems()) {
        (Some(rules), problems) if problems.is_empty() => Ok(Folder { rules, components, signatures }),
        (_, problems) => Err(FolderError(problems)),
    }
}

fn declaration(table: &Table<'_>) -> Option<Declaration> {
    let name = table.required("name").map(str::to_owned);
    let description = table.text("description").map(str::to_owned);
    let default = table.text("default").map(str::to_owned);
    let secret = table.flag("secret");
    if secret && default.is_some() {
        table.problem("default", "a secret has no default, since rules are stored in clear: remove it");
    }
    table.finish();
    Some(Declaration { name: name?, description, default, secret })
}

struct Reader<'a> {
    folder: &'a Path,
    limits: &'a Limits,
    components: BTreeMap<Digest, Vec<u8>>,
    signatures: BTreeMap<Digest, PluginSignature>,
}

impl Reader<'_> {
    fn kind(&mut self, table: &Table<'_>) -> Option<Kind> {
        let name: Option<KindName> = table.name("name");
        let singular = table.required("singular").map(str::to_owned);
        let id_field = table.required("id_field").map(str::to_owned);
        let document_field = table.text("document_field").unwrap_or("manifest").to_owned();
        let versioning = table.word("versioning", &VERSIONINGS, Some(Versioning::Semver));
        let schema = table.required("schema").and_then(|file| self.schema(table, file));
        let derive = table.table("derive", "[kinds.derive]").map(|table| derive(&table)).unwrap_or_default();
        let fields = table.table("fields", "[kinds.fields]").map(|fields| fields.members()).unwrap_or_default();
        for (field, schema) in &fields {
            if let Err(why) = check_schema(schema) {
                table.problem("fields", format_args!("{field} is not a JSON Schema: {why}"));
            }
        }
        table.finish();
        Some(Kind {
            name: name?,
            singular: singular?,
            id_field: id_field?,
            document_field,
            versioning: versioning?,
            schema: schema?,
            fields: fields.into_iter().collect(),
            derive,
        })
    }

    fn schema(&self, table: &Table<'_>, file: &str) -> Option<Value> {
        let read =
            self.document(file, self.limits.document_size_max_bytes, "document_size_max_bytes").and_then(|schema| {
                check_schema(&schema).map_err(|why| format!("{file} is not a JSON Schema: {why}"))?;
                Ok(schema)
            });
        read.map_err(|why| table.problem("schema", why)).ok()
    }

    fn bindings(&mut self, root: &Table<'_>, stages: &[(&str, Stage)]) -> Vec<Binding> {
        root.tables("bindings").iter().filter_map(|table| self.binding(table, stages)).collect()
    }

    fn binding(&mut self, table: &Table<'_>, stages: &[(&str, Stage)]) -> Option<Binding> {
        let name = table.required("name").map(str::to_owned);
        let stage = table.word("stage", stages, None);
        let plugin = self.plugin(table);
        let settings = self.settings(table);
        let mode = table.word("mode", &MODES, Some(Mode::Enforce));
        let percent = table.whole("percent", 1..=100).and_then(|percent| u8::try_from(percent).ok());
        if percent.is_some() && mode == Some(Mode::Enforce) {
            table.problem("percent", "only a binding that observes can have one: set mode = \"observe\", or remove it");
        }
        let kinds = table.names("kinds");
        table.finish();
        Some(Binding { name: name?, stage: stage?, plugin: plugin?, settings: settings?, mode: mode?, percent, kinds })
    }

    fn plugin(&mut self, table: &Table<'_>) -> Option<Digest> {
        match (table.text("component"), table.text("plugin")) {
            (Some(file), None) => {
                let read = self.bytes(file, self.limits.plugin_component_max_bytes, "plugin_component_max_bytes");
                let bytes = read.map_err(|why| table.problem("component", why)).ok()?;
                let digest = Digest::of(&bytes);
                let signature = keys::signature_of(&self.folder.join(file), &digest, None);
                self.signatures.extend(
                    signature.map_err(|why| table.problem("component", why)).ok()?.map(|it| (digest.clone(), it)),
                );
                self.components.insert(digest.clone(), bytes);
                Some(digest)
            }
            (None, Some(digest)) => digest.parse().map_err(|error| table.problem("plugin", error)).ok(),
            (None, None) => {
                table.problem("component", "is missing: name the component's file, or its digest as 'plugin'");
                None
            }
            (Some(_), Some(_)) => {
                table.problem("plugin", "stands beside 'component': remove one of them");
                None
            }
        }
    }

    fn settings(&self, table: &Table<'_>) -> Option<Value> {
        match (table.json("settings"), table.text("settings_file")) {
            (Some(_), Some(_)) => {
                table.problem("settings_file", "stands beside 'settings': remove one of them");
                None
            }
            (Some(settings), None) => Some(settings),
            (None, Some(file)) => self
                .document(file, self.limits.plugin_settings_max_bytes, "plugin_settings_max_bytes")
                .map_err(|why| table.problem("settings_file", why))
                .ok(),
            (None, None) => Some(Value::Object(serde_json::Map::new())),
        }
    }

    fn bytes(&self, file: &str, size_max: usize, limit: &str) -> Result<Vec<u8>, String> {
        let path = self.folder.join(file);
        let size = match std::fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => metadata.len(),
            Ok(_) => return Err(format!("{file} is not a file")),
            Err(error) if error.kind() == ErrorKind::NotFound && file.ends_with(".wasm") => {
                return Err(format!("there is no {file}: build it first with 'hallmark plugin build'"));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(format!("there is no {file}")),
            Err(error) => return Err(format!("{file}: {error}")),
        };
        if usize::try_from(size).unwrap_or(usize::MAX) > size_max {
            return Err(format!("{file} has more than {limit} = {size_max}"));
        }
        std::fs::read(&path).map_err(|error| format!("{file}: {error}"))
    }

    /// A JSON, YAML or TOML file of the folder.
    fn document(&self, file: &str, size_max: usize, limit: &str) -> Result<Value, String> {
        let bytes = self.bytes(file, size_max, limit)?;
        let limits = Limits { document_size_max_bytes: size_max, ..self.limits.clone() };
        let format = match Path::new(file).extension().and_then(|extension| extension.to_str()) {
            Some("json") => Format::Json,
            Some("yaml" | "yml") => Format::Yaml,
            Some("toml") => return toml_document(file, &bytes),
            _ => return Err(format!("{file} is not a .json, .yaml, .yml or .toml file")),
        };
        decode::decode(&bytes, format, &limits).map_err(|error| format!("{file}: {error}"))
    }
}

fn toml_document(file: &str, bytes: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| format!("{file} is not UTF-8: save it as UTF-8"))?;
    let table = DeTable::parse(text).map_err(|error| {
        let (line, column) = decode::position(text, error.span().map_or(0, |span| span.start));
        format!("{file}: {} at line {line}, column {column}", error.message())
    })?;
    table::json(&toml::de::DeValue::Table(table.into_inner())).map_err(|why| format!("{file}: {why}"))
}

fn derive(table: &Table<'_>) -> Derive {
    let pointer = |key| {
        let pointer = table.text(key)?;
        if !crate::names::pointer::is_pointer(pointer) {
            table.problem(key, format_args!("'{pointer}' is not a JSON Pointer: write it as in /metadata/name"));
        }
        Some(pointer.to_owned())
    };
    let derive = Derive {
        id: pointer("id"),
        name: pointer("name"),
        version: pointer("version"),
        description: pointer("description"),
    };
    table.finish();
    derive
}

fn check_schema(schema: &Value) -> Result<(), String> {
    jsonschema::options().build(schema).map(drop).map_err(|error| {
        let path = error.instance_path().to_string();
        if path.is_empty() { error.to_string() } else { format!("{error} (at {path})") }
    })
}

#[cfg(test)]
mod tests;
