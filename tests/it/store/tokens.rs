//! Tokens: found by hash, told apart by id, used, revoked.

use hallmark::clock::{Millis, new_id};
use hallmark::registry::access::{Grants, Role};
use hallmark::registry::store::{TokenRow, TokenStore as _};

use super::audit::written;
use super::{AT, World};

fn token(world: &World, name: &str, at: Millis) -> TokenRow {
    TokenRow {
        id: new_id(at),
        tenant: world.tenant.clone(),
        name: name.to_owned(),
        prefix: "hm_abc".to_owned(),
        hash: format!("hash of {name}"),
        grants: Grants::everything(),
        created_by: "serve".to_owned(),
        created_at: at,
        expires_at: None,
        last_used_at: None,
        revoked: None,
    }
}

pub async fn finds_tokens_by_hash(world: World) {
    let world = world.ready().await;
    let database = &world.database;
    let admin = token(&world, "admin", AT);
    assert_eq!(database.token_by_hash(&admin.hash).await.expect("an answer"), None);
    assert!(database.insert_token(&admin).await.expect("an answer"));
    let again = TokenRow { id: new_id(AT), ..admin.clone() };
    assert!(!database.insert_token(&again).await.expect("an answer"));
    let entries = vec!["agents/a-*".parse().expect("a pattern"), "services/b".parse().expect("a pattern")];
    let narrow = TokenRow {
        grants: Grants::new(vec![Role::Publisher, Role::Rules], entries).expect("roles"),
        expires_at: Some(Millis(AT.0 + 7)),
        ..token(&world, "narrow", AT)
    };
    assert!(database.insert_token(&narrow).await.expect("an answer"));
    for row in [admin, narrow] {
        assert_eq!(database.token_by_hash(&row.hash).await.expect("an answer"), Some(row.clone()));
        assert_eq!(database.token(&world.tenant, &row.id).await.expect("an answer"), Some(row.clone()));
        let other = "other".parse().expect("a tenant");
        assert_eq!(database.token(&other, &row.id).await.expect("an answer"), None);
    }
}

pub async fn keeps_when_a_token_was_used_last(world: World) {
    let world = world.ready().await;
    let row = token(&world, "ci", AT);
    world.database.insert_token(&row).await.expect("an answer");
    for (at, last) in [(5, 5), (3, 5), (9, 9)] {
        world.database.token_used(&world.tenant, &row.id, Millis(at)).await.expect("an answer");
        let kept = world.database.token_by_hash(&row.hash).await.expect("an answer").expect("the token");
        assert_eq!(kept.last_used_at, Some(Millis(last)));
    }
}

pub async fn revokes_tokens_that_were_made_before(world: World) {
    let world = world.ready().await;
    let database = &world.database;
    let rows = ["own", "old", "older", "new"].map(|name| {
        let at = if name == "new" { AT.0 } else { AT.0 - 10 };
        token(&world, name, Millis(at))
    });
    for row in &rows {
        database.insert_token(row).await.expect("an answer");
    }
    let [own, old, ..] = &rows;
    assert!(database.revoke_token(old, "ada", Millis(3)).await.expect("an answer"));
    assert!(!database.revoke_token(old, "eve", Millis(4)).await.expect("an answer"), "once");
    let revoked = database.revoke_tokens(&world.tenant, AT, &own.id, "bob", Millis(5)).await.expect("an answer");
    assert_eq!(revoked, 1, "not the own one, not one that was revoked, not a later one");
    let page = database.tokens(&world.tenant, None, 3).await.expect("a page");
    assert!(page.more);
    let rest = database.tokens(&world.tenant, Some(&page.items[2].id), 3).await.expect("a page");
    let told: Vec<_> =
        page.items.iter().chain(&rest.items).map(|row| (row.name.as_str(), row.revoked.clone())).collect();
    let by = |name: &str, at| Some((name.to_owned(), Millis(at)));
    assert_eq!(told, [("new", None), ("older", by("bob", 5)), ("old", by("ada", 3)), ("own", None)]);
    let log = written(&world).await;
    let revocations: Vec<&str> = log
        .iter()
        .filter_map(|line| line.strip_prefix("token.revoked ")?.split_once(" {"))
        .map(|(head, _)| head)
        .collect();
    assert_eq!(revocations, ["ada tokens/old", "bob tokens/older"]);
}
