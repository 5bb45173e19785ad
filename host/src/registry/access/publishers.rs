//! Trusted publishers: whoever an issuer vouches for, with the claims that are named, may publish the entries that are
//! named. So a CI publishes without a secret that could leak.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::super::publish::{not_found, sane_id};
use super::KNOWN_FOR;
use super::tokens::{patterns, sane_name};
use crate::clock::{Millis, new_id};
use crate::config::nearest;
use crate::identity::Claims;
use crate::names::Tenant;
use crate::registry::store::{Page, PublisherRow};
use crate::registry::{Actor, Registry, RegistryError};

/// What a publisher is trusted with.
#[derive(Debug, Clone)]
pub struct PublisherWanted {
    /// What people call it.
    pub name: String,
    /// The issuer that vouches for it: its URL, or its name in the settings.
    pub issuer: String,
    /// What its tokens must claim.
    pub claims: Claims,
    /// The entries that it may publish: patterns.
    pub entries: Vec<String>,
}

/// Tenants whose publishers are remembered at once: who asks names the tenant.
const KNOWN_TENANTS_MAX: usize = 1_000;

/// The trusted publishers of each tenant that were read a moment ago, so that a token of an issuer costs no database read.
#[derive(Default)]
pub(in crate::registry) struct KnownPublishers(Mutex<HashMap<Tenant, Read>>);

#[derive(Clone)]
struct Read {
    rows: Arc<[PublisherRow]>,
    at: Instant,
}

impl KnownPublishers {
    fn get(&self, tenant: &Tenant) -> Option<Arc<[PublisherRow]>> {
        let known = self.0.lock().expect("no holder of this lock panics");
        known.get(tenant).filter(|read| read.at.elapsed() < KNOWN_FOR).map(|read| Arc::clone(&read.rows))
    }

    fn keep(&self, tenant: &Tenant, read: Read) {
        let mut known = self.0.lock().expect("no holder of this lock panics");
        if known.len() >= KNOWN_TENANTS_MAX {
            known.clear();
        }
        known.insert(tenant.clone(), read);
    }

    fn forget(&self, tenant: &Tenant) {
        self.0.lock().expect("no holder of this lock panics").remove(tenant);
    }
}

impl Registry {
    /// Trusts a publisher.
    ///
    /// # Errors
    /// `BadChange`, `Store`.
    pub async fn trust_publisher(
        &self,
        actor: &Actor,
        wanted: PublisherWanted,
        now: Millis,
    ) -> Result<PublisherRow, RegistryError> {
        sane_name("a trusted publisher's", &wanted.name)?;
        let issuer = self.issuer_called(&wanted.issuer)?;
        wanted.claims.check().map_err(RegistryError::BadChange)?;
        if !wanted.claims.are_narrow() {
            let what = "every token of the issuer has these claims: name one that tells this publisher from others, as \
                        in repository=acme/agents";
            return Err(RegistryError::BadChange(what.to_owned()));
        }
        let entries = patterns(&wanted.entries).map_err(RegistryError::BadChange)?;
        if entries.is_empty() {
            let what = "name the entries that it may publish, as in agents/search-*";
            return Err(RegistryError::BadChange(what.to_owned()));
        }
        let max = self.limits.trusted_publishers_max;
        if self.store.publishers_trusted(&actor.tenant, max).await?.len() >= usize::try_from(max).unwrap_or(usize::MAX)
        {
            let what = format!("there are {max} trusted publishers already (trusted_publishers_max): remove one first");
            return Err(RegistryError::BadChange(what));
        }
        let row = PublisherRow {
            id: new_id(now),
            name: wanted.name,
            issuer,
            claims: wanted.claims,
            entries,
            added_by: actor.name.clone(),
            added_at: now,
            removed: None,
        };
        self.store.insert_publisher(&actor.tenant, &row).await?;
        self.publishers.forget(&actor.tenant);
        Ok(row)
    }

    /// Trusted publishers and those that were, newest first, before an id.
    ///
    /// # Errors
    /// `Store`.
    pub async fn trusted_publishers(
        &self,
        actor: &Actor,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Page<PublisherRow>, RegistryError> {
        Ok(self.store.publishers(&actor.tenant, before, limit).await?)
    }

    /// Trusts a publisher no more; one that was removed before stays as it is. Other hosts trust it for some seconds
    /// more.
    ///
    /// # Errors
    /// `NotFound`, `Store`.
    pub async fn remove_publisher(&self, actor: &Actor, id: &str, now: Millis) -> Result<PublisherRow, RegistryError> {
        sane_id("trusted publisher", id)?;
        let missing = || not_found("trusted publisher", id);
        let row = self.store.publisher(&actor.tenant, id).await?.ok_or_else(missing)?;
        if row.removed.is_some() {
            return Ok(row);
        }
        self.store.remove_publisher(&actor.tenant, &row, &actor.name, now).await?;
        self.publishers.forget(&actor.tenant);
        self.store.publisher(&actor.tenant, id).await?.ok_or_else(missing)
    }

    /// What the issuer calls itself. Publishers are bound to that: what the settings call it may change hands.
    fn issuer_called(&self, called: &str) -> Result<String, RegistryError> {
        let known = self.issuers().find(|issuer| issuer.name == called || issuer.issuer == called);
        known.map(|issuer| issuer.issuer.clone()).ok_or_else(|| {
            let names: Vec<&str> = self.issuers().map(|issuer| issuer.name.as_str()).collect();
            let called: String = called.chars().take(200).collect();
            RegistryError::BadChange(match nearest(&called, &names) {
                Some(near) => format!("this host believes no issuer '{called}': did you mean '{near}'?"),
                None if names.is_empty() => {
                    format!("this host believes no issuer '{called}', nor any other: name issuers in its settings")
                }
                None => format!("this host believes no issuer '{called}': known are {}", names.join(", ")),
            })
        })
    }

    /// Those that a tenant trusts, as of a moment ago.
    pub(super) async fn trusted_publishers_now(&self, tenant: &Tenant) -> Result<Arc<[PublisherRow]>, RegistryError> {
        if let Some(rows) = self.publishers.get(tenant) {
            return Ok(rows);
        }
        let at = Instant::now();
        let rows = self.store.publishers_trusted(tenant, self.limits.trusted_publishers_max).await?;
        let rows: Arc<[PublisherRow]> = rows.into();
        self.publishers.keep(tenant, Read { rows: Arc::clone(&rows), at });
        Ok(rows)
    }
}
