//! Browsers' sessions: a signed text that a browser keeps in place of a token, which pages could read and scripts could
//! steal. It names its token, so that it ends with it, and an instant at which it ends anyway. No host keeps it: whoever
//! has the key knows it.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use super::{NoEntry, new_token};
use crate::clock::{Millis, new_id};
use crate::names::{Tenant, hex};
use crate::registry::{Actor, Registry, RegistryError};

/// Characters of a secret that a key is made of.
const SECRET_MIN_CHARACTERS: usize = 32;
/// The form of the text; another form has another word.
const FORM: &str = "v1";

/// What sessions are signed with. Hosts of one fleet have the same.
#[derive(Clone)]
pub struct SessionKey([u8; 32]);

/// A secret that is too short to be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key of sessions is a secret of at least {SECRET_MIN_CHARACTERS} characters")]
pub struct ShortSecret;

/// Milliseconds of a second.
const SECOND_MS: i64 = 1_000;

impl SessionKey {
    /// Made of a secret.
    ///
    /// # Errors
    /// It is short.
    pub fn from_secret(secret: &str) -> Result<Self, ShortSecret> {
        let secret = secret.trim();
        if secret.chars().count() < SECRET_MIN_CHARACTERS {
            return Err(ShortSecret);
        }
        Ok(Self(Sha256::digest(format!("hallmark sessions\n{secret}")).into()))
    }

    /// A new secret, as random as a token.
    pub fn new_secret() -> String {
        new_token()
    }

    fn mac(&self, purpose: &str, text: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of every length");
        mac.update(purpose.as_bytes());
        mac.update(b"\n");
        mac.update(text.as_bytes());
        mac
    }

    fn sign(&self, purpose: &str, text: &str) -> String {
        hex(&self.mac(purpose, text).finalize().into_bytes())
    }

    fn is_signed(&self, purpose: &str, text: &str, signature: &str) -> bool {
        let Some(bytes) = unhex(signature) else { return false };
        self.mac(purpose, text).verify_slice(&bytes).is_ok()
    }

    fn seal(&self, session: &Session) -> String {
        let Session { id, tenant, token, expires_at } = session;
        let text = format!("{FORM}.{id}.{tenant}.{token}.{}", expires_at.0);
        let signature = self.sign("session", &text);
        format!("{text}.{signature}")
    }

    fn open(&self, cookie: &str) -> Option<Session> {
        let (text, signature) = cookie.rsplit_once('.')?;
        if !self.is_signed("session", text, signature) {
            return None;
        }
        let [form, id, tenant, token, expires_at] = text.split('.').collect::<Vec<_>>().try_into().ok()?;
        let expires_at = Millis(expires_at.parse().ok()?);
        let tenant = tenant.parse().ok()?;
        (form == FORM).then(|| Session { id: id.to_owned(), tenant, token: token.to_owned(), expires_at })
    }
}

/// The bytes of hexadecimal digits.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let is_whole = text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_whole.then(|| text.as_bytes().chunks(2).map(pair).collect()).flatten()
}

/// A browser's session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: String,
    /// Whose registry it is for.
    pub tenant: Tenant,
    /// The id of the token that it was begun with.
    pub token: String,
    /// The first instant at which it does not hold.
    pub expires_at: Millis,
}

/// A session that was begun.
#[derive(Debug, Clone)]
pub struct BegunSession {
    /// What the browser keeps.
    pub cookie: String,
    /// For how many seconds.
    pub seconds: i64,
    /// The session.
    pub session: Session,
}

impl Registry {
    /// Signs sessions with this key from here on; a registry has one, and the first stays.
    pub fn sign_sessions_with(&self, key: SessionKey) {
        let _ = self.session_key.set(key);
    }

    fn session_key(&self) -> Result<&SessionKey, RegistryError> {
        self.session_key.get().ok_or_else(|| RegistryError::Internal("this host has no key of sessions".to_owned()))
    }

