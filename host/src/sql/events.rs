//! Decisions, and the events of entries as they are written: `outbox` has the rest.

use sqlx::any::AnyRow;

use super::Statement;
use super::rows::{millis, name, plain};
use crate::names::{DecisionId, Tenant};
use crate::registry::store::{DecisionRow, NewEvent, StoreError};

pub(super) fn insert_decision(tenant: &Tenant, decision: &DecisionRow) -> Statement {
    let query = sqlx::query(
        "INSERT INTO decisions (tenant_id, id, kind, entry_id, version, outcome, body, submission, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    );
    bind_decision(query, tenant, decision)
}

/// Binds the values of a decision's row.
pub(super) fn bind_decision(query: Statement, tenant: &Tenant, decision: &DecisionRow) -> Statement {
    query
        .bind(tenant.to_string())
        .bind(decision.id.to_string())
        .bind(decision.kind.to_string())
        .bind(decision.entry.to_string())
        .bind(decision.version.to_string())
        .bind(decision.outcome.clone())
        .bind(decision.body.clone())
        .bind(decision.submission.clone())
        .bind(decision.created_at.0)
}

pub(super) fn select_decision(tenant: &Tenant, id: &DecisionId) -> Statement {
    sqlx::query(
        "SELECT id, kind, entry_id, version, outcome, body, submission, created_at
         FROM decisions WHERE tenant_id = $1 AND id = $2",
    )
    .bind(tenant.to_string())
    .bind(id.to_string())
}

pub(super) fn decision(row: &AnyRow) -> Result<DecisionRow, StoreError> {
    Ok(DecisionRow {
        id: name(row, "id")?,
        kind: name(row, "kind")?,
        entry: name(row, "entry_id")?,
        version: name(row, "version")?,
        outcome: plain(row, "outcome")?,
        body: plain(row, "body")?,
        submission: plain(row, "submission")?,
        created_at: millis(row, "created_at")?,
    })
}

pub(super) fn insert_event(tenant: &Tenant, event: &NewEvent) -> Statement {
    let query = sqlx::query(
        "INSERT INTO events (tenant_id, id, what, kind, entry_id, body, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
    );
    bind_event(query, tenant, event)
}

/// Binds the values of an event's row.
pub(super) fn bind_event(query: Statement, tenant: &Tenant, event: &NewEvent) -> Statement {
    query
        .bind(tenant.to_string())
        .bind(event.id.clone())
        .bind(event.what.clone())
        .bind(event.kind.to_string())
        .bind(event.entry.to_string())
        .bind(event.body.clone())
        .bind(event.created_at.0)
}
