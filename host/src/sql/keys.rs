//! Trusted keys, what they signed, and whether a tenant asks for it.

use async_trait::async_trait;
use sqlx::any::AnyRow;

use super::errors::failed;
use super::rows::{millis, name, page, plain};
use super::{Database, RulesLock, Statement, audit};
use crate::clock::Millis;
use crate::names::{Digest, KeyId, Tenant};
use crate::registry::audit::AuditRecord;
use crate::registry::store::{KeyRow, KeyStore, Page, SIGNERS_MAX, SignatureRow, Signatures, StoreError, Trust};

#[async_trait]
impl KeyStore for Database {
    async fn insert_key(&self, tenant: &Tenant, key: &KeyRow) -> Result<bool, StoreError> {
        // Here and below: what changes nothing must not hold up every publish to find that out.
        if self.key(tenant, &key.id).await?.is_some() {
            return Ok(false);
        }
        let record = AuditRecord::key_trusted(key);
        change(self, tenant, "to write a key", insert_key(tenant, key), record).await
    }

    async fn key(&self, tenant: &Tenant, id: &KeyId) -> Result<Option<KeyRow>, StoreError> {
        let row = self.read_one(tenant, "to read a key", select_key(tenant, id)).await?;
        row.as_ref().map(key).transpose()
    }

    async fn keys(&self, tenant: &Tenant, after: Option<&KeyId>, limit: u32) -> Result<Page<KeyRow>, StoreError> {
        let rows = self.read_all(tenant, "to read the keys", select_keys(tenant, after, limit)).await?;
        page(&rows, limit, key)
    }

    async fn revoke_key(&self, tenant: &Tenant, id: &KeyId, by: &str, at: Millis) -> Result<bool, StoreError> {
        if self.key(tenant, id).await?.is_none_or(|key| key.revoked.is_some()) {
            return Ok(false);
        }
        let statement = sqlx::query(
            "UPDATE trusted_keys SET revoked_by = $3, revoked_at = $4
             WHERE tenant_id = $1 AND id = $2 AND revoked_at IS NULL",
        );
        let statement = statement.bind(tenant.to_string()).bind(id.to_string()).bind(by.to_owned()).bind(at.0);
        let record = AuditRecord::key_revoked(by, id, at);
        change(self, tenant, "to revoke a key", statement, record).await
    }

    async fn insert_signature(&self, tenant: &Tenant, signature: &SignatureRow) -> Result<bool, StoreError> {
        if self.read_one(tenant, "to read a signature", select_signature(tenant, signature)).await?.is_some() {
            return Ok(false);
        }
        let record = AuditRecord::plugin_signed(signature);
        change(self, tenant, "to write a signature", insert_signature(tenant, signature), record).await
    }

    async fn signers(&self, tenant: &Tenant, plugin: &Digest) -> Result<Vec<KeyRow>, StoreError> {
        let rows = self.read_all(tenant, "to read the signers", select_signers(tenant, plugin)).await?;
        rows.iter().map(key).collect()
    }

    async fn trust(&self, tenant: &Tenant) -> Result<Trust, StoreError> {
        let row = self.read_one(tenant, "to read a tenant", select_trust(tenant)).await?;
        row.as_ref().map_or(Ok(Trust { signatures: Signatures::Optional, number: 0 }), trust)
    }

    async fn set_signatures(
        &self,
        tenant: &Tenant,
        rule: Signatures,
        by: &str,
        at: Millis,
    ) -> Result<bool, StoreError> {
        if self.trust(tenant).await?.signatures == rule {
            return Ok(false);
        }
        let statement =
            sqlx::query("UPDATE tenants SET signatures_required = $2 WHERE id = $1 AND signatures_required <> $2")
                .bind(tenant.to_string())
                .bind(i64::from(rule == Signatures::Required));
        let record = AuditRecord::signatures_set(by, rule, at);
        change(self, tenant, "to write a tenant", statement, record).await
    }
}

