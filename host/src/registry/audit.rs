//! The audit log: one row for each change of rules, tokens and entries, written in the change's own transaction.

use serde_json::{Value, json};

use super::store::{Freeze, KeyRow, PluginRow, ReleaseRow, SignatureRow, Signatures, TokenRow, VersionRow};
use crate::clock::{Millis, new_id};
use crate::names::{EntryId, KeyId, KindName, Scope, VersionName};

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

    /// A token that was made by `actor`.
    pub fn token_created(actor: &str, token: &TokenRow) -> Self {
        let body = json!({"token": token.id, "role": token.role});
        Self::new("token.created", actor, format!("tokens/{}", token.name), body, token.created_at)
    }
}
