//! The transactions that put a release in force, and that keep one in force.

use async_trait::async_trait;
use sqlx::any::AnyRow;

use super::errors::failed;
use super::rows::{millis, name, plain};
use super::rules::{release_ref, select_active_refs, select_release};
use super::transaction::Transaction;
use super::{Database, RulesLock, Statement, audit, exemptions, fleet, keys};
use crate::clock::Millis;
use crate::names::{Scope, Tenant};
use crate::registry::audit::AuditRecord;
use crate::registry::release::ReleaseRef;
use crate::registry::store::{
    Activate, Activation, ActivationStore, ActiveRelease, Freeze, Happened, ScopeState, StoreError,
};

const ACTIVATING: &str = "to activate a release";
const FREEZING: &str = "to freeze or unfreeze a scope";

#[async_trait]
impl ActivationStore for Database {
    async fn activate(&self, tenant: &Tenant, wish: &Activate<'_>) -> Result<Activation, StoreError> {
        activate(self, tenant, wish).await
    }

    async fn scope_state(&self, tenant: &Tenant, scope: &Scope) -> Result<Option<ScopeState>, StoreError> {
        let row = self.read_one(tenant, "to read a scope", select_state(tenant, scope)).await?;
        row.as_ref().map(state).transpose()
    }

    async fn freeze(&self, tenant: &Tenant, scope: &Scope, freeze: &Freeze) -> Result<Option<ScopeState>, StoreError> {
        let record = AuditRecord::frozen(scope, freeze);
        change_freeze(self, tenant, scope, Some(freeze), record).await
    }

    async fn unfreeze(
        &self,
        tenant: &Tenant,
        scope: &Scope,
        actor: &str,
        at: Millis,
    ) -> Result<Option<ScopeState>, StoreError> {
        change_freeze(self, tenant, scope, None, AuditRecord::unfrozen(scope, actor, at)).await
    }
}

fn select_state(tenant: &Tenant, scope: &Scope) -> Statement {
    sqlx::query(
        "SELECT active_number, activated_by, activated_at, frozen_by, frozen_at, freeze_reason
         FROM rulesets WHERE tenant_id = $1 AND scope = $2",
    )
    .bind(tenant.to_string())
    .bind(scope.to_string())
}

fn state(row: &AnyRow) -> Result<ScopeState, StoreError> {
    let active = match plain(row, "active_number")? {
        None => None,
        Some(number) => {
            Some(ActiveRelease { number, by: plain(row, "activated_by")?, at: millis(row, "activated_at")? })
        }
    };
    let freeze = match plain::<Option<i64>>(row, "frozen_at")? {
        None => None,
        Some(at) => Some(Freeze { by: plain(row, "frozen_by")?, at: Millis(at), reason: name(row, "freeze_reason")? }),
    };
    Ok(ScopeState { active, freeze })
}

async fn read_state(
    transaction: &mut Transaction,
    tenant: &Tenant,
    scope: &Scope,
    what: &'static str,
) -> Result<Option<ScopeState>, StoreError> {
    let row = select_state(tenant, scope).fetch_optional(&mut **transaction).await.map_err(failed(what))?;
    row.as_ref().map(state).transpose()
}

/// Waits for the publishes that are committing under the scope's rules, and they for it.
async fn activate(database: &Database, tenant: &Tenant, wish: &Activate<'_>) -> Result<Activation, StoreError> {
    let failed = failed(ACTIVATING);
    let mut transaction = database.writers.begin_with(RulesLock::Change, tenant).await.map_err(&failed)?;
    let state = read_state(&mut transaction, tenant, wish.scope, ACTIVATING).await?;
    let target = select_release(tenant, wish.scope, wish.number).fetch_optional(&mut *transaction).await;
    let target = target.map_err(&failed)?.as_ref().map(release_ref).transpose()?;
    let (Some(state), Some(target)) = (state, target) else {
        transaction.roll_back().await.map_err(&failed)?;
        return Ok(Activation::Missing);
    };
    let before = state.active.as_ref().map(|active| active.number);
    let refused = match refusal(state, wish) {
        None => overtaken(&mut transaction, tenant, wish).await?,
        refused => refused,
    };
    if let Some(refused) = refused {
        transaction.roll_back().await.map_err(&failed)?;
        return Ok(refused);
    }
    sqlx::query(
        "UPDATE rulesets SET active_number = $3, active_digest = $4, activated_at = $5, activated_by = $6
         WHERE tenant_id = $1 AND scope = $2",
    )
    .bind(tenant.to_string())
    .bind(wish.scope.to_string())
    .bind(wish.number)
    .bind(target.digest.to_string())
    .bind(wish.at.0)
    .bind(wish.actor.to_owned())
    .execute(&mut *transaction)
    .await
    .map_err(&failed)?;
    if let Some((shadow, end)) = wish.staged
        && !super::shadow::end(database, &mut transaction, tenant, shadow, end).await?
    {
        transaction.roll_back().await.map_err(&failed)?;
        return Ok(Activation::NotStaged);
    }
    let record = AuditRecord::activated(wish.actor, wish.scope, wish.number, before, wish.at);
    audit::insert(&mut transaction, tenant, &[record]).await?;
    fleet::tell(database, &mut transaction, tenant, (Happened::Activated, wish.scope, wish.number)).await?;
    transaction.commit().await.map_err(&failed)?;
    Ok(Activation::Activated)
}

