//! TLS: the certificate that the host shows, and its key. Both are read again when their files change, and new
//! connections get what was read; those that there are keep what they began with. What cannot be used never replaces
//! what can.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::TcpStream;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{Error as RustlsError, ServerConfig, crypto};
use tokio_rustls::server::TlsStream;

use crate::clock::Millis;
use crate::telemetry;

/// Where the pair is.
#[derive(Debug, Clone)]
pub struct Files {
    /// The certificate, and behind it those that it is signed by (PEM).
    pub certificate: PathBuf,
    /// Its private key (PEM), for its owner's eyes alone.
    pub key: PathBuf,
}

/// A certificate and its key that were read and fit each other.
pub struct Pair {
    config: Arc<ServerConfig>,
    /// The last moment at which the certificate holds.
    pub expires: Millis,
}

impl Files {
    /// Reads them.
    ///
    /// # Errors
    /// What is wrong with them, and what to change.
    pub fn read(&self) -> Result<Pair, String> {
        self.pair(&self.bytes()?)
    }

    fn bytes(&self) -> Result<(Vec<u8>, Vec<u8>), String> {
        let read = |path: &Path| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
        let mode = std::fs::metadata(&self.key).map_or(0, |metadata| metadata.permissions().mode());
        if mode & 0o077 != 0 {
            return Err(format!("{} can be read by others: run chmod 600 {0}", self.key.display()));
        }
        Ok((read(&self.certificate)?, read(&self.key)?))
    }

    fn pair(&self, (certificate, key): &(Vec<u8>, Vec<u8>)) -> Result<Pair, String> {
        let (shown, key_shown) = (self.certificate.display(), self.key.display());
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
        let chain = chain.map_err(|error| format!("{shown} is no PEM: {error}"))?;
        let leaf = chain.first().ok_or_else(|| format!("{shown} holds no certificate (PEM)"))?;
        let expires = not_after(leaf).ok_or_else(|| format!("{shown}: its first certificate is none"))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| format!("{key_shown} holds no private key (PEM)"))?;
        let builder = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
        let config = builder.with_no_client_auth().with_single_cert(chain, key);
        let mut config = config.map_err(|error| match error {
            RustlsError::InconsistentKeys(_) => format!("{key_shown} is not the key of the certificate in {shown}"),
            error => format!("{shown} and {key_shown} cannot be used: {error}"),
        })?;
        // HTTP/1.1 alone, as without TLS.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Pair { config: Arc::new(config), expires })
    }
}

/// What the host shows now.
pub struct Tls {
    files: Files,
    config: ArcSwap<ServerConfig>,
    handshake_max: Duration,
    poll: Duration,
}

impl Tls {
    /// Reads the pair that a host begins with. Its files are looked at every `poll_ms`, and at once on SIGHUP.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn load(files: Files, handshake_max_ms: u64, poll_ms: u64) -> Result<Self, String> {
        let pair = files.read()?;
        telemetry::certificate_read(pair.expires.0 / 1_000);
        if pair.expires < Millis::now() {
            tracing::warn!(expired = %pair.expires.rfc3339(), "the certificate does not hold any more: clients refuse it");
        }
        let (handshake_max, poll) = (Duration::from_millis(handshake_max_ms), Duration::from_millis(poll_ms.max(1)));
        Ok(Self { files, config: ArcSwap::new(pair.config), handshake_max, poll })
    }

    /// Greets a client; none where it does not do its part in time.
    pub(super) async fn greet(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let acceptor = TlsAcceptor::from(self.config.load_full());
        match tokio::time::timeout(self.handshake_max, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a client could not be greeted");
                None
            }
            Err(_) => {
                tracing::debug!("a client did not greet in time (tls_handshake_max_ms)");
                None
            }
        }
    }

    /// Reads the files again when they change, for as long as it is polled.
    pub(super) async fn keep_read(&self) {
        let mut asked = signal(SignalKind::hangup()).ok();
        let mut seen = self.files.bytes();
        loop {
            let is_asked = self.look(asked.as_mut()).await;
            let files = self.files.clone();
            let Ok(now) = tokio::task::spawn_blocking(move || files.bytes()).await else { continue };
            // A pair that cannot be used is told once, and tried again when its files are others.
            if now != seen || is_asked {
                self.renew(now.as_ref().map_err(String::clone).and_then(|bytes| self.files.pair(bytes)));
                seen = now;
            }
        }
    }

    /// Waits until somebody should look: true where somebody asks for it.
    async fn look(&self, asked: Option<&mut Signal>) -> bool {
        let asked = async {
            match asked {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(()) = asked => true,
            () = tokio::time::sleep(self.poll) => false,
        }
    }

    fn renew(&self, pair: Result<Pair, String>) {
        let fresh = pair.and_then(|pair| match pair.expires < Millis::now() {
            true => Err(format!("the certificate held until {}", pair.expires.rfc3339())),
            false => Ok(pair),
        });
        match fresh {
            Ok(pair) => {
                telemetry::certificate_read(pair.expires.0 / 1_000);
                self.config.store(pair.config);
                tracing::info!(expires = %pair.expires.rfc3339(), "new connections get the certificate that was read");
            }
            Err(why) => tracing::error!(why, "the new certificate cannot be used: the one before stays in use"),
        }
    }
}

