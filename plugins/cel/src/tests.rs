//! What rules come to, case by case.

use hallmark_plugin::serde_json::{Value as Json, json};
use hallmark_plugin::testing::Bench;

use super::*;

fn agent() -> Json {
    json!({
        "agentId": "greeter",
        "version": "1.2.0",
        "tags": ["a", "b"],
        "manifest": {
            "name": "Greeter",
            "owner": "team-a",
            "limits": {"memory": 512, "cpu": 0.5, "ids": [1, 2, 3]},
            "tools": [{"name": "search", "safe": true}, {"name": "shell", "safe": false}],
            "note": "a \"quoted\" ü",
            "nothing": null,
            "empty": {},
            "many": (0..20).map(|number| (format!("m{number:02}"), json!(number))).collect::<serde_json::Map<_, _>>(),
            "escaped": "aA\n",
            "na\nme": 1,
        },
    })
}

fn rule(expression: &str) -> Json {
    json!({"id": "r", "title": "the title", "expression": expression})
}

/// What rules say, of a document that is read as far as they look, and among so many that it is read whole.
fn decide(rules: Json) -> Vec<Finding> {
    let decide = |rules: &Json| Bench::new().settings(json!({"rules": rules})).submission(agent()).decide::<Cel>();
    let mut many = rules.clone();
    let others =
        (0..=LATE_MAX).map(|index| json!({"id": format!("other.{index}"), "title": "-", "expression": "true"}));
    many.as_array_mut().expect("rules").extend(others);
    let said = decide(&rules);
    assert_eq!(said, decide(&many));
    said
}

fn refused(rules: Json) -> Vec<(String, String)> {
    let findings = Bench::new().settings(json!({"rules": rules})).configure_policy::<Cel>().map(|_| ());
    findings.expect_err("refused").into_iter().map(|finding| (finding.path, finding.message)).collect()
}

