//! The audit log: what is written with each change, and what is found where somebody worked on it.

use futures_util::future::join_all;
use hallmark::names::Digest;
use hallmark::registry::access::Grants;
use hallmark::registry::audit::chain::{Broken, Checked, Verifier};
use hallmark::registry::shadow::{ShadowRow, ShadowState};
use hallmark::registry::store::{
    ActivationStore as _, AuditSpan, AuditStore as _, AuditedPlace, AuditedVersion, EntryAct, EntryChange,
    ExemptionStore as _, Freeze, KeyStore as _, LifeStore as _, PluginRow, ShadowEnd, ShadowStore as _, Signatures,
    Store as _, TokenRow, TokenStore as _,
};
use hallmark::sql::Database;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Row as _};

use super::life::change;
use super::{AT, World, shown};

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
    let back = shown("a", "a back");
    for target in ["1.0.0", "1.0.0", "9.0.0"] {
        let target = target.parse().expect("a version");
        let act = EntryAct::RollBack { target: &target, shown: &back };
        let rollback = EntryChange { actor: "bob", at: AT, ..change(&world, (&kind, &id), act) };
        world.database.change_entry(&rollback).await.expect("an answer");
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
        grants: Grants::everything(),
        created_by: "serve".to_owned(),
        created_at: AT,
        expires_at: None,
        last_used_at: None,
        revoked: None,
    };
    for _ in 0..2 {
        world.database.insert_plugin(&world.tenant, &plugin).await.expect("an answer");
        world.database.insert_token(&token).await.expect("an answer");
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
            "token.created serve tokens/admin {\"entries\":[],\"expiresAt\":null,\"roles\":[\"admin\"],\"token\":\"1\"}"
                .to_owned(),
        ]
    );
}

pub async fn tells_of_every_change_beside_rules(world: World) {
    let (world, judged) = world.with_rules().await;
    let (database, tenant, scope) = (&world.database, &world.tenant, &judged[0].scope);
    let exemption = super::exemptions::exemption();
    let _ = database.insert_exemption(tenant, &exemption, 1).await.expect("an answer");
    let _ = database.insert_exemption(tenant, &exemption, 1).await.expect("there are too many");
    for by in ["eve", "bob"] {
        database.revoke_exemption(tenant, &exemption.id, by, AT).await.expect("an answer");
        let reason = "release week".parse().expect("a reason");
        database.freeze(tenant, scope, &Freeze { by: by.to_owned(), at: AT, reason }).await.expect("an answer");
    }
    for by in ["eve", "bob"] {
        database.unfreeze(tenant, scope, by, AT).await.expect("an answer");
        for rule in [Signatures::Required, Signatures::Optional] {
            database.set_signatures(tenant, rule, by, AT).await.expect("an answer");
        }
    }
    let ends = [ShadowState::Stopped, ShadowState::Demoted, ShadowState::Activated];
    for (begun, ended) in [ShadowState::Shadowing, ShadowState::Staged, ShadowState::Staged].into_iter().zip(ends) {
        let shadow = ShadowRow { state: begun, ..super::shadow::shadow(judged[0].clone()) };
        assert!(database.insert_shadow(tenant, &shadow).await.expect("an answer"));
        for by in ["eve", "bob"] {
            let end = ShadowEnd { to: ended, reason: "why", by, at: AT };
            database.end_shadow(tenant, &shadow, end).await.expect("an answer");
        }
    }
    let told: Vec<String> = written(&world).await.iter().skip(2).map(|line| without_body(line)).collect();
    assert_eq!(
        told,
        [
            &*format!("exemption.made ada exemptions/{}", exemption.id),
            &*format!("exemption.revoked eve exemptions/{}", exemption.id),
            "scope.frozen eve module:agents",
            "scope.unfrozen eve module:agents",
            "signatures.required eve plugins",
            "signatures.optional eve plugins",
            "signatures.required bob plugins",
            "signatures.optional bob plugins",
            "shadow.started ada module:agents#1",
            "shadow.stopped eve module:agents#1",
            "shadow.staged ada module:agents#1",
            "shadow.demoted eve module:agents#1",
            "shadow.staged ada module:agents#1",
            "shadow.activated eve module:agents#1",
        ]
    );
}

fn without_body(line: &str) -> String {
    line.split(' ').take(3).collect::<Vec<_>>().join(" ")
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
    assert_eq!(world.database.seal_audit(&world.tenant, 1).await.expect("sealed"), 1);
    let mut connection = behind(&world).await;
    for statement in [
        "DELETE FROM audit",
        "DELETE FROM audit WHERE place IS NULL",
        "UPDATE audit SET actor = 'eve' WHERE place IS NULL",
        "UPDATE audit SET actor = 'eve', place = 2, hash = 'x' WHERE place IS NULL",
        "UPDATE audit SET place = 2 WHERE place = 1",
        "UPDATE audit SET place = NULL, hash = NULL WHERE place = 1",
    ] {
        let refused = connection.execute(statement).await.expect_err("it is refused");
        let refused = refused.as_database_error().expect("by the database").message().to_owned();
        assert_eq!(refused, "rows of the audit log are never changed or deleted", "{statement}");
    }
    assert_eq!(written(&world).await.len(), 2);
}