/// Reads on where there is something to read.
pub(super) async fn keep_read(tls: Option<&Tls>) {
    match tls {
        Some(tls) => tls.keep_read().await,
        None => std::future::pending().await,
    }
}

/// The last moment at which a certificate holds (RFC 5280, 4.1.2.5); none where it is no certificate.
fn not_after(certificate: &CertificateDer<'_>) -> Option<Millis> {
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xa0;
    let inside = |bytes| element(bytes).filter(|(tag, ..)| *tag == SEQUENCE).map(|(_, inside, _)| inside);
    let signed = inside(inside(certificate)?)?;
    let fields = match element(signed)? {
        (VERSION, _, rest) => rest,
        _ => signed,
    };
    // The serial number, the algorithm and the issuer stand before the validity.
    let validity = (0..3).try_fold(fields, |rest, _| element(rest).map(|(_, _, rest)| rest))?;
    let (_, _, until) = element(inside(validity)?)?;
    let (tag, text, _) = element(until)?;
    time(tag, std::str::from_utf8(text).ok()?)
}

/// One element of DER: its tag, what is in it, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        let is_short = (1..=4).contains(&digits.len());
        (digits.iter().filter(|_| is_short).fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
    };
    let (inside, rest) = rest.split_at_checked(length)?;
    Some((tag, inside, rest))
}

fn time(tag: u8, text: &str) -> Option<Millis> {
    const UTC_TIME: u8 = 0x17;
    const GENERALIZED_TIME: u8 = 0x18;
    let text = match tag {
        // Two digits of the year: those from 50 on are of the last century.
        UTC_TIME if text.get(..2)? < "50" => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let part = |from: usize| text.get(from..from + 2);
    let (year, zone) = (text.get(..4)?, text.get(14..)?);
    let date = format!("{year}-{}-{}T{}:{}:{}{zone}", part(4)?, part(6)?, part(8)?, part(10)?, part(12)?);
    Millis::from_rfc3339(&date)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn pair_until(year: i32) -> (String, String) {
        let mut parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        parameters.not_after = rcgen::date_time_ymd(year, 12, 31);
        let key = rcgen::KeyPair::generate().expect("a key");
        (parameters.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
    }

    fn files(folder: &Path, certificate: &str, key: &str) -> Files {
        let files = Files { certificate: folder.join("tls.pem"), key: folder.join("tls.key") };
        fs::write(&files.certificate, certificate).expect("a file");
        fs::write(&files.key, key).expect("a file");
        fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).expect("changed");
        files
    }

    #[test]
    fn a_certificate_says_until_when_it_holds() {
        let folder = tempfile::tempdir().expect("a folder");
        // RFC 5280 writes years from 2050 on in another way.
        for year in [2031, 2049, 2050, 2099] {
            let (certificate, key) = pair_until(year);
            let pair = files(folder.path(), &certificate, &key).read();
            let expires = pair.map(|pair| pair.expires.rfc3339()).unwrap_or_else(|why| panic!("{why}"));
            assert_eq!(expires, format!("{year}-12-31T00:00:00.000Z"));
        }
        assert_eq!(time(0x17, "991231235959Z"), Millis::from_rfc3339("1999-12-31T23:59:59Z"));
        for cut in [&b""[..], b"\x30", b"\x30\x80", b"\x30\x85\x01\x01\x01\x01\x01", b"\x30\x02\x30\x01"] {
            assert_eq!(not_after(&CertificateDer::from(cut)), None, "{cut:?}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_pair_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let ((certificate, key), (_, other)) = (pair_until(2031), pair_until(2031));
        let refused = |certificate: &str, key: &str| {
            let why = files(folder.path(), certificate, key).read().err().expect("refused");
            why.replace(&format!("{}/", folder.path().display()), "")
        };
        assert_eq!(refused("", &key), "tls.pem holds no certificate (PEM)");
        assert_eq!(refused(&certificate, "nonsense"), "tls.key holds no private key (PEM)");
        assert_eq!(refused(&certificate, &other), "tls.key is not the key of the certificate in tls.pem");
        let open = files(folder.path(), &certificate, &key);
        fs::set_permissions(&open.key, fs::Permissions::from_mode(0o644)).expect("changed");
        let why = open.read().err().expect("refused");
        assert_eq!(why, format!("{} can be read by others: run chmod 600 {0}", open.key.display()));
        let gone = Files { certificate: folder.path().join("gone.pem"), ..files(folder.path(), &certificate, &key) };
        let why = gone.read().err().expect("refused");
        assert_eq!(why, format!("{}: No such file or directory (os error 2)", gone.certificate.display()));
    }
}