    /// Begins a session of who holds a token.
    ///
    /// # Errors
    /// `BadChange` where the caller holds no token of this registry; `Store`.
    pub async fn begin_session(&self, actor: &Actor, now: Millis) -> Result<BegunSession, RegistryError> {
        let Some(token) = &actor.token else {
            let what = "a session is begun with a token that this registry made, not with an issuer's";
            return Err(RegistryError::BadChange(what.to_owned()));
        };
        let row = self.store.token(&actor.tenant, token).await?;
        let wanted = Millis(now.0 + i64::from(self.limits.session_max_s) * SECOND_MS);
        let expires_at = row.and_then(|row| row.expires_at).map_or(wanted, |at| at.min(wanted));
        let session = Session { id: new_id(now), tenant: actor.tenant.clone(), token: token.clone(), expires_at };
        let cookie = self.session_key()?.seal(&session);
        Ok(BegunSession { cookie, seconds: (expires_at.0 - now.0) / SECOND_MS, session })
    }

    /// Whose session this is.
    ///
    /// # Errors
    /// `Store`; within, why it is nobody's.
    pub async fn session(&self, cookie: &str, now: Millis) -> Result<Result<(Actor, Session), NoEntry>, RegistryError> {
        let opened = self.session_key()?.open(cookie).filter(|session| now < session.expires_at);
        let Some(session) = opened else { return Ok(Err(NoEntry::Session)) };
        // No token that is sent in a header has a line's end in it.
        let hash: [u8; 32] = Sha256::digest(format!("session\n{}\n{}", session.tenant, session.token)).into();
        let admitted = match self.tokens.get(&hash, now) {
            Some(actor) => Ok(actor),
            None => self.admit(hash, self.store.token(&session.tenant, &session.token).await?, now).await?,
        };
        let until = Some(session.expires_at);
        Ok(admitted.map(|actor| (Actor { until, ..actor }, session)).map_err(|_| NoEntry::Session))
    }

    /// What a page of the registry's own knows of its session, and a page of somebody else's cannot.
    ///
    /// # Errors
    /// `Internal`.
    pub fn csrf_token(&self, session: &Session) -> Result<String, RegistryError> {
        Ok(self.session_key()?.sign("csrf", &session.id))
    }

    /// True where it is that of the session.
    ///
    /// # Errors
    /// `Internal`.
    pub fn is_csrf_token(&self, session: &Session, given: &str) -> Result<bool, RegistryError> {
        Ok(self.session_key()?.is_signed("csrf", &session.id, given))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_what_was_signed_and_nothing_else() {
        let key = SessionKey::from_secret(&SessionKey::new_secret()).expect("a key");
        let tenant: Tenant = "acme".parse().expect("a tenant");
        let session = Session { id: "a-1".to_owned(), tenant, token: "t-1".to_owned(), expires_at: Millis(5) };
        let cookie = key.seal(&session);
        assert_eq!(key.open(&cookie), Some(session.clone()));
        let other = SessionKey::from_secret(&"x".repeat(32)).expect("a key");
        assert_eq!(other.open(&cookie), None);
        for forged in [
            cookie.replace("t-1", "t-2"),
            cookie.replace("acme", "other"),
            cookie.replace(".5.", ".6."),
            format!("{cookie}00"),
            cookie[..cookie.len() - 2].to_owned(),
            "v1.a-1.acme.t-1.5.".to_owned(),
            String::new(),
        ] {
            assert_eq!(key.open(&forged), None, "{forged}");
        }
        let csrf = key.sign("csrf", &session.id);
        assert!(key.is_signed("csrf", "a-1", &csrf) && !key.is_signed("csrf", "a-2", &csrf));
        assert!(!key.is_signed("session", "a-1", &csrf), "one purpose each");
        let short = SessionKey::from_secret(&"x".repeat(31)).err().map(|error| error.to_string());
        assert_eq!(short.as_deref(), Some("a key of sessions is a secret of at least 32 characters"));
    }
}
