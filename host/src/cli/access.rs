//! What `serve` is told of who may ask: issuers whose tokens are believed, proxies that are trusted to say from where a
//! request comes, and what browsers' sessions are signed with.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::Deserialize;

use super::Trouble;
use super::serve::{read_secret, write_secret};
use crate::http::{Proxies, ProxyHeader};
use crate::identity::IssuerSettings;
use crate::registry::access::SessionKey;

/// The file in the data folder that holds the secret that sessions are signed with.
pub(super) const SESSION_KEY_FILE: &str = "session.key";

/// What `serve` takes of it.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A file (TOML) of the issuers whose JSON Web Tokens are believed; docs/ACCESS.md has its form.
    #[arg(long, value_name = "FILE")]
    issuers: Option<PathBuf>,
    /// The proxies whose header says from where a request comes: addresses and networks, as in '192.0.2.7, 10.0.0.0/8'.
    #[arg(long, value_name = "NETWORKS")]
    trusted_proxies: Option<String>,
    /// The header in which they say it: x-forwarded-for or forwarded.
    #[arg(long, value_name = "HEADER", default_value = "x-forwarded-for")]
    proxy_header: ProxyHeader,
    /// A file with the secret that browsers' sessions are signed with; without it one in the data folder, made at the
    /// first start. Hosts that share a database share it.
    #[arg(long, value_name = "FILE")]
    session_key: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IssuersFile {
    #[serde(default, rename = "issuer")]
    issuers: Vec<IssuerSettings>,
}

impl Arguments {
    /// The proxies that are trusted.
    pub fn proxies(&self) -> Result<Proxies, Trouble> {
        let networks = self.trusted_proxies.iter().flat_map(|list| list.split(',')).map(str::trim);
        Proxies::new(networks.filter(|network| !network.is_empty()), self.proxy_header)
            .map_err(|what| Trouble::Usage(format!("--trusted-proxies: {what}")))
    }

    /// The issuers that are believed.
    pub fn issuers(&self) -> Result<Vec<IssuerSettings>, Trouble> {
        let Some(path) = &self.issuers else { return Ok(Vec::new()) };
        let text = fs::read_to_string(path)
            .map_err(|error| Trouble::Usage(format!("--issuers: {}: {error}", path.display())))?;
        let read: Result<IssuersFile, _> = toml::from_str(&text);
        let file = read.map_err(|error| Trouble::Usage(format!("--issuers: {}: {error}", path.display())))?;
        Ok(file.issuers)
    }

    /// What sessions are signed with. A file that is named must be there; the data folder's own is made where it is
    /// missing.
    pub fn session_key(&self, data: &Path) -> anyhow::Result<SessionKey> {
        let path = self.session_key.clone().unwrap_or_else(|| data.join(SESSION_KEY_FILE));
        let secret = match read_secret(&path)? {
            Some(secret) => secret,
            None if self.session_key.is_some() => bail!(
                "there is no secret of sessions {}: make one with `openssl rand -hex 32`, readable by its owner alone",
                path.display()
            ),
            None => {
                let secret = SessionKey::new_secret();
                write_secret(&path, &secret)?;
                secret
            }
        };
        SessionKey::from_secret(&secret).with_context(|| format!("{} cannot be used", path.display()))
    }
}
