//! Which release is put in force, by whom and under which conditions, through the built binary.

use std::fs;

use serde_json::json;
use tempfile::TempDir;

use crate::support::command::{against, argument, hallmark, text};
use crate::support::host::{Answer, Host, Options, component};
use crate::support::rules::{module, submission};

fn told(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.body["code"].as_str().unwrap_or_default())
}

fn detail(answer: &Answer) -> &str {
    answer.body["detail"].as_str().unwrap_or_default()
}

/// Makes releases of the policies that say nothing, each in other words.
fn with_releases(host: &Host, count: i64) {
    for number in 1..=count {
        let rules = json!({"scope": "policies", "description": format!("{number}")});
        let made = host.post("/api/policies/releases", &json!({"rules": rules}));
        assert_eq!((made.status, &made.body["number"]), (201, &json!(number)), "{made:?}");
    }
}

#[test]
fn an_activation_may_name_the_release_that_it_replaces() {
    let host = Options::new().start();
    with_releases(&host, 3);
    assert_eq!(host.get("/api/policies").header("etag"), None);
    let activate = |number: i64, preconditions: &[(&str, &str)]| {
        host.post_if("/api/policies/activate", &json!({"release": number}), preconditions)
    };
    let none = activate(1, &[("If-Match", "\"7\"")]);
    assert_eq!(told(&none), (412, "release-moved"));
    assert_eq!(detail(&none), "no release of policies is active, not release 7 as expected");
    let first = activate(1, &[("If-None-Match", "*")]);
    assert_eq!((first.status, first.header("etag")), (200, Some("\"1\"")), "{first:?}");
    let shown = host.get("/api/policies");
    assert_eq!((shown.header("etag"), &shown.body["activatedBy"]), (Some("\"1\""), &json!("admin")));
    assert_eq!(shown.body["frozen"], json!(null));
    assert_eq!(activate(2, &[("If-Match", "\"1\"")]).status, 200);
    let at = host.get("/api/policies").body["activatedAt"].as_str().expect("an instant").to_owned();
    let late = activate(3, &[("If-Match", "\"1\"")]);
    assert_eq!(told(&late), (412, "release-moved"));
    assert_eq!(
        detail(&late),
        format!(
            "release 2 of policies is active: admin activated it at {at}, not release 1 as expected; \
             look at `hallmark policy diff 1 2`"
        )
    );
    let not_first = activate(3, &[("If-None-Match", "*")]);
    assert_eq!(
        (told(&not_first), detail(&not_first)),
        (
            (412, "release-moved"),
            &*format!(
                "release 2 of policies is active: admin activated it at {at}, and none was expected to be; \
                 look at `hallmark policy diff 3 2`"
            )
        )
    );
    for (preconditions, said) in [
        (&[("If-Match", "*")][..], "If-Match names the one release that may be replaced"),
        (&[("If-Match", "W/\"2\"")], "If-Match names the one release that may be replaced"),
        (&[("If-Match", "\"2\", \"1\"")], "If-Match names the one release that may be replaced"),
        (&[("If-Match", "2")], "If-Match names the one release that may be replaced"),
        (&[("If-Match", "\"2\""), ("If-Match", "\"1\"")], "the header if-match stands twice: send it once"),
        (&[("If-Match", "\"2\""), ("If-None-Match", "*")], "send If-Match: \"3\" to replace release 3 alone"),
        (&[("If-None-Match", "\"2\"")], "send If-Match: \"3\" to replace release 3 alone"),
    ] {
        let refused = activate(3, preconditions);
        assert_eq!(told(&refused), (400, "bad-header"), "{preconditions:?}");
        assert!(detail(&refused).starts_with(said), "{refused:?}");
    }
    assert_eq!(activate(3, &[]).status, 200, "without a condition whichever is active is replaced");
}

