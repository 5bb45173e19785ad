//! Pages in a real browser.

use serde_json::json;
use tempfile::TempDir;

use crate::support::browser::document_of;
use crate::support::command::{against, argument, text};
use crate::support::host::Options;
use crate::support::rules::{module, submission};

#[test]
fn a_previews_page_shows_itself_and_runs_nothing_that_it_tells_of() {
    let folder = TempDir::new().expect("a folder");
    module(folder.path(), "note", "");
    let host = Options::new().modules(folder.path()).start();
    assert_eq!(host.post("/api/notes/publish", &submission("note", "a")).status, 201);
    // What a publisher or a rule wrote must stay a text, whatever it looks like.
    let hostile = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>";
    let kind = json!({
        "name": "notes", "singular": "note", "idField": "noteId", "documentField": "manifest",
        "schema": {"properties": {"text": {"const": hostile}}},
    });
    let released =
        host.post("/api/modules/notes/releases", &json!({"rules": {"scope": "module:notes", "kinds": [kind]}}));
    assert_eq!(released.status, 201, "{released:?}");
    let page = folder.path().join("page.html");
    let written = against(&host, &["module", "impact", "notes", "2", "--output", "html", "-o", argument(&page)]);
    assert_eq!(written.status.code(), Some(1), "{}", text(&written.stderr));

    let document = document_of(&page);
    for part in [
        "<title>Preview of module:notes: release 2</title>",
        "<h1>Preview of module:notes: release 2</h1>",
        "<tr><td>1</td><td>0</td><td>0</td><td>0</td><td>0</td></tr>",
        "<td>notes/a 1.0.0</td>",
        "&lt;img src=x onerror=",
    ] {
        assert!(document.contains(part), "{part} is missing: {document}");
    }
    assert!(!document.contains("<img") && !document.contains("<script"), "{document}");
    assert!(!document.contains("owned</title>"), "{document}");
}
