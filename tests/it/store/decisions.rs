//! Decisions, as they are looked for.

use hallmark::clock::{Millis, new_id};
use hallmark::names::DecisionId;
use hallmark::registry::Outcome;
use hallmark::registry::store::{DecisionFilter, DecisionRow, DecisionStore as _, Store as _};

use super::{AT, World, commit};
use crate::support::approval::approve;

fn refused(entry: &str, outcome: Outcome, at: Millis, judged_by: &str) -> DecisionRow {
    DecisionRow {
        id: new_id(at).parse().expect("an id"),
        kind: "agents".parse().expect("a kind"),
        entry: entry.parse().expect("an id"),
        version: "1.0.0".parse().expect("a version"),
        outcome: outcome.as_str().to_owned(),
        body: format!("{{\"releases\":[{judged_by}]}}"),
        submission: Some(format!("{{\"submission\":{{\"ünïcode\":\"{entry}\"}},\"variables\":{{}}}}")),
        created_at: at,
    }
}

async fn found(world: &World, filter: &DecisionFilter) -> Vec<DecisionId> {
    let page = world.database.decisions(&world.tenant, filter, None, 100).await.expect("a page");
    assert!(!page.more);
    page.items.into_iter().map(|row| row.id).collect()
}

pub async fn finds_decisions_by_what_they_are_about(world: World) {
    let (world, judged) = world.with_rules().await;
    let by =
        |scope: &str, number: i64| format!("{{\"scope\":\"{scope}\",\"number\":{number},\"digest\":\"sha256:0\"}}");
    let later = Millis(AT.0 + 1_000);
    let first = refused("a", Outcome::Rejected, AT, &by("module:agents", 1));
    let second = refused("a", Outcome::Failed, later, &by("module:agents", 12));
    let third = refused("b", Outcome::Rejected, later, &[by("module:agents", 1), by("policies", 2)].join(","));
    for row in [&first, &second, &third] {
        world.database.insert_decision(&world.tenant, row).await.expect("it is written");
        assert_eq!(world.database.decision(&world.tenant, &row.id).await.expect("an answer").as_ref(), Some(row));
    }
    let approved = approve(&judged);
    let mut commit = commit(&world.tenant, &approved, "a", "1.0.0");
    commit.decision.submission = Some("{}".to_owned());
    world.database.commit(&commit).await.expect("an answer");
    let written = world.database.decision(&world.tenant, &commit.decision.id).await.expect("an answer");
    assert_eq!(written.as_ref(), Some(&commit.decision));

    let ids = |rows: &[&DecisionRow]| {
        let mut ids: Vec<_> = rows.iter().map(|row| row.id.clone()).collect();
        ids.sort_by(|one, other| other.cmp(one));
        ids
    };
    let all = DecisionFilter::default();
    assert_eq!(found(&world, &all).await, ids(&[&first, &second, &third, &commit.decision]));
    let kind = Some("agents".parse().expect("a kind"));
    let of_entry = DecisionFilter { kind: kind.clone(), entry: Some("a".parse().expect("an id")), ..all.clone() };
    assert_eq!(found(&world, &of_entry).await, ids(&[&first, &second, &commit.decision]));
    for (outcome, rows) in [
        (Outcome::Approved, ids(&[&commit.decision])),
        (Outcome::Rejected, ids(&[&first])),
        (Outcome::Failed, ids(&[&second])),
    ] {
        assert_eq!(found(&world, &DecisionFilter { outcome: Some(outcome), ..of_entry.clone() }).await, rows);
    }
    let rejected = DecisionFilter { outcome: Some(Outcome::Rejected), ..all.clone() };
    assert_eq!(found(&world, &rejected).await, ids(&[&first, &third]));
    let by_release = |scope: &str, number| DecisionFilter {
        release: Some((scope.parse().expect("a scope"), number)),
        ..DecisionFilter::default()
    };
    assert_eq!(found(&world, &by_release("module:agents", 1)).await, ids(&[&first, &third]));
    assert_eq!(found(&world, &by_release("policies", 2)).await, ids(&[&third]));
    assert_eq!(found(&world, &by_release("policies", 1)).await, []);
    let since = DecisionFilter { since: Some(later), ..all.clone() };
    assert_eq!(found(&world, &since).await, ids(&[&second, &third]));
    let others = DecisionFilter { kind: Some("services".parse().expect("a kind")), ..all.clone() };
    assert_eq!(found(&world, &others).await, []);
    let other_tenant = "other".parse().expect("a tenant");
    let of_others = world.database.decisions(&other_tenant, &all, None, 9).await.expect("a page");
    assert!(of_others.items.is_empty());

    // Page by page, by the id before.
    let (mut seen, mut more) = (Vec::<DecisionId>::new(), true);
    while more {
        let page = world.database.decisions(&world.tenant, &of_entry, seen.last(), 1).await.expect("a page");
        more = page.more;
        seen.extend(page.items.into_iter().map(|row| row.id));
    }
    assert_eq!(seen, found(&world, &of_entry).await);
}