/// Why the release is not activated, where the scope alone tells.
fn refusal(state: ScopeState, wish: &Activate<'_>) -> Option<Activation> {
    let active = state.active.as_ref().map(|active| active.number);
    if wish.expected.is_some_and(|expected| expected != active) {
        return Some(Activation::Moved { active: state.active });
    }
    if active == Some(wish.number) {
        return Some(Activation::Unchanged);
    }
    state.freeze.map(Activation::Frozen)
}

/// What changed since the release was proved, where something did.
async fn overtaken(
    transaction: &mut Transaction,
    tenant: &Tenant,
    wish: &Activate<'_>,
) -> Result<Option<Activation>, StoreError> {
    if !beside_others(transaction, tenant, wish).await? {
        return Ok(Some(Activation::RulesMoved));
    }
    if let Some(previewed) = wish.exemptions
        && !previewed.hold_still(exemptions::number(transaction, tenant).await?, wish.at)
    {
        return Ok(Some(Activation::ExemptionsMoved));
    }
    let Some(looked_in) = wish.trust else { return Ok(None) };
    let row = keys::select_trust(tenant).fetch_optional(&mut **transaction).await.map_err(failed(ACTIVATING))?;
    let number = row.as_ref().map_or(Ok(0), |row| keys::trust(row).map(|trust| trust.number))?;
    Ok((number != looked_in).then_some(Activation::TrustMoved))
}

/// True where the other scopes' active releases are those that it was proved beside.
async fn beside_others(
    transaction: &mut Transaction,
    tenant: &Tenant,
    wish: &Activate<'_>,
) -> Result<bool, StoreError> {
    let Some(proved) = wish.beside else { return Ok(true) };
    let rows = select_active_refs(tenant).fetch_all(&mut **transaction).await.map_err(failed(ACTIVATING))?;
    let mut others = rows.iter().map(release_ref).collect::<Result<Vec<ReleaseRef>, _>>()?;
    others.retain(|release| release.scope != *wish.scope);
    others.sort();
    Ok(others == proved)
}

/// Writes what makes a change. It waits for activations, as they do for each other: none that began before a freeze
/// ends after it.
async fn change_freeze(
    database: &Database,
    tenant: &Tenant,
    scope: &Scope,
    freeze: Option<&Freeze>,
    record: AuditRecord,
) -> Result<Option<ScopeState>, StoreError> {
    let failed = failed(FREEZING);
    let mut transaction = database.writers.begin_with(RulesLock::Change, tenant).await.map_err(&failed)?;
    let before = read_state(&mut transaction, tenant, scope, FREEZING).await?;
    let changes = before.as_ref().is_some_and(|before| before.freeze.is_some() != freeze.is_some());
    if !changes {
        transaction.roll_back().await.map_err(&failed)?;
        return Ok(before);
    }
    sqlx::query(
        "UPDATE rulesets SET frozen_at = $3, frozen_by = $4, freeze_reason = $5 WHERE tenant_id = $1 AND scope = $2",
    )
    .bind(tenant.to_string())
    .bind(scope.to_string())
    .bind(freeze.map(|freeze| freeze.at.0))
    .bind(freeze.map(|freeze| freeze.by.clone()))
    .bind(freeze.map(|freeze| freeze.reason.to_string()))
    .execute(&mut *transaction)
    .await
    .map_err(&failed)?;
    audit::insert(&mut transaction, tenant, &[record]).await?;
    transaction.commit().await.map_err(&failed)?;
    Ok(before)
}
