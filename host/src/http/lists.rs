//! How entries are found: the lists of a kind, the search over kinds, what refers to what, and what changes between versions.

use json_patch::PatchOperation;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::openapi::schema::ObjectBuilder;

use super::call::Call;
use super::changes::{self, Changes};
use super::entries::short;
use super::error::{Code, Problem, Success};
use super::openapi::told::{self, Told, text, text_like, word_of};
use super::page::{self, PageView};
use super::reply::{Answer, Reply};
use super::view::EntryView;
use crate::clock::{Instant, Millis};
use crate::names::{Digest, EntryId, KindName, VersionName};
use crate::registry::difference::Change;
use crate::registry::reading::ListWanted;
use crate::registry::release::Kind;
use crate::registry::store::{
    Direction, EntryName, EntryOrder, EntryPlace, EntryRow, EntryStatus, FoundEntry, FoundPlace, ListedEntry,
    ReferencePlace, ReferenceRow, VersionRow,
};
use crate::registry::words::Query;

/// The orders that a list may be asked for in.
const ORDERS: [(&str, EntryOrder); 4] = [
    ("id", EntryOrder::Id),
    ("recent", EntryOrder::Recent),
    ("popular", EntryOrder::Popular),
    ("rating", EntryOrder::Rating),
];

/// What the query of a list asks for, and how many of them after which.
struct Asked {
    wanted: ListWanted,
    limit: u32,
    after: Option<EntryPlace>,
    /// What the list is called in its cursors.
    list: String,
}

fn asked(call: &Call, kind: &str) -> Result<Asked, Problem> {
    let known = ["limit", "cursor", "status", "tag", "category", "search", "sort", "updated_since"];
    let [limit, cursor, status, tag, category, search, sort, since] = call.query(known)?;
    let updated_since = since.as_deref().map(instant).transpose()?;
    let order = order(sort.as_deref(), updated_since)?;
    let list = match order {
        EntryOrder::Id => kind.to_owned(),
        other => format!("{kind} by {other:?}").to_lowercase(),
    };
    let statuses = status.as_deref().map(statuses).transpose()?;
    let search = search.as_deref().map(query).transpose()?;
    let page = page::parsed(&list, limit.as_deref(), cursor)?;
    // A text with this character is stored nowhere, and no database takes it.
    if [&tag, &category].into_iter().flatten().any(|text| text.contains('\0')) {
        return Err(Problem::new(Code::BadQuery, "no tag and no category has the character U+0000"));
    }
    let wanted = ListWanted { statuses, tag, category, search, updated_since, order };
    Ok(Asked { wanted, limit: page.limit, after: page.after, list })
}

fn order(sort: Option<&str>, since: Option<Millis>) -> Result<EntryOrder, Problem> {
    if since.is_some() {
        return match sort {
            None => Ok(EntryOrder::Changes),
            Some(_) => {
                let detail = "a list with updated_since is in the order of the changes: leave sort out";
                Err(Problem::new(Code::BadQuery, detail))
            }
        };
    }
    let Some(sort) = sort else { return Ok(EntryOrder::Id) };
    ORDERS.iter().find(|(name, _)| *name == sort).map(|(_, order)| *order).ok_or_else(|| {
        let detail = format!("sort is id, recent, popular or rating, not '{}'", short(sort));
        Problem::new(Code::BadQuery, detail)
    })
}

fn instant(text: &str) -> Result<Millis, Problem> {
    text.parse().map_err(|error| Problem::new(Code::BadQuery, format!("updated_since: {error}")))
}

/// Statuses with commas between them, or `all`.
fn statuses(text: &str) -> Result<Vec<EntryStatus>, Problem> {
    if text == "all" {
        return Ok(EntryStatus::ALL.to_vec());
    }
    let one = |word: &str| {
        word.parse().map_err(|_| {
            let detail = format!(
                "status is draft, active, deprecated, disabled, several of them with commas, or all, not '{}'",
                short(text)
            );
            Problem::new(Code::BadQuery, detail)
        })
    };
    text.split(',').map(one).collect()
}

fn query(text: &str) -> Result<Query, Problem> {
    text.parse().map_err(|error: crate::registry::words::NoQuery| Problem::new(Code::BadQuery, error.to_string()))
}

