//! Tokens that people make, look through and revoke.

use super::super::publish::{not_found, sane_id};
use super::{Grants, Role, new_token};
use crate::clock::Millis;
use crate::registry::exemptions::Pattern;
use crate::registry::store::{Page, TokenRow};
use crate::registry::{Actor, Registry, RegistryError};

/// Characters of a token's name.
const NAME_MAX_CHARACTERS: usize = 100;
/// Patterns of one token.
const ENTRIES_MAX: usize = 100;

/// What a token is made with.
#[derive(Debug, Clone)]
pub struct TokenWanted {
    /// What people call it; decisions and logs name the publisher by it.
    pub name: String,
    /// At least one.
    pub roles: Vec<String>,
    /// The entries that it may change: patterns; none for every entry.
    pub entries: Vec<String>,
    /// The first instant at which it does not hold.
    pub expires_at: Option<Millis>,
}

/// A token that was made; nobody can be shown it again.
#[derive(Debug, Clone)]
pub struct MadeToken {
    /// The token itself.
    pub token: String,
    /// Its row.
    pub row: TokenRow,
}

impl Registry {
    /// Makes a token.
    ///
    /// # Errors
    /// `BadChange`, `Store`.
    pub async fn create_token(
        &self,
        actor: &Actor,
        wanted: TokenWanted,
        now: Millis,
    ) -> Result<MadeToken, RegistryError> {
        let TokenWanted { name, expires_at, .. } = &wanted;
        sane_name("a token's", name)?;
        if let Some(at) = expires_at.filter(|at| *at <= now) {
            let what = format!("the token would have expired at {}: name a later time", crate::clock::Instant(at));
            return Err(RegistryError::BadChange(what));
        }
        let grants = grants(&wanted.roles, &wanted.entries).map_err(RegistryError::BadChange)?;
        let token = new_token();
        let row = self.row(&token, name, grants, *expires_at, &actor.name);
        if !self.store.insert_token(&row).await? {
            return Err(RegistryError::Internal("a new token was there already".to_owned()));
        }
        Ok(MadeToken { token, row })
    }

    /// Tokens, newest first, before an id.
    ///
    /// # Errors
    /// `Store`.
    pub async fn tokens(
        &self,
        actor: &Actor,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Page<TokenRow>, RegistryError> {
        Ok(self.store.tokens(&actor.tenant, before, limit).await?)
    }

    /// Revokes a token; one that was revoked before stays as it is. Other hosts honour it for some seconds more.
    ///
    /// # Errors
    /// `NotFound`; `BadChange` where it is the caller's own; `Store`.
    pub async fn revoke_token(&self, actor: &Actor, id: &str, now: Millis) -> Result<TokenRow, RegistryError> {
        sane_id("token", id)?;
        let row = self.store.token(&actor.tenant, id).await?.ok_or_else(|| not_found("token", id))?;
        if actor.token.as_deref() == Some(id) {
            let what = "a token cannot revoke itself, or nobody might be left who can make one: use another";
            return Err(RegistryError::BadChange(what.to_owned()));
        }
        if row.revoked.is_none() {
            self.store.revoke_token(&row, &actor.name, now).await?;
            self.tokens.forget();
        }
        self.store.token(&actor.tenant, id).await?.ok_or_else(|| not_found("token", id))
    }

    /// Revokes every token that was made before an instant, but the caller's own. Says how many.
    ///
    /// # Errors
    /// `BadChange` where the instant is to come; `Store`.
    pub async fn revoke_tokens(&self, actor: &Actor, before: Millis, now: Millis) -> Result<u64, RegistryError> {
        if before > now {
            let what = "tokens are revoked that were made before a time that has passed: name one";
            return Err(RegistryError::BadChange(what.to_owned()));
        }
        let own = actor.token.as_deref().unwrap_or_default();
        let revoked = self.store.revoke_tokens(&actor.tenant, before, own, &actor.name, now).await?;
        self.tokens.forget();
        Ok(revoked)
    }
}

/// Makes sure that people can read a name.
pub(super) fn sane_name(whose: &str, name: &str) -> Result<(), RegistryError> {
    if name.trim().is_empty() || name.chars().count() > NAME_MAX_CHARACTERS || name.chars().any(char::is_control) {
        let what = format!("{whose} name has 1 to {NAME_MAX_CHARACTERS} characters, and no control characters");
        return Err(RegistryError::BadChange(what));
    }
    Ok(())
}

/// The roles and the patterns, as they are written.
pub(super) fn grants(roles: &[String], entries: &[String]) -> Result<Grants, String> {
    let roles = roles.iter().map(|word| word.parse::<Role>()).collect::<Result<Vec<_>, _>>();
    let roles = roles.map_err(|error| error.to_string())?;
    if roles.is_empty() {
        return Err("a token has at least one role: reader, publisher, rules or admin".to_owned());
    }
    let entries = patterns(entries)?;
    if !entries.is_empty() && !roles.contains(&Role::Publisher) {
        return Err("patterns say which entries a publisher may change: give it the role publisher, or leave them out"
            .to_owned());
    }
    if !entries.is_empty() && roles.contains(&Role::Admin) {
        return Err("an admin may change every entry: leave the patterns out, or the role admin".to_owned());
    }
    Grants::new(roles, entries).map_err(|error| error.to_string())
}

/// Patterns of entries, as they are written.
pub(super) fn patterns(entries: &[String]) -> Result<Vec<Pattern>, String> {
    if entries.len() > ENTRIES_MAX {
        return Err(format!("at most {ENTRIES_MAX} patterns of entries may be named"));
    }
    entries.iter().map(|text| text.parse::<Pattern>().map_err(|error| error.to_string())).collect()
}
