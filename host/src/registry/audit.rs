//! The audit log: one row for each change of rules, tokens and entries, written in the change's own transaction. Rows are
//! sealed soon after, one after another: computed within a change, the chain would make every publish wait for the one
//! before it. Whoever reads the log sees sealed rows alone.

pub mod chain;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::SemaphorePermit;

use self::chain::AuditRow;
use super::store::{
    AuditSpan, AuditStatus, AuditedPlace, AuditedVersion, EntryName, EntryStatus, Freeze, KeyRow, Page, PluginRow,
    PublisherRow, ReleaseRow, SignatureRow, Signatures, TokenRow, VersionRow,
};
use super::{Actor, Registry, RegistryError};
use crate::clock::{Instant, Millis, new_id};
use crate::names::{EntryId, KeyId, KindName, Reason, Scope, VersionName};

/// What happened, as the log keeps it. It holds no secret.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditRecord {
    /// Its id.
    pub id: String,
    /// What happened: `release.activated`.
    pub what: &'static str,
    /// Who did it.
    pub actor: String,
    /// What it was done to: `policies#7`, `agents/planner@1.0.0`, `plugins/sha256:…`, `tokens/admin`.
    pub subject: String,
    /// What else is worth knowing, as an object.
    pub body: Value,
    /// When.
    pub at: Millis,
}

impl AuditRecord {
    /// Something that was done now.
    pub fn new(what: &'static str, actor: &str, subject: String, body: Value, at: Millis) -> Self {
        Self { id: new_id(at), what, actor: actor.to_owned(), subject, body, at }
    }

    /// A publish; the id is its event's.
    pub fn published(id: String, version: &VersionRow) -> Self {
        Self {
            id,
            what: "entry.published",
            actor: version.published_by.clone(),
            subject: format!("{}/{}@{}", version.kind, version.id, version.version),
            body: json!({"decision": version.decision, "digest": version.digest}),
            at: version.published_at,
        }
    }

    /// A rollback of an entry to `target`.
    pub fn rolled_back(
        actor: &str,
        (kind, id): (&KindName, &EntryId),
        target: &VersionName,
        previous: &VersionName,
        at: Millis,
    ) -> Self {
        Self::new("entry.rolled-back", actor, format!("{kind}/{id}@{target}"), json!({"previous": previous}), at)
    }

    /// An entry that was deprecated, disabled or activated.
    pub fn status_set(
        actor: &str,
        (kind, id): (&KindName, &EntryId),
        (before, status): (EntryStatus, EntryStatus),
        (reason, replacement): (Option<&Reason>, Option<&EntryName>),
        at: Millis,
    ) -> Self {
        let body = json!({"before": before, "reason": reason, "replacement": replacement.map(EntryName::to_string)});
        Self::new(what_of(status), actor, format!("{kind}/{id}"), body, at)
    }

    /// A version that was taken back, and the one that became active instead.
    pub fn withdrawn(
        actor: &str,
        (kind, id): (&KindName, &EntryId),
        version: &VersionName,
        (reason, successor): (&Reason, Option<&VersionName>),
        at: Millis,
    ) -> Self {
        let body = json!({"reason": reason, "active": successor});
        Self::new(WITHDRAWN, actor, format!("{kind}/{id}@{version}"), body, at)
    }

    /// A plugin that was pushed.
    pub fn pushed(plugin: &PluginRow) -> Self {
        let subject = format!("plugins/{}", plugin.digest);
        let body = json!({"name": plugin.name, "version": plugin.version, "sizeBytes": plugin.size_bytes});
        Self::new("plugin.pushed", &plugin.pushed_by, subject, body, plugin.pushed_at)
    }

    /// A release that was made.
    pub fn released(row: &ReleaseRow) -> Self {
        let release = &row.release;
        let subject = format!("{}#{}", release.scope, release.number);
        let body = json!({"digest": release.digest, "message": row.message});
        Self::new("release.created", &row.author, subject, body, row.created_at)
    }

    /// A release that was put in force in place of `before`.
    pub fn activated(actor: &str, scope: &Scope, number: i64, before: Option<i64>, at: Millis) -> Self {
        Self::new("release.activated", actor, format!("{scope}#{number}"), json!({"before": before}), at)
    }

    /// A key that is trusted.
    pub fn key_trusted(key: &KeyRow) -> Self {
        Self::new("key.trusted", &key.added_by, format!("keys/{}", key.id), json!({"name": key.name}), key.added_at)
    }

    /// A key that is believed no more.
    pub fn key_revoked(actor: &str, id: &KeyId, at: Millis) -> Self {
        Self::new("key.revoked", actor, format!("keys/{id}"), json!({}), at)
    }

    /// A signature of a plugin.
    pub fn plugin_signed(signature: &SignatureRow) -> Self {
        let subject = format!("plugins/{}", signature.plugin);
        Self::new("plugin.signed", &signature.added_by, subject, json!({"key": signature.key}), signature.added_at)
    }

    /// Whether plugins must be signed.
    pub fn signatures_set(actor: &str, rule: Signatures, at: Millis) -> Self {
        let what = match rule {
            Signatures::Required => "signatures.required",
            Signatures::Optional => "signatures.optional",
        };
        Self::new(what, actor, "plugins".to_owned(), json!({}), at)
    }

    /// A scope that was frozen.
    pub fn frozen(scope: &Scope, freeze: &Freeze) -> Self {
        Self::new("scope.frozen", &freeze.by, scope.to_string(), json!({"reason": freeze.reason}), freeze.at)
    }

    /// A scope that was unfrozen.
    pub fn unfrozen(scope: &Scope, actor: &str, at: Millis) -> Self {
        Self::new("scope.unfrozen", actor, scope.to_string(), json!({}), at)
    }

