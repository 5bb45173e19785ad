//! The life of entries and versions as publishers meet it: over HTTP, under preconditions, and on the command line.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::command::{against, text, told};
use crate::support::host::{Answer, Host, Options};
use crate::support::rules::{module, submission};

fn host(folder: &TempDir, options: Options) -> Host {
    module(folder.path(), "note", "");
    options.modules(folder.path()).start()
}

fn publish(host: &Host, id: &str, version: &str) -> Answer {
    let mut sent = submission("note", id);
    sent["version"] = json!(version);
    host.post("/api/notes/publish", &sent)
}

fn refused(answer: &Answer) -> (u16, &str, &str) {
    let word = |field: &str| answer.body[field].as_str().unwrap_or_default();
    (answer.status, word("code"), word("detail"))
}

fn tag(answer: &Answer) -> String {
    answer.header("etag").expect("a tag").to_owned()
}

fn ids(answer: &Answer) -> Vec<String> {
    let items = answer.body["items"].as_array().unwrap_or_else(|| panic!("items: {answer:?}"));
    items.iter().map(|item| item["noteId"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn an_entry_is_deprecated_disabled_and_activated() {
    let folder = TempDir::new().expect("a folder");
    let host = host(&folder, Options::new());
    for id in ["old", "new"] {
        assert_eq!(publish(&host, id, "1.0.0").status, 201);
    }
    let deprecated = host.post("/api/notes/old/deprecate", &json!({"reason": "new is better", "replacement": "new"}));
    let note = &deprecated.body["note"];
    assert_eq!(
        (deprecated.status, &note["status"], &note["statusReason"]),
        (200, &json!("deprecated"), &json!("new is better"))
    );
    assert_eq!(note["replacement"], json!({"kind": "notes", "id": "new"}));
    assert_eq!(host.get("/api/notes/old").body["status"], "deprecated");
    assert_eq!(ids(&host.get("/api/notes")), ["new", "old"]);

    let disabled = host.post("/api/notes/old/disable", &json!({"reason": "it is gone"}));
    assert_eq!((disabled.status, &disabled.body["note"]["status"]), (200, &json!("disabled")));
    assert_eq!(ids(&host.get("/api/notes")), ["new"]);
    assert_eq!(ids(&host.get("/api/notes?status=disabled")), ["old"]);
    assert_eq!(ids(&host.get("/api/notes?status=all")), ["new", "old"]);
    let read = host.get("/api/notes/old").body;
    assert_eq!((&read["status"], &read["statusReason"]), (&json!("disabled"), &json!("it is gone")));
    let detail = "notes/old is disabled: activate it first (POST /api/notes/old/activate)";
    assert_eq!(refused(&publish(&host, "old", "2.0.0")), (409, "entry-disabled", detail));
    assert_eq!(
        refused(&host.post("/api/notes/rate", &json!({"noteId": "old", "rating": 3}))),
        (409, "entry-disabled", detail)
    );

    let active = host.send("/api/notes/old/activate", "application/json", b"");
    assert_eq!((active.status, &active.body["note"]["status"]), (200, &json!("active")));
    assert!(active.body["note"].get("statusReason").is_none() && active.body["note"].get("replacement").is_none());
    assert_eq!(publish(&host, "old", "2.0.0").status, 201);

    for (replacement, detail) in [
        (json!("old"), "an entry cannot replace itself: name another"),
        (json!("none"), "the replacement notes/none is not published: publish it first"),
        (json!({"kind": "agents", "id": "a"}), "the replacement agents/a is not published: publish it first"),
    ] {
        let answer = host.post("/api/notes/old/deprecate", &json!({"reason": "so", "replacement": replacement}));
        assert_eq!(refused(&answer), (422, "bad-change", detail));
    }
    let missing = host.post("/api/notes/none/disable", &json!({"reason": "so"}));
    assert_eq!(refused(&missing), (404, "not-found", "no entry 'none'"));
    assert_eq!(refused(&host.post("/api/notes/old/disable", &json!({}))).1, "malformed");
}

#[test]
fn a_publish_may_be_of_what_its_author_saw_and_of_nothing_else() {
    let folder = TempDir::new().expect("a folder");
    let host = host(&folder, Options::new());
    let publish_if = |version: &str, condition: (&str, &str)| {
        let mut sent = submission("note", "a");
        sent["version"] = json!(version);
        host.post_if("/api/notes/publish", &sent, &[condition])
    };
    let none = publish_if("1.0.0", ("If-Match", "\"1\""));
    assert_eq!(
        refused(&none),
        (412, "entry-changed", "notes/a is not published: leave If-Match out, or send If-None-Match: *")
    );
    assert_eq!(publish_if("1.0.0", ("If-Match", "*")).status, 412);
    assert_eq!(host.get("/api/notes/a").status, 404, "nothing of it was written");
    let first = publish_if("1.0.0", ("If-None-Match", "*"));
    assert_eq!((first.status, tag(&first).contains('-')), (201, false), "{first:?}");
    assert_eq!(publish_if("1.0.0", ("If-None-Match", "*")).status, 202, "it is sent again");
    let there = publish_if("1.1.0", ("If-None-Match", "*"));
    assert_eq!((there.status, refused(&there).1), (412, "entry-changed"));
    assert!(refused(&there).2.starts_with("notes/a is published since 20"), "{there:?}");
    assert!(refused(&there).2.ends_with(": look at it, and send the ETag that it has in If-Match"));

    let seen = tag(&host.get("/api/notes/a"));
    assert_eq!(seen.split('-').next(), tag(&first).split('"').nth(1).map(|bare| format!("\"{bare}")).as_deref());
    assert_eq!(publish_if("1.1.0", ("If-Match", &seen)).status, 201);
    let overtaken = publish_if("1.2.0", ("If-Match", &seen));
    assert_eq!((overtaken.status, refused(&overtaken).1), (412, "entry-changed"));
    assert!(refused(&overtaken).2.ends_with(": look at it again, and send the ETag that it has now"));
    assert_eq!(host.get("/api/notes/a").body["version"], "1.1.0");
    assert_eq!(host.get("/api/notes/a/versions/1.2.0").status, 404);
    assert_eq!(publish_if("1.2.0", ("If-Match", "*")).status, 201);
    let both =
        host.post_if("/api/notes/publish", &submission("note", "b"), &[("If-Match", "*"), ("If-None-Match", "*")]);
    assert_eq!(
        refused(&both),
        (
            400,
            "bad-header",
            "a publish takes If-Match with the ETag of the entry, or If-None-Match: * where it is to be new, and not both"
        )
    );
    assert_eq!(publish_if("1.3.0", ("If-None-Match", "\"1\"")).status, 400);
}

#[test]
fn a_change_of_an_entry_under_if_match_is_of_what_its_author_saw() {
    let folder = TempDir::new().expect("a folder");
    let host = host(&folder, Options::new());
    assert_eq!(publish(&host, "a", "1.0.0").status, 201);
    let seen = tag(&host.get("/api/notes/a"));
    let disable = |tag: &str| host.post_if("/api/notes/a/disable", &json!({"reason": "so"}), &[("If-Match", tag)]);
    assert_eq!(publish(&host, "a", "1.1.0").status, 201);
    let overtaken = disable(&seen);
    assert_eq!((overtaken.status, refused(&overtaken).1), (412, "entry-changed"), "{overtaken:?}");
    assert!(refused(&overtaken).2.ends_with(": look at it again, and send the ETag that it has now"));
    for (wrong, status) in
        [("\"abc\"", 412), ("\"0\"", 412), (&*format!("W/{}", tag(&host.get("/api/notes/a"))), 412), ("abc", 400)]
    {
        assert_eq!(disable(wrong).status, status, "{wrong}");
    }
    let done = disable(&format!("\"other\", {}", tag(&host.get("/api/notes/a"))));
    assert_eq!((done.status, &done.body["note"]["status"]), (200, &json!("disabled")));
    // What a change answers is what the next is sent under; a rating is no change of the entry.
    let back = host.post_if("/api/notes/a/activate", &json!({}), &[("If-Match", &tag(&done))]);
    assert_eq!(back.status, 200, "{back:?}");
    assert_eq!(host.post("/api/notes/rate", &json!({"noteId": "a", "rating": 5})).status, 201);
    let rolled =
        host.post_if("/api/notes/a/rollback", &json!({"targetVersion": "1.0.0"}), &[("If-Match", &tag(&back))]);
    assert_eq!(rolled.status, 200, "{rolled:?}");
    let again = host.post_if("/api/notes/a/rollback", &json!({"targetVersion": "1.1.0"}), &[("If-Match", &tag(&back))]);
    assert_eq!(refused(&again).1, "entry-changed");
}

#[test]
fn a_host_may_change_no_entry_unseen() {
    let folder = TempDir::new().expect("a folder");
    module(folder.path(), "note", "");
    let host = Options::new().modules(folder.path()).set("require_if_match", "true").start();
    assert_eq!(publish(&host, "a", "1.0.0").status, 201, "a publish changes no version");
    assert_eq!(publish(&host, "a", "1.1.0").status, 201);
    for (path, body) in [
        ("disable", json!({"reason": "so"})),
        ("deprecate", json!({"reason": "so"})),
        ("rollback", json!({"targetVersion": "1.0.0"})),
        ("versions/1.0.0/withdraw", json!({"reason": "so"})),
    ] {
        let unseen = host.post(&format!("/api/notes/a/{path}"), &body);
        assert_eq!(
            (unseen.status, refused(&unseen).1, &unseen.body["limit"]),
            (428, "match-required", &json!("require_if_match"))
        );
    }
    let any = host.post_if("/api/notes/a/disable", &json!({"reason": "so"}), &[("If-Match", "*")]);
    assert_eq!(any.status, 200, "{any:?}");
    // The command line sends what it saw.
    assert_eq!(told(&host, &["activate", "notes", "a"]), "notes/a is active\n");
    assert!(told(&host, &["rollback", "notes", "a", "1.0.0"]).starts_with("notes/a: 1.0.0 is the active version"));
}

#[test]
fn a_withdrawn_version_stays_readable_and_is_never_active_again() {
    let folder = TempDir::new().expect("a folder");
    let host = host(&folder, Options::new());
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        assert_eq!(publish(&host, "a", version).status, 201);
    }
    let withdraw =
        |version: &str| host.post(&format!("/api/notes/a/versions/{version}/withdraw"), &json!({"reason": "it leaks"}));
    let done = withdraw("1.2.0");
    let told_of = |field: &str| done.body[field].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        (done.status, told_of("withdrawn"), told_of("previousVersion")),
        (200, "1.2.0".to_owned(), "1.2.0".to_owned())
    );
    assert_eq!(done.body["note"]["version"], "1.1.0");
    let read = host.get("/api/notes/a/versions/1.2.0").body;
    assert_eq!(
        (&read["status"], &read["withdrawal"]["reason"], &read["withdrawal"]["by"]),
        (&json!("withdrawn"), &json!("it leaks"), &json!("admin"))
    );
    assert_eq!(host.get("/api/notes/a/versions/1.2.0/manifest").status, 200);
    let versions: Vec<Value> = host.get("/api/notes/a").body["versions"].as_array().expect("versions").clone();
    let states: Vec<&str> = versions.iter().map(|version| version["status"].as_str().expect("a status")).collect();
    assert_eq!(
        (states, &versions[0]["withdrawal"]["reason"]),
        (vec!["withdrawn", "active", "archived"], &json!("it leaks"))
    );
    let back = host.post("/api/notes/a/rollback", &json!({"targetVersion": "1.2.0"}));
    assert_eq!((back.status, refused(&back).1), (409, "version-withdrawn"), "{back:?}");
    assert!(refused(&back).2.starts_with("version 1.2.0 of notes/a was withdrawn by admin at "), "{back:?}");
    assert!(refused(&back).2.ends_with(": it leaks"), "{back:?}");
    // Its name stays taken, and whoever sends it again is told what became of it.
    let mut other = submission("note", "a");
    other["version"] = json!("1.2.0");
    assert_eq!(host.post("/api/notes/publish", &other).body["note"]["status"], "withdrawn");
    other["manifest"] = json!({"text": "other"});
    assert_eq!(refused(&host.post("/api/notes/publish", &other)).1, "version-exists");

    assert_eq!(withdraw("1.0.0").body["note"]["version"], "1.1.0", "another stays the active one");
    let last = withdraw("1.1.0");
    let detail = "1.1.0 is the only version of notes/a that is left: publish another first, or disable the entry (POST /api/notes/a/disable)";
    assert_eq!(refused(&last), (422, "bad-change", detail));
    assert_eq!(refused(&withdraw("9.0.0")), (404, "not-found", "no version '9.0.0'"));
}

#[test]
fn plugins_find_nothing_of_what_is_out_of_service() {
    let host = Options::examples().start();
    let template = |id: &str, version: &str, content: Value| {
        let sent =
            json!({"templateId": id, "name": id, "version": version, "description": "A part.", "content": content});
        host.post("/api/templates/publish", &sent)
    };
    assert_eq!(template("footer", "1.0.0", json!({"body": "Bye."})).status, 201);
    assert_eq!(template("footer", "1.1.0", json!({"body": "Bye, then."})).status, 201);
    assert_eq!(template("mail", "1.0.0", json!({"body": "Hi.", "includes": ["footer"]})).status, 201);
    // What it refers to, and who would miss that, is known from what was looked up.
    let named = |path: &str| {
        let items = host.get(path).body["items"].as_array().expect("items").clone();
        items
            .iter()
            .map(|item| format!("{}/{}", item["kind"].as_str().expect("a kind"), item["id"].as_str().expect("an id")))
            .collect::<Vec<_>>()
    };
    assert_eq!(named("/api/templates/mail/references"), ["templates/footer"]);
    assert_eq!(named("/api/templates/footer/referrers"), ["templates/mail"]);
    assert_eq!(
        told(&host, &["references", "templates", "footer"]),
        "templates/footer refers to: nothing\nwould miss templates/footer:\n  templates/mail 1.0.0  mail: A part.\n"
    );

    let pinned = json!({"body": "Hi.", "includes": [{"id": "footer", "version": "1.0.0"}]});
    assert_eq!(host.post("/api/templates/footer/versions/1.0.0/withdraw", &json!({"reason": "so"})).status, 200);
    assert_eq!(template("pinned", "1.0.0", pinned).status, 422, "a withdrawn version is for nobody to build upon");
    assert_eq!(host.post("/api/templates/footer/disable", &json!({"reason": "so"})).status, 200);
    let refused = template("letter", "1.0.0", json!({"body": "Hi.", "includes": ["footer"]}));
    assert_eq!(refused.findings(), ["references.unknown /content/includes/0"]);
}

#[test]
fn a_draft_is_listed_when_it_is_activated() {
    let folder = TempDir::new().expect("a folder");
    let host = host(&folder, Options::new());
    let sent = submission("note", "a");
    assert_eq!(host.post("/api/notes/publish?status=draft", &sent).body["note"]["status"], "draft");
    assert_eq!(
        (ids(&host.get("/api/notes")), ids(&host.get("/api/notes?status=draft"))),
        (vec![], vec!["a".to_owned()])
    );
    assert!(host.get("/api/search?q=hello").body["items"].as_array().expect("items").is_empty());
    assert_eq!(host.post("/api/notes/a/activate", &json!({})).status, 200);
    assert_eq!(ids(&host.get("/api/notes")), ["a"]);
    let mut next = sent.clone();
    next["version"] = json!("2.0.0");
    let detail = "notes/a is active and not a draft: publish it without status=draft";
    assert_eq!(refused(&host.post("/api/notes/publish?status=draft", &next)), (422, "bad-change", detail));
    let wrong = host.post("/api/notes/publish?status=disabled", &next);
    assert_eq!(refused(&wrong), (400, "bad-query", "status is 'draft', or left out, not 'disabled'"));
}

#[test]
fn a_disabled_entry_is_not_previewed() {
    let folder = TempDir::new().expect("a folder");
    let host = host(&folder, Options::new());
    for id in ["a", "b", "c"] {
        assert_eq!(publish(&host, id, "1.0.0").status, 201);
    }
    assert_eq!(host.post("/api/notes/b/disable", &json!({"reason": "so"})).status, 200);
    for body in
        [json!({"release": 1}), json!({"release": 1, "sample": 9}), json!({"release": 1, "since": "2020-01-01"})]
    {
        let begun = host.post("/api/modules/notes/impact", &body);
        assert_eq!(begun.status, 202, "{begun:?}");
        assert_eq!(begun.body["progress"]["versions"], 2, "{body}");
    }
}

#[test]
fn the_command_line_changes_what_becomes_of_entries() {
    let folder = TempDir::new().expect("a folder");
    let host = host(&folder, Options::new());
    for (id, version) in [("a", "1.0.0"), ("a", "1.1.0"), ("b", "1.0.0")] {
        assert_eq!(publish(&host, id, version).status, 201);
    }
    assert_eq!(
        told(&host, &["deprecate", "notes", "a", "--reason", "b is better", "--replacement", "b"]),
        "notes/a is deprecated: b is better (take notes/b)\n"
    );
    assert_eq!(told(&host, &["disable", "notes", "b", "--reason", "gone"]), "notes/b is disabled: gone\n");
    assert_eq!(told(&host, &["activate", "notes", "b"]), "notes/b is active\n");
    assert_eq!(
        told(&host, &["withdraw", "notes", "a", "1.1.0", "--reason", "it leaks"]),
        "notes/a: 1.1.0 is withdrawn, 1.0.0 is the active version\n"
    );
    assert_eq!(
        told(&host, &["diff", "notes", "a", "1.0.0", "1.1.0"]),
        "notes/a: 1.0.0 -> 1.1.0\n    /version: \"1.0.0\" -> \"1.1.0\"\n"
    );
    assert_eq!(
        told(&host, &["search", "hello", "one"]),
        "notes/a 1.0.0 (deprecated)  One of them\nnotes/b 1.0.0  One of them\n"
    );
    assert_eq!(told(&host, &["search", "nothing"]), "nothing is found\n");
    assert_eq!(told(&host, &["list", "notes", "--status", "deprecated"]), "a  1.0.0  deprecated  One of them\n");
    let wrong = against(&host, &["deprecate", "notes", "a", "--reason", "so", "--replacement", "a/b/c"]);
    assert_eq!(wrong.status.code(), Some(2), "{}", text(&wrong.stderr));
    // Every change is told by the log, once.
    let log = until_sealed(&host, 7);
    let whats: Vec<&str> = log.iter().map(|row| row["what"].as_str().expect("what")).collect();
    let mut of_entries = whats.iter().filter(|what| what.starts_with("entry.") && **what != "entry.published");
    assert_eq!(of_entries.next(), Some(&"entry.deprecated"));
    assert_eq!(
        of_entries.copied().collect::<Vec<_>>(),
        ["entry.disabled", "entry.activated", "entry.version-withdrawn"]
    );
    let withdrawn = log.iter().find(|row| row["what"] == "entry.version-withdrawn").expect("a row");
    assert_eq!(
        (&withdrawn["subject"], &withdrawn["body"]),
        (&json!("notes/a@1.1.0"), &json!({"reason": "it leaks", "active": "1.0.0"}))
    );
}

/// The rows of the log about entries, when there are as many.
fn until_sealed(host: &Host, count: usize) -> Vec<Value> {
    let rows = || host.get("/api/audit?limit=100").body["items"].as_array().expect("items").clone();
    let of_entries = |rows: &[Value]| {
        rows.iter().filter(|row| row["what"].as_str().is_some_and(|it| it.starts_with("entry."))).count()
    };
    crate::support::host::until("the log is sealed", || of_entries(&rows()) >= count);
    rows()
}
