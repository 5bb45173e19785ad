//! The transaction of publishes: one for a group of them, each of another entry.
//!
//! Locks are taken in one order, so that none waits in a circle: the tenant's rules, the inbox keys, the entries; of
//! keys and entries in the order of kind and id.

pub(super) mod beside;

use std::collections::{HashMap, HashSet};

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe};

use super::errors::{failed, is_conflict, was_ended_for_idling};
use super::life::LATER;
use super::rows::{places, plain, rows_of_places};
use super::{Database, RulesLock, Statement, Writers, entries, rules, shadow};
use crate::names::{EntryId, KindName, Scope, Tenant};
use crate::registry::audit::AuditRecord;
use crate::registry::release::ReleaseRef;
use crate::registry::store::{
    Commit, Committed, DecisionRow, EntryRow, EntryStatus, Expected, NewEvent, NewHappening, Observation, Reference,
    Shown, Store as _, StoreError, VersionRow,
};

/// Times that a transaction is run before its conflict with others, or with a host that stands still again and again, is
/// given up on.
const ATTEMPTS_MAX: usize = 5;

pub(super) const COMMITTING: &str = "to commit a publish";

/// A commit that waits for others to be committed with.
pub(super) struct Publish {
    pub(super) tenant: Tenant,
    /// The releases that judged, in order.
    judged: Vec<ReleaseRef>,
    /// The number of the exemptions under which they judged.
    exemptions: i64,
    inbox_key: String,
    shown: Shown,
    status: EntryStatus,
    expected: Expected,
    references: Vec<Reference>,
    version: VersionRow,
    decision: DecisionRow,
    event: NewEvent,
    happenings: Vec<NewHappening>,
    observations: Vec<Observation>,
    is_higher: fn(&str, &str) -> bool,
}

impl Publish {
    fn of(commit: &Commit<'_>) -> Self {
        let mut judged = commit.approved.releases().to_vec();
        judged.sort();
        Self {
            tenant: commit.tenant.clone(),
            judged,
            exemptions: commit.approved.exemptions(),
            inbox_key: commit.inbox_key.clone(),
            shown: commit.shown.clone(),
            status: commit.status,
            expected: commit.expected.clone(),
            references: commit.references.clone(),
            version: commit.version.clone(),
            decision: commit.decision.clone(),
            event: commit.event.clone(),
            happenings: commit.happenings.clone(),
            observations: commit.observations.clone(),
            is_higher: commit.is_higher,
        }
    }

    /// What no two of a group share.
    pub(super) fn entry(&self) -> (&KindName, &EntryId) {
        (&self.version.kind, &self.version.id)
    }

    /// One that no gate approved and that is never committed.
    #[cfg(test)]
    pub(super) fn sample(tenant: &str, entry: &str, version: &str) -> Self {
        use crate::clock::{Millis, new_id};
        use crate::names::Digest;
        let at = Millis(0);
        let (kind, id): (KindName, EntryId) = ("things".parse().expect("a kind"), entry.parse().expect("an id"));
        let version: crate::names::VersionName = version.parse().expect("a version");
        let decision: crate::names::DecisionId = new_id(at).parse().expect("an id");
        Self {
            tenant: tenant.parse().expect("a tenant"),
            judged: Vec::new(),
            exemptions: 0,
            inbox_key: format!("registry:thing:{id}:{version}"),
            shown: Shown { tags: "[]".to_owned(), ..Shown::default() },
            status: EntryStatus::Active,
            expected: Expected::Anything,
            references: Vec::new(),
            decision: DecisionRow {
                id: decision.clone(),
                kind: kind.clone(),
                entry: id.clone(),
                version: version.clone(),
                outcome: "approved".to_owned(),
                body: "{}".to_owned(),
                submission: None,
                created_at: at,
            },
            event: NewEvent {
                id: new_id(at),
                what: "entry.published".to_owned(),
                kind: kind.clone(),
                entry: id.clone(),
                body: "{}".to_owned(),
                created_at: at,
            },
            version: VersionRow {
                kind,
                id,
                version,
                status: "active".to_owned(),
                withdrawal: None,
                digest: Digest::of(b""),
                submitted_digest: Digest::of(b""),
                manifest: "{}".into(),
                decision,
                published_by: "test".to_owned(),
                published_at: at,
            },
            happenings: Vec::new(),
            observations: Vec::new(),
            is_higher: |_, _| true,
        }
    }

