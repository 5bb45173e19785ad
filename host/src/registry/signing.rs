//! Ed25519 keys as files, what they sign, and the envelope that statements travel in (DSSE 1.0.2). No secret leaves
//! here but by `SigningKey::to_pem`.

use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, KeypairBytes};
use ed25519_dalek::{Signature, Signer as _, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::clock::random_bytes;
use crate::names::{Digest, KeyId};

/// Written with padding, read with or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What is signed for a plugin begins with this, so that no such signature can be taken for one of anything else.
const PLUGIN_DOMAIN: &str = "hallmark-plugin-signature-v1";

/// How a file with a plugin's signature says what it is.
const PLUGIN_FORMAT: &str = "hallmark-plugin-signature/v1";

/// Text that is not the key that it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeyError(String);

impl KeyError {
    /// With this sentence.
    pub(super) fn new(what: String) -> Self {
        Self(what)
    }
}

/// An Ed25519 private key.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("SigningKey").field(&self.public().id()).finish()
    }
}

impl SigningKey {
    /// A new one.
    pub fn generate() -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(&random_bytes()))
    }

    /// Reads PKCS#8 in PEM (RFC 5958, RFC 8410), as `openssl genpkey -algorithm ed25519` writes it.
    ///
    /// # Errors
    /// What the text is instead.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        if text.contains("BEGIN PUBLIC KEY") {
            return Err(KeyError("this is a public key: name the file with the private one".to_owned()));
        }
        ed25519_dalek::SigningKey::from_pkcs8_pem(text.trim()).map(Self).map_err(|_| {
            KeyError("no Ed25519 private key in PEM (PKCS#8): make one with `hallmark plugin keygen`".to_owned())
        })
    }

    /// PKCS#8 in PEM, which is a secret.
    pub fn to_pem(&self) -> String {
        // Without the public part: not every program reads the form that has it.
        let bytes = KeypairBytes { secret_key: self.0.to_bytes(), public_key: None };
        bytes.to_pkcs8_pem(LineEnding::LF).expect("a key of 32 bytes has a PEM form").as_str().to_owned()
    }

    /// Its public part.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Puts a payload into an envelope and signs it.
    pub fn seal(&self, payload_type: &str, payload: &[u8]) -> Envelope {
        let signature = self.0.sign(&pre_authentication(payload_type, payload));
        Envelope {
            payload: BASE64.encode(payload),
            payload_type: payload_type.to_owned(),
            signatures: vec![EnvelopeSignature {
                keyid: self.public().id().to_string(),
                sig: BASE64.encode(signature.to_bytes()),
            }],
        }
    }

    /// Signs a plugin.
    pub fn sign_plugin(&self, plugin: &Digest) -> PluginSignature {
        let signature = self.0.sign(&plugin_message(plugin));
        PluginSignature {
            format: PLUGIN_FORMAT.to_owned(),
            plugin: plugin.clone(),
            key_id: self.public().id(),
            signature: BASE64.encode(signature.to_bytes()),
        }
    }
}

/// An Ed25519 public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads SubjectPublicKeyInfo in PEM (RFC 8410).
    ///
    /// # Errors
    /// What the text is instead.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        if text.contains("PRIVATE KEY") {
            return Err(KeyError(
                "this is a private key: name the file with the public one, and keep this to yourself".to_owned(),
            ));
        }
        let wrong = || KeyError("no Ed25519 public key in PEM (SubjectPublicKeyInfo)".to_owned());
        let key = VerifyingKey::from_public_key_pem(text.trim()).map_err(|_| wrong())?;
        // Of a weak key everybody can make signatures.
        if key.is_weak() { Err(wrong()) } else { Ok(Self(key)) }
    }

    /// SubjectPublicKeyInfo in PEM.
    pub fn to_pem(&self) -> String {
        self.0.to_public_key_pem(LineEnding::LF).expect("a key of 32 bytes has a PEM form")
    }

    /// Its id.
    pub fn id(&self) -> KeyId {
        KeyId::of(self.0.to_public_key_der().expect("a key of 32 bytes has a DER form").as_bytes())
    }

    /// True where the signature is this key's, of this plugin.
    pub fn signed(&self, signature: &PluginSignature) -> bool {
        self.verifies(&plugin_message(&signature.plugin), &signature.signature)
    }

    fn verifies(&self, message: &[u8], signature: &str) -> bool {
        let signature = decode(signature).and_then(|bytes| Signature::from_slice(&bytes).ok());
        signature.is_some_and(|signature| self.0.verify_strict(message, &signature).is_ok())
    }
}