#[test]
fn the_command_line_replaces_what_its_user_looked_at() {
    let host = Options::new().start();
    with_releases(&host, 3);
    let run = |arguments: &[&str]| {
        let output = against(&host, arguments);
        (text(&output.stdout), text(&output.stderr), output.status.code())
    };
    let done = |arguments: &[&str], said: &str| {
        assert_eq!(run(arguments), (format!("{said}\n"), String::new(), Some(0)), "{arguments:?}");
    };
    let refused = |arguments: &[&str], why: &str| {
        let (shown, error, code) = run(arguments);
        assert_eq!((shown.as_str(), code), ("", Some(1)), "{arguments:?}: {error}");
        let said = format!("error[release-moved]: Another release is active\n  {why}\n  correlation id: ");
        assert!(error.starts_with(&said), "{error}");
    };
    refused(
        &["policy", "activate", "1", "--replaces", "2"],
        "no release of policies is active, not release 2 as expected",
    );
    done(&["policy", "activate", "1", "--replaces", "none"], "policies: release 1 is active, the first");
    done(&["policy", "activate", "2", "--replaces", "1"], "policies: release 2 is active, it was 1");
    let at = || host.get("/api/policies").body["activatedAt"].as_str().expect("an instant").to_owned();
    let active = |number: i64| format!("release {number} of policies is active: admin activated it at {}", at());
    // Looked at when release 1 was active.
    refused(
        &["policy", "activate", "3", "--replaces", "1"],
        &format!("{}, not release 1 as expected; look at `hallmark policy diff 1 2`", active(2)),
    );
    refused(
        &["policy", "activate", "2", "--replaces", "1"],
        &format!("{}, not release 1 as expected; look at `hallmark policy diff 1 2`", active(2)),
    );
    refused(
        &["policy", "activate", "3", "--replaces", "none"],
        &format!("{}, and none was expected to be; look at `hallmark policy diff 3 2`", active(2)),
    );
    refused(
        &["policy", "rollback", "1", "--replaces", "3"],
        &format!("{}, not release 3 as expected; look at `hallmark policy diff 3 2`", active(2)),
    );
    done(&["policy", "activate", "2", "--replaces", "2"], "policies: unchanged, release 2 is active already");
    done(&["policy", "rollback", "1", "--replaces", "2"], "policies: release 1 is active, it was 2");
    for (arguments, why) in [
        (
            &["policy", "rollback", "2", "--replaces", "1"][..],
            "error: release 2 is not earlier than release 1, which it is to replace: use 'activate'\n",
        ),
        (
            &["policy", "rollback", "1", "--replaces", "none"],
            "error: a rollback replaces a release that is active: give --replaces its number\n",
        ),
        (
            &["policy", "activate", "2", "--replaces", "zero"],
            "error: invalid value 'zero' for '--replaces <NUMBER | none>': write the number of the release to replace, or \
             none\n",
        ),
        (
            &["policy", "activate", "2", "--replaces", "1", "--after-hours", "1"],
            "error: the argument '--replaces <NUMBER | none>' cannot be used with '--after-hours <H>'\n",
        ),
    ] {
        let (shown, error, code) = run(arguments);
        assert_eq!((shown.as_str(), code), ("", Some(2)), "{arguments:?}: {error}");
        assert!(error.starts_with(why), "{error}");
    }
}

