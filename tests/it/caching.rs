//! What readers and mirrors may keep, and where lists go on.

use serde_json::json;
use tempfile::TempDir;

use crate::support::host::{Answer, Host, Options};
use crate::support::rules::{module, submission};

fn host(folder: &TempDir) -> Host {
    module(folder.path(), "note", "");
    Options::new().modules(folder.path()).start()
}

fn tag(answer: &Answer) -> String {
    answer.header("etag").expect("a tag").to_owned()
}

#[test]
fn what_a_reader_has_is_not_sent_again() {
    let folder = TempDir::new().expect("a folder");
    let host = host(&folder);
    assert_eq!(host.post("/api/notes/publish", &submission("note", "a")).status, 201);
    for path in ["/api/notes", "/api/notes/a", "/api/notes/a/versions", "/api/notes/a/versions/1.0.0", "/api/decisions"]
    {
        let first = host.get(path);
        assert_eq!((first.status, first.header("cache-control")), (200, Some("private, no-cache")), "{path}");
        let known = tag(&first);
        for sent in [known.clone(), format!("\"other\", W/{known}"), "*".to_owned()] {
            let again = host.get_if(path, ("If-None-Match", &sent));
            assert_eq!((again.status, &again.body, tag(&again)), (304, &json!(""), known.clone()), "{path} {sent}");
        }
        let other = host.get_if(path, ("If-None-Match", "\"other\""));
        assert_eq!((other.status, &other.body), (200, &first.body), "{path}");
    }
    let before = tag(&host.get("/api/notes/a"));
    let mut next = submission("note", "a");
    next["version"] = json!("2.0.0");
    assert_eq!(host.post("/api/notes/publish", &next).status, 201);
    let changed = host.get_if("/api/notes/a", ("If-None-Match", &before));
    assert_eq!((changed.status, &changed.body["version"]), (200, &json!("2.0.0")));
}

#[test]
fn a_versions_manifest_may_be_kept_for_ever() {
    let folder = TempDir::new().expect("a folder");
    let host = host(&folder);
    assert_eq!(host.post("/api/notes/publish", &submission("note", "a")).status, 201);
    let manifest = host.get("/api/notes/a/versions/1.0.0/manifest");
    assert_eq!((manifest.status, &manifest.body), (200, &submission("note", "a")));
    assert_eq!(manifest.header("cache-control"), Some("private, max-age=31536000, immutable"));
    let digest = host.get("/api/notes/a/versions/1.0.0").body["digest"].as_str().expect("a digest").to_owned();
    assert_eq!(tag(&manifest), format!("\"{digest}\""));
    let again = host.get_if("/api/notes/a/versions/1.0.0/manifest", ("If-None-Match", &tag(&manifest)));
    assert_eq!(again.status, 304);
    let missing = host.get("/api/notes/a/versions/9.0.0/manifest");
    assert_eq!((missing.status, &missing.body["detail"]), (404, &json!("no version '9.0.0'")));
}

#[test]
fn the_tag_of_a_scope_stays_its_releases_number() {
    let folder = TempDir::new().expect("a folder");
    let host = host(&folder);
    let scope = host.get_if("/api/modules/notes", ("If-None-Match", "\"1\""));
    assert_eq!((scope.status, tag(&scope).as_str()), (200, "\"1\""), "it tells of the freeze too");
}

#[test]
fn a_list_names_its_next_page() {
    let folder = TempDir::new().expect("a folder");
    let host = host(&folder);
    for id in ["a", "b", "c"] {
        assert_eq!(host.post("/api/notes/publish", &submission("note", id)).status, 201);
    }
    let mut path = "/api/notes?limit=2".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = host.get(&path);
        let items = page.body["items"].as_array().expect("items").clone();
        seen.extend(items.iter().map(|item| item["noteId"].as_str().expect("an id").to_owned()));
        let Some(link) = page.header("link") else { break };
        let next = link.strip_prefix('<').and_then(|rest| rest.strip_suffix(">; rel=\"next\"")).expect("a link");
        let cursor = page.body["nextCursor"].as_str().expect("a cursor");
        assert_eq!(next, format!("/api/notes?limit=2&cursor={cursor}"));
        path = next.to_owned();
    }
    assert_eq!(seen, ["a", "b", "c"]);
}
