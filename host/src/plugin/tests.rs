//! The room as its neighbours use it: guests are prepared and run, each limit is broken by one of them.

mod cached;
mod guest;
mod limits;

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::config::Limits;
use guest::Guest;

/// A registry that knows one agent.
struct OneAgent;

impl Facts for OneAgent {
    fn lookup(&self, kind: &str, id: &str, version: Option<&str>) -> Result<Option<Summary>, FactsError> {
        if id == "unreachable" {
            return Err(FactsError("the database is gone".into()));
        }
        Ok((kind == "agents" && id == "known").then(|| Summary {
            kind: kind.to_owned(),
            id: id.to_owned(),
            version: version.unwrap_or("1.0.0").to_owned(),
            current_version: "1.0.0".to_owned(),
            highest_version: "1.0.0".to_owned(),
            digest: Digest::of(b"known").to_string(),
        }))
    }

    fn manifest(&self, _: &str, _: &str, _: Option<&str>) -> Result<Option<Arc<str>>, FactsError> {
        Ok(None)
    }
}

fn case() -> Case {
    case_of(json!({"manifest": {"name": "one"}, "version": "1.0.0"}), 1_700_000_000_123)
}

fn case_of(value: Value, submitted_at_ms: i64) -> Case {
    Case {
        subject: Arc::new(Subject {
            tenant: "default".to_owned(),
            module: "agents".to_owned(),
            kind: "agents".to_owned(),
            id: "one".to_owned(),
            version: "1.0.0".to_owned(),
            publisher: "local".to_owned(),
            submitted_at_ms,
            document: "/manifest".to_owned(),
        }),
        document: Arc::new(Document { value, substituted: Vec::new() }),
        facts: Arc::new(OneAgent),
    }
}

/// Limits that need little of the machine, and of time more than any guest that does not loop can use on a slow one.
fn small() -> Limits {
    Limits {
        gate_threads: 2,
        plugin_memory_max_bytes: 4 * 1024 * 1024,
        plugin_deadline_ms: AMPLE_MS,
        plugin_wall_max_ms: AMPLE_MS,
        plugin_configure_deadline_ms: AMPLE_MS,
        ..Limits::default()
    }
}

const AMPLE_MS: u64 = 600_000;

fn sandbox(limits: Limits) -> Arc<Sandbox> {
    Sandbox::start(Arc::new(limits), None).expect("a sandbox")
}

fn prepare(sandbox: &Sandbox, guest: &Guest, settings: Value) -> Result<Arc<Plugin>, Unfit> {
    let component = guest.build();
    sandbox.prepare(&Digest::of(&component), &|| Ok(component.clone()), Stage::Validate, &settings)
}

fn messages(plugin: &Plugin) -> Vec<String> {
    messages_of(plugin, &case())
}

fn messages_of(plugin: &Plugin, case: &Case) -> Vec<String> {
    let remarks = plugin.judge(case).expect("an answer").answer;
    remarks.into_iter().map(|remark| remark.message).collect()
}

