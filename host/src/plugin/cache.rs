//! Compiled plugins on disk, so that a restart compiles nothing. Loading native code is as good as running it: a file
//! is loaded only with a seal (HMAC-SHA256) made with this folder's own key, and anything else about it that does not
//! fit makes it go and be built again.

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use wasmtime::component::Component;

use super::Description;
use super::engine::Engine;
use super::evaluate::Compiled;
use super::prepare::Linked;
use crate::clock::{self, Millis};
use crate::names::Digest;
use crate::report::Stage;

const KEY_FILE: &str = "seal.key";
const KEY_BYTES: usize = 32;
const SEAL_BYTES: usize = 32;
const LENGTH_BYTES: usize = 4;
const SUFFIX: &str = ".plugin";
const UNFINISHED: &str = ".unfinished";
/// What the seal is for; another layout of the file gets another text.
const PURPOSE: &[u8] = b"hallmark compiled plugin 1";

/// The folder.
pub struct Cache {
    folder: PathBuf,
    key: [u8; KEY_BYTES],
    size_max_bytes: u64,
    /// Held while old files are chosen to go.
    sweeping: Mutex<()>,
}

/// What a file says before its code, so that a plugin starts without its component's bytes.
#[derive(Serialize, Deserialize)]
struct Header {
    component: Digest,
    settings: Digest,
    compatibility: String,
    stages: Vec<Stage>,
    is_snapshot: bool,
    description: Description,
}

impl Cache {
    /// Opens the folder, making it and its key where they are missing.
    pub fn open(folder: &Path, size_max_bytes: u64) -> Result<Self, String> {
        let said = |what: &str, error: io::Error| {
            format!("the folder of compiled plugins {}: {what}: {error}", folder.display())
        };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| said("cannot be made", error))?;
        let mode = fs::metadata(folder).map_err(|error| said("cannot be read", error))?.permissions().mode();
        if mode & 0o022 != 0 {
            return Err(format!(
                "the folder of compiled plugins {} can be written by others (mode {:o}): chmod 700 it",
                folder.display(),
                mode & 0o777
            ));
        }
        let key = key(folder)?;
        let cache = Self { folder: folder.to_owned(), key, size_max_bytes, sweeping: Mutex::new(()) };
        // What a host that was killed left half written.
        for (path, _, _) in cache.files(UNFINISHED) {
            let _ = fs::remove_file(path);
        }
        Ok(cache)
    }

    /// The plugin, where the folder has it and it can be trusted.
    pub fn get(&self, engine: &Engine, component: &Digest, settings: &str) -> Option<Compiled> {
        let path = self.path(engine, component, settings);
        let count = |result: &'static str| {
            metrics::counter!("hallmark_plugin_cache_total", "result" => result).increment(1);
        };
        let file = match fs::read(&path) {
            Ok(file) => file,
            Err(error) => {
                if error.kind() != ErrorKind::NotFound {
                    tracing::warn!(file = %path.display(), %error, "a compiled plugin cannot be read");
                }
                count("miss");
                return None;
            }
        };
        match self.load(engine, component, settings, &file) {
            Ok(compiled) => {
                count("hit");
                touch(&path);
                Some(compiled)
            }
            Err(why) => {
                tracing::warn!(file = %path.display(), why, "a compiled plugin is not trusted; it is built again");
                count("refused");
                let _ = fs::remove_file(&path);
                None
            }
        }
    }

    fn load(&self, engine: &Engine, component: &Digest, settings: &str, file: &[u8]) -> Result<Compiled, String> {
        let (seal, sealed) = file.split_at_checked(SEAL_BYTES).ok_or("it is cut off")?;
        // Compared in constant time.
        self.seal(sealed).verify_slice(seal).map_err(|_| "its seal is broken")?;
        let (length, rest) = sealed.split_first_chunk::<LENGTH_BYTES>().ok_or("it is cut off")?;
        let (header, code) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or("it is cut off")?;
        let header: Header = serde_json::from_slice(header).map_err(|error| format!("its header: {error}"))?;
        if header.component != *component
            || header.settings != Digest::of(settings.as_bytes())
            || header.compatibility != engine.compatibility
        {
            return Err("it is of another plugin or another host".to_owned());
        }
        let code = deserialize(engine, code)?;
        let linked = Linked::new(engine, code, &header.stages).map_err(|unfit| unfit.to_string())?;
        linked.prove(engine, component, &header.description.name).map_err(|unfit| unfit.to_string())?;
        Ok(Compiled {
            pre: linked.pre,
            entry: linked.entry,
            stages: header.stages,
            settings: (!header.is_snapshot).then(|| settings.to_owned()),
            description: header.description,
        })
    }

    /// Keeps the plugin. Where it cannot, the host goes on without and says so.
    pub fn put(&self, engine: &Engine, component: &Digest, settings: &str, compiled: &Compiled) {
        let path = self.path(engine, component, settings);
        let header = Header {
            component: component.clone(),
            settings: Digest::of(settings.as_bytes()),
            compatibility: engine.compatibility.clone(),
            stages: compiled.stages.clone(),
            is_snapshot: compiled.settings.is_none(),
            description: compiled.description.clone(),
        };
        let write = || -> Result<(), Box<dyn std::error::Error>> {
            let header = serde_json::to_vec(&header)?;
            let mut sealed = u32::try_from(header.len())?.to_le_bytes().to_vec();
            sealed.extend_from_slice(&header);
            sealed.extend_from_slice(&compiled.pre.component().serialize()?);
            let seal = self.seal(&sealed).finalize().into_bytes();
            // Readable by its owner alone, as temporary files are; and there at once or not at all.
            let mut file = tempfile::Builder::new().suffix(UNFINISHED).tempfile_in(&self.folder)?;
            file.write_all(&seal)?;
            file.write_all(&sealed)?;
            file.persist(&path)?;
            Ok(())
        };
        if let Err(error) = write() {
            tracing::warn!(file = %path.display(), %error, "a compiled plugin cannot be kept");
        }
        self.sweep(&path);
    }

    fn seal(&self, sealed: &[u8]) -> Hmac<Sha256> {
        let mut seal = Hmac::<Sha256>::new_from_slice(&self.key).expect("a key of any length will do");
        seal.update(PURPOSE);
        seal.update(sealed);
        seal
    }

    fn path(&self, engine: &Engine, component: &Digest, settings: &str) -> PathBuf {
        let settings = Digest::of(settings.as_bytes());
        let name = Digest::of(format!("{component}\n{settings}\n{}", engine.compatibility).as_bytes());
        self.folder.join(format!("{}{SUFFIX}", name.hex()))
    }

    /// Removes the files used longest ago until the rest fits; never `kept`.
    fn sweep(&self, kept: &Path) {
        let _sweeping = self.sweeping.lock().unwrap_or_else(PoisonError::into_inner);
        let mut files = self.files(SUFFIX);
        files.sort_by_key(|(_, used, _)| *used);
        let mut size_bytes: u64 = files.iter().map(|(_, _, bytes)| bytes).sum();
        for (path, _, bytes) in files {
            if size_bytes <= self.size_max_bytes {
                return;
            }
            if path != kept && fs::remove_file(&path).is_ok() {
                size_bytes -= bytes;
            }
        }
    }

    fn files(&self, suffix: &str) -> Vec<(PathBuf, SystemTime, u64)> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        entries
            .filter(|entry| entry.file_name().to_string_lossy().ends_with(suffix))
            .filter_map(|entry| {
                let metadata = entry.metadata().ok()?;
                Some((entry.path(), metadata.modified().ok()?, metadata.len()))
            })
            .collect()
    }
}

