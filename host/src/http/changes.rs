//! What changed, kind after kind or over all of them, as a mirror follows it: in the order of the changes, with what was
//! disabled or taken back, and with where to begin again.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::openapi::schema::ObjectBuilder;

use super::call::Call;
use super::error::{Code, Problem, Success};
use super::openapi::told::{self, Told, text};
use super::page::{self, PageView};
use super::reply::{Answer, Reply};
use super::view::EntryView;
use crate::clock::{Instant, Millis};
use crate::names::{EntryId, KindName, VersionName};
use crate::registry::RegistryError;
use crate::registry::release::Kind;
use crate::registry::store::{ChangePlace, ListedEntry};

/// What the list over kinds is called in its cursors.
const LIST: &str = "changes";

/// Kinds that may be named at once.
const KINDS_MAX: usize = 100;

/// A page of changes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Changes<V> {
    #[serde(flatten)]
    page: V,
    resume_since: Instant,
}

impl<V> Changes<V> {
    /// Whoever asks again from `resumeSince` misses nothing that is committed late, and sees the last changes once more.
    pub fn of(call: &Call, page: V, begun: Millis) -> Self {
        let overlap_ms = i64::try_from(call.host.limits.follow_overlap_ms).unwrap_or(i64::MAX);
        Self { page, resume_since: Instant(Millis(begun.0.saturating_sub(overlap_ms))) }
    }
}

/// Versions that were taken back, by their entry.
pub type Withdrawn = BTreeMap<EntryId, Vec<VersionName>>;

/// Those of these entries of one kind.
///
/// # Errors
/// `Store`.
pub async fn withdrawn(call: &Call, kind: &Kind, ids: &[EntryId]) -> Result<Withdrawn, RegistryError> {
    let mut withdrawn = Withdrawn::new();
    for (id, version) in call.registry.withdrawn_of(&call.actor, kind, ids).await? {
        withdrawn.entry(id).or_default().push(version);
    }
    Ok(withdrawn)
}

/// An entry as a mirror sees it.
pub fn show<'a>(kind: &'a Kind, listed: &'a ListedEntry, withdrawn: &'a Withdrawn) -> EntryView<'a> {
    let of_this = withdrawn.get(&listed.entry.id).into_iter().flatten().collect();
    EntryView { standing: Some(listed.standing), withdrawn: Some(of_this), ..EntryView::listed(kind, &listed.entry) }
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ChangedEntry)]
struct ChangeView<'a> {
    kind: &'a str,
    entry: EntryView<'a>,
}

/// The kinds of a page by name, each with the versions of its entries that were taken back.
type ByKind<'a> = BTreeMap<&'a KindName, (&'a Kind, Withdrawn)>;

/// None of a kind that was not asked for, which cannot be.
fn change<'a>(by_kind: &'a ByKind<'_>, listed: &'a ListedEntry) -> Option<ChangeView<'a>> {
    let (kind, withdrawn) = by_kind.get(&listed.entry.kind)?;
    Some(ChangeView { kind: kind.name.as_str(), entry: show(kind, listed, withdrawn) })
}

/// `GET /api/changes`
pub async fn list(call: Call) -> Answer {
    let [since, kinds, limit, cursor] = call.query(["updated_since", "kind", "limit", "cursor"])?;
    let since: Millis = match since {
        Some(text) => text.parse().map_err(|error| Problem::new(Code::BadQuery, format!("updated_since: {error}")))?,
        None => {
            let detail =
                "updated_since is missing: say from when on, as in 2026-01-01; a mirror begins before the first";
            return Err(Problem::new(Code::BadQuery, detail));
        }
    };
    let named: Vec<&str> = kinds.iter().flat_map(|kinds| kinds.split(',')).collect();
    if named.len() > KINDS_MAX {
        return Err(Problem::new(Code::BadQuery, format!("kind names {KINDS_MAX} kinds at most; without it, all")));
    }
    let asked = page::parsed::<ChangePlace>(LIST, limit.as_deref(), cursor)?;
    let (kinds, page) = call.registry.changes(&call.actor, &named, since, asked.after.as_ref(), asked.limit).await?;
    let begun = asked.after.map_or_else(Millis::now, |place| place.begun);
    let mut by_kind = ByKind::new();
    for kind in &kinds {
        let of_kind = page.items.iter().filter(|listed| listed.entry.kind == kind.name);
        let ids: Vec<EntryId> = of_kind.map(|listed| listed.entry.id.clone()).collect();
        by_kind.insert(&kind.name, (&**kind, withdrawn(&call, kind, &ids).await?));
    }
    let shown = PageView::of(LIST, &page, |listed| listed.change_place(begun), |listed| change(&by_kind, listed));
    let next = shown.next(&call);
    Ok(Reply::json(Success::Found, &Changes::of(&call, shown, begun))?.followed_by(next))
}

/// What the API's description tells of it.
pub fn told() -> Told {
    let mut told = Told::get("/api/changes", "listChanges").lists();
    let page = told::page(told.named::<ChangeView<'_>>());
    let resume = told.named::<Instant>();
    let page = ObjectBuilder::from(page).property("resumeSince", resume).required("resumeSince").build();
    told.needs_query("updated_since", told::instant(), "What changed since, oldest first.")
        .query("kind", text(), "Kinds with commas between them; all that are in force unless told.")
        .gives_form(Success::Found, page)
        .with_header("Link")
        .refuses(&[Code::BadName, Code::NoKind])
}
