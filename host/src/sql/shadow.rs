//! Shadows, and what they and the bindings that observe would have said: rows that are written with the decision and never
//! changed, so that counting them is right on every engine and over any number of hosts, and nobody waits for a counter.

use async_trait::async_trait;
use serde::Deserialize;
use serde::de::IntoDeserializer as _;
use serde::de::value::StrDeserializer;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe};

use super::errors::failed;
use super::rows::{millis, name, plain, rows_of_places};
use super::{Database, RulesLock, Statement, audit, events, fleet, outbox, rules};
use crate::names::{Scope, Tenant};
use crate::registry::audit::AuditRecord;
use crate::registry::shadow::{Agreement, Change, Plan, ShadowRow};
use crate::registry::store::{
    DecisionRow, Happened, NewHappening, Observation, ObservationCode, ObservationExample, Progress, ProgressAsked,
    RulesStamp, ShadowEnd, ShadowStore, StoreError,
};

const COLUMNS: &str = "id, scope, release_number AS number, release_digest AS digest, percent, state, reason, plan,
     started_by, started_at, changed_by, changed_at FROM shadows";

/// Rows of one statement: each engine takes so many arguments at least.
const ROWS_AT_ONCE_MAX: usize = 500;

fn word<T: for<'de> Deserialize<'de>>(row: &AnyRow, column: &'static str) -> Result<T, StoreError> {
    let text: &str = plain(row, column)?;
    let word: StrDeserializer<'_, serde::de::value::Error> = text.into_deserializer();
    T::deserialize(word).map_err(|_| StoreError::Broken(format!("column {column} holds '{text}'"), None))
}

fn shadow(row: &AnyRow) -> Result<ShadowRow, StoreError> {
    let plan: Option<String> = plain(row, "plan")?;
    let plan: Option<Plan> = plan
        .map(|plan| serde_json::from_str(&plan))
        .transpose()
        .map_err(|error| StoreError::Broken("column plan cannot be read".to_owned(), Some(Box::new(error))))?;
    let percent: i64 = plain(row, "percent")?;
    Ok(ShadowRow {
        id: plain(row, "id")?,
        release: rules::release_ref(row)?,
        percent: u8::try_from(percent).unwrap_or(100),
        state: word(row, "state")?,
        reason: plain(row, "reason")?,
        plan,
        started_by: plain(row, "started_by")?,
        started_at: millis(row, "started_at")?,
        changed_by: plain(row, "changed_by")?,
        changed_at: millis(row, "changed_at")?,
    })
}

fn example(row: &AnyRow) -> Result<ObservationExample, StoreError> {
    Ok(ObservationExample {
        decision: name(row, "decision_id")?,
        kind: name(row, "kind")?,
        entry: name(row, "entry_id")?,
        version: name(row, "version")?,
    })
}

fn insert(tenant: &Tenant, shadow: &ShadowRow) -> Statement {
    let plan = shadow.plan.as_ref().map(|plan| serde_json::to_string(plan).expect("a plan is plain data"));
    sqlx::query(
        "INSERT INTO shadows (tenant_id, id, scope, release_number, release_digest, percent, state, reason, plan,
                              started_by, started_at, changed_by, changed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING",
    )
    .bind(tenant.to_string())
    .bind(shadow.id.clone())
    .bind(shadow.release.scope.to_string())
    .bind(shadow.release.number)
    .bind(shadow.release.digest.to_string())
    .bind(i64::from(shadow.percent))
    .bind(shadow.state.as_str())
    .bind(shadow.reason.clone())
    .bind(plan)
    .bind(shadow.started_by.clone())
    .bind(shadow.started_at.0)
    .bind(shadow.changed_by.clone())
    .bind(shadow.changed_at.0)
}

/// A statement about what is known by `key`: a scope, or an observer.
fn about(text: String, tenant: &Tenant, key: &str) -> Statement {
    sqlx::query(AssertSqlSafe(text)).bind(tenant.to_string()).bind(key.to_owned())
}

