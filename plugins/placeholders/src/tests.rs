//! What the rules of `README.md` come to, case by case.

use hallmark_plugin::serde_json::json;
use hallmark_plugin::testing::Bench;
use hallmark_plugin::{Severity, pointer};

use super::*;

fn module_default(name: &str, value: Option<&str>) -> Variable {
    Variable {
        name: name.to_owned(),
        value: value.map(str::to_owned),
        source: Source::Module,
        description: Some(format!("the module's {name}")),
        secret: false,
    }
}

fn codes(resolution: &Resolution) -> Vec<(&str, &str)> {
    resolution.findings.iter().map(|finding| (finding.code.as_str(), finding.path.as_str())).collect()
}

#[test]
fn the_request_goes_before_the_module_and_the_module_before_the_manifest() {
    let bench = Bench::new().document(json!({"a": "${A:-inline}"}));
    let cases = [
        (bench, "inline", Source::Inline),
        (Bench::new().with_variable(module_default("A", Some("module"))), "module", Source::Module),
        (
            Bench::new().with_variable(module_default("A", Some("module"))).variable("A", "request"),
            "request",
            Source::Request,
        ),
        (Bench::new().with_variable(module_default("A", Some("module"))).variable("A", ""), "", Source::Request),
        (Bench::new().with_variable(module_default("A", Some(""))), "", Source::Module),
        (Bench::new().with_variable(module_default("A", None)), "inline", Source::Inline),
    ];
    for (bench, value, source) in cases {
        let bench = bench.document(json!({"a": "${A:-inline}"}));
        let resolution = bench.resolve::<Placeholders>();
        assert_eq!(bench.resolved(&resolution).pointer("/manifest/a"), Some(&json!(value)));
        assert_eq!(resolution.substitutions[0].origins, [Origin { name: "A".to_owned(), source }]);
        assert_eq!(resolution.placeholders[0].source, Some(source));
        assert_eq!(codes(&resolution), []);
    }
}

#[test]
fn values_are_put_in_as_data_and_never_read_again() {
    let bench = Bench::new()
        .document(json!({"a": "x ${A} y", "b": {"$var": {"name": "A"}}, "price": "$$5, not $5"}))
        .variable("A", "${B:-b} $$ \" \\ {\"$var\": {}}");
    let resolution = bench.resolve::<Placeholders>();
    let resolved = bench.resolved(&resolution);
    assert_eq!(resolved.pointer("/manifest/a"), Some(&json!("x ${B:-b} $$ \" \\ {\"$var\": {}} y")));
    assert_eq!(resolved.pointer("/manifest/b"), Some(&json!("${B:-b} $$ \" \\ {\"$var\": {}}")));
    assert_eq!(resolved.pointer("/manifest/price"), Some(&json!("$5, not $5")));
    assert_eq!(resolution.placeholders.len(), 1, "B is a value, not a placeholder");
    let price = resolution.substitutions.iter().find(|substitution| substitution.path == "/manifest/price");
    assert_eq!(price.map(|substitution| substitution.origins.len()), Some(0));
}

#[test]
fn a_missing_value_is_named_with_its_place() {
    let bench = Bench::new().document(json!({"a": "${NAME}", "list": ["x${NAME}", "${OTHER:-o}"]}));
    let resolution = bench.resolve::<Placeholders>();
    assert_eq!(codes(&resolution), [("placeholder.missing", "/manifest/a")]);
    let finding = &resolution.findings[0];
    assert_eq!(
        finding.message,
        "the placeholder 'NAME' has no value, in 2 places: the request sets none, and there is no default"
    );
    assert_eq!(finding.help.as_deref(), Some("set it with --var NAME=VALUE, or write ${NAME:-default}"));
    let name = &resolution.placeholders[0];
    assert!(name.missing && name.required && name.value.is_none());
    assert_eq!(name.occurrences, ["/manifest/a", "/manifest/list/0"]);
    assert_eq!(resolution.substitutions.len(), 1, "what has a value is still put in");
}

#[test]
fn a_default_anywhere_serves_every_use_of_the_name() {
    let bench = Bench::new().document(json!({"a": "${A}", "b": "${A:-x}"}));
    let resolution = bench.resolve::<Placeholders>();
    assert_eq!(bench.resolved(&resolution)["manifest"], json!({"a": "x", "b": "x"}));
    assert!(!resolution.placeholders[0].required);
}

#[test]
fn inline_defaults_that_differ_are_a_conflict() {
    let document = json!({"a": "${A:-one}", "b": {"$var": {"name": "A", "default": "two"}}, "c": "${A:-one}"});
    let resolution = Bench::new().document(document.clone()).resolve::<Placeholders>();
    assert_eq!(codes(&resolution), [("placeholder.conflict", "/manifest/a")]);
    assert_eq!(resolution.findings[0].severity, Severity::Error);
    assert_eq!(resolution.findings[0].message, "the placeholder 'A' has different defaults: 'one' and 'two'");
    assert_eq!(resolution.placeholders[0].conflicts, ["one", "two"]);

    let resolution = Bench::new().document(document).variable("A", "three").resolve::<Placeholders>();
    assert_eq!(resolution.findings[0].severity, Severity::Warning, "no inline default is used");
}

