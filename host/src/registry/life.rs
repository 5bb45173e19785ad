//! What becomes of entries and versions after they were published: deprecated, disabled, activated, withdrawn, rolled back.
//! Names stay taken for ever: nothing here removes a row.

use std::sync::Arc;

use serde_json::{Value, json};

use super::audit::{WITHDRAWN, what_of};
use super::committing::shown;
use super::publish::{not_found, parse_stored, within_reach};
use super::release::Kind;
use super::store::{EntryAct, EntryChange, EntryChanged, EntryName, EntryRow, EntryStatus, NewEvent};
use super::{Actor, Registry, RegistryError, RolledBackTo};
use crate::clock::{Millis, new_id};
use crate::names::{EntryId, KindName, Reason, VersionName};

/// How often a successor is looked for while the entry is published to.
const TRIES_MAX: usize = 8;

/// A status that somebody gives an entry.
#[derive(Debug, Clone)]
pub struct StatusWanted {
    /// Which.
    pub status: EntryStatus,
    /// Why; an entry that is active has none.
    pub reason: Option<Reason>,
    /// What to take instead.
    pub replacement: Option<EntryName>,
}

/// An entry that changed.
#[derive(Debug, Clone)]
pub struct ChangedEntry {
    /// Its kind.
    pub kind: Arc<Kind>,
    /// As it is now.
    pub entry: EntryRow,
    /// The version that was active before.
    pub previous: VersionName,
}

impl Registry {
    /// Gives an entry another status.
    ///
    /// # Errors
    /// `NoKind`, `NotReady`, `NotFound`, `OutOfReach`; `BadChange` where the replacement cannot be one; `EntryChanged` where
    /// the entry is at none of the revisions; `Store`.
    pub async fn set_status(
        self: &Arc<Self>,
        actor: &Actor,
        (kind, id): (&str, &str),
        wanted: &StatusWanted,
        expected: Option<&[i64]>,
    ) -> Result<ChangedEntry, RegistryError> {
        let kind = Arc::clone(&self.kind_in_force(kind).await?.kind);
        let name = entry_name(&kind, id)?;
        within_reach(actor, &name.kind, &name.id)?;
        if let Some(replacement) = &wanted.replacement {
            self.check_replacement(actor, &name, replacement).await?;
        }
        let StatusWanted { status, reason, replacement } = wanted;
        let act = EntryAct::SetStatus { status: *status, reason: reason.as_ref(), replacement: replacement.as_ref() };
        let more = json!({"reason": reason, "replacement": replacement.as_ref().map(EntryName::to_string)});
        match self.change(actor, &name, act, expected, (what_of(*status), more)).await? {
            EntryChanged::Done { before, entry } => Ok(ChangedEntry { kind, entry, previous: before.current_version }),
            other => Err(refusal(&name, None, other)),
        }
    }

    async fn check_replacement(
        &self,
        actor: &Actor,
        name: &EntryName,
        replacement: &EntryName,
    ) -> Result<(), RegistryError> {
        if replacement == name {
            return Err(RegistryError::BadChange("an entry cannot replace itself: name another".to_owned()));
        }
        let refuse = |why: &str| Err(RegistryError::BadChange(format!("the replacement {replacement} {why}")));
        match self.store.entry(&actor.tenant, &replacement.kind, &replacement.id).await? {
            None => refuse("is not published: publish it first"),
            Some(entry) if entry.status == EntryStatus::Disabled => refuse("is disabled: name another"),
            Some(entry) if entry.status == EntryStatus::Draft => refuse("is a draft: activate it first"),
            Some(_) => Ok(()),
        }
    }

