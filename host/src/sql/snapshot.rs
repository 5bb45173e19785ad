//! The rows of every table as they stood at one instant, read while others write: what a backup is made of. Each row
//! is a JSON object by the names of its columns, which the database itself writes, so that either engine reads it.

use std::collections::BTreeSet;

use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, Executor as _};

use super::errors::{DatabaseError, failed};
use super::migrations::newest_applied;
use super::rows::{name, plain};
use super::tables::{Table, listed, quoted, rows_kept, tables};
use super::tenants::list_within;
use super::transaction::Transaction;
use super::whose::{CARRIED, Whose, carry};
use super::{Database, Engine};
use crate::names::{Digest, Tenant};
use crate::registry::store::StoreError;

const WHAT: &str = "to read a table";

impl Engine {
    /// Begins a transaction that sees one instant and may take its time.
    fn begin_snapshot(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN",
            Self::Postgres => {
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL statement_timeout = 0"
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
    tenants: Vec<Tenant>,
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
        let tenants = list_within(&mut transaction, self.engine).await?;
        Ok(Snapshot { engine: self.engine, transaction, schema, tables, tenants })
    }
}

impl Snapshot {
    /// Gives each row of a table to `take`, as one line of JSON, and says how many there were. On PostgreSQL it reads
    /// one tenant's after another's, as everybody must.
    ///
    /// # Errors
    /// The database, and whatever `take` says.
    pub async fn rows<E: From<StoreError>>(
        &mut self,
        table: &Table,
        mut take: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<u64, E> {
        if self.engine == Engine::Sqlite {
            return self.rows_of(table, None, &mut take).await;
        }
        let Some(column) = table.column_of_tenant() else {
            // What a policy hides of another program's table is not left out: PostgreSQL refuses to.
            self.say("SET LOCAL row_security = off").await?;
            let count = self.rows_of(table, None, &mut take).await?;
            self.say("SET LOCAL row_security = on").await?;
            return Ok(count);
        };
        let mut count = 0;
        for tenant in self.tenants.clone() {
            carry(&mut self.transaction, self.engine, Whose::Of(&tenant)).await?;
            count += self.rows_of(table, Some(format!("{column} = {CARRIED}")), &mut take).await?;
        }
        Ok(count)
    }

    async fn say(&mut self, statement: &'static str) -> Result<(), StoreError> {
        self.transaction.execute(statement).await.map(|_| ()).map_err(failed(WHAT))
    }

    async fn rows_of<E: From<StoreError>>(
        &mut self,
        table: &Table,
        of_tenant: Option<String>,
        take: &mut impl FnMut(&str) -> Result<(), E>,
    ) -> Result<u64, E> {
        let text = select(self.engine, table, of_tenant);
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
        let mut all = BTreeSet::new();
        for tenant in self.tenants.clone() {
            carry(&mut self.transaction, self.engine, Whose::Of(&tenant)).await?;
            let select = sqlx::query("SELECT digest FROM plugins WHERE tenant_id = $1").bind(tenant.to_string());
            let rows = select.fetch_all(&mut *self.transaction).await.map_err(failed("to read the plugins"))?;
            for row in &rows {
                all.insert(name(row, "digest")?);
            }
        }
        Ok(all.into_iter().collect())
    }

    /// Lets the instant go.
    ///
    /// # Errors
    /// The database.
    pub async fn end(self) -> Result<(), StoreError> {
        self.transaction.roll_back().await.map_err(failed(WHAT))
    }
}

fn select(engine: Engine, table: &Table, of_tenant: Option<String>) -> String {
    let Table { name, columns } = table;
    let (from, kept) = (quoted(name), conditions(rows_kept(name).map(str::to_owned).into_iter().chain(of_tenant)));
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

fn conditions(all: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = all.collect();
    if all.is_empty() { String::new() } else { format!(" WHERE {}", all.join(" AND ")) }
}