pub async fn seal_all(database: &Database, world: &World) -> usize {
    let mut sealed = 0;
    loop {
        match database.seal_audit(&world.tenant, 7).await.expect("sealed") {
            0 => return sealed,
            count => sealed += count,
        }
    }
}

pub const ALL: AuditSpan = AuditSpan { after: 0, last: i64::MAX };

/// Reads the log as `audit verify` does.
async fn verify(world: &World) -> Result<Checked, Broken> {
    let mut verifier = Verifier::default();
    let page = world.database.audit_rows(&world.tenant, ALL, 10_000).await.expect("rows");
    assert!(!page.more);
    page.items.iter().try_for_each(|row| verifier.read(&row.line().to_string()))?;
    verifier.end()
}

pub async fn seals_every_row_once(world: World) {
    let (world, judged) = world.with_rules().await;
    let other = world.second_host().await;
    let publish = |number: usize| {
        let (world, judged) = (&world, &judged);
        async move {
            world.publish(judged, &format!("a{number}"), "1.0.0").await;
        }
    };
    let (sealed, ()) = tokio::join!(
        async {
            let mut sealed = 0;
            // Both hosts seal what they see while more is written.
            for _ in 0..20 {
                let (one, two) = tokio::join!(seal_all(&world.database, &world), seal_all(&other, &world));
                sealed += one + two;
            }
            sealed
        },
        async {
            join_all((0..60).map(publish)).await;
        }
    );
    let rest = seal_all(&other, &world).await;
    assert_eq!(sealed + rest, 62);
    let checked = verify(&world).await.expect("it holds");
    assert_eq!((checked.first, checked.head.map(|head| head.place)), (Some(1), Some(62)));
    let status = world.database.audit_status(&world.tenant).await.expect("a status");
    assert_eq!((status.head.map(|head| head.0), status.waiting), (Some(62), 0));
}

pub async fn misses_no_row_that_is_seen_late(world: World) {
    let (world, judged) = world.with_rules().await;
    if world.folder.is_some() {
        // SQLite has one writer: rows are seen in the order of their numbers.
        return;
    }
    let mut slow = behind(&world).await;
    slow.execute("BEGIN").await.expect("begun");
    slow.execute(
        "INSERT INTO audit (tenant_id, id, what, actor, subject, body, created_at)
         VALUES ('default', 'late', 'entry.published', 'bob', 'agents/late@1.0.0', '{}', 1)",
    )
    .await
    .expect("written");
    world.publish(&judged, "a", "1.0.0").await;
    assert_eq!(seal_all(&world.database, &world).await, 3);
    slow.execute("COMMIT").await.expect("committed");
    assert_eq!(seal_all(&world.database, &world).await, 1);
    let rows = world.database.audit_rows(&world.tenant, ALL, 10).await.expect("rows").items;
    let told: Vec<(i64, &str)> = rows.iter().map(|row| (row.place, row.subject.as_str())).collect();
    let expected = [(1, "module:agents#1"), (2, "module:agents#1"), (3, "agents/a@1.0.0"), (4, "agents/late@1.0.0")];
    assert_eq!(told, expected);
    verify(&world).await.expect("it holds");
}

