//! Compiled plugins on disk: used where they can be trusted, built again where anything about them differs.

use std::cell::Cell;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::*;

/// A plugin whose answer shows its settings.
fn guest() -> Guest {
    Guest::validating("(call $say (global.get $kept) (global.get $kept_len))")
        .with("(global $kept (mut i32) (i32.const 0)) (global $kept_len (mut i32) (i32.const 0))")
        .configure("(global.set $kept (local.get $ptr)) (global.set $kept_len (local.get $len)) (i32.const 2032)")
}

/// Prepares it on a host of its own with this folder; says whether its bytes were asked for.
fn is_built(folder: &Path, component: &[u8], settings: &Value) -> bool {
    let sandbox = Sandbox::start(Arc::new(small()), Some(folder)).expect("a sandbox");
    let is_loaded = Cell::new(false);
    let load = || {
        is_loaded.set(true);
        Ok(component.to_vec())
    };
    let plugin = sandbox.prepare(&Digest::of(component), &load, Stage::Validate, settings).expect("fit");
    assert!(plugin.is_snapshot());
    assert_eq!(plugin.name(), "guest");
    assert_eq!(messages(&plugin), [settings.to_string()]);
    is_loaded.get()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "plugin")).collect()
}

#[test]
fn a_second_start_needs_no_component() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().join("compiled");
    let component = guest().build();
    assert!(is_built(&folder, &component, &json!({"a": 1})));
    assert!(!is_built(&folder, &component, &json!({"a": 1})));
    assert!(is_built(&folder, &component, &json!({"a": 2})), "other settings are another image");
    assert!(!is_built(&folder, &component, &json!({"a": 1})));
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&folder.join("seal.key")), 0o600);
    assert!(files(&folder).iter().all(|path| mode(path) == 0o600));
}

#[test]
fn a_file_that_was_touched_is_never_loaded() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).expect("permissions");
    let folder = folder.path();
    let (component, settings) = (guest().build(), json!({"a": 1}));
    assert!(is_built(folder, &component, &settings));
    let path = files(folder).pop().expect("one file");
    let whole = fs::read(&path).expect("the file");
    let mut damaged = Vec::new();
    for place in [0, 31, 32, 40, whole.len() / 2, whole.len() - 1] {
        let mut flipped = whole.clone();
        flipped[place] ^= 1;
        damaged.push(flipped);
    }
    for length in [0, 10, 34, 100, whole.len() - 1] {
        damaged.push(whole[..length].to_vec());
    }
    for file in damaged {
        fs::write(&path, &file).expect("the damage");
        assert!(is_built(folder, &component, &settings));
        assert!(!is_built(folder, &component, &settings), "it was built again");
    }
    // A file of another plugin under this one's name: its seal is whole, and it is still not this plugin.
    assert!(is_built(folder, &component, &json!({"a": 2})));
    let other = files(folder).into_iter().find(|other| *other != path).expect("another file");
    fs::copy(other, &path).expect("the swap");
    assert!(is_built(folder, &component, &settings));
    // A file that another host sealed.
    fs::remove_file(folder.join("seal.key")).expect("the key");
    assert!(is_built(folder, &component, &settings));
}

#[test]
fn an_open_folder_or_key_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let start = || Sandbox::start(Arc::new(small()), Some(path)).err();
    fs::set_permissions(path, Permissions::from_mode(0o770)).expect("permissions");
    assert_eq!(
        start(),
        Some(format!(
            "the folder of compiled plugins {} can be written by others (mode 770): chmod 700 it",
            path.display()
        ))
    );
    fs::set_permissions(path, Permissions::from_mode(0o700)).expect("permissions");
    assert_eq!(start(), None);
    let key = path.join("seal.key");
    fs::set_permissions(&key, Permissions::from_mode(0o640)).expect("permissions");
    assert_eq!(
        start(),
        Some(format!(
            "the key of compiled plugins {} is open to others (mode 640): remove it and every compiled plugin beside \
             it, since others may have made them",
            key.display()
        ))
    );
    fs::set_permissions(&key, Permissions::from_mode(0o600)).expect("permissions");
    fs::write(&key, "short").expect("a short key");
    assert_eq!(
        start(),
        Some(format!("the key of compiled plugins {} does not have 32 bytes: remove it", key.display()))
    );
}

#[test]
fn the_oldest_files_go_when_the_folder_is_full() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).expect("permissions");
    let limits = Limits { plugin_cache_max_bytes: 1, ..small() };
    let sandbox = Sandbox::start(Arc::new(limits), Some(folder.path())).expect("a sandbox");
    for number in 0..3 {
        prepare(&sandbox, &guest(), json!({ "a": number })).expect("fit");
        assert_eq!(files(folder.path()).len(), 1, "only the one just made");
    }
}

#[test]
fn bytes_of_another_component_are_not_taken_for_it() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).expect("permissions");
    let sandbox = Sandbox::start(Arc::new(small()), Some(folder.path())).expect("a sandbox");
    let (wanted, other) = (guest().build(), guest().named("other").build());
    let (digest, found) = (Digest::of(&wanted), Digest::of(&other));
    let told = format!("they have the digest {found}, not {digest}");
    let load_other = || Ok(other.clone());
    match sandbox.unconfigured(&digest, &load_other) {
        Err(Unfit::Load(why)) => assert_eq!(why, told),
        refused => panic!("{:?}", refused.err()),
    }
    match sandbox.prepare(&digest, &load_other, Stage::Validate, &json!({})) {
        Err(Unfit::Load(why)) => assert_eq!(why, told),
        refused => panic!("{:?}", refused.err()),
    }
    assert_eq!(files(folder.path()), Vec::<PathBuf>::new(), "nothing is kept under its name");
    assert!(sandbox.unconfigured(&digest, &|| Ok(wanted.clone())).is_ok());
}
