//! What is asked of the database about tokens.

use async_trait::async_trait;

use super::{Page, StoreError};
use crate::clock::Millis;
use crate::names::Tenant;
use crate::registry::access::Grants;

/// A token's row. The token itself is nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Its id.
    pub id: String,
    /// Whose.
    pub tenant: Tenant,
    /// What people call it; findings, decisions and logs name the publisher by it.
    pub name: String,
    /// Its first characters, to tell tokens apart.
    pub prefix: String,
    /// SHA-256 of the token, hexadecimal.
    pub hash: String,
    /// What its holder may do.
    pub grants: Grants,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Millis,
    /// The first instant at which it does not hold.
    pub expires_at: Option<Millis>,
    /// When it was used, to a minute or so.
    pub last_used_at: Option<Millis>,
    /// Who revoked it, and when.
    pub revoked: Option<(String, Millis)>,
}

/// What is asked of the database about tokens.
#[async_trait]
pub trait TokenStore {
    /// Writes a token; false where one with the same hash exists.
    async fn insert_token(&self, token: &TokenRow) -> Result<bool, StoreError>;
    /// The token with this hash (of any tenant), revoked or not.
    async fn token_by_hash(&self, hash: &str) -> Result<Option<TokenRow>, StoreError>;
    /// The token with this id, revoked or not.
    async fn token(&self, tenant: &Tenant, id: &str) -> Result<Option<TokenRow>, StoreError>;
    /// Tokens, newest first, before an id, at most `limit`.
    async fn tokens(&self, tenant: &Tenant, before: Option<&str>, limit: u32) -> Result<Page<TokenRow>, StoreError>;
    /// Writes down that it was used. An earlier time than is there changes nothing.
    async fn token_used(&self, tenant: &Tenant, id: &str, at: Millis) -> Result<(), StoreError>;
    /// Revokes a token; false where it was revoked before.
    async fn revoke_token(&self, token: &TokenRow, by: &str, at: Millis) -> Result<bool, StoreError>;
    /// Revokes every token that was made before an instant and holds, but the one with the id `own`; says how many.
    async fn revoke_tokens(
        &self,
        tenant: &Tenant,
        before: Millis,
        own: &str,
        by: &str,
        at: Millis,
    ) -> Result<u64, StoreError>;
}