#[test]
fn answers_from_a_configured_snapshot() {
    let sandbox = sandbox(small());
    let guest = Guest::validating("(call $say (global.get $kept) (global.get $kept_len))")
        .with("(global $kept (mut i32) (i32.const 0)) (global $kept_len (mut i32) (i32.const 0))")
        .configure("(global.set $kept (local.get $ptr)) (global.set $kept_len (local.get $len)) (i32.const 2032)");
    let plugin = prepare(&sandbox, &guest, json!({"b": 1, "a": "x"})).expect("fit");
    assert!(plugin.is_snapshot());
    assert_eq!(plugin.name(), "guest");
    assert_eq!(messages(&plugin), [r#"{"a":"x","b":1}"#]);
}

const RANDOM: &str = r#"(import "wasi:random/random@0.2.0" "get-random-u64" (func $random (result i64)))"#;
const WALL: &str = r#"(import "wasi:clocks/wall-clock@0.2.0" "now" (func $wall (param i32)))"#;
const STEADY: &str = r#"(import "wasi:clocks/monotonic-clock@0.2.0" "now" (func $steady (result i64)))"#;
const STDOUT: &str = r#"(import "wasi:cli/stdout@0.2.0" "get-stdout" (func $stdout (result i32)))"#;

#[test]
fn nothing_leaks_from_one_evaluation_to_the_next() {
    let sandbox = sandbox(small());
    let guest = Guest::validating(
        "(i64.store (i32.const 2200) (i64.add (i64.load (i32.const 2200)) (i64.const 1)))
         (global.set $seen (i64.add (global.get $seen) (i64.const 16)))
         (call $say_number (i64.add (global.get $seen) (i64.load (i32.const 2200))))",
    )
    .with("(global $seen (mut i64) (i64.const 0))")
    .configure("(i64.store (i32.const 2200) (i64.const 6)) (global.set $seen (i64.const 32)) (i32.const 2032)");
    let plugin = prepare(&sandbox, &guest, json!({})).expect("fit");
    for _ in 0..3 {
        assert_eq!(messages(&plugin), ["0000000000000037"]);
    }
}

#[test]
fn what_cannot_be_kept_is_configured_each_time_with_the_same_answers() {
    let sandbox = sandbox(small());
    let guest = Guest::validating("(call $say (global.get $kept) (i32.const 2))")
        .with(
            "(table $t 1 funcref) (global $kept (mut i32) (i32.const 0))
             (func (export \"unused\") (table.set $t (i32.const 0) (ref.null func)))",
        )
        .configure("(global.set $kept (local.get $ptr)) (i32.const 2032)");
    let component = guest.build();
    let why = sandbox.inspect(&component, &|_| {}).expect("fit").not_snapshottable;
    assert_eq!(why.as_deref(), Some("its memory cannot be kept: unsupported `table.set` instruction"));
    let plugin = prepare(&sandbox, &guest, json!({})).expect("fit");
    assert!(!plugin.is_snapshot());
    for _ in 0..3 {
        assert_eq!(messages(&plugin), ["{}"]);
    }
}

#[test]
fn a_handle_held_after_configure_keeps_no_image() {
    let sandbox = sandbox(small());
    let holds = Guest::default().importing("import wasi:cli/stdout@0.2.0;").with(STDOUT);
    let plugin = prepare(&sandbox, &holds, json!({})).expect("fit");
    assert!(plugin.is_snapshot(), "none was asked for");
    let holds = holds.configure("(drop (call $stdout)) (i32.const 2032)");
    let plugin = prepare(&sandbox, &holds, json!({})).expect("fit");
    assert!(!plugin.is_snapshot());
    plugin.judge(&case()).expect("an answer");
}

#[test]
fn clocks_and_randomness_depend_on_the_case_alone() {
    let sandbox = sandbox(small());
    let imports = "import wasi:random/random@0.2.0; import wasi:clocks/wall-clock@0.2.0; \
                   import wasi:clocks/monotonic-clock@0.2.0;";
    let guest = |body: &str| {
        let guest = Guest::validating(body).importing(imports).with(&format!("{RANDOM}\n{WALL}\n{STEADY}"));
        prepare(&sandbox, &guest, json!({})).expect("fit")
    };
    let random = guest("(drop (call $random)) (call $say_number (call $random))");
    let first = messages(&random);
    assert_eq!(messages(&random), first);
    let other = case_of(json!({"manifest": {"name": "two"}, "version": "1.0.0"}), 1_700_000_000_123);
    assert_ne!(messages_of(&random, &other), first);

    let seconds = guest("(call $wall (i32.const 2400)) (call $say_number (i64.load (i32.const 2400)))");
    assert_eq!(messages(&seconds), [format!("{:016x}", 1_700_000_000)]);
    let nanoseconds = guest("(call $wall (i32.const 2400)) (call $say_number (i64.load32_u (i32.const 2408)))");
    assert_eq!(messages(&nanoseconds), [format!("{:016x}", 123_000_000)]);
    let steady = guest("(drop (call $steady)) (call $say_number (call $steady))");
    assert_eq!(messages(&steady), [format!("{:016x}", 2_000)]);
}

#[test]
fn look_ups_are_kept_with_what_they_found() {
    let sandbox = sandbox(small());
    let guest = Guest::validating(
        "(call $lookup (i32.const 2200) (i32.const 6) (i32.const 2210) (i32.const 5)
            (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 2400))
         (call $lookup (i32.const 2200) (i32.const 6) (i32.const 2200) (i32.const 6)
            (i32.const 1) (i32.const 2210) (i32.const 5) (i32.const 2400))
         (i32.const 2000)",
    )
    .with(
        "(import \"hallmark:plugin/registry@0.1.0\" \"lookup\" (func $lookup (param i32 i32 i32 i32 i32 i32 i32 i32)))
         (data (i32.const 2200) \"agents\") (data (i32.const 2210) \"known\")",
    );
    let lookups = prepare(&sandbox, &guest, json!({})).expect("fit").judge(&case()).expect("an answer").lookups;
    let asked = |id: &str, version: Option<&str>, answer: Option<Summary>| Lookup {
        call: "lookup".to_owned(),
        kind: "agents".to_owned(),
        id: id.to_owned(),
        version: version.map(str::to_owned),
        found: answer.as_ref().map(|answer| answer.digest.clone()),
        answer,
    };
    let known = OneAgent.lookup("agents", "known", None).expect("an answer");
    assert!(known.is_some());
    assert_eq!(lookups, [asked("known", None, known), asked("agents", Some("known"), None)]);
}

fn refusal(sandbox: &Sandbox, guest: &Guest, settings: Value) -> String {
    prepare(sandbox, guest, settings).err().expect("unfit").to_string()
}

#[test]
fn says_why_a_component_is_unfit() {
    let sandbox = sandbox(small());
    let http = r#"(import "wasi:http/outgoing-handler@0.2.0" "handle" (func $handle))"#;
    let guest = Guest::validating("(call $handle) (i32.const 2000)");
    assert_eq!(
        refusal(&sandbox, &guest.importing("import wasi:http/outgoing-handler@0.2.0;").with(http), json!({})),
        "imports wasi:http/outgoing-handler@0.2.0 (a plugin has no network; with componentize-js, disable the features \
         'http' and 'fetch-event'), which the sandbox does not grant"
    );
    let newer = Guest::default()
        .build_for(&include_str!("../../../wit/hallmark-plugin/plugin.wit").replace("plugin@0.1.0", "plugin@0.2.0"));
    assert_eq!(
        sandbox.inspect(&newer, &|_| {}).expect_err("unfit").to_string(),
        "does not follow the contract: it follows hallmark:plugin@0.2.0; this host serves hallmark:plugin@0.1.0"
    );
    let component = Guest::default().build();
    let bound = |stage| {
        sandbox
            .prepare(&Digest::of(&component), &|| Ok(component.clone()), stage, &json!({}))
            .err()
            .map(|unfit| unfit.to_string())
    };
    assert_eq!(bound(Stage::Policy).as_deref(), Some("does not serve the stage policy: it serves validate"));
    assert_eq!(
        sandbox
            .prepare(&Digest::of(b"other"), &|| Ok(component.clone()), Stage::Validate, &json!({}))
            .err()
            .expect("unfit")
            .to_string(),
        format!(
            "its bytes cannot be loaded: they have the digest {}, not {}",
            Digest::of(&component),
            Digest::of(b"other")
        )
    );
    assert_eq!(
        refusal(&sandbox, &Guest::default().named("No Name"), json!({})),
        "does not follow the contract: describe() answers a wrong name: 'No Name' is not a valid plugin name: lower case \
         letters, digits and dashes, a letter first, at most 63"
    );
}

#[test]
fn a_refused_call_is_named() {
    let sandbox = sandbox(small());
    let guest = Guest::validating("(call $create) (i32.const 2000)")
        .importing("import wasi:sockets/tcp-create-socket@0.2.0;")
        .with(r#"(import "wasi:sockets/tcp-create-socket@0.2.0" "create" (func $create))"#);
    let plugin = prepare(&sandbox, &guest, json!({})).expect("fit");
    assert_eq!(
        plugin.judge(&case()).expect_err("refused").to_string(),
        "plugin guest called wasi:sockets/tcp-create-socket#create, which the sandbox does not serve"
    );
}

#[test]
fn settings_are_checked_before_and_by_the_plugin() {
    let sandbox = sandbox(small());
    let schema = r#"{"type": "object", "properties": {"max": {"type": "integer"}}, "additionalProperties": false}"#;
    let guest = Guest::default().schema(schema);
    let remarks = |guest: &Guest, settings: Value| match prepare(&sandbox, guest, settings) {
        Err(Unfit::Settings(remarks)) => remarks,
        other => panic!("{:?}", other.err()),
    };
    assert!(prepare(&sandbox, &guest, Value::Null).is_ok());
    let found = remarks(&guest, json!({"max": "many"}));
    assert_eq!((found[0].code.as_str(), found[0].path.as_str()), ("settings.schema", "/max"));
    assert_eq!(found[0].message, "\"many\" is not of type \"integer\"");
    assert_eq!(found[0].help.as_deref(), Some("see the settings schema in `hallmark plugin check`"));

    // A result that is an error, with the list of one finding behind it.
    let refuses = Guest::default().configure(
        "(drop (call $say (i32.const 1000) (i32.const 5)))
         (i32.store8 (i32.const 2032) (i32.const 1))
         (i32.store (i32.const 2036) (i32.load (i32.const 2016)))
         (i32.store (i32.const 2040) (i32.const 1))
         (i32.const 2032)",
    );
    assert_eq!(remarks(&refuses, json!({})), [Remark::error("test.finding", "", "guest")]);
    let tight = self::sandbox(Limits { plugin_settings_max_bytes: 10, ..small() });
    match prepare(&tight, &guest, json!({"max": 1_000_000})) {
        Err(Unfit::Settings(remarks)) => {
            assert_eq!(remarks[0].message, "the settings have 15 bytes, more than plugin_settings_max_bytes = 10");
        }
        other => panic!("{:?}", other.err()),
    }
}

#[test]
fn a_setting_that_is_misspelt_is_told_with_the_one_that_was_meant() {
    let sandbox = sandbox(small());
    let schema = json!({
        "type": "object", "additionalProperties": false,
        "properties": {"max": {"type": "integer"}, "rules": {"type": "array", "items": {"$ref": "#/$defs/rule"}}},
        "$defs": {"rule": {
            "type": "object", "unevaluatedProperties": false,
            "properties": {"id": true, "severity": {"enum": ["error", "warning", "info"]}},
        }},
    });
    let guest = Guest::default().schema(&schema.to_string());
    let told = |settings: Value| match prepare(&sandbox, &guest, settings) {
        Err(Unfit::Settings(remarks)) => {
            let told = remarks.into_iter().map(|told| (told.path, told.message, told.help.unwrap_or_default()));
            told.collect::<Vec<_>>()
        }
        other => panic!("{:?}", other.err()),
    };
    let line = |path: &str, message: &str, help: &str| (path.to_owned(), message.to_owned(), help.to_owned());
    assert_eq!(
        told(json!({"maxx": 1, "quite/another": 1})),
        [
            line("/maxx", "the setting 'maxx' is not known here", "did you mean 'max'?"),
            line(
                "/quite~1another",
                "the setting 'quite/another' is not known here",
                "take it out; known are: max, rules"
            ),
        ]
    );
    assert_eq!(
        told(json!({"rules": [{"id": 1}, {"idd": 1}, {"severity": "eror"}]})),
        [
            line("/rules/1/idd", "the setting 'idd' is not known here", "did you mean 'id'?"),
            line(
                "/rules/2/severity",
                "\"eror\" is not one of \"error\", \"warning\" or \"info\"",
                "did you mean 'error'?"
            ),
        ]
    );
}

#[test]
fn inspects_without_settings() {
    let component = Guest::default().build();
    let found = sandbox(small()).inspect(&component, &|_| {}).expect("fit");
    assert_eq!(found.contract, "hallmark:plugin@0.1.0");
    assert_eq!(found.stages, [Stage::Validate]);
    assert_eq!(found.size_bytes, component.len());
    assert_eq!(found.not_snapshottable, None);
    assert_eq!(found.description.version, "1.0.0");
    assert_eq!(found.imports, ["hallmark:plugin/types@0.1.0"]);
    assert_eq!(found.exports, ["configure", "hallmark:plugin/metadata@0.1.0", "hallmark:plugin/validator-stage@0.1.0"]);
}
