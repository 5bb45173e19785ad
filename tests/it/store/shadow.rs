//! Shadows: that one runs, and what is counted of them.

use hallmark::clock::{Millis, new_id};
use hallmark::names::Tenant;
use hallmark::registry::release::ReleaseRef;
use hallmark::registry::shadow::{Agreement, Change, ShadowRow, ShadowState};
use hallmark::registry::store::{
    Commit, Committed, Observation, ProgressAsked, ShadowEnd, ShadowStore as _, Store as _,
};
use hallmark::sql::Database;

use super::{AT, World, commit};
use crate::support::approval::approve;

const ALL: ProgressAsked =
    ProgressAsked { judged: 1_000, newly_rejected: 1_000, disagreed: 1_000, failed: 1_000, timed: 1_000 };

pub fn shadow(release: ReleaseRef) -> ShadowRow {
    ShadowRow {
        id: new_id(AT),
        release,
        percent: 100,
        state: ShadowState::Staged,
        reason: String::new(),
        plan: None,
        started_by: "ada".to_owned(),
        started_at: AT,
        changed_by: "ada".to_owned(),
        changed_at: AT,
    }
}

fn observation(observer: &str, agreement: Agreement, codes: &[(Change, &str)]) -> Observation {
    let codes = codes.iter().map(|(change, code)| (*change, (*code).to_owned())).collect();
    Observation { observer: observer.to_owned(), agreement, slower_micros: 500, codes }
}

async fn started(world: &World) -> ShadowRow {
    let shadow = shadow(world.create("module:agents", "{\"next\":1}").await);
    assert!(world.database.insert_shadow(&world.tenant, &shadow).await.expect("an answer"));
    shadow
}

async fn publish(database: &Database, judged: &[ReleaseRef], observed: &[Observation], id: &str) -> Committed {
    let (approved, tenant) = (approve(judged), Tenant::default_tenant());
    let commit = Commit { observations: observed.to_vec(), ..commit(&tenant, &approved, id, "1.0.0") };
    database.commit(&commit).await.expect("an answer")
}

pub async fn writes_what_was_observed_with_the_decision(world: World) {
    let (world, judged) = world.with_rules().await;
    let shadow = started(&world).await;
    // A shadow and a binding that observes, of the same decisions.
    let codes = [(Change::New, "a.b"), (Change::Gone, "c.d")];
    let binding = observation("policies#7/house", Agreement::OtherFindings, &codes[..1]);
    let rejects = [observation(&shadow.id, Agreement::NewlyRejected, &codes), binding.clone()];
    assert!(matches!(publish(&world.database, &judged, &rejects, "one").await, Committed::Written { .. }));
    // What is not committed is not counted: the version is there, or the rules moved.
    assert!(matches!(publish(&world.database, &judged, &rejects, "one").await, Committed::Exists { .. }));
    let retired = [ReleaseRef { number: 9, ..judged[0].clone() }];
    assert_eq!(publish(&world.database, &retired, &rejects, "two").await, Committed::RulesMoved);
    // A refusal leaves its decision, and what the shadow would have said of it.
    let (approved, tenant) = (approve(&judged), Tenant::default_tenant());
    let refused = commit(&tenant, &approved, "three", "1.0.0").decision;
    let failed = [observation(&shadow.id, Agreement::Failed, &[]), binding];
    world.database.insert_observed_decision(&tenant, &refused, &failed, &[]).await.expect("an answer");

    let counts = world.database.observation_counts(&tenant, &shadow.id).await.expect("counts");
    assert_eq!(counts.len(), 2, "{counts:?}");
    assert!(counts.contains(&(Agreement::NewlyRejected, 1)) && counts.contains(&(Agreement::Failed, 1)), "{counts:?}");
    let codes = world.database.observation_codes(&tenant, &shadow.id, 10).await.expect("codes");
    let told: Vec<_> = codes.iter().map(|code| (code.change, code.code.as_str(), code.publishes)).collect();
    assert_eq!(told, [(Change::New, "a.b", 1), (Change::Gone, "c.d", 1)]);
    let examples = world.database.observation_code_examples(&tenant, &shadow.id, &codes[0], 3).await.expect("examples");
    assert_eq!(examples[0].entry.as_str(), "one");
    let examples =
        world.database.observation_examples(&tenant, &shadow.id, Agreement::Failed, 3).await.expect("examples");
    assert_eq!((examples.len(), &examples[0].decision), (1, &refused.id));
    let progress = world.database.observation_progress(&tenant, &shadow.id, ALL).await.expect("progress");
    assert_eq!((progress.judged, progress.newly_rejected, progress.disagreed, progress.failed), (1, 1, 1, 1));
    assert_eq!(progress.slower_micros, (500, 1));

    let house = "policies#7/house";
    let counts = world.database.observation_counts(&tenant, house).await.expect("counts");
    assert_eq!(counts, [(Agreement::OtherFindings, 2)]);
    let codes = world.database.observation_codes(&tenant, house, 10).await.expect("codes");
    assert_eq!((codes.len(), codes[0].publishes), (1, 2));
    let progress = world.database.observation_progress(&tenant, house, ALL).await.expect("progress");
    assert_eq!((progress.judged, progress.newly_rejected, progress.disagreed, progress.failed), (2, 0, 2, 0));
}

