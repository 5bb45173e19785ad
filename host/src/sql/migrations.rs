//! The schema's numbered steps, from the folder `migrations/`, compiled in. One number line serves both engines; a
//! step that only PostgreSQL has is left out on SQLite.
//!
//! sqlx's own migrator is not used: on SQLite it takes no lock, so two hosts that start at once fail, and its errors
//! do not say what to run. Here a whole run is one transaction under a lock, on both engines.

use sqlx::{AnyConnection, AssertSqlSafe, Executor as _, Row as _};

use super::errors::{DatabaseError, failed};
use super::transaction::Transaction;
use super::{Database, Engine};
use crate::clock::Millis;
use crate::names::Digest;
use crate::registry::store::StoreError;

struct Migration {
    number: i64,
    name: &'static str,
    only: Option<Engine>,
    up: &'static str,
    down: &'static str,
}

const MIGRATIONS: &[Migration] = &[
    Migration {
        number: 1,
        name: "registry",
        only: None,
        up: include_str!("../../../migrations/0001_registry.sql"),
        down: include_str!("../../../migrations/0001_registry.down.sql"),
    },
    Migration {
        number: 2,
        name: "registry.postgres",
        only: Some(Engine::Postgres),
        up: include_str!("../../../migrations/0002_registry.postgres.sql"),
        down: include_str!("../../../migrations/0002_registry.postgres.down.sql"),
    },
    Migration {
        number: 3,
        name: "tenants.postgres",
        only: Some(Engine::Postgres),
        up: include_str!("../../../migrations/0003_tenants.postgres.sql"),
        down: include_str!("../../../migrations/0003_tenants.postgres.down.sql"),
    },
    Migration {
        number: 4,
        name: "audit",
        only: None,
        up: include_str!("../../../migrations/0004_audit.sql"),
        down: include_str!("../../../migrations/0004_audit.down.sql"),
    },
    Migration {
        number: 5,
        name: "audit.postgres",
        only: Some(Engine::Postgres),
        up: include_str!("../../../migrations/0005_audit.postgres.sql"),
        down: include_str!("../../../migrations/0005_audit.postgres.down.sql"),
    },
    Migration {
        number: 6,
        name: "audit.sqlite",
        only: Some(Engine::Sqlite),
        up: include_str!("../../../migrations/0006_audit.sqlite.sql"),
        down: include_str!("../../../migrations/0006_audit.sqlite.down.sql"),
    },
    Migration {
        number: 7,
        name: "governance",
        only: None,
        up: include_str!("../../../migrations/0007_governance.sql"),
        down: include_str!("../../../migrations/0007_governance.down.sql"),
    },
    Migration {
        number: 8,
        name: "decisions",
        only: None,
        up: include_str!("../../../migrations/0008_decisions.sql"),
        down: include_str!("../../../migrations/0008_decisions.down.sql"),
    },
    Migration {
        number: 9,
        name: "decisions.postgres",
        only: Some(Engine::Postgres),
        up: include_str!("../../../migrations/0009_decisions.postgres.sql"),
        down: include_str!("../../../migrations/0009_decisions.postgres.down.sql"),
    },
    Migration {
        number: 10,
        name: "keys",
        only: None,
        up: include_str!("../../../migrations/0010_keys.sql"),
        down: include_str!("../../../migrations/0010_keys.down.sql"),
    },
    Migration {
        number: 11,
        name: "keys.postgres",
        only: Some(Engine::Postgres),
        up: include_str!("../../../migrations/0011_keys.postgres.sql"),
        down: include_str!("../../../migrations/0011_keys.postgres.down.sql"),
    },
    Migration {
        number: 12,
        name: "impact",
        only: None,
        up: include_str!("../../../migrations/0012_impact.sql"),
        down: include_str!("../../../migrations/0012_impact.down.sql"),
    },
    Migration {
        number: 13,
        name: "impact.postgres",
        only: Some(Engine::Postgres),
        up: include_str!("../../../migrations/0013_impact.postgres.sql"),
        down: include_str!("../../../migrations/0013_impact.postgres.down.sql"),
    },
    Migration {
        number: 14,
        name: "shadow",
        only: None,
        up: include_str!("../../../migrations/0014_shadow.sql"),
        down: include_str!("../../../migrations/0014_shadow.down.sql"),
    },
    Migration {
        number: 15,
        name: "shadow.postgres",
        only: Some(Engine::Postgres),
        up: include_str!("../../../migrations/0015_shadow.postgres.sql"),
        down: include_str!("../../../migrations/0015_shadow.postgres.down.sql"),
    },
    Migration {
        number: 16,
        name: "exemptions",
        only: None,
        up: include_str!("../../../migrations/0016_exemptions.sql"),
        down: include_str!("../../../migrations/0016_exemptions.down.sql"),
    },
    Migration {
        number: 17,
        name: "exemptions.postgres",
        only: Some(Engine::Postgres),
        up: include_str!("../../../migrations/0017_exemptions.postgres.sql"),
        down: include_str!("../../../migrations/0017_exemptions.postgres.down.sql"),
    },
    Migration {
        number: 18,
        name: "observing",
        only: None,
        up: include_str!("../../../migrations/0018_observing.sql"),
        down: include_str!("../../../migrations/0018_observing.down.sql"),
    },
    Migration {
        number: 20,
        name: "impact",
        only: None,
        up: include_str!("../../../migrations/0020_impact.sql"),
        down: include_str!("../../../migrations/0020_impact.down.sql"),
    },
    Migration {
        number: 22,
        name: "trust",
        only: None,
        up: include_str!("../../../migrations/0022_trust.sql"),
        down: include_str!("../../../migrations/0022_trust.down.sql"),
    },
    Migration {
        number: 24,
        name: "audit_blocks",
        only: None,
        up: include_str!("../../../migrations/0024_audit_blocks.sql"),
        down: include_str!("../../../migrations/0024_audit_blocks.down.sql"),
    },
    Migration {
        number: 25,
        name: "audit_blocks.postgres",
        only: Some(Engine::Postgres),
        up: include_str!("../../../migrations/0025_audit_blocks.postgres.sql"),
        down: include_str!("../../../migrations/0025_audit_blocks.postgres.down.sql"),
    },
    Migration {
        number: 26,
        name: "tokens",
        only: None,
        up: include_str!("../../../migrations/0026_tokens.sql"),
        down: include_str!("../../../migrations/0026_tokens.down.sql"),
    },
    Migration {
        number: 27,
        name: "idempotency",
        only: None,
        up: include_str!("../../../migrations/0027_idempotency.sql"),
        down: include_str!("../../../migrations/0027_idempotency.down.sql"),
    },
    Migration {
        number: 28,
        name: "idempotency.postgres",
        only: Some(Engine::Postgres),
        up: include_str!("../../../migrations/0028_idempotency.postgres.sql"),
        down: include_str!("../../../migrations/0028_idempotency.postgres.down.sql"),
    },
    Migration {
        number: 29,
        name: "entry_life",
        only: None,
        up: include_str!("../../../migrations/0029_entry_life.sql"),
        down: include_str!("../../../migrations/0029_entry_life.down.sql"),
    },
    Migration {
        number: 30,
        name: "entry_life.postgres",
        only: Some(Engine::Postgres),
        up: include_str!("../../../migrations/0030_entry_life.postgres.sql"),
        down: include_str!("../../../migrations/0030_entry_life.postgres.down.sql"),
    },
    Migration {
        number: 31,
        name: "search",
        only: None,
        up: include_str!("../../../migrations/0031_search.sql"),
        down: include_str!("../../../migrations/0031_search.down.sql"),
    },
    Migration {
        number: 32,
        name: "search.sqlite",
        only: Some(Engine::Sqlite),
        up: include_str!("../../../migrations/0032_search.sqlite.sql"),
        down: include_str!("../../../migrations/0032_search.sqlite.down.sql"),
    },
    Migration {
        number: 33,
        name: "search.postgres",
        only: Some(Engine::Postgres),
        up: include_str!("../../../migrations/0033_search.postgres.sql"),
        down: include_str!("../../../migrations/0033_search.postgres.down.sql"),
    },
    Migration {
        number: 34,
        name: "standing",
        only: None,
        up: include_str!("../../../migrations/0034_standing.sql"),
        down: include_str!("../../../migrations/0034_standing.down.sql"),
    },
    Migration {
        number: 35,
        name: "standing.postgres",
        only: Some(Engine::Postgres),
        up: include_str!("../../../migrations/0035_standing.postgres.sql"),
        down: include_str!("../../../migrations/0035_standing.postgres.down.sql"),
    },
    Migration {
        number: 37,
        name: "events.sqlite",
        only: Some(Engine::Sqlite),
        up: include_str!("../../../migrations/0037_events.sqlite.sql"),
        down: include_str!("../../../migrations/0037_events.sqlite.down.sql"),
    },
    Migration {
        number: 38,
        name: "events.postgres",
        only: Some(Engine::Postgres),
        up: include_str!("../../../migrations/0038_events.postgres.sql"),
        down: include_str!("../../../migrations/0038_events.postgres.down.sql"),
    },
    Migration {
        number: 39,
        name: "webhooks",
        only: None,
        up: include_str!("../../../migrations/0039_webhooks.sql"),
        down: include_str!("../../../migrations/0039_webhooks.down.sql"),
    },
    Migration {
        number: 40,
        name: "webhooks.postgres",
        only: Some(Engine::Postgres),
        up: include_str!("../../../migrations/0040_webhooks.postgres.sql"),
        down: include_str!("../../../migrations/0040_webhooks.postgres.down.sql"),
    },
    Migration {
        number: 55,
        name: "changes",
        only: None,
        up: include_str!("../../../migrations/0055_changes.sql"),
        down: include_str!("../../../migrations/0055_changes.down.sql"),
    },
    Migration {
        number: 56,
        name: "filled",
        only: None,
        up: include_str!("../../../migrations/0056_filled.sql"),
        down: include_str!("../../../migrations/0056_filled.down.sql"),
    },
    Migration {
        number: 57,
        name: "filled.postgres",
        only: Some(Engine::Postgres),
        up: include_str!("../../../migrations/0057_filled.postgres.sql"),
        down: include_str!("../../../migrations/0057_filled.postgres.down.sql"),
    },
];

