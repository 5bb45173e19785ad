//! Backups: taken while hosts write, restored on the other engine, and refused where they would do harm.

mod older;

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use hallmark::clock::Millis;
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _, Row as _};
use tempfile::TempDir;

use crate::support::as_superuser;
use crate::support::command::{against, argument, hallmark, text};
use crate::support::fleet::{Slot, publish};
use crate::support::host::{Host, Options, until};
use crate::support::new_postgres_database;
use crate::support::rules::{module, own_binding, submission};

/// A registry: its data folder, its database and its components.
#[derive(Clone)]
struct Home {
    data: PathBuf,
    database: String,
}

impl Home {
    fn sqlite(folder: &Path, name: &str) -> Self {
        let data = folder.join(name);
        let database = format!("sqlite:{}", data.join("hallmark.db").display());
        Self { data, database }
    }

    fn postgres(folder: &Path, name: &str) -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        Self { data: folder.join(name), database: runtime.block_on(new_postgres_database()) }
    }

    fn options(&self) -> Options {
        Options::new().database(&self.database).data(&self.data)
    }

    /// A command about this registry: how it ended, and all that it said.
    fn command(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let place = ["--data", argument(&self.data), "--database", &self.database];
        let output = hallmark(&[arguments, &place].concat());
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    }

    fn back_up(&self, archive: &Path) {
        let (code, said) = self.command(&["backup", "--out", argument(archive)]);
        assert_eq!(code, Some(0), "{said}");
    }

    /// Restores, and starts a host with the secrets that were kept beside the archive.
    fn restore(&self, archive: &Path, secrets_of: &Path) -> Host {
        let (code, said) = self.command(&["restore", argument(archive)]);
        assert_eq!(code, Some(0), "{said}");
        for secret in ["admin.token", "signing.key", "webhook.key"] {
            fs::copy(secrets_of.join(secret), self.data.join(secret)).expect("a secret that was kept");
        }
        self.options().start()
    }
}

/// Gives a host something of everything.
fn fill(host: &Host, folder: &Path) {
    let rules = module(folder, "note", &own_binding(folder, "check", "validate", "hostile", "{ break = \"none\" }"));
    for arguments in [&["module", "apply", argument(&rules)][..], &["token", "create", "ci", "--role", "publisher"]] {
        let done = against(host, arguments);
        assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    }
    let posted = |path: &str, body: &Value, status: u16| {
        let answer = host.post(path, body);
        assert_eq!(answer.status, status, "{answer:?}");
    };
    let version = |version: &str| {
        let mut body = submission("note", "a");
        body["version"] = json!(version);
        // What JSON, SQL and a shell may take for something else.
        body["manifest"]["text"] = json!("'ü' \u{1f980} \" \\ \n \u{1} %s $1 {\"a\": null}");
        body
    };
    posted("/api/notes/publish", &version("1.0.0"), 201);
    posted("/api/notes/publish", &version("1.1.0"), 201);
    posted("/api/notes/a/rollback", &json!({"targetVersion": "1.0.0"}), 200);
    posted("/api/notes/publish", &json!({"noteId": "b", "version": "1.0.0"}), 422);
    posted("/api/modules/notes/freeze", &json!({"reason": "a backup"}), 200);
}

/// Every item of a list.
fn items(host: &Host, path: &str) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let more = cursor.map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
        let mut page = host.get(&format!("{path}?limit=100{more}"));
        assert_eq!(page.status, 200, "{path}: {page:?}");
        items.append(page.body["items"].as_array_mut().expect("items"));
        match page.body["nextCursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return items,
        }
    }
}

fn id(item: &Value, field: &str) -> String {
    item[field].as_str().unwrap_or_else(|| panic!("{field} of {item}")).to_owned()
}

/// All that the host answers that does not change with the time.
fn answers(host: &Host) -> Vec<(String, Value)> {
    let mut answers = Vec::new();
    let mut paths: Vec<String> =
        ["/api/search?q=hello", "/api/modules/notes", "/api/policies", "/api/keys", "/api/signing-key"]
            .into_iter()
            .map(str::to_owned)
            .collect();
    for list in ["/api/notes", "/api/modules/notes/releases", "/api/plugins", "/api/decisions", "/api/audit"] {
        let items = items(host, list);
        match list {
            "/api/notes" => paths.extend(items.iter().take(40).flat_map(|entry| {
                let entry = format!("/api/notes/{}", id(entry, "noteId"));
                [entry.clone(), format!("{entry}/versions")]
            })),
            "/api/decisions" => {
                paths.extend(items.iter().take(20).map(|decision| format!("/api/decisions/{}", id(decision, "id"))));
            }
            _ => {}
        }
        answers.push((list.to_owned(), Value::Array(items)));
    }
    for path in paths {
        let answer = host.get(&path);
        answers.push((path, json!([answer.status, answer.body])));
    }
    let mut tokens = items(host, "/api/tokens");
    // When one was used last goes on.
    tokens.iter_mut().for_each(|token| token["lastUsedAt"] = Value::Null);
    answers.push(("/api/tokens".to_owned(), Value::Array(tokens)));
    answers
}

