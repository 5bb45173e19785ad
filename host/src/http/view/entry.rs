//! An entry and its versions as the API shows them, under the kind's own field names.

use std::collections::BTreeMap;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::Json;
use crate::clock::Instant;
use crate::http::error::Problem;
use crate::names::VersionName;
use crate::registry::release::Kind;
use crate::registry::store::{EntryRow, Standing, VersionHead, VersionRow, Withdrawal};

/// A stored submission, of which only the outermost object is read; the rest is handed on as it is stored.
pub struct Stored<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Stored<'a> {
    /// Reads a version's submission.
    ///
    /// # Errors
    /// It is no object, which is a defect.
    pub fn of(version: &'a VersionRow) -> Result<Self, Problem> {
        serde_json::from_str(&version.manifest).map(Self).map_err(|error| {
            Problem::internal(format!(
                "the stored manifest of {} {} cannot be read: {error}",
                version.id, version.version
            ))
        })
    }
}

/// An entry, a version, or an entry with its active version: whichever of the two rows there are.
pub struct EntryView<'a> {
    /// The kind.
    pub kind: &'a Kind,
    /// The entry.
    pub entry: Option<&'a EntryRow>,
    /// The version, with its submission.
    pub version: Option<(&'a VersionRow, &'a Stored<'a>)>,
    /// Its newest versions.
    pub versions: Option<&'a [VersionHead]>,
    /// What people think of it.
    pub standing: Option<Standing>,
    /// Its versions that were withdrawn, where a mirror follows.
    pub withdrawn: Option<Vec<&'a VersionName>>,
}

impl<'a> EntryView<'a> {
    /// An entry as lists show it.
    pub fn listed(kind: &'a Kind, entry: &'a EntryRow) -> Self {
        Self { kind, entry: Some(entry), version: None, versions: None, standing: None, withdrawn: None }
    }

    /// A version.
    pub fn version(kind: &'a Kind, row: &'a VersionRow, stored: &'a Stored<'a>) -> Self {
        Self::both(kind, None, row, stored)
    }

    /// An entry with its active version.
    pub fn full(kind: &'a Kind, entry: &'a EntryRow, row: &'a VersionRow, stored: &'a Stored<'a>) -> Self {
        Self::both(kind, Some(entry), row, stored)
    }

    fn both(kind: &'a Kind, entry: Option<&'a EntryRow>, row: &'a VersionRow, stored: &'a Stored<'a>) -> Self {
        Self { kind, entry, version: Some((row, stored)), versions: None, standing: None, withdrawn: None }
    }
}

/// Members of a submission that the host gives from what it knows of the entry and the version.
const GIVEN: [&str; 4] = ["name", "version", "description", "tags"];

/// Members that a submission has not, and that the host adds to an entry or a version when it shows it. Whoever compares
/// what was shown with what was sent leaves them out.
pub const ADDED: [&str; 15] = [
    "status",
    "statusReason",
    "replacement",
    "withdrawal",
    "withdrawnVersions",
    "ratings",
    "uses",
    "highestVersion",
    "digest",
    "createdAt",
    "updatedAt",
    "publishedAt",
    "publishedBy",
    "decisionId",
    "versions",
];

/// True for a member that the host writes itself; a submission's field of the same name would be misread.
fn is_ours(name: &str) -> bool {
    GIVEN.contains(&name) || ADDED.contains(&name)
}

