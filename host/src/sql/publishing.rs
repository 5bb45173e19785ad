//! The two transactions that change which version of an entry is active: a publish and a rollback.
//!
//! Locks are taken in one order, so that none waits in a circle: the scopes' rules, the inbox key, the entry.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe};

use super::errors::{failed, is_conflict};
use super::rows::{name, places, plain};
use super::transaction::Transaction;
use super::{Database, entries, events};
use crate::names::{Scope, VersionName};
use crate::registry::release::ReleaseRef;
use crate::registry::store::{Commit, Committed, EntryRow, Rollback, RolledBack, Store as _, StoreError};

/// Times that a transaction is run before its conflict with others is given up on.
const ATTEMPTS_MAX: usize = 5;

const COMMITTING: &str = "to commit a publish";
const ROLLING_BACK: &str = "to roll back";

pub(super) async fn commit(database: &Database, commit: &Commit<'_>) -> Result<Committed, StoreError> {
    let mut attempt = 1;
    loop {
        match commit_once(database, commit).await {
            Err(error) if is_conflict(&error) && attempt < ATTEMPTS_MAX => attempt += 1,
            result => return result,
        }
    }
}

async fn commit_once(database: &Database, commit: &Commit<'_>) -> Result<Committed, StoreError> {
    let mut transaction = database.begin().await.map_err(failed(COMMITTING))?;
    let ground = lock_rules(database, &mut transaction, commit).await?;
    if ground.active != judged(commit) {
        transaction.roll_back().await.map_err(failed(COMMITTING))?;
        return Ok(Committed::RulesMoved);
    }
    if !insert_inbox(&mut transaction, commit).await? {
        return exists(database, transaction, commit).await;
    }
    let entry = write_entry(&mut transaction, commit, ground.highest).await?;
    events::insert_decision(commit.tenant, &commit.decision)
        .execute(&mut *transaction)
        .await
        .map_err(failed(COMMITTING))?;
    if !insert_version(&mut transaction, commit).await? {
        return exists(database, transaction, commit).await;
    }
    events::insert_event(commit.tenant, &commit.event).execute(&mut *transaction).await.map_err(failed(COMMITTING))?;
    transaction.commit().await.map_err(failed(COMMITTING))?;
    Ok(Committed::Written { entry })
}

/// What a publish stands on.
struct Ground {
    /// The active releases of the scopes that could judge it, in order.
    active: Vec<ReleaseRef>,
    /// The entry's highest version. Read without a lock: only a guess, which `write_entry` checks.
    highest: Option<VersionName>,
}

fn judged(commit: &Commit<'_>) -> Vec<ReleaseRef> {
    let mut releases = commit.approved.releases().to_vec();
    releases.sort();
    releases
}

/// Reads the active releases of the scopes that judged, and keeps them from moving until the transaction ends. The
/// policies are always asked for: they may have become active after the judgement.
async fn lock_rules(
    database: &Database,
    connection: &mut AnyConnection,
    commit: &Commit<'_>,
) -> Result<Ground, StoreError> {
    let mut scopes: Vec<Scope> = commit.approved.releases().iter().map(|release| release.scope.clone()).collect();
    scopes.push(Scope::Policies);
    scopes.sort();
    scopes.dedup();
    let text = format!(
        "SELECT r.scope, r.active_number AS number, r.active_digest AS digest, e.highest_version
         FROM rulesets r LEFT JOIN entries e ON e.tenant_id = r.tenant_id AND e.kind = $2 AND e.id = $3
         WHERE r.tenant_id = $1 AND r.scope IN ({}) ORDER BY r.scope{}",
        places(4, scopes.len()),
        database.engine.keep("r")
    );
    let query = sqlx::query(AssertSqlSafe(text))
        .bind(commit.tenant.to_string())
        .bind(commit.version.kind.to_string())
        .bind(commit.version.id.to_string());
    let rows = scopes
        .iter()
        .fold(query, |query, scope| query.bind(scope.to_string()))
        .fetch_all(connection)
        .await
        .map_err(failed(COMMITTING))?;
    let highest = rows.first().map(highest_version).transpose()?.flatten();
    let mut active = Vec::with_capacity(rows.len());
    for row in &rows {
        if plain::<Option<i64>>(row, "number")?.is_some() {
            active.push(super::rules::release_ref(row)?);
        }
    }
    active.sort();
    Ok(Ground { active, highest })
}

fn highest_version(row: &AnyRow) -> Result<Option<VersionName>, StoreError> {
    match plain::<Option<&str>>(row, "highest_version")? {
        None => Ok(None),
        Some(_) => name(row, "highest_version").map(Some),
    }
}

