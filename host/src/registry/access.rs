//! Who a bearer token belongs to. Tokens are kept as SHA-256 alone: they are 256 random bits, so there is nothing to
//! guess that a slow hash would protect.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::store::TokenRow;
use super::{Actor, Registry, RegistryError};
use crate::clock::{Millis, new_id, random_bytes};
use crate::names::hex;

/// How long a revoked token may still be honoured by a host that has seen it.
const KNOWN_FOR: Duration = Duration::from_secs(5);
/// Tokens remembered at once.
const KNOWN_MAX: usize = 10_000;
/// Who does what nobody asked for: the host, when it starts.
const HOST: &str = "serve";
/// What every token starts with, so that scanners recognise one that leaked.
const PREFIX: &str = "hm_";

/// Tokens seen a moment ago, by hash, so that a request costs no database read.
#[derive(Default)]
pub(super) struct KnownTokens(Mutex<HashMap<[u8; 32], (Actor, Instant)>>);

impl KnownTokens {
    fn get(&self, hash: &[u8; 32]) -> Option<Actor> {
        let known = self.0.lock().expect("no holder of this lock panics");
        known.get(hash).filter(|(_, seen)| seen.elapsed() < KNOWN_FOR).map(|(actor, _)| actor.clone())
    }

    fn keep(&self, hash: [u8; 32], actor: Actor) {
        let mut known = self.0.lock().expect("no holder of this lock panics");
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(hash, (actor, Instant::now()));
    }
}

impl Registry {
    /// Who holds this token; none where nobody does any more.
    ///
    /// # Errors
    /// `Store`.
    pub async fn authenticate(&self, token: &str) -> Result<Option<Actor>, RegistryError> {
        let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        if let Some(actor) = self.tokens.get(&hash) {
            return Ok(Some(actor));
        }
        let text = hex(&hash);
        let Some(row) = self.store.token_by_hash(&text).await? else { return Ok(None) };
        let same: bool = row.hash.as_bytes().ct_eq(text.as_bytes()).into();
        if !same || row.revoked_at.is_some() || row.tenant != self.tenant {
            return Ok(None);
        }
        let actor = Actor { tenant: row.tenant, name: row.name };
        self.tokens.keep(hash, actor.clone());
        Ok(Some(actor))
    }

    /// Makes sure that the token is known, as an admin's, by the name. True where it was not.
    ///
    /// # Errors
    /// `Store`.
    pub async fn admit_admin(&self, token: &str, name: &str) -> Result<bool, RegistryError> {
        let at = Millis::now();
        let row = TokenRow {
            id: new_id(at),
            tenant: self.tenant.clone(),
            name: name.to_owned(),
            prefix: token.chars().take(PREFIX.len() + 6).collect(),
            hash: hex(&Sha256::digest(token.as_bytes())),
            role: "admin".to_owned(),
            created_at: at,
            revoked_at: None,
        };
        Ok(self.store.insert_token(&row, HOST).await?)
    }
}

/// A new token: `hm_` and 64 hexadecimal digits, 256 random bits.
pub fn new_token() -> String {
    format!("{PREFIX}{}", hex(&random_bytes::<32>()))
}
