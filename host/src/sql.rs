//! The database: one SQL text for SQLite and PostgreSQL, behind `registry::store::Store`. SQL is written in this room
//! and nowhere else. Nothing slow or foreign runs inside a transaction, and no error carries SQL, a path or a password.

mod activation;
mod audit;
mod decisions;
mod deliveries;
mod entries;
mod errors;
mod events;
mod exemptions;
mod filling;
mod fleet;
mod group_commit;
mod idempotency;
mod impact;
mod inbox;
mod keys;
mod life;
mod listing;
mod load;
mod migrations;
mod open;
mod outbox;
mod pools;
mod probe;
mod publishers;
mod publishing;
mod queue;
mod rows;
mod rules;
mod running;
mod search;
mod shadow;
mod snapshot;
mod standing;
mod tables;
mod tenants;
mod tokens;
mod transaction;
mod webhooks;
mod whose;

/// What reads the audit log, for a test that looks at how the databases would run it.
pub use audit::READS as AUDIT_READS;

use async_trait::async_trait;
use sqlx::query::Query;
use sqlx::{Any, AnyPool};

use crate::clock::Millis;
use crate::config::Limits;
use crate::names::{DecisionId, Digest, EntryId, KindName, ModuleName, Scope, Tenant, VersionName};
use crate::registry::audit::AuditRecord;
use crate::registry::release::ReleaseRef;
use crate::registry::store::{
    Commit, Committed, DecisionRow, EntryRow, NewRelease, Page, PluginPlace, PluginRow, ReleaseHead, ReleaseRow, Store,
    StoreError, VersionHead, VersionPlace, VersionRow,
};

pub use errors::DatabaseError;
pub use load::Load;
pub use open::is_there;
pub use pools::Connections;
pub use probe::{Server, connections_of_host};
pub use snapshot::Snapshot;
pub use tables::{OF_NO_TENANT, Table};

use group_commit::GroupCommit;
use queue::Queue;
use transaction::Transaction;
use whose::Whose;

/// A statement with its arguments.
type Statement = Query<'static, Any, sqlx::any::AnyArguments>;

/// Where the engines differ, in a few constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    /// Begins, and holds the tenant's active releases until the transaction ends. On SQLite the write lock does it.
    ///
    /// On PostgreSQL it is an advisory lock, which lives in memory: locking the rows themselves would write to them,
    /// the same few rows in every publish. The lock is taken in a statement of its own, so what the next one reads was
    /// committed before the lock was given.
    fn begin_with(self, rules: RulesLock, tenant: &Tenant, idle_max_ms: u64) -> String {
        let begin = self.begin(tenant.into(), idle_max_ms);
        match (self, rules) {
            (Self::Sqlite, _) => begin,
            // Every statement of a publish finds its rows by an index, whatever its arguments: its plan is made once
            // for a connection.
            (Self::Postgres, RulesLock::Keep { wait_max_ms }) => format!(
                "{begin}; SET LOCAL lock_timeout = {wait_max_ms}; SET LOCAL plan_cache_mode = force_generic_plan; \
                 SELECT pg_advisory_xact_lock_shared({})",
                rules_key(tenant)
            ),
            (Self::Postgres, RulesLock::Change) => {
                // A host that hangs in the middle of a commit, until its transaction is ended for idling, must not have
                // every other wait behind the one that waits for it: PostgreSQL gives locks in the order in which they
                // were asked for.
                format!(
                    "{begin}; SET LOCAL lock_timeout = {CHANGE_WAIT_MAX_MS}; SELECT pg_advisory_xact_lock({})",
                    rules_key(tenant)
                )
            }
        }
    }

    /// Whether one text stands in another, as a condition.
    fn holds(self, text: &str, part: &str) -> String {
        match self {
            Self::Sqlite => format!("instr({text}, {part}) > 0"),
            Self::Postgres => format!("strpos({text}, {part}) > 0"),
        }
    }

    /// Takes the rows for a change.
    fn take(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR NO KEY UPDATE",
        }
    }
}

/// Milliseconds that a change of rules waits for the publishes that commit: longer than one that stands still may hold
/// it up, unless `database_idle_max_ms` is raised.
const CHANGE_WAIT_MAX_MS: u64 = 5_000;

/// PostgreSQL's own limit of its timeouts.
const IDLE_MAX_MS: u64 = i32::MAX as u64;