/// False where the key is there: the version was published. On PostgreSQL it waits for a publish of the same version.
async fn insert_inbox(connection: &mut AnyConnection, commit: &Commit<'_>) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "INSERT INTO inbox (tenant_id, key, created_at) VALUES ($1, $2, $3) ON CONFLICT (tenant_id, key) DO NOTHING",
    )
    .bind(commit.tenant.to_string())
    .bind(commit.inbox_key.clone())
    .bind(commit.version.published_at.0)
    .execute(connection)
    .await
    .map_err(failed(COMMITTING))?;
    Ok(done.rows_affected() > 0)
}

/// Reads the version only after everything was taken back: what this transaction wrote says that it is active.
async fn exists(database: &Database, transaction: Transaction, commit: &Commit<'_>) -> Result<Committed, StoreError> {
    transaction.roll_back().await.map_err(failed(COMMITTING))?;
    let version = &commit.version;
    match database.version(commit.tenant, &version.kind, &version.id, Some(&version.version)).await? {
        Some(existing) => Ok(Committed::Exists { existing }),
        None => Err(StoreError::Broken("a published version is missing".to_owned(), None)),
    }
}

/// Writes the entry and takes its row. Whether the new version is the highest is known to the host alone, so the
/// statement carries the guess `seen` with its consequence, and a second one mends the rare case in which another
/// publish moved the highest version in between.
async fn write_entry(
    connection: &mut AnyConnection,
    commit: &Commit<'_>,
    seen: Option<VersionName>,
) -> Result<EntryRow, StoreError> {
    let version = &commit.version;
    let is_higher_than = |other: &VersionName| (commit.is_higher)(version.version.as_str(), other.as_str());
    let guessed = seen.clone().filter(|seen| !is_higher_than(seen)).unwrap_or_else(|| version.version.clone());
    let row = sqlx::query(
        "INSERT INTO entries (tenant_id, kind, id, name, description, status, current_version, highest_version, tags,
                              created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, 'active', $6, $6, $7, $8, $8)
         ON CONFLICT (tenant_id, kind, id) DO UPDATE SET
             name = excluded.name, description = excluded.description, current_version = excluded.current_version,
             tags = excluded.tags, updated_at = excluded.updated_at,
             highest_version = CASE WHEN entries.highest_version = $9 THEN $10 ELSE entries.highest_version END
         RETURNING kind, id, name, description, status, current_version, highest_version, tags, created_at, updated_at",
    )
    .bind(commit.tenant.to_string())
    .bind(version.kind.to_string())
    .bind(version.id.to_string())
    .bind(commit.name.clone())
    .bind(commit.description.clone())
    .bind(version.version.to_string())
    .bind(commit.tags.clone())
    .bind(version.published_at.0)
    .bind(seen.as_ref().map(VersionName::to_string))
    .bind(guessed.to_string())
    .fetch_one(&mut *connection)
    .await
    .map_err(failed(COMMITTING))?;
    let mut entry = entries::entry(&row)?;
    if entry.highest_version != guessed && is_higher_than(&entry.highest_version) {
        entry.highest_version = version.version.clone();
        raise_highest(connection, commit).await?;
    }
    Ok(entry)
}

async fn raise_highest(connection: &mut AnyConnection, commit: &Commit<'_>) -> Result<(), StoreError> {
    sqlx::query("UPDATE entries SET highest_version = $4 WHERE tenant_id = $1 AND kind = $2 AND id = $3")
        .bind(commit.tenant.to_string())
        .bind(commit.version.kind.to_string())
        .bind(commit.version.id.to_string())
        .bind(commit.version.version.to_string())
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(failed(COMMITTING))
}

/// False where the version is there although its inbox key is not.
async fn insert_version(connection: &mut AnyConnection, commit: &Commit<'_>) -> Result<bool, StoreError> {
    let version = &commit.version;
    let done = sqlx::query(
        "INSERT INTO versions (tenant_id, kind, entry_id, version, digest, submitted_digest, manifest, decision_id,
                               published_by, published_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (tenant_id, kind, entry_id, version) DO NOTHING",
    )
    .bind(commit.tenant.to_string())
    .bind(version.kind.to_string())
    .bind(version.id.to_string())
    .bind(version.version.to_string())
    .bind(version.digest.to_string())
    .bind(version.submitted_digest.to_string())
    .bind(version.manifest.to_string())
    .bind(version.decision.to_string())
    .bind(version.published_by.clone())
    .bind(version.published_at.0)
    .execute(connection)
    .await
    .map_err(failed(COMMITTING))?;
    Ok(done.rows_affected() > 0)
}

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
    let mut transaction = database.begin().await.map_err(failed(ROLLING_BACK))?;
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