async fn raise(connection: &mut AnyConnection, tenant: &Tenant) -> Result<(), StoreError> {
    sqlx::query("UPDATE rulesets SET shadows = shadows + 1 WHERE tenant_id = $1 AND scope = 'policies'")
        .bind(tenant.to_string())
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(failed("to raise the shadows' number"))
}

/// Writes what was observed of decisions, within the transaction that writes those.
pub(super) async fn insert_observations<'a>(
    connection: &mut AnyConnection,
    tenant: &Tenant,
    decisions: impl Iterator<Item = (&'a DecisionRow, &'a [Observation])>,
) -> Result<(), StoreError> {
    let failed = failed("to write what was observed");
    let rows: Vec<(&DecisionRow, &Observation)> =
        decisions.flat_map(|(decision, observed)| observed.iter().map(move |observed| (decision, observed))).collect();
    for rows in rows.chunks(ROWS_AT_ONCE_MAX) {
        let text = format!(
            "INSERT INTO observations
                 (tenant_id, observer, decision_id, kind, entry_id, version, agreement, slower_micros)
             VALUES {}",
            rows_of_places(8, rows.len())
        );
        let query = rows.iter().fold(sqlx::query(AssertSqlSafe(text)), |query, (decision, observed)| {
            query
                .bind(tenant.to_string())
                .bind(observed.observer.clone())
                .bind(decision.id.to_string())
                .bind(decision.kind.to_string())
                .bind(decision.entry.to_string())
                .bind(decision.version.to_string())
                .bind(observed.agreement.as_str())
                .bind(observed.slower_micros)
        });
        query.execute(&mut *connection).await.map_err(&failed)?;
    }
    let codes: Vec<(&DecisionRow, &str, &(Change, String))> = rows
        .iter()
        .flat_map(|(decision, observed)| {
            observed.codes.iter().map(move |code| (*decision, observed.observer.as_str(), code))
        })
        .collect();
    for codes in codes.chunks(ROWS_AT_ONCE_MAX) {
        let text = format!(
            "INSERT INTO observation_codes (tenant_id, observer, change, code, decision_id) VALUES {}",
            rows_of_places(5, codes.len())
        );
        let query =
            codes.iter().fold(sqlx::query(AssertSqlSafe(text)), |query, (decision, observer, (change, code))| {
                query
                    .bind(tenant.to_string())
                    .bind((*observer).to_owned())
                    .bind(change.as_str())
                    .bind(code.clone())
                    .bind(decision.id.to_string())
            });
        query.execute(&mut *connection).await.map_err(&failed)?;
    }
    Ok(())
}

impl Database {
    async fn count_up_to(&self, tenant: &Tenant, observer: &str, which: &str, most: i64) -> Result<i64, StoreError> {
        if most == 0 {
            return Ok(0);
        }
        let text = format!(
            "SELECT count(*) AS counted FROM (SELECT 1 AS one FROM observations
             WHERE tenant_id = $1 AND observer = $2 AND {which} LIMIT $3) AS some_of_them"
        );
        let row = self.read_one("to count what was observed", about(text, tenant, observer).bind(most)).await?;
        row.map_or(Ok(0), |row| plain(&row, "counted"))
    }
}

#[async_trait]
impl ShadowStore for Database {
    async fn rules_stamp(&self, tenant: &Tenant) -> Result<RulesStamp, StoreError> {
        let statement = sqlx::query(
            "SELECT scope, active_number AS number, active_digest AS digest, exemptions, shadows
             FROM rulesets WHERE tenant_id = $1 ORDER BY scope",
        );
        let rows = self.read_all("to read what is in force", statement.bind(tenant.to_string())).await?;
        let mut stamp = RulesStamp::default();
        for row in &rows {
            stamp.releases.extend(rules::active_ref(row)?);
            // The other rows' are zero.
            stamp.exemptions = plain::<i64>(row, "exemptions")?.max(stamp.exemptions);
            stamp.shadows = plain::<i64>(row, "shadows")?.max(stamp.shadows);
        }
        stamp.releases.sort();
        Ok(stamp)
    }

