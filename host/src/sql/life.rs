//! The transaction of a change of one entry beside publishes: another status, another active version, a version that is
//! taken back.

use async_trait::async_trait;
use sqlx::{AnyConnection, AssertSqlSafe};

use super::errors::{failed, is_conflict};
use super::{Database, audit, entries, events, search};
use crate::names::{EntryId, KindName, Tenant, VersionName};
use crate::registry::store::{
    EntryAct, EntryChange, EntryChanged, EntryName, EntryRow, EntryStatus, LifeStore, Shown, StoreError, VersionRow,
};

/// Times that a transaction is run before its conflict with others is given up on.
const ATTEMPTS_MAX: usize = 5;

const CHANGING: &str = "to change an entry";

/// An entry's time of change tells its states apart, so it never stays what it was.
pub(super) const LATER: &str = "CASE WHEN entries.updated_at < $UPDATED THEN $UPDATED ELSE entries.updated_at + 1 END";

#[async_trait]
impl LifeStore for Database {
    async fn change_entry(&self, change: &EntryChange<'_>) -> Result<EntryChanged, StoreError> {
        let mut attempt = 1;
        loop {
            match change_once(self, change).await {
                Err(error) if is_conflict(&error) && attempt < ATTEMPTS_MAX => attempt += 1,
                result => return result,
            }
        }
    }

    async fn newest_version(
        &self,
        tenant: &Tenant,
        kind: &KindName,
        id: &EntryId,
        but: &VersionName,
    ) -> Result<Option<VersionRow>, StoreError> {
        let row = self.read_one("to read a version", entries::select_newest(tenant, kind, id, but)).await?;
        row.as_ref().map(entries::version).transpose()
    }
}

async fn change_once(database: &Database, change: &EntryChange<'_>) -> Result<EntryChanged, StoreError> {
    let mut transaction = database.writers.begin().await.map_err(failed(CHANGING))?;
    let taken = entries::select_entry(change.tenant, change.kind, change.id, database.engine.take())
        .fetch_optional(&mut *transaction)
        .await
        .map_err(failed(CHANGING))?;
    let unchanged = match taken.as_ref().map(entries::entry).transpose()? {
        None => EntryChanged::NoEntry,
        Some(entry) if change.expected.is_some_and(|expected| !expected.contains(&entry.revision())) => {
            EntryChanged::Overtaken(entry)
        }
        Some(before) => match act(&mut transaction, change, &before).await? {
            Acted::Not(why) => *why,
            Acted::As(entry) => {
                let event = events::insert_event(change.tenant, &change.event);
                event.execute(&mut *transaction).await.map_err(failed(CHANGING))?;
                audit::insert(&mut transaction, change.tenant, &[change.record(&before)]).await?;
                transaction.commit().await.map_err(failed(CHANGING))?;
                return Ok(EntryChanged::Done { before, entry });
            }
        },
    };
    transaction.roll_back().await.map_err(failed(CHANGING))?;
    Ok(unchanged)
}

enum Acted {
    As(EntryRow),
    Not(Box<EntryChanged>),
}

fn not(why: EntryChanged) -> Acted {
    Acted::Not(Box::new(why))
}

fn as_before(before: &EntryRow) -> Acted {
    not(EntryChanged::Done { before: before.clone(), entry: before.clone() })
}

