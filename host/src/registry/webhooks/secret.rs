//! What webhooks are signed with, as Standard Webhooks 1.0 says. No secret is stored: each is made from the hosts' key
//! and the salt in the webhook's row, so that neither the database nor a copy of it signs anything.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::clock::random_bytes;
use crate::names::{Tenant, hex};

/// What every secret starts with, so that people and scanners recognise one.
const PREFIX: &str = "whsec_";

/// The hosts' key: 32 bytes that secrets are made from.
#[derive(Clone)]
pub struct WebhookKey([u8; 32]);

impl fmt::Debug for WebhookKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "WebhookKey({})", self.id())
    }
}

/// A text that is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a webhook key is 64 hexadecimal digits, as from `openssl rand -hex 32`")]
pub struct NoKey;

impl WebhookKey {
    /// A new one.
    pub fn generate() -> Self {
        Self(random_bytes())
    }

    /// Reads what `to_text` writes.
    ///
    /// # Errors
    /// It is none.
    pub fn from_text(text: &str) -> Result<Self, NoKey> {
        let text = text.trim();
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NoKey);
        }
        let mut key = [0; 32];
        for (byte, digits) in key.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| NoKey)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| NoKey)?;
        }
        Ok(Self(key))
    }

    /// As it is kept in a file.
    pub fn to_text(&self) -> String {
        hex(&self.0)
    }

    /// What tells it from others, and nothing of it.
    pub fn id(&self) -> String {
        hex(&self.derive(&["hallmark webhook key id"])[..8])
    }

    /// The secret of a webhook.
    pub fn secret(&self, tenant: &Tenant, webhook: &str, salt: &str) -> Secret {
        Secret(self.derive(&["hallmark webhook secret", tenant.as_str(), webhook, salt]).to_vec())
    }

    fn derive(&self, words: &[&str]) -> [u8; 32] {
        let mut derived = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key of any length will do");
        for word in words {
            // No word holds a line's end.
            derived.update(word.as_bytes());
            derived.update(b"\n");
        }
        derived.finalize().into_bytes().into()
    }
}

/// What a receiver checks signatures with.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

impl Secret {
    /// As its receiver is given it: `whsec_…`.
    pub fn to_text(&self) -> String {
        format!("{PREFIX}{}", BASE64.encode(&self.0))
    }

    /// The signature of a message: `v1,…`.
    pub fn sign(&self, id: &str, timestamp_s: i64, body: &str) -> String {
        let mut signed = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key of any length will do");
        signed.update(format!("{id}.{timestamp_s}.{body}").as_bytes());
        format!("v1,{}", BASE64.encode(signed.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_as_the_published_example_of_standard_webhooks() {
        let secret = Secret(BASE64.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("Base64"));
        assert_eq!(secret.to_text(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        assert_eq!(
            secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}"),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn secrets_differ_by_everything_that_they_are_made_from() {
        let (key, other) = (WebhookKey::generate(), WebhookKey::generate());
        let (one, two): (Tenant, Tenant) = ("one".parse().expect("a tenant"), "two".parse().expect("a tenant"));
        let secret = key.secret(&one, "a", "s");
        assert_eq!(secret, WebhookKey::from_text(&key.to_text()).expect("a key").secret(&one, "a", "s"));
        for different in [
            key.secret(&two, "a", "s"),
            key.secret(&one, "b", "s"),
            key.secret(&one, "a", "t"),
            other.secret(&one, "a", "s"),
        ] {
            assert_ne!(secret, different);
        }
        assert_ne!(key.id(), other.id());
        assert!(!format!("{key:?} {secret:?}").contains(&key.to_text()));
        assert_eq!(WebhookKey::from_text("x").map(|_| ()), Err(NoKey));
    }
}