fn verify(host: &Host) {
    let verified = against(host, &["audit", "verify"]);
    assert_eq!(verified.status.code(), Some(0), "{}{}", text(&verified.stdout), text(&verified.stderr));
}

/// Backs up in the middle of publishes, and says which versions were acknowledged before.
fn back_up_under_load(home: &Home, slots: &[Slot], archive: &Path) -> Vec<String> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let publishers: Vec<_> = (0..3)
            .map(|number| {
                let stop = &stop;
                scope.spawn(move || publish(slots, number, stop))
            })
            .collect();
        let stored = || slots[0].with(|host| items(host, "/api/notes"));
        until("something is stored", || stored().len() > 10);
        let before = stored().iter().map(|entry| id(entry, "noteId")).collect();
        home.back_up(archive);
        let at_end = stored().len();
        until("more is stored", || stored().len() > at_end);
        stop.store(true, Ordering::SeqCst);
        publishers.into_iter().for_each(|publisher| drop(publisher.join().expect("no publish failed")));
        before
    })
}

/// What was restored holds together, has everything from before, and nothing that the source has not.
fn is_of_one_instant(restored: &Host, source: &Host, before: &[String]) {
    let entries = items(restored, "/api/notes");
    let ids: Vec<String> = entries.iter().map(|entry| id(entry, "noteId")).collect();
    assert!(before.iter().all(|entry| ids.contains(entry)), "an entry from before the backup is lost");
    assert!(ids.len() < items(source, "/api/notes").len(), "the load went on meanwhile");
    for entry in ids.iter().take(40) {
        let path = format!("/api/notes/{entry}/versions");
        for version in items(restored, &path) {
            let path = format!("{path}/{}", id(&version, "version"));
            let fields = |host: &Host| {
                let body = host.get(&path).body;
                ["digest", "manifest", "decisionId", "publishedAt"].map(|name| body[name].clone())
            };
            let decision = format!("/api/decisions/{}", fields(restored)[2].as_str().expect("a decision"));
            assert_eq!(fields(restored), fields(source), "{path}");
            assert_eq!(restored.get(&decision).body, source.get(&decision).body);
        }
    }
    verify(restored);
}

fn moves(folder: &Path, source: &Home, [first, second]: [&Home; 2]) {
    let options = source.clone();
    let slots = [Slot::start(move || options.options())];
    slots[0].with(|host| fill(host, folder));
    let (loaded, quiet) = (folder.join("loaded.hallmark"), folder.join("quiet.hallmark"));
    let begun = Millis::now().0 / 1_000;
    let before = back_up_under_load(source, &slots, &loaded);
    let noted = fs::read_to_string(source.data.join("backup.last")).expect("a note");
    let noted: i64 = noted.trim().parse().expect("seconds since the Unix epoch");
    assert!((begun..=Millis::now().0 / 1_000).contains(&noted), "{noted}");
    slots[0].with(|host| {
        is_of_one_instant(&first.restore(&loaded, &source.data), host, &before);
        until("the log is sealed", || host.get("/api/audit/status").body["waiting"] == 0);
        source.back_up(&quiet);
        let restored = second.restore(&quiet, &source.data);
        for (one, other) in answers(&restored).iter().zip(answers(host)) {
            assert_eq!(*one, other);
        }
        verify(&restored);
        assert_eq!(restored.get("/api/audit/status").body, host.get("/api/audit/status").body);
        // It goes on from there: rules are loaded, rows are numbered on, and events go out.
        let more = restored.post("/api/notes/publish", &submission("note", "z"));
        assert_eq!(more.status, 201, "{more:?}");
        verify(&restored);
    });
}

