//! What an issuer tells: read from the address that is known, no further than a limit, and from nowhere else.

use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::settings::is_safe;

/// How long it may take, and how much it may be.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The time for one question.
    pub time_max: Duration,
    /// Bytes of one answer.
    pub bytes_max: usize,
}

/// What OpenID Connect Discovery tells.
#[derive(Deserialize)]
struct Discovered {
    issuer: String,
    jwks_uri: String,
}

/// The JWK set of an issuer, from where it is known to be, or from where the issuer says. It blocks.
///
/// # Errors
/// Why there is none, for the log.
pub fn key_set(issuer: &str, keys: Option<&str>, bounds: Bounds) -> Result<Vec<u8>, String> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(bounds.time_max))
        // Who may speak for the issuer is its own to say, and it said so in its settings or its discovery.
        .max_redirects(0)
        .build()
        .into();
    let place = match keys {
        Some(keys) => keys.to_owned(),
        None => discover(&agent, issuer, bounds)?,
    };
    get(&agent, &place, bounds)
}

fn discover(agent: &ureq::Agent, issuer: &str, bounds: Bounds) -> Result<String, String> {
    let place = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let told: Discovered = serde_json::from_slice(&get(agent, &place, bounds)?)
        .map_err(|error| format!("{place} tells no issuer and jwks_uri: {error}"))?;
    // Another issuer could put its own keys in the place of this one's (OpenID Connect Discovery 1.0, 4.3).
    if told.issuer != issuer {
        return Err(format!("{place} tells of the issuer '{}' and not of {issuer}", told.issuer));
    }
    let url: Url = told.jwks_uri.parse().map_err(|_| format!("{place} tells a jwks_uri that is no URL"))?;
    is_safe(&told.jwks_uri, &url)?;
    if url.scheme() == "http" && issuer.starts_with("https:") {
        return Err(format!("{place} tells a jwks_uri that does not begin with https://"));
    }
    Ok(told.jwks_uri)
}

fn get(agent: &ureq::Agent, place: &str, bounds: Bounds) -> Result<Vec<u8>, String> {
    let mut answer = agent
        .get(place)
        .header("accept", "application/json")
        .call()
        .map_err(|error| format!("{place} does not answer: {error}"))?;
    if answer.status().as_u16() != 200 {
        return Err(format!("{place} answers {}", answer.status()));
    }
    let limit = u64::try_from(bounds.bytes_max).unwrap_or(u64::MAX);
    let read = answer.body_mut().with_config().limit(limit).read_to_vec();
    read.map_err(|error| format!("{place} cannot be read (issuer_document_max_bytes = {limit}): {error}"))
}
