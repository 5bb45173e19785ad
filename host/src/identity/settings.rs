//! What an operator says of an issuer.

use jsonwebtoken::{Algorithm, AlgorithmFamily};
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::claims::Claims;
use crate::names::Tenant;

/// Algorithms that are allowed where none is named.
const ALGORITHMS: [&str; 3] = ["RS256", "ES256", "EdDSA"];
/// Seconds by which clocks may differ, where nothing is said.
const CLOCK_SKEW_S: u64 = 60;
/// Seconds by which clocks may differ at most.
const CLOCK_SKEW_MAX_S: u64 = 600;

/// An issuer whose tokens are believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerSettings {
    /// What decisions and logs call it: whoever it vouches for is NAME:SUBJECT.
    pub name: String,
    /// What its tokens call it: their `iss`, exactly.
    pub issuer: String,
    /// Those that this registry is called in the tokens' `aud`; one of them must be.
    pub audiences: Vec<String>,
    /// How its tokens may be signed: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA.
    #[serde(default = "algorithms")]
    pub algorithms: Vec<String>,
    /// Where its keys are (a JWK set); without it the issuer says where, by OpenID Connect Discovery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<String>,
    /// Seconds by which its clock may differ from this host's.
    #[serde(default = "clock_skew_s")]
    pub clock_skew_s: u64,
    /// The tenant that its tokens are of; without it, and without `tenant_claim`, the one that is there from the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Tenant>,
    /// The claim that names the tenant of a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_claim: Option<String>,
    /// What its tokens let their holders do, by their claims. Trusted publishers come beside it.
    #[serde(default)]
    pub grants: Vec<GrantSettings>,
}

/// What tokens with these claims let their holders do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantSettings {
    /// What must be claimed.
    pub claims: Claims,
    /// The roles.
    pub roles: Vec<String>,
    /// The entries that a publisher may change: patterns; none for every entry.
    #[serde(default)]
    pub entries: Vec<String>,
}

fn algorithms() -> Vec<String> {
    ALGORITHMS.map(str::to_owned).to_vec()
}

fn clock_skew_s() -> u64 {
    CLOCK_SKEW_S
}

impl IssuerSettings {
    /// The algorithms, where all that is said can be.
    ///
    /// # Errors
    /// Something cannot.
    pub(super) fn check(&self) -> Result<Vec<Algorithm>, String> {
        let name = &self.name;
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > 63 || !name.bytes().all(is_name) {
            return Err(format!("'{name}' is no name of an issuer: lower case letters, digits and dashes, at most 63"));
        }
        let wrong = |what: &str| format!("the issuer '{name}': {what}");
        let url = self.issuer.parse::<Url>().map_err(|_| wrong("its issuer is no URL"))?;
        for url in [Some(&self.issuer), self.keys.as_ref()].into_iter().flatten() {
            is_safe(url, &url_of(url).ok_or_else(|| wrong(&format!("{url} is no URL")))?)
                .map_err(|what| wrong(&what))?;
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("its issuer is a URL without a query and a fragment"));
        }
        if self.audiences.is_empty() || self.audiences.iter().any(String::is_empty) {
            return Err(wrong("name at least one audience: what its tokens call this registry"));
        }
        if self.clock_skew_s > CLOCK_SKEW_MAX_S {
            return Err(wrong(&format!("clock_skew_s is at most {CLOCK_SKEW_MAX_S}")));
        }
        if self.tenant.is_some() && self.tenant_claim.is_some() {
            return Err(wrong("its tokens are of one tenant, or name theirs: say tenant or tenant_claim, not both"));
        }
        for grant in &self.grants {
            grant.claims.check().map_err(|what| wrong(&format!("a grant: {what}")))?;
        }
        let algorithms = self.algorithms.iter().map(|word| algorithm(word).map_err(|what| wrong(&what)));
        let algorithms = algorithms.collect::<Result<Vec<_>, _>>()?;
        if algorithms.is_empty() { Err(wrong("name at least one algorithm")) } else { Ok(algorithms) }
    }
}

/// An algorithm by which whoever checks a signature could not have made it.
fn algorithm(word: &str) -> Result<Algorithm, String> {
    let known: Option<Algorithm> = word.parse().ok();
    known.filter(|algorithm| algorithm.family() != AlgorithmFamily::Hmac).ok_or_else(|| {
        format!(
            "'{word}' is no algorithm that is believed: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA"
        )
    })
}

fn url_of(text: &str) -> Option<Url> {
    text.parse().ok()
}

/// Keys that came over an open line could be anybody's. Only on this machine nobody stands between.
pub(super) fn is_safe(text: &str, url: &Url) -> Result<(), String> {
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback => Ok(()),
        _ => Err(format!("{text} does not begin with https://")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn settings(changed: Value) -> IssuerSettings {
        let mut settings = json!({"name": "ci", "issuer": "https://ci.example", "audiences": ["registry"]});
        settings.as_object_mut().expect("an object").extend(changed.as_object().expect("an object").clone());
        serde_json::from_value(settings).expect("settings")
    }

    #[test]
    fn what_an_issuer_needs_is_little() {
        let algorithms = settings(json!({})).check().expect("enough");
        assert_eq!(algorithms, [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA]);
        settings(json!({"issuer": "http://127.0.0.1:80/realm"})).check().expect("on this machine");
        settings(json!({"issuer": "http://localhost"})).check().expect("on this machine");
        settings(json!({"issuer": "http://[::1]"})).check().expect("on this machine");
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_to_change() {
        let believed =
            "is no algorithm that is believed: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA";
        for (changed, why) in [
            (
                json!({"name": "C I"}),
                "'C I' is no name of an issuer: lower case letters, digits and dashes, at most 63",
            ),
            (json!({"issuer": "ci"}), "the issuer 'ci': its issuer is no URL"),
            (json!({"issuer": "http://ci.example"}), "the issuer 'ci': http://ci.example does not begin with https://"),
            (
                json!({"keys": "http://ci.example/keys"}),
                "the issuer 'ci': http://ci.example/keys does not begin with https://",
            ),
            (
                json!({"issuer": "https://ci.example?a=b"}),
                "the issuer 'ci': its issuer is a URL without a query and a fragment",
            ),
            (
                json!({"audiences": []}),
                "the issuer 'ci': name at least one audience: what its tokens call this registry",
            ),
            (json!({"clock_skew_s": 601}), "the issuer 'ci': clock_skew_s is at most 600"),
            (json!({"algorithms": []}), "the issuer 'ci': name at least one algorithm"),
            (json!({"algorithms": ["none"]}), format!("the issuer 'ci': 'none' {believed}").as_str()),
            (json!({"algorithms": ["HS256"]}), format!("the issuer 'ci': 'HS256' {believed}").as_str()),
            (
                json!({"grants": [{"claims": {}, "roles": ["reader"]}]}),
                "the issuer 'ci': a grant: name 1 to 20 claims that a token must have",
            ),
        ] {
            assert_eq!(settings(changed.clone()).check(), Err(why.to_owned()), "{changed}");
        }
    }
}
