//! PostgreSQL alone: what others hold. On SQLite one writer has the whole file.

use hallmark::config::Limits;
use hallmark::registry::store::{Activation, Committed};
use hallmark::sql::Database;
use sqlx::{Connection as _, Executor as _, PgConnection};

use super::{World, patient, publish};
use crate::support::as_superuser;
use crate::support::waiting::until_waiting;

/// Another program's connection to the same database.
async fn stranger(world: &World) -> PgConnection {
    PgConnection::connect(&as_superuser(&world.address)).await.expect("it connects")
}

async fn open(address: &str, limits: &Limits) -> Database {
    Database::connect(address, limits).await.expect("it opens")
}

/// A publish that waits for an activation reads what the activation wrote, whatever the server's default isolation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_activation_is_seen_whatever_the_default_isolation() {
    let (world, judged) = World::postgres().await.with_rules().await;
    let next = world.create("module:agents", "{\"next\":1}").await;
    let (mut holds, mut looks) = (stranger(&world).await, stranger(&world).await);
    let repeatable = "DO $$ BEGIN
        EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = ''repeatable read''', current_database());
    END $$";
    holds.execute(repeatable).await.expect("it is set");
    let host = open(&world.address, &patient()).await;
    holds.execute("BEGIN; SELECT 1 FROM rulesets WHERE scope = 'module:agents' FOR UPDATE").await.expect("it is held");
    // The activation holds the rules and waits for the row; the publish waits for the rules.
    let (activated, published) = tokio::join!(world.activate(&next.scope, next.number, None), async {
        until_waiting(&mut looks, "locktype <> 'advisory'", 1).await;
        let published = publish(&host, &judged, "a", "1.0.0");
        let released = async {
            until_waiting(&mut looks, "locktype = 'advisory'", 1).await;
            holds.execute("ROLLBACK").await.expect("it is let go");
        };
        tokio::join!(published, released).0
    });
    assert_eq!(activated, Activation::Activated);
    assert_eq!(published.expect("an answer"), Committed::RulesMoved);
}

/// Two publishes of an entry that somebody holds wait, and nobody else does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_is_held_keeps_nobody_else_waiting() {
    let (world, judged) = World::postgres().await.with_rules().await;
    let mut holds = stranger(&world).await;
    world.publish(&judged, "held", "1.0.0").await;
    holds.execute("BEGIN; SELECT 1 FROM entries WHERE id = 'held' FOR UPDATE").await.expect("it is held");
    let host = open(&world.address, &patient()).await;
    let held =
        async { tokio::join!(publish(&host, &judged, "held", "1.1.0"), publish(&host, &judged, "held", "1.2.0")) };
    let others = async {
        for number in 0..20 {
            let written = publish(&host, &judged, &format!("other-{number}"), "1.0.0").await.expect("an answer");
            assert!(matches!(written, Committed::Written { .. }), "{written:?}");
        }
        holds.execute("ROLLBACK").await.expect("it is let go");
    };
    let ((one, other), ()) = tokio::join!(held, others);
    for answer in [one, other] {
        let answer = answer.expect("an answer");
        assert!(matches!(answer, Committed::Written { .. }), "{answer:?}");
    }
}

/// Whoever waits for longer than it may is told so, and the host goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_waits_no_longer_than_it_may() {
    let (world, judged) = World::postgres().await.with_rules().await;
    let mut holds = stranger(&world).await;
    world.publish(&judged, "held", "1.0.0").await;
    holds.execute("BEGIN; SELECT 1 FROM entries WHERE id = 'held' FOR UPDATE").await.expect("it is held");
    let impatient = Limits { database_acquire_max_ms: 700, ..patient() };
    let host = open(&world.address, &impatient).await;
    let error = publish(&host, &judged, "held", "1.1.0").await.expect_err("it cannot be committed");
    assert_eq!(error.to_string(), "the database cannot be reached");
    holds.execute("ROLLBACK").await.expect("it is let go");
    let patient = open(&world.address, &patient()).await;
    let answer = publish(&patient, &judged, "held", "1.2.0").await.expect("an answer");
    assert!(matches!(answer, Committed::Written { .. }), "{answer:?}");
}

/// What waits is counted, whether or not anybody still waits for its answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_commits_wait_than_there_may_be_requests() {
    let (world, judged) = World::postgres().await.with_rules().await;
    let mut holds = stranger(&world).await;
    world.publish(&judged, "held", "1.0.0").await;
    holds.execute("BEGIN; SELECT 1 FROM entries WHERE id = 'held' FOR UPDATE").await.expect("it is held");
    let limits = Limits { requests_in_flight_max: 1, ..patient() };
    let host = open(&world.address, &limits).await;
    let refused = async {
        let mut looks = stranger(&world).await;
        until_waiting(&mut looks, "true", 1).await;
        let refused = publish(&host, &judged, "other", "1.0.0").await.expect_err("there is no room");
        holds.execute("ROLLBACK").await.expect("it is let go");
        refused
    };
    let (held, refused) = tokio::join!(publish(&host, &judged, "held", "1.1.0"), refused);
    assert!(matches!(held.expect("an answer"), Committed::Written { .. }));
    assert_eq!(refused.to_string(), "the database cannot be reached");
}
