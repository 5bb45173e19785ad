//! Nothing is put in force by the signature of a key that was revoked before, however little time there was between.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use hallmark::registry::RegistryError;
use hallmark::registry::keys::Unsigned;
use hallmark::registry::signing::{PluginSignature, SigningKey};
use hallmark::registry::store::Signatures;
use serde_json::json;
use sqlx::{AnyConnection, Connection as _, Executor as _, PgConnection, Row as _};

use crate::support::as_superuser;
use crate::support::ground::{Ground, Member, limits, notes, notes_scope, on_both_engines};
use crate::support::host::component;
use crate::support::waiting::until_waiting;

on_both_engines! {
    nothing_is_activated_after_its_key_was_revoked,
}

impl Member {
    /// Makes releases with the same plugin, each in other words.
    async fn signed_releases(&self, count: i64) -> Signed<'_> {
        let bytes = Bytes::from(std::fs::read(component("placeholders")).expect("a component"));
        let pushed = self.registry.push_plugin(&self.actor, bytes, None, Arc::new(|_| {})).await.expect("it is pushed");
        let digest = pushed.plugin.digest;
        for number in 1..=count {
            let mut rules = notes(json!({"title": number.to_string()}));
            rules["bindings"] = json!([{"name": "names", "stage": "resolve", "plugin": digest, "settings": {}}]);
            assert_eq!(self.release(rules).await, number);
        }
        let required = self.registry.set_signatures(&self.actor, Signatures::Required);
        required.await.expect("it is set");
        Signed { host: self, digest }
    }

    async fn activate(&self, number: i64) -> Result<(), RegistryError> {
        self.registry.activate(&self.actor, &notes_scope(), number, None).await.map(|_| ())
    }

    async fn revoke(&self, key: &str) {
        self.registry.revoke_key(&self.actor, key).await.expect("it is there");
    }
}

/// A plugin that is bound.
struct Signed<'a> {
    host: &'a Member,
    digest: hallmark::names::Digest,
}

impl Signed<'_> {
    /// Signs it with a new key, and gives the key's id.
    async fn by_new_key(&self) -> String {
        let (key, Member { registry, actor, .. }) = (SigningKey::generate(), self.host);
        let (row, _) = registry.add_key(actor, "team", &key.public().to_pem()).await.expect("it is trusted");
        let signature: PluginSignature = key.sign_plugin(&self.digest);
        registry.add_signature(actor, self.digest.as_str(), &signature).await.expect("it is kept");
        row.id.to_string()
    }
}

/// The rows that tell of an activation or a revoked key, in the order of writing.
async fn order(address: &str) -> Vec<(String, String)> {
    let mut connection = AnyConnection::connect(&as_superuser(address)).await.expect("it opens");
    let statement =
        "SELECT what, subject FROM audit WHERE what IN ('release.activated', 'key.revoked') ORDER BY sequence";
    let rows = connection.fetch_all(statement).await.expect("rows");
    rows.iter().map(|row| (row.get("what"), row.get("subject"))).collect()
}

async fn nothing_is_activated_after_its_key_was_revoked(ground: Ground) {
    let (one, other) = (ground.host(limits()).await, ground.host(limits()).await);
    let rounds: i64 = 30;
    let signed = one.signed_releases(rounds).await;
    let mut key_of = HashMap::new();
    for number in 1..=rounds {
        let key = signed.by_new_key().await;
        let (activated, ()) = tokio::join!(one.activate(number), other.revoke(&key));
        match activated {
            Ok(()) => drop(key_of.insert(format!("module:notes#{number}"), format!("keys/{key}"))),
            Err(RegistryError::Unsigned { why: Unsigned::Revoked { .. }, .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    let order = order(&ground.address).await;
    let place = |wanted: &str| order.iter().position(|(_, subject)| subject == wanted).expect("a row");
    for (release, key) in &key_of {
        assert!(place(release) < place(key), "{release} was activated after {key} was revoked: {order:?}");
    }
    assert_eq!(order.iter().filter(|(what, _)| what == "release.activated").count(), key_of.len());
}

/// A key that is revoked when its signature was found good, and before the activation has its lock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_revoked_in_the_middle_of_an_activation_is_seen() {
    let ground = Ground::postgres().await;
    let (one, other) = (ground.host(limits()).await, ground.host(limits()).await);
    let signed = one.signed_releases(1).await;
    let key = signed.by_new_key().await;
    let mut holds = PgConnection::connect(&as_superuser(&ground.address)).await.expect("it connects");
    let mut looks = PgConnection::connect(&as_superuser(&ground.address)).await.expect("it connects");
    holds.execute("BEGIN; SELECT 1 FROM tenants FOR UPDATE").await.expect("it is held");
    // The revocation holds the rules and waits for the row; the activation, which believes the key, for the rules.
    let (activated, ()) = tokio::join!(
        async {
            until_waiting(&mut looks, "locktype <> 'advisory'", 1).await;
            let released = async {
                let mut looks = PgConnection::connect(&as_superuser(&ground.address)).await.expect("it connects");
                until_waiting(&mut looks, "locktype = 'advisory'", 1).await;
                holds.execute("ROLLBACK").await.expect("it is let go");
            };
            tokio::join!(one.activate(1), released).0
        },
        other.revoke(&key),
    );
    let error = activated.expect_err("nobody signed it any more");
    assert!(matches!(error, RegistryError::Unsigned { why: Unsigned::Revoked { .. }, .. }), "{error}");
    // Trusted again by another key, it is activated.
    signed.by_new_key().await;
    one.activate(1).await.expect("it is signed");
}
