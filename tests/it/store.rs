//! The store's contract, on every engine: each case below runs on SQLite and on PostgreSQL.

mod activation;
mod audit;
mod audit_times;
mod contention;
mod decisions;
mod events;
mod exemptions;
mod impact;
mod inbox;
mod keys;
mod life;
mod listing;
mod publishers;
mod publishing;
mod reading;
mod rules;
mod schema;
mod shadow;
mod tokens;

use hallmark::clock::{Millis, new_id};
use hallmark::config::Limits;
use hallmark::names::{Digest, Scope, Tenant};
use hallmark::registry::publish::Approved;
use hallmark::registry::release::ReleaseRef;
use hallmark::registry::store::{
    Activate, Activation, ActivationStore as _, Commit, Committed, DecisionRow, EntryStatus, EventRow, EventStore as _,
    Expected, NewEvent, NewRelease, Shown, Store as _, StoreError, VersionRow,
};
use hallmark::registry::words::EntryText;
use hallmark::sql::Database;

use crate::support::approval::approve;
use crate::support::new_postgres_database;

// Every case twice, so that none is forgotten on one engine.
macro_rules! on_every_engine {
    ($($file:ident: $($case:ident),+;)+) => {
        mod sqlite {
            $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$file::$case(super::World::sqlite().await).await;
            })+)+
        }

        mod postgresql {
            $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$file::$case(super::World::postgres().await).await;
            })+)+
        }
    };
}

on_every_engine! {
    activation:
        activates_what_the_caller_expects,
        tells_who_was_faster,
        lets_one_of_two_activations_win,
        keeps_a_frozen_scope_as_it_is,
        refuses_a_release_that_was_proved_beside_others,
        proves_again_what_was_activated_beside;
    audit:
        tells_of_every_change,
        tells_of_every_change_beside_rules,
        keeps_every_row,
        seals_every_row_once,
        misses_no_row_that_is_seen_late,
        names_the_row_that_somebody_worked_on,
        lists_versions_to_compare_with_the_log,
        tells_of_versions_from_before_the_log;
    audit_times:
        spans_the_log_by_time,
        spans_the_log_by_time_exactly_over_blocks,
        reads_no_more_of_the_log_than_it_gives;
    decisions:
        finds_decisions_by_what_they_are_about;
    events:
        gives_each_event_one_place_after_another,
        forgets_what_is_old_from_the_oldest_on,
        keeps_events_when_the_schema_goes_back_and_forth,
        hands_out_the_first_of_each_lane_to_one_host,
        settles_what_its_host_still_holds,
        disables_a_webhook_that_takes_nothing;
    keys:
        keeps_keys_and_what_they_signed,
        raises_a_number_with_every_change_of_trust,
        refuses_an_activation_whose_keys_changed;
    publishers:
        keeps_whom_a_tenant_trusts_to_publish;
    publishing:
        writes_everything_of_a_publish,
        archives_the_version_before,
        publishes_to_what_is_expected_of_the_entry_alone,
        tells_all_but_one_of_400_publishes_that_the_version_exists,
        keeps_every_version_of_one_entry_published_at_once,
        lets_different_entries_be_published_at_once,
        tells_that_a_version_exists_whose_inbox_key_is_gone,
        refuses_a_commit_whose_rules_moved,
        refuses_a_commit_judged_before_the_first_policies,
        commits_nothing_under_retired_rules_while_rules_change,
        leaves_all_or_nothing_of_a_commit_that_is_dropped,
        leaves_nothing_of_a_commit_that_fails,
        commits_a_group_but_for_those_that_cannot_be,
        waits_no_longer_for_a_connection_than_it_may;
    life:
        rolls_back_and_forth,
        tells_what_a_rollback_lacks,
        keeps_where_an_entry_stands_in_its_life,
        changes_no_entry_that_another_changed,
        publishes_nothing_to_a_disabled_entry,
        begins_an_entry_as_a_draft,
        withdraws_versions_but_the_last;
    listing:
        lists_by_what_is_asked,
        follows_changes_without_missing_one,
        follows_several_kinds_at_once,
        orders_by_what_people_think,
        finds_the_same_on_every_engine,
        finds_the_version_that_is_active,
        tells_what_refers_to_what;
    rules:
        numbers_releases_made_at_once,
        lists_active_releases_by_scope,
        keeps_plugins_by_digest,
        pages_releases_newest_first,
        pages_modules_by_name;
    reading:
        pages_entries_in_byte_order,
        keeps_tenants_apart,
        keeps_decisions,
        pages_versions_newest_first;
    exemptions:
        refuses_a_commit_whose_exemptions_changed,
        commits_nothing_under_exemptions_that_were_taken_back,
        activates_nothing_that_was_previewed_with_other_exemptions;
    impact:
        keeps_the_exemptions_that_a_run_judges_by,
        pages_the_results_of_chunks_in_line,
        begins_a_run_again_and_believes_no_claim,
        reads_versions_with_what_was_sent;
    shadow:
        writes_what_was_observed_with_the_decision,
        counts_over_several_hosts,
        lets_one_of_two_end_a_shadow;
    inbox:
        pages_keys_by_what_they_begin_with,
        forgets_a_key_once;
    tokens:
        finds_tokens_by_hash,
        keeps_when_a_token_was_used_last,
        revokes_tokens_that_were_made_before;
    schema:
        says_what_to_run_on_an_empty_database,
        says_what_to_run_on_an_older_schema,
        says_what_to_run_on_a_newer_schema,
        refuses_a_changed_migration,
        migrates_once_for_hosts_that_start_at_once,
        reverts_and_migrates_again,
        holds_its_answer_when_the_database_is_away;
}

