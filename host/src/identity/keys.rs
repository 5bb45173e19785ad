//! The keys of one issuer: asked for when they are needed, kept for a time, and asked for again where a token names one
//! that is not among them. However many tokens come, the issuer is asked once in `issuer_poll_ms`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;

use super::fetch::{self, Bounds};
use super::{IssuerSettings, Unreachable};
use crate::config::Limits;

/// Keys of one issuer that are kept.
const KEYS_MAX: usize = 100;

/// The keys of one issuer.
pub struct Keys {
    name: String,
    issuer: String,
    place: Option<String>,
    bounds: Bounds,
    poll_after: Duration,
    fresh_for: Duration,
    kept_for: Duration,
    held: ArcSwapOption<Held>,
    /// When the issuer was asked last. Whoever holds it asks; the others wait and find what he found.
    asked: Mutex<Option<Instant>>,
}

struct Held {
    keys: Vec<Arc<Key>>,
    since: Instant,
}

/// One key.
pub struct Key {
    id: Option<String>,
    /// The one algorithm that it is for, where it says so.
    algorithm: Option<Algorithm>,
    /// The key itself.
    pub key: DecodingKey,
}

/// A JWK set; each key is read by itself, so that one of a form that is not known here hides no other.
#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

impl Keys {
    /// None yet.
    pub fn new(settings: &IssuerSettings, limits: &Limits) -> Self {
        Self {
            name: settings.name.clone(),
            issuer: settings.issuer.clone(),
            place: settings.keys.clone(),
            bounds: Bounds {
                time_max: Duration::from_millis(limits.issuer_fetch_max_ms),
                bytes_max: limits.issuer_document_max_bytes,
            },
            poll_after: Duration::from_millis(limits.issuer_poll_ms),
            fresh_for: Duration::from_millis(limits.issuer_keys_fresh_ms),
            kept_for: Duration::from_millis(limits.issuer_keys_kept_ms),
            held: ArcSwapOption::empty(),
            asked: Mutex::new(None),
        }
    }

    /// The key of this id that is for the algorithm; without an id the only one that is.
    ///
    /// # Errors
    /// No keys are known that may still be believed, and the issuer does not tell any.
    pub async fn find(
        self: &Arc<Self>,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Option<Arc<Key>>, Unreachable> {
        let held = self.held();
        let found = held.as_ref().and_then(|held| held.find(id, algorithm));
        match (&held, found) {
            (Some(held), Some(key)) => {
                if held.since.elapsed() >= self.fresh_for {
                    // Nobody waits for what is only to be looked at again.
                    let keys = Arc::clone(self);
                    let since = held.since;
                    tokio::spawn(async move { keys.ask(Some(since)).await });
                }
                Ok(Some(key))
            }
            (held, _) => {
                self.ask(held.as_ref().map(|held| held.since)).await;
                let held = self.held().ok_or_else(|| Unreachable(self.name.clone()))?;
                Ok(held.find(id, algorithm))
            }
        }
    }

    /// The keys, where they may still be believed.
    fn held(&self) -> Option<Arc<Held>> {
        self.held.load_full().filter(|held| held.since.elapsed() < self.kept_for)
    }

    /// Asks the issuer, unless somebody did since those keys came, or did a moment ago.
    async fn ask(&self, since: Option<Instant>) {
        let mut asked = self.asked.lock().await;
        if self.held().map(|held| held.since) > since || asked.is_some_and(|at| at.elapsed() < self.poll_after) {
            return;
        }
        *asked = Some(Instant::now());
        let (issuer, place, bounds) = (self.issuer.clone(), self.place.clone(), self.bounds);
        let told = tokio::task::spawn_blocking(move || fetch::key_set(&issuer, place.as_deref(), bounds)).await;
        match told.unwrap_or_else(|error| Err(error.to_string())).and_then(|bytes| read(&bytes)) {
            Ok(keys) => self.held.store(Some(Arc::new(Held { keys, since: Instant::now() }))),
            Err(why) => tracing::warn!(issuer = self.name, why, "an issuer does not tell its keys"),
        }
    }
}

impl Held {
    fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<Arc<Key>> {
        let fits = |key: &&Arc<Key>| {
            key.key.family() == algorithm.family()
                && key.algorithm.is_none_or(|own| own == algorithm)
                && id.is_none_or(|id| key.id.as_deref() == Some(id))
        };
        let mut fitting = self.keys.iter().filter(fits);
        let (first, second) = (fitting.next(), fitting.next());
        // A token that does not say by which of two keys it was signed is not tried with each.
        first.filter(|_| id.is_some() || second.is_none()).cloned()
    }
}

fn read(bytes: &[u8]) -> Result<Vec<Arc<Key>>, String> {
    let set: KeySet = serde_json::from_slice(bytes).map_err(|error| format!("its keys are no JWK set: {error}"))?;
    let keys: Vec<_> = set.keys.into_iter().filter_map(key).take(KEYS_MAX).map(Arc::new).collect();
    if keys.is_empty() { Err("its JWK set has no key for a signature that is known here".to_owned()) } else { Ok(keys) }
}

/// A public key for signatures. A shared secret that was told to everybody is none.
fn key(value: Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let is_for_signatures = match jwk.common.public_key_use {
        None | Some(PublicKeyUse::Signature) => true,
        Some(_) => false,
    };
    let algorithm = match jwk.common.key_algorithm {
        None => None,
        Some(named) => Some(Algorithm::try_from(named).ok()?),
    };
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    let is_public = key.family() != AlgorithmFamily::Hmac;
    (is_for_signatures && is_public).then_some(Key { id: jwk.common.key_id, algorithm, key })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ec(id: &str, more: Value) -> Value {
        let mut key = json!({"kty": "EC", "crv": "P-256", "kid": id, "x": "AAAA", "y": "AAAA"});
        key.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        key
    }

    fn held(keys: Value) -> Result<Held, String> {
        read(json!({"keys": keys}).to_string().as_bytes()).map(|keys| Held { keys, since: Instant::now() })
    }

    #[test]
    fn keys_that_are_no_public_keys_for_signatures_are_left_out() {
        let secret = json!({"kty": "oct", "kid": "secret", "k": "c2VjcmV0", "alg": "HS256"});
        let odd = json!({"kty": "AKP", "alg": "ML-DSA-44", "kid": "odd", "pub": "AA"});
        let none = held(json!([secret, odd, ec("enc", json!({"use": "enc"})), {"kty": "EC"}, 7]));
        assert_eq!(none.err().as_deref(), Some("its JWK set has no key for a signature that is known here"));
        let set = held(json!([secret, ec("a", json!({"use": "sig"}))])).expect("one");
        assert!(set.find(Some("a"), Algorithm::ES256).is_some());
        assert!(set.find(Some("secret"), Algorithm::HS256).is_none());
    }

    #[test]
    fn a_key_is_found_by_its_id_and_only_for_its_algorithm() {
        let set = held(json!([ec("a", json!({"alg": "ES256"})), ec("b", json!({}))])).expect("two");
        assert!(set.find(Some("a"), Algorithm::ES256).is_some());
        assert!(set.find(Some("a"), Algorithm::ES384).is_none(), "it is for another");
        assert!(set.find(Some("b"), Algorithm::ES384).is_some(), "it does not say");
        assert!(set.find(Some("b"), Algorithm::RS256).is_none(), "a key of another kind");
        assert!(set.find(Some("c"), Algorithm::ES256).is_none());
        assert!(set.find(None, Algorithm::ES256).is_none(), "either could be meant");
        assert!(set.find(None, Algorithm::ES384).is_some(), "the only one");
    }
}
