//! How entries are listed and searched, what refers to what, and what people think of them.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;

use super::{EntryName, EntryRow, EntryStatus, Page, StoreError};
use crate::clock::Millis;
use crate::names::{EntryId, KindName, NameError, Tenant, VersionName};
use crate::registry::words::Query;

/// Days, the running one among them, whose uses count for what is popular.
pub const POPULAR_DAYS: i64 = 30;
const DAY_MS: i64 = 86_400_000;

/// The day of an instant, counted from 1970-01-01.
pub fn day(at: Millis) -> i64 {
    at.0.div_euclid(DAY_MS)
}

/// In which order entries are listed; of equal ones by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryOrder {
    /// By id, in byte order.
    Id,
    /// Changed last first.
    Recent,
    /// Most used first: by the uses of the last 30 days times the share of them that went well.
    Popular,
    /// Best rated first: by the average, then by how many rated.
    Rating,
    /// Changed first first: as a mirror follows.
    Changes,
}

/// Which entries are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntriesAsked {
    /// Of which kind.
    pub kind: KindName,
    /// In which of these statuses.
    pub statuses: Vec<EntryStatus>,
    /// With this tag.
    pub tag: Option<String>,
    /// In this category.
    pub category: Option<String>,
    /// That this finds.
    pub search: Option<Query>,
    /// That changed at this time or later.
    pub updated_since: Option<Millis>,
    /// In which order.
    pub order: EntryOrder,
    /// When it is asked, which tells the days whose uses count.
    pub at: Millis,
}

impl EntriesAsked {
    /// All of a kind by id.
    pub fn all(kind: KindName) -> Self {
        Self {
            kind,
            statuses: EntryStatus::ALL.to_vec(),
            tag: None,
            category: None,
            search: None,
            updated_since: None,
            order: EntryOrder::Id,
            at: Millis(0),
        }
    }
}

/// What people think of an entry, and how often they use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// How many rated it.
    pub ratings: i64,
    /// The sum of their ratings.
    pub total: i64,
    /// Uses of the last 30 days.
    pub uses: i64,
    /// Those of them that went well.
    pub successes: i64,
}

impl Standing {
    /// The average rating in thousandths, rounded down: what entries are ordered by.
    pub fn average_thousandths(self) -> i64 {
        if self.ratings == 0 { 0 } else { self.total * 1_000 / self.ratings }
    }
}

/// An entry as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedEntry {
    /// Its row.
    pub entry: EntryRow,
    /// What people think of it.
    pub standing: Standing,
}

impl ListedEntry {
    /// Its place in an order; one that follows changes keeps since when.
    pub fn place(&self, order: EntryOrder, since: Millis) -> EntryPlace {
        let (first, second) = match order {
            EntryOrder::Id => (0, 0),
            EntryOrder::Recent => (self.entry.updated_at.0, 0),
            EntryOrder::Popular => (self.standing.successes, 0),
            EntryOrder::Rating => (self.standing.average_thousandths(), self.standing.ratings),
            EntryOrder::Changes => (self.entry.updated_at.0, since.0),
        };
        EntryPlace { first, second, id: self.entry.id.clone() }
    }

    /// Its place among what changed, of every kind.
    pub fn change_place(&self, begun: Millis) -> ChangePlace {
        let name = EntryName { kind: self.entry.kind.clone(), id: self.entry.id.clone() };
        ChangePlace { at: self.entry.updated_at, begun, name }
    }
}

/// Where an entry stands among those that changed, of every kind: by when, then kind, then id. It keeps when whoever
/// follows began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangePlace {
    /// When it changed.
    pub at: Millis,
    /// When the look began.
    pub begun: Millis,
    /// The entry.
    pub name: EntryName,
}

impl fmt::Display for ChangePlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} {}", self.at.0, self.begun.0, self.name)
    }
}

impl FromStr for ChangePlace {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let wrong = |_| NameError::new("place", text, "two numbers and an entry");
        let mut parts = text.splitn(3, ' ');
        let mut next = || parts.next().unwrap_or_default();
        let (at, begun) = (next().parse().map_err(wrong)?, next().parse().map_err(wrong)?);
        Ok(Self { at: Millis(at), begun: Millis(begun), name: next().parse()? })
    }
}

/// What is followed.
#[derive(Debug, Clone, Copy)]
pub struct Followed<'a> {
    /// Entries of which kinds.
    pub kinds: &'a [KindName],
    /// That changed at this time or later.
    pub since: Millis,
    /// When it is asked, which tells the days whose uses count.
    pub at: Millis,
}

/// Where an entry stands in an order: its numbers, as many as the order has, and its id. Where changes are followed the
/// second is when that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryPlace {
    /// What it is ordered by.
    pub first: i64,
    /// What it is ordered by where that is equal.
    pub second: i64,
    /// What it is ordered by last.
    pub id: EntryId,
}

impl fmt::Display for EntryPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} {}", self.first, self.second, self.id)
    }
}

impl FromStr for EntryPlace {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let wrong = |_| NameError::new("place", text, "two numbers and an id");
        let mut parts = text.splitn(3, ' ');
        let mut next = || parts.next().unwrap_or_default();
        let (first, second) = (next().parse().map_err(wrong)?, next().parse().map_err(wrong)?);
        Ok(Self { first, second, id: next().parse()? })
    }
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundEntry {
    /// The entry.
    pub entry: EntryRow,
    /// Where every word was found: 1 in its id and name, 2 there and in its category, tags and description, 3 in all of
    /// its texts.
    pub part: i64,
}