impl Serialize for EntryView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let field = |name: &str| self.version.and_then(|(_, stored)| stored.0.get(name).copied());
        let row = self.version.map(|(row, _)| row);
        let id = self.entry.map(|entry| &entry.id).or(row.map(|row| &row.id));
        map.serialize_entry(&self.kind.id_field, &id)?;
        match (self.entry, field("name")) {
            (Some(entry), _) => map.serialize_entry("name", &entry.name)?,
            (None, name) => map.serialize_entry("name", &name)?,
        }
        map.serialize_entry(
            "version",
            &row.map(|row| &row.version).or(self.entry.map(|entry| &entry.current_version)),
        )?;
        map.serialize_entry(
            "status",
            &self.entry.map(|entry| entry.status.as_str()).or(row.map(|row| row.status.as_str())),
        )?;
        if let Some(reason) = self.entry.and_then(|entry| entry.status_reason.as_ref()) {
            map.serialize_entry("statusReason", reason)?;
        }
        if let Some(replacement) = self.entry.and_then(|entry| entry.replacement.as_ref()) {
            map.serialize_entry("replacement", replacement)?;
        }
        if let Some(withdrawal) = row.and_then(|row| row.withdrawal.as_ref()) {
            map.serialize_entry("withdrawal", &WithdrawalView::of(withdrawal))?;
        }
        match (self.entry, field("description")) {
            (Some(entry), None) => map.serialize_entry("description", &entry.description)?,
            (_, description) => map.serialize_entry("description", &description)?,
        }
        match (self.entry, field("tags")) {
            (_, Some(tags)) => map.serialize_entry("tags", tags)?,
            (Some(entry), None) => map.serialize_entry("tags", &Json(&entry.tags))?,
            (None, None) => map.serialize_entry("tags", &[(); 0])?,
        }
        if let (None, Some(category)) = (row, self.entry.and_then(|entry| entry.category.as_ref())) {
            map.serialize_entry("category", category)?;
        }
        if let Some((_, stored)) = self.version {
            let theirs = stored.0.iter().filter(|(name, _)| **name != self.kind.id_field && !is_ours(name));
            for (name, value) in theirs {
                map.serialize_entry(name, value)?;
            }
        }
        if let Some(entry) = self.entry {
            map.serialize_entry("highestVersion", &entry.highest_version)?;
            map.serialize_entry("createdAt", &Instant(entry.created_at))?;
            map.serialize_entry("updatedAt", &Instant(entry.updated_at))?;
        }
        if let Some(row) = row {
            map.serialize_entry("digest", &row.digest)?;
            map.serialize_entry("publishedAt", &Instant(row.published_at))?;
            map.serialize_entry("publishedBy", &row.published_by)?;
            map.serialize_entry("decisionId", &row.decision)?;
        }
        if let Some(standing) = self.standing {
            map.serialize_entry("ratings", &RatingsView::of(standing))?;
            map.serialize_entry("uses", &UsesView::of(standing))?;
        }
        if let Some(withdrawn) = &self.withdrawn {
            map.serialize_entry("withdrawnVersions", withdrawn)?;
        }
        if let Some(versions) = self.versions {
            let versions: Vec<VersionView<'_>> = versions.iter().map(VersionView::of).collect();
            map.serialize_entry("versions", &versions)?;
        }
        map.end()
    }
}

/// How people rate an entry.
#[derive(Debug, Clone, Copy, Serialize, utoipa::ToSchema)]
#[schema(as = Ratings)]
pub struct RatingsView {
    average: Option<f64>,
    count: i64,
}

impl RatingsView {
    /// Shows it; of none there is no average.
    pub fn of(standing: Standing) -> Self {
        let hundredths = (standing.average_thousandths() + 5) / 10;
        #[expect(clippy::cast_precision_loss, reason = "at most 500")]
        let average = (standing.ratings > 0).then(|| hundredths as f64 / 100.0);
        Self { average, count: standing.ratings }
    }
}

/// How often an entry was used in the last 30 days.
#[derive(Debug, Clone, Copy, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Uses)]
pub struct UsesView {
    last30_days: i64,
    successes: i64,
}

impl UsesView {
    /// Shows it.
    pub fn of(standing: Standing) -> Self {
        Self { last30_days: standing.uses, successes: standing.successes }
    }
}

/// Why a version was taken back.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Withdrawal)]
pub struct WithdrawalView<'a> {
    reason: &'a str,
    by: &'a str,
    at: Instant,
}

impl<'a> WithdrawalView<'a> {
    fn of(withdrawal: &'a Withdrawal) -> Self {
        Self { reason: &withdrawal.reason, by: &withdrawal.by, at: Instant(withdrawal.at) }
    }
}

/// A version as lists show it.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = VersionHead)]
pub struct VersionView<'a> {
    version: &'a VersionName,
    status: &'a str,
    published_at: Instant,
    #[serde(skip_serializing_if = "Option::is_none")]
    withdrawal: Option<WithdrawalView<'a>>,
}

impl<'a> VersionView<'a> {
    /// Shows it.
    pub fn of(head: &'a VersionHead) -> Self {
        let withdrawal = head.withdrawal.as_ref().map(WithdrawalView::of);
        Self { version: &head.version, status: &head.status, published_at: Instant(head.published_at), withdrawal }
    }
}
