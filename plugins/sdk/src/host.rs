//! The host's side of the imports: the real one in the sandbox, the bench's on the machine itself.

#[cfg(target_arch = "wasm32")]
pub(crate) use crate::bindings::base::hallmark::plugin::{log, registry, submission};

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use crate::engine::{log, registry, submission};