    #[cfg(test)]
    pub(super) fn label(&self) -> String {
        format!("{}/{}/{}", self.tenant, self.version.id, self.version.version)
    }

    /// What the audit log says of it.
    fn record(&self) -> AuditRecord {
        AuditRecord::published(self.event.id.clone(), &self.version)
    }

    fn is_of_scope(&self, scope: &Scope) -> bool {
        // The policies are always asked for: they may have become active after the judgement.
        *scope == Scope::Policies || self.judged.iter().any(|release| release.scope == *scope)
    }
}

/// What came of one publish of a group.
#[derive(Debug, Clone)]
pub(super) enum Told {
    Written(EntryRow),
    Exists,
    RulesMoved,
    Overtaken(Option<EntryRow>),
    Refused(EntryStatus),
}

pub(super) async fn commit(database: &Database, commit: &Commit<'_>) -> Result<Committed, StoreError> {
    match database.committer.commit(Publish::of(commit)).await? {
        Told::Written(entry) => Ok(Committed::Written { entry }),
        Told::RulesMoved => Ok(Committed::RulesMoved),
        Told::Overtaken(entry) => Ok(Committed::Overtaken { entry }),
        Told::Refused(status) => Ok(Committed::Refused { status }),
        // Read only now: what the transaction wrote before it was taken back would say that it is active.
        Told::Exists => {
            let version = &commit.version;
            match database.version(commit.tenant, &version.kind, &version.id, Some(&version.version)).await? {
                Some(existing) => Ok(Committed::Exists { existing }),
                None => Err(StoreError::Broken("a published version is missing".to_owned(), None)),
            }
        }
    }
}

/// Commits a group of one tenant, each of another entry; the answers are in the group's order.
///
/// # Errors
/// As a transaction's; where it waited for a lock for `wait_max_ms`, `is_lock_wait` says so.
pub(super) async fn commit_group(
    writers: &Writers,
    group: &[&Publish],
    wait_max_ms: u64,
) -> Result<Vec<Told>, StoreError> {
    let rules = RulesLock::Keep { wait_max_ms: wait_max_ms.max(1) };
    let mut attempt = 1;
    loop {
        match commit_once(writers, group, rules).await {
            Err(error) if (is_conflict(&error) || was_ended_for_idling(&error)) && attempt < ATTEMPTS_MAX => {
                attempt += 1
            }
            result => return result,
        }
    }
}

async fn commit_once(writers: &Writers, group: &[&Publish], rules: RulesLock) -> Result<Vec<Told>, StoreError> {
    let mut told: Vec<Option<Told>> = vec![None; group.len()];
    // Versions that turn out to be there although their inbox keys are not: the rest is begun again without them.
    while !try_commit(writers, group, rules, &mut told).await? {}
    Ok(told.into_iter().map(|told| told.expect("every publish of the group was told")).collect())
}

