//! Which release of a scope is active, who may change that, and what the slower of two is told.

use std::sync::Arc;

use futures_util::future::join_all;
use hallmark::clock::Millis;
use hallmark::config::Limits;
use hallmark::names::Scope;
use hallmark::plugin::Sandbox;
use hallmark::registry::blobs::Blobs;
use hallmark::registry::release::{ReleaseRef, Rules};
use hallmark::registry::store::{Activate, Activation, ActivationStore as _, ActiveRelease, Freeze, Store as _};
use hallmark::registry::{Actor, Registry, RegistryError};
use hallmark::sql::Database;
use serde_json::json;

use super::{AT, World, activate, patient};

fn agents() -> Scope {
    "module:agents".parse().expect("a scope")
}

fn by_ada(number: i64) -> Option<ActiveRelease> {
    Some(ActiveRelease { number, by: Some("ada".to_owned()), at: AT })
}

pub async fn activates_what_the_caller_expects(world: World) {
    let world = world.ready().await;
    assert_eq!(world.activate(&agents(), 1, None).await, Activation::Missing);
    world.create("module:agents", "1").await;
    world.create("module:agents", "2").await;
    assert_eq!(world.activate(&agents(), 3, None).await, Activation::Missing);
    assert_eq!(world.activate(&agents(), 1, Some(Some(2))).await, Activation::Moved { active: None });
    assert_eq!(world.activate(&agents(), 1, Some(None)).await, Activation::Activated);
    assert_eq!(world.activate(&agents(), 1, None).await, Activation::Unchanged);
    assert_eq!(world.activate(&agents(), 2, Some(None)).await, Activation::Moved { active: by_ada(1) });
    assert_eq!(world.activate(&agents(), 2, Some(Some(1))).await, Activation::Activated);
    assert_eq!(world.activate(&agents(), 1, None).await, Activation::Activated);
    let refs = world.database.active_release_refs(&world.tenant).await.expect("refs");
    assert_eq!(refs.iter().map(|it| it.number).collect::<Vec<_>>(), [1]);
}

pub async fn lets_one_of_two_activations_win(world: World) {
    let world = world.ready().await;
    let other = world.second_host().await;
    for number in 1..=10 {
        world.create("module:agents", &number.to_string()).await;
    }
    assert_eq!(world.activate(&agents(), 10, None).await, Activation::Activated);
    let scope = agents();
    let answers = join_all((1..10).map(|number| {
        let host = if number % 2 == 0 { &world.database } else { &other };
        activate(host, &world.tenant, (&scope, number), Some(Some(10)))
    }))
    .await;
    let answers: Vec<_> = answers.into_iter().map(|answer| answer.expect("no error")).collect();
    let won = answers.iter().filter(|answer| **answer == Activation::Activated).count();
    let moved = answers.iter().filter(|answer| matches!(answer, Activation::Moved { active: Some(_) })).count();
    assert_eq!((won, moved), (1, 8));
}

/// A host that shares the database of the world.
async fn host(database: Database, world: &World, folder: &std::path::Path) -> Arc<Registry> {
    let limits = Arc::new(Limits { changes_in_flight_max: 64, ..patient() });
    let sandbox = Sandbox::start(Arc::clone(&limits), None).expect("a sandbox");
    let blobs = Blobs::in_folder(folder).expect("a folder");
    Registry::open(Arc::new(database), blobs, sandbox, limits, world.tenant.clone()).await.expect("it opens")
}

fn actor(world: &World, name: &str) -> Actor {
    Actor::trusted(world.tenant.clone(), name)
}

pub async fn tells_who_was_faster(world: World) {
    let world = world.ready().await;
    let folder = tempfile::tempdir().expect("a folder");
    let mut hosts = Vec::new();
    for _ in 0..2 {
        hosts.push(host(world.second_host().await, &world, folder.path()).await);
    }
    let people = ["ada", "bob"];
    for round in 1..=10 {
        let mut numbers = Vec::new();
        for (registry, name) in hosts.iter().zip(people) {
            let rules = json!({"scope": "policies", "description": format!("{name} {round}")});
            let rules: Rules = serde_json::from_value(rules).expect("rules");
            let released = registry.create_release(&actor(&world, name), rules, String::new()).await;
            numbers.push(released.expect("a release").release.release.number);
        }
        let before = world.database.active_release(&world.tenant, &Scope::Policies).await.expect("an answer");
        let expected = before.map(|row| row.release.number);
        let (ada, bob) = (actor(&world, "ada"), actor(&world, "bob"));
        let answers: [Result<_, RegistryError>; 2] = tokio::join!(
            hosts[0].activate(&ada, &Scope::Policies, numbers[0], Some(expected)),
            hosts[1].activate(&bob, &Scope::Policies, numbers[1], Some(expected)),
        )
        .into();
        let winner = answers.iter().position(Result::is_ok).expect("one of them wins");
        let lost = answers[1 - winner].as_ref().expect_err("and one alone");
        let RegistryError::ReleaseMoved(overtaken) = lost else { panic!("{lost:?}") };
        let active = overtaken.active.as_ref().expect("one is active");
        assert_eq!((active.number, active.by.as_deref()), (numbers[winner], Some(people[winner])));
        let told = format!("release {} of policies is active: {} activated it at ", numbers[winner], people[winner]);
        assert!(lost.to_string().starts_with(&told), "{lost}");
    }
}