#[test]
fn a_rule_that_holds_says_nothing() {
    for expression in [
        "manifest.name == 'Greeter'",
        "manifest['name'] == 'Greeter' && manifest.limits.memory <= 512",
        "manifest.limits.cpu < 1",
        "manifest.limits.cpu == 0.5 && manifest.limits.memory == 512.0",
        "manifest.tools.exists(tool, tool.name == 'shell' && !tool.safe)",
        "manifest.tools.all(tool, tool.name.size() > 3)",
        "manifest.tools.filter(tool, tool.safe).size() == 1",
        "manifest.tools.map(tool, tool.name) == ['search', 'shell']",
        "['search', 'shell'] == manifest.tools.map(tool, tool.name)",
        "manifest.limits.ids == [1, 2, 3] && [1, 2, 3] == manifest.limits.ids",
        "manifest.tools[0] == {'name': 'search', 'safe': true} && {'safe': true, 'name': 'search'} == manifest.tools[0]",
        "{'name': 'shell', 'safe': false} in manifest.tools && manifest.tools.filter(t, t.safe)[0].name == 'search'",
        "manifest.tools.map(t, t)[1].name == 'shell' && manifest.tools[0].size() == 2 && type(manifest) == map",
        "manifest.tools[0].all(key, key in ['name', 'safe']) && manifest.tools + [] == submission.manifest.tools",
        "2 in manifest.limits.ids && !(4 in manifest.limits.ids)",
        "'owner' in manifest",
        "!has(manifest.licence)",
        "has(manifest.owner) && manifest.owner.startsWith('team-')",
        "manifest.owner.matches('^team-[a-z]+$')",
        "matches(manifest.owner, '^team-')",
        "manifest.tools.all(tool, tool.name.matches('^[a-z]+$'))",
        "manifest.owner.matches('^' + 'team')",
        "manifest.note == 'a \"quoted\" ü'",
        "manifest.nothing == null",
        "submission.tags.size() == 2 && submission.manifest.name == manifest.name",
        "subject.kind == 'agents' && subject.publisher == 'local'",
        "subject.submittedAt < timestamp('2030-01-01T00:00:00Z')",
        "subject.submittedAt.getFullYear() == 2026",
        "current == null",
        "submission.manifest == manifest && manifest == submission.manifest && manifest != submission",
        "manifest.tools == submission.manifest.tools && [manifest.tools] == [submission.manifest.tools]",
        "manifest.limits in [manifest.limits] && manifest.limits.ids in [[1, 2, 3]] && !(manifest.limits in [1])",
        "{'a': manifest.limits} == {'a': {'ids': [1, 2, 3], 'cpu': 0.5, 'memory': 512}}",
        "manifest.limits.ids + [4] == [1, 2, 3, 4] && [0] + manifest.limits.ids == [0, 1, 2, 3]",
        "type(manifest.limits) == map && type(manifest.tools) == list && type(manifest.tools[0]) == type({})",
        "size(manifest.limits) == 3 && manifest.limits.size() == size({'a': 1, 'b': 2, 'c': 3})",
        "manifest.limits.map(key, key).size() == 3 && manifest.limits.exists(key, key == 'ids')",
        "manifest.limits.ids[2] == 3 && manifest['limits']['ids'][0u] == 1 && manifest.limits.ids[1.0] == 2",
        "[manifest.limits][0].ids[0] == 1 && {'a': manifest.tools}.a[0].name == 'search'",
        "optional.ofNonZeroValue(manifest.limits).hasValue() && !optional.ofNonZeroValue(manifest.empty).hasValue()",
        "manifest.?limits.?ids[?1].orValue(0) == 2 && manifest[?'limits'].hasValue() && !manifest.?limit.hasValue()",
        "manifest.many.m00 == 0 && manifest.many.m19 == 19 && !has(manifest.many.m20) && manifest.many.size() == 20",
        "manifest.many == manifest.many && !(manifest.many == manifest.limits) && 'm07' in manifest.many",
        "manifest.escaped == 'a\\u0041\\n' && manifest['na\\nme'] == 1",
        "type(manifest.limits.memory) == int && type(manifest.name) == string",
        "manifest.name.lowerAscii() == 'greeter'",
        "manifest.?licence.orValue('none') == 'none'",
        "optional.of(1).hasValue()",
        "duration('90m') > duration('1h')",
        "int('7') == 7",
    ] {
        assert_eq!(decide(json!([rule(expression)])), [], "{expression}");
    }
}

#[test]
fn a_rule_that_does_not_hold_is_a_finding() {
    let findings = decide(json!([
        {
            "id": "tools.safe",
            "title": "tools are safe",
            "expression": "manifest.tools.all(tool, tool.safe)",
            "message": "{{ manifest.name }} has unsafe tools: {{ manifest.tools.filter(tool, !tool.safe).map(tool, tool.name) }} of {{ manifest.tools.size() }}",
            "severity": "warning",
            "help": "take them away",
            "path": "/manifest/tools",
        },
        {"id": "short", "title": "the name is short", "expression": "manifest.name.size() < 3"},
    ]));
    assert_eq!(
        findings,
        [
            Finding::warning("rule.tools.safe")
                .at("/manifest/tools")
                .message("Greeter has unsafe tools: [\"shell\"] of 2")
                .help("take them away"),
            Finding::error("rule.short").at("/manifest").message("the name is short"),
        ]
    );
}

