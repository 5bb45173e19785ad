//! Every limit, with a guest that breaks it: the cause names it, and the next evaluation is unharmed.

use super::guest::{ACCEPTED, NOTHING};
use super::*;

const SUBMISSION: &str = r#"(import "hallmark:plugin/submission@0.1.0" "get" (func $get (param i32 i32 i32)))"#;
const LOG: &str = r#"(import "hallmark:plugin/log@0.1.0" "write" (func $log (param i32 i32)))"#;
const LOOKUP: &str = r#"(import "hallmark:plugin/registry@0.1.0" "lookup"
    (func $lookup (param i32 i32 i32 i32 i32 i32 i32 i32)))"#;
const FOREVER: &str = "(loop $again (br $again)) unreachable";

fn limits() -> Limits {
    Limits {
        plugin_deadline_ms: 30,
        plugin_configure_deadline_ms: 200,
        plugin_answer_max_bytes: 128 * 1024,
        plugin_table_elements_max: 100,
        plugin_log_max_bytes: 1_000,
        plugin_host_calls_max: 2_000,
        plugin_lookups_max: 3,
        plugin_failures_max: 1_000,
        ..small()
    }
}

/// How a guest breaks, as the publisher reads it; and that it leaves nothing behind.
fn breaks(sandbox: &Sandbox, guest: &Guest) -> String {
    let plugin = prepare(sandbox, guest, json!({})).expect("fit");
    let failure = plugin.judge(&case()).expect_err("it breaks");
    assert_eq!(plugin.judge(&case()).expect_err("it breaks again").cause, failure.cause);
    failure.to_string()
}

fn import(text: &str) -> String {
    text.replace('\n', " ")
}

/// Guests that use up time, memory or stack or trap, each with what the publisher reads.
fn hostile() -> Vec<(Guest, &'static str)> {
    let recursion = "(func $deeper (param i64) (result i64)
        (i64.add (i64.const 1) (call $deeper (i64.add (local.get 0) (i64.const 1)))))";
    vec![
        (Guest::validating(FOREVER), "overran its deadline (plugin_deadline_ms = 30)"),
        (
            Guest::validating(
                "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (i32.const 2000)",
            ),
            "asked for more memory than it may have (plugin_memory_max_bytes = 4194304)",
        ),
        (
            Guest::validating("(drop (call $deeper (i64.const 0))) (i32.const 2000)").with(recursion),
            "overran its stack (plugin_stack_max_bytes = 524288)",
        ),
        (Guest::validating("unreachable"), "trapped: `unreachable` instruction executed"),
        (
            Guest::validating("(drop (i32.div_u (i32.const 1) (local.get $i))) (i32.const 2000)"),
            "trapped: integer divide by zero",
        ),
        (
            Guest::validating("(drop (i32.load (i32.const -8))) (i32.const 2000)"),
            "trapped: out of bounds memory access",
        ),
    ]
}

