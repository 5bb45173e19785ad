//! What is asked of the database about requests that are run once.

use async_trait::async_trait;

use super::StoreError;
use crate::clock::Millis;
use crate::names::{Digest, Tenant};
use crate::registry::idempotency::{Attempt, Begin, KeptAnswer};

/// What is asked of the database about requests that are run once.
#[async_trait]
pub trait IdempotencyStore {
    /// Takes a key: one that is new, whose time is over, or whose run of the same request is believed to be dead. False
    /// where somebody has it.
    async fn begin_once(&self, tenant: &Tenant, begin: &Begin<'_>) -> Result<bool, StoreError>;
    /// What was sent with a key, and its answer where there is one.
    async fn once(
        &self,
        tenant: &Tenant,
        caller: &str,
        key: &str,
    ) -> Result<Option<(Digest, Option<KeptAnswer>)>, StoreError>;
    /// Keeps the answer of a run, unless another took over.
    async fn finish_once(&self, tenant: &Tenant, attempt: &Attempt, answer: &KeptAnswer) -> Result<(), StoreError>;
    /// Forgets a run that is not answered.
    async fn give_back_once(&self, tenant: &Tenant, attempt: &Attempt) -> Result<(), StoreError>;
    /// Forgets keys whose time is over; says how many.
    async fn forget_once(&self, tenant: &Tenant, at: Millis) -> Result<u64, StoreError>;
}
