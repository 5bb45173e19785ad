//! The description is held to the route table, to its own schemas and to the file that is checked in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::*;
use crate::http::routes::Access;
use crate::registry::access::Role;

fn as_json() -> Value {
    serde_json::from_str(text()).expect("JSON")
}

/// Every operation: its method, its path and itself.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let of_path = |(path, item): (&String, &Value)| {
        let methods = item.as_object().expect("a path").clone().into_iter();
        let path = path.clone();
        methods.map(move |(method, operation)| (method.to_uppercase(), path.clone(), operation)).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(place) => document.pointer(&place[1..]).unwrap_or_else(|| panic!("{place} points to nothing")),
        None => value,
    }
}

/// A validator of a schema that names others.
fn validator(document: &Value, schema: &Value) -> jsonschema::Validator {
    let whole = serde_json::json!({"allOf": [schema], "components": document["components"]});
    jsonschema::validator_for(&whole).unwrap_or_else(|error| panic!("{schema}: {error}"))
}

#[test]
fn something_is_told_of_every_route_and_of_nothing_else() {
    let routes: BTreeSet<(String, String)> =
        table().iter().map(|route| (route.method.to_owned(), route.path.to_owned())).collect();
    let told: Vec<(String, String)> =
        all_told().into_iter().map(|(_, told)| (told.method.to_owned(), told.path)).collect();
    let once: BTreeSet<(String, String)> = told.iter().cloned().collect();
    assert_eq!(once.len(), told.len(), "an operation is told of twice");
    let missing: Vec<_> = routes.difference(&once).collect();
    assert!(missing.is_empty(), "nothing is told of (add it to the `told` of the resource's file): {missing:#?}");
    let beyond: Vec<_> = once.difference(&routes).collect();
    assert!(beyond.is_empty(), "no route is (remove it from the `told` of the resource's file): {beyond:#?}");
    let described: BTreeSet<(String, String)> =
        operations(&as_json()).into_iter().map(|(method, path, _)| (method, path)).collect();
    assert_eq!(described, routes);
}

#[test]
fn every_operation_but_health_and_the_description_asks_for_the_role_of_its_route() {
    let (document, roles) = (as_json(), Role::ALL.map(Role::as_str));
    let schemes: BTreeSet<&String> =
        document["components"]["securitySchemes"].as_object().expect("schemes").keys().collect();
    let mut public = Vec::new();
    let access: BTreeMap<(&str, &str), Access> =
        table().into_iter().map(|route| ((route.method, route.path), route.access)).collect();
    for (method, path, operation) in operations(&document) {
        let security = operation["security"].as_array().unwrap_or_else(|| panic!("{method} {path} says nothing of it"));
        let asked: BTreeSet<&str> = security
            .iter()
            .flat_map(|one| one.as_object().expect("a requirement"))
            .inspect(|(scheme, _)| assert!(schemes.contains(scheme), "{scheme}"))
            .flat_map(|(_, words)| words.as_array().expect("roles").iter().map(|word| word.as_str().expect("a word")))
            .collect();
        match access[&(method.as_str(), path.as_str())] {
            Access::Public => {
                assert!(asked.is_empty(), "{method} {path}");
                public.push(path);
            }
            Access::Role(role) => {
                assert!(roles.contains(&role.as_str()));
                assert_eq!(asked, BTreeSet::from([role.as_str()]), "{method} {path}");
                assert_eq!(security.len(), schemes.len(), "{method} {path} can be asked with each of the schemes");
            }
        }
    }
    public.sort();
    assert_eq!(public, ["/api/openapi.json", "/docs", "/health", "/livez", "/readyz"]);
}

#[test]
fn operations_are_told_apart_and_told_of_in_the_words_of_the_document() {
    let document = as_json();
    let mut ids = BTreeSet::new();
    let tags: BTreeSet<&str> =
        document["tags"].as_array().expect("tags").iter().filter_map(|tag| tag["name"].as_str()).collect();
    for (method, path, operation) in operations(&document) {
        let id = operation["operationId"].as_str().expect("an id").to_owned();
        assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
        assert!(ids.insert(id.clone()), "{id} stands twice");
        assert!(tags.contains(operation["tags"][0].as_str().expect("a tag")), "{id}");
        let summary = operation["summary"].as_str().expect("a summary");
        let words = words::of_route(&method, &path);
        assert!(!summary.is_empty(), "{id} has no row in docs/API.md");
        assert!(words.is_none_or(|words| words.starts_with(summary)), "{id}");
        let named: BTreeSet<String> = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|parameter| resolved(&document, parameter))
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().expect("a name").to_owned())
            .collect();
        let words: BTreeSet<String> =
            path.split('{').skip(1).map(|rest| rest.split('}').next().expect("a word").to_owned()).collect();
        assert_eq!(named, words, "{id}");
    }
}