/// Guests that take too much of the host, or answer what is none.
fn greedy() -> Vec<(Guest, &'static str)> {
    vec![
        (
            Guest::validating("(call $say (call $alloc (i32.const 140000)) (i32.const 140000))"),
            "handed over more than it may (plugin_answer_max_bytes = 131072)",
        ),
        (
            Guest::validating(
                "(drop (call $say (i32.const 1000) (i32.const 5))) (i32.store (i32.const 2020) (i32.const 501))
                (local.set $i (call $alloc (i32.const 30000)))
                (i32.store (i32.const 2016) (local.get $i))
                (loop $each
                    (memory.copy (local.get $i) (i32.const 2100) (i32.const 52))
                    (local.set $i (i32.add (local.get $i) (i32.const 52)))
                    (br_if $each (i32.lt_u (local.get $i) (i32.add (i32.load (i32.const 2016)) (i32.const 29000)))))
                (i32.const 2016)",
            ),
            "gave more findings than it may (plugin_findings_max = 500)",
        ),
        (
            Guest::validating("(loop $again (call $log (i32.const 1000) (i32.const 100)) (br $again)) unreachable")
                .with(LOG),
            "logged more than it may (plugin_log_max_bytes = 1000)",
        ),
        (
            Guest::validating(
                "(loop $again (call $get (i32.const 1000) (i32.const 0) (i32.const 2400)) (br $again)) unreachable",
            )
            .with(SUBMISSION),
            "called the host more often than it may (plugin_host_calls_max = 2000)",
        ),
        (
            Guest::validating(
                "(call $get (call $alloc (i32.const 140000)) (i32.const 140000) (i32.const 2400)) (i32.const 2000)",
            )
            .with(SUBMISSION),
            "handed over more than it may (plugin_answer_max_bytes = 131072)",
        ),
        (
            Guest::validating(
                "(loop $again (call $lookup (i32.const 1000) (i32.const 5) (i32.const 1000) (i32.const 5)
                (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 2400)) (br $again)) unreachable",
            )
            .with(&import(LOOKUP)),
            "asked the registry more often than it may (plugin_lookups_max = 3)",
        ),
        (
            Guest::validating("(call $say (i32.const 1000) (i32.const 0))"),
            "answered nonsense: finding test.finding has no message",
        ),
        (
            Guest::validating("(call $say (i32.const -1) (i32.const 5))"),
            "answered nonsense: string pointer/length out of bounds of memory",
        ),
    ]
}

#[test]
fn names_the_limit_that_a_guest_broke() {
    let sandbox = sandbox(limits());
    let healthy =
        prepare(&sandbox, &Guest::validating("(call $say (i32.const 1000) (i32.const 5))"), json!({})).expect("fit");
    for (guest, text) in hostile().into_iter().chain(greedy()) {
        assert_eq!(breaks(&sandbox, &guest), format!("plugin guest {text}"));
        assert_eq!(messages(&healthy), ["guest"]);
    }
}

#[test]
fn bounds_tables_and_reading() {
    let sandbox = sandbox(Limits { plugin_read_max_bytes: 1_000, ..limits() });
    let table = "(table $t 1 funcref)";
    assert_eq!(
        breaks(
            &sandbox,
            &Guest::validating("(drop (table.grow $t (ref.null func) (i32.const 200))) (i32.const 2000)").with(table)
        ),
        "plugin guest asked for a larger table than it may have (plugin_table_elements_max = 100)"
    );
    assert_eq!(
        breaks(
            &sandbox,
            &Guest::validating(
                "(loop $again (call $get (i32.const 1000) (i32.const 0) (i32.const 2400)) (br $again)) unreachable"
            )
            .with(SUBMISSION)
        ),
        "plugin guest read more than it may (plugin_read_max_bytes = 1000)"
    );
}

#[test]
fn a_wait_without_work_is_ended_by_the_wall_clock() {
    let sandbox = sandbox(Limits { plugin_deadline_ms: 60_000, plugin_wall_max_ms: 30, ..limits() });
    assert_eq!(breaks(&sandbox, &Guest::validating(FOREVER)), "plugin guest took too long (plugin_wall_max_ms = 30)");
}

#[test]
fn a_refused_growth_within_the_modules_own_maximum_is_the_guests_affair() {
    let sandbox = sandbox(limits());
    let guest = Guest::validating("(drop (table.grow $t (ref.null func) (i32.const 50))) (i32.const 2000)")
        .with("(table $t 1 2 funcref)");
    assert_eq!(messages(&prepare(&sandbox, &guest, json!({})).expect("fit")), Vec::<String>::new());
}

