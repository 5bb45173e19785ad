//! What lies in folders: the secrets, the compiled plugins, and the room that is left.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::super::Trouble;
use super::super::access::SESSION_KEY_FILE;
use super::super::serve::{SIGNING_KEY_FILE, TOKEN_FILE};
use super::super::webhook_key::own_key;
use super::{Arguments, Check};
use crate::clock::Millis;
use crate::registry::access::SessionKey;
use crate::registry::blobs::Location;
use crate::registry::signing::SigningKey;
use crate::registry::webhooks::secret::WebhookKey;

/// The host's own database, where no other is named.
const DATABASE_FILE: &str = "hallmark.db";

/// The folder of compiled plugins, and the key that they are sealed with.
const CACHE_FOLDER: &str = "cache";
const SEAL_FILE: &str = "seal.key";

/// Free hundredths of a disk below which somebody should look, and below which a host soon stops writing. The alert in
/// docs/observability rings where the first is passed.
const FREE_WARN_PERCENT: u64 = 15;
const FREE_FAIL_PERCENT: u64 = 5;

/// Days before a certificate's end from which somebody should look: whoever renews them does so earlier. The alert in
/// docs/observability rings then too.
const CERTIFICATE_WARN_DAYS: i64 = 14;

/// Looks at all of it.
pub fn look(arguments: &Arguments, checks: &mut Vec<Check>) {
    let data = &arguments.place.data;
    checks.push(data_folder(data));
    checks.extend(certificate(arguments));
    if !data.is_dir() {
        return;
    }
    checks.push(secret(&data.join(TOKEN_FILE), "admin token", |text| {
        if text.trim().len() < 32 { Err("it holds no token".to_owned()) } else { Ok(()) }
    }));
    let key = arguments.signing_key.clone().unwrap_or_else(|| data.join(SIGNING_KEY_FILE));
    let is_key = |text: &str| SigningKey::from_pem(text).map(|_| ()).map_err(|error| error.to_string());
    checks.push(match (secret(&key, "signing key", is_key), &arguments.signing_key) {
        (check, Some(named)) if check.help.is_some() && !named.exists() => Check::fail(
            "signing key",
            format!("{} is not there, and no host starts without a key that is named", named.display()),
            "put the fleet's key there, or make one with `hallmark plugin keygen`",
        ),
        (check, _) => check,
    });
    checks.extend(session_key(data));
    let (_, path) = own_key(data, arguments.webhook_key.as_deref());
    let is_key = |text: &str| WebhookKey::from_text(text).map(|_| ()).map_err(|error| error.to_string());
    checks.push(secret(&path, "webhook key", is_key));
    checks.extend(database_files(data));
    checks.push(cache(&data.join(CACHE_FOLDER)));
    checks.push(disk(data));
    if let Ok(Location::Folder(objects)) = arguments.place.objects()
        && objects.is_dir()
        && !objects.starts_with(data)
    {
        checks.push(disk(&objects));
    }
}

fn mode(path: &Path) -> std::io::Result<u32> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o777)
}

fn data_folder(data: &Path) -> Check {
    const PART: &str = "data folder";
    let shown = data.display();
    match mode(data) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Check::warn(PART, format!("{shown} is not there"), "the first start makes it; name another with --data")
        }
        Err(error) => Check::fail(PART, format!("{shown}: {error}"), "run this as the user that the host runs as"),
        Ok(mode) if mode & 0o002 != 0 => {
            let detail = format!("{shown} can be written by everybody, and no host starts in it");
            Check::fail(PART, detail, format!("run chmod 700 {shown}"))
        }
        Ok(mode) if mode & 0o070 != 0 || mode & 0o007 != 0 => {
            Check::warn(PART, format!("{shown} is open to others (mode {mode:o})"), format!("run chmod 700 {shown}"))
        }
        Ok(_) => Check::ok(PART, format!("{shown} is its owner's alone")),
    }
}

/// A file that nobody else may read, and what must be in it.
fn secret(path: &Path, part: &'static str, is_right: impl Fn(&str) -> Result<(), String>) -> Check {
    let shown = path.display();
    match mode(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Check::warn(part, format!("{shown} is not there"), "the next start makes a new one")
        }
        Err(error) => Check::fail(part, format!("{shown}: {error}"), "run this as the user that the host runs as"),
        Ok(mode) if mode & 0o077 != 0 => {
            let detail = format!("{shown} is open to others (mode {mode:o}), and no host starts with it");
            Check::fail(part, detail, format!("run chmod 600 {shown}; where others could read it, make a new one"))
        }
        Ok(_) => match fs::read_to_string(path).map_err(|error| error.to_string()).and_then(|text| is_right(&text)) {
            Ok(()) => Check::ok(part, format!("{shown} is its owner's alone")),
            Err(why) => {
                let help = "put back the one that was kept, or move it away: the next start makes a new one";
                Check::fail(part, format!("{shown}: {why}"), help)
            }
        },
    }
}

/// The key of sessions that the host made for itself; where one is named elsewhere there is none to look at.
fn session_key(data: &Path) -> Option<Check> {
    let path = data.join(SESSION_KEY_FILE);
    let is_key = |text: &str| SessionKey::from_secret(text).map(|_| ()).map_err(|error| error.to_string());
    path.exists().then(|| secret(&path, "session key", is_key))
}

