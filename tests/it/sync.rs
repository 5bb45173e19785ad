//! Many manifests at once: published side by side with what comes of them in their order, and folders that a server is
//! brought to.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::command::{against, argument, results, text, told};
use crate::support::host::{Host, Options, root};
use crate::support::rules::module;

/// A host with the kind `notes`, whose documents may be anything.
fn host_of_notes(folder: &Path) -> Host {
    Options::new().modules(module(folder, "note", "").parent().expect("a folder")).start()
}

fn write_note(folder: &Path, file: &str, id: &str, version: &str, text: &str) {
    fs::create_dir_all(folder).expect("a folder");
    let note = format!("# A note.\nnoteId: {id}\nname: {id}\nversion: {version}\nmanifest: {{text: {text}}}\n");
    fs::write(folder.join(file), note).expect("a file");
}

#[test]
fn what_comes_of_many_is_told_in_their_order() {
    let folder = TempDir::new().expect("a folder");
    let host = host_of_notes(&folder.path().join("modules"));
    let notes = folder.path().join("notes");
    for number in 0..40 {
        write_note(&notes, &format!("{number:02}.yaml"), &format!("note-{number:02}"), "1.0.0", "first");
    }
    let output = against(&host, &["publish", argument(&notes), "--jobs", "7", "--output", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
    let ids: Vec<String> = results(&output)
        .iter()
        .map(|result| result["published"]["note"]["noteId"].as_str().unwrap_or("?").to_owned())
        .collect();
    assert_eq!(ids, (0..40).map(|number| format!("note-{number:02}")).collect::<Vec<_>>());
    assert_eq!(text(&output.stderr), "", "a bar is for terminals");
    let again = told(&host, &["publish", argument(&notes)]);
    assert_eq!(again.lines().filter(|line| line.starts_with("skipped notes/note-")).count(), 40);
}

#[test]
fn versions_of_one_entry_go_one_after_the_other() {
    let folder = TempDir::new().expect("a folder");
    let host = host_of_notes(&folder.path().join("modules"));
    let notes = folder.path().join("notes");
    for number in 1..=9 {
        write_note(&notes, &format!("{number}.yaml"), "one", &format!("1.{number}.0"), "text");
    }
    told(&host, &["publish", argument(&notes), "--jobs", "9"]);
    assert_eq!(host.get("/api/notes/one").body["version"], "1.9.0");
}

#[test]
fn a_manifest_may_refer_to_one_that_is_published_beside_it() {
    let host = Options::examples().start();
    let folder = TempDir::new().expect("a folder");
    let service = fs::read_to_string(root().join("examples/manifests/valid/service.yaml")).expect("the example");
    fs::write(folder.path().join("z.yaml"), service.replace("serviceId: weather", "serviceId: nowhere"))
        .expect("a file");
    let agent = root().join("examples/manifests/invalid/agent-unknown-service.yaml");
    fs::copy(agent, folder.path().join("a.yaml")).expect("a copy");
    let output = told(&host, &["publish", argument(folder.path())]);
    let lines: Vec<&str> = output.lines().map(|line| line.split(" (").next().unwrap_or(line)).collect();
    assert_eq!(lines, ["published agents/example 1.0.0", "published services/nowhere 1.0.0"]);
}

#[test]
fn what_has_a_warning_is_not_published_where_warnings_fail() {
    let host = Options::examples().start();
    let folder = TempDir::new().expect("a folder");
    let agent = fs::read_to_string(root().join("examples/manifests/valid/agent.yaml")).expect("the example");
    let path = folder.path().join("agent.yaml");
    fs::write(&path, agent.replace("${AGENT_LOG_LEVEL:-WARNING}", "DEBUG")).expect("a file");
    let output = against(&host, &["publish", argument(&path), "--fail-on", "warning"]);
    assert_eq!(output.status.code(), Some(1));
    let shown = text(&output.stdout);
    assert!(shown.starts_with("warning[rule.agent.debug]: "), "{shown}");
    assert!(
        shown.ends_with("not published agents/release-notes 1.0.0: a finding is as heavy as --fail-on warning\n"),
        "{shown}"
    );
    assert_eq!(host.get("/api/agents/release-notes").status, 404);
    let output = against(&host, &["publish", argument(&path), "--output", "github"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).starts_with("::warning file="), "{}", text(&output.stdout));
    assert_eq!(host.get("/api/agents/release-notes").status, 200);
}

#[test]
fn a_dry_run_can_be_asked_for_by_the_environment() {
    let folder = TempDir::new().expect("a folder");
    let host = host_of_notes(&folder.path().join("modules"));
    write_note(folder.path(), "a.yaml", "a", "1.0.0", "text");
    let run = |variable: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hallmark"));
        command.env_clear().env("HALLMARK_TOKEN", &host.token).env("HALLMARK_DRY_RUN", variable);
        command.args(["publish", "a.yaml", "--server", &host.url]).current_dir(folder.path());
        text(&command.output().expect("the binary runs").stdout)
    };
    assert_eq!(run("1"), "1 manifest: 1 valid, 0 rejected (0 errors, 0 warnings)\n");
    assert_eq!(host.get("/api/notes/a").status, 404);
    assert!(run("0").starts_with("published notes/a 1.0.0 "));
}

#[test]
fn a_folder_is_planned_published_and_then_unchanged() {
    let folder = TempDir::new().expect("a folder");
    let host = host_of_notes(&folder.path().join("modules"));
    let notes = folder.path().join("notes");
    write_note(&notes, "a.yaml", "a", "1.0.0", "first");
    write_note(&notes, "b.yaml", "b", "1.0.0", "first");
    let sync = ["sync", argument(&notes)];
    assert_eq!(
        told(&host, &sync),
        "+ notes/a 1.0.0\n+ notes/b 1.0.0\nplan: 2 to publish, 0 unchanged\nnothing was changed: run it again with --yes\n"
    );
    assert_eq!(host.get("/api/notes/a").status, 404);
    let done = told(&host, &[&sync[..], &["--yes"]].concat());
    assert!(done.contains("published notes/a 1.0.0 (") && done.contains("published notes/b 1.0.0 ("), "{done}");
    assert_eq!(told(&host, &[&sync[..], &["--yes"]].concat()), "plan: 0 to publish, 2 unchanged\n");

    write_note(&notes, "a.yaml", "a", "1.1.0", "second");
    write_note(&notes, "b.yaml", "b", "1.0.0", "other");
    let output = against(&host, &[&sync[..], &["--dry-run", "--yes"]].concat());
    assert_eq!(
        (text(&output.stdout).as_str(), output.status.code()),
        (
            "~ notes/a 1.1.0, in place of 1.0.0\n! notes/b 1.0.0 is published with other content: give the file another \
             version\nplan: 1 to publish, 1 cannot be published, 0 unchanged\nnothing was changed: run it again with --yes\n",
            Some(1)
        )
    );
    fs::remove_file(notes.join("b.yaml")).expect("removed");
    told(&host, &[&sync[..], &["--yes"]].concat());
    assert_eq!(host.get("/api/notes/a").body["version"], "1.1.0");
    assert_eq!(told(&host, &[&sync[..], &["--prune"]].concat()).lines().next(), Some("- notes/b"));
    let plan = against(&host, &[&sync[..], &["--prune", "--output", "json"]].concat());
    let plan: Value = serde_json::from_slice(&plan.stdout).expect("JSON");
    assert_eq!((&plan["plan"][1]["action"], &plan["plan"][1]["id"]), (&"disable".into(), &"b".into()));
    assert_eq!(plan["applied"], false);
}

#[test]
fn a_plan_shows_what_the_gate_would_reject() {
    let host = Options::examples().start();
    let folder = TempDir::new().expect("a folder");
    let agent = "examples/manifests/invalid/agent-no-readiness-probe.yaml";
    fs::copy(root().join(agent), folder.path().join("agent.yaml")).expect("a copy");
    let output = against(&host, &["sync", argument(folder.path())]);
    let shown = text(&output.stdout);
    assert!(shown.starts_with("! agents/example 1.0.0 would be rejected:\nerror[rule.agent.health]: "), "{shown}");
    assert!(shown.ends_with("plan: 0 to publish, 1 cannot be published, 0 unchanged\n"), "{shown}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn the_inbox_is_listed_and_its_keys_forgotten() {
    let folder = TempDir::new().expect("a folder");
    let host = host_of_notes(&folder.path().join("modules"));
    for id in ["a", "b", "c"] {
        write_note(&folder.path().join("notes"), &format!("{id}.yaml"), id, "1.0.0", "text");
    }
    told(&host, &["publish", argument(&folder.path().join("notes"))]);
    let keys = |arguments: &[&str]| -> Vec<String> {
        let listed = told(&host, &[&["inbox", "list"][..], arguments].concat());
        listed.lines().map(|line| line.split_whitespace().nth(1).unwrap_or("?").to_owned()).collect()
    };
    assert_eq!(keys(&[]), ["registry:note:a:1.0.0", "registry:note:b:1.0.0", "registry:note:c:1.0.0"]);
    assert_eq!(keys(&["--prefix", "registry:note:b:"]), ["registry:note:b:1.0.0"]);
    assert_eq!(keys(&["--prefix", "registry:other:"]), [] as [&str; 0]);
    let page = host.get("/api/inbox?limit=2").body;
    assert_eq!(page["items"][1]["key"], "registry:note:b:1.0.0");
    let cursor = page["nextCursor"].as_str().expect("a cursor");
    let next = host.get(&format!("/api/inbox?limit=2&cursor={cursor}")).body;
    assert_eq!((&next["items"][0]["key"], &next["nextCursor"]), (&"registry:note:c:1.0.0".into(), &Value::Null));

    assert_eq!(told(&host, &["inbox", "delete", "registry:note:b:1.0.0"]), "forgot registry:note:b:1.0.0\n");
    assert_eq!(keys(&[]), ["registry:note:a:1.0.0", "registry:note:c:1.0.0"]);
    let gone = against(&host, &["inbox", "delete", "registry:note:b:1.0.0"]);
    assert_eq!(gone.status.code(), Some(3));
    assert!(text(&gone.stderr).contains("no inbox key 'registry:note:b:1.0.0'"), "{}", text(&gone.stderr));
    // The version stays as it is, and is published as little as before.
    let again = told(&host, &["publish", argument(&folder.path().join("notes/b.yaml"))]);
    assert_eq!(again, "skipped notes/b 1.0.0: the same content is published already\n");
    let reader = host.post("/api/tokens", &serde_json::json!({"name": "reader", "roles": ["reader"]})).body;
    let reader = reader["token"].as_str().expect("a token").to_owned();
    assert_eq!(host.by(&reader).get("/api/inbox").status, 200);
    let refused = against_with(&host, &reader, &["inbox", "delete", "registry:note:a:1.0.0"]);
    assert!(refused.contains("this asks for the role admin"), "{refused}");
}

fn against_with(host: &Host, token: &str, arguments: &[&str]) -> String {
    let rest = ["--server", &host.url, "--token", token];
    text(&crate::support::command::hallmark(&[arguments, &rest[..]].concat()).stderr)
}
