//! One publish, from bytes to a committed version.

use super::release::ReleaseRef;

/// Proof that the policy stage, and with it every stage before, let a submission through.
#[derive(Debug)]
pub struct Approved {
    releases: Vec<ReleaseRef>,
}

impl Approved {
    /// The releases that judged.
    pub fn releases(&self) -> &[ReleaseRef] {
        &self.releases
    }

    /// A proof without a gate: for the store's own tests and benches, which start where the gate ends.
    #[cfg(feature = "testing")]
    pub fn assume(releases: Vec<ReleaseRef>) -> Self {
        Self { releases }
    }
}