/// False where a version was there, or an entry lets nothing be published to it: it is told so, and all else was taken
/// back.
async fn try_commit(
    writers: &Writers,
    group: &[&Publish],
    rules: RulesLock,
    told: &mut [Option<Told>],
) -> Result<bool, StoreError> {
    let mut open: Vec<usize> = (0..group.len()).filter(|index| told[*index].is_none()).collect();
    let Some(&first) = open.first() else { return Ok(true) };
    open.sort_by_key(|index| group[*index].entry());
    let mut transaction = writers.begin_with(rules, &group[first].tenant).await.map_err(failed(COMMITTING))?;
    let (active, exemptions) = read_active(&mut transaction, group, &open).await?;
    settle(&mut open, told, Told::RulesMoved, |index| {
        let publish = group[index];
        exemptions == publish.exemptions
            && active.iter().filter(|release| publish.is_of_scope(&release.scope)).eq(&publish.judged)
    });
    let taken = insert_inbox(&mut transaction, group, &open).await?;
    settle(&mut open, told, Told::Exists, |index| taken.contains(&group[index].inbox_key));
    if open.is_empty() {
        transaction.roll_back().await.map_err(failed(COMMITTING))?;
        return Ok(true);
    }
    let is_overtaken = beside::tell_overtaken(&mut transaction, group, &open, told).await?;
    let mut written = write_entries(&mut transaction, group, &open).await?;
    if tell_refused(&open, group, &written, told) || is_overtaken {
        transaction.roll_back().await.map_err(failed(COMMITTING))?;
        return Ok(false);
    }
    insert_decisions(&mut transaction, group, &open).await?;
    let observed = open.iter().map(|index| (&group[*index].decision, &group[*index].observations[..]));
    shadow::insert_observations(&mut transaction, &group[first].tenant, observed).await?;
    let new = insert_versions(&mut transaction, group, &open).await?;
    if new.len() < open.len() {
        transaction.roll_back().await.map_err(failed(COMMITTING))?;
        settle(&mut open, told, Told::Exists, |index| new.contains(group[index].version.decision.as_str()));
        return Ok(false);
    }
    beside::write_texts(&mut transaction, group, &open).await?;
    beside::insert_references(&mut transaction, group, &open).await?;
    insert_events(&mut transaction, group, &open).await?;
    let happenings: Vec<NewHappening> = open.iter().flat_map(|index| group[*index].happenings.clone()).collect();
    super::outbox::insert(&mut transaction, &group[first].tenant, &happenings).await?;
    let records: Vec<AuditRecord> = open.iter().map(|index| group[*index].record()).collect();
    super::audit::insert(&mut transaction, &group[first].tenant, &records).await?;
    transaction.commit().await.map_err(failed(COMMITTING))?;
    for index in open {
        let (kind, id) = group[index].entry();
        let entry = written.remove(&(kind.clone(), id.clone()));
        let entry = entry.ok_or_else(|| StoreError::Broken("a written entry is missing".to_owned(), None))?;
        told[index] = Some(Told::Written(entry));
    }
    Ok(true)
}

/// Tells those whose entries let nothing be published to them, or no draft; true where there are any.
fn tell_refused(
    open: &[usize],
    group: &[&Publish],
    written: &HashMap<(KindName, EntryId), EntryRow>,
    told: &mut [Option<Told>],
) -> bool {
    let mut any = false;
    for index in open {
        let (publish, (kind, id)) = (group[*index], group[*index].entry());
        let Some(entry) = written.get(&(kind.clone(), id.clone())) else { continue };
        let status = entry.status;
        // Somebody else may have made it since it was looked for: one that is new has not changed yet.
        if publish.expected == Expected::Nothing && entry.created_at != entry.updated_at {
            told[*index].get_or_insert(Told::Overtaken(Some(entry.clone())));
            any = true;
        }
        let is_no_draft = publish.status == EntryStatus::Draft && status != EntryStatus::Draft;
        if status == EntryStatus::Disabled || is_no_draft {
            told[*index].get_or_insert(Told::Refused(status));
            any = true;
        }
    }
    any
}

/// Tells `what` to those that do not stand, and leaves the others open.
fn settle(open: &mut Vec<usize>, told: &mut [Option<Told>], what: Told, stands: impl Fn(usize) -> bool) {
    open.retain(|index| {
        let stands = stands(*index);
        if !stands {
            told[*index] = Some(what.clone());
        }
        stands
    });
}

