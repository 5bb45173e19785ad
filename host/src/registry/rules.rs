//! The rules in force on this host, compiled and ready.

/// Every active release of the tenant, loaded.
#[derive(Debug, Default)]
pub struct RulesInForce {}
