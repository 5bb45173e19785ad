//! Which tables the migrated schema has, asked of the database itself, so that no list can forget one: what a backup
//! carries and a restore fills.

use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Executor as _};

use super::Engine;
use super::errors::failed;
use super::rows::plain;
use crate::registry::store::StoreError;

/// A table whose rows are carried from one database to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Those of its columns that are written, in their order; what the database computes is not among them.
    pub columns: Vec<String>,
}

/// Tables that are not carried, each with the reason.
const LEFT_OUT: [(&str, &str); 2] = [
    (
        "migrations",
        "which steps were applied is told by the database that is restored into, and by the archive's number",
    ),
    (
        "_sqlx_migrations",
        "the steps of the queue of previews; its tables lie elsewhere, and what waits in it is handed out again",
    ),
];

/// Rows that are not carried, of tables that are: what holds for a moment and for hosts that are gone.
const ROWS_KEPT: [(&str, &str); 1] = [
    // A request that runs is leased to its host.
    ("idempotency_keys", "status IS NOT NULL"),
];

const WHAT: &str = "to tell its tables";

/// Full-text tables are virtual ones and their shadows: not of the type `table`.
const SQLITE_COLUMNS: &str = "SELECT tables.name AS table_name, columns.name AS column_name
     FROM pragma_table_list AS tables JOIN pragma_table_info(tables.name) AS columns
     WHERE tables.schema = 'main' AND tables.type = 'table' AND tables.name NOT LIKE 'sqlite!_%' ESCAPE '!'
     ORDER BY tables.name, columns.cid";

const SQLITE_REFERENCES: &str = "SELECT tables.name AS child, keys.\"table\" AS parent
     FROM pragma_table_list AS tables JOIN pragma_foreign_key_list(tables.name) AS keys
     WHERE tables.schema = 'main' AND tables.type = 'table'";

const POSTGRES_COLUMNS: &str = "SELECT tables.relname::text AS table_name, columns.attname::text AS column_name
     FROM pg_class AS tables JOIN pg_attribute AS columns ON columns.attrelid = tables.oid
     WHERE tables.relnamespace = current_schema()::regnamespace AND tables.relkind = 'r' AND columns.attnum > 0
           AND NOT columns.attisdropped AND columns.attgenerated = '' AND columns.atttypid <> 'tsvector'::regtype
     ORDER BY tables.relname, columns.attnum";

const POSTGRES_REFERENCES: &str = "SELECT child.relname::text AS child, parent.relname::text AS parent
     FROM pg_constraint AS keys JOIN pg_class AS child ON child.oid = keys.conrelid
          JOIN pg_class AS parent ON parent.oid = keys.confrelid
     WHERE keys.contype = 'f' AND child.relnamespace = current_schema()::regnamespace";

/// Every table that is carried, those that others refer to first.
pub(super) async fn tables(engine: Engine, connection: &mut AnyConnection) -> Result<Vec<Table>, StoreError> {
    let (columns, references) = match engine {
        Engine::Sqlite => (SQLITE_COLUMNS, SQLITE_REFERENCES),
        Engine::Postgres => (POSTGRES_COLUMNS, POSTGRES_REFERENCES),
    };
    let mut tables: Vec<Table> = Vec::new();
    for row in connection.fetch_all(columns).await.map_err(failed(WHAT))? {
        let (name, column): (String, String) = (plain(&row, "table_name")?, plain(&row, "column_name")?);
        match tables.last_mut().filter(|table| table.name == name) {
            Some(table) => table.columns.push(column),
            None => tables.push(Table { name, columns: vec![column] }),
        }
    }
    tables.retain(|table| LEFT_OUT.iter().all(|(name, _)| table.name != *name));
    let pair = |row: &AnyRow| Ok((plain(row, "child")?, plain(row, "parent")?));
    let references = connection.fetch_all(references).await.map_err(failed(WHAT))?;
    parents_first(tables, &references.iter().map(pair).collect::<Result<Vec<(String, String)>, StoreError>>()?)
}

/// Which of a table's rows are carried, as the end of a statement.
pub(super) fn rows_kept(table: &str) -> String {
    let kept = ROWS_KEPT.iter().find(|(name, _)| *name == table);
    kept.map_or_else(String::new, |(_, condition)| format!(" WHERE {condition}"))
}

/// A name as SQL carries it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Names of columns, with commas between.
pub(super) fn listed(columns: &[String]) -> String {
    columns.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(", ")
}

/// A table that refers to itself is as good as one that refers to none: its rows are checked where a statement ends.
fn parents_first(tables: Vec<Table>, references: &[(String, String)]) -> Result<Vec<Table>, StoreError> {
    let (mut sorted, mut waiting) = (Vec::with_capacity(tables.len()), tables);
    while !waiting.is_empty() {
        let names: Vec<String> = waiting.iter().map(|table| table.name.clone()).collect();
        let refers_on = |table: &Table| {
            references.iter().any(|(child, parent)| *child == table.name && parent != child && names.contains(parent))
        };
        let (later, now): (Vec<_>, Vec<_>) = waiting.into_iter().partition(refers_on);
        if now.is_empty() {
            return Err(StoreError::Broken(
                format!("tables refer to each other in a ring: {}", names.join(", ")),
                None,
            ));
        }
        sorted.extend(now);
        waiting = later;
    }
    Ok(sorted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(references: &[(&str, &str)]) -> Result<Vec<String>, StoreError> {
        let tables = ["a", "b", "c"].map(|name| Table { name: name.to_owned(), columns: Vec::new() });
        let references: Vec<_> = references.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        Ok(parents_first(tables.into(), &references)?.into_iter().map(|table| table.name).collect())
    }

    #[test]
    fn tables_follow_those_that_they_refer_to() {
        assert_eq!(sorted(&[("a", "b"), ("b", "c"), ("a", "a")]).expect("an order"), ["c", "b", "a"]);
        assert_eq!(sorted(&[]).expect("an order"), ["a", "b", "c"]);
        let ring = sorted(&[("a", "b"), ("b", "a")]).expect_err("no order").to_string();
        assert_eq!(ring, "the database refused: tables refer to each other in a ring: a, b");
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(listed(&["a".to_owned(), "b\"c".to_owned()]), "\"a\", \"b\"\"c\"");
    }
}