/// Runs a statement that changes what makes a plugin believed, and says whether it wrote a row.
async fn change(
    database: &Database,
    tenant: &Tenant,
    what: &'static str,
    statement: Statement,
    record: AuditRecord,
) -> Result<bool, StoreError> {
    let failed = failed(what);
    let mut transaction = database.writers.begin_with(RulesLock::Change, tenant).await.map_err(&failed)?;
    let done = statement.execute(&mut *transaction).await.map_err(&failed)?;
    if done.rows_affected() == 0 {
        transaction.roll_back().await.map_err(&failed)?;
        return Ok(false);
    }
    let raise = sqlx::query("UPDATE tenants SET trust = trust + 1 WHERE id = $1").bind(tenant.to_string());
    raise.execute(&mut *transaction).await.map_err(&failed)?;
    audit::insert(&mut transaction, tenant, &[record]).await?;
    transaction.commit().await.map_err(&failed)?;
    Ok(true)
}

pub(super) fn select_trust(tenant: &Tenant) -> Statement {
    sqlx::query("SELECT signatures_required, trust FROM tenants WHERE id = $1").bind(tenant.to_string())
}

pub(super) fn trust(row: &AnyRow) -> Result<Trust, StoreError> {
    let signatures =
        if plain::<i64>(row, "signatures_required")? == 0 { Signatures::Optional } else { Signatures::Required };
    Ok(Trust { signatures, number: plain(row, "trust")? })
}

fn select_signature(tenant: &Tenant, signature: &SignatureRow) -> Statement {
    sqlx::query("SELECT key_id FROM plugin_signatures WHERE tenant_id = $1 AND plugin_digest = $2 AND key_id = $3")
        .bind(tenant.to_string())
        .bind(signature.plugin.to_string())
        .bind(signature.key.to_string())
}

fn insert_key(tenant: &Tenant, key: &KeyRow) -> Statement {
    sqlx::query(
        "INSERT INTO trusted_keys (tenant_id, id, name, public_key, added_by, added_at)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (tenant_id, id) DO NOTHING",
    )
    .bind(tenant.to_string())
    .bind(key.id.to_string())
    .bind(key.name.clone())
    .bind(key.public_key.clone())
    .bind(key.added_by.clone())
    .bind(key.added_at.0)
}

fn select_key(tenant: &Tenant, id: &KeyId) -> Statement {
    sqlx::query(
        "SELECT id, name, public_key, added_by, added_at, revoked_by, revoked_at
         FROM trusted_keys WHERE tenant_id = $1 AND id = $2",
    )
    .bind(tenant.to_string())
    .bind(id.to_string())
}

fn select_keys(tenant: &Tenant, after: Option<&KeyId>, limit: u32) -> Statement {
    sqlx::query(
        "SELECT id, name, public_key, added_by, added_at, revoked_by, revoked_at
         FROM trusted_keys WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3",
    )
    .bind(tenant.to_string())
    .bind(after.map_or_else(String::new, ToString::to_string))
    .bind(i64::from(limit) + 1)
}

fn insert_signature(tenant: &Tenant, signature: &SignatureRow) -> Statement {
    sqlx::query(
        "INSERT INTO plugin_signatures (tenant_id, plugin_digest, key_id, signature, added_by, added_at)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (tenant_id, plugin_digest, key_id) DO NOTHING",
    )
    .bind(tenant.to_string())
    .bind(signature.plugin.to_string())
    .bind(signature.key.to_string())
    .bind(signature.signature.clone())
    .bind(signature.added_by.clone())
    .bind(signature.added_at.0)
}

fn select_signers(tenant: &Tenant, plugin: &Digest) -> Statement {
    sqlx::query(
        "SELECT k.id, k.name, k.public_key, k.added_by, k.added_at, k.revoked_by, k.revoked_at
         FROM plugin_signatures s JOIN trusted_keys k ON k.tenant_id = s.tenant_id AND k.id = s.key_id
         WHERE s.tenant_id = $1 AND s.plugin_digest = $2 ORDER BY k.id LIMIT $3",
    )
    .bind(tenant.to_string())
    .bind(plugin.to_string())
    .bind(i64::from(SIGNERS_MAX))
}

fn key(row: &AnyRow) -> Result<KeyRow, StoreError> {
    let revoked_by: Option<String> = plain(row, "revoked_by")?;
    let revoked_at: Option<i64> = plain(row, "revoked_at")?;
    Ok(KeyRow {
        id: name(row, "id")?,
        name: plain(row, "name")?,
        public_key: plain(row, "public_key")?,
        added_by: plain(row, "added_by")?,
        added_at: millis(row, "added_at")?,
        revoked: revoked_by.zip(revoked_at.map(Millis)),
    })
}
