//! Signatures of tokens, checked by ring, which checks those of TLS as well. Nothing is signed here, and no algorithm
//! with a shared secret is known.

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, new_error};
use jsonwebtoken::signature::{Error, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use ring::signature as checks;

static RING: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(new_error(ErrorKind::UnsupportedAlgorithm)),
    verifier_factory: |algorithm, key| {
        if key.family() != algorithm.family() {
            return Err(new_error(ErrorKind::InvalidKeyFormat));
        }
        Ok(Box::new(ByRing { algorithm: *algorithm, key: key.clone() }))
    },
    key_utils: KeyUtils::new_unimplemented(),
};

/// Has tokens checked by ring in this process.
pub fn install() {
    // The second time it is there already.
    let _ = RING.install_default();
}

struct ByRing {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Verifier<Vec<u8>> for ByRing {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), Error> {
        let checked = match (self.key.kind(), rsa(self.algorithm), fixed(self.algorithm)) {
            (DecodingKeyKind::RsaModulusExponent { n, e }, Some(parameters), _) => {
                let (n, e) = (without_zeros(n), without_zeros(e));
                checks::RsaPublicKeyComponents { n, e }.verify(parameters, message, signature)
            }
            (DecodingKeyKind::SecretOrDer(point), _, Some(algorithm)) => {
                checks::UnparsedPublicKey::new(algorithm, point).verify(message, signature)
            }
            _ => return Err(Error::new()),
        };
        checked.map_err(|_| Error::new())
    }
}

impl JwtVerifier for ByRing {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

/// With keys of 2048 bits at least.
fn rsa(algorithm: Algorithm) -> Option<&'static checks::RsaParameters> {
    match algorithm {
        Algorithm::RS256 => Some(&checks::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => Some(&checks::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => Some(&checks::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => Some(&checks::RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => Some(&checks::RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => Some(&checks::RSA_PSS_2048_8192_SHA512),
        _ => None,
    }
}

fn fixed(algorithm: Algorithm) -> Option<&'static dyn checks::VerificationAlgorithm> {
    match algorithm {
        Algorithm::ES256 => Some(&checks::ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => Some(&checks::ECDSA_P384_SHA384_FIXED),
        Algorithm::EdDSA => Some(&checks::ED25519),
        _ => None,
    }
}

/// Some issuers write a number's sign before it, which ring does not take.
fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}
