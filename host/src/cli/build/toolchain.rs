//! What compiles Rust to WebAssembly on this machine: rustup's target where it is installed or can be, else Debian's
//! packages, whose compiler builds the standard library from source.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{BuildError, Options, TARGET};

/// Debian's compiler and cargo: the one pair whose standard library's source Debian also has.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_INSTALL: &str = "apt-get install rustc-web cargo-web rust-web-src lld";

/// A file in the target folder that says that `rustup target add` was tried in vain, so that only one build waits.
const STAMP: &str = ".rustup-target-not-available";

/// A way to compile for WebAssembly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Toolchain {
    /// The cargo on the path, whose compiler has the target.
    Installed {
        /// It.
        cargo: PathBuf,
    },
    /// Debian's packages.
    Debian {
        /// A linker for WebAssembly.
        linker: PathBuf,
    },
}

impl Toolchain {
    /// A few words for the person who waits.
    pub fn describe(&self) -> &'static str {
        match self {
            Self::Installed { .. } => "the installed target wasm32-unknown-unknown",
            Self::Debian { .. } => "Debian's compiler and the standard library from source (a minute or two, once)",
        }
    }

    /// A cargo that builds with it.
    pub(super) fn cargo(&self) -> Command {
        match self {
            Self::Installed { cargo } => Command::new(cargo),
            Self::Debian { linker } => {
                let mut command = Command::new(DEBIAN_CARGO);
                // The standard library is built by a feature that its compiler holds back from stable releases.
                command.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std=std,panic_abort");
                command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
                // Set by a rustup proxy that runs us; it would lead this compiler to the other one's libraries.
                command.env_remove("LD_LIBRARY_PATH").env_remove("RUSTUP_TOOLCHAIN");
                command
            }
        }
    }

    fn rustc(&self) -> &str {
        match self {
            Self::Installed { .. } => "rustc",
            Self::Debian { .. } => DEBIAN_RUSTC,
        }
    }
}

/// Nothing on this machine compiles Rust to WebAssembly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoToolchain {
    /// What came of rustup.
    pub rustup: String,
    /// What of Debian's packages is missing.
    pub missing: Vec<&'static str>,
}

impl std::error::Error for NoToolchain {}

impl std::fmt::Display for NoToolchain {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(formatter, "no compiler for {TARGET} is installed; one of two commands installs it:")?;
        writeln!(formatter, "  rustup target add {TARGET}   ({})", self.rustup)?;
        write!(formatter, "  {DEBIAN_INSTALL}   (missing here: {})", self.missing.join(", "))
    }
}

/// The cargo that a user would run.
pub(super) fn cargo_on_path() -> Result<PathBuf, BuildError> {
    on_path("cargo").ok_or_else(|| BuildError::Machine {
        what: "cargo is not installed: install Rust from https://rustup.rs, or with apt-get install cargo-web"
            .to_owned(),
        source: std::io::ErrorKind::NotFound.into(),
    })
}

/// Finds a toolchain; may install rustup's target. `target` is the workspace's target folder, which keeps the stamp.
pub(super) fn find(target: &Path, options: &Options<'_>) -> Result<Toolchain, BuildError> {
    let cargo = cargo_on_path()?;
    if has_target() {
        return Ok(Toolchain::Installed { cargo });
    }
    let rustup = match add_target(target, options) {
        Added::Yes if has_target() => return Ok(Toolchain::Installed { cargo }),
        Added::Yes => "it was added to another toolchain than the one on the path".to_owned(),
        Added::No(why) => why,
    };
    match debian_linker() {
        (Some(linker), missing) if missing.is_empty() => Ok(Toolchain::Debian { linker }),
        (_, missing) => Err(NoToolchain { rustup, missing }.into()),
    }
}

/// Flags that take this machine's paths out of what the compiler writes. They depend on the workspace and not on what
/// of it is built: other flags would have cargo build everything anew.
pub(super) fn path_flags(workspace: &Path, outside: &[(String, PathBuf)], toolchain: &Toolchain) -> Vec<String> {
    let mut flags = vec![format!("--remap-path-prefix={}=/plugins", workspace.display())];
    let cargo_home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    // Each folder is one registry or mirror, with a name of its own; a crate is the same crate from any.
    let registries = cargo_home.and_then(|home| std::fs::read_dir(home.join("registry/src")).ok());
    for registry in registries.into_iter().flatten().filter_map(Result::ok) {
        flags.push(format!("--remap-path-prefix={}=/crates", registry.path().display()));
    }
    if let Some(sysroot) = sysroot(toolchain.rustc()) {
        flags.push(format!("--remap-path-prefix={}=/rust", sysroot.join("lib/rustlib/src/rust").display()));
    }
    let member =
        |(name, folder): &(String, PathBuf)| format!("--remap-path-prefix={}=/plugins/{name}", folder.display());
    flags.extend(outside.iter().map(member));
    flags.sort();
    flags
}

enum Added {
    Yes,
    No(String),
}

