//! What exemptions ask of the database.

use async_trait::async_trait;

use super::{Page, StoreError};
use crate::clock::Millis;
use crate::names::Tenant;
use crate::registry::exemptions::{Exemption, Exemptions};

/// What came of an exemption that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExemptionMade {
    /// It is written.
    Made,
    /// As many hold already as may.
    TooMany,
}

/// Exemptions. Each change raises the tenant's number of them, which a publish reads where it reads the active
/// releases, and waits for the publishes that are committing, as an activation does.
#[async_trait]
pub trait ExemptionStore: Send + Sync {
    /// Writes an exemption, where fewer than `holding_max` hold when it is made.
    async fn insert_exemption(
        &self,
        tenant: &Tenant,
        exemption: &Exemption,
        holding_max: u32,
    ) -> Result<ExemptionMade, StoreError>;
    /// Takes one back and gives it as it is now; one that was taken back before is left as it is.
    async fn revoke_exemption(
        &self,
        tenant: &Tenant,
        id: &str,
        by: &str,
        at: Millis,
    ) -> Result<Option<Exemption>, StoreError>;
    /// Exemptions by id, newest first, below the id `before`, at most `limit`; only those that hold, where an instant is
    /// given.
    async fn exemptions(
        &self,
        tenant: &Tenant,
        holding_at: Option<Millis>,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Page<Exemption>, StoreError>;
    /// Those that hold at an instant, with a number that was read before them: it is never newer than they are.
    async fn exemptions_in_force(&self, tenant: &Tenant, at: Millis) -> Result<Exemptions, StoreError>;
}