/// `GET /api/{kind}`
pub async fn list(call: Call) -> Answer {
    let name = call.word("kind");
    let Asked { wanted, limit, after, list } = asked(&call, name)?;
    let (kind, page) = call.registry.entries(&call.actor, name, &wanted, after.as_ref(), limit).await?;
    let view = |listed| show(&kind, listed);
    if wanted.updated_since.is_none() {
        let place = |listed: &ListedEntry| listed.place(wanted.order, Millis(0));
        return page::answer(&call, &PageView::of(&list, &page, place, view));
    }
    let begun = after.map_or_else(Millis::now, |place| Millis(place.second));
    let ids: Vec<EntryId> = page.items.iter().map(|listed| listed.entry.id.clone()).collect();
    let withdrawn = changes::withdrawn(&call, &kind, &ids).await?;
    let place = |listed: &ListedEntry| listed.place(wanted.order, begun);
    let shown = PageView::of(&list, &page, place, |listed| changes::show(&kind, listed, &withdrawn));
    let next = shown.next(&call);
    Ok(Reply::json(Success::Found, &Changes::of(&call, shown, begun))?.followed_by(next))
}

fn show<'a>(kind: &'a Kind, listed: &'a ListedEntry) -> EntryView<'a> {
    EntryView { standing: Some(listed.standing), ..EntryView::listed(kind, &listed.entry) }
}

/// An entry of any kind, in short.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EntryBrief)]
struct BriefView<'a> {
    #[serde(flatten)]
    name: EntryName,
    version: &'a VersionName,
    status: EntryStatus,
    #[serde(rename = "name")]
    title: &'a str,
    description: Option<&'a str>,
    #[schema(value_type = Vec<String>)]
    tags: &'a RawValue,
    updated_at: Instant,
}

impl<'a> BriefView<'a> {
    fn of(entry: &'a EntryRow) -> Self {
        Self {
            name: EntryName { kind: entry.kind.clone(), id: entry.id.clone() },
            version: &entry.current_version,
            status: entry.status,
            title: &entry.name,
            description: entry.description.as_deref(),
            tags: raw(&entry.tags),
            updated_at: Instant(entry.updated_at),
        }
    }
}

/// JSON text of ours, handed on as it is.
fn raw(text: &str) -> &RawValue {
    serde_json::from_str(text).unwrap_or(RawValue::NULL)
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = FoundEntry)]
struct FoundView<'a> {
    #[serde(flatten)]
    entry: BriefView<'a>,
    matched: &'static str,
}

impl<'a> FoundView<'a> {
    fn of(found: &'a FoundEntry) -> Self {
        let matched = match found.part {
            1 => "name",
            2 => "about",
            _ => "text",
        };
        Self { entry: BriefView::of(&found.entry), matched }
    }
}

/// `GET /api/search`
pub async fn search(call: Call) -> Answer {
    let [words, kind, status, limit, cursor] = call.query(["q", "kind", "status", "limit", "cursor"])?;
    let words = words.ok_or_else(|| Problem::new(Code::BadQuery, "q is missing: say what is searched for"))?;
    let query = query(&words)?;
    let statuses = status.as_deref().map(statuses).transpose()?;
    let list = "what a search finds";
    let asked = page::parsed::<FoundPlace>(list, limit.as_deref(), cursor)?;
    let sought = (kind.as_deref(), &query);
    let (after, limit) = (asked.after.as_ref(), asked.limit);
    let page = call.registry.search(&call.actor, sought, statuses.as_deref(), after, limit).await?;
    page::answer(&call, &PageView::of(list, &page, FoundEntry::place, FoundView::of))
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Reference)]
struct ReferenceView<'a> {
    #[serde(flatten)]
    entry: BriefView<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    asked_version: Option<&'a VersionName>,
    #[schema(value_type = Vec<String>)]
    bindings: &'a RawValue,
}

impl<'a> ReferenceView<'a> {
    fn of(row: &'a ReferenceRow) -> Self {
        Self { entry: BriefView::of(&row.entry), asked_version: row.version.as_ref(), bindings: raw(&row.bindings) }
    }
}

/// `GET /api/{kind}/{id}/references`
pub async fn references(call: Call) -> Answer {
    follow(call, "references", Direction::From).await
}