/// The steps that were applied are kept here, by number, with the digest of their text.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS migrations (
    number BIGINT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    applied_at BIGINT NOT NULL
)";

/// Any number that no other program takes for its own lock: "hallmark" in ASCII.
const POSTGRES_LOCK: &str = "SELECT pg_advisory_xact_lock(7521983763894071915)";

impl Migration {
    fn digest(&self) -> Digest {
        Digest::of(self.up.as_bytes())
    }
}

fn of(engine: Engine) -> impl DoubleEndedIterator<Item = &'static Migration> {
    MIGRATIONS.iter().filter(move |migration| migration.only.is_none_or(|only| only == engine))
}

/// What an applied step was.
struct Applied {
    number: i64,
    digest: String,
}

impl Database {
    /// Applies every step that is missing and gives their numbers. Hosts that start at once wait for each other.
    ///
    /// # Errors
    /// The database was migrated by another binary, or a step failed.
    pub async fn migrate(&self, at: Millis) -> Result<Vec<i64>, DatabaseError> {
        self.migrate_to(i64::MAX, at).await
    }

    /// Applies every step up to `number` that is missing and gives their numbers.
    ///
    /// # Errors
    /// The database was migrated by another binary, or a step failed.
    pub(super) async fn migrate_to(&self, number: i64, at: Millis) -> Result<Vec<i64>, DatabaseError> {
        let mut transaction = self.lock_schema().await?;
        transaction.execute(TABLE).await.map_err(failed("to make the migrations' table"))?;
        let applied = applied(&mut transaction).await?;
        known(self.engine, &applied)?;
        let mut numbers = Vec::new();
        let is_missing = |migration: &&Migration| applied.iter().all(|row| row.number != migration.number);
        for migration in of(self.engine).filter(|migration| migration.number <= number).filter(is_missing) {
            run(&mut transaction, migration.number, migration.up).await?;
            sqlx::query("INSERT INTO migrations (number, name, digest, applied_at) VALUES ($1, $2, $3, $4)")
                .bind(migration.number)
                .bind(migration.name)
                .bind(String::from(migration.digest()))
                .bind(at.0)
                .execute(&mut *transaction)
                .await
                .map_err(failed("to note a migration"))?;
            numbers.push(migration.number);
        }
        transaction.commit().await.map_err(failed("to commit the migrations"))?;
        Ok(numbers)
    }

