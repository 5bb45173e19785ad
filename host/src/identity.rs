//! Who vouches for callers elsewhere: issuers of JSON Web Tokens, believed as far as their settings say. This room says
//! whether a token is one of theirs and what it claims; what that lets its holder do is the registry's to say. A
//! refusal tells the caller what to change and nothing of what is believed here.

mod claims;
mod fetch;
mod keys;
mod settings;
mod signatures;

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation, dangerous};
use serde::Deserialize;
use serde_json::{Map, Value};

use self::keys::{Key, Keys};
use crate::clock::Millis;
use crate::config::Limits;
use crate::names::Tenant;

pub use claims::Claims;
pub use settings::{GrantSettings, IssuerSettings};

/// Bytes of a token that is read at all.
const TOKEN_MAX_BYTES: usize = 16 * 1024;
/// Bytes of a subject; OpenID Connect allows as many.
const SUBJECT_MAX_BYTES: usize = 255;

/// The issuers that are believed.
pub struct Issuers(Vec<Issuer>);

struct Issuer {
    settings: IssuerSettings,
    algorithms: Vec<Algorithm>,
    keys: Arc<Keys>,
}

/// What a token says that an issuer signed.
#[derive(Debug, Clone, PartialEq)]
pub struct Vouched {
    /// The place of its issuer among the settings.
    pub issuer: usize,
    /// What the settings call its issuer.
    pub name: String,
    /// What its issuer calls itself.
    pub url: String,
    /// Whose registry it is for.
    pub tenant: Tenant,
    /// True where the grants of the settings are for that tenant.
    pub is_granted: bool,
    /// For whom it vouches.
    pub subject: String,
    /// The first instant at which it does not hold, whatever the clocks differ by.
    pub until: Millis,
    /// Everything that it says.
    pub claims: Map<String, Value>,
}

/// Why a token is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotBelieved {
    /// It is no JSON Web Token.
    #[error("the token cannot be read as a signed JSON Web Token")]
    Unreadable,
    /// Its issuer is none of those that are believed.
    #[error("the token's issuer is not believed here: ask the operator of this registry which are")]
    Stranger,
    /// It is signed in a way that is not allowed.
    #[error("the token is signed with an algorithm that is not allowed for its issuer")]
    Algorithm,
    /// The signature is none of its issuer's.
    #[error("the token's signature is not its issuer's")]
    Signature,
    /// Its time is over.
    #[error("the token expired: ask its issuer for another")]
    Expired,
    /// Its time is to come.
    #[error("the token does not hold yet: compare the clocks of its issuer and of this registry")]
    Early,
    /// It is for somebody else.
    #[error("the token is not for this registry: ask its issuer for one with this registry's audience")]
    Audience,
    /// It is for another tenant than the one that was asked for, or names none.
    #[error(
        "the token is for another tenant, or does not name one: ask its issuer for one of the tenant that you mean"
    )]
    Tenant,
    /// It lacks something.
    #[error("the token lacks what every token must have: iss, aud, sub and exp, each once and in its form")]
    Incomplete,
}

/// The keys of an issuer are not known, and it does not tell them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the issuer '{0}' does not tell its keys: try again")]
pub struct Unreachable(pub String);

/// What is read of a token before it is believed: whose it says that it is.
#[derive(Deserialize)]
struct Peek {
    iss: String,
}

impl Issuers {
    /// Issuers as they are set; nothing is asked of them yet.
    ///
    /// # Errors
    /// What is wrong with the settings, with the issuer that it is about.
    pub fn new(settings: Vec<IssuerSettings>, limits: &Limits) -> Result<Self, String> {
        signatures::install();
        let mut issuers: Vec<Issuer> = Vec::new();
        for settings in settings {
            let algorithms = settings.check()?;
            if issuers.iter().any(|other| other.settings.name == settings.name) {
                return Err(format!("two issuers have the name '{}': name each once", settings.name));
            }
            if issuers.iter().any(|other| other.settings.issuer == settings.issuer) {
                return Err(format!("the issuer {} stands twice: keep one", settings.issuer));
            }
            let keys = Arc::new(Keys::new(&settings, limits));
            issuers.push(Issuer { settings, algorithms, keys });
        }
        Ok(Self(issuers))
    }

    /// The settings, in their order.
    pub fn settings(&self) -> impl Iterator<Item = &IssuerSettings> {
        self.0.iter().map(|issuer| &issuer.settings)
    }