/// A database of one test, and what opens it again as another host would.
pub struct World {
    address: String,
    database: Database,
    tenant: Tenant,
    folder: Option<tempfile::TempDir>,
}

/// Limits under which hundreds of writers wait for each other on a slow disk.
pub fn patient() -> Limits {
    Limits { database_acquire_max_ms: 600_000, database_idle_max_ms: 600_000, ..Limits::default() }
}

pub const AT: Millis = Millis(1_700_000_000_000);

impl World {
    async fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let address = format!("sqlite:{}/reg istry?.db", folder.path().display());
        Self::open(address, Some(folder)).await
    }

    async fn postgres() -> Self {
        Self::open(new_postgres_database().await, None).await
    }

    async fn open(address: String, folder: Option<tempfile::TempDir>) -> Self {
        let database = Database::connect(&address, &patient()).await.expect("it opens");
        Self { address, database, tenant: Tenant::default_tenant(), folder }
    }

    /// With its schema and its tenant.
    async fn ready(self) -> Self {
        self.database.migrate(AT).await.expect("it migrates");
        self.database.ensure_tenant(&self.tenant, AT).await.expect("the tenant is made");
        self
    }

    /// With an active release of the module `agents`, which is returned.
    async fn with_rules(self) -> (Self, Vec<ReleaseRef>) {
        let world = self.ready().await;
        let release = world.activate_new("module:agents", "{}").await;
        (world, vec![release])
    }

    /// The events of entries that have no place yet.
    pub async fn entry_events(&self) -> Vec<EventRow> {
        let mut events = self.database.pending_events(&self.tenant, 10_000).await.expect("events");
        events.retain(|row| row.event.entry.is_some());
        events
    }

    async fn second_host(&self) -> Database {
        Database::connect(&self.address, &patient()).await.expect("it opens again")
    }

    async fn create(&self, scope: &str, rules: &str) -> ReleaseRef {
        self.create_for(&self.tenant, scope, rules).await
    }

    async fn create_for(&self, tenant: &Tenant, scope: &str, rules: &str) -> ReleaseRef {
        let release = NewRelease {
            scope: scope.parse().expect("a scope"),
            digest: Digest::of(rules.as_bytes()),
            rules: rules.to_owned(),
            author: "ada".to_owned(),
            message: "try".to_owned(),
            created_at: AT,
        };
        self.database.create_release(tenant, &release).await.expect("a release").release
    }

    async fn activate_new(&self, scope: &str, rules: &str) -> ReleaseRef {
        let release = self.create(scope, rules).await;
        assert_eq!(self.activate(&release.scope, release.number, None).await, Activation::Activated);
        release
    }

    async fn activate(&self, scope: &Scope, number: i64, expected: Option<Option<i64>>) -> Activation {
        activate(&self.database, &self.tenant, (scope, number), expected).await.expect("an answer")
    }

    async fn publish(&self, judged: &[ReleaseRef], id: &str, version: &str) -> Committed {
        publish(&self.database, judged, id, version).await.expect("an answer")
    }
}