pub async fn counts_over_several_hosts(world: World) {
    let (world, judged) = world.with_rules().await;
    let shadow = started(&world).await;
    let other = world.second_host().await;
    let publishes = (0..60).map(|number| {
        let host = if number % 2 == 0 { &world.database } else { &other };
        let agreement = if number % 3 == 0 { Agreement::NewlyRejected } else { Agreement::Agreed };
        let (observed, judged) = ([observation(&shadow.id, agreement, &[])], &judged);
        async move { publish(host, judged, &observed, &format!("agent-{number}")).await }
    });
    for written in futures_util::future::join_all(publishes).await {
        assert!(matches!(written, Committed::Written { .. }), "{written:?}");
    }
    let mut counts = world.database.observation_counts(&world.tenant, &shadow.id).await.expect("counts");
    counts.sort_by_key(|(_, count)| *count);
    assert_eq!(counts, [(Agreement::NewlyRejected, 20), (Agreement::Agreed, 40)]);
    let few = ProgressAsked { judged: 7, newly_rejected: 3, disagreed: 0, failed: 1, timed: 10 };
    let progress = world.database.observation_progress(&world.tenant, &shadow.id, few).await.expect("progress");
    let counted = (progress.judged, progress.newly_rejected, progress.disagreed, progress.failed);
    assert_eq!(counted, (7, 3, 0, 0), "no further than asked");
    assert_eq!(progress.slower_micros, (500, 10));
}

pub async fn lets_one_of_two_end_a_shadow(world: World) {
    let (world, _) = world.with_rules().await;
    let first = started(&world).await;
    let second = shadow(first.release.clone());
    assert!(!world.database.insert_shadow(&world.tenant, &second).await.expect("an answer"), "one of a scope runs");
    let other = world.second_host().await;
    let before = world.database.rules_stamp(&world.tenant).await.expect("a stamp").shadows;
    let end = |to| ShadowEnd { to, reason: "why", by: "eve", at: Millis(AT.0 + 1) };
    let (one, two) = tokio::join!(
        world.database.end_shadow(&world.tenant, &first, end(ShadowState::Activated)),
        other.end_shadow(&world.tenant, &first, end(ShadowState::Demoted)),
    );
    assert_ne!(one.expect("an answer"), two.expect("an answer"), "one of them did");
    let after = world.database.rules_stamp(&world.tenant).await.expect("a stamp").shadows;
    assert_eq!(after, before + 1);
    assert!(world.database.running_shadows(&world.tenant).await.expect("shadows").is_empty());
    let ended = world.database.newest_shadow(&world.tenant, &first.release.scope).await.expect("an answer");
    let ended = ended.expect("it is kept");
    assert_eq!((ended.reason.as_str(), ended.changed_by.as_str(), ended.changed_at), ("why", "eve", Millis(AT.0 + 1)));
    assert!(world.database.insert_shadow(&world.tenant, &second).await.expect("an answer"), "the next may run");
}
