//! From a plugin's Rust crate to its component, for `hallmark plugin build`. It compiles and wraps; what the component
//! is worth, `plugin check` says. Same sources, same compiler, same folder, same bytes. No path of the machine enters
//! a component, but cargo's own names for crates differ between folders.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::Deserialize;
use wit_component::ComponentEncoder;

use crate::names::Digest;

mod toolchain;

pub use toolchain::{NoToolchain, Toolchain};

/// The target that plugins in Rust are compiled for: it has no operating system to ask for anything.
const TARGET: &str = "wasm32-unknown-unknown";

/// How to build.
pub struct Options<'a> {
    /// How long `rustup target add` may take; a closed network makes it wait for ever.
    pub rustup_wait_max: Duration,
    /// Is told what goes on, a line at a time.
    pub say: &'a dyn Fn(&str),
}

/// A component that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The crate's name.
    pub name: String,
    /// The component: `<workspace's target>/components/<name>.wasm`.
    pub path: PathBuf,
    /// SHA-256 of it.
    pub digest: Digest,
    /// Its bytes.
    pub size_bytes: usize,
}

/// Why no component was made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The folder holds no crate that can be a plugin.
    #[error("{} is not a plugin's crate: {why}", dir.display())]
    NotAPlugin {
        /// The folder.
        dir: PathBuf,
        /// What is missing.
        why: String,
    },
    /// Nothing on this machine compiles to WebAssembly.
    #[error(transparent)]
    Toolchain(#[from] NoToolchain),
    /// The compiler refused the sources; it has said why on the standard error.
    #[error("cargo could not build {}: its messages are above", names.join(", "))]
    Compile {
        /// The crates.
        names: Vec<String>,
    },
    /// The module cannot be made a component.
    #[error("{name} cannot be made a component: {why}")]
    Component {
        /// The crate.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// A program or a file could not be used.
    #[error("{what}")]
    Machine {
        /// What was tried.
        what: String,
        /// What came of it.
        #[source]
        source: std::io::Error,
    },
}

/// Builds the plugins in the folders, all crates of one workspace with one call of cargo, in the order given.
///
/// # Errors
/// The first thing that keeps a component from being made.
pub fn build(dirs: &[PathBuf], options: &Options<'_>) -> Result<Vec<Built>, BuildError> {
    let packages = dirs.iter().map(|dir| read_package(dir)).collect::<Result<Vec<_>, _>>()?;
    let mut by_workspace: BTreeMap<&Path, Vec<&Package>> = BTreeMap::new();
    for package in &packages {
        by_workspace.entry(&package.workspace).or_default().push(package);
    }
    let mut built = BTreeMap::new();
    for (workspace, packages) in by_workspace {
        let toolchain = toolchain::find(&packages[0].target, options)?;
        let names: Vec<_> = packages.iter().map(|package| package.name.clone()).collect();
        (options.say)(&format!("building {} with {}", names.join(", "), toolchain.describe()));
        let modules = compile(workspace, &packages, &toolchain)?;
        for package in packages {
            let module = modules.get(&package.manifest).ok_or_else(|| BuildError::NotAPlugin {
                dir: package.manifest.clone(),
                why: "cargo made no WebAssembly module of it".to_owned(),
            })?;
            built.insert(package.manifest.clone(), make_component(package, module)?);
        }
    }
    Ok(packages.iter().filter_map(|package| built.remove(&package.manifest)).collect())
}

/// A crate that can be a plugin.
struct Package {
    name: String,
    /// What cargo knows it by; its name may also be that of a dependency.
    id: String,
    manifest: PathBuf,
    workspace: PathBuf,
    target: PathBuf,
    /// The members of its workspace that lie outside the workspace's folder, with their folders.
    outside: Vec<(String, PathBuf)>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<MetadataPackage>,
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct MetadataPackage {
    name: String,
    id: String,
    manifest_path: PathBuf,
    targets: Vec<MetadataTarget>,
}

#[derive(Deserialize)]
struct MetadataTarget {
    crate_types: Vec<String>,
}

fn read_package(dir: &Path) -> Result<Package, BuildError> {
    let not_a_plugin = |why: &str| BuildError::NotAPlugin { dir: dir.to_owned(), why: why.to_owned() };
    let manifest = match dir.join("Cargo.toml").canonicalize() {
        Ok(manifest) => manifest,
        Err(_) => return Err(not_a_plugin("it has no Cargo.toml")),
    };
    let output = Command::new(toolchain::cargo_on_path()?)
        .args(["metadata", "--no-deps", "--format-version=1", "--manifest-path"])
        .arg(&manifest)
        .output()
        .map_err(|source| BuildError::Machine { what: "cargo cannot be run".to_owned(), source })?;
    if !output.status.success() {
        return Err(not_a_plugin(String::from_utf8_lossy(&output.stderr).trim()));
    }
    let metadata: Metadata =
        serde_json::from_slice(&output.stdout).map_err(|error| not_a_plugin(&format!("cargo metadata: {error}")))?;
    let workspace = metadata.workspace_root;
    let folder = |package: &MetadataPackage| package.manifest_path.parent().map(Path::to_owned).unwrap_or_default();
    let members = metadata.packages.iter().map(|package| (package.name.clone(), folder(package)));
    let outside = members.filter(|(_, folder)| !folder.starts_with(&workspace)).collect();
    let Some(package) = metadata.packages.into_iter().find(|package| package.manifest_path == manifest) else {
        return Err(not_a_plugin("its Cargo.toml is a workspace without a package: name the folders of its members"));
    };
    let makes_a_module =
        package.targets.iter().any(|target| target.crate_types.iter().any(|crate_type| crate_type == "cdylib"));
    if !makes_a_module {
        return Err(not_a_plugin("its Cargo.toml needs [lib] with crate-type = [\"cdylib\", \"rlib\"]"));
    }
    Ok(Package { name: package.name, id: package.id, manifest, workspace, target: metadata.target_directory, outside })
}

/// One message of `cargo build --message-format=json`, as far as it is of use.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    manifest_path: PathBuf,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

/// The module of each crate, by the path of its manifest.
fn compile(
    workspace: &Path,
    packages: &[&Package],
    toolchain: &Toolchain,
) -> Result<BTreeMap<PathBuf, PathBuf>, BuildError> {
    let mut command = toolchain.cargo();
    command.args(["build", "--release", "--target", TARGET, "--message-format=json-render-diagnostics"]);
    command.arg("--manifest-path").arg(workspace.join("Cargo.toml"));
    for package in packages {
        command.args(["--package", &package.id]);
    }
    command
        .env("CARGO_ENCODED_RUSTFLAGS", toolchain::path_flags(workspace, &packages[0].outside, toolchain).join("\x1f"));
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let failed = |source| BuildError::Machine { what: "cargo cannot be run".to_owned(), source };
    let mut child = command.spawn().map_err(failed)?;
    let mut modules = BTreeMap::new();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let Ok(message) = serde_json::from_str::<Message>(&line) else { continue };
            let module = message.filenames.into_iter().find(|name| name.extension().is_some_and(|end| end == "wasm"));
            if let (true, Some(module)) = (message.reason == "compiler-artifact", module) {
                modules.insert(message.manifest_path, module);
            }
        }
    }
    if child.wait().map_err(failed)?.success() {
        Ok(modules)
    } else {
        Err(BuildError::Compile { names: packages.iter().map(|package| package.name.clone()).collect() })
    }
}