pub async fn names_the_row_that_somebody_worked_on(world: World) {
    let (world, judged) = world.with_rules().await;
    for number in 1..=4 {
        world.publish(&judged, "a", &format!("{number}.0.0")).await;
    }
    seal_all(&world.database, &world).await;
    verify(&world).await.expect("it holds");
    let mut connection = behind(&world).await;
    for trigger in ["audit_keep_row", "audit_keep_deleted"] {
        let on = if world.folder.is_some() { "" } else { " ON audit" };
        connection.execute(AssertSqlSafe(format!("DROP TRIGGER {trigger}{on}"))).await.expect("dropped");
    }
    let mut told = async |statements: &[&'static str]| {
        for statement in statements {
            connection.execute(*statement).await.expect("done");
        }
        verify(&world).await.map_or_else(|broken| broken.to_string(), |_| "it holds".to_owned())
    };
    let edited = "row 4 (entry.published agents/a@2.0.0) was edited: its hash is not that of what it says after row 3, or \
                  that row was edited and its own hash made anew";
    for (change, back) in [
        ("UPDATE audit SET actor = 'eve' WHERE place = 4", "UPDATE audit SET actor = 'ada' WHERE place = 4"),
        (
            "UPDATE audit SET created_at = created_at + 1 WHERE place = 4",
            "UPDATE audit SET created_at = created_at - 1 WHERE place = 4",
        ),
        (
            "UPDATE audit SET body = 'x' || body WHERE place = 4",
            "UPDATE audit SET body = SUBSTR(body, 2) WHERE place = 4",
        ),
    ] {
        assert_eq!(told(&[change]).await, edited, "{change}");
        assert_eq!(told(&[back]).await, "it holds", "{back}");
    }
    // A row that is put in takes a place, and those after it theirs anew, from the last.
    let inserted = told(&[
        "UPDATE audit SET place = 7 WHERE place = 6",
        "UPDATE audit SET place = 6 WHERE place = 5",
        "UPDATE audit SET place = 5 WHERE place = 4",
        "INSERT INTO audit (tenant_id, id, what, actor, subject, body, created_at, place, hash)
         SELECT tenant_id, 'new', what, actor, 'agents/evil@1.0.0', body, created_at, 4, hash FROM audit WHERE place = 3",
    ])
    .await;
    assert!(inserted.starts_with("row 4 (entry.published agents/evil@1.0.0) was edited"), "{inserted}");
    let back = told(&[
        "DELETE FROM audit WHERE place = 4",
        "UPDATE audit SET place = 4 WHERE place = 5",
        "UPDATE audit SET place = 5 WHERE place = 6",
        "UPDATE audit SET place = 6 WHERE place = 7",
    ])
    .await;
    assert_eq!(back, "it holds");
    assert_eq!(told(&["DELETE FROM audit WHERE place = 4"]).await, "row 4 was removed: after row 3 comes row 5");
}

/// The stored versions, page by page: of which kind each is, its digest, and whether its row waits.
async fn versions(world: &World) -> Vec<(String, String, bool)> {
    let (mut after, mut versions) = (AuditedPlace::default(), Vec::new());
    loop {
        let page = world.database.audit_versions(&world.tenant, &after, 2).await.expect("a page");
        let told = |version: &AuditedVersion| (version.place.subject(), version.digest.clone(), version.waits);
        versions.extend(page.items.iter().map(told));
        match page.items.last() {
            // As it stands in a cursor.
            Some(last) if page.more => after = last.place.to_string().parse().expect("a place"),
            _ => return versions,
        }
    }
}

pub async fn lists_versions_to_compare_with_the_log(world: World) {
    let (world, judged) = world.with_rules().await;
    assert_eq!(versions(&world).await, []);
    for (id, version) in [("b", "1.0.0"), ("a", "2.0.0"), ("a", "1.0.0")] {
        world.publish(&judged, id, version).await;
    }
    seal_all(&world.database, &world).await;
    for (id, version) in [("a", "10.0.0"), ("c", "1.0.0")] {
        world.publish(&judged, id, version).await;
    }
    let told = |waiting: [bool; 5]| -> Vec<(String, String, bool)> {
        let names = [("a", "1.0.0"), ("a", "10.0.0"), ("a", "2.0.0"), ("b", "1.0.0"), ("c", "1.0.0")];
        let told = names.into_iter().zip(waiting).map(|((id, version), waits)| {
            let manifest = format!("{{\"agentId\":\"{id}\",\"version\":\"{version}\"}}");
            (format!("agents/{id}@{version}"), Digest::of(manifest.as_bytes()).to_string(), waits)
        });
        told.collect()
    };
    assert_eq!(versions(&world).await, told([false, true, false, false, true]));
    seal_all(&world.database, &world).await;
    assert_eq!(versions(&world).await, told([false; 5]));
    // What somebody wrote beside the host is shown as it stands.
    behind(&world)
        .await
        .execute("UPDATE versions SET digest = 'sha256:00' WHERE version = '2.0.0'")
        .await
        .expect("done");
    assert_eq!(versions(&world).await[2].1, "sha256:00");
}

pub async fn tells_of_versions_from_before_the_log(world: World) {
    let (world, judged) = world.with_rules().await;
    world.publish(&judged, "a", "1.0.0").await;
    world.database.revert_to(3).await.expect("it reverts");
    world.database.migrate(AT).await.expect("it migrates");
    let told = written(&world).await;
    assert_eq!(told.len(), 1, "{told:?}");
    let body = format!("\"digest\":\"{}\"", digest("1.0.0"));
    assert!(
        told[0].starts_with("entry.published ada agents/a@1.0.0 {\"before\":\"the log\",") && told[0].contains(&body)
    );
    assert_eq!(seal_all(&world.database, &world).await, 1);
    verify(&world).await.expect("it holds");
}
