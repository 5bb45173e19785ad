//! What can be read: entries, versions, decisions.

use std::sync::Arc;

use super::committing::CATEGORY;
use super::life::entry_name;
use super::publish::not_found;
use super::release::Kind;
use super::rules::LoadedKind;
use super::store::{
    ChangePlace, Direction, EntriesAsked, EntryName, EntryOrder, EntryPlace, EntryRow, EntryStatus, Followed,
    FoundEntry, FoundPlace, ListedEntry, Page, ReferencePlace, ReferenceRow, Search, Standing, VersionHead,
    VersionPlace, VersionRow,
};
use super::words::Query;
use super::{Actor, Decision, Registry, RegistryError};
use crate::clock::Millis;
use crate::names::{DecisionId, EntryId, KindName, VersionName};

/// Versions that are shown with their entry; the list of them has all.
const NEWEST_VERSIONS: u32 = 100;

/// Which entries of a kind are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListWanted {
    /// In which of these statuses; none for those that are offered.
    pub statuses: Option<Vec<EntryStatus>>,
    /// With this tag.
    pub tag: Option<String>,
    /// In this category.
    pub category: Option<String>,
    /// That this finds.
    pub search: Option<Query>,
    /// That changed at this time or later: then every status is wanted unless some are told.
    pub updated_since: Option<Millis>,
    /// In which order.
    pub order: EntryOrder,
}

impl Default for ListWanted {
    fn default() -> Self {
        let (statuses, updated_since, search) = (None, None, None);
        Self { statuses, tag: None, category: None, search, updated_since, order: EntryOrder::Id }
    }
}

impl ListWanted {
    fn statuses(&self) -> Vec<EntryStatus> {
        match (&self.statuses, self.updated_since) {
            (Some(statuses), _) => statuses.clone(),
            (None, Some(_)) => EntryStatus::ALL.to_vec(),
            (None, None) => EntryStatus::OFFERED.to_vec(),
        }
    }
}

/// An entry as it is read.
#[derive(Debug, Clone)]
pub struct EntryRead {
    /// Its kind.
    pub kind: Arc<Kind>,
    /// Its row.
    pub entry: EntryRow,
    /// Its active version.
    pub version: VersionRow,
    /// The newest of all its versions.
    pub versions: Vec<VersionHead>,
    /// What people think of it.
    pub standing: Standing,
}

impl Registry {
    /// Entries of a kind, after `after`.
    ///
    /// # Errors
    /// `NoKind`, `NotReady`, `Store`; `BadList` where the kind has no category.
    pub async fn entries(
        self: &Arc<Self>,
        actor: &Actor,
        kind: &str,
        wanted: &ListWanted,
        after: Option<&EntryPlace>,
        limit: u32,
    ) -> Result<(Arc<Kind>, Page<ListedEntry>), RegistryError> {
        let kind = Arc::clone(&self.kind_in_force(kind).await?.kind);
        if wanted.category.is_some() && !kind.fields.contains_key(CATEGORY) {
            return Err(RegistryError::BadList(format!("{} have no category: leave it out", kind.name)));
        }
        let asked = EntriesAsked {
            kind: kind.name.clone(),
            statuses: wanted.statuses(),
            tag: wanted.tag.clone(),
            category: wanted.category.clone(),
            search: wanted.search.clone(),
            updated_since: wanted.updated_since,
            order: wanted.order,
            at: Millis::now(),
        };
        let page = self.store.entries(&actor.tenant, &asked, after, limit).await?;
        Ok((kind, page))
    }

    /// Entries of the kinds of these names, or of all in force, in the order in which they changed, after `after`.
    ///
    /// # Errors
    /// `NoKind`, `NotReady`, `Store`.
    pub async fn changes(
        self: &Arc<Self>,
        actor: &Actor,
        named: &[&str],
        since: Millis,
        after: Option<&ChangePlace>,
        limit: u32,
    ) -> Result<(Vec<Arc<Kind>>, Page<ListedEntry>), RegistryError> {
        let mut kinds = Vec::with_capacity(named.len());
        for name in named {
            kinds.push(Arc::clone(&self.kind_in_force(name).await?.kind));
        }
        if named.is_empty() {
            kinds.extend(self.rules.load().loaded.kinds().map(|kind| Arc::clone(&kind.kind)));
        }
        let names: Vec<KindName> = kinds.iter().map(|kind| kind.name.clone()).collect();
        let followed = Followed { kinds: &names, since, at: Millis::now() };
        let page = self.store.changes(&actor.tenant, followed, after, limit).await?;
        Ok((kinds, page))
    }

