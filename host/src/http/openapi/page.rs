//! The description as a page: one file that needs no network and runs nothing, written once from the document itself.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use utoipa::openapi::OpenApi;

use super::parts::GROUPS;
use crate::http::html::{STYLE, escaped};

mod form;

use form::{form, markdown, members};

/// The page, and what it may do.
pub struct Page {
    pub(super) text: String,
    pub(super) policy: String,
}

const OWN_STYLE: &str = "details{border-bottom:1px solid #ccc;padding:.35rem 0}summary{cursor:pointer;overflow-wrap:anywhere}\
summary b{display:inline-block;min-width:4.5rem}summary span{color:#555}pre{overflow-x:auto;padding:.6rem;background:#f3f3f3;\
font:.85em/1.4 ui-monospace,monospace}details>*:not(summary){margin-left:1rem}h3{font-size:1.05rem}nav{columns:3}\
nav a{display:block}@media(prefers-color-scheme:dark){details{border-color:#444}summary span{color:#bbb}\
pre{background:#242424}a{color:#9cf}}";

/// Writes the page of a document that is called so in `/api/openapi.json?version=`.
pub fn write(document: &OpenApi, version: &str) -> Page {
    let document = serde_json::to_value(document).unwrap_or_default();
    let style = format!("{STYLE}{OWN_STYLE}");
    let digest = STANDARD.encode(Sha256::digest(style.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Hallmark: the HTTP API</title>\n\
         <style>{style}</style>\n</head>\n<body>\n<main>\n<h1>Hallmark: the HTTP API</h1>\n"
    );
    let about = document["info"]["description"].as_str().unwrap_or_default();
    let _ = writeln!(
        text,
        "{}<p>Version {}; for programs: <a href=\"/api/openapi.json?version={version}\">openapi.json</a>. The lines for a \
         shell take the host's address from <code>HALLMARK</code> and a token from <code>TOKEN</code>.</p>",
        markdown(about),
        escaped(env!("CARGO_PKG_VERSION")),
    );
    contents(&mut text);
    for group in &GROUPS {
        let _ =
            writeln!(text, "<h2 id=\"{}\">{}</h2>\n<p>{}</p>", anchor(group.name), group.name, escaped(group.about));
        for (path, method, operation) in operations(&document).filter(|(_, _, one)| one["tags"][0] == group.name) {
            show(&mut text, &document, (path, method), operation);
        }
    }
    problems(&mut text, &document);
    schemas(&mut text, &document);
    text.push_str("</main>\n</body>\n</html>\n");
    Page { text, policy }
}

fn anchor(name: &str) -> String {
    name.to_lowercase().replace(' ', "-")
}

fn contents(text: &mut String) {
    text.push_str("<nav>\n");
    let groups = GROUPS.iter().map(|group| group.name);
    for name in groups.chain(["Problems", "Schemas"]) {
        let _ = writeln!(text, "<a href=\"#{}\">{name}</a>", anchor(name));
    }
    text.push_str("</nav>\n");
}

fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.flat_map(|(path, item)| {
        let methods = item.as_object().into_iter().flatten();
        methods.map(|(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

/// What a reference points to, else the value itself.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let place = value["$ref"].as_str().and_then(|place| place.strip_prefix('#'));
    place.and_then(|place| document.pointer(place)).unwrap_or(value)
}

fn text_of<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn show(text: &mut String, document: &Value, (path, method): (&str, &str), operation: &Value) {
    let method = method.to_uppercase();
    let _ = writeln!(
        text,
        "<details id=\"{}\">\n<summary><b>{method}</b> <code>{}</code> <span>{}</span></summary>\n{}",
        escaped(text_of(operation, "operationId")),
        escaped(path),
        escaped(text_of(operation, "summary")),
        markdown(text_of(operation, "description")),
    );
    let parameters: Vec<&Value> =
        operation["parameters"].as_array().into_iter().flatten().map(|one| resolved(document, one)).collect();
    if !parameters.is_empty() {
        text.push_str("<h3>Parameters</h3>\n<table>\n<tbody>\n");
        for parameter in &parameters {
            let needed = if parameter["required"] == true { ", needed" } else { "" };
            let _ = writeln!(
                text,
                "<tr><td><code>{}</code><br>{}{needed}</td><td>{}</td><td>{}</td></tr>",
                escaped(text_of(parameter, "name")),
                escaped(text_of(parameter, "in")),
                form(&parameter["schema"]),
                markdown(text_of(parameter, "description")),
            );
        }
        text.push_str("</tbody>\n</table>\n");
    }
    body(text, &operation["requestBody"]);
    let _ = writeln!(text, "<h3>In a shell</h3>\n<pre>{}</pre>", escaped(&curl(path, &method, &parameters, operation)));
    answers(text, document, &operation["responses"]);
    text.push_str("</details>\n");
}

fn body(text: &mut String, body: &Value) {
    let Some(content) = body["content"].as_object() else { return };
    let names: Vec<String> = content.keys().map(|name| format!("<code>{}</code>", escaped(name))).collect();
    let _ = writeln!(text, "<h3>Body</h3>\n<p>{}</p>\n{}", names.join(", "), markdown(text_of(body, "description")));
    // The media types differ in how the same is written.
    if let Some(first) = content.values().next() {
        members(text, &first["schema"]);
        if let Some(example) = first.get("example") {
            let _ = writeln!(text, "<pre>{}</pre>", escaped(&pretty(example)));
        }
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn answers(text: &mut String, document: &Value, responses: &Value) {
    text.push_str("<h3>Answers</h3>\n<table>\n<tbody>\n");
    for (status, response) in responses.as_object().into_iter().flatten() {
        let response = resolved(document, response);
        let content = response["content"].as_object();
        let mut shown = String::new();
        for (media_type, content) in content.into_iter().flatten() {
            match content["examples"].as_object() {
                Some(examples) => shown.push_str(&codes(examples)),
                None => {
                    let _ = write!(shown, "<p><code>{}</code>: {}</p>", escaped(media_type), form(&content["schema"]));
                }
            }
        }
        let names: Vec<&str> =
            response["headers"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        let _ = writeln!(
            text,
            "<tr><th scope=\"row\">{}</th><td>{}{shown}</td><td>{}</td></tr>",
            escaped(status),
            markdown(text_of(response, "description")),
            escaped(&names.join(", ")),
        );
    }
    text.push_str("</tbody>\n</table>\n");
}

fn codes(examples: &Map<String, Value>) -> String {
    let link = |code: &String| format!("<a href=\"#problem-{0}\"><code>{0}</code></a>", escaped(code));
    examples.keys().map(link).collect::<Vec<_>>().join(" ")
}

/// A line for a shell that does it.
fn curl(path: &str, method: &str, parameters: &[&Value], operation: &Value) -> String {
    let mut place = path.to_owned();
    let mut query = Vec::new();
    for parameter in parameters {
        let (name, example) = (text_of(parameter, "name"), &parameter["example"]);
        let example = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
        match text_of(parameter, "in") {
            "path" => place = place.replace(&format!("{{{name}}}"), &example),
            "query" if parameter["required"] == true => query.push(format!("{name}=release")),
            _ => {}
        }
    }
    if !query.is_empty() {
        place = format!("{place}?{}", query.join("&"));
    }
    let mut line = format!("curl \"$HALLMARK{place}\"");
    if operation["security"].as_array().is_some_and(|schemes| !schemes.is_empty()) {
        line.push_str(" --header \"Authorization: Bearer $TOKEN\"");
    }
    let content = operation["requestBody"]["content"].as_object();
    match content.and_then(|content| content.iter().next()) {
        Some((media_type, content)) => {
            let _ = write!(line, " \\\n  --header 'Content-Type: {media_type}' \\\n  ");
            match content.get("example") {
                Some(example) => {
                    let _ = write!(line, "--data '{}'", example.to_string().replace('\'', "'\\''"));
                }
                None => line.push_str("--data-binary @plugin.wasm"),
            }
        }
        None if method != "GET" => {
            let _ = write!(line, " --request {method}");
        }
        None => {}
    }
    line
}

fn problems(text: &mut String, document: &Value) {
    text.push_str("<h2 id=\"problems\">Problems</h2>\n");
    for (code, example) in document["components"]["examples"].as_object().into_iter().flatten() {
        let _ = writeln!(
            text,
            "<h3 id=\"problem-{0}\"><code>{0}</code> ({1}): {2}</h3>\n{3}\n<pre>{4}</pre>",
            escaped(code),
            escaped(&example["value"]["status"].to_string()),
            escaped(text_of(example, "summary")),
            markdown(text_of(example, "description")),
            escaped(&pretty(&example["value"])),
        );
    }
}

fn schemas(text: &mut String, document: &Value) {
    text.push_str("<h2 id=\"schemas\">Schemas</h2>\n");
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        let _ = writeln!(
            text,
            "<h3 id=\"schema-{0}\">{0}</h3>\n{1}",
            escaped(name),
            markdown(text_of(schema, "description"))
        );
        members(text, schema);
    }
}