/// `GET /api/{kind}/{id}/referrers`
pub async fn referrers(call: Call) -> Answer {
    follow(call, "referrers", Direction::To).await
}

async fn follow(call: Call, what: &str, direction: Direction) -> Answer {
    let of = (call.word("kind"), call.word("id"));
    let list = format!("{what} of {}/{}", of.0, of.1);
    let asked = page::asked::<ReferencePlace>(&call, &list)?;
    let page = call.registry.references(&call.actor, of, direction, asked.after.as_ref(), asked.limit).await?;
    page::answer(&call, &PageView::of(&list, &page, ReferenceRow::place, ReferenceView::of))
}

/// One operation of a JSON Patch (RFC 6902, 4.1 to 4.3): the form of those that are made here.
#[derive(utoipa::ToSchema)]
#[serde(tag = "op", rename_all = "lowercase")]
#[expect(dead_code, reason = "the library's own type is what is written; this tells its form")]
enum PatchStep {
    /// Puts a value into an object or an array.
    Add { path: String, value: serde_json::Value },
    /// Takes a value out.
    Remove { path: String },
    /// Puts a value in the place of another.
    Replace { path: String, value: serde_json::Value },
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Difference)]
struct DifferenceView<'a> {
    kind: &'a str,
    id: &'a EntryId,
    from: SideView<'a>,
    to: SideView<'a>,
    #[schema(value_type = Vec<PatchStep>)]
    patch: &'a [PatchOperation],
    changes: &'a [Change],
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = DifferenceSide)]
struct SideView<'a> {
    version: &'a VersionName,
    status: &'a str,
    digest: &'a Digest,
}

impl<'a> SideView<'a> {
    fn of(row: &'a VersionRow) -> Self {
        Self { version: &row.version, status: &row.status, digest: &row.digest }
    }
}

/// `GET /api/{kind}/{id}/versions/{version}/diff/{other}`
pub async fn difference(call: Call) -> Answer {
    let (of, versions) = ((call.word("kind"), call.word("id")), (call.word("version"), call.word("other")));
    let difference = call.registry.difference(&call.actor, of, versions).await?;
    let view = DifferenceView {
        kind: difference.kind.name.as_str(),
        id: &difference.from.id,
        from: SideView::of(&difference.from),
        to: SideView::of(&difference.to),
        patch: &difference.patch,
        changes: &difference.changes,
    };
    Reply::json(Success::Found, &view)
}

/// What the API's description tells of these.
pub fn told() -> Vec<Told> {
    let statuses = || text_like("^(all|(draft|active|deprecated|disabled)(,(draft|active|deprecated|disabled))*)$");
    let about = "Statuses with commas between them, or `all`; those that are active or deprecated unless told.";
    let words = "1 to 16 words; each stands for those that begin so.";
    let mut search = Told::get("/api/search", "search");
    let kind = search.named::<KindName>();
    let search = search
        .needs_query("q", text(), words)
        .query("kind", kind, "Entries of one kind.")
        .query("status", statuses(), about)
        .pages::<FoundView<'_>>()
        .refuses(&[Code::BadName, Code::NoKind]);
    let mut list = Told::get("/api/{kind}", "listEntries").lists();
    let page = told::page(list.named::<EntryView<'_>>());
    let resume = list.named::<Instant>();
    let page = ObjectBuilder::from(page).property("resumeSince", resume).build();
    let list = list
        .query("status", statuses(), about)
        .query("tag", text(), "A whole tag.")
        .query("category", text(), "A category, where the kind has a field of this name.")
        .query("search", text(), words)
        .query("sort", word_of(&ORDERS.map(|(name, _)| name)), "The order; not beside `updated_since`.")
        .query("updated_since", told::instant(), "What changed since, oldest first; the answer then has `resumeSince`.")
        .gives_form(Success::Found, page)
        .with_header("Link");
    vec![
        search,
        list,
        changes::told(),
        Told::get("/api/{kind}/{id}/references", "listReferences").pages::<ReferenceView<'_>>(),
        Told::get("/api/{kind}/{id}/referrers", "listReferrers").pages::<ReferenceView<'_>>(),
        Told::get("/api/{kind}/{id}/versions/{version}/diff/{other}", "diffVersions")
            .gives::<DifferenceView<'_>>(Success::Found),
    ]
}