/// Ada's wish for a release.
pub fn wish(scope: &Scope, number: i64, expected: Option<Option<i64>>) -> Activate<'_> {
    let (beside, exemptions, trust, staged) = (None, None, None, None);
    Activate { scope, number, expected, beside, exemptions, trust, staged, actor: "ada", at: AT }
}

/// Puts a release in force for ada.
pub async fn activate(
    database: &Database,
    tenant: &Tenant,
    (scope, number): (&Scope, i64),
    expected: Option<Option<i64>>,
) -> Result<Activation, StoreError> {
    database.activate(tenant, &wish(scope, number, expected)).await
}

/// Publishes an agent, as the gate would after it approved.
pub async fn publish(
    database: &Database,
    judged: &[ReleaseRef],
    id: &str,
    version: &str,
) -> Result<Committed, StoreError> {
    let approved = approve(judged);
    let tenant = Tenant::default_tenant();
    database.commit(&commit(&tenant, &approved, id, version)).await
}

pub fn commit<'a>(tenant: &'a Tenant, approved: &'a Approved, id: &str, version: &str) -> Commit<'a> {
    let (kind, entry) = ("agents".parse().expect("a kind"), id.parse().expect("an id"));
    let manifest = format!("{{\"agentId\":\"{id}\",\"version\":\"{version}\"}}");
    let version = VersionRow {
        kind,
        id: entry,
        version: version.parse().expect("a version"),
        status: "active".to_owned(),
        withdrawal: None,
        digest: Digest::of(manifest.as_bytes()),
        submitted_digest: Digest::of(b"submitted"),
        manifest: manifest.into(),
        decision: new_id(AT).parse().expect("an id"),
        published_by: "ada".to_owned(),
        published_at: AT,
    };
    Commit {
        tenant,
        approved,
        inbox_key: format!("registry:agent:{}:{}", version.id, version.version),
        shown: shown(id, &format!("{id} {}", version.version)),
        status: EntryStatus::Active,
        expected: Expected::Anything,
        references: Vec::new(),
        decision: DecisionRow {
            id: version.decision.clone(),
            kind: version.kind.clone(),
            entry: version.id.clone(),
            version: version.version.clone(),
            outcome: "approved".to_owned(),
            body: "{}".to_owned(),
            submission: None,
            created_at: AT,
        },
        event: event("entry.published", id),
        version,
        happenings: Vec::new(),
        observations: Vec::new(),
        is_higher: |one, other| semver(one) > semver(other),
    }
}

/// What is shown of a version of an agent, by its id and name.
pub fn shown(id: &str, name: &str) -> Shown {
    Shown {
        name: name.to_owned(),
        description: Some("an agent".to_owned()),
        tags: "[\"a\"]".to_owned(),
        category: None,
        text: EntryText { title: id.to_lowercase(), about: "a an agent".to_owned(), body: String::new() },
    }
}

pub fn event(what: &str, entry: &str) -> NewEvent {
    NewEvent {
        id: new_id(AT),
        what: what.to_owned(),
        kind: "agents".parse().expect("a kind"),
        entry: entry.parse().expect("an id"),
        body: "{}".to_owned(),
        created_at: AT,
    }
}

fn semver(text: &str) -> semver::Version {
    text.parse().expect("a semantic version")
}
