//! What is asked of the database about trusted publishers.

use async_trait::async_trait;

use super::{Page, StoreError};
use crate::clock::Millis;
use crate::identity::Claims;
use crate::names::Tenant;
use crate::registry::exemptions::Pattern;

/// A trusted publisher, or one that was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublisherRow {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What its issuer calls itself.
    pub issuer: String,
    /// What its tokens must claim.
    pub claims: Claims,
    /// The entries that it may publish.
    pub entries: Vec<Pattern>,
    /// Who trusted it.
    pub added_by: String,
    /// When.
    pub added_at: Millis,
    /// Who trusts it no more, and since when.
    pub removed: Option<(String, Millis)>,
}

/// What is asked of the database about trusted publishers.
#[async_trait]
pub trait PublisherStore {
    /// Writes a trusted publisher.
    async fn insert_publisher(&self, tenant: &Tenant, publisher: &PublisherRow) -> Result<(), StoreError>;
    /// One, trusted still or not.
    async fn publisher(&self, tenant: &Tenant, id: &str) -> Result<Option<PublisherRow>, StoreError>;
    /// All, newest first, before an id, at most `limit`.
    async fn publishers(
        &self,
        tenant: &Tenant,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Page<PublisherRow>, StoreError>;
    /// Those that are trusted, at most `limit`.
    async fn publishers_trusted(&self, tenant: &Tenant, limit: u32) -> Result<Vec<PublisherRow>, StoreError>;
    /// Trusts one no more; false where it was so before.
    async fn remove_publisher(
        &self,
        tenant: &Tenant,
        publisher: &PublisherRow,
        by: &str,
        at: Millis,
    ) -> Result<bool, StoreError>;
}