#[test]
fn a_backup_of_sqlite_under_load_is_restored_on_postgresql() {
    let folder = TempDir::new().expect("a folder");
    let source = Home::sqlite(folder.path(), "source");
    moves(folder.path(), &source, [&Home::postgres(folder.path(), "a"), &Home::postgres(folder.path(), "b")]);
}

#[test]
fn a_backup_of_postgresql_under_load_is_restored_on_sqlite() {
    let folder = TempDir::new().expect("a folder");
    let source = Home::postgres(folder.path(), "source");
    moves(folder.path(), &source, [&Home::sqlite(folder.path(), "a"), &Home::sqlite(folder.path(), "b")]);
}

/// A registry with something in it, its host stopped, and its archive.
fn archived(folder: &Path) -> (Home, PathBuf) {
    let home = Home::sqlite(folder, "source");
    let host = home.options().start();
    fill(&host, folder);
    assert!(host.stop());
    let archive = folder.join("it.hallmark");
    home.back_up(&archive);
    (home, archive)
}

/// The archive with another text in its manifest.
fn with_manifest(archive: &Path, change: impl Fn(&mut Value)) -> PathBuf {
    let changed = archive.with_extension("changed");
    let from = zstd::Decoder::new(fs::File::open(archive).expect("the archive")).expect("Zstandard");
    let to = zstd::Encoder::new(fs::File::create(&changed).expect("a file"), 1).expect("Zstandard");
    let (mut from, mut to) = (tar::Archive::new(from), tar::Builder::new(to));
    for entry in from.entries().expect("members") {
        let mut entry = entry.expect("a member");
        let name = entry.path().expect("a name").into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("a member");
        if name == Path::new("manifest.json") {
            let mut manifest: Value = serde_json::from_slice(&bytes).expect("JSON");
            change(&mut manifest);
            bytes = manifest.to_string().into_bytes();
        }
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        to.append_data(&mut header, name, &bytes[..]).expect("written");
    }
    to.into_inner().expect("written").finish().expect("written");
    changed
}

#[test]
fn an_archive_says_what_it_holds() {
    let folder = TempDir::new().expect("a folder");
    let (home, archive) = archived(folder.path());
    let (code, said) = home.command(&["restore", "--check", argument(&archive)]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("is whole: ") && said.contains(", 1 component, of 20"), "{said}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&archive).expect("the archive").permissions());
    assert_eq!(mode & 0o777, 0o600, "it holds the hashes of tokens");
    // Every table of the schema is in it, but for those that are left out for a reason.
    let manifest = std::cell::RefCell::new(Value::Null);
    with_manifest(&archive, |it| drop(manifest.replace(it.clone())));
    let manifest = manifest.into_inner();
    let name = |table: &Value| table["name"].as_str().expect("a name").to_owned();
    let mut carried: Vec<String> = manifest["tables"].as_array().expect("tables").iter().map(name).collect();
    carried.sort();
    assert_eq!(carried, tables(&home));
}

/// The tables of the schema but for the note of its steps and what full-text search makes of the others.
fn tables(home: &Home) -> Vec<String> {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        sqlx::any::install_default_drivers();
        let mut connection = sqlx::AnyConnection::connect(&as_superuser(&home.database)).await.expect("it opens");
        let select = "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'migrations'
                      AND name NOT LIKE 'sqlite%' AND name NOT LIKE 'entry_words%' ORDER BY name";
        let rows = connection.fetch_all(select).await.expect("names");
        rows.iter().map(|row| row.get::<String, _>(0)).collect()
    })
}

#[test]
fn an_archive_that_would_do_harm_is_refused() {
    let folder = TempDir::new().expect("a folder");
    let (home, archive) = archived(folder.path());
    let file = argument(&archive);
    let (code, said) = home.command(&["backup", "--out", file]);
    assert_eq!(
        (code, said),
        (Some(2), format!("error: {file} is there already: name another file with --out, or remove it\n"))
    );
    let (code, said) = home.command(&["restore", file]);
    assert_eq!(code, Some(3), "{said}");
    let told = "An archive is restored into a new database alone: name another with --database, or remove this one\n";
    assert!(said.starts_with("error: the database is not empty: its table ") && said.ends_with(told), "{said}");
    let other = Home::sqlite(folder.path(), "other");
    let newer = with_manifest(&archive, |manifest| manifest["schema"] = json!(9_999));
    let (code, said) = other.command(&["restore", argument(&newer)]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("the archive was made at migration 9999, newer than this binary knows ("), "{said}");
    let lacking =
        with_manifest(&archive, |manifest| drop(manifest["members"].as_array_mut().expect("members").remove(0)));
    let (code, said) = other.command(&["restore", argument(&lacking)]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(" stands where its manifest has "), "{said}");
    let column = with_manifest(&archive, |manifest| manifest["tables"][0]["columns"][0] = json!("colour"));
    let (code, said) = other.command(&["restore", argument(&column)]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains(" has a column colour that the schema of its time has not: it was changed"), "{said}");
    let bytes = fs::read(&archive).expect("the archive");
    fs::write(&archive, &bytes[..bytes.len() / 2]).expect("cut");
    let (code, said) = other.command(&["restore", file]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("cut off or damaged"), "{said}");
    // Nothing of all that was kept: the whole archive fits.
    fs::write(&archive, &bytes).expect("whole");
    let restored = other.restore(&archive, &home.data);
    assert_eq!(items(&restored, "/api/notes").len(), 1);
}