#[test]
fn no_two_schemas_share_a_name_and_every_reference_leads_somewhere() {
    let mut known: BTreeMap<String, Value> = BTreeMap::new();
    for (_, told) in all_told() {
        for (name, schema) in told.schemas {
            let schema = serde_json::to_value(schema).expect("JSON");
            let first = known.entry(name.clone()).or_insert_with(|| schema.clone());
            assert_eq!(first, &schema, "two types are called {name}: give one another name with #[schema(as = …)]");
        }
    }
    let document = as_json();
    let mut places = vec![&document];
    let mut seen = 0;
    while let Some(value) = places.pop() {
        match value {
            Value::Object(members) => {
                if value["$ref"].is_string() {
                    resolved(&document, value);
                    seen += 1;
                }
                places.extend(members.values());
            }
            Value::Array(items) => places.extend(items),
            _ => {}
        }
    }
    assert!(seen > 500, "{seen}");
}

#[test]
fn every_problem_has_an_example_that_is_one_and_some_operation_that_it_refuses() {
    let document = as_json();
    let problem = validator(&document, &serde_json::json!({"$ref": "#/components/schemas/Problem"}));
    let mut refused: BTreeSet<String> = BTreeSet::new();
    for response in document["components"]["responses"].as_object().expect("responses").values() {
        let examples = &response["content"]["application/problem+json"]["examples"];
        refused.extend(examples.as_object().into_iter().flatten().map(|(code, _)| code.clone()));
    }
    for code in Code::ALL {
        let example = &document["components"]["examples"][code.as_str()]["value"];
        let errors: Vec<String> = problem.iter_errors(example).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", code.as_str());
        assert!(refused.remove(code.as_str()), "no operation is told to be refused with {}", code.as_str());
    }
    assert!(refused.is_empty(), "{refused:?}");
}

#[test]
fn every_body_has_an_example_that_is_one() {
    let document = as_json();
    for (method, path, operation) in operations(&document) {
        let contents = operation["requestBody"]["content"].as_object();
        let takes: Vec<&String> = contents.into_iter().flatten().map(|(media_type, _)| media_type).collect();
        let route = table().into_iter().find(|route| route.method == method && route.path == path).expect("a route");
        let mut expected = route.intake.media_types().to_vec();
        expected.sort_unstable();
        assert_eq!(takes, expected, "{method} {path}");
        for content in
            contents.into_iter().flatten().map(|(_, content)| content).filter(|one| one["schema"].is_object())
        {
            let example = &content["example"];
            let validator = validator(&document, &content["schema"]);
            let errors: Vec<String> = validator.iter_errors(example).map(|error| error.to_string()).collect();
            assert!(!example.is_null() && errors.is_empty(), "{method} {path}: {errors:?}");
        }
    }
}

#[test]
fn the_file_that_is_checked_in_is_what_the_host_serves() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let checked_in = fs::read_to_string(file).expect("docs/openapi.json");
    assert!(checked_in == text(), "docs/openapi.json is stale: run `hallmark openapi --out docs/openapi.json`");
}

#[test]
fn the_page_shows_every_operation_and_runs_nothing() {
    let page = page::write(&document(), "1.2.3-abc");
    for (method, path, operation) in operations(&as_json()) {
        let id = operation["operationId"].as_str().expect("an id");
        assert!(page.text.contains(&format!("<details id=\"{id}\">")), "{method} {path}");
    }
    for code in Code::ALL {
        assert!(page.text.contains(&format!("<h3 id=\"problem-{}\">", code.as_str())), "{code:?}");
    }
    for forbidden in ["<script", " style=", " src=", "url(", "@import", "<link", "javascript:"] {
        assert!(!page.text.contains(forbidden), "{forbidden}");
    }
    assert!(page.policy.starts_with("default-src 'none'; style-src 'sha256-"), "{}", page.policy);
}
