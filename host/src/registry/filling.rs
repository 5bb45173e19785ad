//! Versions that were stored before the registry kept words, categories and references of them: they are given theirs
//! once, a few at a time, while the host serves.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::committing::{references_of, shown};
use super::decisions;
use super::publish::parse_stored;
use super::release::Kind;
use super::store::{Filled, FilledTo, Unfilled};
use super::{Registry, RegistryError};
use crate::clock::Millis;
use crate::names::KindName;

impl Registry {
    /// Goes through the kinds in force, and through those that come into force later.
    pub async fn keep_filled(self: Arc<Self>) {
        let kept = Arc::downgrade(&self);
        drop(self);
        let mut done = HashSet::new();
        loop {
            let Some(registry) = kept.upgrade() else { return };
            if let Err(error) = registry.fill(&mut done).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "versions of before lack words and references for now: they are gone through again"
                );
            }
            let poll = Duration::from_millis(registry.limits.fill_poll_ms.max(1));
            drop(registry);
            tokio::time::sleep(poll).await;
        }
    }

    /// Goes through those of the kinds in force that are not among the ones that are done.
    ///
    /// # Errors
    /// `Store`.
    pub async fn fill(&self, done: &mut HashSet<KindName>) -> Result<(), RegistryError> {
        let in_force = Arc::clone(&self.rules.load().loaded);
        let waiting: Vec<Arc<Kind>> = in_force
            .kinds()
            .filter(|kind| !done.contains(&kind.kind.name))
            .map(|kind| Arc::clone(&kind.kind))
            .collect();
        for kind in waiting {
            while !self.fill_some(&kind).await? {
                // Publishes and reads come first.
                tokio::time::sleep(Duration::from_millis(self.limits.fill_pause_ms)).await;
            }
            done.insert(kind.name.clone());
        }
        Ok(())
    }

    /// Goes through a few versions; true where none is left.
    async fn fill_some(&self, kind: &Kind) -> Result<bool, RegistryError> {
        let after = match self.store.filled_to(&self.tenant, &kind.name).await? {
            FilledTo::End => return Ok(true),
            FilledTo::Nowhere => None,
            FilledTo::Version(entry, version) => Some((entry, version)),
        };
        let max = self.limits.fill_versions_max.max(1);
        let after = after.as_ref().map(|(entry, version)| (entry, version));
        let waiting = self.store.unfilled(&self.tenant, &kind.name, after, max).await?;
        let is_last = waiting.len() < usize::try_from(max).unwrap_or(usize::MAX);
        let filled: Vec<Filled> = waiting.iter().map(|version| filled(kind, version)).collect();
        self.store.fill(&self.tenant, &kind.name, &filled, is_last.then(Millis::now)).await?;
        Ok(is_last)
    }
}

/// What a version is given. One that cannot be read is given nothing, and keeps no other from its own.
fn filled(kind: &Kind, version: &Unfilled) -> Filled {
    let Unfilled { entry, version: name, manifest, decision, is_active } = version;
    let found_by = if *is_active { parse_stored(manifest).ok() } else { None }.map(|stored| {
        let shown = shown(kind, &stored);
        (shown.text, shown.category)
    });
    let decision = decision.as_ref().and_then(|body| decisions::read(body).ok());
    let lookups = decision.as_ref().map_or(&[][..], |decision| &decision.lookups);
    let references = references_of((&kind.name, entry), lookups);
    Filled { entry: entry.clone(), version: name.clone(), references, found_by }
}
