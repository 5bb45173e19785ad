//! The rows of every table as they stood at one instant, read while others write: what a backup is made of. Each row
//! is a JSON object by the names of its columns, which the database itself writes, so that either engine reads it.

use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, Executor as _};

use super::errors::{DatabaseError, failed};
use super::migrations::newest_applied;
use super::rows::{name, plain};
use super::tables::{Table, listed, quoted, rows_kept, tables};
use super::transaction::Transaction;
use super::{Database, Engine};
use crate::names::Digest;
use crate::registry::store::StoreError;

const WHAT: &str = "to read a table";

impl Engine {
    /// Begins a transaction that sees one instant and may take its time. PostgreSQL refuses to leave out the rows that
    /// a policy hides, instead of leaving them out.
    fn begin_snapshot(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN",
            Self::Postgres => {
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL row_security = off; \
                 SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL statement_timeout = 0"
            }
        }
    }
}

/// What the database held at one instant. Others write on; SQLite's journal grows meanwhile.
pub struct Snapshot {
    engine: Engine,
    transaction: Transaction,
    /// The newest migration that was applied.
    pub schema: i64,
    /// The tables that are carried, those that others refer to first.
    pub tables: Vec<Table>,
}

impl Database {
    /// Holds the instant.
    ///
    /// # Errors
    /// The schema is not this binary's; the database.
    pub async fn snapshot(&self) -> Result<Snapshot, DatabaseError> {
        self.check_schema().await?;
        let begin = self.engine.begin_snapshot().to_owned();
        let mut transaction = Transaction::begin(&self.readers, begin).await.map_err(failed("to begin"))?;
        let schema = newest_applied(&mut transaction).await?;
        let tables = tables(self.engine, &mut transaction).await?;
        Ok(Snapshot { engine: self.engine, transaction, schema, tables })
    }
}

impl Snapshot {
    /// Gives each row of a table to `take`, as one line of JSON, and says how many there were.
    ///
    /// # Errors
    /// The database, and whatever `take` says.
    pub async fn rows<E: From<StoreError>>(
        &mut self,
        table: &Table,
        mut take: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<u64, E> {
        let text = select(self.engine, table);
        let mut rows = self.transaction.fetch(sqlx::query(AssertSqlSafe(text)));
        let mut count = 0;
        while let Some(row) = rows.try_next().await.map_err(failed(WHAT))? {
            take(plain(&row, "line")?)?;
            count += 1;
        }
        Ok(count)
    }

    /// The components that rows name, of every tenant.
    ///
    /// # Errors
    /// The database.
    pub async fn components(&mut self) -> Result<Vec<Digest>, StoreError> {
        let select = "SELECT DISTINCT digest FROM plugins ORDER BY digest";
        let rows = self.transaction.fetch_all(select).await.map_err(failed("to read the plugins"))?;
        rows.iter().map(|row| name(row, "digest")).collect()
    }

    /// Lets the instant go.
    ///
    /// # Errors
    /// The database.
    pub async fn end(self) -> Result<(), StoreError> {
        self.transaction.roll_back().await.map_err(failed(WHAT))
    }
}

fn select(engine: Engine, table: &Table) -> String {
    let Table { name, columns } = table;
    let (from, kept) = (quoted(name), rows_kept(name));
    match engine {
        Engine::Sqlite => {
            let member = |column: &String| format!("'{}', {}", column.replace('\'', "''"), quoted(column));
            let members = columns.iter().map(member).collect::<Vec<_>>().join(", ");
            format!("SELECT json_object({members}) AS line FROM {from}{kept}")
        }
        Engine::Postgres => {
            format!(
                "SELECT row_to_json(kept)::text AS line FROM (SELECT {} FROM {from}{kept}) AS kept",
                listed(columns)
            )
        }
    }
}