/// The certificate that the host shows; none where it shows none.
fn certificate(arguments: &Arguments) -> Option<Check> {
    const PART: &str = "certificate";
    let files = match arguments.tls.files() {
        Ok(files) => files?,
        Err(Trouble::Usage(why)) => return Some(Check::fail(PART, why, "a host that is given this does not start")),
        Err(_) => return None,
    };
    Some(match files.read() {
        Ok(pair) => holds(pair.expires, Millis::now(), &files.certificate.display().to_string()),
        Err(why) => Check::fail(PART, why, "a host does not start with it, and one that runs keeps the one before"),
    })
}

fn holds(expires: Millis, now: Millis, shown: &str) -> Check {
    const PART: &str = "certificate";
    const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
    let until = expires.rfc3339();
    let help = "put a new one in its place: a host that runs reads it by itself";
    match (expires.0 - now.0).div_euclid(DAY_MS) {
        ..0 => Check::fail(PART, format!("{shown} held until {until}: clients refuse it"), help),
        days @ 0..CERTIFICATE_WARN_DAYS => {
            Check::warn(PART, format!("{shown} holds until {until}, {days} more days"), help)
        }
        _ => Check::ok(PART, format!("{shown} holds until {until}")),
    }
}

/// A database in the data folder, and its journal.
fn database_files(data: &Path) -> Vec<Check> {
    let names = ["", "-wal", "-shm"].map(|suffix| format!("{DATABASE_FILE}{suffix}"));
    let open = |path: PathBuf| Some((mode(&path).ok().filter(|mode| mode & 0o077 != 0)?, path));
    let tell = |(mode, path): (u32, PathBuf)| {
        let shown = path.display();
        Check::warn(
            "database file",
            format!("{shown} is open to others (mode {mode:o})"),
            format!("run chmod 600 {shown}"),
        )
    };
    names.into_iter().filter_map(|name| open(data.join(name))).map(tell).collect()
}

fn cache(folder: &Path) -> Check {
    const PART: &str = "cache";
    let shown = folder.display();
    match mode(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Check::ok(PART, format!("{shown} is not there yet: plugins are compiled at the first start"))
        }
        Err(error) => Check::fail(PART, format!("{shown}: {error}"), "run this as the user that the host runs as"),
        Ok(mode) if mode & 0o022 != 0 => {
            let detail = format!("{shown} can be written by others (mode {mode:o}): what lies there is run");
            Check::fail(PART, detail, format!("remove {shown}: the next start makes it anew"))
        }
        Ok(_) => match mode_of_seal(folder) {
            Some(mode) if mode & 0o077 != 0 => {
                let detail = format!("{shown}/{SEAL_FILE} is open to others (mode {mode:o})");
                Check::fail(PART, detail, format!("remove {shown}: the next start makes it anew"))
            }
            _ => Check::ok(PART, format!("{shown} can be written by its owner alone")),
        },
    }
}

fn mode_of_seal(folder: &Path) -> Option<u32> {
    mode(&folder.join(SEAL_FILE)).ok()
}

fn disk(folder: &Path) -> Check {
    const PART: &str = "disk";
    let shown = folder.display();
    let (free, size) = match rustix::fs::statvfs(folder) {
        // What is kept for root is not free for the host.
        Ok(said) => (said.f_bavail.saturating_mul(said.f_frsize), said.f_blocks.saturating_mul(said.f_frsize)),
        Err(error) => {
            return Check::fail(PART, format!("{shown}: {error}"), "run this as the user that the host runs as");
        }
    };
    room(free, size, &shown.to_string())
}

fn room(free: u64, size: u64, shown: &str) -> Check {
    const PART: &str = "disk";
    const MIB: u64 = 1024 * 1024;
    let percent = free.saturating_mul(100) / size.max(1);
    let detail = format!("{percent} % of the disk of {shown} is free, {} of {} MiB", free / MIB, size / MIB);
    let help = "make room, or move the folder: where nothing can be written, publishes are answered 503";
    if percent < FREE_FAIL_PERCENT {
        Check::fail(PART, detail, help)
    } else if percent < FREE_WARN_PERCENT {
        Check::warn(PART, detail, help)
    } else {
        Check::ok(PART, detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::State;

    #[test]
    fn a_certificate_that_ends_soon_is_told_in_time() {
        let day = |days: i64| Millis(days * 24 * 60 * 60 * 1_000);
        for (days, state) in [(15, State::Ok), (14, State::Ok), (13, State::Warn), (0, State::Warn), (-1, State::Fail)]
        {
            assert_eq!(holds(day(days), day(0), "here").state, state, "{days}");
        }
        assert_eq!(holds(day(3), day(1), "here").detail, "here holds until 1970-01-04T00:00:00.000Z, 2 more days");
        assert_eq!(holds(day(1), day(2), "here").detail, "here held until 1970-01-02T00:00:00.000Z: clients refuse it");
    }

    #[test]
    fn a_disk_that_fills_up_is_told_in_time() {
        for (free, state) in [(100, State::Ok), (15, State::Ok), (14, State::Warn), (5, State::Warn), (4, State::Fail)]
        {
            assert_eq!(room(free, 100, "here").state, state, "{free}");
        }
        assert_eq!(room(0, 0, "here").detail, "0 % of the disk of here is free, 0 of 0 MiB");
    }
}
