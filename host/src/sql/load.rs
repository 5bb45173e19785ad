//! Fills an empty database with rows that a snapshot gave, on whichever engine: all of them or none.

use sqlx::{AnyConnection, AssertSqlSafe, Executor as _};

use super::errors::{DatabaseError, failed};
use super::migrations::{has_table, newest_applied, newest_of_all};
use super::rows::{name, plain};
use super::tables::{Table, listed, quoted, tables};
use super::tenants::list_within;
use super::transaction::Transaction;
use super::whose::{CARRIED, Whose, carry};
use super::{Database, Engine};
use crate::clock::Millis;
use crate::names::Tenant;
use crate::registry::store::StoreError;

impl Engine {
    /// What a load asks for beside its transaction.
    fn settings_of_load(self) -> &'static str {
        match self {
            Self::Sqlite => "PRAGMA defer_foreign_keys = ON",
            Self::Postgres => "SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL statement_timeout = 0",
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
        let mut transaction = self.writers.begin(Whose::Nobody).await.map_err(failed("to begin"))?;
        transaction.execute(self.engine.settings_of_load()).await.map_err(failed("to begin"))?;
        let tables = tables(self.engine, &mut transaction).await?;
        empty(self.engine, &mut transaction, &tables).await?;
        Ok(Load { database: self, transaction, tables })
    }

    /// Steps that came later are applied to the rows as they were to the database that the rows are of.
    async fn prepare(&self, schema: i64, at: Millis) -> Result<(), DatabaseError> {
        let failed = failed("to look for rows");
        let mut transaction = self.writers.begin(Whose::Nobody).await.map_err(&failed)?;
        let mut newest = 0;
        if has_table(self.engine, &mut transaction).await? {
            let tables = tables(self.engine, &mut transaction).await?;
            empty(self.engine, &mut transaction, &tables).await?;
            newest = newest_applied(&mut transaction).await?;
        }
        transaction.roll_back().await.map_err(&failed)?;
        if newest > schema {
            self.revert_to(schema).await?;
        }
        self.migrate_to(schema, at).await.map(|_| ())
    }
}

/// Rows of tenants are seen by who carries their tenant alone, so each is asked about.
async fn empty(engine: Engine, connection: &mut AnyConnection, tables: &[Table]) -> Result<(), DatabaseError> {
    let has_tenants = tables.iter().any(|table| table.name == "tenants");
    let tenants = if has_tenants { list_within(connection, engine).await? } else { Vec::new() };
    for whose in std::iter::once(Whose::Nobody).chain(tenants.iter().map(Whose::Of)) {
        carry(connection, engine, whose).await?;
        for table in tables {
            let select = format!("SELECT 1 FROM {} LIMIT 1", quoted(&table.name));
            let row = connection.fetch_optional(AssertSqlSafe(select)).await.map_err(failed("to look for rows"))?;
            if row.is_some() {
                return Err(DatabaseError::NotEmpty { table: table.name.clone() });
            }
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
        let text = format!("[{}]", lines.join(","));
        let written = match table.column_of_tenant().filter(|_| self.database.engine == Engine::Postgres) {
            Some(column) => self.rows_of_tenants(table, column, &text).await,
            None => self.insert(table, None, text).await,
        };
        let written = written.map_err(|error| rows(Box::new(error)))?;
        if written != u64::try_from(lines.len()).unwrap_or(u64::MAX) {
            return Err(rows(format!("{written} were written of {}", lines.len()).into()));
        }
        Ok(written)
    }

    /// One tenant's after another's: nobody writes the rows of two.
    async fn rows_of_tenants(&mut self, table: &Table, column: &str, text: &str) -> Result<u64, StoreError> {
        const WHAT: &str = "to tell whose rows are loaded";
        let ask = format!("SELECT DISTINCT one ->> '{column}' AS tenant FROM json_array_elements($1::json) AS one");
        let query = sqlx::query(AssertSqlSafe(ask)).bind(text.to_owned());
        let told = query.fetch_all(&mut *self.transaction).await.map_err(failed(WHAT))?;
        let mut written = 0;
        for row in &told {
            let tenant: Tenant = name(row, "tenant")?;
            carry(&mut self.transaction, self.database.engine, Whose::Of(&tenant)).await?;
            written += self.insert(table, Some(column), text.to_owned()).await?;
        }
        Ok(written)
    }

    async fn insert(&mut self, table: &Table, column: Option<&str>, text: String) -> Result<u64, StoreError> {
        let query = sqlx::query(AssertSqlSafe(insert(self.database.engine, table, column))).bind(text);
        let done = query.execute(&mut *self.transaction).await.map_err(failed("to load rows"))?;
        Ok(done.rows_affected())
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

/// Of all the rows, or of those of the tenant that the transaction carries.
fn insert(engine: Engine, table: &Table, column_of_tenant: Option<&str>) -> String {
    let (into, columns) = (quoted(&table.name), listed(&table.columns));
    match engine {
        Engine::Sqlite => {
            let value = |column: &String| format!("json_extract(value, '$.{}')", quoted(column).replace('\'', "''"));
            let values = table.columns.iter().map(value).collect::<Vec<_>>().join(", ");
            format!("INSERT INTO {into} ({columns}) SELECT {values} FROM json_each($1)")
        }
        Engine::Postgres => format!(
            "INSERT INTO {into} ({columns}) OVERRIDING SYSTEM VALUE
             SELECT {columns} FROM json_populate_recordset(NULL::{into}, $1::json){}",
            column_of_tenant.map_or_else(String::new, |column| format!(" WHERE {column} = {CARRIED}"))
        ),
    }
}

/// Rows that are written from here on are numbered above those that there are. SQLite does so by itself.
async fn number_on(transaction: &mut Transaction) -> Result<(), StoreError> {
    const WHAT: &str = "to number rows on";
    let identities = "SELECT tables.relname::text AS table_name, columns.attname::text AS column_name
         FROM pg_class AS tables JOIN pg_attribute AS columns ON columns.attrelid = tables.oid
         WHERE tables.relnamespace = current_schema()::regnamespace AND columns.attidentity <> ''";
    let tenants = list_within(transaction, Engine::Postgres).await?;
    for row in transaction.fetch_all(identities).await.map_err(failed(WHAT))? {
        let (table, column): (String, String) = (plain(&row, "table_name")?, plain(&row, "column_name")?);
        let (from, numbers) = (quoted(&table), quoted(&column));
        let mut newest: Option<i64> = None;
        for whose in std::iter::once(Whose::Nobody).chain(tenants.iter().map(Whose::Of)) {
            carry(transaction, Engine::Postgres, whose).await?;
            let select = format!("SELECT MAX({numbers}) AS newest FROM {from}");
            let row = transaction.fetch_one(AssertSqlSafe(select)).await.map_err(failed(WHAT))?;
            newest = newest.max(plain::<Option<i64>>(&row, "newest")?);
        }
        let query = sqlx::query("SELECT setval(pg_get_serial_sequence($1, $2), $3)").bind(from).bind(column);
        if let Some(newest) = newest {
            query.bind(newest).execute(&mut **transaction).await.map_err(failed(WHAT))?;
        }
    }
    Ok(())
}