#[test]
fn the_report_has_everything_that_is_known() {
    let bench = Bench::new()
        .document(json!({"a": "${A:-x}-${A}", "b": {"$var": {"name": "B", "description": "inline", "default": "b"}}}))
        .with_variable(module_default("A", Some("m")))
        .with_variable(Variable { secret: true, value: Some("__secret_S__".to_owned()), ..module_default("S", None) })
        .document(json!({"a": "${A:-x}-${A}", "b": {"$var": {"name": "B", "description": "inline", "default": "b"}}, "s": "${S}"}));
    let resolution = bench.resolve::<Placeholders>();
    assert_eq!(
        resolution.placeholders,
        [
            Placeholder {
                name: "A".to_owned(),
                description: Some("the module's A".to_owned()),
                default: Some("m".to_owned()),
                value: Some("m".to_owned()),
                source: Some(Source::Module),
                required: false,
                missing: false,
                secret: false,
                occurrences: vec!["/manifest/a".to_owned()],
                conflicts: Vec::new(),
            },
            Placeholder {
                name: "B".to_owned(),
                description: Some("inline".to_owned()),
                default: Some("b".to_owned()),
                value: Some("b".to_owned()),
                source: Some(Source::Inline),
                required: false,
                missing: false,
                secret: false,
                occurrences: vec!["/manifest/b".to_owned()],
                conflicts: Vec::new(),
            },
            Placeholder {
                name: "S".to_owned(),
                description: Some("the module's S".to_owned()),
                default: Some("__secret_S__".to_owned()),
                value: Some("__secret_S__".to_owned()),
                source: Some(Source::Module),
                required: false,
                missing: false,
                secret: true,
                occurrences: vec!["/manifest/s".to_owned()],
                conflicts: Vec::new(),
            },
        ]
    );
    assert_eq!(bench.resolved(&resolution)["manifest"], json!({"a": "m-m", "b": "b", "s": "__secret_S__"}));
}

#[test]
fn settings_keep_it_to_parts_of_the_document() {
    let document = json!({
        "note": "${NOTE}",
        "services": [{"slug": "${SLUG}", "env": [{"key": "${KEY}", "value": "${VALUE:-v}"}, {"value": {"$var": {"name": "OBJECT", "default": "o"}}}]}],
    });
    let bench = Bench::new().settings(json!({"paths": ["/manifest/services/*/env/*/value"]})).document(document);
    let resolution = bench.resolve::<Placeholders>();
    let names: Vec<_> = resolution.placeholders.iter().map(|placeholder| placeholder.name.as_str()).collect();
    assert_eq!(names, ["VALUE", "OBJECT"]);
    assert_eq!(
        bench.resolved(&resolution)["manifest"]["services"][0],
        json!({"slug": "${SLUG}", "env": [{"key": "${KEY}", "value": "v"}, {"value": "o"}]})
    );
}

#[test]
fn without_settings_the_document_counts_and_nothing_beside_it() {
    let submission = json!({"agentId": "example", "description": "${A}", "manifest": {"a/b": {"~": "${A:-x}"}}});
    let bench = Bench::new().submission(submission);
    let resolution = bench.resolve::<Placeholders>();
    assert_eq!(resolution.substitutions[0].path, "/manifest/a~1b/~0");
    assert_eq!(resolution.placeholders[0].occurrences, ["/manifest/a~1b/~0"]);
    assert!(pointer::is_pointer(&resolution.substitutions[0].path));
}

#[test]
fn what_does_not_have_its_form_is_a_finding_at_its_place() {
    let cases = [
        (json!("${A"), "", "the placeholder '${A' has no closing brace"),
        (json!("ok ${A:-x} ${}"), "", "the placeholder has no name"),
        (json!({"$var": "A"}), "/$var", "'$var' is not an object"),
        (json!({"$var": {"name": "A"}, "more": 1}), "", "an object with '$var' has other members beside it"),
        (json!({"$var": {}}), "/$var", "'$var' has no 'name'"),
        (json!({"$var": {"name": 1}}), "/$var/name", "the 'name' of '$var' is not a string"),
        (
            json!({"$var": {"name": "a b"}}),
            "/$var/name",
            "'a b' is not a placeholder name: letters, digits and '_', no digit first",
        ),
        (json!({"$var": {"name": "A", "default": 1}}), "/$var/default", "the 'default' of '$var' is not a string"),
        (json!({"$var": {"name": "A", "fallback": "x"}}), "/$var", "'$var' has the unknown member 'fallback'"),
    ];
    for (value, below, message) in cases {
        let resolution = Bench::new().document(json!({"a": value})).resolve::<Placeholders>();
        let finding = &resolution.findings[0];
        assert_eq!(
            (finding.code.as_str(), finding.path.as_str()),
            ("placeholder.syntax", format!("/manifest/a{below}").as_str())
        );
        assert_eq!(finding.message, message);
        assert!(resolution.substitutions.is_empty());
    }
}

#[test]
fn a_flood_is_answered_with_a_finding() {
    let value = "x".repeat(16 * 1024);
    let uses: Vec<_> = (0..100).map(|_| json!("${A}")).collect();
    let resolution = Bench::new().document(json!(uses)).variable("A", &value).resolve::<Placeholders>();
    assert_eq!(codes(&resolution), [("placeholder.too-large", "")]);

    let many: Vec<_> = (0..1000).map(|number| json!(format!("${{A{number}}}"))).collect();
    let resolution = Bench::new().document(json!(many)).resolve::<Placeholders>();
    assert_eq!(resolution.findings.len(), 201);
    assert_eq!(resolution.findings[200].message, "there are 800 more findings");
}

#[test]
fn a_path_in_the_settings_that_is_no_pointer_is_refused() {
    let bench = Bench::new().settings(json!({"paths": ["$.manifest"]}));
    let findings = bench.configure_resolver::<Placeholders>().map(|_| ()).expect_err("a JSONPath");
    assert_eq!(findings[0].path, "/paths/0");
}
