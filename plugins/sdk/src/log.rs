//! Lines for the plugin's author. The host writes them to its log at debug level, keeps none in a decision, and bounds
//! their size (`plugin_log_max_bytes` of one evaluation).

use crate::host;

/// Writes one line.
pub fn write(message: &str) {
    host::log::write(message);
}

/// Sends the text of a panic to the log before the sandbox traps, since a trap alone carries none.
#[cfg(target_arch = "wasm32")]
pub(crate) fn write_panics() {
    std::panic::set_hook(Box::new(|panic| write(&panic.to_string())));
}
