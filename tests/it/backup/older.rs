//! Archives of older versions: brought forward as their database would have been, and given what was not kept then.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use hallmark::names::Digest;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Row as _};
use tempfile::TempDir;

use super::Home;
use crate::support::command::{against, argument, hallmark, text};
use crate::support::host::{Host, Options, root, until};

/// The last step before categories, words and references were kept.
const BEFORE_WORDS: i64 = 28;

/// A column, and whether it must have a value.
type Column = (String, bool);

/// The tables of the schema as it was at a step, in the engine that every step of both can be seen in.
fn tables_at(folder: &Path, step: i64) -> BTreeMap<String, Vec<Column>> {
    let database = format!("sqlite:{}", folder.join("older.db").display());
    let number = step.to_string();
    for more in [&[][..], &["--revert-to", &number]] {
        let output = hallmark(&[&["migrate", "--database", &database], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    }
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        sqlx::any::install_default_drivers();
        let mut connection = sqlx::AnyConnection::connect(&database).await.expect("it opens");
        let mut tables: BTreeMap<String, Vec<Column>> = BTreeMap::new();
        let named = "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'migrations'";
        for table in connection.fetch_all(named).await.expect("names") {
            let table: String = table.get(0);
            let columns = format!("SELECT name, \"notnull\" FROM pragma_table_info('{table}')");
            let rows = connection.fetch_all(AssertSqlSafe(columns)).await.expect("columns");
            tables.insert(table, rows.iter().map(|row| (row.get(0), row.get::<i64, _>(1) == 1)).collect());
        }
        tables
    })
}

/// A member's rows as the older schema holds them; what it cannot hold was not there.
fn narrowed(rows: &str, columns: &[Column]) -> Vec<String> {
    let row = |line: &str| {
        let row: Value = serde_json::from_str(line).expect("a row");
        let is_held = columns.iter().all(|(name, must)| !must || !row[name].is_null());
        let kept: serde_json::Map<String, Value> =
            columns.iter().map(|(name, _)| (name.clone(), row[name].clone())).collect();
        is_held.then(|| Value::Object(kept).to_string())
    };
    rows.lines().filter_map(row).collect()
}

/// The archive as a hallmark of that step would have made it.
fn as_of(archive: &Path, folder: &Path, step: i64) -> PathBuf {
    let tables = tables_at(folder, step);
    let older = folder.join("older.hallmark");
    let from = zstd::Decoder::new(fs::File::open(archive).expect("the archive")).expect("Zstandard");
    let to = zstd::Encoder::new(fs::File::create(&older).expect("a file"), 1).expect("Zstandard");
    let (mut from, mut to) = (tar::Archive::new(from), tar::Builder::new(to));
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        to.append_data(&mut header, name, bytes).expect("written");
    };
    let (mut members, mut counts) = (Vec::new(), BTreeMap::<String, usize>::new());
    for entry in from.entries().expect("members") {
        let mut entry = entry.expect("a member");
        let name = entry.path().expect("a name").display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("a member");
        if name == "manifest.json" {
            let mut manifest: Value = serde_json::from_slice(&bytes).expect("JSON");
            let order = manifest["tables"].as_array().expect("tables").clone();
            let named: Vec<&str> = order.iter().filter_map(|table| table["name"].as_str()).collect();
            let is_new: BTreeSet<&str> = named.iter().copied().filter(|name| !tables.contains_key(*name)).collect();
            assert!(is_new.contains("entry_texts") && is_new.contains("version_references"), "{is_new:?}");
            let of = |name: &&str| {
                let columns: Vec<&String> = tables.get(*name)?.iter().map(|(column, _)| column).collect();
                Some(json!({"name": name, "columns": columns, "rows": counts.get(*name).copied().unwrap_or(0)}))
            };
            manifest["tables"] = named.iter().filter_map(of).collect();
            manifest["members"] = Value::Array(std::mem::take(&mut members));
            manifest["schema"] = step.into();
            add(&name, manifest.to_string().as_bytes());
            continue;
        }
        if let Some(table) = name.strip_prefix("rows/").and_then(|rest| rest.split('/').next()) {
            let Some(columns) = tables.get(table) else { continue };
            let rows = narrowed(&text(&bytes), columns);
            *counts.entry(table.to_owned()).or_default() += rows.len();
            bytes = rows.iter().flat_map(|row| format!("{row}\n").into_bytes()).collect();
        }
        members.push(json!({"path": name, "sizeBytes": bytes.len(), "digest": Digest::of(&bytes)}));
        add(&name, &bytes);
    }
    to.into_inner().expect("written").finish().expect("written");
    older
}

/// What readers find by what was not kept then.
fn found(host: &Host) -> Vec<Value> {
    [
        "/api/search?q=release",
        "/api/search?q=the&limit=100",
        "/api/templates?category=email",
        "/api/templates?search=shipped",
        "/api/templates/mail/references",
        "/api/templates/footer/referrers",
        "/api/agents/release-notes/references",
    ]
    .into_iter()
    .map(|path| {
        let answer = host.get(path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.body
    })
    .collect()
}

#[test]
fn an_archive_from_before_words_and_references_is_brought_forward_and_completed() {
    let folder = TempDir::new().expect("a folder");
    let source = Home::sqlite(folder.path(), "source");
    let options = |home: &Home| {
        let options = Options::examples().database(&home.database).data(&home.data);
        options.limit("fill_versions_max", 3).limit("fill_pause_ms", 1).limit("fill_poll_ms", 20)
    };
    let host = options(&source).start();
    let published = against(&host, &["publish", argument(&root().join("examples/manifests/valid"))]);
    assert_eq!(published.status.code(), Some(0), "{}", text(&published.stderr));
    for (template, content) in
        [("footer", json!({"body": "Yours."})), ("mail", json!({"body": "Hello.", "includes": ["footer"]}))]
    {
        let body = json!({
            "templateId": template, "name": template, "version": "1.0.0", "description": "Says it.", "category": "email",
            "content": content,
        });
        let answer = host.post("/api/templates/publish", &body);
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    let expected = found(&host);
    let items = |page: &Value| page["items"].as_array().expect("items").len();
    assert!(expected.iter().take(6).all(|page| items(page) > 0), "{expected:#?}");
    assert!(host.stop());
    let archive = folder.path().join("new.hallmark");
    source.back_up(&archive);
    let older = as_of(&archive, folder.path(), BEFORE_WORDS);

    for home in [Home::sqlite(folder.path(), "sqlite"), Home::postgres(folder.path(), "postgres")] {
        let (code, said) = home.command(&["restore", argument(&older)]);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains(&format!(" at migration {BEFORE_WORDS}")), "{said}");
        for secret in ["admin.token", "signing.key"] {
            fs::copy(source.data.join(secret), home.data.join(secret)).expect("a secret that was kept");
        }
        let restored = options(&home).start();
        until("everything is found again", || found(&restored) == expected);
        assert_eq!(restored.get("/api/agents/release-notes").body["updatedAt"], {
            let again = options(&source).start();
            again.get("/api/agents/release-notes").body["updatedAt"].clone()
        });
        let again = against(&restored, &["audit", "verify"]);
        assert_eq!(again.status.code(), Some(0), "{}{}", text(&again.stdout), text(&again.stderr));
    }
}
