//! The schema's numbered steps, from the folder `migrations/`, compiled in. One number line serves both engines; a
//! step that only PostgreSQL has is left out on SQLite.
//!
//! sqlx's own migrator is not used: on SQLite it takes no lock, so two hosts that start at once fail, and its errors
//! do not say what to run. Here a whole run is one transaction under a lock, on both engines.

use sqlx::{AnyConnection, AssertSqlSafe, Executor as _, Row as _};

use super::errors::{DatabaseError, failed};
use super::transaction::Transaction;
use super::whose::Whose;
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

const POSTGRES: Option<Engine> = Some(Engine::Postgres);
const SQLITE: Option<Engine> = Some(Engine::Sqlite);

/// A step: its number, the engine that alone has it, and what its files are called.
macro_rules! step {
    ($number:literal, $only:expr, $digits:literal, $name:literal) => {
        Migration {
            number: $number,
            name: $name,
            only: $only,
            up: include_str!(concat!("../../../migrations/", $digits, "_", $name, ".sql")),
            down: include_str!(concat!("../../../migrations/", $digits, "_", $name, ".down.sql")),
        }
    };
}

const MIGRATIONS: &[Migration] = &[
    step!(1, None, "0001", "registry"),
    step!(2, POSTGRES, "0002", "registry.postgres"),
    step!(3, POSTGRES, "0003", "tenants.postgres"),
    step!(4, None, "0004", "audit"),
    step!(5, POSTGRES, "0005", "audit.postgres"),
    step!(6, SQLITE, "0006", "audit.sqlite"),
    step!(7, None, "0007", "governance"),
    step!(8, None, "0008", "decisions"),
    step!(9, POSTGRES, "0009", "decisions.postgres"),
    step!(10, None, "0010", "keys"),
    step!(11, POSTGRES, "0011", "keys.postgres"),
    step!(12, None, "0012", "impact"),
    step!(13, POSTGRES, "0013", "impact.postgres"),
    step!(14, None, "0014", "shadow"),
    step!(15, POSTGRES, "0015", "shadow.postgres"),
    step!(16, None, "0016", "exemptions"),
    step!(17, POSTGRES, "0017", "exemptions.postgres"),
    step!(18, None, "0018", "observing"),
    step!(20, None, "0020", "impact"),
    step!(22, None, "0022", "trust"),
    step!(24, None, "0024", "audit_blocks"),
    step!(25, POSTGRES, "0025", "audit_blocks.postgres"),
    step!(26, None, "0026", "tokens"),
    step!(27, None, "0027", "idempotency"),
    step!(28, POSTGRES, "0028", "idempotency.postgres"),
    step!(29, None, "0029", "entry_life"),
    step!(30, POSTGRES, "0030", "entry_life.postgres"),
    step!(31, None, "0031", "search"),
    step!(32, SQLITE, "0032", "search.sqlite"),
    step!(33, POSTGRES, "0033", "search.postgres"),
    step!(34, None, "0034", "standing"),
    step!(35, POSTGRES, "0035", "standing.postgres"),
    step!(37, SQLITE, "0037", "events.sqlite"),
    step!(38, POSTGRES, "0038", "events.postgres"),
    step!(39, None, "0039", "webhooks"),
    step!(40, POSTGRES, "0040", "webhooks.postgres"),
    step!(41, None, "0041", "publishers"),
    step!(42, POSTGRES, "0042", "publishers.postgres"),
    step!(43, None, "0043", "raters"),
    step!(55, None, "0055", "changes"),
    step!(56, None, "0056", "filled"),
    step!(57, POSTGRES, "0057", "filled.postgres"),
    step!(58, POSTGRES, "0058", "row_security.postgres"),
];

/// The steps that were applied are kept here, by number, with the digest of their text.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS migrations (
    number BIGINT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    applied_at BIGINT NOT NULL
)";

/// Any number that no other program takes for its own lock: "hallmark" in ASCII.
/// And a step that would leave out the rows that a policy hides fails instead.
const POSTGRES_LOCK: &str = "SET LOCAL row_security = off; SELECT pg_advisory_xact_lock(7521983763894071915)";

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
        let mut transaction = self.writers.begin(Whose::Nobody).await.map_err(failed("to begin"))?;
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