#[test]
fn the_releases_of_a_scope_are_listed_with_what_each_is() {
    let host = Options::new().start();
    let run = |arguments: &[&str]| {
        let output = against(&host, arguments);
        (text(&output.stdout), text(&output.stderr), output.status.code())
    };
    assert_eq!(run(&["policy", "releases"]), ("policies: no release was made\n".to_owned(), String::new(), Some(0)));
    let (_, error, code) = run(&["module", "releases", "notes"]);
    assert!(error.starts_with("error[not-found]: No such thing\n  no module 'notes'\n") && code == Some(3), "{error}");
    with_releases(&host, 3);
    assert_eq!(run(&["policy", "activate", "2"]).2, Some(0));
    assert_eq!(run(&["policy", "shadow", "start", "3", "--percent", "25"]).2, Some(0));
    let listed = host.get("/api/policies/releases").body;
    let at = listed["activatedAt"].as_str().expect("an instant");
    let lines = ["shadow of 25 %".to_owned(), format!("active since {at} by admin"), "-".to_owned()];
    let expected: Vec<String> = listed["items"]
        .as_array()
        .expect("releases")
        .iter()
        .zip(lines)
        .map(|(release, standing)| {
            let [made_at, digest] = ["createdAt", "digest"].map(|field| release[field].as_str().expect("a text"));
            let width = format!("active since {at} by admin").len();
            format!("{}  {standing:width$}  {made_at}  admin  {}", release["number"], &digest[..19])
        })
        .collect();
    let (shown, error, code) = run(&["policy", "releases"]);
    assert_eq!((shown, error.as_str(), code), (expected.join("\n") + "\n", "", Some(0)));
    assert_eq!((&listed["shadow"]["release"], &listed["shadow"]["state"]), (&json!(3), &json!("shadowing")));
    assert_eq!(
        (&listed["active"], &listed["activatedBy"], &listed["frozen"]),
        (&json!(2), &json!("admin"), &json!(null))
    );

    let (first, more, _) = run(&["policy", "releases", "--limit", "2"]);
    assert_eq!(first.lines().count(), 2);
    let cursor = more.trim().strip_prefix("more follow: --cursor ").expect("a cursor").to_owned();
    let (rest, more, _) = run(&["policy", "releases", "--cursor", &cursor, "--output", "json"]);
    let rest: serde_json::Value = serde_json::from_str(&rest).expect("JSON");
    assert_eq!((&rest["items"][0]["number"], &rest["active"], more.as_str()), (&json!(1), &json!(2), ""));

    let folder = TempDir::new().expect("a folder");
    assert_eq!(run(&["module", "apply", argument(&module(folder.path(), "note", "")), "-m", "the first"]).2, Some(0));
    let (shown, _, _) = run(&["module", "releases", "notes"]);
    assert!(shown.starts_with("1  active since ") && shown.ends_with("  the first\n"), "{shown}");
}

#[test]
fn a_frozen_scope_keeps_its_release() {
    let host = Options::new().start();
    with_releases(&host, 2);
    assert_eq!(told(&host.post("/api/modules/notes/freeze", &json!({"reason": "x"}))), (404, "not-found"));
    let wordless = host.post("/api/policies/freeze", &json!({"reason": " "}));
    assert_eq!(told(&wordless), (400, "malformed"));
    assert!(detail(&wordless).starts_with("' ' is not a valid reason: 1 to 1000 characters"), "{wordless:?}");

    let run = |arguments: &[&str]| {
        let output = against(&host, arguments);
        (text(&output.stdout), text(&output.stderr), output.status.code())
    };
    assert_eq!(run(&["policy", "activate", "1"]).2, Some(0));
    let state = host.get("/api/policies").body;
    let active = format!(
        "policies: release 1 is active, admin activated it at {}\n",
        state["activatedAt"].as_str().expect("an instant")
    );
    assert_eq!(run(&["policy", "status"]).0, format!("{active}policies: not frozen\n"));
    let (shown, error, code) = run(&["policy", "freeze", "--reason", "release week"]);
    assert_eq!((error.as_str(), code), ("", Some(0)));
    let frozen = host.get("/api/policies").body["frozen"].clone();
    assert_eq!((&frozen["by"], &frozen["reason"]), (&json!("admin"), &json!("release week")));
    let at = frozen["at"].as_str().expect("an instant");
    assert_eq!(shown, format!("{active}policies: frozen, admin froze it at {at}: release week\n"));
    assert_eq!(run(&["policy", "status"]).0, shown);

    let why = format!(
        "policies is frozen: admin froze it at {at}, saying \"release week\"; `hallmark policy unfreeze` ends it"
    );
    let refused = host.post("/api/policies/activate", &json!({"release": 2}));
    assert_eq!((told(&refused), detail(&refused)), ((409, "scope-frozen"), &*why));
    let again = host.post("/api/policies/freeze", &json!({"reason": "again"}));
    assert_eq!((told(&again), detail(&again)), ((409, "scope-frozen"), &*why));
    let (_, error, code) = run(&["policy", "activate", "2"]);
    assert_eq!(code, Some(1));
    assert!(error.starts_with(&format!("error[scope-frozen]: The scope is frozen\n  {why}\n")), "{error}");
    let (shown, _, code) = run(&["policy", "unfreeze"]);
    assert_eq!((shown, code), (format!("{active}policies: not frozen\n"), Some(0)));
    assert_eq!(run(&["policy", "activate", "2"]).2, Some(0));
}

