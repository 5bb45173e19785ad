//! The audit log's rows.

use sqlx::{AnyConnection, AssertSqlSafe};

use super::errors::failed;
use super::rows::rows_of_places;
use crate::names::Tenant;
use crate::registry::audit::AuditRecord;
use crate::registry::store::StoreError;

/// Rows of one statement: its arguments are counted in 16 bits.
const INSERTED_AT_ONCE_MAX: usize = 1_000;

/// Writes rows, in the transaction of what they tell.
pub(super) async fn insert(
    connection: &mut AnyConnection,
    tenant: &Tenant,
    records: &[AuditRecord],
) -> Result<(), StoreError> {
    for records in records.chunks(INSERTED_AT_ONCE_MAX) {
        let text = format!(
            "INSERT INTO audit (tenant_id, id, what, actor, subject, body, created_at) VALUES {}",
            rows_of_places(7, records.len())
        );
        let query = records.iter().fold(sqlx::query(AssertSqlSafe(text)), |query, record| {
            query
                .bind(tenant.to_string())
                .bind(record.id.clone())
                .bind(record.what)
                .bind(record.actor.clone())
                .bind(record.subject.clone())
                .bind(record.body.to_string())
                .bind(record.at.0)
        });
        query.execute(&mut *connection).await.map_err(failed("to write the audit log"))?;
    }
    Ok(())
}
