//! The audit log: what is written with each change.

use hallmark::names::Digest;
use hallmark::registry::store::{PluginRow, Rollback, Store as _, TokenRow};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use super::{AT, World, event};

/// A connection beside the host's.
pub async fn behind(world: &World) -> sqlx::AnyConnection {
    let address = match &world.folder {
        Some(folder) => format!("sqlite:{}/reg%20istry%3F.db", folder.path().display()),
        None => world.address.clone(),
    };
    sqlx::AnyConnection::connect(&address).await.expect("it opens")
}

/// What happened, by whom, to what, and the rest, in the order of writing.
pub async fn written(world: &World) -> Vec<String> {
    let mut connection = behind(world).await;
    let statement = "SELECT what, actor, subject, body FROM audit ORDER BY sequence";
    let rows = sqlx::query(AssertSqlSafe(statement)).fetch_all(&mut connection).await.expect("rows");
    let text = |row: &sqlx::any::AnyRow, column: &str| row.get::<String, _>(column);
    rows.iter().map(|row| ["what", "actor", "subject", "body"].map(|column| text(row, column)).join(" ")).collect()
}

pub async fn tells_of_every_change(world: World) {
    let (world, judged) = world.with_rules().await;
    world.publish(&judged, "a", "1.0.0").await;
    world.publish(&judged, "a", "2.0.0").await;
    world.publish(&judged, "a", "2.0.0").await;
    let (kind, id) = ("agents".parse().expect("a kind"), "a".parse().expect("an id"));
    for target in ["1.0.0", "1.0.0", "9.0.0"] {
        let target = target.parse().expect("a version");
        let event = event("entry.rolled-back", "a");
        let (tags, name, description) = ("[]".to_owned(), "a".to_owned(), None);
        let (tenant, kind, id, target) = (&world.tenant, &kind, &id, &target);
        let rollback = Rollback { tenant, kind, id, target, name, description, tags, actor: "bob", at: AT, event };
        world.database.rollback(&rollback).await.expect("an answer");
    }
    let plugin = PluginRow {
        digest: Digest::of(b""),
        name: "cel".to_owned(),
        version: "0.1.0".to_owned(),
        contract: "hallmark:plugin@0.1.0".to_owned(),
        inspection: "{}".to_owned(),
        size_bytes: 7,
        pushed_by: "ada".to_owned(),
        pushed_at: AT,
    };
    let token = TokenRow {
        id: "1".to_owned(),
        tenant: world.tenant.clone(),
        name: "admin".to_owned(),
        prefix: "hm_1".to_owned(),
        hash: "h".to_owned(),
        role: "admin".to_owned(),
        created_at: AT,
        revoked_at: None,
    };
    for _ in 0..2 {
        world.database.insert_plugin(&world.tenant, &plugin).await.expect("an answer");
        world.database.insert_token(&token, "serve").await.expect("an answer");
    }
    world.activate(&judged[0].scope, 1, None).await;
    let told: Vec<String> = written(&world).await.iter().map(|line| without_decision(line)).collect();
    let (rules, first, second) = (Digest::of(b"{}"), digest("1.0.0"), digest("2.0.0"));
    assert_eq!(
        told,
        [
            format!("release.created ada module:agents#1 {{\"digest\":\"{rules}\",\"message\":\"try\"}}"),
            "release.activated ada module:agents#1 {\"before\":null}".to_owned(),
            format!("entry.published ada agents/a@1.0.0 {{\"decision\":\"…\",\"digest\":\"{first}\"}}"),
            format!("entry.published ada agents/a@2.0.0 {{\"decision\":\"…\",\"digest\":\"{second}\"}}"),
            "entry.rolled-back bob agents/a@1.0.0 {\"previous\":\"2.0.0\"}".to_owned(),
            format!(
                "plugin.pushed ada plugins/{} {{\"name\":\"cel\",\"sizeBytes\":7,\"version\":\"0.1.0\"}}",
                plugin.digest
            ),
            "token.created serve tokens/admin {\"role\":\"admin\",\"token\":\"1\"}".to_owned(),
        ]
    );
}

fn digest(version: &str) -> Digest {
    Digest::of(format!("{{\"agentId\":\"a\",\"version\":\"{version}\"}}").as_bytes())
}

/// Ids of decisions are not the same twice.
fn without_decision(line: &str) -> String {
    match line.split_once("\"decision\":\"") {
        Some((before, after)) => format!("{before}\"decision\":\"…{}", &after[36..]),
        None => line.to_owned(),
    }
}

pub async fn keeps_every_row(world: World) {
    let (world, _) = world.with_rules().await;
    let mut connection = behind(&world).await;
    for statement in
        ["DELETE FROM audit", "UPDATE audit SET actor = 'eve'", "UPDATE audit SET actor = 'eve', place = 1, hash = 'x'"]
    {
        let refused = sqlx::query(statement).execute(&mut connection).await.expect_err("it is refused");
        let refused = refused.as_database_error().expect("by the database").message().to_owned();
        assert_eq!(refused, "rows of the audit log are never changed or deleted", "{statement}");
    }
    assert_eq!(written(&world).await.len(), 2);
}