/// PostgreSQL's setting of how long a transaction may stand still. Zero would be for ever.
fn idle_max(milliseconds: u64) -> String {
    format!("idle_in_transaction_session_timeout = {}", milliseconds.clamp(1, IDLE_MAX_MS))
}

/// What a transaction does with the tenant's active releases.
#[derive(Debug, Clone, Copy)]
enum RulesLock {
    /// They stay what they are until it ends; others may do the same.
    Keep {
        /// Milliseconds that it waits for a lock, this one or a row's, before it gives up; PostgreSQL's zero would be
        /// for ever.
        wait_max_ms: u64,
    },
    /// It may change them: it waits for those that keep them, and they for it.
    Change,
}

/// The advisory lock of a tenant's active releases. Two tenants with one key, or another program in the same database
/// with that key, would wait for each other and lose nothing else.
fn rules_key(tenant: &Tenant) -> i64 {
    lock_key("rules", tenant)
}

/// The number of an advisory lock.
fn lock_key(what: &str, tenant: &Tenant) -> i64 {
    let digest = Digest::of(format!("hallmark:{what}:{tenant}").as_bytes());
    i64::from_str_radix(&digest.hex()[..15], 16).expect("15 hexadecimal digits have 60 bits")
}

/// An open database. Cheap to share, behind an `Arc`.
#[derive(Debug)]
pub struct Database {
    engine: Engine,
    readers: AnyPool,
    writers: Writers,
    committer: GroupCommit,
    channel: fleet::Channel,
    queue: Queue,
}

/// The connections that write.
#[derive(Debug, Clone)]
struct Writers {
    engine: Engine,
    /// On SQLite a pool of one: writers queue here, in order, instead of polling for SQLite's lock.
    pool: AnyPool,
    /// Milliseconds that a transaction may stand still.
    idle_max_ms: u64,
}

impl Writers {
    async fn begin(&self, whose: impl Into<Whose<'_>>) -> Result<Transaction, sqlx::Error> {
        Transaction::begin(&self.pool, self.engine.begin(whose.into(), self.idle_max_ms)).await
    }

    async fn begin_with(&self, rules: RulesLock, tenant: &Tenant) -> Result<Transaction, sqlx::Error> {
        Transaction::begin(&self.pool, self.engine.begin_with(rules, tenant, self.idle_max_ms)).await
    }
}

impl Database {
    fn of(readers: AnyPool, writers: Writers, channel: fleet::Channel, queue: Queue, limits: &Limits) -> Self {
        let engine = writers.engine;
        // More groups than connections would wait for each other.
        let groups = match engine {
            Engine::Sqlite => 1,
            Engine::Postgres => limits.commit_groups_max.min(limits.database_connections_max),
        };
        let committer = GroupCommit::start(&writers, groups, limits);
        Self { engine, readers, writers, committer, channel, queue }
    }

    /// Closes every connection, once those in use are given back.
    pub async fn close(&self) {
        self.queue.close().await;
        self.writers.pool.close().await;
        self.readers.close().await;
    }
}

#[async_trait]
impl Store for Database {
    async fn ping(&self) -> Result<(), StoreError> {
        self.read_one(Whose::Nobody, "to answer", sqlx::query("SELECT 1")).await.map(|_| ())
    }

    async fn tenants(&self) -> Result<Vec<Tenant>, StoreError> {
        tenants::list(self).await
    }

    async fn ensure_tenant(&self, tenant: &Tenant, at: Millis) -> Result<(), StoreError> {
        tenants::ensure(self, tenant, at).await
    }

    async fn insert_plugin(&self, tenant: &Tenant, plugin: &PluginRow) -> Result<bool, StoreError> {
        let (statement, record) = (rules::insert_plugin(tenant, plugin), AuditRecord::pushed(plugin));
        self.write_told(tenant, "to write a plugin", statement, record).await
    }

    async fn plugin(&self, tenant: &Tenant, digest: &Digest) -> Result<Option<PluginRow>, StoreError> {
        let row = self.read_one(tenant, "to read a plugin", rules::select_plugin(tenant, digest)).await?;
        row.as_ref().map(rules::plugin).transpose()
    }

    async fn plugins(
        &self,
        tenant: &Tenant,
        after: Option<&PluginPlace>,
        limit: u32,
    ) -> Result<Page<PluginRow>, StoreError> {
        let rows = self.read_all(tenant, "to read the plugins", rules::select_plugins(tenant, after, limit)).await?;
        rows::page(&rows, limit, rules::plugin)
    }

