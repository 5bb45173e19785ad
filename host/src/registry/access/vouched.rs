//! Whom issuers vouch for, and what is granted to them: by the rules of the issuer's settings, and as trusted
//! publishers.

use super::tokens::grants;
use super::{Grants, NoEntry, Role};
use crate::identity::{Claims, IssuerSettings, Issuers, Vouched};
use crate::names::Tenant;
use crate::registry::{Actor, Registry, RegistryError};

/// The issuers, and what tokens of each let their holders do.
pub struct Believed {
    issuers: Issuers,
    grants: Vec<Vec<(Claims, Grants)>>,
}

impl Registry {
    /// Believes these issuers from here on; a registry is told once.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn believe(&self, settings: Vec<IssuerSettings>) -> Result<(), String> {
        let rules_of = |issuer: &IssuerSettings| {
            let rule = |grant: &crate::identity::GrantSettings| {
                let granted = grants(&grant.roles, &grant.entries);
                let granted = granted.map_err(|what| format!("the issuer '{}': a grant: {what}", issuer.name))?;
                Ok::<_, String>((grant.claims.clone(), granted))
            };
            issuer.grants.iter().map(rule).collect::<Result<Vec<_>, _>>()
        };
        let grants = settings.iter().map(rules_of).collect::<Result<Vec<_>, _>>()?;
        let issuers = Issuers::new(settings, &self.limits)?;
        if !grants.is_empty() {
            let _ = self.believed.set(Believed { issuers, grants });
        }
        Ok(())
    }

    /// The issuers that are believed.
    pub(super) fn issuers(&self) -> impl Iterator<Item = &IssuerSettings> {
        self.believed.get().into_iter().flat_map(|believed| believed.issuers.settings())
    }

    /// Who an issuer's token is about.
    pub(super) async fn authenticate_vouched(
        &self,
        believed: &Believed,
        token: &str,
        asked: Option<&Tenant>,
    ) -> Result<Result<Actor, NoEntry>, RegistryError> {
        let vouched = match believed.issuers.verify(token, asked, &self.tenant).await? {
            Ok(vouched) => vouched,
            Err(why) => return Ok(Err(why.into())),
        };
        let mut granted = self.granted_as_publisher(&vouched).await?;
        let rules = believed.grants[vouched.issuer].iter().filter(|_| vouched.is_granted);
        granted.extend(rules.filter(|(claims, _)| claims.hold(&vouched.claims)).map(|(_, grants)| grants.clone()));
        let granted = granted.into_iter().reduce(|all, one| all.and(&one));
        let name = format!("{}:{}", vouched.name, vouched.subject);
        Ok(granted.ok_or(NoEntry::NothingGranted).map(|grants| Actor {
            tenant: vouched.tenant,
            name,
            grants,
            token: None,
            until: Some(vouched.until),
        }))
    }

    async fn granted_as_publisher(&self, vouched: &Vouched) -> Result<Vec<Grants>, RegistryError> {
        let trusted = self.trusted_publishers_now(&vouched.tenant).await?;
        let ours = trusted
            .iter()
            .filter(|publisher| publisher.issuer == vouched.url && publisher.claims.hold(&vouched.claims));
        let grants = ours.map(|publisher| Grants::new(vec![Role::Publisher], publisher.entries.clone()));
        grants.collect::<Result<_, _>>().map_err(|error| RegistryError::Internal(error.to_string()))
    }
}

/// True of a text that has the form of a JSON Web Token: three parts, the first an object in base64url. No token that is
/// made here has.
pub(super) fn is_of_issuer(token: &str) -> bool {
    token.starts_with("eyJ") && token.split('.').count() == 3
}
