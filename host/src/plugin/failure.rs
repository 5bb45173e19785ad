//! What wasmtime reports, in the gate's words. The texts reach publishers: no backtrace, no path of the host.

use wasmtime::{Error, PoolConcurrencyLimitError, Trap};

use super::{Cause, Unfit};
use crate::config::Limits;

/// How the guest broke.
pub fn cause(error: &Error, limits: &Limits) -> Cause {
    if let Some(cause) = error.downcast_ref::<Cause>() {
        return cause.clone();
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return match trap {
            Trap::StackOverflow => Cause::Stack { limit_bytes: limits.plugin_stack_max_bytes },
            trap => Cause::Trap { what: plain(&trap.to_string()) },
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

/// One line of wasmtime's text, without its prefix.
pub fn plain(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let line = line.strip_prefix("wasm trap: ").unwrap_or(line);
    line.strip_prefix("wasm ").unwrap_or(line).chars().take(300).collect()
}