#[test]
fn a_database_that_is_not_there_is_not_made_to_be_backed_up() {
    let folder = TempDir::new().expect("a folder");
    let home = Home::sqlite(folder.path(), "nothing");
    let (code, said) = home.command(&["backup", "--out", argument(&folder.path().join("it.hallmark"))]);
    let path = home.data.join("hallmark.db");
    let told = format!("error: there is no database {}: name it with --data or --database\n", path.display());
    assert_eq!((code, said), (Some(3), told));
    assert!(!home.data.exists());
}

#[test]
fn webhooks_whose_key_was_not_kept_are_told() {
    let folder = TempDir::new().expect("a folder");
    let home = Home::sqlite(folder.path(), "source");
    let host = home.options().allow_private_webhooks().start();
    let added = host.post("/api/webhooks", &json!({"url": "http://127.0.0.1:1/", "types": [], "kinds": []}));
    assert_eq!(added.status, 201, "{added:?}");
    let webhook = id(&added.body, "id");
    assert!(host.stop());
    let archive = folder.path().join("it.hallmark");
    let (code, said) = home.command(&["backup", "--out", argument(&archive)]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("keep admin.token and the keys of signing, sessions and webhooks (signing.key, session.key and")
    );
    let without = Home::sqlite(folder.path(), "without");
    let (code, said) = without.command(&["restore", argument(&archive)]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("warning: 1 webhook will be sent nothing: made with the webhook key "), "{said}");
    let kept = home.data.join("webhook.key");
    let with = Home::sqlite(folder.path(), "with");
    let (code, said) = with.command(&["restore", argument(&archive), "--webhook-key", argument(&kept)]);
    assert!(code == Some(0) && !said.contains("sent nothing: made"), "{said}");

    // The first start makes a key of its own: the doctor tells, and a rotation mends it.
    let host = without.options().allow_private_webhooks().start();
    let doctor = |home: &Home| {
        let (_, said) = home.command(&["doctor"]);
        let line =
            said.lines().find(|line| line.contains("  webhooks  ")).unwrap_or_else(|| panic!("{said}")).to_owned();
        line.split_whitespace().take(4).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(doctor(&without), "fail webhooks 1 webhook");
    assert_eq!(host.post(&format!("/api/webhooks/{webhook}/rotate"), &json!({})).status, 200);
    assert_eq!(doctor(&without), "ok webhooks they are");
}

#[test]
fn a_lost_component_is_told_and_left_out_on_demand() {
    let folder = TempDir::new().expect("a folder");
    let (home, archive) = archived(folder.path());
    let objects = home.data.join("objects/plugins/sha256");
    let component = fs::read_dir(objects).expect("a folder").next().expect("a component").expect("a file").path();
    let digest = component.file_name().expect("a name").to_string_lossy().into_owned();
    fs::remove_file(&component).expect("it is lost");
    let again = folder.path().join("again.hallmark");
    let (code, said) = home.command(&["backup", "--out", argument(&again)]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains(&format!("lost: the component sha256:{digest}, which a plugin's row names")), "{said}");
    assert!(said.contains("1 component is lost, and nothing was written: push them again"), "{said}");
    assert!(!again.exists());
    let (code, said) = home.command(&["backup", "--allow-missing", "--out", argument(&again)]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(", 0 components, of 20"), "{said}");
    // The archive from before brings it back.
    let other = Home::sqlite(folder.path(), "other");
    let restored = other.restore(&archive, &home.data);
    assert_eq!(restored.get("/readyz").status, 200);
}
