//! Who may do what: bearer tokens, their roles and the entries that they reach; browsers' sessions; whom issuers vouch
//! for. Tokens are kept as SHA-256 alone: they are 256 random bits, so there is nothing to guess that a slow hash would
//! protect.

mod grants;
mod publishers;
mod sessions;
mod tokens;
mod vouched;

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::store::TokenRow;
use super::{Actor, Registry, RegistryError};
use crate::clock::{Millis, new_id, random_bytes};
use crate::identity::NotBelieved;
use crate::names::{Tenant, hex};

pub use grants::{Grants, NoRole, Role};
pub(super) use publishers::KnownPublishers;
pub use publishers::PublisherWanted;
pub use sessions::{BegunSession, Session, SessionKey};
pub use tokens::{MadeToken, TokenWanted};
pub(super) use vouched::Believed;

/// How long a revoked token may still be honoured by a host that has seen it.
const KNOWN_FOR: Duration = Duration::from_secs(5);
/// Tokens remembered at once.
const KNOWN_MAX: usize = 10_000;
/// Milliseconds after which a token's last use is written again.
const USE_TOLD_AFTER_MS: i64 = 60_000;
/// Who does what nobody asked for: the host, when it starts.
const HOST: &str = "serve";
/// What every token starts with, so that scanners recognise one that leaked.
const PREFIX: &str = "hm_";
/// Characters of a token that lists show.
const SHOWN_CHARACTERS: usize = PREFIX.len() + 6;

/// Tokens seen a moment ago, by hash, so that a request costs no database read.
#[derive(Default)]
pub(super) struct KnownTokens(Mutex<HashMap<[u8; 32], Known>>);

struct Known {
    actor: Actor,
    expires_at: Option<Millis>,
    seen: Instant,
}

impl KnownTokens {
    fn get(&self, hash: &[u8; 32], now: Millis) -> Option<Actor> {
        let known = self.0.lock().expect("no holder of this lock panics");
        let holds = |known: &&Known| known.seen.elapsed() < KNOWN_FOR && known.expires_at.is_none_or(|end| now < end);
        known.get(hash).filter(holds).map(|known| known.actor.clone())
    }

    fn keep(&self, hash: [u8; 32], actor: Actor, expires_at: Option<Millis>) {
        let mut known = self.0.lock().expect("no holder of this lock panics");
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(hash, Known { actor, expires_at, seen: Instant::now() });
    }

    /// A token was revoked here: nobody is believed unseen.
    fn forget(&self) {
        self.0.lock().expect("no holder of this lock panics").clear();
    }
}

/// Why who asks is not believed, or nothing is granted to him.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoEntry {
    /// It was never given out here.
    #[error("nobody holds this token: it was never given out, or it was revoked")]
    Unknown,
    /// Its time is over.
    #[error("the token '{name}' expired at {}: ask an admin for another", crate::clock::Instant(*at))]
    Expired {
        /// What it is called.
        name: String,
        /// When.
        at: Millis,
    },
    /// The session is none, or it is over.
    #[error("the session is over, or was never begun here: begin another with POST /api/session and a token")]
    Session,
    /// A token of an issuer is not believed.
    #[error(transparent)]
    NotBelieved(#[from] NotBelieved),
    /// It is believed, and no rule is about it.
    #[error("the token is believed, and nothing is granted to its holder here: ask an admin")]
    NothingGranted,
}

impl Registry {
    /// Who holds this token, of whichever tenant: who is admitted here is served by his own tenant's registry. Which that
    /// is, the token says; where an issuer's does not, it is the one that was asked for.
    ///
    /// # Errors
    /// `Store`, `IssuerUnreachable`; within, why nobody does.
    pub async fn authenticate(
        &self,
        token: &str,
        asked: Option<&Tenant>,
        now: Millis,
    ) -> Result<Result<Actor, NoEntry>, RegistryError> {
        if let Some(believed) = self.believed.get().filter(|_| vouched::is_of_issuer(token)) {
            return self.authenticate_vouched(believed, token, asked).await;
        }
        let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        if let Some(actor) = self.tokens.get(&hash, now) {
            return Ok(Ok(actor));
        }
        let text = hex(&hash);
        let row = self.store.token_by_hash(&text).await?;
        self.admit(hash, row.filter(|row| row.hash.as_bytes().ct_eq(text.as_bytes()).into()), now).await
    }

    /// Who holds the token of this row, which is kept by the hash.
    async fn admit(
        &self,
        hash: [u8; 32],
        row: Option<TokenRow>,
        now: Millis,
    ) -> Result<Result<Actor, NoEntry>, RegistryError> {
        let Some(row) = row.filter(|row| row.revoked.is_none()) else {
            return Ok(Err(NoEntry::Unknown));
        };
        if let Some(at) = row.expires_at.filter(|at| *at <= now) {
            return Ok(Err(NoEntry::Expired { name: row.name, at }));
        }
        self.tell_use(&row, now).await?;
        let (token, until) = (Some(row.id), None);
        let actor = Actor { tenant: row.tenant, name: row.name, grants: row.grants, token, until };
        self.tokens.keep(hash, actor.clone(), row.expires_at);
        Ok(Ok(actor))
    }

    /// True where somebody who was known a while ago may still ask: the token holds, or the session.
    ///
    /// # Errors
    /// `Store`.
    pub async fn still_holds(&self, actor: &Actor, now: Millis) -> Result<bool, RegistryError> {
        if actor.until.is_some_and(|end| end <= now) {
            return Ok(false);
        }
        let Some(id) = &actor.token else { return Ok(true) };
        let row = self.store.token(&actor.tenant, id).await?;
        Ok(row.is_some_and(|row| row.revoked.is_none() && row.expires_at.is_none_or(|end| now < end)))
    }

    /// Writes down that a token is used, once a minute or so: a request in some ten thousand pays for it.
    async fn tell_use(&self, row: &TokenRow, now: Millis) -> Result<(), RegistryError> {
        if row.last_used_at.is_some_and(|used| now.0 - used.0 < USE_TOLD_AFTER_MS) {
            return Ok(());
        }
        Ok(self.store.token_used(&row.tenant, &row.id, now).await?)
    }

    /// Makes sure that the token is known, as an admin's, by the name. True where it was not.
    ///
    /// # Errors
    /// `Store`.
    pub async fn admit_admin(&self, token: &str, name: &str) -> Result<bool, RegistryError> {
        let row = self.row(token, name, Grants::everything(), None, HOST);
        Ok(self.store.insert_token(&row).await?)
    }

    fn row(&self, token: &str, name: &str, grants: Grants, expires_at: Option<Millis>, by: &str) -> TokenRow {
        token_row(&self.tenant, token, name, grants, expires_at, by, Millis::now())
    }
}

/// The row of a token that is made now.
pub(super) fn token_row(
    tenant: &Tenant,
    token: &str,
    name: &str,
    grants: Grants,
    expires_at: Option<Millis>,
    by: &str,
    at: Millis,
) -> TokenRow {
    TokenRow {
        id: new_id(at),
        tenant: tenant.clone(),
        name: name.to_owned(),
        prefix: token.chars().take(SHOWN_CHARACTERS).collect(),
        hash: hex(&Sha256::digest(token.as_bytes())),
        grants,
        created_by: by.to_owned(),
        created_at: at,
        expires_at,
        last_used_at: None,
        revoked: None,
    }
}

/// A new token: `hm_` and 64 hexadecimal digits, 256 random bits.
pub fn new_token() -> String {
    format!("{PREFIX}{}", hex(&random_bytes::<32>()))
}
