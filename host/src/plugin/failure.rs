//! What wasmtime reports, in the gate's words. The texts reach publishers: no backtrace, no path of the host.

use wasmtime::{Error, PoolConcurrencyLimitError, Trap};

use super::state::State;
use super::{Cause, Unfit};
use crate::config::Limits;

/// Characters of a panic's message that are told.
const PANIC_SHOWN_MAX: usize = 300;

/// How the guest broke whose store has this state.
pub fn cause(error: &Error, state: &State) -> Cause {
    let limits = state.limits();
    if let Some(cause) = error.downcast_ref::<Cause>() {
        return cause.clone();
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return match (trap, state.panic()) {
            (Trap::UnreachableCodeReached, Some(what)) => Cause::Panic { what: what.to_owned() },
            (Trap::StackOverflow, _) => Cause::Stack { limit_bytes: limits.plugin_stack_max_bytes },
            (trap, _) => Cause::Trap { what: plain(&trap.to_string()) },
        };
    }
    if error.downcast_ref::<PoolConcurrencyLimitError>().is_some() {
        return Cause::Start;
    }
    let what = error.root_cause().to_string();
    // Wasmtime keeps the types of these to itself; tests with a huge answer and with many handles hold the words.
    if what.contains("fuel allocated for hostcalls has been exhausted") {
        return Cause::Answer { limit_bytes: limits.plugin_answer_max_bytes };
    }
    if what.contains("store handle limit exceeded") {
        return Cause::Handles { limit: limits.plugin_handles_max };
    }
    Cause::Nonsense { what: plain(&what) }
}

/// Why a component cannot be compiled, or has more parts than it may. Wasmtime counts those of a component that holds
/// others exactly, and tells them apart by its words alone; a test with one of each holds the words.
pub fn refusal(error: &Error, limits: &Limits) -> Unfit {
    let what = error.root_cause().to_string();
    let says = |words: &[&str]| words.iter().any(|words| what.contains(words));
    if says(&["core module instances, which exceeds"]) {
        return too_many("core instances", "plugin_core_instances_max", limits.plugin_core_instances_max);
    }
    if says(&["linear memories, which exceeds", "defined memories count of"]) {
        return too_many("memories", "plugin_memories_max", limits.plugin_memories_max);
    }
    if says(&["tables, which exceeds", "defined tables count of"]) {
        return too_many("tables", "plugin_tables_max", limits.plugin_tables_max);
    }
    Unfit::Compile(plain(&what))
}

/// A component with more parts of a kind than it may have.
pub fn too_many(parts: &str, name: &str, limit: u32) -> Unfit {
    Unfit::Contract(format!("it has more {parts} than it may have ({name} = {limit})"))
}

/// What a line of the guest's log says of a panic of Rust, which ends in a trap that says nothing: its message, and the file and
/// line, without the folders of whoever built it. None where it tells of none.
pub fn panic_told(line: &str) -> Option<String> {
    let (_, told) = line.split_once("panicked at ")?;
    // The standard library's own advice comes behind it.
    let told = told.split("\nnote: run with").next().unwrap_or_default().trim();
    let (message, place) = match told.split_once(":\n") {
        Some((place, message)) => (message, place.rsplit(['/', '\\']).next()),
        None => (told, None),
    };
    let message: String = message.trim().replace('\n', " ").chars().take(PANIC_SHOWN_MAX).collect();
    let message: String = message.chars().filter(|letter| !letter.is_control()).collect();
    // A file's line is enough: `lib.rs:7:5` is `lib.rs:7`.
    let place = place.map(|place| place.rsplit_once(':').map_or(place, |(line, _)| line));
    Some(place.map_or_else(|| message.clone(), |place| format!("{message} ({place})")))
}

/// One line of wasmtime's text, without its prefix.
pub fn plain(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let line = line.strip_prefix("wasm trap: ").unwrap_or(line);
    line.strip_prefix("wasm ").unwrap_or(line).chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_by_its_message_and_the_line_that_it_stands_in() {
        for (line, told) in [
            ("panicked at /home/ada/rules/src/lib.rs:7:5:\nno owner", Some("no owner (lib.rs:7)")),
            (
                "\nthread 'main' panicked at src\\lib.rs:7:5:\nleft: 1\n right: 2\nnote: run with `RUST_BACKTRACE=1` to see more\n",
                Some("left: 1  right: 2 (lib.rs:7)"),
            ),
            ("panicked at 'no owner', src/lib.rs:7:5", Some("'no owner', src/lib.rs:7:5")),
            ("nothing to see", None),
        ] {
            assert_eq!(panic_told(line).as_deref(), told, "{line}");
        }
        let long = panic_told(&format!("panicked at lib.rs:1:1:\n\u{1b}{}", "x".repeat(500))).expect("it is told");
        assert_eq!(long, format!("{} (lib.rs:1)", "x".repeat(299)));
    }
}
