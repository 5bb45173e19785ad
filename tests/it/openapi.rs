//! The API's description: what the host serves of it, and that it tells what handlers read. That answers are as it tells is
//! checked wherever a test asks a host (tests/support/description.rs).

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::support::browser::document_at;
use crate::support::command::{against, argument, hallmark, text};
use crate::support::description::{DESCRIPTION, resolved};
use crate::support::host::{Answer, Host, Options, root};

/// A name that no query and no body has, and that is near to none.
const UNKNOWN: &str = "zzzzzzzzzzzz";

/// A host with something in it.
fn host() -> Host {
    let host = Options::examples().start();
    let published = against(&host, &["publish", "examples/manifests/valid"]);
    assert_eq!(published.status.code(), Some(0), "{}", text(&published.stderr));
    host
}

/// Every operation that asks for a role: its method, a path that it serves, and itself.
fn operations() -> Vec<(String, String, &'static Value)> {
    let mut operations = Vec::new();
    for (path, item) in DESCRIPTION["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("methods") {
            if operation["security"].as_array().is_none_or(Vec::is_empty) {
                continue;
            }
            let path = parameters(operation, "path").into_iter().fold(path.clone(), |path, parameter| {
                let example =
                    parameter["example"].as_str().map_or_else(|| parameter["example"].to_string(), str::to_owned);
                path.replace(&format!("{{{}}}", parameter["name"].as_str().expect("a name")), &example)
            });
            operations.push((method.to_uppercase(), path, operation));
        }
    }
    operations
}

fn parameters(operation: &'static Value, place: &str) -> Vec<&'static Value> {
    let all = operation["parameters"].as_array().into_iter().flatten().map(resolved);
    all.filter(|parameter| parameter["in"] == place).collect()
}

fn ask(host: &Host, method: &str, path: &str, operation: &Value) -> Option<Answer> {
    let body = operation["requestBody"]["content"].as_object().and_then(|content| content.iter().next());
    match (method, body) {
        ("GET", _) => Some(host.get(path)),
        ("DELETE", _) => Some(host.delete(path)),
        (_, None) => Some(host.send(path, "application/json", b"")),
        (_, Some((media_type, content))) => {
            let example = content.get("example")?;
            Some(host.send(path, media_type, example.to_string().as_bytes()))
        }
    }
}

fn names(parameters: &[&Value]) -> BTreeSet<String> {
    parameters.iter().map(|parameter| parameter["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn the_query_that_is_told_of_is_the_query_that_handlers_read() {
    let host = host();
    let mut read = 0;
    for (method, path, operation) in operations() {
        let Some(answer) = ask(&host, &method, &format!("{path}?{UNKNOWN}=1"), operation) else { continue };
        let told = names(&parameters(operation, "query"));
        let detail = answer.body["detail"].as_str().unwrap_or_default();
        let start = format!("query: unknown name '{UNKNOWN}'; known are ");
        let known: BTreeSet<String> = match detail.strip_prefix(&start) {
            Some(names) => names.split(", ").map(str::to_owned).collect(),
            None => BTreeSet::new(),
        };
        assert!(known.is_empty() != detail.starts_with("query:"), "{method} {path}: {detail}");
        assert_eq!(known, told, "{method} {path}: {answer:?}");
        read += usize::from(!known.is_empty());
    }
    assert!(read > 20, "{read}");
}

#[test]
fn the_members_of_bodies_that_are_told_of_are_those_that_handlers_read() {
    let host = host();
    let mut read = 0;
    for (method, path, operation) in operations() {
        let schema = resolved(&operation["requestBody"]["content"]["application/json"]["schema"]);
        if schema["additionalProperties"] != false {
            continue;
        }
        let told: BTreeSet<&str> =
            schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        let answer = host.post(&path, &json!({ UNKNOWN: 1 }));
        let detail = answer.body["detail"].as_str().unwrap_or_default();
        let (_, known) = detail.split_once(&format!("unknown field `{UNKNOWN}`, ")).unwrap_or_else(|| {
            panic!("{method} {path}: {answer:?}");
        });
        let known: BTreeSet<&str> = known.split('`').skip(1).step_by(2).collect();
        assert_eq!(known, told, "{method} {path}");
        read += 1;
    }
    assert!(read > 15, "{read}");
}

#[test]
fn the_description_is_served_to_everybody_and_kept_by_its_version() {
    let host = Options::new().start();
    let checked_in = fs::read_to_string(root().join("docs/openapi.json")).expect("a file");
    let first = host.get_with("/api/openapi.json", ("Accept", "*/*"));
    assert_eq!((first.status, first.header("content-type")), (200, Some("application/json")));
    assert_eq!(first.body, serde_json::from_str::<Value>(&checked_in).expect("JSON"));
    assert_eq!(first.body["openapi"], "3.1.0");
    assert_eq!(first.header("cache-control"), Some("public, no-cache"));
    let tag = first.header("etag").expect("a tag").to_owned();
    assert!(tag.starts_with('"') && tag.len() == 66, "{tag}");
    let again = host.get_with("/api/openapi.json", ("If-None-Match", &tag));
    assert_eq!((again.status, again.body.as_str()), (304, Some("")));
    let page = host.get_with("/docs", ("Accept", "*/*"));
    let page = page.body.as_str().expect("a page");
    let (_, link) = page.split_once("<a href=\"/api/openapi.json?version=").expect("a link");
    let version = link.split('"').next().expect("a version");
    let kept = host.get_with(&format!("/api/openapi.json?version={version}"), ("Accept", "*/*"));
    assert_eq!(kept.header("cache-control"), Some("public, max-age=31536000, immutable"));
    assert_eq!((kept.body, kept.headers.len()), (first.body, first.headers.len()));
    let other = host.get_with("/api/openapi.json?version=0.0.1-abc", ("Accept", "*/*"));
    assert_eq!((other.status, other.header("cache-control")), (200, Some("public, no-cache")));
}

#[test]
fn the_command_writes_the_description() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let file = folder.path().join("openapi.json");
    let written = hallmark(&["openapi", "--out", argument(&file)]);
    assert_eq!(written.status.code(), Some(0), "{}", text(&written.stderr));
    assert_eq!(text(&written.stdout), format!("wrote {}\n", file.display()));
    let shown = hallmark(&["openapi"]);
    assert_eq!(text(&shown.stdout), fs::read_to_string(&file).expect("a file"));
    let nowhere = hallmark(&["openapi", "--out", "/nowhere/openapi.json"]);
    assert_eq!(nowhere.status.code(), Some(3));
    assert!(text(&nowhere.stderr).starts_with("error: /nowhere/openapi.json cannot be written: "));
}

#[test]
fn a_browser_shows_the_description_and_is_allowed_nothing_else() {
    let host = Options::new().start();
    let answer = host.get_with("/docs", ("Accept", "*/*"));
    let policy = answer.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    let (document, said) = document_at(&format!("{}/docs", host.url));
    for part in [
        "<title>Hallmark: the HTTP API</title>",
        "<h2 id=\"tokens\">Tokens</h2>",
        "<details id=\"createToken\">",
        "curl \"$HALLMARK/api/tokens\" --header \"Authorization: Bearer $TOKEN\"",
        "<h3 id=\"schema-Finding\">Finding</h3>",
        "<h3 id=\"problem-rejected\">",
    ] {
        assert!(document.contains(part), "{part} is missing");
    }
    assert!(!document.contains("<script"));
    // A browser says so where a policy forbids what a page has.
    assert!(!said.contains("Content Security Policy") && !said.contains("Refused"), "{said}");
}
