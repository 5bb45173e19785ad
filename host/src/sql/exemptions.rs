//! Exemptions. Their number stands in the row of the policies, which every publish reads: so a publish learns without
//! a further statement that one was made or taken back.

use async_trait::async_trait;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::errors::failed;
use super::rows::{self, millis, name, plain};
use super::{Database, RulesLock, Statement, audit, fleet};
use crate::clock::Millis;
use crate::names::{Scope, Tenant};
use crate::registry::audit::AuditRecord;
use crate::registry::exemptions::{Exemption, Exemptions};
use crate::registry::store::{ExemptionMade, ExemptionStore, Happened, Page, StoreError};

const COLUMNS: &str =
    "id, pattern, code, binding, until_at, reason, author, created_at, revoked_at, revoked_by FROM exemptions";

const READING_NUMBER: &str = "to read the exemptions' number";

fn exemption(row: &AnyRow) -> Result<Exemption, StoreError> {
    let revoked_at: Option<i64> = plain(row, "revoked_at")?;
    let revoked_by: Option<String> = plain(row, "revoked_by")?;
    Ok(Exemption {
        id: plain(row, "id")?,
        pattern: name(row, "pattern")?,
        code: plain(row, "code")?,
        binding: plain(row, "binding")?,
        until: millis(row, "until_at")?,
        reason: plain(row, "reason")?,
        author: plain(row, "author")?,
        created_at: millis(row, "created_at")?,
        revoked: revoked_at.map(Millis).zip(revoked_by),
    })
}