/// A detached signature of a plugin: what a file `PLUGIN.wasm.sig` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PluginSignature {
    format: String,
    /// What is signed: SHA-256 of the component.
    pub plugin: Digest,
    /// The key.
    pub key_id: KeyId,
    /// Ed25519 over `plugin_message`, in Base64.
    pub signature: String,
}

impl PluginSignature {
    /// From its parts, as a header carries them.
    pub fn new(plugin: Digest, key_id: KeyId, signature: String) -> Self {
        Self { format: PLUGIN_FORMAT.to_owned(), plugin, key_id, signature }
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// It is no such file.
    pub fn read(text: &str) -> Result<Self, KeyError> {
        let read: Self = serde_json::from_str(text)
            .map_err(|error| KeyError(format!("no signature as `hallmark plugin sign` writes it: {error}")))?;
        if read.format != PLUGIN_FORMAT {
            let format: String = read.format.chars().take(80).collect();
            return Err(KeyError(format!("the format is '{format}', and only '{PLUGIN_FORMAT}' is read here")));
        }
        Ok(read)
    }
}

/// The bytes that a plugin's signature is over: the domain, a line feed, the component's digest, a line feed.
fn plugin_message(plugin: &Digest) -> Vec<u8> {
    format!("{PLUGIN_DOMAIN}\n{plugin}\n").into_bytes()
}

/// A DSSE envelope. Members that are not known are passed over, as its specification asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// Base64.
    pub payload: String,
    /// What the payload is.
    pub payload_type: String,
    /// One or more.
    pub signatures: Vec<EnvelopeSignature>,
}

/// One signature of an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EnvelopeSignature {
    /// A hint at the key; nothing is decided by it.
    #[serde(default)]
    pub keyid: String,
    /// Base64.
    pub sig: String,
}

/// Why an envelope is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Disbelief {
    /// The payload is not Base64.
    #[error("the payload is not Base64")]
    Payload,
    /// Nobody signed it.
    #[error("nobody signed it: it has no signature")]
    Unsigned,
    /// It is signed by others.
    #[error("it is not signed by the key {expected}, but by {}", given.join(", "))]
    OtherKey {
        /// The key that was asked for.
        expected: KeyId,
        /// Those that it names.
        given: Vec<String>,
    },
    /// The signature that names the key is not of this payload.
    #[error("the signature that names the key {key} does not fit: the payload, its type or the signature was altered")]
    Altered {
        /// The key.
        key: KeyId,
    },
}

impl Envelope {
    /// The payload, where at least one signature is the key's.
    ///
    /// # Errors
    /// Why it is not believed.
    pub fn open(&self, key: &PublicKey) -> Result<Vec<u8>, Disbelief> {
        let payload = decode(&self.payload).ok_or(Disbelief::Payload)?;
        if self.signatures.is_empty() {
            return Err(Disbelief::Unsigned);
        }
        let message = pre_authentication(&self.payload_type, &payload);
        // Whatever ids they name: an id proves nothing.
        if self.signatures.iter().any(|signature| key.verifies(&message, &signature.sig)) {
            return Ok(payload);
        }
        let id = key.id();
        if self.signatures.iter().any(|signature| signature.keyid == id.as_str()) {
            return Err(Disbelief::Altered { key: id });
        }
        let named = |signature: &EnvelopeSignature| match signature.keyid.as_str() {
            "" => "a key that it does not name".to_owned(),
            keyid => keyid.chars().take(80).collect(),
        };
        Err(Disbelief::OtherKey { expected: id, given: self.signatures.iter().map(named).collect() })
    }
}

