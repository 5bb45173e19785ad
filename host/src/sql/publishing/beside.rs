//! What a publish writes beside its version: the words that its entry is found by, and what the version refers to.

use sqlx::{AnyConnection, AssertSqlSafe};

use super::{COMMITTING, Publish};
use crate::registry::store::{Reference, StoreError};
use crate::sql::errors::failed;
use crate::sql::rows::rows_of_places;
use crate::sql::search;

/// References that one statement writes: its arguments are counted in 16 bits.
const REFERENCES_AT_ONCE: usize = 1_000;

pub(super) async fn write_texts(
    connection: &mut AnyConnection,
    group: &[&Publish],
    open: &[usize],
) -> Result<(), StoreError> {
    let query = sqlx::query(AssertSqlSafe(search::insert_texts(open.len())));
    open.iter()
        .map(|index| group[*index])
        .fold(query, |query, publish| search::bind_text(query, &publish.tenant, publish.entry(), &publish.shown.text))
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(failed(COMMITTING))
}

pub(super) async fn insert_references(
    connection: &mut AnyConnection,
    group: &[&Publish],
    open: &[usize],
) -> Result<(), StoreError> {
    let all: Vec<(&Publish, &Reference)> = open.iter().flat_map(|index| references(group[*index])).collect();
    for some in all.chunks(REFERENCES_AT_ONCE) {
        let text = format!(
            "INSERT INTO version_references (tenant_id, kind, entry_id, version, to_kind, to_id, to_version, bindings)
             VALUES {}",
            rows_of_places(8, some.len())
        );
        some.iter()
            .fold(sqlx::query(AssertSqlSafe(text)), |query, (publish, reference)| {
                let version = reference.version.as_ref().map(ToString::to_string).unwrap_or_default();
                query
                    .bind(publish.tenant.to_string())
                    .bind(publish.version.kind.to_string())
                    .bind(publish.version.id.to_string())
                    .bind(publish.version.version.to_string())
                    .bind(reference.to.kind.to_string())
                    .bind(reference.to.id.to_string())
                    .bind(version)
                    .bind(serde_json::to_string(&reference.bindings).expect("names are plain data"))
            })
            .execute(&mut *connection)
            .await
            .map_err(failed(COMMITTING))?;
    }
    Ok(())
}

fn references(publish: &Publish) -> impl Iterator<Item = (&Publish, &Reference)> {
    publish.references.iter().map(move |reference| (publish, reference))
}