    /// The versions of these entries that were withdrawn, each with its entry.
    ///
    /// # Errors
    /// `Store`.
    pub async fn withdrawn_of(
        &self,
        actor: &Actor,
        kind: &Kind,
        ids: &[EntryId],
    ) -> Result<Vec<(EntryId, VersionName)>, RegistryError> {
        Ok(self.store.withdrawn(&actor.tenant, &kind.name, ids).await?)
    }

    /// Entries of one kind, or of all, that hold every word, after `after`.
    ///
    /// # Errors
    /// `NoKind`, `NotReady`, `Store`.
    pub async fn search(
        self: &Arc<Self>,
        actor: &Actor,
        (kind, query): (Option<&str>, &Query),
        statuses: Option<&[EntryStatus]>,
        after: Option<&FoundPlace>,
        limit: u32,
    ) -> Result<Page<FoundEntry>, RegistryError> {
        let kinds: Vec<KindName> = match kind {
            Some(kind) => vec![self.kind_in_force(kind).await?.kind.name.clone()],
            None => self.rules.load().loaded.kinds().map(|kind| kind.kind.name.clone()).collect(),
        };
        let search = Search { kinds: &kinds, statuses: statuses.unwrap_or(&EntryStatus::OFFERED), query };
        Ok(self.store.search(&actor.tenant, search, after, limit).await?)
    }

    /// What the active version of an entry refers to, or whose active versions refer to it, after `after`.
    ///
    /// # Errors
    /// `NoKind`, `NotReady`, `NotFound`, `Store`.
    pub async fn references(
        self: &Arc<Self>,
        actor: &Actor,
        (kind, id): (&str, &str),
        direction: Direction,
        after: Option<&ReferencePlace>,
        limit: u32,
    ) -> Result<Page<ReferenceRow>, RegistryError> {
        let (_, name, _) = self.entry_row(actor, kind, id).await?;
        Ok(self.store.references(&actor.tenant, &name, direction, after, limit).await?)
    }

    /// An entry that is there.
    ///
    /// # Errors
    /// `NoKind`, `NotReady`, `NotFound`, `Store`.
    pub(super) async fn entry_row(
        self: &Arc<Self>,
        actor: &Actor,
        kind: &str,
        id: &str,
    ) -> Result<(Arc<Kind>, EntryName, EntryRow), RegistryError> {
        let kind = Arc::clone(&self.kind_in_force(kind).await?.kind);
        let name = entry_name(&kind, id)?;
        let row = self.store.entry(&actor.tenant, &name.kind, &name.id).await?;
        let row = row.ok_or_else(|| not_found("entry", id))?;
        Ok((kind, name, row))
    }

    /// One entry with its active version and the newest of all its versions.
    ///
    /// # Errors
    /// `NoKind`, `NotReady`, `NotFound`, `Store`.
    pub async fn entry(self: &Arc<Self>, actor: &Actor, kind: &str, id: &str) -> Result<EntryRead, RegistryError> {
        let (kind, name, entry) = self.entry_row(actor, kind, id).await?;
        let (of, id) = (&name.kind, &name.id);
        let version = self.store.version(&actor.tenant, of, id, Some(&entry.current_version)).await?;
        let version = version.ok_or_else(|| {
            RegistryError::Internal(format!("entry {id} without its version {}", entry.current_version))
        })?;
        let newest = self.store.versions(&actor.tenant, of, id, None, NEWEST_VERSIONS).await?;
        let standing = self.store.standing(&actor.tenant, &name, Millis::now()).await?;
        Ok(EntryRead { kind, entry, version, versions: newest.items, standing })
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
