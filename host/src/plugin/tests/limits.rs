//! Every limit, with a guest that breaks it: the cause names it, and the next evaluation is unharmed.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::guest::{ACCEPTED, NOTHING};
use super::*;

const SUBMISSION: &str = r#"(import "hallmark:plugin/submission@0.1.0" "get" (func $get (param i32 i32 i32)))"#;
const LOG: &str = r#"(import "hallmark:plugin/log@0.1.0" "write" (func $log (param i32 i32)))"#;
const LOOKUP: &str = r#"(import "hallmark:plugin/registry@0.1.0" "lookup"
    (func $lookup (param i32 i32 i32 i32 i32 i32 i32 i32)))"#;
const FOREVER: &str = "(loop $again (br $again)) unreachable";

fn limits() -> Limits {
    Limits {
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

/// Guests that use up memory or stack or trap, each with what the publisher reads.
fn hostile() -> Vec<(Guest, &'static str)> {
    let recursion = "(func $deeper (param i64) (result i64)
        (i64.add (i64.const 1) (call $deeper (i64.add (local.get 0) (i64.const 1)))))";
    vec![
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
fn a_guest_that_never_ends_is_ended_by_its_deadline() {
    let sandbox = sandbox(Limits { plugin_deadline_ms: 30, ..limits() });
    let guest = Guest::validating(FOREVER);
    assert_eq!(breaks(&sandbox, &guest), "plugin guest overran its deadline (plugin_deadline_ms = 30)");
}

#[test]
fn bounds_the_handles_that_a_guest_holds() {
    let sandbox = sandbox(Limits { plugin_handles_max: 20, ..limits() });
    let holding = |count: u32| {
        let again = "(br_if $again (i32.lt_u (local.get $i) (i32.const COUNT)))".replace("COUNT", &count.to_string());
        let body = format!(
            "(loop $again (drop (call $stdout)) (local.set $i (i32.add (local.get $i) (i32.const 1))) {again}) {NOTHING}"
        );
        Guest::validating(&body).importing("import wasi:cli/stdout@0.2.0;").with(STDOUT)
    };
    prepare(&sandbox, &holding(20), json!({})).expect("fit").judge(&case()).expect("as many as it may");
    assert_eq!(breaks(&sandbox, &holding(21)), "plugin guest held more handles than it may (plugin_handles_max = 20)");
}

/// What is said of the guest when it is pushed, and when it is bound.
fn unfit(limits: Limits, guest: &Guest) -> [Option<String>; 2] {
    let sandbox = sandbox(limits);
    [
        sandbox.inspect(&guest.build(), &|_| {}).err().map(|unfit| unfit.to_string()),
        prepare(&sandbox, guest, json!({})).err().map(|unfit| unfit.to_string()),
    ]
}

#[test]
fn a_component_with_too_many_parts_is_refused_when_it_is_pushed() {
    let said = |what: &str| [(); 2].map(|()| Some(format!("does not follow the contract: it has more {what}")));
    // A guest that calls the host has three core instances: its own, and two that `wit-component` adds.
    let asks = "(call $get (i32.const 1000) (i32.const 0) (i32.const 2400)) (i32.const 2000)";
    let three = Guest::validating(asks).with(SUBMISSION);
    assert_eq!(unfit(Limits { plugin_core_instances_max: 3, ..limits() }, &three), [None, None]);
    assert_eq!(
        unfit(Limits { plugin_core_instances_max: 2, ..limits() }, &three),
        said("core instances than it may have (plugin_core_instances_max = 2)")
    );
    let two = Guest::default().with("(memory $second 1)");
    assert_eq!(unfit(limits(), &two), [None, None]);
    assert_eq!(
        unfit(Limits { plugin_memories_max: 1, ..limits() }, &two),
        said("memories than it may have (plugin_memories_max = 1)")
    );
    let tables = |count: usize| Guest::default().with(&"(table 1 funcref)\n".repeat(count));
    assert_eq!(unfit(limits(), &tables(8)), [None, None]);
    assert_eq!(unfit(limits(), &tables(9)), said("tables than it may have (plugin_tables_max = 8)"));
}

#[test]
fn parts_of_a_component_are_counted_together() {
    // Two instances of one module that has one memory and one table: wasmtime counts them where they are made.
    let text = "(component (core module $m (memory 1) (table 1 funcref))
        (core instance (instantiate $m)) (core instance (instantiate $m)) (core instance (instantiate $m)))";
    let said = |limits: Limits| {
        let engine = engine::Engine::start(Arc::new(limits)).expect("an engine");
        let compiled = prepare::compile(&engine, &wat::parse_str(text).expect("text"));
        compiled.err().map(|unfit| unfit.to_string())
    };
    let roomy = Limits { plugin_memories_max: 3, plugin_tables_max: 3, ..limits() };
    assert_eq!(said(roomy.clone()), None);
    for (limits, parts) in [
        // One more is for what reads a snapshot.
        (
            Limits { plugin_core_instances_max: 1, ..roomy.clone() },
            "core instances than it may have (plugin_core_instances_max = 1)",
        ),
        (Limits { plugin_memories_max: 2, ..roomy.clone() }, "memories than it may have (plugin_memories_max = 2)"),
        (Limits { plugin_tables_max: 2, ..roomy.clone() }, "tables than it may have (plugin_tables_max = 2)"),
    ] {
        assert_eq!(said(limits), Some(format!("does not follow the contract: it has more {parts}")));
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
    let cause = |guest: Guest, limits: Limits| match prepare(&sandbox(limits), &guest, json!({})) {
        Err(Unfit::Broke(failure)) => failure.cause.to_string(),
        other => panic!("{:?}", other.err()),
    };
    for endless in [Guest::default().configure(FOREVER), Guest::default().describe(FOREVER)] {
        assert_eq!(
            cause(endless, Limits { plugin_configure_deadline_ms: 200, ..limits() }),
            "overran its deadline (plugin_configure_deadline_ms = 200)"
        );
    }
    let asks = format!("(call $get (i32.const 1000) (i32.const 0) (i32.const 2400)) {ACCEPTED}");
    assert_eq!(
        cause(Guest::default().configure(&asks).with(SUBMISSION), limits()),
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

/// A registry that can be asked until somebody says that it is over.
#[derive(Default)]
struct Ending {
    is_asked: AtomicBool,
    is_over: AtomicBool,
}

impl Facts for Ending {
    fn lookup(&self, _: &str, _: &str, _: Option<&str>) -> Result<Option<Summary>, FactsError> {
        self.is_asked.store(true, Ordering::SeqCst);
        if self.is_over.load(Ordering::SeqCst) { Err(FactsError("it is over".into())) } else { Ok(None) }
    }

    fn manifest(&self, _: &str, _: &str, _: Option<&str>) -> Result<Option<Arc<str>>, FactsError> {
        Ok(None)
    }
}

#[test]
fn two_that_loop_do_not_hold_a_healthy_one() {
    let endless = Limits { plugin_lookups_max: u64::MAX, plugin_host_calls_max: u64::MAX, ..limits() };
    let sandbox = sandbox(Limits { plugin_answer_max_bytes: usize::MAX, ..endless });
    // It computes, and asks now and then, which is how the test ends it.
    let body = "(loop $again
        (local.set $i (i32.const 100000))
        (loop $turn (br_if $turn (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
        (call $lookup (i32.const 1000) (i32.const 5) (i32.const 1000) (i32.const 5)
            (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 2400))
        (br $again)) unreachable";
    let loops = Guest::validating(body).named("loops").with(&import(LOOKUP));
    let loops = prepare(&sandbox, &loops, json!({})).expect("fit");
    let healthy = prepare(&sandbox, &Guest::default(), json!({})).expect("fit");
    let endings: Vec<Arc<Ending>> = (0..2).map(|_| Arc::default()).collect();
    std::thread::scope(|scope| {
        let looping: Vec<_> = endings
            .iter()
            .map(|ending| {
                let case = Case { facts: Arc::clone(ending) as Arc<dyn Facts>, ..case() };
                let loops = &loops;
                scope.spawn(move || loops.judge(&case).map(|_| ()))
            })
            .collect();
        while !endings.iter().all(|ending| ending.is_asked.load(Ordering::SeqCst)) {
            std::thread::yield_now();
        }
        for _ in 0..100 {
            assert!(healthy.judge(&case()).is_ok());
        }
        assert!(looping.iter().all(|thread| !thread.is_finished()), "they loop until they are told");
        endings.iter().for_each(|ending| ending.is_over.store(true, Ordering::SeqCst));
        for thread in looping {
            assert_eq!(thread.join().expect("no panic").expect_err("it is over").cause, Cause::Facts);
        }
    });
}

#[test]
fn compiles_as_many_at_once_as_it_may() {
    // Prepares four components; gives how many were under way at once, at the most. `met` is called while one is.
    let together = |limits: Limits, met: &(dyn Fn() + Sync)| {
        let sandbox = sandbox(limits);
        let (running, most) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for name in ["a", "b", "c", "d"] {
                let (sandbox, running, most) = (&sandbox, &running, &most);
                scope.spawn(move || {
                    let component = Guest::default().named(name).build();
                    let load = || {
                        most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        met();
                        running.fetch_sub(1, Ordering::SeqCst);
                        Ok(component.clone())
                    };
                    sandbox.prepare(&Digest::of(&component), &load, Stage::Validate, &json!({})).expect("fit");
                });
            }
        });
        most.into_inner()
    };
    let yields = || (0..100).for_each(|_| std::thread::yield_now());
    assert_eq!(together(Limits { plugin_compilations_max: 1, ..limits() }, &yields), 1);
    // Each waits for another: this ends only where two are under way at once.
    let pair = Barrier::new(2);
    let meets = || {
        pair.wait();
    };
    assert_eq!(together(Limits { plugin_compilations_max: 2, ..limits() }, &meets), 2);
}

#[test]
fn deadlines_are_looked_at_when_the_clock_ticks() {
    let spins = Guest::validating(
        "(local.set $i (i32.const 100000000))
        (loop $turn (br_if $turn (local.tee $i (i32.sub (local.get $i) (i32.const 1))))) (i32.const 2000)",
    );
    // A clock that never ticks ends nobody, and one that ticks fast ends who is over their time.
    let seldom = sandbox(Limits { plugin_deadline_ms: 1, plugin_tick_ms: 3_600_000, ..limits() });
    prepare(&seldom, &spins, json!({})).expect("fit").judge(&case()).expect("an answer");
    let often = sandbox(Limits { plugin_deadline_ms: 1, plugin_tick_ms: 1, ..limits() });
    let told = "plugin guest overran its deadline (plugin_deadline_ms = 1)";
    assert_eq!(breaks(&often, &Guest::validating(FOREVER)), told);
}

#[test]
fn the_pool_gives_every_instance_back() {
    let sandbox = sandbox(limits());
    let plugin = prepare(&sandbox, &Guest::validating(NOTHING), json!({})).expect("fit");
    for _ in 0..500 {
        plugin.judge(&case()).expect("an answer");
    }
}
