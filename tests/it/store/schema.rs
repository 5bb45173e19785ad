//! Migrations, and what a host says that meets another schema than its own.

use std::os::unix::fs::PermissionsExt as _;

use hallmark::config::Limits;
use hallmark::registry::store::{Store as _, StoreError};
use hallmark::sql::Database;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use super::{AT, World, patient};
use crate::support::as_superuser;

/// The numbers of this engine's migrations.
async fn migrated(world: &World) -> Vec<i64> {
    world.database.migrate(AT).await.expect("it migrates")
}

/// Changes the database behind the host's back.
async fn meddle(world: &World, statement: &str) {
    let address = match &world.folder {
        Some(folder) => format!("sqlite:{}/reg%20istry%3F.db", folder.path().display()),
        None => world.address.clone(),
    };
    let mut connection = sqlx::AnyConnection::connect(&as_superuser(&address)).await.expect("it opens");
    connection.execute(AssertSqlSafe(statement)).await.expect("it is done");
    connection.close().await.expect("it closes");
}

async fn refusal(world: &World) -> String {
    world.database.check_schema().await.expect_err("the schema is refused").to_string()
}

pub async fn says_what_to_run_on_an_empty_database(world: World) {
    let text = "the database has no tables yet: run `hallmark migrate --database URL`";
    assert_eq!(refusal(&world).await, text);
    if let Some(folder) = &world.folder {
        let file = folder.path().join("reg istry?.db");
        let mode = std::fs::metadata(file).expect("the file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    migrated(&world).await;
    world.database.check_schema().await.expect("the schema is its own");
    meddle(&world, "DELETE FROM migrations").await;
    assert_eq!(refusal(&world).await, text);
}

pub async fn says_what_to_run_on_an_older_schema(world: World) {
    let numbers = migrated(&world).await;
    let (newest, before) = (numbers[numbers.len() - 1], numbers.iter().rev().nth(1).copied());
    meddle(&world, &format!("DELETE FROM migrations WHERE number = {newest}")).await;
    let expected = match before {
        None => "the database has no tables yet: run `hallmark migrate --database URL`".to_owned(),
        Some(found) => format!(
            "the database's schema is at migration {found} and this binary needs {newest}: run `hallmark migrate --database URL`"
        ),
    };
    assert_eq!(refusal(&world).await, expected);
}

pub async fn says_what_to_run_on_a_newer_schema(world: World) {
    let newest = migrated(&world).await.pop().expect("a migration");
    meddle(&world, "INSERT INTO migrations (number, name, digest, applied_at) VALUES (9999, 'later', 'sha256:00', 1)")
        .await;
    let text = format!(
        "the database's schema is at migration 9999, newer than this binary knows ({newest}): \
         upgrade this host to the hallmark that migrated it"
    );
    assert_eq!(refusal(&world).await, text);
    assert_eq!(world.database.migrate(AT).await.expect_err("it is refused").to_string(), text);
    assert_eq!(world.database.revert_to(0).await.expect_err("it is refused").to_string(), text);
}

pub async fn refuses_a_changed_migration(world: World) {
    migrated(&world).await;
    meddle(&world, "UPDATE migrations SET digest = 'sha256:00' WHERE number = 1").await;
    let text = "migration 1 was applied to the database from another text than this binary holds: \
                run the hallmark that migrated it, or one released after it";
    assert_eq!(refusal(&world).await, text);
    assert_eq!(world.database.migrate(AT).await.expect_err("it is refused").to_string(), text);
}

pub async fn migrates_once_for_hosts_that_start_at_once(world: World) {
    let hosts: Vec<_> = (0..4)
        .map(|_| {
            let address = world.address.clone();
            tokio::spawn(async move {
                let host = Database::connect(&address, &patient()).await.expect("it opens");
                host.migrate(AT).await.expect("it migrates").len()
            })
        })
        .collect();
    let mut applied = Vec::new();
    for host in hosts {
        applied.push(host.await.expect("no panic"));
    }
    applied.sort_unstable();
    assert_eq!(applied[..3], [0, 0, 0]);
    assert!(applied[3] > 0);
    world.database.check_schema().await.expect("the schema is its own");
    assert!(migrated(&world).await.is_empty());
}

pub async fn reverts_and_migrates_again(world: World) {
    let (world, judged) = world.with_rules().await;
    world.publish(&judged, "a", "1.0.0").await;
    let mut reverted = world.database.revert_to(0).await.expect("it reverts");
    assert_eq!(refusal(&world).await, "the database has no tables yet: run `hallmark migrate --database URL`");
    reverted.reverse();
    assert_eq!(migrated(&world).await, reverted);
    let (world, judged) = world.with_rules().await;
    world.publish(&judged, "a", "1.0.0").await;
    world.database.check_schema().await.expect("the schema is its own");
}

pub async fn holds_its_answer_when_the_database_is_away(world: World) {
    let world = world.ready().await;
    world.database.ping().await.expect("it answers");
    world.database.close().await;
    let error = world.database.ping().await.expect_err("it is closed");
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert_eq!(error.to_string(), "the database cannot be reached");
    for address in ["mysql://localhost/x", "registry.db", "sqlite:", "sqlite::memory:", "postgres://%zz:secret@["] {
        let error = Database::connect(address, &Limits::default()).await.expect_err("no address");
        assert_eq!(
            error.to_string(),
            "the database address must be sqlite:PATH or postgres://USER@HOST/NAME",
            "{address}"
        );
    }
    let mut limits = Limits::default();
    limits.set("database_acquire_max_ms=500").expect("a limit");
    let nobody =
        Database::connect("postgres://postgres:secret@127.0.0.1:1/x", &limits).await.expect_err("nobody there");
    assert_eq!(nobody.to_string(), "the database cannot be reached");
    let missing = Database::connect("sqlite:/nowhere/at/all.db", &limits).await.expect_err("no folder");
    assert_eq!(missing.to_string(), "the database file cannot be opened");
}