    /// Takes back every step above `number` and gives their numbers, newest first. What they held is lost.
    ///
    /// # Errors
    /// No step has the number, the database was never migrated or by another binary, or a step failed.
    pub async fn revert_to(&self, number: i64) -> Result<Vec<i64>, DatabaseError> {
        if number != 0 && MIGRATIONS.iter().all(|migration| migration.number != number) {
            return Err(DatabaseError::NoMigration { number, known: newest_of_all() });
        }
        let mut transaction = self.lock_schema().await?;
        if !has_table(self.engine, &mut transaction).await? {
            transaction.roll_back().await.map_err(failed("to look for its tables"))?;
            return Err(DatabaseError::Missing);
        }
        let applied = applied(&mut transaction).await?;
        known(self.engine, &applied)?;
        let mut numbers = Vec::new();
        for row in applied.iter().rev().filter(|row| row.number > number) {
            let Some(migration) = of(self.engine).find(|migration| migration.number == row.number) else { continue };
            run(&mut transaction, migration.number, migration.down).await?;
            sqlx::query("DELETE FROM migrations WHERE number = $1")
                .bind(migration.number)
                .execute(&mut *transaction)
                .await
                .map_err(failed("to note a migration"))?;
            numbers.push(migration.number);
        }
        transaction.commit().await.map_err(failed("to commit the migrations"))?;
        Ok(numbers)
    }