fn add_target(target: &Path, options: &Options<'_>) -> Added {
    let Some(rustup) = on_path("rustup") else {
        return Added::No("rustup is not installed".to_owned());
    };
    let stamp = target.join(STAMP);
    if let Ok(why) = std::fs::read_to_string(&stamp) {
        return Added::No(format!("{}; remove {} to have it tried again", why.trim(), stamp.display()));
    }
    let wait_s = options.rustup_wait_max.as_secs();
    (options.say)(&format!("running rustup target add {TARGET} (at most {wait_s} s)"));
    let mut command = Command::new(rustup);
    command.args(["target", "add", TARGET]);
    let why = match run_bounded(&mut command, options.rustup_wait_max) {
        Ok(Ended::Well) => return Added::Yes,
        Ok(Ended::Badly(message)) => format!("tried: it failed: {message}"),
        Ok(Ended::Late) => format!("tried: it did not end within {wait_s} s"),
        Err(error) => format!("tried: it could not be run: {error}"),
    };
    (options.say)(&why);
    // Best effort: without the stamp the next build only waits again.
    let _ = std::fs::create_dir_all(target).and_then(|()| std::fs::write(&stamp, &why));
    Added::No(why)
}

#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Well,
    Badly(String),
    Late,
}

/// Runs a command to its end, or ends it when the time is over.
fn run_bounded(command: &mut Command, wait_max: Duration) -> std::io::Result<Ended> {
    let mut messages = tempfile::tempfile()?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(messages.try_clone()?);
    let mut child = command.spawn()?;
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if start.elapsed() >= wait_max {
            child.kill()?;
            child.wait()?;
            return Ok(Ended::Late);
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    if status.success() {
        return Ok(Ended::Well);
    }
    let mut text = String::new();
    std::io::Seek::rewind(&mut messages)?;
    messages.read_to_string(&mut text)?;
    Ok(Ended::Badly(text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no message").trim().to_owned()))
}

/// True where the compiler on the path has the target's standard library.
fn has_target() -> bool {
    let Some(rustc) = on_path("rustc") else { return false };
    let printed = Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).output();
    let Some(folder) = printed.ok().filter(|output| output.status.success()) else { return false };
    let folder = String::from_utf8_lossy(&folder.stdout).trim().to_owned();
    std::fs::read_dir(folder).is_ok_and(|entries| {
        entries.filter_map(Result::ok).any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
    })
}

/// A linker for Debian's compiler, and what of it all is missing.
fn debian_linker() -> (Option<PathBuf>, Vec<&'static str>) {
    let mut missing = Vec::new();
    let has_source = Path::new(DEBIAN_RUSTC).is_file()
        && sysroot(DEBIAN_RUSTC).is_some_and(|sysroot| sysroot.join("lib/rustlib/src/rust/library/std").is_dir());
    if !Path::new(DEBIAN_RUSTC).is_file() {
        missing.push("rustc-web");
    }
    if !Path::new(DEBIAN_CARGO).is_file() {
        missing.push("cargo-web");
    }
    if !has_source {
        missing.push("rust-web-src");
    }
    let linker = rust_lld().or_else(|| on_path("wasm-ld"));
    if linker.is_none() {
        missing.push("lld");
    }
    (linker, missing)
}

/// The linker that a rustup toolchain carries.
fn rust_lld() -> Option<PathBuf> {
    let targets = std::fs::read_dir(sysroot("rustc")?.join("lib/rustlib")).ok()?;
    targets.filter_map(Result::ok).map(|target| target.path().join("bin/rust-lld")).find(|linker| linker.is_file())
}

fn sysroot(rustc: &str) -> Option<PathBuf> {
    let printed = Command::new(rustc).args(["--print", "sysroot"]).env_remove("LD_LIBRARY_PATH").output().ok()?;
    let path = String::from_utf8(printed.stdout).ok()?;
    printed.status.success().then(|| PathBuf::from(path.trim()))
}

fn on_path(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(program)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_missing_and_what_installs_it() {
        let error = NoToolchain {
            rustup: "tried: it did not end within 60 s".to_owned(),
            missing: vec!["rustc-web", "rust-web-src"],
        };
        assert_eq!(
            error.to_string(),
            "no compiler for wasm32-unknown-unknown is installed; one of two commands installs it:\n  \
             rustup target add wasm32-unknown-unknown   (tried: it did not end within 60 s)\n  \
             apt-get install rustc-web cargo-web rust-web-src lld   (missing here: rustc-web, rust-web-src)"
        );
    }

    #[test]
    fn waits_no_longer_than_it_may() {
        let bounded = |script: &str, wait_max| {
            run_bounded(Command::new("sh").args(["-c", script]), wait_max).expect("sh can be run")
        };
        assert_eq!(bounded("exec sleep 600", Duration::from_millis(1)), Ended::Late);
        assert_eq!(bounded("true", Duration::from_secs(60)), Ended::Well);
        assert_eq!(
            bounded("echo first >&2; echo 'error: no route' >&2; exit 1", Duration::from_secs(60)),
            Ended::Badly("error: no route".to_owned())
        );
    }
}
