//! What a run's chunks are: ranges of a kind's entries, or the entries of a sample.

use std::collections::BinaryHeap;

use super::What;
use crate::names::{Digest, EntryId, KindName, Tenant};
use crate::registry::store::ImpactChunk;
use crate::registry::{Registry, RegistryError};

/// Ids that are read at once for a sample.
const IDS_AT_ONCE: u32 = 5_000;

/// A run's chunks.
pub(super) struct Planned {
    pub(super) chunks: Vec<ImpactChunk>,
    /// What there is to judge: entries, which are its versions unless every version since a time is judged.
    pub(super) versions: i64,
}

impl Registry {
    pub(super) async fn plan_chunks(
        &self,
        tenant: &Tenant,
        kinds: &[KindName],
        what: What,
    ) -> Result<Planned, RegistryError> {
        match what {
            What::Active => self.plan_ranges(tenant, kinds, None).await,
            What::Since(since) => self.plan_ranges(tenant, kinds, Some(since)).await,
            What::Sample(count) => self.plan_sample(tenant, kinds, count).await,
        }
    }

    async fn plan_ranges(
        &self,
        tenant: &Tenant,
        kinds: &[KindName],
        since: Option<crate::clock::Millis>,
    ) -> Result<Planned, RegistryError> {
        let count = self.limits.impact_chunk_entries.max(1);
        let mut planned = Planned { chunks: Vec::new(), versions: 0 };
        for kind in kinds {
            let mut after = String::new();
            while let Some((until, entries)) = self.store.next_entries(tenant, kind, &after, since, count).await? {
                let number = number_after(&planned.chunks);
                let chunk = ImpactChunk { number, kind: kind.clone(), after, until: until.clone(), ids: None };
                planned.chunks.push(chunk);
                planned.versions += entries;
                after = until;
            }
        }
        Ok(planned)
    }

    /// Of all entries those whose hashes are lowest: the same ones for every candidate, and nearly the same ones after
    /// others were published.
    async fn plan_sample(&self, tenant: &Tenant, kinds: &[KindName], count: u32) -> Result<Planned, RegistryError> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let mut lowest: BinaryHeap<(String, KindName, EntryId)> = BinaryHeap::new();
        for kind in kinds {
            let mut after = String::new();
            loop {
                let ids = self.store.entry_ids(tenant, kind, &after, IDS_AT_ONCE).await?;
                let Some(last) = ids.last() else { break };
                after = last.to_string();
                for id in ids {
                    let hash = Digest::of(format!("{kind}/{id}").as_bytes()).hex().to_owned();
                    if lowest.len() < count {
                        lowest.push((hash, kind.clone(), id));
                    } else if lowest.peek().is_some_and(|(highest, ..)| hash < *highest) {
                        lowest.pop();
                        lowest.push((hash, kind.clone(), id));
                    }
                }
            }
        }
        let mut chosen: Vec<(KindName, EntryId)> = lowest.into_iter().map(|(_, kind, id)| (kind, id)).collect();
        chosen.sort();
        let versions = i64::try_from(chosen.len()).unwrap_or(i64::MAX);
        let size = usize::try_from(self.limits.impact_chunk_entries.max(1)).unwrap_or(usize::MAX);
        let mut chunks = Vec::new();
        for of_kind in chosen.chunk_by(|one, next| one.0 == next.0) {
            for some in of_kind.chunks(size) {
                let ids: Vec<EntryId> = some.iter().map(|(_, id)| id.clone()).collect();
                let until = ids.last().map(EntryId::to_string).unwrap_or_default();
                let (number, kind) = (number_after(&chunks), some[0].0.clone());
                chunks.push(ImpactChunk { number, kind, after: String::new(), until, ids: Some(ids) });
            }
        }
        Ok(Planned { chunks, versions })
    }
}

fn number_after(chunks: &[ImpactChunk]) -> i64 {
    i64::try_from(chunks.len()).unwrap_or(i64::MAX - 1) + 1
}
