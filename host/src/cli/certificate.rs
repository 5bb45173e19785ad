//! The certificate that a host shows, as `serve` and `doctor` are told of it.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::anyhow;

use super::Trouble;
use crate::config::Limits;
use crate::http::tls::{Files, Tls};

/// What names it.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The certificate (PEM) to serve https with, and behind it those that it is signed by. It and its key are read again
    /// when they change.
    #[arg(long, value_name = "FILE")]
    tls_certificate: Option<PathBuf>,
    /// The certificate's private key (PEM), readable by its owner alone.
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
}

impl Arguments {
    /// Where the pair is; none where the host serves without TLS.
    ///
    /// # Errors
    /// One of the two is named alone.
    pub fn files(&self) -> Result<Option<Files>, Trouble> {
        match (&self.tls_certificate, &self.tls_key) {
            (Some(certificate), Some(key)) => Ok(Some(Files { certificate: certificate.clone(), key: key.clone() })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(Trouble::Usage("--tls-certificate needs its key: give --tls-key FILE".to_owned())),
            (None, Some(_)) => {
                Err(Trouble::Usage("--tls-key needs its certificate: give --tls-certificate FILE".to_owned()))
            }
        }
    }

    /// The pair, read.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn load(&self, limits: &Limits) -> Result<Option<Arc<Tls>>, Trouble> {
        let Some(files) = self.files()? else { return Ok(None) };
        let loaded = Tls::load(files, limits.tls_handshake_max_ms, limits.tls_poll_ms);
        Ok(Some(Arc::new(loaded.map_err(|why| anyhow!(why).context("TLS cannot be served"))?)))
    }
}