/// What is signed (DSSE 1.0.2, "PAE"): the parts with their lengths, so that none can run into another.
fn pre_authentication(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

/// Both alphabets of Base64 are read, as DSSE asks.
fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.replace('-', "+").replace('_', "/")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_were_written() {
        let key = SigningKey::generate();
        let read = SigningKey::from_pem(&key.to_pem()).expect("a key");
        assert_eq!(read.public(), key.public());
        assert_eq!(PublicKey::from_pem(&key.public().to_pem()).expect("a key"), key.public());
        let told = |error: KeyError| error.to_string();
        assert_eq!(
            told(SigningKey::from_pem(&key.public().to_pem()).expect_err("public")),
            "this is a public key: name the file with the private one"
        );
        assert_eq!(
            told(PublicKey::from_pem(&key.to_pem()).expect_err("private")),
            "this is a private key: name the file with the public one, and keep this to yourself"
        );
        assert_eq!(
            told(SigningKey::from_pem("nonsense").expect_err("no key")),
            "no Ed25519 private key in PEM (PKCS#8): make one with `hallmark plugin keygen`"
        );
        assert_eq!(
            told(PublicKey::from_pem("nonsense").expect_err("no key")),
            "no Ed25519 public key in PEM (SubjectPublicKeyInfo)"
        );
    }

    #[test]
    fn the_message_is_the_one_of_the_specification() {
        // The example of DSSE's protocol.md.
        assert_eq!(
            pre_authentication("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn believes_any_signature_of_the_key_and_no_other() {
        let (key, other) = (SigningKey::generate(), SigningKey::generate());
        let envelope = key.seal("text/plain", b"yes");
        assert_eq!(envelope.open(&key.public()).as_deref(), Ok(&b"yes"[..]));
        let mut both = other.seal("text/plain", b"yes");
        both.signatures.extend(envelope.signatures.clone());
        assert!(both.open(&key.public()).is_ok() && both.open(&other.public()).is_ok());
        // The id is a hint.
        both.signatures.iter_mut().for_each(|signature| signature.keyid.clear());
        assert!(both.open(&key.public()).is_ok());
        both.signatures.truncate(1);
        let told = |envelope: &Envelope| envelope.open(&key.public()).expect_err("not believed").to_string();
        let id = key.public().id();
        assert_eq!(told(&both), format!("it is not signed by the key {id}, but by a key that it does not name"));
        assert_eq!(
            told(&other.seal("text/plain", b"yes")),
            format!("it is not signed by the key {id}, but by {}", other.public().id())
        );
        let altered = format!(
            "the signature that names the key {id} does not fit: the payload, its type or the signature was altered"
        );
        assert_eq!(told(&Envelope { payload: BASE64.encode(b"no"), ..envelope.clone() }), altered);
        assert_eq!(told(&Envelope { payload_type: "text/html".to_owned(), ..envelope.clone() }), altered);
        assert_eq!(told(&Envelope { payload: "%".to_owned(), ..envelope.clone() }), "the payload is not Base64");
        assert_eq!(told(&Envelope { signatures: Vec::new(), ..envelope }), "nobody signed it: it has no signature");
    }

    #[test]
    fn a_plugins_signature_is_of_that_plugin_alone() {
        let key = SigningKey::generate();
        let signature = key.sign_plugin(&Digest::of(b"plugin"));
        assert!(key.public().signed(&signature));
        assert!(!SigningKey::generate().public().signed(&signature));
        assert!(!key.public().signed(&PluginSignature { plugin: Digest::of(b"another"), ..signature.clone() }));
        assert!(!key.public().signed(&PluginSignature { signature: "AAAA".to_owned(), ..signature.clone() }));
        let text = serde_json::to_string(&signature).expect("it can be written");
        assert_eq!(PluginSignature::read(&text), Ok(signature));
        assert_eq!(
            PluginSignature::read(&text.replace("/v1", "/v9")).expect_err("another format").to_string(),
            "the format is 'hallmark-plugin-signature/v9', and only 'hallmark-plugin-signature/v1' is read here"
        );
        assert!(PluginSignature::read("{}").expect_err("nothing").to_string().starts_with("no signature as"));
    }
}