fn insert(tenant: &Tenant, exemption: &Exemption) -> Statement {
    sqlx::query(
        "INSERT INTO exemptions (tenant_id, id, pattern, code, binding, until_at, reason, author, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(tenant.to_string())
    .bind(exemption.id.clone())
    .bind(exemption.pattern.to_string())
    .bind(exemption.code.clone())
    .bind(exemption.binding.clone())
    .bind(exemption.until.0)
    .bind(exemption.reason.clone())
    .bind(exemption.author.clone())
    .bind(exemption.created_at.0)
}

fn select(tenant: &Tenant, id: &str) -> Statement {
    let text = format!("SELECT {COLUMNS} WHERE tenant_id = $1 AND id = $2");
    sqlx::query(sqlx::AssertSqlSafe(text)).bind(tenant.to_string()).bind(id.to_owned())
}

/// Those that hold, where an instant is given. No id is above `~`.
fn select_page(tenant: &Tenant, holding_at: Option<Millis>, before: Option<&str>, limit: i64) -> Statement {
    let holding = if holding_at.is_some() { "AND revoked_at IS NULL AND until_at > $4" } else { "AND $4 = 0" };
    let text = format!("SELECT {COLUMNS} WHERE tenant_id = $1 AND id < $2 {holding} ORDER BY id DESC LIMIT $3");
    sqlx::query(sqlx::AssertSqlSafe(text))
        .bind(tenant.to_string())
        .bind(before.unwrap_or("~").to_owned())
        .bind(limit)
        .bind(holding_at.map_or(0, |at| at.0))
}

async fn count_holding(connection: &mut AnyConnection, tenant: &Tenant, at: Millis) -> Result<i64, StoreError> {
    let row = sqlx::query(
        "SELECT count(*) AS holding FROM exemptions WHERE tenant_id = $1 AND revoked_at IS NULL AND until_at > $2",
    )
    .bind(tenant.to_string())
    .bind(at.0)
    .fetch_one(connection)
    .await
    .map_err(failed("to count the exemptions"))?;
    plain(&row, "holding")
}

fn select_number(tenant: &Tenant) -> Statement {
    sqlx::query("SELECT exemptions FROM rulesets WHERE tenant_id = $1 AND scope = 'policies'").bind(tenant.to_string())
}

/// The exemptions' number, which stays where the lock of the rules is held for a change.
pub(super) async fn number(connection: &mut AnyConnection, tenant: &Tenant) -> Result<i64, StoreError> {
    let row = select_number(tenant).fetch_optional(connection).await.map_err(failed(READING_NUMBER))?;
    row.map_or(Ok(0), |row| plain(&row, "exemptions"))
}

/// The lock of the rules must be held for a change.
async fn raise(connection: &mut AnyConnection, tenant: &Tenant) -> Result<(), StoreError> {
    sqlx::query("UPDATE rulesets SET exemptions = exemptions + 1 WHERE tenant_id = $1 AND scope = 'policies'")
        .bind(tenant.to_string())
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(failed("to raise the exemptions' number"))
}

#[async_trait]
impl ExemptionStore for Database {
    async fn insert_exemption(
        &self,
        tenant: &Tenant,
        exemption: &Exemption,
        holding_max: u32,
    ) -> Result<ExemptionMade, StoreError> {
        let failed = failed("to write an exemption");
        let mut transaction = self.writers.begin_with(RulesLock::Change, tenant).await.map_err(&failed)?;
        if count_holding(&mut transaction, tenant, exemption.created_at).await? >= i64::from(holding_max) {
            transaction.roll_back().await.map_err(&failed)?;
            return Ok(ExemptionMade::TooMany);
        }
        insert(tenant, exemption).execute(&mut *transaction).await.map_err(&failed)?;
        raise(&mut transaction, tenant).await?;
        fleet::tell(self, &mut transaction, tenant, (Happened::Changed, &Scope::Policies, 0)).await?;
        audit::insert(&mut transaction, tenant, &[AuditRecord::exempted(exemption)]).await?;
        transaction.commit().await.map_err(&failed)?;
        Ok(ExemptionMade::Made)
    }

    async fn revoke_exemption(
        &self,
        tenant: &Tenant,
        id: &str,
        by: &str,
        at: Millis,
    ) -> Result<Option<Exemption>, StoreError> {
        let failed = failed("to take an exemption back");
        let mut transaction = self.writers.begin_with(RulesLock::Change, tenant).await.map_err(&failed)?;
        let changed = sqlx::query(
            "UPDATE exemptions SET revoked_at = $3, revoked_by = $4
             WHERE tenant_id = $1 AND id = $2 AND revoked_at IS NULL",
        )
        .bind(tenant.to_string())
        .bind(id.to_owned())
        .bind(at.0)
        .bind(by.to_owned())
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
        let row = select(tenant, id).fetch_optional(&mut *transaction).await.map_err(&failed)?;
        let now = row.as_ref().map(exemption).transpose()?;
        let Some(revoked) = now.as_ref().filter(|_| changed.rows_affected() > 0) else {
            transaction.roll_back().await.map_err(&failed)?;
            return Ok(now);
        };
        raise(&mut transaction, tenant).await?;
        fleet::tell(self, &mut transaction, tenant, (Happened::Changed, &Scope::Policies, 0)).await?;
        audit::insert(&mut transaction, tenant, &[AuditRecord::exemption_revoked(revoked, by, at)]).await?;
        transaction.commit().await.map_err(&failed)?;
        Ok(now)
    }

    async fn exemptions(
        &self,
        tenant: &Tenant,
        holding_at: Option<Millis>,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Page<Exemption>, StoreError> {
        let statement = select_page(tenant, holding_at, before, i64::from(limit) + 1);
        let rows = self.read_all(tenant, "to read the exemptions", statement).await?;
        rows::page(&rows, limit, exemption)
    }

    async fn exemptions_in_force(&self, tenant: &Tenant, at: Millis) -> Result<Exemptions, StoreError> {
        let row = self.read_one(tenant, READING_NUMBER, select_number(tenant)).await?;
        let number = row.map_or(Ok(0), |row| plain(&row, "exemptions"))?;
        let rows =
            self.read_all(tenant, "to read the exemptions", select_page(tenant, Some(at), None, i64::MAX)).await?;
        Ok(Exemptions { number, list: rows.iter().map(exemption).collect::<Result<_, _>>()? })
    }
}