    /// What a token says, where one of the issuers signed it for this registry and its time is now. `home` is the tenant
    /// of issuers that name none.
    ///
    /// # Errors
    /// The issuer's keys cannot be told; within, why the token is not believed.
    pub async fn verify(
        &self,
        token: &str,
        asked: Option<&Tenant>,
        home: &Tenant,
    ) -> Result<Result<Vouched, NotBelieved>, Unreachable> {
        let (place, algorithm, key_id) = match self.read(token) {
            Ok(read) => read,
            Err(why) => return Ok(Err(why)),
        };
        let issuer = &self.0[place];
        let Some(key) = issuer.keys.find(key_id.as_deref(), algorithm).await? else {
            return Ok(Err(NotBelieved::Signature));
        };
        Ok(issuer.believe(token, algorithm, &key).and_then(|(subject, claims)| {
            let (tenant, is_granted) = issuer.tenant(&claims, asked, home).ok_or(NotBelieved::Tenant)?;
            Ok(Vouched {
                issuer: place,
                name: issuer.settings.name.clone(),
                url: issuer.settings.issuer.clone(),
                tenant,
                is_granted,
                until: issuer.until(&claims),
                subject,
                claims,
            })
        }))
    }

    /// Whose token it says that it is, and how it is signed.
    fn read(&self, token: &str) -> Result<(usize, Algorithm, Option<String>), NotBelieved> {
        if token.len() > TOKEN_MAX_BYTES {
            return Err(NotBelieved::Unreadable);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| NotBelieved::Unreadable)?;
        // What a critical extension means, only those know who implement it (RFC 7515, 4.1.11).
        if header.crit.is_some() {
            return Err(NotBelieved::Unreadable);
        }
        let Peek { iss } = dangerous::insecure_decode_claims(token).map_err(|_| NotBelieved::Unreadable)?;
        let place = self.0.iter().position(|issuer| issuer.settings.issuer == iss).ok_or(NotBelieved::Stranger)?;
        if !self.0[place].algorithms.contains(&header.alg) {
            return Err(NotBelieved::Algorithm);
        }
        Ok((place, header.alg, header.kid))
    }
}

impl Issuer {
    /// When a token of these claims has ended. One that names no end was not believed.
    fn until(&self, claims: &Map<String, Value>) -> Millis {
        let end = claims.get("exp").and_then(Value::as_f64).and_then(|end_s| Duration::try_from_secs_f64(end_s).ok());
        let end = end.and_then(|end| end.checked_add(Duration::from_secs(self.settings.clock_skew_s)));
        Millis(end.and_then(|end| i64::try_from(end.as_millis()).ok()).unwrap_or(i64::MAX))
    }

    /// The tenant that a token of these claims is for, and whether the settings' grants are. Where the issuer knows of no
    /// tenants, who asks says which he means: what he may do there is that tenant's to say, by its trusted publishers.
    fn tenant(&self, claims: &Map<String, Value>, asked: Option<&Tenant>, home: &Tenant) -> Option<(Tenant, bool)> {
        if let Some(name) = &self.settings.tenant_claim {
            let named: Tenant = claims::value(claims, name)?.as_str()?.parse().ok()?;
            return asked.is_none_or(|asked| *asked == named).then_some((named, true));
        }
        let own = self.settings.tenant.as_ref().unwrap_or(home);
        let meant = asked.unwrap_or(own);
        Some((meant.clone(), meant == own))
    }

    /// The token's subject and claims, after its signature and its claims were checked, in this order: who cannot sign
    /// learns nothing of what is asked of claims.
    fn believe(
        &self,
        token: &str,
        algorithm: Algorithm,
        key: &Key,
    ) -> Result<(String, Map<String, Value>), NotBelieved> {
        let mut validation = Validation::new(algorithm);
        validation.leeway = self.settings.clock_skew_s;
        validation.validate_nbf = true;
        validation.set_audience(&self.settings.audiences);
        validation.set_issuer(&[&self.settings.issuer]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        let told = jsonwebtoken::decode::<Map<String, Value>>(token, &key.key, &validation);
        let claims = told.map_err(|error| refusal(error.kind()))?.claims;
        let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default().to_owned();
        if subject.is_empty() || subject.len() > SUBJECT_MAX_BYTES || subject.chars().any(char::is_control) {
            return Err(NotBelieved::Incomplete);
        }
        Ok((subject, claims))
    }
}

fn refusal(kind: &ErrorKind) -> NotBelieved {
    match kind {
        ErrorKind::ExpiredSignature => NotBelieved::Expired,
        ErrorKind::ImmatureSignature => NotBelieved::Early,
        ErrorKind::InvalidAudience => NotBelieved::Audience,
        ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) | ErrorKind::Json(_) => {
            NotBelieved::Incomplete
        }
        ErrorKind::InvalidToken | ErrorKind::Base64(_) | ErrorKind::Utf8(_) => NotBelieved::Unreadable,
        _ => NotBelieved::Signature,
    }
}
