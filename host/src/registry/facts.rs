//! What plugins may ask of the registry, answered from the store. One judgement gets one answer to one question,
//! however often it is asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::runtime::Handle;

use super::store::{Store, StoreError};
use crate::names::{EntryId, KindName, Tenant, VersionName};
use crate::plugin::{Facts, FactsError, Summary};

type Question = (String, String, Option<String>);
type Known = Option<(Summary, Arc<str>)>;

/// The store, as plugins see it during one judgement. Called on gate threads, which may block.
pub struct StoreFacts {
    store: Arc<dyn Store>,
    tenant: Tenant,
    runtime: Handle,
    answered: Mutex<HashMap<Question, Known>>,
}

impl StoreFacts {
    /// Facts for one judgement. Must be made on the runtime that drives the store.
    pub fn new(store: Arc<dyn Store>, tenant: Tenant) -> Self {
        Self { store, tenant, runtime: Handle::current(), answered: Mutex::new(HashMap::new()) }
    }

    fn ask(&self, kind: &str, id: &str, version: Option<&str>) -> Result<Known, FactsError> {
        let question = (kind.to_owned(), id.to_owned(), version.map(str::to_owned));
        if let Some(known) = self.answered.lock().expect("no holder of this lock panics").get(&question) {
            return Ok(known.clone());
        }
        let known = self.runtime.block_on(self.find(kind, id, version)).map_err(|error| FactsError(Box::new(error)))?;
        self.answered.lock().expect("no holder of this lock panics").insert(question, known.clone());
        Ok(known)
    }

    async fn find(&self, kind: &str, id: &str, version: Option<&str>) -> Result<Known, StoreError> {
        // What does not have a name's form cannot be there.
        let (Ok(kind), Ok(id)) = (kind.parse::<KindName>(), id.parse::<EntryId>()) else { return Ok(None) };
        let version = match version.map(str::parse::<VersionName>) {
            None => None,
            Some(Ok(version)) => Some(version),
            Some(Err(_)) => return Ok(None),
        };
        let Some(entry) = self.store.entry(&self.tenant, &kind, &id).await? else { return Ok(None) };
        let Some(row) = self.store.version(&self.tenant, &kind, &id, version.as_ref()).await? else { return Ok(None) };
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
        Ok(self.ask(kind, id, version)?.map(|(summary, _)| summary))
    }

    fn manifest(&self, kind: &str, id: &str, version: Option<&str>) -> Result<Option<Arc<str>>, FactsError> {
        Ok(self.ask(kind, id, version)?.map(|(_, manifest)| manifest))
    }
}
