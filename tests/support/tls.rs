//! An authority of the tests' own: hosts show certificates that it signed, and the tests' clients believe no other.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(|| {
        let mut parameters = CertificateParams::new(Vec::<String>::new()).expect("no names");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = parameters.self_signed(&key).expect("a certificate").pem();
        Authority { pem, issuer: Issuer::new(parameters, key) }
    })
}

/// What a client believes by.
pub fn believing() -> TlsConfig {
    let root = Certificate::from_pem(authority().pem.as_bytes()).expect("a certificate");
    TlsConfig::builder().root_certs(RootCerts::new_with_certs(&[root])).build()
}

/// The authority's certificate as a file.
pub fn write_authority(folder: &Path) -> PathBuf {
    let path = folder.join("authority.pem");
    fs::write(&path, &authority().pem).expect("a file");
    path
}

/// A certificate and its key, as files.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The certificate.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
}

impl Pair {
    /// A pair for loopback that holds until the end of a year.
    pub fn write(folder: &Path, until_year: i32) -> Self {
        let pair = Self { certificate: folder.join("tls.pem"), key: folder.join("tls.key") };
        pair.renew(until_year);
        pair
    }

    /// Puts another in its place: the certificate first, as those who renew them do, and then the key.
    pub fn renew(&self, until_year: i32) {
        let mut parameters = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
        parameters.not_after = rcgen::date_time_ymd(until_year, 12, 31);
        let key = KeyPair::generate().expect("a key");
        let certificate = parameters.signed_by(&key, &authority().issuer).expect("a certificate");
        replace(&self.certificate, &certificate.pem());
        replace(&self.key, &key.serialize_pem());
    }
}

/// A file is there whole or not at all.
fn replace(path: &Path, text: &str) {
    let fresh = path.with_extension("new");
    fs::write(&fresh, text).expect("a file");
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o600)).expect("changed");
    fs::rename(&fresh, path).expect("renamed");
}
