//! What the preview asks of the database: its runs, their chunks, the versions that a chunk judges, and the queue that
//! hands chunks to the hosts of a fleet.

use async_trait::async_trait;

use super::{Page, StoreError};
use crate::clock::Millis;
use crate::names::{Digest, EntryId, KindName, Scope, Tenant, VersionName};
use crate::registry::exemptions::{Exemption, Exemptions};
use crate::registry::release::ReleaseRef;

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImpactState {
    /// Chunks are left.
    Running,
    /// Every chunk is judged.
    Done,
    /// Somebody stopped it.
    Cancelled,
    /// It cannot be finished; the row says why.
    Failed,
}

impl ImpactState {
    /// The word that is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}

/// How many events there were, and the last one's number: equal at two moments where nothing was published between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishMark {
    /// Events of the tenant.
    pub events: i64,
    /// The highest number.
    pub last: i64,
}

/// The exemptions that a run judges by, in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldExemptions {
    /// Their number: equal later where none was made or taken back.
    pub number: i64,
    /// How many held.
    pub count: i64,
    /// When the first of them ends.
    pub until: Option<Millis>,
}

impl HeldExemptions {
    /// True where they are the ones that hold at an instant, whose number is this: none came, went or ended since.
    pub fn hold_still(&self, number: i64, at: Millis) -> bool {
        self.number == number && self.until.is_none_or(|until| at < until)
    }
}

impl From<&Exemptions> for HeldExemptions {
    fn from(Exemptions { number, list }: &Exemptions) -> Self {
        let until = list.iter().map(|exemption| exemption.until).min();
        Self { number: *number, count: i64::try_from(list.len()).unwrap_or(i64::MAX), until }
    }
}

/// A run of the preview.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImpactRow {
    /// Its id; ids sort by time.
    pub id: String,
    /// Whose rules would change.
    pub scope: Scope,
    /// Digest of the candidate's rules.
    pub candidate: Digest,
    /// The candidate's number, where it is a release.
    pub number: Option<i64>,
    /// The releases that were active at the start.
    pub active: Vec<ReleaseRef>,
    /// JSON: what is judged.
    pub what: String,
    /// How it stands.
    pub state: ImpactState,
    /// Why it failed.
    pub why: Option<String>,
    /// Versions that were there to be judged when it was planned.
    pub versions: i64,
    /// Versions that were judged.
    pub judged: i64,
    /// Its chunks.
    pub chunks: i64,
    /// Those that are done.
    pub chunks_done: i64,
    /// What was published at the start.
    pub mark: PublishMark,
    /// The exemptions that held at the start.
    pub exemptions: HeldExemptions,
    /// The bindings that declare settings independent which are not.
    pub not_independent: Option<String>,
    /// Who asked.
    pub author: String,
    /// When.
    pub created_at: Millis,
    /// When it ended.
    pub ended_at: Option<Millis>,
}

/// A run to be written.
#[derive(Debug, Clone, Copy)]
pub struct NewImpact<'a> {
    /// Its row.
    pub row: &'a ImpactRow,
    /// Canonical JSON of its candidate's rules.
    pub rules: &'a str,
    /// The exemptions that hold.
    pub exemptions: &'a [Exemption],
    /// Its chunks.
    pub chunks: &'a [ImpactChunk],
}

/// What a run judges by, beside the releases that its row names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImpactRules {
    /// Canonical JSON of its candidate's rules.
    pub rules: String,
    /// The exemptions that held at the start.
    pub exemptions: Vec<Exemption>,
}

/// A part of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImpactChunk {
    /// Its number within the run, from 1.
    pub number: i64,
    /// The kind.
    pub kind: KindName,
    /// Entries after this id; empty begins with the first.
    pub after: String,
    /// Up to this one.
    pub until: String,
    /// Only these.
    pub ids: Option<Vec<EntryId>>,
}

/// Which versions of a chunk are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// The active version of every entry.
    Active,
    /// Every version published at this time or later.
    Since(Millis),
}

/// What came of a chunk.
#[derive(Debug, Clone, Copy)]
pub struct ChunkDone<'a> {
    /// Its number.
    pub number: i64,
    /// Versions that were judged.
    pub judged: i64,
    /// The report, as JSON text.
    pub result: &'a str,
    /// It rests on settings that a plugin declares independent.
    pub rests_on_claim: bool,
    /// When.
    pub at: Millis,
}

/// How a chunk's versions are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// As they are stored, with which of their values came from placeholders.
    Stored,
    /// With what was sent.
    Sent,
}

/// What was sent, as far as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptSubmission {
    /// The digest of what was sent.
    pub digest: Digest,
    /// The text that the digest is over; none where it is what the manifest says, or nothing was kept.
    pub text: Option<String>,
}

