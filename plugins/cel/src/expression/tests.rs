//! The rewritten form of an expression against the expression as written.

use cel_interpreter::Value;

use super::*;
use crate::values::{at, read};

const DOCUMENT: &str = r#"{
    "tags": ["b", "a"],
    "manifest": {
        "name": "Greeter", "count": 3, "ratio": 0.5, "on": true, "off": false, "nothing": null,
        "tools": [{"name": "search", "safe": true, "uses": [1, 2]}, {"name": "shell", "safe": false, "uses": []}],
        "mixed": [1, "a", null, {"name": "x"}, {"name": 7}],
        "optional": {"of": 1},
        "empty": {}
    }
}"#;

/// Each of these stands in each place of the forms below, whether the place takes such values or not.
const VALUES: &[&str] = &[
    "manifest",
    "manifest.name",
    "manifest.count",
    "manifest.ratio",
    "manifest.on",
    "manifest.nothing",
    "manifest.tools",
    "manifest.mixed",
    "manifest.empty",
    "manifest.absent",
    "manifest.name.absent",
    "current",
    "current.name",
    "submission.tags",
    "submission.manifest.tools[0].name",
    "manifest['optional'].of",
    "manifest.?tools",
    "manifest.?absent",
    "manifest.?optional.of",
    "optional.of(manifest)",
    "optional.none()",
    "'Greeter'",
    "'Gr'",
    "b'Gr'",
    "3",
    "3u",
    "3.0",
    "-1",
    "[1, 2]",
    "{'name': 1}",
    "true",
    "duration('3s')",
    "timestamp('2026-01-01T00:00:00Z')",
    "type(manifest)",
    "google.protobuf.Timestamp",
];

const UNARY: &[&str] = &[
    "ONE.name",
    "ONE['name']",
    "has(ONE.name)",
    "!ONE",
    "!!ONE",
    "size(ONE)",
    "ONE.size()",
    "-ONE",
    "ONE.tools[1].uses[0]",
    "ONE.?name",
    "ONE.all(x, x.safe)",
    "ONE.all(x, x.name.startsWith('s'))",
    "ONE.exists(x, !x.safe)",
    "ONE.exists(x, x.name == 'shell')",
    "ONE.exists(x, x.name == 7 || x.absent)",
    "ONE.all(x, has(x.name) && x.name != '')",
    "ONE.map(x, x.name)",
    "ONE.filter(x, !has(x.safe) || x.safe)",
    "ONE.exists_one(x, x.name.contains('e'))",
    "ONE.all(x, size(x) > 1)",
    "ONE.all(x, x.uses.all(y, y < 3 && y in x.uses))",
    "ONE.all(manifest, manifest.safe || !manifest.safe)",
    "ONE.exists(optional, optional.name == 'shell')",
    "[ONE].all(x, x.name == x['name'])",
    "[ONE].exists(x, x.name.size() > 2)",
    "ONE ? 1 : 2",
    "ONE || true",
    "ONE && false",
    "!ONE || true",
    "ONE.name || manifest.on",
    "[?ONE]",
    "{'a': ONE}.a",
    "{'a': ONE}.a.name",
];

const BINARY: &[&str] = &[
    "ONE == OTHER",
    "ONE != OTHER",
    "ONE < OTHER",
    "ONE <= OTHER",
    "ONE > OTHER",
    "ONE >= OTHER",
    "ONE in OTHER",
    "ONE + OTHER",
    "ONE[OTHER]",
    "ONE && OTHER",
    "ONE || OTHER",
    "ONE.startsWith(OTHER)",
    "ONE.endsWith(OTHER)",
    "ONE.contains(OTHER)",
    "ONE == OTHER || ONE < OTHER",
    "[ONE, OTHER].exists(x, x == ONE)",
];

/// What an evaluation comes to: the value, or the error's words, of which a map shows its members in any order.
fn outcome(result: Result<CowVal<'_, '_>, ExecutionError>) -> Result<Value, Vec<char>> {
    result.and_then(|value| Value::try_from(value.as_ref())).map_err(|error| {
        let mut words: Vec<_> = error.to_string().chars().collect();
        words.sort_unstable();
        words
    })
}

fn check(compiler: &mut Compiler, context: &Context<'_, '_>, source: &str) {
    let expression = compiler.compile(source).unwrap_or_else(|refusals| panic!("{source}: {refusals:?}"));
    let written = outcome(Value::resolve_val(&expression.root, context));
    let quick = outcome(Value::resolve_val(&expression.quick, context));
    if written.is_ok() || quick.is_ok() {
        assert_eq!(quick, written, "{source}");
    }
    assert_eq!(outcome(expression.evaluate(context)), written, "{source}");
}

#[test]
fn the_rewritten_form_gives_what_was_written() {
    let mut compiler = Compiler::new();
    let mut context = Context::with_env(Arc::clone(&compiler.env));
    let submission = read(DOCUMENT).expect("JSON");
    context.add_variable_as_val("manifest", at(submission.as_ref(), "/manifest"));
    context.add_variable_as_val("current", at(submission.as_ref(), "/nowhere"));
    context.add_variable_as_val("submission", submission);
    for value in VALUES {
        let of = |form: &str| form.replace("ONE", value);
        UNARY.iter().for_each(|form| check(&mut compiler, &context, &of(form)));
        for other in VALUES.iter().step_by(3) {
            BINARY.iter().for_each(|form| check(&mut compiler, &context, &of(form).replace("OTHER", other)));
        }
    }
}

#[test]
fn no_rule_can_name_what_the_rewritten_form_calls() {
    let mut compiler = Compiler::new();
    for source in ["`!0 size`(manifest)", "manifest.`!1 startsWith`('a')", "!0 size(manifest)"] {
        assert!(compiler.compile(source).is_err(), "{source}");
    }
}