    /// A token that was made.
    pub fn token_created(token: &TokenRow) -> Self {
        let roles: Vec<&str> = token.grants.roles().iter().map(|role| role.as_str()).collect();
        let body = json!({
            "token": token.id,
            "roles": roles,
            "entries": token.grants.entries(),
            "expiresAt": token.expires_at.map(Instant),
        });
        Self::new("token.created", &token.created_by, format!("tokens/{}", token.name), body, token.created_at)
    }

    /// A publisher that is trusted.
    pub fn publisher_trusted(publisher: &PublisherRow) -> Self {
        let body = json!({
            "publisher": publisher.id,
            "issuer": publisher.issuer,
            "claims": publisher.claims,
            "entries": publisher.entries,
        });
        let subject = format!("trusted-publishers/{}", publisher.name);
        Self::new("publisher.trusted", &publisher.added_by, subject, body, publisher.added_at)
    }

    /// A publisher that is trusted no more.
    pub fn publisher_removed(actor: &str, publisher: &PublisherRow, at: Millis) -> Self {
        let subject = format!("trusted-publishers/{}", publisher.name);
        Self::new("publisher.removed", actor, subject, json!({"publisher": publisher.id}), at)
    }

    /// A key of the inbox that was forgotten.
    pub fn inbox_forgotten(actor: &str, key: &str, at: Millis) -> Self {
        Self::new("inbox.forgotten", actor, format!("inbox/{key}"), json!({}), at)
    }

    /// A token that was revoked.
    pub fn token_revoked(actor: &str, id: &str, name: &str, at: Millis) -> Self {
        Self::new("token.revoked", actor, format!("tokens/{name}"), json!({"token": id}), at)
    }
}

/// What the log and the events call a version that was taken back.
pub const WITHDRAWN: &str = "entry.version-withdrawn";

/// What the log and the events call an entry that got this status.
pub fn what_of(status: EntryStatus) -> &'static str {
    match status {
        EntryStatus::Draft => "entry.drafted",
        EntryStatus::Active => "entry.activated",
        EntryStatus::Deprecated => "entry.deprecated",
        EntryStatus::Disabled => "entry.disabled",
    }
}

/// Which rows are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditAsked {
    /// From the first that was written at or after `since` to the last written before `until`. What lies between is of
    /// it, whenever it was written, so that its rows follow from one another.
    Times {
        /// The first instant.
        since: Option<Millis>,
        /// The first instant after it.
        until: Option<Millis>,
    },
    /// What is left of a span.
    Rest(AuditSpan),
}

/// Rows that are sealed in one transaction, which on SQLite holds up publishes.
const SEALED_AT_ONCE_MAX: u32 = 256;

impl Registry {
    /// Seals what waits every `audit_seal_ms`, for as long as the registry is held elsewhere. Every host does, one at a
    /// time.
    pub async fn keep_audit_sealed(self: Arc<Self>) {
        let every = Duration::from_millis(self.limits.audit_seal_ms.max(10));
        let sealed = Arc::downgrade(&self);
        drop(self);
        loop {
            tokio::time::sleep(every).await;
            let Some(registry) = sealed.upgrade() else { return };
            if let Err(error) = registry.seal_audit().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "rows of the audit log wait to be sealed");
            }
        }
    }

    /// Seals the rows that wait; says how many. None where another host is at it.
    ///
    /// # Errors
    /// `Store`.
    pub async fn seal_audit(&self) -> Result<usize, RegistryError> {
        let mut sealed = 0;
        loop {
            let count = self.store.seal_audit(&self.tenant, SEALED_AT_ONCE_MAX).await?;
            sealed += count;
            if count < usize::try_from(SEALED_AT_ONCE_MAX).unwrap_or(usize::MAX) {
                return Ok(sealed);
            }
        }
    }

    /// Sealed rows by their places, and the span that they are of.
    ///
    /// # Errors
    /// `Busy` where as many read as may; `Store`.
    pub async fn audit_rows(
        &self,
        actor: &Actor,
        asked: AuditAsked,
        limit: u32,
    ) -> Result<(AuditSpan, Page<AuditRow>), RegistryError> {
        let _reads = self.audit_read()?;
        let span = match asked {
            AuditAsked::Times { since, until } => self.store.audit_span(&actor.tenant, since, until).await?,
            AuditAsked::Rest(span) => span,
        };
        Ok((span, self.store.audit_rows(&actor.tenant, span, limit).await?))
    }

    /// Versions that are stored, to be compared with what the log tells.
    ///
    /// # Errors
    /// As `audit_rows`.
    pub async fn audit_versions(
        &self,
        actor: &Actor,
        after: &AuditedPlace,
        limit: u32,
    ) -> Result<Page<AuditedVersion>, RegistryError> {
        let _reads = self.audit_read()?;
        Ok(self.store.audit_versions(&actor.tenant, after, limit).await?)
    }

    /// How the log is: how far it is sealed, and what waits.
    ///
    /// # Errors
    /// As `audit_rows`.
    pub async fn audit_status(&self, actor: &Actor) -> Result<AuditStatus, RegistryError> {
        let _reads = self.audit_read()?;
        Ok(self.store.audit_status(&actor.tenant).await?)
    }

    /// The right to read the log. Whoever takes it out whole asks for one page after another, as fast as he gets them.
    fn audit_read(&self) -> Result<SemaphorePermit<'_>, RegistryError> {
        self.audit_reads.try_acquire().map_err(|_| {
            let limit = self.limits.audit_reads_in_flight_max;
            RegistryError::Busy {
                what: format!("it reads the audit log for others (audit_reads_in_flight_max = {limit})"),
            }
        })
    }
}