    /// Makes sure that the schema is the one this binary was written for.
    ///
    /// # Errors
    /// It is not; the text says what to run.
    pub async fn check_schema(&self) -> Result<(), DatabaseError> {
        let mut connection = self.readers.acquire().await.map_err(failed("to connect"))?;
        if !has_table(self.engine, &mut connection).await? {
            return Err(DatabaseError::Missing);
        }
        let applied = applied(&mut connection).await?;
        known(self.engine, &applied)?;
        let needed = newest(self.engine);
        match applied.last() {
            None => Err(DatabaseError::Missing),
            Some(last) if last.number < needed => Err(DatabaseError::Behind { found: last.number, needed }),
            Some(_) => Ok(()),
        }
    }

    async fn lock_schema(&self) -> Result<Transaction, StoreError> {
        let mut transaction = self.writers.begin().await.map_err(failed("to begin"))?;
        if self.engine == Engine::Postgres {
            transaction.execute(POSTGRES_LOCK).await.map_err(failed("to lock the schema"))?;
        }
        Ok(transaction)
    }
}

async fn run(connection: &mut AnyConnection, number: i64, script: &'static str) -> Result<(), DatabaseError> {
    match connection.execute(AssertSqlSafe(script)).await {
        Ok(_) => Ok(()),
        Err(error) => Err(DatabaseError::Failed { number, cause: Box::new(error) }),
    }
}

pub(super) async fn has_table(engine: Engine, connection: &mut AnyConnection) -> Result<bool, StoreError> {
    let question = match engine {
        Engine::Sqlite => "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'migrations'",
        Engine::Postgres => "SELECT 1 WHERE to_regclass('migrations') IS NOT NULL",
    };
    let row = connection.fetch_optional(question).await.map_err(failed("to look for its tables"))?;
    Ok(row.is_some())
}

async fn applied(connection: &mut AnyConnection) -> Result<Vec<Applied>, StoreError> {
    let rows = connection
        .fetch_all("SELECT number, digest FROM migrations ORDER BY number")
        .await
        .map_err(failed("to read the migrations"))?;
    rows.iter()
        .map(|row| Ok(Applied { number: row.try_get("number")?, digest: row.try_get("digest")? }))
        .collect::<Result<_, sqlx::Error>>()
        .map_err(failed("to read the migrations"))
}

fn newest(engine: Engine) -> i64 {
    of(engine).last().map_or(0, |migration| migration.number)
}

/// The newest step of any engine.
pub(super) fn newest_of_all() -> i64 {
    MIGRATIONS.last().map_or(0, |migration| migration.number)
}

/// The newest step that was applied; 0 where none was.
pub(super) async fn newest_applied(connection: &mut AnyConnection) -> Result<i64, StoreError> {
    Ok(applied(connection).await?.last().map_or(0, |row| row.number))
}

/// Makes sure that every applied step is one of this binary's, with the same text.
fn known(engine: Engine, applied: &[Applied]) -> Result<(), DatabaseError> {
    for row in applied {
        match of(engine).find(|migration| migration.number == row.number) {
            Some(migration) if migration.digest().as_str() == row.digest => {}
            None if row.number > newest(engine) => {
                let found = applied.last().map_or(row.number, |last| last.number);
                return Err(DatabaseError::Newer { found, known: newest(engine) });
            }
            Some(_) | None => return Err(DatabaseError::Changed { number: row.number }),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_every_file_of_the_folder_under_growing_numbers() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .expect("the folder")
            .map(|file| file.expect("a file").file_name().into_string().expect("a name"))
            .collect();
        files.sort();
        let mut expected: Vec<_> = MIGRATIONS
            .iter()
            .flat_map(|it| ["", ".down"].map(|down| format!("{:04}_{}{down}.sql", it.number, it.name)))
            .collect();
        expected.sort();
        assert_eq!(files, expected);
        assert!(MIGRATIONS.is_sorted_by(|one, next| one.number < next.number));
    }
}
