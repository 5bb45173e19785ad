//! A host that starts again: it compiles nothing that it compiled before, and trusts no compiled code that is not its own.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::TempDir;

use crate::support::host::{Host, Options};
use crate::support::rules::{module, own_binding, submission};

/// How often the host took a plugin from the folder of compiled code (`hit`), did not find it there (`miss`), or found
/// what it would not load (`refused`).
fn counted(host: &Host, result: &str) -> u64 {
    let metrics = host.get("/metrics").body;
    let name = format!("hallmark_plugin_cache_total{{result=\"{result}\"}} ");
    let line = metrics.as_str().expect("text").lines().find_map(|line| line.strip_prefix(&name));
    line.map_or(0, |count| count.parse().expect("a number"))
}

fn compiled(data: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(data.join("cache")).expect("a folder").map(|entry| entry.expect("a file").path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "plugin")).collect()
}

/// One component bound twice, with two settings.
fn rules(folder: &Path) -> PathBuf {
    let binding = |name: &str| own_binding(folder, name, "validate", "hostile", "{ break = \"none\" }");
    let other = own_binding(folder, "other", "validate", "hostile", "{ break = \"error\" }")
        .replace("stage = \"validate\"", "stage = \"validate\"\nmode = \"observe\"");
    module(folder, "note", &format!("{}{other}", binding("check")))
}

fn publishes(host: &Host, id: &str) {
    let answer = host.post("/api/notes/publish", &submission("note", id));
    assert_eq!(answer.status, 201, "{}", answer.body);
    let findings = answer.body["decision"]["findings"].as_array().expect("findings");
    assert_eq!(findings.iter().map(|finding| &finding["plugin"]).collect::<Vec<_>>(), [&json!("other")]);
}

#[test]
fn a_second_start_compiles_nothing() {
    let folder = TempDir::new().expect("a folder");
    let data = folder.path().join("data");
    let rules = rules(folder.path());
    let first = Options::new().modules(&rules).data(&data).start();
    publishes(&first, "a");
    assert_eq!(compiled(&data).len(), 4, "each of two copies with its settings, and as it was pushed, for previews");
    assert!(first.stop());
    // With the folder of the rules and without: nothing is pushed, proved or compiled again.
    for (id, options) in [("b", Options::new().modules(&rules)), ("c", Options::new())] {
        let again = options.data(&data).start();
        publishes(&again, id);
        assert_eq!((counted(&again, "hit"), counted(&again, "miss"), counted(&again, "refused")), (2, 0, 0));
        assert!(again.stop());
    }
}

/// What is done to a file of compiled code.
type Damage = dyn Fn(&Path);

#[test]
fn compiled_code_that_is_not_the_hosts_own_is_never_loaded() {
    let folder = TempDir::new().expect("a folder");
    let data = folder.path().join("data");
    assert!(Options::new().modules(&rules(folder.path())).data(&data).start().stop());
    let damages: [(&str, &Damage); 4] = [
        ("flipped", &|file| {
            let mut bytes = fs::read(file).expect("the file");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(file, bytes).expect("written");
        }),
        ("cut", &|file| {
            let bytes = fs::read(file).expect("the file");
            fs::write(file, &bytes[..bytes.len() / 2]).expect("written");
        }),
        ("replaced", &|file| fs::write(file, b"\x7fELF and anything else").expect("written")),
        // Another host's: whole, and sealed with another key.
        ("foreign", &|file| {
            let key = file.with_file_name("seal.key");
            fs::write(key, [7; 32]).expect("written");
        }),
    ];
    for (id, damage) in damages {
        compiled(&data).iter().for_each(|file| damage(file));
        let host = Options::new().data(&data).start();
        publishes(&host, id);
        assert_eq!((counted(&host, "refused"), counted(&host, "hit")), (2, 0), "{id}");
        assert!(host.stop());
        let again = Options::new().data(&data).start();
        assert_eq!((counted(&again, "refused"), counted(&again, "hit")), (0, 2), "{id}: they were built again");
        assert!(again.stop());
    }
}

#[test]
fn a_start_does_not_bring_back_rules_that_somebody_went_back_from() {
    let folder = TempDir::new().expect("a folder");
    let data = folder.path().join("data");
    let home = module(folder.path(), "note", "");
    let start = || Options::new().modules(&home).data(&data).start();
    let active = |host: &Host| host.get("/api/modules/notes").body["release"]["number"].as_i64();
    assert!(start().stop());
    module(folder.path(), "note", "[[placeholders]]\nname = \"MEMORY\"\n");
    let second = start();
    assert_eq!(active(&second), Some(2), "what the folder says anew is put in force");
    assert_eq!(second.post("/api/modules/notes/activate", &json!({"release": 1})).status, 200);
    assert!(second.stop());
    let third = start();
    assert_eq!(active(&third), Some(1));
    assert_eq!(third.get("/api/modules/notes/releases").body["items"].as_array().map(Vec::len), Some(2));
    assert!(third.stop());
    module(folder.path(), "note", "[[placeholders]]\nname = \"CORES\"\n");
    assert_eq!(active(&start()), Some(3), "other rules are put in force again");
}

#[test]
fn a_component_whose_bytes_were_lost_can_be_pushed_again() {
    let folder = TempDir::new().expect("a folder");
    let data = folder.path().join("data");
    let host = Options::new().modules(&rules(folder.path())).data(&data).start();
    let copy = fs::read(folder.path().join("check.wasm")).expect("the component");
    let kept = |path: &Path| fs::read(path).is_ok_and(|bytes| bytes == copy);
    let objects = || walk(&data.join("objects"));
    let lost = objects().into_iter().find(|path| kept(path)).expect("it is kept");
    fs::remove_file(&lost).expect("it is lost");
    let again = host.send("/api/plugins", "application/wasm", &copy);
    assert_eq!((again.status, &again.body["created"]), (200, &json!(false)), "{again:?}");
    assert!(kept(&lost));
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}
