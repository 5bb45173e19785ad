//! The words that entries are found by, and what is found by them. The words are the host's; each engine keeps an index
//! over them as they are. What differs between the engines is one subquery.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::rows::{places, plain, rows_of_places};
use super::{Engine, Statement, entries};
use crate::names::{EntryId, KindName, Tenant};
use crate::registry::store::{FoundEntry, FoundPlace, Search, StoreError};
use crate::registry::words::{EntryText, Query};

/// Writes the words of as many entries.
pub(super) fn insert_texts(count: usize) -> String {
    format!(
        "INSERT INTO entry_texts (tenant_id, kind, entry_id, title, about, body) VALUES {}
         ON CONFLICT (tenant_id, kind, entry_id) DO UPDATE
         SET title = excluded.title, about = excluded.about, body = excluded.body",
        rows_of_places(6, count)
    )
}

/// Writes the words of one entry, where it has none.
pub(super) fn insert_missing_text() -> String {
    format!(
        "INSERT INTO entry_texts (tenant_id, kind, entry_id, title, about, body) VALUES {}
         ON CONFLICT (tenant_id, kind, entry_id) DO NOTHING",
        rows_of_places(6, 1)
    )
}

pub(super) fn bind_text(
    query: Statement,
    tenant: &Tenant,
    (kind, id): (&KindName, &EntryId),
    text: &EntryText,
) -> Statement {
    query
        .bind(tenant.to_string())
        .bind(kind.to_string())
        .bind(id.to_string())
        .bind(text.title.clone())
        .bind(text.about.clone())
        .bind(text.body.clone())
}

/// The search in the engine's own words. Those of a query have letters and digits alone, so they need no escape.
pub(super) fn sought(engine: Engine, query: &Query) -> String {
    let quoted: Vec<String> = query
        .words()
        .iter()
        .map(|word| match engine {
            Engine::Sqlite => format!("\"{word}\" *"),
            Engine::Postgres => format!("{word}:*"),
        })
        .collect();
    quoted.join(if engine == Engine::Sqlite { " AND " } else { " & " })
}

/// The kind, entry and part of everything of the tenant `$1` that the search in `place` finds.
fn found(engine: Engine, place: &str) -> String {
    let of_part = |part: &str, columns: &str| {
        format!(
            "SELECT rowid AS number, {part} AS part FROM entry_words
             WHERE entry_words MATCH '{{{columns}}} : (' || {place} || ')'"
        )
    };
    match engine {
        Engine::Sqlite => format!(
            "SELECT t.kind, t.entry_id, MIN(m.part) AS part
             FROM ({} UNION ALL {} UNION ALL {}) AS m JOIN entry_texts t ON t.number = m.number
             WHERE t.tenant_id = $1 GROUP BY t.kind, t.entry_id",
            of_part("1", "title"),
            of_part("2", "title about"),
            of_part("3", "title about body")
        ),
        Engine::Postgres => format!(
            "SELECT kind, entry_id,
                    CAST(CASE WHEN title::tsvector @@ {place}::tsquery THEN 1
                              WHEN (title || ' ' || about)::tsvector @@ {place}::tsquery THEN 2
                              ELSE 3 END AS BIGINT) AS part
             FROM entry_texts WHERE tenant_id = $1 AND words @@ {place}::tsquery"
        ),
    }
}

/// The ids of the kind `$2` that the search in `place` finds, as a condition on `entries.id`.
pub(super) fn is_found(engine: Engine, place: &str) -> String {
    let found = match engine {
        Engine::Sqlite => format!(
            "SELECT t.entry_id FROM entry_words m JOIN entry_texts t ON t.number = m.rowid
             WHERE m.entry_words MATCH {place} AND t.tenant_id = $1 AND t.kind = $2"
        ),
        Engine::Postgres => format!(
            "SELECT t.entry_id FROM entry_texts t
             WHERE t.words @@ {place}::tsquery AND t.tenant_id = $1 AND t.kind = $2"
        ),
    };
    format!("entries.id IN ({found})")
}

pub(super) fn select_found(
    engine: Engine,
    tenant: &Tenant,
    search: Search<'_>,
    after: Option<&FoundPlace>,
    limit: u32,
) -> Statement {
    let (kinds, statuses) = (search.kinds.len(), search.statuses.len());
    let text = format!(
        "SELECT {}, f.part FROM ({}) AS f
         JOIN entries e ON e.tenant_id = $1 AND e.kind = f.kind AND e.id = f.entry_id
         WHERE e.kind IN ({}) AND e.status IN ({}) AND (f.part, e.kind, e.id) > ($3, $4, $5)
         ORDER BY f.part, e.kind, e.id LIMIT $6",
        entries::columns_of("e"),
        found(engine, "$2"),
        places(7, kinds),
        places(7 + kinds, statuses),
    );
    let query = sqlx::query(AssertSqlSafe(text))
        .bind(tenant.to_string())
        .bind(sought(engine, search.query))
        .bind(after.map_or(0, |place| place.part))
        .bind(after.map_or_else(String::new, |place| place.name.kind.to_string()))
        .bind(after.map_or_else(String::new, |place| place.name.id.to_string()))
        .bind(i64::from(limit) + 1);
    let query = search.kinds.iter().fold(query, |query, kind| query.bind(kind.to_string()));
    search.statuses.iter().fold(query, |query, status| query.bind(status.as_str()))
}

pub(super) fn found_entry(row: &AnyRow) -> Result<FoundEntry, StoreError> {
    Ok(FoundEntry { entry: entries::entry(row)?, part: plain(row, "part")? })
}