/// A stored version, with what judging it again needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredVersion {
    /// The entry.
    pub id: EntryId,
    /// The version.
    pub version: VersionName,
    /// Canonical JSON of the resolved submission.
    pub manifest: String,
    /// Who published it.
    pub published_by: String,
    /// The decision that let it in, as JSON text; none where no value of the manifest came from a placeholder.
    pub decision: Option<String>,
    /// What was sent, where that is read.
    pub sent: Option<KeptSubmission>,
}

/// What came of asking for a new run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImpactBegun {
    /// It is written.
    Begun,
    /// As many run as may.
    TooMany,
}

/// Where the runs of the preview are kept. Every method is within one tenant.
#[async_trait]
pub trait ImpactStore: Send + Sync {
    /// What is published now.
    async fn publish_mark(&self, tenant: &Tenant) -> Result<PublishMark, StoreError>;
    /// The last of the next `count` entries of a kind after an id, with how many they are; none where none follow. Of
    /// entries that changed at `since` or later, where that is given.
    async fn next_entries(
        &self,
        tenant: &Tenant,
        kind: &KindName,
        after: &str,
        since: Option<Millis>,
        count: u32,
    ) -> Result<Option<(String, i64)>, StoreError>;
    /// The ids of a kind's entries in order, after one, at most `count`.
    async fn entry_ids(
        &self,
        tenant: &Tenant,
        kind: &KindName,
        after: &str,
        count: u32,
    ) -> Result<Vec<EntryId>, StoreError>;
    /// Writes a run with its chunks, and removes the oldest ended ones past `kept_max`. One without chunks is done.
    async fn begin_impact(
        &self,
        tenant: &Tenant,
        impact: NewImpact<'_>,
        running_max: u32,
        kept_max: u32,
    ) -> Result<ImpactBegun, StoreError>;
    /// One run.
    async fn impact(&self, tenant: &Tenant, id: &str) -> Result<Option<ImpactRow>, StoreError>;
    /// What it judges by.
    async fn impact_rules(&self, tenant: &Tenant, id: &str) -> Result<Option<ImpactRules>, StoreError>;
    /// Runs, newest first, before an id, at most `limit`.
    async fn impacts(&self, tenant: &Tenant, before: Option<&str>, limit: u32) -> Result<Page<ImpactRow>, StoreError>;
    /// One chunk that is not done, of a run that is running.
    async fn open_chunk(&self, tenant: &Tenant, id: &str, number: i64) -> Result<Option<ImpactChunk>, StoreError>;
    /// Its results so far, as JSON texts with their chunks' numbers, after a number, at most `limit`.
    async fn chunk_results(
        &self,
        tenant: &Tenant,
        id: &str,
        after: i64,
        limit: u32,
    ) -> Result<Vec<(i64, String)>, StoreError>;
    /// Writes a chunk's result with the run's progress, once: false where the chunk is done already, the run is not
    /// running, or what it rests on is not believed any more. The last chunk ends the run.
    async fn finish_chunk(&self, tenant: &Tenant, id: &str, done: ChunkDone<'_>) -> Result<bool, StoreError>;
    /// Has a run that is running begin again and believe no binding that declares settings independent, once. The
    /// numbers of the chunks that were done and are to be judged again.
    async fn begin_again(
        &self,
        tenant: &Tenant,
        id: &str,
        not_independent: &str,
        at: Millis,
    ) -> Result<Vec<i64>, StoreError>;
    /// Ends a run that is running; false where it is not.
    async fn end_impact(
        &self,
        tenant: &Tenant,
        id: &str,
        state: ImpactState,
        why: Option<&str>,
        at: Millis,
    ) -> Result<bool, StoreError>;
    /// Runs that are running and have made no progress since `before`; each is given to one caller and counts as
    /// having progressed at `at`. With each, how often in a row that happened.
    async fn stalled_impacts(
        &self,
        tenant: &Tenant,
        before: Millis,
        at: Millis,
    ) -> Result<Vec<(String, i64)>, StoreError>;
    /// The numbers of a run's chunks that are not done.
    async fn open_chunks(&self, tenant: &Tenant, id: &str) -> Result<Vec<i64>, StoreError>;
    /// The versions of a chunk in order, after a place, at most `limit`.
    async fn versions_to_judge(
        &self,
        tenant: &Tenant,
        chunk: &ImpactChunk,
        which: (Judged, Reading),
        after: Option<(&EntryId, &VersionName)>,
        limit: u32,
    ) -> Result<Vec<StoredVersion>, StoreError>;
    /// Puts chunks into the queue of the fleet. A chunk that is there twice is judged twice and counted once.
    async fn enqueue_chunks(&self, tenant: &Tenant, id: &str, numbers: &[i64]) -> Result<(), StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exemptions_hold_still_until_one_comes_goes_or_ends() {
        let held = HeldExemptions { number: 3, count: 2, until: Some(Millis(10)) };
        assert!(held.hold_still(3, Millis(9)));
        assert!(!held.hold_still(4, Millis(9)), "one came or went");
        assert!(!held.hold_still(3, Millis(10)), "one ended");
        assert!(HeldExemptions { number: 0, count: 0, until: None }.hold_still(0, Millis(10)));
    }
}