async fn act(connection: &mut AnyConnection, change: &EntryChange<'_>, before: &EntryRow) -> Result<Acted, StoreError> {
    match &change.act {
        EntryAct::SetStatus { status, reason, replacement } => {
            let reason = reason.map(|reason| reason.as_str());
            let is_so = before.status == *status
                && before.status_reason.as_deref() == reason
                && before.replacement.as_ref() == *replacement;
            if is_so {
                return Ok(as_before(before));
            }
            let entry = set_status(connection, change, (*status, reason, *replacement)).await?;
            Ok(Acted::As(entry))
        }
        EntryAct::RollBack { target, shown } => {
            let Some(row) = version(connection, change, target).await? else {
                return Ok(not(EntryChanged::NoVersion));
            };
            if let Some(withdrawal) = row.withdrawal {
                return Ok(not(EntryChanged::Withdrawn(withdrawal)));
            }
            if before.current_version == **target {
                return Ok(as_before(before));
            }
            if before.status == EntryStatus::Disabled {
                return Ok(not(EntryChanged::Disabled(before.clone())));
            }
            Ok(Acted::As(set_version(connection, change, target, shown).await?))
        }
        EntryAct::Withdraw { version: name, reason, successor } => {
            let Some(row) = version(connection, change, name).await? else {
                return Ok(not(EntryChanged::NoVersion));
            };
            if row.withdrawal.is_some() {
                return Ok(as_before(before));
            }
            if (before.current_version == **name) != successor.is_some() {
                return Ok(not(EntryChanged::SuccessorMoved));
            }
            insert_withdrawal(connection, change, name, reason.as_str()).await?;
            let Some((next, shown)) = successor else {
                return Ok(Acted::As(touch(connection, change).await?));
            };
            let newest = entries::select_newest(change.tenant, change.kind, change.id, name)
                .fetch_optional(&mut *connection)
                .await
                .map_err(failed(CHANGING))?;
            if newest.as_ref().map(entries::version).transpose()?.is_none_or(|newest| newest.version != **next) {
                return Ok(not(EntryChanged::SuccessorMoved));
            }
            Ok(Acted::As(set_version(connection, change, next, shown).await?))
        }
    }
}

async fn version(
    connection: &mut AnyConnection,
    change: &EntryChange<'_>,
    name: &VersionName,
) -> Result<Option<VersionRow>, StoreError> {
    let row = entries::select_version(change.tenant, change.kind, change.id, Some(name))
        .fetch_optional(connection)
        .await
        .map_err(failed(CHANGING))?;
    row.as_ref().map(entries::version).transpose()
}

/// Updates the entry; `sets` takes its arguments from `$5` on.
fn update(change: &EntryChange<'_>, sets: &str) -> super::Statement {
    let later = LATER.replace("$UPDATED", "$4");
    let text = format!(
        "UPDATE entries SET {sets}updated_at = {later} WHERE tenant_id = $1 AND kind = $2 AND id = $3 RETURNING {}",
        entries::COLUMNS
    );
    sqlx::query(AssertSqlSafe(text))
        .bind(change.tenant.to_string())
        .bind(change.kind.to_string())
        .bind(change.id.to_string())
        .bind(change.at.0)
}

async fn updated(connection: &mut AnyConnection, statement: super::Statement) -> Result<EntryRow, StoreError> {
    let row = statement.fetch_one(connection).await.map_err(failed(CHANGING))?;
    entries::entry(&row)
}

async fn touch(connection: &mut AnyConnection, change: &EntryChange<'_>) -> Result<EntryRow, StoreError> {
    updated(connection, update(change, "")).await
}

async fn set_status(
    connection: &mut AnyConnection,
    change: &EntryChange<'_>,
    (status, reason, replacement): (EntryStatus, Option<&str>, Option<&EntryName>),
) -> Result<EntryRow, StoreError> {
    let statement = update(change, "status = $5, status_reason = $6, replacement = $7, ")
        .bind(status.as_str())
        .bind(reason.map(str::to_owned))
        .bind(replacement.map(EntryName::to_string));
    updated(connection, statement).await
}

async fn set_version(
    connection: &mut AnyConnection,
    change: &EntryChange<'_>,
    version: &VersionName,
    shown: &Shown,
) -> Result<EntryRow, StoreError> {
    let sets = "current_version = $5, name = $6, description = $7, tags = $8, category = $9, ";
    let statement = update(change, sets)
        .bind(version.to_string())
        .bind(shown.name.clone())
        .bind(shown.description.clone())
        .bind(shown.tags.clone())
        .bind(shown.category.clone());
    let entry = updated(&mut *connection, statement).await?;
    let text = search::insert_texts(1);
    search::bind_text(sqlx::query(AssertSqlSafe(text)), change.tenant, (change.kind, change.id), &shown.text)
        .execute(connection)
        .await
        .map_err(failed(CHANGING))?;
    Ok(entry)
}

async fn insert_withdrawal(
    connection: &mut AnyConnection,
    change: &EntryChange<'_>,
    version: &VersionName,
    reason: &str,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO withdrawals (tenant_id, kind, entry_id, version, reason, withdrawn_by, withdrawn_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(change.tenant.to_string())
    .bind(change.kind.to_string())
    .bind(change.id.to_string())
    .bind(version.to_string())
    .bind(reason.to_owned())
    .bind(change.actor.to_owned())
    .bind(change.at.0)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(failed(CHANGING))
}