    async fn insert_shadow(&self, tenant: &Tenant, shadow: &ShadowRow) -> Result<bool, StoreError> {
        let failed = failed("to write a shadow");
        // As an activation takes its rows: two orders would wait for each other.
        let mut transaction = self.writers.begin_with(RulesLock::Change, tenant).await.map_err(&failed)?;
        let done = insert(tenant, shadow).execute(&mut *transaction).await.map_err(&failed)?;
        if done.rows_affected() == 0 {
            transaction.roll_back().await.map_err(&failed)?;
            return Ok(false);
        }
        raise(&mut transaction, tenant).await?;
        fleet::tell(self, &mut transaction, tenant, (Happened::Changed, &Scope::Policies, 0)).await?;
        audit::insert(&mut transaction, tenant, &[AuditRecord::shadow_started(shadow)]).await?;
        transaction.commit().await.map_err(&failed)?;
        Ok(true)
    }

    async fn end_shadow(
        &self,
        tenant: &Tenant,
        shadow: &ShadowRow,
        end_with: ShadowEnd<'_>,
    ) -> Result<bool, StoreError> {
        let failed = failed("to end a shadow");
        let mut transaction = self.writers.begin_with(RulesLock::Change, tenant).await.map_err(&failed)?;
        if !end(self, &mut transaction, tenant, shadow, end_with).await? {
            transaction.roll_back().await.map_err(&failed)?;
            return Ok(false);
        }
        transaction.commit().await.map_err(&failed)?;
        Ok(true)
    }

    async fn running_shadows(&self, tenant: &Tenant) -> Result<Vec<ShadowRow>, StoreError> {
        let text = format!("SELECT {COLUMNS} WHERE tenant_id = $1 AND state IN ('shadowing', 'staged') ORDER BY scope");
        let statement = sqlx::query(AssertSqlSafe(text)).bind(tenant.to_string());
        self.read_all("to read the shadows", statement).await?.iter().map(shadow).collect()
    }

    async fn newest_shadow(&self, tenant: &Tenant, scope: &Scope) -> Result<Option<ShadowRow>, StoreError> {
        let text = format!("SELECT {COLUMNS} WHERE tenant_id = $1 AND scope = $2 ORDER BY id DESC LIMIT 1");
        let row = self.read_one("to read a shadow", about(text, tenant, &scope.to_string())).await?;
        row.as_ref().map(shadow).transpose()
    }

    async fn insert_observed_decision(
        &self,
        tenant: &Tenant,
        decision: &DecisionRow,
        observations: &[Observation],
        happenings: &[NewHappening],
    ) -> Result<(), StoreError> {
        let failed = failed("to write a decision");
        let mut transaction = self.writers.begin().await.map_err(&failed)?;
        events::insert_decision(tenant, decision).execute(&mut *transaction).await.map_err(&failed)?;
        insert_observations(&mut transaction, tenant, std::iter::once((decision, observations))).await?;
        outbox::insert(&mut transaction, tenant, happenings).await?;
        transaction.commit().await.map_err(&failed)
    }

    async fn observation_progress(
        &self,
        tenant: &Tenant,
        observer: &str,
        asked: ProgressAsked,
    ) -> Result<Progress, StoreError> {
        const DISAGREED: &str = "agreement IN ('newly-rejected', 'newly-approved', 'other-findings')";
        let newly_rejected =
            self.count_up_to(tenant, observer, "agreement = 'newly-rejected'", asked.newly_rejected).await?;
        let disagreed = self.count_up_to(tenant, observer, DISAGREED, asked.disagreed).await?;
        let failed = self.count_up_to(tenant, observer, "agreement = 'failed'", asked.failed).await?;
        let judged = self.count_up_to(tenant, observer, "agreement <> 'failed'", asked.judged).await?;
        let text = "SELECT count(*) AS counted, CAST(COALESCE(SUM(slower_micros), 0) AS BIGINT) AS slower FROM
             (SELECT slower_micros FROM observations
              WHERE tenant_id = $1 AND observer = $2 AND agreement <> 'failed'
              ORDER BY decision_id DESC LIMIT $3) AS newest";
        let statement = about(text.to_owned(), tenant, observer).bind(asked.timed);
        let row = self.read_one("to time what was observed", statement).await?;
        let (counted, slower): (i64, i64) = match &row {
            Some(row) => (plain(row, "counted")?, plain(row, "slower")?),
            None => (0, 0),
        };
        let slower_micros = (slower / counted.max(1), counted);
        Ok(Progress { judged, newly_rejected, disagreed, failed, slower_micros })
    }

