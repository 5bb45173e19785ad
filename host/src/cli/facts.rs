//! What plugins may ask of the registry where there is none: the manifests of a folder taken as published, and the
//! other manifests of the same call. Their placeholders are not resolved.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::source::Candidate;
use crate::names::Digest;
use crate::plugin::{Facts, FactsError, Summary};
use crate::registry::release::Versioning;

struct Version {
    name: String,
    manifest: Arc<str>,
    digest: Digest,
}

/// Manifests by kind and id, each with its versions from lowest to highest.
#[derive(Default)]
struct Shelf(BTreeMap<(String, String), Vec<Version>>);

impl Shelf {
    fn new(candidates: &[Candidate]) -> Self {
        let mut shelf = Self::default();
        for candidate in candidates {
            let Some(id) = candidate.id() else { continue };
            let counted = candidate.kind.versioning == Versioning::Auto;
            let key = (candidate.kind.name.to_string(), id.to_owned());
            let versions = shelf.0.entry(key).or_default();
            let count = (versions.len() + 1).to_string();
            let Some(name) = candidate.version().or(counted.then_some(count.as_str())) else { continue };
            let mut body = candidate.body.clone();
            if let Value::Object(fields) = &mut body {
                fields.remove("variables");
            }
            let manifest: Arc<str> =
                serde_json_canonicalizer::to_string(&body).expect("what was decoded has a canonical form").into();
            let digest = Digest::of(manifest.as_bytes());
            versions.push(Version { name: name.to_owned(), manifest, digest });
            if candidate.kind.versioning == Versioning::Semver {
                versions.sort_by_key(|version| semver::Version::parse(&version.name).ok());
            }
        }
        shelf
    }

    fn find(&self, kind: &str, id: &str, version: Option<&str>) -> Option<(Summary, Arc<str>)> {
        let versions = self.0.get(&(kind.to_owned(), id.to_owned()))?;
        let highest = versions.last()?;
        let found = match version {
            Some(version) => versions.iter().find(|known| known.name == version)?,
            None => highest,
        };
        let summary = Summary {
            kind: kind.to_owned(),
            id: id.to_owned(),
            version: found.name.clone(),
            current_version: highest.name.clone(),
            highest_version: highest.name.clone(),
            digest: found.digest.to_string(),
        };
        Some((summary, Arc::clone(&found.manifest)))
    }
}

/// Everything that a call knows of.
pub struct Known {
    published: Shelf,
    beside: Shelf,
}

impl Known {
    /// What is published, and what is judged in the same call.
    pub fn new(published: &[Candidate], beside: &[Candidate]) -> Arc<Self> {
        Arc::new(Self { published: Shelf::new(published), beside: Shelf::new(beside) })
    }

    /// The facts for one submission of the call. It does not see itself, nor another version of it in the call.
    pub fn facts_for(self: &Arc<Self>, candidate: &Candidate) -> Arc<dyn Facts> {
        let judged = (candidate.kind.name.to_string(), candidate.id().unwrap_or_default().to_owned());
        Arc::new(OfflineFacts { known: Arc::clone(self), judged })
    }
}

struct OfflineFacts {
    known: Arc<Known>,
    judged: (String, String),
}

impl OfflineFacts {
    fn find(&self, kind: &str, id: &str, version: Option<&str>) -> Option<(Summary, Arc<str>)> {
        let is_itself = self.judged.0 == kind && self.judged.1 == id;
        self.known
            .published
            .find(kind, id, version)
            .or_else(|| if is_itself { None } else { self.known.beside.find(kind, id, version) })
    }
}

impl Facts for OfflineFacts {
    fn lookup(&self, kind: &str, id: &str, version: Option<&str>) -> Result<Option<Summary>, FactsError> {
        Ok(self.find(kind, id, version).map(|(summary, _)| summary))
    }

    fn manifest(&self, kind: &str, id: &str, version: Option<&str>) -> Result<Option<Arc<str>>, FactsError> {
        Ok(self.find(kind, id, version).map(|(_, manifest)| manifest))
    }
}
