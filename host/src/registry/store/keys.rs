//! What is asked of the database about trusted keys and what they signed.

use async_trait::async_trait;

use super::{Page, StoreError};
use crate::clock::Millis;
use crate::names::{Digest, KeyId, Tenant};

/// A key whose signatures are believed, or were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// Its id.
    pub id: KeyId,
    /// What people call it.
    pub name: String,
    /// SubjectPublicKeyInfo, in PEM.
    pub public_key: String,
    /// Who trusted it.
    pub added_by: String,
    /// When.
    pub added_at: Millis,
    /// Who revoked it, and when.
    pub revoked: Option<(String, Millis)>,
}

/// A signature that was checked when it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureRow {
    /// SHA-256 of the component.
    pub plugin: Digest,
    /// The key.
    pub key: KeyId,
    /// Base64.
    pub signature: String,
    /// Who brought it.
    pub added_by: String,
    /// When.
    pub added_at: Millis,
}

/// Whether a tenant puts plugins to work that no trusted key signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signatures {
    /// It does.
    Optional,
    /// It does not.
    Required,
}

/// What a tenant asks of plugins, and a number that tells one moment's keys and signatures from another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trust {
    /// Whether they must be signed.
    pub signatures: Signatures,
    /// Raised by every change of a key, of a signature and of what is asked.
    pub number: i64,
}

/// Keys of one plugin that are told of.
pub const SIGNERS_MAX: u32 = 100;

/// What is asked of the database about trusted keys and what they signed. Each change raises the tenant's number of
/// them, which an activation reads in its transaction, and waits for activations, as they do for each other.
#[async_trait]
pub trait KeyStore {
    /// Writes a key; false where one with this id is there.
    async fn insert_key(&self, tenant: &Tenant, key: &KeyRow) -> Result<bool, StoreError>;
    /// One key.
    async fn key(&self, tenant: &Tenant, id: &KeyId) -> Result<Option<KeyRow>, StoreError>;
    /// Keys by id, after `after`, at most `limit`.
    async fn keys(&self, tenant: &Tenant, after: Option<&KeyId>, limit: u32) -> Result<Page<KeyRow>, StoreError>;
    /// Revokes a key; false where it is not there, or was revoked before.
    async fn revoke_key(&self, tenant: &Tenant, id: &KeyId, by: &str, at: Millis) -> Result<bool, StoreError>;
    /// Writes a signature; false where it is there.
    async fn insert_signature(&self, tenant: &Tenant, signature: &SignatureRow) -> Result<bool, StoreError>;
    /// The keys that signed a plugin, revoked ones too, by id, at most `SIGNERS_MAX`.
    async fn signers(&self, tenant: &Tenant, plugin: &Digest) -> Result<Vec<KeyRow>, StoreError>;
    /// Whether plugins must be signed, with the number that was read with it: what is read of keys and signatures
    /// afterwards is never older.
    async fn trust(&self, tenant: &Tenant) -> Result<Trust, StoreError>;
    /// Says whether they must; false where it was so before.
    async fn set_signatures(&self, tenant: &Tenant, rule: Signatures, by: &str, at: Millis)
    -> Result<bool, StoreError>;
}