#[test]
fn a_host_starts_where_its_folders_are_frozen_and_says_what_it_left() {
    let folder = TempDir::new().expect("a folder");
    let (modules, data) = (folder.path().join("modules"), folder.path().join("data"));
    module(&modules, "note", "");
    let start = |log: &str| Options::new().modules(&modules).data(&data).log(&folder.path().join(log)).start();
    let host = start("first");
    assert_eq!(against(&host, &["module", "freeze", "notes", "-r", "release week"]).status.code(), Some(0));
    assert!(host.stop());
    let host = start("second");
    assert!(host.stop());
    module(&modules, "note", "[[placeholders]]\nname = \"REGION\"\n");
    let host = start("third");
    let state = host.get("/api/modules/notes").body;
    assert_eq!((&state["release"]["number"], &state["rules"]["placeholders"]), (&json!(1), &json!(null)));
    assert_eq!(host.get("/api/modules/notes/releases").body["items"].as_array().map(Vec::len), Some(1));
    assert!(host.stop());
    let log = |name: &str| fs::read_to_string(folder.path().join(name)).expect("a log");
    let said = "the folder is not applied and release 1 stays in force: module:notes is frozen: admin froze it at ";
    assert!(!log("second").contains("the folder is not applied"), "what the folder says is in force");
    assert!(log("third").contains(said), "{}", log("third"));
    assert_eq!(against(&start("fourth"), &["module", "unfreeze", "notes"]).status.code(), Some(0));
    let host = start("fifth");
    assert_eq!(host.get("/api/modules/notes").body["release"]["number"], json!(2), "{}", argument(&modules));
}

