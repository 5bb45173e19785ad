//! Trusted keys, signatures, and whether they are asked for.

use hallmark::clock::Millis;
use hallmark::names::{Digest, KeyId};
use hallmark::registry::store::{KeyRow, KeyStore as _, PluginRow, SignatureRow, Signatures, Store as _};

use super::audit::written;
use super::{AT, World};

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

    let plugin = PluginRow {
        digest: Digest::of(b"plugin"),
        name: "cel".to_owned(),
        version: "0.1.0".to_owned(),
        contract: "hallmark:plugin@0.1.0".to_owned(),
        inspection: "{}".to_owned(),
        size_bytes: 7,
        pushed_by: "ada".to_owned(),
        pushed_at: AT,
    };
    database.insert_plugin(tenant, &plugin).await.expect("an answer");
    let signature = SignatureRow {
        plugin: plugin.digest.clone(),
        key: one.id.clone(),
        signature: "AAAA".to_owned(),
        added_by: "bob".to_owned(),
        added_at: AT,
    };
    assert_eq!(database.signers(tenant, &plugin.digest).await.expect("an answer"), []);
    assert!(database.insert_signature(tenant, &signature).await.expect("an answer"));
    assert!(!database.insert_signature(tenant, &signature).await.expect("an answer"));
    assert_eq!(database.signers(tenant, &plugin.digest).await.expect("an answer"), [one.clone()]);
    let later = Millis(AT.0 + 1);
    assert!(database.revoke_key(tenant, &one.id, "eve", later).await.expect("an answer"));
    assert!(!database.revoke_key(tenant, &one.id, "bob", Millis(AT.0 + 2)).await.expect("an answer"));
    let revoked = KeyRow { revoked: Some(("eve".to_owned(), later)), ..one.clone() };
    assert_eq!(database.signers(tenant, &plugin.digest).await.expect("an answer"), [revoked]);

    assert_eq!(database.signatures(tenant).await.expect("an answer"), Signatures::Optional);
    assert!(database.set_signatures(tenant, Signatures::Required, "ada", AT).await.expect("an answer"));
    assert!(!database.set_signatures(tenant, Signatures::Required, "ada", AT).await.expect("an answer"));
    assert_eq!(database.signatures(tenant).await.expect("an answer"), Signatures::Required);
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
