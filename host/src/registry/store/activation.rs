//! Which release of a scope is active, and what comes of a wish to change it.

use crate::clock::Millis;
use crate::names::Scope;

/// An activation's request.
#[derive(Debug, Clone, Copy)]
pub struct Activate<'a> {
    /// Whose release.
    pub scope: &'a Scope,
    /// Its number.
    pub number: i64,
    /// The number that the caller believes active (`Some(None)`: none); not compared where it is `None`.
    pub expected: Option<Option<i64>>,
    /// Who asks.
    pub actor: &'a str,
    /// When.
    pub at: Millis,
}

/// What came of an activation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Activation {
    /// It is active now.
    Activated,
    /// It was already.
    Unchanged,
    /// Another release is active than the caller believed.
    Moved {
        /// The one that is.
        active: Option<i64>,
    },
    /// No such release.
    Missing,
}
