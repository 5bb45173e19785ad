//! Decisions, as they are looked for.

use async_trait::async_trait;
use sqlx::AssertSqlSafe;

use super::{Database, Statement, events, rows};
use crate::clock::Millis;
use crate::names::{DecisionId, Tenant};
use crate::registry::store::{DecisionFilter, DecisionRow, DecisionStore, Page, StoreError};

#[async_trait]
impl DecisionStore for Database {
    async fn decisions(
        &self,
        tenant: &Tenant,
        filter: &DecisionFilter,
        before: Option<&DecisionId>,
        limit: u32,
    ) -> Result<Page<DecisionRow>, StoreError> {
        let rows = self.read_all(tenant, "to read decisions", select(tenant, filter, before, limit)).await?;
        rows::page(&rows, limit, events::decision)
    }
}

/// Arguments of a text that is put together, in their order.
#[derive(Default)]
struct Arguments(Vec<Argument>);

enum Argument {
    Text(String),
    Number(i64),
}

impl Arguments {
    fn text(&mut self, value: impl ToString) -> String {
        self.0.push(Argument::Text(value.to_string()));
        format!("${}", self.0.len())
    }

    fn number(&mut self, value: i64) -> String {
        self.0.push(Argument::Number(value));
        format!("${}", self.0.len())
    }

    fn bind(self, text: String) -> Statement {
        self.0.into_iter().fold(sqlx::query(AssertSqlSafe(text)), |query, argument| match argument {
            Argument::Text(text) => query.bind(text),
            Argument::Number(number) => query.bind(number),
        })
    }
}

/// Ids sort by time, so the primary key has the order of the list. Of one entry, those that were let in are found
/// through its versions and the others through their own index.
fn select(tenant: &Tenant, filter: &DecisionFilter, before: Option<&DecisionId>, limit: u32) -> Statement {
    const COLUMNS: &str = "id, kind, entry_id, version, outcome, body, submission, created_at";
    let mut arguments = Arguments::default();
    let tenant = arguments.text(tenant);
    let mut tests = vec![format!("tenant_id = {tenant}")];
    if let Some(before) = before {
        tests.push(format!("id < {}", arguments.text(before)));
    }
    if let Some(since) = filter.since {
        tests.push(format!("id >= {}", arguments.text(first_id(since))));
        tests.push(format!("created_at >= {}", arguments.number(since.0)));
    }
    if let Some(outcome) = filter.outcome {
        // In the text, or the partial index could not be known to hold them.
        tests.push(format!("outcome = '{}'", outcome.as_str()));
    }
    if let Some((scope, number)) = &filter.release {
        // As the record writes a release. A scope has no character that means more in a pattern, and what stands in a
        // text of the record has its quotes escaped.
        let pattern = format!("%{{\"scope\":\"{scope}\",\"number\":{number},\"digest\":%");
        tests.push(format!("body LIKE {}", arguments.text(pattern)));
    }
    let kind = filter.kind.as_ref().map(|kind| arguments.text(kind));
    let entry = filter.entry.as_ref().map(|entry| arguments.text(entry));
    if let Some(kind) = &kind {
        tests.push(format!("kind = {kind}"));
    }
    if let Some(entry) = &entry {
        tests.push(format!("entry_id = {entry}"));
    }
    let tests = tests.join(" AND ");
    let from = match (kind, entry) {
        (Some(kind), Some(entry)) => format!(
            "(SELECT {COLUMNS} FROM decisions WHERE {tests} AND outcome <> 'approved'
              UNION ALL
              SELECT {COLUMNS} FROM decisions WHERE {tests} AND outcome = 'approved' AND id IN
                  (SELECT decision_id FROM versions WHERE tenant_id = {tenant} AND kind = {kind} AND entry_id = {entry})
             ) AS found"
        ),
        _ => format!("decisions WHERE {tests}"),
    };
    let limit = arguments.number(i64::from(limit) + 1);
    arguments.bind(format!("SELECT {COLUMNS} FROM {from} ORDER BY id DESC LIMIT {limit}"))
}

/// What no id of the instant or after sorts before: a UUID of version 7 begins with 48 bits of milliseconds.
fn first_id(at: Millis) -> String {
    let millis = u64::try_from(at.0).unwrap_or(0) & 0xffff_ffff_ffff;
    format!("{:08x}-{:04x}", millis >> 16, millis & 0xffff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::new_id;

    #[test]
    fn ids_of_an_instant_begin_at_its_first() {
        let at = Millis(4_200_000_000_123);
        assert!(new_id(at) > first_id(at));
        assert!(new_id(at) < first_id(Millis(at.0 + 1)));
    }
}
