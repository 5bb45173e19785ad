//! Trusted keys, signatures, and whether they are asked for.

use hallmark::clock::Millis;
use hallmark::names::{Digest, KeyId};
use hallmark::registry::store::{
    Activate, Activation, ActivationStore as _, KeyRow, KeyStore as _, PluginRow, SignatureRow, Signatures, Store as _,
};

use super::audit::written;
use super::{AT, World, wish};

fn key(name: &str) -> KeyRow {
    KeyRow {
        id: KeyId::of(name.as_bytes()),
        name: name.to_owned(),
        public_key: format!("PEM of {name}"),
        added_by: "ada".to_owned(),
        added_at: AT,
        revoked: None,
    }
}

fn plugin() -> PluginRow {
    PluginRow {
        digest: Digest::of(b"plugin"),
        name: "cel".to_owned(),
        version: "0.1.0".to_owned(),
        contract: "hallmark:plugin@0.1.0".to_owned(),
        inspection: "{}".to_owned(),
        size_bytes: 7,
        pushed_by: "ada".to_owned(),
        pushed_at: AT,
    }
}

fn signature(plugin: &PluginRow, key: &KeyRow) -> SignatureRow {
    SignatureRow {
        plugin: plugin.digest.clone(),
        key: key.id.clone(),
        signature: "AAAA".to_owned(),
        added_by: "bob".to_owned(),
        added_at: AT,
    }
}

pub async fn keeps_keys_and_what_they_signed(world: World) {
    let world = world.ready().await;
    let (database, tenant) = (&world.database, &world.tenant);
    let (one, two) = (key("one"), key("two"));
    assert!(database.insert_key(tenant, &one).await.expect("an answer"));
    assert!(
        !database.insert_key(tenant, &KeyRow { name: "again".to_owned(), ..one.clone() }).await.expect("an answer")
    );
    assert!(database.insert_key(tenant, &two).await.expect("an answer"));
    assert_eq!(database.key(tenant, &one.id).await.expect("an answer"), Some(one.clone()));
    let mut sorted = [one.clone(), two.clone()];
    sorted.sort_by(|one, other| one.id.cmp(&other.id));
    let first = database.keys(tenant, None, 1).await.expect("a page");
    assert_eq!((&first.items[..], first.more), (&sorted[..1], true));
    let rest = database.keys(tenant, Some(&sorted[0].id), 9).await.expect("a page");
    assert_eq!((&rest.items[..], rest.more), (&sorted[1..], false));
    let other = "other".parse().expect("a tenant");
    assert_eq!(database.key(&other, &one.id).await.expect("an answer"), None);

    let plugin = plugin();
    database.insert_plugin(tenant, &plugin).await.expect("an answer");
    let signature = signature(&plugin, &one);
    assert_eq!(database.signers(tenant, &plugin.digest).await.expect("an answer"), []);
    assert!(database.insert_signature(tenant, &signature).await.expect("an answer"));
    assert!(!database.insert_signature(tenant, &signature).await.expect("an answer"));
    assert_eq!(database.signers(tenant, &plugin.digest).await.expect("an answer"), vec![one.clone()]);
    let later = Millis(AT.0 + 1);
    assert!(database.revoke_key(tenant, &one.id, "eve", later).await.expect("an answer"));
    assert!(!database.revoke_key(tenant, &one.id, "bob", Millis(AT.0 + 2)).await.expect("an answer"));
    let revoked = KeyRow { revoked: Some(("eve".to_owned(), later)), ..one.clone() };
    assert_eq!(database.signers(tenant, &plugin.digest).await.expect("an answer"), [revoked]);

    assert_eq!(database.trust(tenant).await.expect("an answer").signatures, Signatures::Optional);
    assert!(database.set_signatures(tenant, Signatures::Required, "ada", AT).await.expect("an answer"));
    assert!(!database.set_signatures(tenant, Signatures::Required, "ada", AT).await.expect("an answer"));
    assert_eq!(database.trust(tenant).await.expect("an answer").signatures, Signatures::Required);
    assert_eq!(
        written(&world).await,
        [
            format!("key.trusted ada keys/{} {{\"name\":\"one\"}}", one.id),
            format!("key.trusted ada keys/{} {{\"name\":\"two\"}}", two.id),
            format!(
                "plugin.pushed ada plugins/{} {{\"name\":\"cel\",\"sizeBytes\":7,\"version\":\"0.1.0\"}}",
                plugin.digest
            ),
            format!("plugin.signed bob plugins/{} {{\"key\":\"{}\"}}", plugin.digest, one.id),
            format!("key.revoked eve keys/{} {{}}", one.id),
            "signatures.required ada plugins {}".to_owned(),
        ]
    );
}

async fn number(world: &World) -> i64 {
    world.database.trust(&world.tenant).await.expect("an answer").number
}

pub async fn raises_a_number_with_every_change_of_trust(world: World) {
    let world = world.ready().await;
    let (database, tenant) = (&world.database, &world.tenant);
    let (key, plugin) = (key("one"), plugin());
    database.insert_plugin(tenant, &plugin).await.expect("an answer");
    assert_eq!(number(&world).await, 0);
    // The second time each changes nothing.
    for _ in 0..2 {
        database.insert_key(tenant, &key).await.expect("an answer");
        assert_eq!(number(&world).await, 1);
    }
    for _ in 0..2 {
        database.insert_signature(tenant, &signature(&plugin, &key)).await.expect("an answer");
        assert_eq!(number(&world).await, 2);
    }
    for _ in 0..2 {
        database.set_signatures(tenant, Signatures::Required, "ada", AT).await.expect("an answer");
        assert_eq!(number(&world).await, 3);
    }
    for _ in 0..2 {
        database.revoke_key(tenant, &key.id, "ada", AT).await.expect("an answer");
        assert_eq!(number(&world).await, 4);
    }
    let other = "other".parse().expect("a tenant");
    assert_eq!(database.trust(&other).await.expect("an answer").number, 0);
}

pub async fn refuses_an_activation_whose_keys_changed(world: World) {
    let world = world.ready().await;
    let other = world.second_host().await;
    let (key, release) = (key("one"), world.create("module:agents", "1").await);
    world.database.insert_key(&world.tenant, &key).await.expect("an answer");
    let looked_in = number(&world).await;
    assert!(other.revoke_key(&world.tenant, &key.id, "eve", AT).await.expect("an answer"));
    let activate = async |trust: i64| {
        let wish = Activate { trust: Some(trust), ..wish(&release.scope, release.number, None) };
        world.database.activate(&world.tenant, &wish).await.expect("an answer")
    };
    assert_eq!(activate(looked_in).await, Activation::TrustMoved);
    assert_eq!(world.database.active_release_refs(&world.tenant).await.expect("refs"), []);
    assert_eq!(activate(number(&world).await).await, Activation::Activated);
}
