//! What wasmtime reports, in the gate's words. The texts reach publishers: no backtrace, no path of the host.

use wasmtime::{Error, PoolConcurrencyLimitError, Trap};

use super::Cause;
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
    // Wasmtime keeps the type of this one to itself; a test with a huge answer holds the words.
    if what.contains("fuel allocated for hostcalls has been exhausted") {
        return Cause::Answer { limit_bytes: limits.plugin_answer_max_bytes };
    }
    Cause::Nonsense { what: plain(&what) }
}

/// One line of wasmtime's text, without its prefix.
pub fn plain(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let line = line.strip_prefix("wasm trap: ").unwrap_or(line);
    line.strip_prefix("wasm ").unwrap_or(line).chars().take(300).collect()
}
