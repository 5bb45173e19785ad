//! What can be read: entries, versions, decisions.

use std::sync::Arc;

use super::publish::not_found;
use super::release::Kind;
use super::rules::LoadedKind;
use super::store::{EntryRow, Page, VersionHead, VersionPlace, VersionRow};
use super::{Actor, Decision, Registry, RegistryError};
use crate::names::{DecisionId, EntryId, VersionName};

/// Versions that are shown with their entry; the list of them has all.
const NEWEST_VERSIONS: u32 = 100;

impl Registry {
    /// Entries of a kind by id, after `after`.
    ///
    /// # Errors
    /// `NoKind`, `NotReady`, `Store`.
    pub async fn entries(
        self: &Arc<Self>,
        actor: &Actor,
        kind: &str,
        after: Option<&EntryId>,
        limit: u32,
    ) -> Result<(Arc<Kind>, Page<EntryRow>), RegistryError> {
        let kind = self.kind_in_force(kind).await?;
        let page = self.store.entries(&actor.tenant, &kind.kind.name, after, limit).await?;
        Ok((Arc::clone(&kind.kind), page))
    }

    /// One entry with its active version and the newest of all its versions.
    ///
    /// # Errors
    /// `NoKind`, `NotReady`, `NotFound`, `Store`.
    pub async fn entry(
        self: &Arc<Self>,
        actor: &Actor,
        kind: &str,
        id: &str,
    ) -> Result<(Arc<Kind>, EntryRow, VersionRow, Vec<VersionHead>), RegistryError> {
        let kind = self.kind_in_force(kind).await?;
        let name = &kind.kind.name;
        let missing = || not_found("entry", id);
        let parsed: EntryId = id.parse().map_err(|_| missing())?;
        let entry = self.store.entry(&actor.tenant, name, &parsed).await?.ok_or_else(missing)?;
        let version =
            self.store.version(&actor.tenant, name, &parsed, Some(&entry.current_version)).await?.ok_or_else(|| {
                RegistryError::Internal(format!("entry {id} without its version {}", entry.current_version))
            })?;
        let newest = self.store.versions(&actor.tenant, name, &parsed, None, NEWEST_VERSIONS).await?;
        Ok((Arc::clone(&kind.kind), entry, version, newest.items))
    }

    /// The versions of an entry, newest first, after `after`.
    ///
    /// # Errors
    /// `NoKind`, `NotReady`, `NotFound`, `Store`.
    pub async fn versions(
        self: &Arc<Self>,
        actor: &Actor,
        kind: &str,
        id: &str,
        after: Option<&VersionPlace>,
        limit: u32,
    ) -> Result<Page<VersionHead>, RegistryError> {
        let kind = self.kind_in_force(kind).await?;
        let name = &kind.kind.name;
        let parsed: EntryId = id.parse().map_err(|_| not_found("entry", id))?;
        let page = self.store.versions(&actor.tenant, name, &parsed, after, limit).await?;
        // An entry has a version from its first moment on.
        if page.items.is_empty() && self.store.entry(&actor.tenant, name, &parsed).await?.is_none() {
            return Err(not_found("entry", id));
        }
        Ok(page)
    }

    /// One version.
    ///
    /// # Errors
    /// `NoKind`, `NotReady`, `NotFound` (the entry, or the version), `Store`.
    pub async fn version(
        self: &Arc<Self>,
        actor: &Actor,
        kind: &str,
        id: &str,
        version: &str,
    ) -> Result<(Arc<Kind>, VersionRow), RegistryError> {
        let kind = self.kind_in_force(kind).await?;
        let name = &kind.kind.name;
        let parsed: EntryId = id.parse().map_err(|_| not_found("entry", id))?;
        if let Ok(version) = version.parse::<VersionName>()
            && let Some(row) = self.store.version(&actor.tenant, name, &parsed, Some(&version)).await?
        {
            return Ok((Arc::clone(&kind.kind), row));
        }
        match self.store.entry(&actor.tenant, name, &parsed).await? {
            Some(_) => Err(not_found("version", version)),
            None => Err(not_found("entry", id)),
        }
    }

    /// One decision.
    ///
    /// # Errors
    /// `NotFound`, `Store`.
    pub async fn decision(&self, actor: &Actor, id: &str) -> Result<Decision, RegistryError> {
        let missing = || not_found("decision", id);
        let parsed: DecisionId = id.parse().map_err(|_| missing())?;
        let row = self.store.decision(&actor.tenant, &parsed).await?.ok_or_else(missing)?;
        super::decisions::read(&row.body)
    }

    /// The kinds in force, by name.
    pub fn kind_names(&self) -> Vec<String> {
        self.rules.load().loaded.kinds().map(|kind| kind.kind.name.to_string()).collect()
    }

    /// A kind that this host knows: also while it waits for rules that it could not load.
    ///
    /// # Errors
    /// `NoKind`, of the rules that it has loaded.
    pub fn kind(&self, name: &str) -> Result<Arc<LoadedKind>, RegistryError> {
        self.rules.load().loaded.kind(name).map(Arc::clone)
    }
}