    /// Takes a version back. Where it is the active one the newest that is left becomes active.
    ///
    /// # Errors
    /// As `set_status`; `NotFound` for an unknown version too; `BadChange` where no version is left.
    pub async fn withdraw(
        self: &Arc<Self>,
        actor: &Actor,
        (kind, id): (&str, &str),
        version: &str,
        reason: &Reason,
        expected: Option<&[i64]>,
    ) -> Result<ChangedEntry, RegistryError> {
        for _ in 0..TRIES_MAX {
            let (kind, row) = self.version(actor, kind, id, version).await?;
            let name = EntryName { kind: row.kind.clone(), id: row.id.clone() };
            within_reach(actor, &name.kind, &name.id)?;
            let successor = match row.status.as_str() {
                "active" => self.store.newest_version(&actor.tenant, &name.kind, &name.id, &row.version).await?,
                _ => None,
            };
            let stored = successor.as_ref().map(|next| parse_stored(&next.manifest)).transpose()?;
            let shown = stored.as_ref().map(|stored| shown(&kind, stored));
            let successor = successor.as_ref().map(|next| &next.version).zip(shown.as_ref());
            let active = successor.map(|(next, _)| next);
            let more = json!({"version": row.version, "reason": reason, "active": active});
            let act = EntryAct::Withdraw { version: &row.version, reason, successor };
            match self.change(actor, &name, act, expected, (WITHDRAWN, more)).await? {
                EntryChanged::Done { before, entry } => {
                    return Ok(ChangedEntry { kind, entry, previous: before.current_version });
                }
                EntryChanged::SuccessorMoved if row.status == "active" && active.is_none() => {
                    return Err(RegistryError::BadChange(format!(
                        "{} is the only version of {name} that is left: publish another first, or disable the entry \
                         (POST /api/{name}/disable)",
                        row.version
                    )));
                }
                EntryChanged::SuccessorMoved => {}
                other => return Err(refusal(&name, Some(&row.version), other)),
            }
        }
        Err(RegistryError::Busy { what: "the entry is published to again and again".to_owned() })
    }

    /// Makes an earlier version the active one.
    ///
    /// # Errors
    /// As `set_status`; `NotFound` for an unknown version too; `VersionWithdrawn`, `EntryDisabled`.
    pub async fn roll_back(
        self: &Arc<Self>,
        actor: &Actor,
        (kind, id): (&str, &str),
        target: &str,
        expected: Option<&[i64]>,
    ) -> Result<RolledBackTo, RegistryError> {
        let (_, loaded) = self.kind_to_judge_by(kind).await?;
        let (_, row) = self.version(actor, kind, id, target).await?;
        let name = EntryName { kind: row.kind.clone(), id: row.id.clone() };
        within_reach(actor, &name.kind, &name.id)?;
        let stored: Value = parse_stored(&row.manifest)?;
        let shown = shown(&loaded.kind, &stored);
        let act = EntryAct::RollBack { target: &row.version, shown: &shown };
        let told = ("entry.rolled-back", json!({"version": row.version}));
        let (before, entry) = match self.change(actor, &name, act, expected, told).await? {
            EntryChanged::Done { before, entry } => (before, entry),
            other => return Err(refusal(&name, Some(&row.version), other)),
        };
        let report = self.report_on_stored(actor, &loaded, &row, stored).await;
        Ok(RolledBackTo { kind: Arc::clone(&loaded.kind), entry, previous: before.current_version, report })
    }

    async fn change(
        &self,
        actor: &Actor,
        name: &EntryName,
        act: EntryAct<'_>,
        expected: Option<&[i64]>,
        (what, mut body): (&str, Value),
    ) -> Result<EntryChanged, RegistryError> {
        let at = Millis::now();
        body["actor"] = json!(actor.name);
        body["at"] = json!(at);
        let event = NewEvent {
            id: new_id(at),
            what: what.to_owned(),
            kind: name.kind.clone(),
            entry: name.id.clone(),
            body: body.to_string(),
            created_at: at,
        };
        let (tenant, actor, kind, id) = (&actor.tenant, actor.name.as_str(), &name.kind, &name.id);
        let change = EntryChange { tenant, kind, id, act, expected, actor, at, event };
        let changed = self.store.change_entry(&change).await?;
        if matches!(&changed, EntryChanged::Done { before, entry } if before != entry) {
            self.committed.notify_one();
        }
        Ok(changed)
    }
}

/// The name of an entry that may be there.
pub(super) fn entry_name(kind: &Kind, id: &str) -> Result<EntryName, RegistryError> {
    let id: EntryId = id.parse().map_err(|_| not_found("entry", id))?;
    let kind: KindName = kind.name.clone();
    Ok(EntryName { kind, id })
}

/// Why a change was not done.
fn refusal(name: &EntryName, version: Option<&VersionName>, why: EntryChanged) -> RegistryError {
    let EntryName { kind, id } = name.clone();
    match (why, version.cloned()) {
        (EntryChanged::NoEntry, _) => not_found("entry", id.as_str()),
        (EntryChanged::NoVersion, Some(version)) => not_found("version", version.as_str()),
        (EntryChanged::Overtaken(entry), _) => RegistryError::EntryChanged { kind, id, at: entry.updated_at },
        (EntryChanged::Disabled(_), _) => RegistryError::EntryDisabled { kind, id },
        (EntryChanged::Withdrawn(withdrawal), Some(version)) => {
            RegistryError::VersionWithdrawn { kind, id, version, withdrawal: Box::new(withdrawal) }
        }
        (other, version) => RegistryError::Internal(format!("{name} {version:?}: {other:?} is no refusal")),
    }
}