#[test]
fn a_message_shows_parts_of_the_document_as_json() {
    let shown = |expression: &str| {
        let message = format!("{{{{ {expression} }}}}");
        decide(json!([{"id": "r", "title": "t", "expression": "false", "message": message}]))[0].message.clone()
    };
    assert_eq!(shown("manifest.tools"), r#"[{"name":"search","safe":true},{"name":"shell","safe":false}]"#);
    assert_eq!(shown("manifest.limits"), r#"{"cpu":0.5,"ids":[1,2,3],"memory":512}"#);
    assert_eq!(shown("manifest.tools.map(t, t)[0]"), r#"{"name":"search","safe":true}"#);
    assert_eq!(shown("[manifest.empty, manifest.nothing, manifest.note]"), r#"[{},null,"a \"quoted\" ü"]"#);
    assert_eq!(shown("'%s of %s'.format([manifest.limits.ids, manifest.limits.cpu])"), "[1, 2, 3] of 0.5");
    assert_eq!(shown("manifest.many.map(name, name).size()"), "20");
}

#[test]
fn an_error_speaks_of_the_rule_as_it_was_written() {
    for (expression, reason) in [
        ("manifest.name.first == 'x'", "found no matching overload for '_._' applied to '(string, string)'"),
        (
            "manifest.tools.all(t, t.name.first == 'x')",
            "found no matching overload for '_._' applied to '(string, string)'",
        ),
        ("manifest.limits.memory < 'a'", "found no matching overload for '_<_' applied to '(int, string)'"),
        ("!manifest.name", "found no matching overload for '!_' applied to '(string)'"),
        (
            "manifest.limits.memory.startsWith('5')",
            "found no matching overload for 'startsWith' applied to 'int.(string)'",
        ),
        ("size(manifest.limits.memory) == 1", "found no matching overload for 'size' applied to '(int)'"),
        ("manifest.licence.owner == 'x'", "No such key: licence"),
    ] {
        let findings = decide(json!([rule(expression)]));
        assert_eq!(findings[0].code, "policy.not-evaluated", "{expression}");
        assert_eq!(findings[0].message, format!("the rule 'r' (the title) could not be evaluated: {reason}"));
    }
}

#[test]
fn kinds_and_when_keep_a_rule_to_what_it_is_for() {
    let failing = |extra: Json| {
        let mut rule = rule("false");
        rule.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
        decide(json!([rule])).len()
    };
    assert_eq!(failing(json!({})), 1);
    assert_eq!(failing(json!({"kinds": []})), 1);
    assert_eq!(failing(json!({"kinds": ["services", "agents"]})), 1);
    assert_eq!(failing(json!({"kinds": ["services"]})), 0);
    assert_eq!(failing(json!({"when": "subject.kind == 'agents'"})), 1);
    assert_eq!(failing(json!({"when": "manifest.name == 'Other'"})), 0);
}

#[test]
fn a_rule_that_cannot_be_evaluated_does_not_wave_through() {
    for (expression, when, reason) in [
        ("manifest.licence == 'MIT'", "true", "No such key: licence"),
        ("true", "manifest.licence == 'MIT'", "No such key: licence"),
        ("manifest.name", "true", "it gives string, not true or false"),
        ("manifest.limits.ids[7] == 1", "true", "Index out of bounds: Int(7)"),
        ("manifest.name > 3", "true", "found no matching overload for '_>_' applied to '(string, int)'"),
        ("1 / (manifest.limits.memory - 512) > 0", "true", "Division by zero of Int(1)"),
    ] {
        let findings = decide(json!([{"id": "r", "title": "the title", "when": when, "expression": expression}]));
        assert_eq!(
            (findings[0].code.as_str(), findings[0].severity, findings[0].path.as_str()),
            ("policy.not-evaluated", Severity::Error, "/manifest"),
            "{expression}"
        );
        assert_eq!(findings[0].message, format!("the rule 'r' (the title) could not be evaluated: {reason}"));
    }
}

#[test]
fn a_message_that_cannot_be_evaluated_still_tells_the_finding() {
    let findings = decide(json!([
        {"id": "r", "title": "t", "expression": "false", "message": "{{manifest.licence}} and {{ 1 + 1 }}{{ null }}"},
    ]));
    assert_eq!(findings[0].message, "(No such key: licence) and 2null");
    let findings = decide(json!([{"id": "r", "title": "the title", "expression": "false", "message": "{{ '' }} "}]));
    assert_eq!(findings[0].message, "the title", "a finding has a message");
}

#[test]
fn the_active_version_is_asked_for_only_where_a_rule_reads_it() {
    let rules = json!({"rules": [
        {"id": "owner", "title": "the owner stays", "expression": "current == null || current.owner == manifest.owner",
         "message": "the owner was {{ current.owner }}"},
    ]});
    let bench = Bench::new().settings(rules).submission(agent()).subject(|subject| subject.id = "greeter".to_owned());
    assert_eq!(bench.decide::<Cel>(), []);
    let bench = bench.published("agents", "greeter", "1.1.0", json!({"manifest": {"owner": "team-b"}}));
    assert_eq!(bench.decide::<Cel>()[0].message, "the owner was team-b");
}

#[test]
fn an_expression_that_does_not_compile_is_refused_with_its_position() {
    let refusals = refused(json!([
        rule("true"),
        rule("manifest.name =="),
        {"id": "a", "title": "t", "expression": "manifest.size() >\n   maximum", "when": "tru"},
        {"id": "b", "title": "t", "expression": "manifest.name.isShort() || short(manifest.name)"},
        {"id": "c", "title": "t", "expression": "true && manifest.name.matches('(')"},
        {"id": "d", "title": "t", "expression": "true", "message": "ok {{ 1 + 1 }}, wrong {{ nme }}"},
        {"id": "e", "title": "t", "expression": "true", "message": "open {{ manifest.name"},
        {"id": "f", "title": "t", "expression": "manifest.tools.all(tool, tol.safe) && tool == 1"},
    ]));
    let there_are = "there are manifest, submission, subject, current";
    let expected = [
        ("/rules/1/id", "two rules have the id 'r'".to_owned()),
        ("/rules/1/expression", "line 1, column 17: Syntax error: mismatched input '<EOF>'".to_owned()),
        ("/rules/2/when", format!("line 1, column 1: there is no variable 'tru': {there_are}")),
        ("/rules/2/expression", format!("line 2, column 4: there is no variable 'maximum': {there_are}")),
        ("/rules/3/expression", "line 1, column 22: there is no function 'isShort'".to_owned()),
        ("/rules/3/expression", "line 1, column 33: there is no function 'short'".to_owned()),
        ("/rules/4/expression", "line 1, column 31: '(' is not a regular expression: unclosed group".to_owned()),
        ("/rules/5/message", format!("line 1, column 26: there is no variable 'nme': {there_are}")),
        ("/rules/6/message", "line 1, column 6: '{{' has no closing '}}'".to_owned()),
        ("/rules/7/expression", format!("line 1, column 26: there is no variable 'tol': {there_are}")),
        ("/rules/7/expression", format!("line 1, column 39: there is no variable 'tool': {there_are}")),
    ];
    for ((path, message), (expected_path, expected_message)) in refusals.iter().zip(&expected) {
        assert_eq!(path, expected_path, "{message}");
        assert!(message.starts_with(expected_message), "{message}\n{expected_message}");
    }
    assert_eq!(refusals.len(), expected.len(), "{refusals:#?}");
}

#[test]
fn ids_and_paths_have_their_form() {
    for id in ["", "A", "a b", "a..b", "-a", "a-", &"a".repeat(91)] {
        let refusals = refused(json!([{"id": id, "title": "t", "expression": "true"}]));
        assert_eq!(refusals, [("/rules/0/id".to_owned(), format!("'{id}' is not a rule's id"))]);
    }
    let refusals = refused(json!([{"id": "a", "title": "t", "expression": "true", "path": "manifest"}]));
    assert_eq!(refusals, [("/rules/0/path".to_owned(), "'manifest' is not a JSON Pointer".to_owned())]);
}

#[test]
fn a_flood_of_findings_is_cut() {
    let rules: Vec<_> =
        (0..500).map(|number| json!({"id": number.to_string(), "title": "t", "expression": "false"})).collect();
    let findings = decide(json!(rules));
    assert_eq!(findings.len(), 401);
    assert_eq!(findings[400].message, "there are 100 more findings");
}
