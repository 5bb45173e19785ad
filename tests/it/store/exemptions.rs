//! Exemptions, as a commit meets them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use hallmark::clock::{Millis, new_id};
use hallmark::registry::exemptions::Exemption;
use hallmark::registry::release::ReleaseRef;
use hallmark::registry::store::{
    Activate, Activation, ActivationStore as _, Committed, ExemptionMade, ExemptionStore as _, HeldExemptions,
    Store as _,
};
use sqlx::{Connection as _, Executor as _, PgConnection};

use super::{AT, World, commit, patient};
use crate::support::approval::approve_under;
use crate::support::as_superuser;
use crate::support::waiting::until_waiting;
use hallmark::sql::Database;

pub fn exemption() -> Exemption {
    Exemption {
        id: new_id(AT),
        pattern: "agents/*".parse().expect("a pattern"),
        code: "a.b".to_owned(),
        binding: None,
        until: Millis(AT.0 + 1),
        reason: "a test".to_owned(),
        author: "ada".to_owned(),
        created_at: AT,
        revoked: None,
    }
}

async fn publish(database: &Database, judged: &[ReleaseRef], number: i64, id: &str, version: &str) -> Committed {
    let (approved, tenant) = (approve_under(judged, number), hallmark::names::Tenant::default_tenant());
    database.commit(&commit(&tenant, &approved, id, version)).await.expect("an answer")
}

async fn number(database: &Database, world: &World) -> i64 {
    database.exemptions_in_force(&world.tenant, AT).await.expect("exemptions").number
}

pub async fn refuses_a_commit_whose_exemptions_changed(world: World) {
    let (world, judged) = world.with_rules().await;
    let (host, tenant) = (world.second_host().await, &world.tenant);
    let made = exemption();
    assert_eq!(host.insert_exemption(tenant, &made, 1).await.expect("an answer"), ExemptionMade::Made);
    assert_eq!(host.insert_exemption(tenant, &exemption(), 1).await.expect("an answer"), ExemptionMade::TooMany);
    assert_eq!(publish(&world.database, &judged, 0, "a", "1.0.0").await, Committed::RulesMoved);
    assert!(matches!(publish(&world.database, &judged, 1, "a", "1.0.0").await, Committed::Written { .. }));
    let in_force = world.database.exemptions_in_force(tenant, AT).await.expect("exemptions");
    assert_eq!((in_force.number, in_force.list), (1, vec![made.clone()]));
    let later = world.database.exemptions_in_force(tenant, made.until).await.expect("exemptions");
    assert_eq!((later.number, later.list), (1, Vec::new()), "its end is no change");
    let revoked = host.revoke_exemption(tenant, &made.id, "eve", AT).await.expect("an answer").expect("it is there");
    assert_eq!(revoked.revoked, Some((AT, "eve".to_owned())));
    assert_eq!(host.revoke_exemption(tenant, &made.id, "bob", AT).await.expect("an answer"), Some(revoked));
    assert_eq!(host.revoke_exemption(tenant, "none", "bob", AT).await.expect("an answer"), None);
    assert_eq!(number(&world.database, &world).await, 2, "what changed nothing raised nothing");
    assert_eq!(publish(&world.database, &judged, 1, "b", "1.0.0").await, Committed::RulesMoved);
    let all = world.database.exemptions(tenant, None, None, 10).await.expect("a page").items;
    assert_eq!(all.len(), 1);
}

pub async fn commits_nothing_under_exemptions_that_were_taken_back(world: World) {
    let (world, judged) = world.with_rules().await;
    let (world, judged) = (Arc::new(world), Arc::new(judged));
    let in_force = Arc::new(AtomicI64::new(0));
    let publishers = (0..3).map(|publisher| {
        let (world, judged, in_force) = (world.clone(), judged.clone(), in_force.clone());
        tokio::spawn(async move {
            let (mut done, mut attempt) = (0, 0);
            while done < 8 {
                let read = number(&world.database, &world).await;
                let changed = read < in_force.load(Ordering::SeqCst);
                attempt += 1;
                let (id, version) = (format!("agent-{publisher}"), format!("1.{attempt}.0"));
                match publish(&world.database, &judged, read, &id, &version).await {
                    Committed::Written { .. } if changed => panic!("committed under exemptions that had changed"),
                    Committed::Written { .. } => done += 1,
                    Committed::RulesMoved => {}
                    Committed::Exists { .. } | Committed::Refused { .. } | Committed::Overtaken { .. } => {
                        panic!("no version is published twice")
                    }
                }
            }
        })
    });
    let publishers: Vec<_> = publishers.collect();
    for change in 0..10 {
        let made = exemption();
        world.database.insert_exemption(&world.tenant, &made, 10).await.expect("an answer");
        world.database.revoke_exemption(&world.tenant, &made.id, "ada", AT).await.expect("an answer");
        in_force.store(2 * (change + 1), Ordering::SeqCst);
    }
    for publisher in publishers {
        publisher.await.expect("no panic");
    }
}

/// A publish that waits for a revocation reads what that wrote.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_that_waits_for_a_revocation_is_judged_again() {
    let (world, judged) = World::postgres().await.with_rules().await;
    let made = exemption();
    world.database.insert_exemption(&world.tenant, &made, 1).await.expect("an answer");
    let mut holds = PgConnection::connect(&as_superuser(&world.address)).await.expect("it connects");
    let mut looks = PgConnection::connect(&as_superuser(&world.address)).await.expect("it connects");
    let host = Database::connect(&world.address, &patient()).await.expect("it opens");
    holds.execute("BEGIN; SELECT 1 FROM exemptions FOR UPDATE").await.expect("it is held");
    // The revocation holds the rules and waits for the row; the publish waits for the rules.
    let (revoked, published) =
        tokio::join!(world.database.revoke_exemption(&world.tenant, &made.id, "ada", AT), async {
            until_waiting(&mut looks, "locktype <> 'advisory'", 1).await;
            let published = publish(&host, &judged, 1, "a", "1.0.0");
            let released = async {
                until_waiting(&mut looks, "locktype = 'advisory'", 1).await;
                holds.execute("ROLLBACK").await.expect("it is let go");
            };
            tokio::join!(published, released).0
        });
    assert!(revoked.expect("an answer").is_some());
    assert_eq!(published, Committed::RulesMoved);
}

pub async fn activates_nothing_that_was_previewed_with_other_exemptions(world: World) {
    let world = world.ready().await;
    let (host, tenant) = (world.second_host().await, &world.tenant);
    world.activate_new("policies", "1").await;
    let next = world.create("policies", "2").await;
    let wish = async |exemptions: HeldExemptions, at: Millis| {
        let exemptions = Some(exemptions);
        let wish = Activate { exemptions, at, ..super::wish(&next.scope, next.number, None) };
        world.database.activate(tenant, &wish).await.expect("an answer")
    };
    let held = async || HeldExemptions::from(&host.exemptions_in_force(tenant, AT).await.expect("exemptions"));
    let none = held().await;
    let made = exemption();
    assert_eq!(host.insert_exemption(tenant, &made, 1).await.expect("an answer"), ExemptionMade::Made);
    assert_eq!(wish(none, AT).await, Activation::ExemptionsMoved, "one was made");
    let one = held().await;
    assert_eq!(wish(one, made.until).await, Activation::ExemptionsMoved, "it ended");
    host.revoke_exemption(tenant, &made.id, "eve", AT).await.expect("an answer");
    assert_eq!(wish(one, AT).await, Activation::ExemptionsMoved, "it was taken back");
    assert_eq!(wish(held().await, AT).await, Activation::Activated);
}
