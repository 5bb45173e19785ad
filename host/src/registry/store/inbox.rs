//! What is asked of the database about the inbox.

use async_trait::async_trait;

use super::{Page, StoreError};
use crate::clock::Millis;
use crate::names::Tenant;

/// A submission that was taken in: one of the same key is not taken in twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxRow {
    /// `registry:agent:planner:1.2.0`.
    pub key: String,
    /// When it was taken in.
    pub created_at: Millis,
}

/// What is asked of the database about the inbox.
#[async_trait]
pub trait InboxStore {
    /// Keys that begin so, in byte order, after `after`, at most `limit`.
    async fn inbox(
        &self,
        tenant: &Tenant,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<InboxRow>, StoreError>;
    /// Forgets a key; false where it is not there.
    async fn forget_inbox(&self, tenant: &Tenant, key: &str, by: &str, at: Millis) -> Result<bool, StoreError>;
}
