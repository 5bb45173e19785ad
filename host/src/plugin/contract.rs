//! The versions of the contract that the host serves: one file each, with its bindings and nothing of another's.
//! The rest of the room knows only what is re-exported here.

mod v0_1;

pub use v0_1::{Entry, SELF_TEST, STAGES, VERSION, examples, link};