fn make_component(package: &Package, module: &Path) -> Result<Built, BuildError> {
    let module = std::fs::read(module)
        .map_err(|source| BuildError::Machine { what: format!("{} cannot be read", module.display()), source })?;
    // The bindings in the module say what it imports and exports; without a WASI adapter it can import nothing else.
    let component = ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| BuildError::Component { name: package.name.clone(), why: format!("{error:#}") })?;
    let folder = package.target.join("components");
    let path = folder.join(format!("{}.wasm", package.name));
    write_whole(&folder, &path, &component)
        .map_err(|source| BuildError::Machine { what: format!("{} cannot be written", path.display()), source })?;
    Ok(Built { name: package.name.clone(), path, digest: Digest::of(&component), size_bytes: component.len() })
}

/// A reader sees the file as it was before, or whole.
fn write_whole(folder: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(cargo_toml: Option<&str>) -> String {
        let dir = tempfile::tempdir().expect("a folder");
        if let Some(text) = cargo_toml {
            std::fs::create_dir(dir.path().join("src")).expect("a folder");
            std::fs::write(dir.path().join("src/lib.rs"), "").expect("a file");
            std::fs::write(dir.path().join("Cargo.toml"), text).expect("a file");
        }
        let error = read_package(dir.path()).map(|package| package.name).expect_err("no plugin");
        error.to_string().replace(&dir.path().display().to_string(), "DIR")
    }

    #[test]
    fn says_why_a_folder_is_no_plugin() {
        assert_eq!(refusal(None), "DIR is not a plugin's crate: it has no Cargo.toml");
        assert_eq!(
            refusal(Some("[package]\nname = \"a\"\nversion = \"0.1.0\"\nedition = \"2024\"\n")),
            "DIR is not a plugin's crate: its Cargo.toml needs [lib] with crate-type = [\"cdylib\", \"rlib\"]"
        );
        assert_eq!(
            refusal(Some("[workspace]\nmembers = []\n")),
            "DIR is not a plugin's crate: its Cargo.toml is a workspace without a package: name the folders of its members"
        );
    }
}