#[expect(unsafe_code, reason = "native code can only be loaded unsafely; the seal says that this host made it")]
fn deserialize(engine: &Engine, code: &[u8]) -> Result<Component, String> {
    // SAFETY: only called with bytes whose seal was made with this host's key, over what `Component::serialize` gave.
    unsafe { Component::deserialize(&engine.wasmtime, code) }.map_err(|error| format!("its code: {error:#}"))
}

fn touch(path: &Path) {
    let now = UNIX_EPOCH + Duration::from_millis(u64::try_from(Millis::now().0).unwrap_or(0));
    let _ = fs::File::options().append(true).open(path).and_then(|file| file.set_modified(now));
}

fn key(folder: &Path) -> Result<[u8; KEY_BYTES], String> {
    let path = folder.join(KEY_FILE);
    let said =
        |what: &str, error: io::Error| format!("the key of compiled plugins {}: {what}: {error}", path.display());
    if !path.exists() {
        let make = || {
            let mut file = tempfile::Builder::new().suffix(UNFINISHED).tempfile_in(folder)?;
            file.write_all(&clock::random_bytes::<KEY_BYTES>())?;
            // Of two hosts that start at once, the second takes the first one's key.
            match file.persist_noclobber(&path) {
                Err(error) if error.error.kind() != ErrorKind::AlreadyExists => Err(error.error),
                _ => Ok(()),
            }
        };
        make().map_err(|error| said("cannot be made", error))?;
    }
    let mode = fs::metadata(&path).map_err(|error| said("cannot be read", error))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(format!(
            "the key of compiled plugins {} is open to others (mode {:o}): remove it and every compiled plugin beside \
             it, since others may have made them",
            path.display(),
            mode & 0o777
        ));
    }
    let key = fs::read(&path).map_err(|error| said("cannot be read", error))?;
    key.try_into().map_err(|_| {
        format!("the key of compiled plugins {} does not have {KEY_BYTES} bytes: remove it", path.display())
    })
}