/// The active releases of the scopes that judged, in order, and the number of the exemptions, which stands in the
/// policies' row.
async fn read_active(
    connection: &mut AnyConnection,
    group: &[&Publish],
    open: &[usize],
) -> Result<(Vec<ReleaseRef>, i64), StoreError> {
    let judged = open.iter().flat_map(|index| &group[*index].judged);
    let mut scopes: Vec<&Scope> = judged.map(|release| &release.scope).chain([&Scope::Policies]).collect();
    scopes.sort();
    scopes.dedup();
    let text = format!(
        "SELECT scope, active_number AS number, active_digest AS digest, exemptions FROM rulesets
         WHERE tenant_id = $1 AND scope IN ({})",
        places(2, scopes.len())
    );
    let query = sqlx::query(AssertSqlSafe(text)).bind(group[open[0]].tenant.to_string());
    let rows = scopes
        .iter()
        .fold(query, |query, scope| query.bind(scope.to_string()))
        .fetch_all(connection)
        .await
        .map_err(failed(COMMITTING))?;
    let mut exemptions = 0;
    let mut active = Vec::with_capacity(rows.len());
    for row in &rows {
        active.extend(rules::active_ref(row)?);
        // The other rows' are zero.
        exemptions = plain::<i64>(row, "exemptions")?.max(exemptions);
    }
    active.sort();
    Ok((active, exemptions))
}

/// Runs a statement that writes a row of `columns` values for each of the open publishes.
async fn insert(
    connection: &mut AnyConnection,
    group: &[&Publish],
    open: &[usize],
    (before, columns, after): (&str, usize, &str),
    bind: impl Fn(Statement, &Publish) -> Statement,
) -> Result<Vec<AnyRow>, StoreError> {
    let text = format!("{before} VALUES {} {after}", rows_of_places(columns, open.len()));
    let query = sqlx::query(AssertSqlSafe(text));
    open.iter()
        .fold(query, |query, index| bind(query, group[*index]))
        .fetch_all(connection)
        .await
        .map_err(failed(COMMITTING))
}

/// The keys that were not there. On PostgreSQL it waits for publishes of the same versions.
async fn insert_inbox(
    connection: &mut AnyConnection,
    group: &[&Publish],
    open: &[usize],
) -> Result<HashSet<String>, StoreError> {
    if open.is_empty() {
        return Ok(HashSet::new());
    }
    let statement =
        ("INSERT INTO inbox (tenant_id, key, created_at)", 3, "ON CONFLICT (tenant_id, key) DO NOTHING RETURNING key");
    let bind = |query: Statement, publish: &Publish| {
        query.bind(publish.tenant.to_string()).bind(publish.inbox_key.clone()).bind(publish.version.published_at.0)
    };
    let rows = insert(connection, group, open, statement, bind).await?;
    rows.iter().map(|row| plain(row, "key")).collect()
}

/// Writes the entries and takes their rows. Whether the new version is the highest is known to the host alone, so it
/// looks at what the row says and raises it afterwards.
async fn write_entries(
    connection: &mut AnyConnection,
    group: &[&Publish],
    open: &[usize],
) -> Result<HashMap<(KindName, EntryId), EntryRow>, StoreError> {
    let later = LATER.replace("$UPDATED", "excluded.updated_at");
    let after = format!(
        "ON CONFLICT (tenant_id, kind, id) DO UPDATE SET
             name = excluded.name, description = excluded.description, current_version = excluded.current_version,
             tags = excluded.tags, category = excluded.category, updated_at = {later}
         RETURNING {}",
        entries::COLUMNS
    );
    let statement = (
        "INSERT INTO entries (tenant_id, kind, id, name, description, category, status, current_version,
                              highest_version, tags, created_at, updated_at)",
        12,
        after.as_str(),
    );
    let bind = |query: Statement, publish: &Publish| {
        let version = &publish.version;
        query
            .bind(publish.tenant.to_string())
            .bind(version.kind.to_string())
            .bind(version.id.to_string())
            .bind(publish.shown.name.clone())
            .bind(publish.shown.description.clone())
            .bind(publish.shown.category.clone())
            .bind(publish.status.as_str())
            .bind(version.version.to_string())
            .bind(version.version.to_string())
            .bind(publish.shown.tags.clone())
            .bind(version.published_at.0)
            .bind(version.published_at.0)
    };
    let rows = insert(connection, group, open, statement, bind).await?;
    let mut written = HashMap::with_capacity(rows.len());
    for row in &rows {
        let entry = entries::entry(row)?;
        written.insert((entry.kind.clone(), entry.id.clone()), entry);
    }
    let mut raised = Vec::new();
    for index in open {
        let publish = group[*index];
        let (kind, id) = publish.entry();
        let Some(entry) = written.get_mut(&(kind.clone(), id.clone())) else { continue };
        let version = &publish.version.version;
        if *version != entry.highest_version && (publish.is_higher)(version.as_str(), entry.highest_version.as_str()) {
            entry.highest_version = version.clone();
            raised.push(publish);
        }
    }
    if !raised.is_empty() {
        raise_highest(connection, &raised).await?;
    }
    Ok(written)
}

