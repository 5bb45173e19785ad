//! Fills an empty database with rows that a snapshot gave, on whichever engine: all of them or none.

use sqlx::{AssertSqlSafe, Executor as _};

use super::errors::{DatabaseError, failed};
use super::migrations::{has_table, newest_applied, newest_of_all};
use super::rows::plain;
use super::tables::{Table, listed, quoted, tables};
use super::transaction::Transaction;
use super::{Database, Engine};
use crate::clock::Millis;
use crate::registry::store::StoreError;

impl Engine {
    /// What a load asks for beside its transaction.
    fn settings_of_load(self) -> &'static str {
        match self {
            Self::Sqlite => "PRAGMA defer_foreign_keys = ON",
            Self::Postgres => {
                "SET LOCAL row_security = off; SET LOCAL idle_in_transaction_session_timeout = 0; \
                 SET LOCAL statement_timeout = 0"
            }
        }
    }
}

/// A database that is being filled. Dropped before its end, it is as empty as it was.
pub struct Load<'a> {
    database: &'a Database,
    transaction: Transaction,
    tables: Vec<Table>,
}

impl Database {
    /// Brings an empty database to the schema that the rows were taken from, and begins.
    ///
    /// # Errors
    /// `ArchiveNewer`, `NotEmpty`; the database was migrated by another binary; the database.
    pub async fn load(&self, schema: i64, at: Millis) -> Result<Load<'_>, DatabaseError> {
        if schema > newest_of_all() {
            return Err(DatabaseError::ArchiveNewer { found: schema, known: newest_of_all() });
        }
        self.prepare(schema, at).await?;
        let mut transaction = self.writers.begin().await.map_err(failed("to begin"))?;
        transaction.execute(self.engine.settings_of_load()).await.map_err(failed("to begin"))?;
        let tables = tables(self.engine, &mut transaction).await?;
        empty(&mut transaction, &tables).await?;
        Ok(Load { database: self, transaction, tables })
    }

    /// Steps that came later are applied to the rows as they were to the database that the rows are of.
    async fn prepare(&self, schema: i64, at: Millis) -> Result<(), DatabaseError> {
        let mut connection = self.readers.acquire().await.map_err(failed("to connect"))?;
        if has_table(self.engine, &mut connection).await? {
            let tables = tables(self.engine, &mut connection).await?;
            empty(&mut connection, &tables).await?;
            if newest_applied(&mut connection).await? > schema {
                drop(connection);
                self.revert_to(schema).await?;
            }
        }
        self.migrate_to(schema, at).await.map(|_| ())
    }
}

async fn empty(connection: &mut sqlx::AnyConnection, tables: &[Table]) -> Result<(), DatabaseError> {
    for table in tables {
        let select = format!("SELECT 1 FROM {} LIMIT 1", quoted(&table.name));
        let row = connection.fetch_optional(AssertSqlSafe(select)).await.map_err(failed("to look for rows"))?;
        if row.is_some() {
            return Err(DatabaseError::NotEmpty { table: table.name.clone() });
        }
    }
    Ok(())
}

impl Load<'_> {
    /// Makes sure that the rows of a table can be written. False where this schema has no such table: it belongs to
    /// another program, or to the other engine.
    ///
    /// # Errors
    /// `NoColumn`.
    pub fn fits(&self, table: &Table) -> Result<bool, DatabaseError> {
        let Some(own) = self.tables.iter().find(|own| own.name == table.name) else { return Ok(false) };
        match table.columns.iter().find(|column| !own.columns.contains(column)) {
            None => Ok(true),
            Some(column) => Err(DatabaseError::NoColumn { table: table.name.clone(), column: column.clone() }),
        }
    }

    /// Writes rows: JSON objects, a line each.
    ///
    /// # Errors
    /// `Rows`.
    pub async fn rows(&mut self, table: &Table, lines: &str) -> Result<u64, DatabaseError> {
        let rows = |cause| DatabaseError::Rows { table: table.name.clone(), cause };
        let lines: Vec<&str> = lines.lines().collect();
        let query = sqlx::query(AssertSqlSafe(insert(self.database.engine, table)));
        let done = query.bind(format!("[{}]", lines.join(","))).execute(&mut *self.transaction).await;
        let written = done.map_err(|error| rows(Box::new(error)))?.rows_affected();
        if written != u64::try_from(lines.len()).unwrap_or(u64::MAX) {
            return Err(rows(format!("{written} were written of {}", lines.len()).into()));
        }
        Ok(written)
    }

    /// Keeps what was written, and applies the steps that came after the rows' schema.
    ///
    /// # Errors
    /// The database.
    pub async fn end(mut self, at: Millis) -> Result<(), DatabaseError> {
        if self.database.engine == Engine::Postgres {
            number_on(&mut self.transaction).await?;
        }
        self.transaction.commit().await.map_err(failed("to commit the rows"))?;
        self.database.migrate(at).await.map(|_| ())
    }
}

fn insert(engine: Engine, table: &Table) -> String {
    let (into, columns) = (quoted(&table.name), listed(&table.columns));
    match engine {
        Engine::Sqlite => {
            let value = |column: &String| format!("json_extract(value, '$.{}')", quoted(column).replace('\'', "''"));
            let values = table.columns.iter().map(value).collect::<Vec<_>>().join(", ");
            format!("INSERT INTO {into} ({columns}) SELECT {values} FROM json_each($1)")
        }
        Engine::Postgres => format!(
            "INSERT INTO {into} ({columns}) OVERRIDING SYSTEM VALUE
             SELECT {columns} FROM json_populate_recordset(NULL::{into}, $1::json)"
        ),
    }
}

/// Rows that are written from here on are numbered above those that there are. SQLite does so by itself.
async fn number_on(transaction: &mut Transaction) -> Result<(), StoreError> {
    const WHAT: &str = "to number rows on";
    let identities = "SELECT tables.relname::text AS table_name, columns.attname::text AS column_name
         FROM pg_class AS tables JOIN pg_attribute AS columns ON columns.attrelid = tables.oid
         WHERE tables.relnamespace = current_schema()::regnamespace AND columns.attidentity <> ''";
    for row in transaction.fetch_all(identities).await.map_err(failed(WHAT))? {
        let (table, column): (String, String) = (plain(&row, "table_name")?, plain(&row, "column_name")?);
        let (from, numbers) = (quoted(&table), quoted(&column));
        let text = format!(
            "SELECT setval(pg_get_serial_sequence($1, $2), newest)
             FROM (SELECT MAX({numbers}) AS newest FROM {from}) AS rows WHERE newest IS NOT NULL"
        );
        let query = sqlx::query(AssertSqlSafe(text)).bind(from).bind(column);
        query.execute(&mut **transaction).await.map_err(failed(WHAT))?;
    }
    Ok(())
}
