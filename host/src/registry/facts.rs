//! What plugins may ask of the registry, answered from the store. One judgement gets one answer to one question,
//! however often it is asked.
//!
//! What is kept for that are the summaries alone. A version never changes, so its manifest can be read again, and the
//! manifests of every question of every plugin could be hundreds of megabytes for each judgement.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::runtime::Handle;

use super::store::{EntryStatus, Store, StoreError};
use crate::names::{EntryId, KindName, Tenant, VersionName};
use crate::plugin::{Facts, FactsError, Summary};

type Question = (String, String, Option<String>);
type Found = Option<(Summary, Arc<str>)>;

/// The store, as plugins see it during one judgement. Called on gate threads, which may block.
pub struct StoreFacts {
    store: Arc<dyn Store>,
    tenant: Tenant,
    runtime: Handle,
    answered: Mutex<HashMap<Question, Option<Summary>>>,
}

impl StoreFacts {
    /// Facts for one judgement. Must be made on the runtime that drives the store.
    pub fn new(store: Arc<dyn Store>, tenant: Tenant) -> Self {
        Self { store, tenant, runtime: Handle::current(), answered: Mutex::new(HashMap::new()) }
    }

    fn known(&self, question: &Question) -> Option<Option<Summary>> {
        self.answered.lock().expect("no holder of this lock panics").get(question).cloned()
    }

    fn read(&self, kind: &str, id: &str, version: Option<&str>) -> Result<Found, FactsError> {
        self.runtime.block_on(self.find(kind, id, version)).map_err(|error| FactsError(Box::new(error)))
    }

    fn ask(&self, kind: &str, id: &str, version: Option<&str>) -> Result<Found, FactsError> {
        let found = self.read(kind, id, version)?;
        let question = (kind.to_owned(), id.to_owned(), version.map(str::to_owned));
        let summary = found.as_ref().map(|(summary, _)| summary.clone());
        self.answered.lock().expect("no holder of this lock panics").insert(question, summary);
        Ok(found)
    }

    async fn find(&self, kind: &str, id: &str, version: Option<&str>) -> Result<Found, StoreError> {
        // What does not have a name's form cannot be there.
        let (Ok(kind), Ok(id)) = (kind.parse::<KindName>(), id.parse::<EntryId>()) else { return Ok(None) };
        let version = match version.map(str::parse::<VersionName>) {
            None => None,
            Some(Ok(version)) => Some(version),
            Some(Err(_)) => return Ok(None),
        };
        let Some(entry) = self.store.entry(&self.tenant, &kind, &id).await? else { return Ok(None) };
        // What is out of service is for nobody to build upon.
        if entry.status == EntryStatus::Disabled {
            return Ok(None);
        }
        // Named, so that the version and what is said of the entry are of one moment.
        let version = version.as_ref().unwrap_or(&entry.current_version);
        let Some(row) = self.store.version(&self.tenant, &kind, &id, Some(version)).await? else { return Ok(None) };
        if row.withdrawal.is_some() {
            return Ok(None);
        }
        let summary = Summary {
            kind: kind.to_string(),
            id: id.to_string(),
            version: row.version.to_string(),
            current_version: entry.current_version.to_string(),
            highest_version: entry.highest_version.to_string(),
            digest: row.digest.to_string(),
        };
        Ok(Some((summary, row.manifest)))
    }
}

impl Facts for StoreFacts {
    fn lookup(&self, kind: &str, id: &str, version: Option<&str>) -> Result<Option<Summary>, FactsError> {
        match self.known(&(kind.to_owned(), id.to_owned(), version.map(str::to_owned))) {
            Some(known) => Ok(known),
            None => Ok(self.ask(kind, id, version)?.map(|(summary, _)| summary)),
        }
    }

    fn manifest(&self, kind: &str, id: &str, version: Option<&str>) -> Result<Option<Arc<str>>, FactsError> {
        match self.known(&(kind.to_owned(), id.to_owned(), version.map(str::to_owned))) {
            Some(None) => Ok(None),
            // By the version's own name: another may be active by now.
            Some(Some(summary)) => Ok(self.read(kind, id, Some(&summary.version))?.map(|(_, manifest)| manifest)),
            None => Ok(self.ask(kind, id, version)?.map(|(_, manifest)| manifest)),
        }
    }
}
