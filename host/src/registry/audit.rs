//! The audit log: one row for each change of rules, tokens and entries, written in the change's own transaction.

use serde_json::{Value, json};

use super::store::{PluginRow, ReleaseRow, TokenRow, VersionRow};
use crate::clock::{Millis, new_id};
use crate::names::{EntryId, KindName, Scope, VersionName};

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

    /// A token that was made by `actor`.
    pub fn token_created(actor: &str, token: &TokenRow) -> Self {
        let body = json!({"token": token.id, "role": token.role});
        Self::new("token.created", actor, format!("tokens/{}", token.name), body, token.created_at)
    }
}