    async fn observation_counts(&self, tenant: &Tenant, observer: &str) -> Result<Vec<(Agreement, i64)>, StoreError> {
        let text = "SELECT agreement, count(*) AS counted FROM observations
             WHERE tenant_id = $1 AND observer = $2 GROUP BY agreement";
        let rows = self.read_all("to count what was observed", about(text.to_owned(), tenant, observer)).await?;
        rows.iter().map(|row| Ok((word(row, "agreement")?, plain(row, "counted")?))).collect()
    }

    async fn observation_codes(
        &self,
        tenant: &Tenant,
        observer: &str,
        limit: u32,
    ) -> Result<Vec<ObservationCode>, StoreError> {
        let text = "SELECT change, code, count(*) AS publishes FROM observation_codes
             WHERE tenant_id = $1 AND observer = $2 GROUP BY change, code
             ORDER BY publishes DESC, change DESC, code LIMIT $3";
        let statement = about(text.to_owned(), tenant, observer).bind(i64::from(limit));
        let rows = self.read_all("to read the codes of what was observed", statement).await?;
        let code = |row: &AnyRow| {
            let change = word(row, "change")?;
            Ok(ObservationCode { change, code: plain(row, "code")?, publishes: plain(row, "publishes")? })
        };
        rows.iter().map(code).collect()
    }

    async fn observation_examples(
        &self,
        tenant: &Tenant,
        observer: &str,
        agreement: Agreement,
        limit: u32,
    ) -> Result<Vec<ObservationExample>, StoreError> {
        let text = "SELECT decision_id, kind, entry_id, version FROM observations
             WHERE tenant_id = $1 AND observer = $2 AND agreement = $3 ORDER BY decision_id DESC LIMIT $4";
        let statement = about(text.to_owned(), tenant, observer).bind(agreement.as_str()).bind(i64::from(limit));
        self.read_all("to read examples of what was observed", statement).await?.iter().map(example).collect()
    }

    async fn observation_code_examples(
        &self,
        tenant: &Tenant,
        observer: &str,
        code: &ObservationCode,
        limit: u32,
    ) -> Result<Vec<ObservationExample>, StoreError> {
        let text = "SELECT o.decision_id, o.kind, o.entry_id, o.version FROM observation_codes c
             JOIN observations o
               ON o.tenant_id = c.tenant_id AND o.observer = c.observer AND o.decision_id = c.decision_id
             WHERE c.tenant_id = $1 AND c.observer = $2 AND c.change = $3 AND c.code = $4
             ORDER BY c.decision_id DESC LIMIT $5";
        let statement = about(text.to_owned(), tenant, observer)
            .bind(code.change.as_str())
            .bind(code.code.clone())
            .bind(i64::from(limit));
        self.read_all("to read examples of what was observed", statement).await?.iter().map(example).collect()
    }
}

/// Ends a shadow in a transaction of the caller's; false where it is in another state already.
pub(super) async fn end(
    database: &Database,
    connection: &mut AnyConnection,
    tenant: &Tenant,
    shadow: &ShadowRow,
    end: ShadowEnd<'_>,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "UPDATE shadows SET state = $4, reason = $5, changed_by = $6, changed_at = $7
         WHERE tenant_id = $1 AND id = $2 AND state = $3",
    )
    .bind(tenant.to_string())
    .bind(shadow.id.clone())
    .bind(shadow.state.as_str())
    .bind(end.to.as_str())
    .bind(end.reason.to_owned())
    .bind(end.by.to_owned())
    .bind(end.at.0)
    .execute(&mut *connection)
    .await
    .map_err(failed("to end a shadow"))?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    raise(connection, tenant).await?;
    fleet::tell(database, connection, tenant, (Happened::Changed, &Scope::Policies, 0)).await?;
    audit::insert(connection, tenant, &[AuditRecord::shadow_ended(shadow, end)]).await?;
    Ok(true)
}