    async fn create_release(&self, tenant: &Tenant, release: &NewRelease) -> Result<ReleaseRow, StoreError> {
        rules::create_release(self, tenant, release).await
    }

    async fn release(&self, tenant: &Tenant, scope: &Scope, number: i64) -> Result<Option<ReleaseRow>, StoreError> {
        let row = self.read_one(tenant, "to read a release", rules::select_release(tenant, scope, number)).await?;
        row.as_ref().map(rules::release).transpose()
    }

    async fn releases(
        &self,
        tenant: &Tenant,
        scope: &Scope,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Page<ReleaseHead>, StoreError> {
        let rows =
            self.read_all(tenant, "to read the releases", rules::select_releases(tenant, scope, before, limit)).await?;
        rows::page(&rows, limit, rules::release_head)
    }

    async fn active_releases(&self, tenant: &Tenant) -> Result<Vec<ReleaseRow>, StoreError> {
        let rows = self.read_all(tenant, "to read the active releases", rules::select_active(tenant)).await?;
        rows.iter().map(rules::release).collect()
    }

    async fn active_modules(
        &self,
        tenant: &Tenant,
        after: Option<&ModuleName>,
        limit: u32,
    ) -> Result<Page<ReleaseRow>, StoreError> {
        let rows = self.read_all(tenant, "to read the modules", rules::select_modules(tenant, after, limit)).await?;
        rows::page(&rows, limit, rules::release)
    }

    async fn active_release(&self, tenant: &Tenant, scope: &Scope) -> Result<Option<ReleaseRow>, StoreError> {
        let row = self.read_one(tenant, "to read the active release", rules::select_active_of(tenant, scope)).await?;
        row.as_ref().map(rules::release).transpose()
    }

    async fn active_release_refs(&self, tenant: &Tenant) -> Result<Vec<ReleaseRef>, StoreError> {
        let rows = self.read_all(tenant, "to read the active releases", rules::select_active_refs(tenant)).await?;
        rows.iter().map(rules::release_ref).collect()
    }

    async fn commit(&self, commit: &Commit<'_>) -> Result<Committed, StoreError> {
        publishing::commit(self, commit).await
    }

    async fn insert_decision(&self, tenant: &Tenant, decision: &DecisionRow) -> Result<(), StoreError> {
        self.write(tenant, "to write a decision", events::insert_decision(tenant, decision)).await.map(|_| ())
    }

    async fn decision(&self, tenant: &Tenant, id: &DecisionId) -> Result<Option<DecisionRow>, StoreError> {
        let row = self.read_one(tenant, "to read a decision", events::select_decision(tenant, id)).await?;
        row.as_ref().map(events::decision).transpose()
    }

    async fn entry(&self, tenant: &Tenant, kind: &KindName, id: &EntryId) -> Result<Option<EntryRow>, StoreError> {
        let row = self.read_one(tenant, "to read an entry", entries::select_entry(tenant, kind, id, "")).await?;
        row.as_ref().map(entries::entry).transpose()
    }

    async fn version(
        &self,
        tenant: &Tenant,
        kind: &KindName,
        id: &EntryId,
        version: Option<&VersionName>,
    ) -> Result<Option<VersionRow>, StoreError> {
        let row =
            self.read_one(tenant, "to read a version", entries::select_version(tenant, kind, id, version)).await?;
        row.as_ref().map(entries::version).transpose()
    }

    async fn versions(
        &self,
        tenant: &Tenant,
        kind: &KindName,
        id: &EntryId,
        after: Option<&VersionPlace>,
        limit: u32,
    ) -> Result<Page<VersionHead>, StoreError> {
        let rows =
            self.read_all(tenant, "to read versions", entries::select_versions(tenant, kind, id, after, limit)).await?;
        rows::page(&rows, limit, entries::version_head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_rules_outlasts_a_host_that_stands_still() {
        assert!(Limits::default().database_idle_max_ms < CHANGE_WAIT_MAX_MS);
    }

    #[test]
    fn no_transaction_may_stand_still_for_ever() {
        for (idle_max_ms, set) in [(0, "1"), (3_000, "3000"), (u64::MAX, "2147483647")] {
            let begin = Engine::Postgres.begin(Whose::Nobody, idle_max_ms);
            assert!(begin.ends_with(&format!("; SET LOCAL idle_in_transaction_session_timeout = {set}")), "{begin}");
        }
    }
}
