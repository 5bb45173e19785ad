//! The inbox: a key for each submission that was taken in, by which one that comes twice is known without a look at what
//! is stored. A key that is forgotten opens nothing: a version that is stored is found by itself.

use super::publish::not_found;
use super::store::{InboxRow, Page};
use super::{Actor, Registry, RegistryError};
use crate::clock::Millis;

/// Bytes of a key, and of what keys are asked to begin with.
const KEY_MAX_BYTES: usize = 512;

impl Registry {
    /// Keys that begin so, in byte order.
    ///
    /// # Errors
    /// `Store`.
    pub async fn inbox(
        &self,
        actor: &Actor,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<InboxRow>, RegistryError> {
        if prefix.len() > KEY_MAX_BYTES || prefix.contains('\0') {
            return Ok(Page { items: Vec::new(), more: false });
        }
        Ok(self.store.inbox(&actor.tenant, prefix, after, limit).await?)
    }

    /// Forgets a key.
    ///
    /// # Errors
    /// `NotFound`, `Store`.
    pub async fn forget_inbox(&self, actor: &Actor, key: &str, now: Millis) -> Result<(), RegistryError> {
        let is_sane = key.len() <= KEY_MAX_BYTES && !key.contains('\0');
        if is_sane && self.store.forget_inbox(&actor.tenant, key, &actor.name, now).await? {
            return Ok(());
        }
        Err(not_found("inbox key", key))
    }
}