#[test]
fn policies_for_a_kind_that_no_module_declares_are_refused() {
    let folder = TempDir::new().expect("a folder");
    let modules = module(folder.path(), "note", "");
    let host = Options::new().modules(&modules).start();
    let bytes = fs::read(component("hostile-policy")).expect("a component");
    let plugin = host.send("/api/plugins", "application/wasm", &bytes).body["digest"].clone();
    let rules = |kind: &str| {
        let binding = json!({"name": "p", "stage": "policy", "plugin": plugin, "kinds": ["notes", kind]});
        json!({"rules": {"scope": "policies", "bindings": [binding]}})
    };
    for (kind, help) in
        [("nots", "did you mean 'notes'?"), ("services", "declared are notes; put the module in force first")]
    {
        for path in ["/api/policies/releases", "/api/policies/impact"] {
            let refused = host.post(path, &rules(kind));
            assert_eq!(told(&refused), (422, "bad-rules"), "{refused:?}");
            let finding = &refused.body["findings"][0];
            let message = format!("no module in force declares the kind '{kind}'");
            assert_eq!((&finding["path"], &finding["message"]), (&json!("/bindings/0/kinds/1"), &json!(message)));
            assert_eq!(finding["help"], help);
        }
    }

    let policies = folder.path().join("policies");
    fs::create_dir(&policies).expect("a folder");
    let written = format!(
        "[[bindings]]\nname = \"p\"\nstage = \"policy\"\ncomponent = \"{}\"\nkinds = [\"nots\"]\n",
        component("hostile-policy").display()
    );
    fs::write(policies.join("policy.toml"), written).expect("a file");
    let note = folder.path().join("note.json");
    fs::write(&note, submission("note", "a").to_string()).expect("a file");
    let arguments = ["--modules", argument(&modules), "--policies", argument(&policies), argument(&note)];
    let output = hallmark(&[&["validate"], &arguments[..]].concat());
    let told = "/bindings/0/kinds/0: no module in force declares the kind 'nots'\n    help: did you mean 'notes'?";
    assert!(text(&output.stderr).contains(told), "{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn an_apply_that_is_not_activated_says_which_release_it_made() {
    let folder = TempDir::new().expect("a folder");
    let home = module(folder.path(), "note", "");
    let host = Options::new().modules(&home).start();
    let run = |arguments: &[&str]| {
        let output = against(&host, arguments);
        (text(&output.stdout), text(&output.stderr), output.status.code())
    };
    assert_eq!(run(&["module", "freeze", "notes", "--reason", "release week"]).2, Some(0));
    module(folder.path(), "note", "[[placeholders]]\nname = \"REGION\"\n");
    let (shown, error, code) = run(&["module", "apply", argument(&home)]);
    assert_eq!((shown.as_str(), code), ("", Some(1)));
    assert!(error.starts_with("error[scope-frozen]: The scope is frozen\n  module:notes is frozen: admin"), "{error}");
    let made = "\nmodule:notes: release 2 is made and stays: once what is told above is settled, `hallmark module activate notes \
                2` puts it in force\n";
    assert!(error.ends_with(made), "{error}");
    assert_eq!(run(&["module", "unfreeze", "notes"]).2, Some(0));
    assert_eq!(run(&["module", "activate", "notes", "2"]).0, "module:notes: release 2 is active, it was 1\n");

    let policies = folder.path().join("policies");
    fs::create_dir(&policies).expect("a folder");
    fs::write(policies.join("policy.toml"), "description = \"none\"\n").expect("a file");
    with_releases(&host, 1);
    for arguments in [&["activate", "1"][..], &["freeze", "--reason", "release week"]] {
        assert_eq!(run(&[&["policy"], arguments].concat()).2, Some(0));
    }
    let error = run(&["policy", "apply", argument(&policies)]).1;
    assert!(error.ends_with("above is settled, `hallmark policy activate 2` puts it in force\n"), "{error}");
}

#[test]
fn a_folder_of_the_other_sort_is_told_with_what_takes_it() {
    let folder = TempDir::new().expect("a folder");
    let home = module(folder.path(), "note", "");
    let policies = folder.path().join("policies");
    fs::create_dir(&policies).expect("a folder");
    fs::write(policies.join("policy.toml"), "").expect("a file");
    let host = Options::new().start();
    let wrong = |what: &str, verb: &str, folder: &std::path::Path| {
        let output = against(&host, &[what, verb, argument(folder)]);
        assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("", Some(1)), "{}", text(&output.stderr));
        text(&output.stderr).replace(argument(folder), "DIR")
    };
    for verb in ["apply", "release", "diff", "impact"] {
        assert_eq!(
            wrong("policy", verb, &home),
            format!(
                "DIR: no policy.toml here; it is a module's folder (module.toml): give it to `hallmark module {verb}`\n"
            )
        );
        assert_eq!(
            wrong("module", verb, &policies),
            format!(
                "DIR: no module.toml here or one folder below; it is a folder of policies (policy.toml): give it to \
                 `hallmark policy {verb}`\n"
            )
        );
    }
    assert_eq!(wrong("policy", "release", &folder.path().join("none")), "DIR: there is no such folder\n");
    let refused = hallmark(&["validate", "--modules", argument(&policies), "a.yaml"]);
    assert!(text(&refused.stderr).ends_with("(policy.toml): give it to --policies\n"), "{}", text(&refused.stderr));
}

#[test]
fn a_binding_that_comes_is_told_whole() {
    let host = Options::examples().start();
    let digest =
        host.get("/api/policies").body["rules"]["bindings"][0]["plugin"].as_str().expect("a digest").to_owned();
    let rules = json!({"scope": "policies", "bindings": [
        {"name": "second", "stage": "policy", "plugin": digest, "mode": "observe", "percent": 25, "kinds": ["agents"],
         "settings": {"rules": [{"id": "a", "title": "A", "expression": "true"}]}},
    ]});
    assert_eq!(host.post("/api/policies/releases", &json!({"rules": rules})).status, 201);
    let told = text(&against(&host, &["policy", "diff", "1", "2"]).stdout);
    let second = format!(
        "+ binding second\n    stage: policy\n    plugin: cel 0.1.0 ({})\n    mode: observe\n    percent: 25\n    kinds: [\"agents\"]\n    \
         /settings/rules[id=a]: added {{\"expression\":\"true\",\"id\":\"a\",\"title\":\"A\"}}\n",
        &digest[..19]
    );
    assert!(told.starts_with("policies: release 1 -> release 2\n- binding cel\n+ binding second\n"), "{told}");
    assert!(told.contains(&second), "{told}");
}
