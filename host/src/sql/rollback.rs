//! The transaction of a rollback.

use sqlx::{AnyConnection, AssertSqlSafe};

use super::errors::{failed, is_conflict};
use super::{Database, audit, entries, events};
use crate::registry::audit::AuditRecord;
use crate::registry::store::{EntryRow, Rollback, RolledBack, StoreError};

/// Times that a transaction is run before its conflict with others is given up on.
const ATTEMPTS_MAX: usize = 5;

const ROLLING_BACK: &str = "to roll back";

pub(super) async fn roll_back(database: &Database, rollback: &Rollback<'_>) -> Result<RolledBack, StoreError> {
    let mut attempt = 1;
    loop {
        match roll_back_once(database, rollback).await {
            Err(error) if is_conflict(&error) && attempt < ATTEMPTS_MAX => attempt += 1,
            result => return result,
        }
    }
}

async fn roll_back_once(database: &Database, rollback: &Rollback<'_>) -> Result<RolledBack, StoreError> {
    let mut transaction = database.writers.begin().await.map_err(failed(ROLLING_BACK))?;
    let unchanged = match lock_entry(database, &mut transaction, rollback).await? {
        None => RolledBack::NoEntry,
        Some(_) if !has_target(&mut transaction, rollback).await? => RolledBack::NoVersion,
        Some(entry) if entry.current_version == *rollback.target => {
            RolledBack::Done { previous: entry.current_version.clone(), entry }
        }
        Some(before) => {
            let entry = move_entry(&mut transaction, rollback).await?;
            events::insert_event(rollback.tenant, &rollback.event)
                .execute(&mut *transaction)
                .await
                .map_err(failed(ROLLING_BACK))?;
            let (of, previous) = ((rollback.kind, rollback.id), &before.current_version);
            let record = AuditRecord::rolled_back(rollback.actor, of, rollback.target, previous, rollback.at);
            audit::insert(&mut transaction, rollback.tenant, &[record]).await?;
            transaction.commit().await.map_err(failed(ROLLING_BACK))?;
            return Ok(RolledBack::Done { previous: before.current_version, entry });
        }
    };
    transaction.roll_back().await.map_err(failed(ROLLING_BACK))?;
    Ok(unchanged)
}

async fn has_target(connection: &mut AnyConnection, rollback: &Rollback<'_>) -> Result<bool, StoreError> {
    let row = entries::select_version(rollback.tenant, rollback.kind, rollback.id, Some(rollback.target))
        .fetch_optional(connection)
        .await
        .map_err(failed(ROLLING_BACK))?;
    Ok(row.is_some())
}

async fn lock_entry(
    database: &Database,
    connection: &mut AnyConnection,
    rollback: &Rollback<'_>,
) -> Result<Option<EntryRow>, StoreError> {
    let text = format!(
        "SELECT kind, id, name, description, status, current_version, highest_version, tags, created_at, updated_at
         FROM entries WHERE tenant_id = $1 AND kind = $2 AND id = $3{}",
        database.engine.take()
    );
    let row = sqlx::query(AssertSqlSafe(text))
        .bind(rollback.tenant.to_string())
        .bind(rollback.kind.to_string())
        .bind(rollback.id.to_string())
        .fetch_optional(connection)
        .await
        .map_err(failed(ROLLING_BACK))?;
    row.as_ref().map(entries::entry).transpose()
}

async fn move_entry(connection: &mut AnyConnection, rollback: &Rollback<'_>) -> Result<EntryRow, StoreError> {
    let row = sqlx::query(
        "UPDATE entries SET name = $4, description = $5, tags = $6, current_version = $7, updated_at = $8
         WHERE tenant_id = $1 AND kind = $2 AND id = $3
         RETURNING kind, id, name, description, status, current_version, highest_version, tags, created_at, updated_at",
    )
    .bind(rollback.tenant.to_string())
    .bind(rollback.kind.to_string())
    .bind(rollback.id.to_string())
    .bind(rollback.name.clone())
    .bind(rollback.description.clone())
    .bind(rollback.tags.clone())
    .bind(rollback.target.to_string())
    .bind(rollback.at.0)
    .fetch_one(connection)
    .await
    .map_err(failed(ROLLING_BACK))?;
    entries::entry(&row)
}