async fn raise_highest(connection: &mut AnyConnection, raised: &[&Publish]) -> Result<(), StoreError> {
    let pairs: Vec<String> =
        (0..raised.len()).map(|row| format!("(kind = ${} AND id = ${})", 2 + 2 * row, 3 + 2 * row)).collect();
    let text = format!(
        "UPDATE entries SET highest_version = current_version WHERE tenant_id = $1 AND ({})",
        pairs.join(" OR ")
    );
    let query = sqlx::query(AssertSqlSafe(text)).bind(raised[0].tenant.to_string());
    raised
        .iter()
        .fold(query, |query, publish| query.bind(publish.version.kind.to_string()).bind(publish.version.id.to_string()))
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(failed(COMMITTING))
}

async fn insert_decisions(
    connection: &mut AnyConnection,
    group: &[&Publish],
    open: &[usize],
) -> Result<(), StoreError> {
    let statement = (
        "INSERT INTO decisions (tenant_id, id, kind, entry_id, version, outcome, body, submission, created_at)",
        9,
        "",
    );
    let bind =
        |query: Statement, publish: &Publish| super::events::bind_decision(query, &publish.tenant, &publish.decision);
    insert(connection, group, open, statement, bind).await.map(|_| ())
}

/// The decisions of the versions that were not there.
async fn insert_versions(
    connection: &mut AnyConnection,
    group: &[&Publish],
    open: &[usize],
) -> Result<HashSet<String>, StoreError> {
    let statement = (
        "INSERT INTO versions (tenant_id, kind, entry_id, version, digest, submitted_digest, manifest, decision_id,
                               published_by, published_at)",
        10,
        "ON CONFLICT (tenant_id, kind, entry_id, version) DO NOTHING RETURNING decision_id",
    );
    let bind = |query: Statement, publish: &Publish| {
        let version = &publish.version;
        query
            .bind(publish.tenant.to_string())
            .bind(version.kind.to_string())
            .bind(version.id.to_string())
            .bind(version.version.to_string())
            .bind(version.digest.to_string())
            .bind(version.submitted_digest.to_string())
            .bind(version.manifest.to_string())
            .bind(version.decision.to_string())
            .bind(version.published_by.clone())
            .bind(version.published_at.0)
    };
    let rows = insert(connection, group, open, statement, bind).await?;
    rows.iter().map(|row| plain(row, "decision_id")).collect()
}

async fn insert_events(connection: &mut AnyConnection, group: &[&Publish], open: &[usize]) -> Result<(), StoreError> {
    let statement = ("INSERT INTO events (tenant_id, id, what, kind, entry_id, body, created_at)", 7, "");
    let bind = |query: Statement, publish: &Publish| super::events::bind_event(query, &publish.tenant, &publish.event);
    insert(connection, group, open, statement, bind).await.map(|_| ())
}
