//! What a publish writes beside its version: the words that its entry is found by, and what the version refers to.

use sqlx::{AnyConnection, AssertSqlSafe};

use super::{COMMITTING, Publish, Told};
use crate::names::{EntryId, KindName, Tenant, VersionName};
use crate::registry::store::{Expected, Reference, StoreError, VersionRow};
use crate::sql::Statement;
use crate::sql::entries;
use crate::sql::errors::failed;
use crate::sql::rows::rows_of_places;
use crate::sql::search;

/// References that one statement writes: its arguments are counted in 16 bits.
const REFERENCES_AT_ONCE: usize = 1_000;

/// Tells those whose entries are not what was expected of them; true where there are any. What it looks at stays so until
/// the transaction ends.
pub(super) async fn tell_overtaken(
    connection: &mut AnyConnection,
    group: &[&Publish],
    open: &[usize],
    told: &mut [Option<Told>],
) -> Result<bool, StoreError> {
    let mut any = false;
    for index in open.iter().filter(|index| group[**index].expected != Expected::Anything) {
        let (publish, (kind, id)) = (group[*index], group[*index].entry());
        // An update that changes nothing takes the row on either engine.
        let text = format!(
            "UPDATE entries SET updated_at = updated_at WHERE tenant_id = $1 AND kind = $2 AND id = $3 RETURNING {}",
            entries::COLUMNS
        );
        let query = sqlx::query(AssertSqlSafe(text)).bind(publish.tenant.to_string());
        let query = query.bind(kind.to_string()).bind(id.to_string());
        let row = query.fetch_optional(&mut *connection).await.map_err(failed(COMMITTING))?;
        let entry = row.as_ref().map(entries::entry).transpose()?;
        if !publish.expected.is_met_by(entry.as_ref()) {
            told[*index] = Some(Told::Overtaken(entry));
            any = true;
        }
    }
    Ok(any)
}

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
                let VersionRow { kind, id, version, .. } = &publish.version;
                bind_reference(query, (&publish.tenant, kind, id, version), reference)
            })
            .execute(&mut *connection)
            .await
            .map_err(failed(COMMITTING))?;
    }
    Ok(())
}

/// The same of a version of before, which may have them already.
pub(in crate::sql) async fn insert_missing_references(
    connection: &mut AnyConnection,
    of: Referrer<'_>,
    references: &[Reference],
) -> Result<(), StoreError> {
    for some in references.chunks(REFERENCES_AT_ONCE) {
        let text = format!(
            "INSERT INTO version_references (tenant_id, kind, entry_id, version, to_kind, to_id, to_version, bindings)
             VALUES {} ON CONFLICT DO NOTHING",
            rows_of_places(8, some.len())
        );
        some.iter()
            .fold(sqlx::query(AssertSqlSafe(text)), |query, reference| bind_reference(query, of, reference))
            .execute(&mut *connection)
            .await
            .map_err(failed("to write references"))?;
    }
    Ok(())
}

/// The version that refers.
type Referrer<'a> = (&'a Tenant, &'a KindName, &'a EntryId, &'a VersionName);

fn bind_reference(query: Statement, (tenant, kind, id, version): Referrer<'_>, reference: &Reference) -> Statement {
    let to_version = reference.version.as_ref().map(ToString::to_string).unwrap_or_default();
    query
        .bind(tenant.to_string())
        .bind(kind.to_string())
        .bind(id.to_string())
        .bind(version.to_string())
        .bind(reference.to.kind.to_string())
        .bind(reference.to.id.to_string())
        .bind(to_version)
        .bind(serde_json::to_string(&reference.bindings).expect("names are plain data"))
}

fn references(publish: &Publish) -> impl Iterator<Item = (&Publish, &Reference)> {
    publish.references.iter().map(move |reference| (publish, reference))
}