#[test]
fn breaking_while_tried_makes_a_component_unfit() {
    let sandbox = sandbox(limits());
    let cause = |guest: Guest| match prepare(&sandbox, &guest, json!({})) {
        Err(Unfit::Broke(failure)) => failure.cause.to_string(),
        other => panic!("{:?}", other.err()),
    };
    assert_eq!(cause(Guest::default().configure(FOREVER)), "overran its deadline (plugin_configure_deadline_ms = 200)");
    assert_eq!(cause(Guest::default().describe(FOREVER)), "overran its deadline (plugin_configure_deadline_ms = 200)");
    let asks = format!("(call $get (i32.const 1000) (i32.const 0) (i32.const 2400)) {ACCEPTED}");
    assert_eq!(
        cause(Guest::default().configure(&asks).with(SUBMISSION)),
        "called hallmark:plugin/submission in configure(), which the sandbox does not serve"
    );
}

#[test]
fn a_plugin_that_keeps_breaking_rests_and_others_do_not() {
    let sandbox = sandbox(Limits { plugin_failures_max: 2, plugin_quarantine_ms: 3_600_000, ..limits() });
    let broken = prepare(&sandbox, &Guest::validating("unreachable").named("broken"), json!({})).expect("fit");
    let healthy = prepare(&sandbox, &Guest::default(), json!({})).expect("fit");
    for _ in 0..2 {
        assert!(sandbox.quarantined().is_empty());
        assert!(matches!(broken.judge(&case()).expect_err("it breaks").cause, Cause::Trap { .. }));
    }
    assert_eq!(
        broken.judge(&case()).expect_err("it rests").to_string(),
        "plugin broken is in quarantine after 2 failures in a row (plugin_failures_max, plugin_quarantine_ms)"
    );
    assert_eq!(sandbox.quarantined(), ["broken"]);
    assert!(healthy.judge(&case()).is_ok());
    // The same component with other settings is the same plugin.
    let again = prepare(&sandbox, &Guest::validating("unreachable").named("broken"), json!({"a": 1})).expect("fit");
    assert_eq!(again.judge(&case()).expect_err("it rests").cause, Cause::Quarantined { failures: 2 });
}

#[test]
fn a_registry_that_cannot_be_asked_is_not_the_plugins_fault() {
    let sandbox = sandbox(Limits { plugin_failures_max: 1, ..limits() });
    let guest = Guest::validating(
        "(call $lookup (i32.const 2200) (i32.const 6) (i32.const 2210) (i32.const 11)
            (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 2400)) (i32.const 2000)",
    )
    .with(&format!("{}\n(data (i32.const 2200) \"agents\") (data (i32.const 2210) \"unreachable\")", import(LOOKUP)));
    let plugin = prepare(&sandbox, &guest, json!({})).expect("fit");
    for _ in 0..3 {
        assert_eq!(plugin.judge(&case()).expect_err("no answer").cause, Cause::Facts);
    }
    assert!(sandbox.quarantined().is_empty());
}

#[test]
fn two_that_loop_do_not_hold_a_healthy_one() {
    let sandbox = sandbox(Limits { plugin_deadline_ms: 60_000, plugin_wall_max_ms: 2_000, ..limits() });
    let loops = prepare(&sandbox, &Guest::validating(FOREVER).named("loops"), json!({})).expect("fit");
    let healthy = prepare(&sandbox, &Guest::default(), json!({})).expect("fit");
    std::thread::scope(|scope| {
        let looping: Vec<_> = (0..2).map(|_| scope.spawn(|| loops.judge(&case()).map(|_| ()))).collect();
        for _ in 0..100 {
            assert!(healthy.judge(&case()).is_ok());
        }
        assert!(looping.iter().all(|thread| !thread.is_finished()), "a hundred evaluations took two seconds");
        for thread in looping {
            assert_eq!(thread.join().expect("no panic").expect_err("it loops").cause, Cause::Wall { limit_ms: 2_000 });
        }
    });
}

#[test]
fn the_pool_gives_every_instance_back() {
    let sandbox = sandbox(limits());
    let plugin = prepare(&sandbox, &Guest::validating(NOTHING), json!({})).expect("fit");
    for _ in 0..500 {
        plugin.judge(&case()).expect("an answer");
    }
}