pub async fn keeps_a_frozen_scope_as_it_is(world: World) {
    let world = world.ready().await;
    let scope = agents();
    let freeze =
        |by: &str, reason: &str| Freeze { by: by.to_owned(), at: Millis(7), reason: reason.parse().expect("a reason") };
    let (first, later) = (freeze("ada", "release week"), freeze("bob", "holidays"));
    assert_eq!(world.database.freeze(&world.tenant, &scope, &first).await.expect("an answer"), None);
    world.activate_new("module:agents", "1").await;
    world.create("module:agents", "2").await;
    let before = world.database.freeze(&world.tenant, &scope, &first).await.expect("an answer").expect("a scope");
    assert_eq!((before.active, before.freeze), (by_ada(1), None));
    let before = world.database.freeze(&world.tenant, &scope, &later).await.expect("an answer").expect("a scope");
    assert_eq!(before.freeze.as_ref(), Some(&first), "who froze it first is remembered");
    assert_eq!(world.activate(&scope, 2, None).await, Activation::Frozen(first.clone()));
    assert_eq!(world.activate(&scope, 2, Some(None)).await, Activation::Moved { active: by_ada(1) });
    assert_eq!(world.activate(&scope, 1, None).await, Activation::Unchanged);
    world.activate_new("module:others", "1").await;
    for _ in 0..2 {
        let state = world.database.scope_state(&world.tenant, &scope).await.expect("an answer").expect("a scope");
        let before = world.database.unfreeze(&world.tenant, &scope, "bob", AT).await.expect("an answer");
        assert_eq!(before, Some(state));
    }
    assert_eq!(world.activate(&scope, 2, None).await, Activation::Activated);
    let told = super::audit::written(&world).await;
    let told: Vec<&String> = told.iter().filter(|line| line.starts_with("scope.")).collect();
    assert_eq!(
        told,
        ["scope.frozen ada module:agents {\"reason\":\"release week\"}", "scope.unfrozen bob module:agents {}"]
    );
}

pub async fn refuses_a_release_that_was_proved_beside_others(world: World) {
    let world = world.ready().await;
    let services = world.activate_new("module:services", "1").await;
    world.activate_new("module:agents", "1").await;
    let next = world.create("module:agents", "2").await;
    let wish = async |beside: &[ReleaseRef]| {
        let beside = Some(beside);
        let wish = Activate { beside, ..super::wish(&next.scope, next.number, None) };
        world.database.activate(&world.tenant, &wish).await.expect("an answer")
    };
    assert_eq!(wish(&[]).await, Activation::RulesMoved);
    let policies = world.activate_new("policies", "1").await;
    assert_eq!(wish(std::slice::from_ref(&services)).await, Activation::RulesMoved);
    assert_eq!(wish(&[services, policies]).await, Activation::Activated);
}

pub async fn proves_again_what_was_activated_beside(world: World) {
    let world = world.ready().await;
    let folder = tempfile::tempdir().expect("a folder");
    let one = host(world.second_host().await, &world, folder.path()).await;
    let two = host(world.second_host().await, &world, folder.path()).await;
    let ada = actor(&world, "ada");
    for round in 0..20 {
        // Each is right alone; both at once would leave nobody to say whose the kind is, or the singular.
        let kind = |name: String| {
            json!({"name": name, "singular": format!("thing-{round}"), "idField": "thingId",
                   "documentField": "content", "schema": {}})
        };
        let other = if round % 2 == 0 { "kinds" } else { "others" };
        let mut scopes = Vec::new();
        for (registry, module, plural) in [(&one, "one", "kinds"), (&two, "two", other)] {
            let scope = format!("module:{module}-{round}");
            let rules = json!({"scope": scope, "kinds": [kind(format!("{plural}-{round}"))]});
            let rules: Rules = serde_json::from_value(rules).expect("rules");
            registry.create_release(&ada, rules, String::new()).await.expect("a release");
            scopes.push(scope.parse::<Scope>().expect("a scope"));
        }
        let answers: [Result<_, RegistryError>; 2] =
            tokio::join!(one.activate(&ada, &scopes[0], 1, None), two.activate(&ada, &scopes[1], 1, None)).into();
        let won = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(won, 1, "{answers:?}");
        let lost = answers.into_iter().find_map(Result::err).expect("one lost");
        let RegistryError::BadRules(remarks) = &lost else { panic!("{lost:?}") };
        assert_eq!(remarks[0].code, "rules.kind-taken", "{remarks:?}");
    }
    let active = world.database.active_release_refs(&world.tenant).await.expect("refs");
    assert_eq!(active.len(), 20);
}