/// Where it stands among the others: by the part, then kind, then id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPlace {
    /// The part.
    pub part: i64,
    /// The entry.
    pub name: EntryName,
}

impl FoundEntry {
    /// Its place.
    pub fn place(&self) -> FoundPlace {
        let name = EntryName { kind: self.entry.kind.clone(), id: self.entry.id.clone() };
        FoundPlace { part: self.part, name }
    }
}

impl fmt::Display for FoundPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.part, self.name)
    }
}

impl FromStr for FoundPlace {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (part, name) = text.split_once(' ').unwrap_or((text, ""));
        let wrong = |_| NameError::new("place", text, "a number and an entry");
        Ok(Self { part: part.parse().map_err(wrong)?, name: name.parse()? })
    }
}

/// What is searched for.
#[derive(Debug, Clone, Copy)]
pub struct Search<'a> {
    /// In which kinds.
    pub kinds: &'a [KindName],
    /// In which of these statuses.
    pub statuses: &'a [EntryStatus],
    /// For which words.
    pub query: &'a Query,
}

/// That a version refers to another entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// To which.
    pub to: EntryName,
    /// To which of its versions; none for whichever is active.
    pub version: Option<VersionName>,
    /// The bindings that looked it up.
    pub bindings: Vec<String>,
}

/// A reference as it is read: with what is at its other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceRow {
    /// The entry at the other end.
    pub entry: EntryRow,
    /// The version that is referred to; none for whichever is active.
    pub version: Option<VersionName>,
    /// The bindings that looked it up, as a JSON array.
    pub bindings: String,
}

/// Where a reference stands: by the other end, then the version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferencePlace {
    /// The other end.
    pub name: EntryName,
    /// The version.
    pub version: Option<VersionName>,
}

impl ReferenceRow {
    /// Its place.
    pub fn place(&self) -> ReferencePlace {
        let name = EntryName { kind: self.entry.kind.clone(), id: self.entry.id.clone() };
        ReferencePlace { name, version: self.version.clone() }
    }
}

impl fmt::Display for ReferencePlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.name, self.version.as_ref().map_or("", VersionName::as_str))
    }
}

impl FromStr for ReferencePlace {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (name, version) = text.split_once(' ').unwrap_or((text, ""));
        let version = (!version.is_empty()).then(|| version.parse()).transpose()?;
        Ok(Self { name: name.parse()?, version })
    }
}

/// Which way references are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// What the entry's active version refers to.
    From,
    /// The entries whose active versions refer to it.
    To,
}

/// A rating.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RatingRow {
    /// Its id; ids sort by time.
    pub id: String,
    /// What is rated.
    pub of: EntryName,
    /// In whose name the caller rates: its own, another that it speaks for, or none.
    pub submitted_by: Option<String>,
    /// 1 to 5.
    pub rating: i64,
    /// Why.
    pub comment: Option<String>,
    /// The token's name.
    pub actor: String,
    /// When.
    pub at: Millis,
}

/// How entries are found. Every method is within one tenant.
#[async_trait]
pub trait ReadingStore: Send + Sync {
    /// Entries, after `after` in the order that is asked for, at most `limit`.
    async fn entries(
        &self,
        tenant: &Tenant,
        asked: &EntriesAsked,
        after: Option<&EntryPlace>,
        limit: u32,
    ) -> Result<Page<ListedEntry>, StoreError>;
    /// Entries of several kinds in the order in which they changed, after `after`, at most `limit`.
    async fn changes(
        &self,
        tenant: &Tenant,
        followed: Followed<'_>,
        after: Option<&ChangePlace>,
        limit: u32,
    ) -> Result<Page<ListedEntry>, StoreError>;
    /// What people think of an entry.
    async fn standing(&self, tenant: &Tenant, of: &EntryName, at: Millis) -> Result<Standing, StoreError>;
    /// The versions of these entries that were taken back, each with its entry.
    async fn withdrawn(
        &self,
        tenant: &Tenant,
        kind: &KindName,
        ids: &[EntryId],
    ) -> Result<Vec<(EntryId, VersionName)>, StoreError>;
    /// Entries of these kinds that hold every word, after `after`, at most `limit`.
    async fn search(
        &self,
        tenant: &Tenant,
        search: Search<'_>,
        after: Option<&FoundPlace>,
        limit: u32,
    ) -> Result<Page<FoundEntry>, StoreError>;
    /// What an entry refers to, or what refers to it, after `after`, at most `limit`.
    async fn references(
        &self,
        tenant: &Tenant,
        of: &EntryName,
        direction: Direction,
        after: Option<&ReferencePlace>,
        limit: u32,
    ) -> Result<Page<ReferenceRow>, StoreError>;
    /// Keeps a rating; true where it replaces one of the same name.
    async fn rate(&self, tenant: &Tenant, rating: &RatingRow) -> Result<bool, StoreError>;
    /// The ratings of an entry, newest first, before `before`, at most `limit`.
    async fn ratings(
        &self,
        tenant: &Tenant,
        of: &EntryName,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Page<RatingRow>, StoreError>;
    /// Counts a use of an entry.
    async fn count_use(&self, tenant: &Tenant, of: &EntryName, day: i64, went_well: bool) -> Result<(), StoreError>;
}
