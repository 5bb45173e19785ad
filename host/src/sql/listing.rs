//! Lists of entries: what is asked of them, and in which order.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::rows::plain;
use super::{Engine, Statement, entries, search};
use crate::clock::Millis;
use crate::names::{EntryId, KindName, Tenant};
use crate::registry::store::{
    ChangePlace, EntriesAsked, EntryName, EntryOrder, EntryPlace, Followed, ListedEntry, POPULAR_DAYS, Standing,
    StoreError, day,
};

/// The average rating in thousandths, as `Standing` has it.
const AVERAGE: &str = "CASE WHEN ratings = 0 THEN 0 ELSE total * 1000 / ratings END";

enum Argument {
    Text(String),
    Number(i64),
}

/// The arguments of a statement that is written piece by piece.
#[derive(Default)]
struct Arguments(Vec<Argument>);

impl Arguments {
    fn text(&mut self, text: impl Into<String>) -> String {
        self.0.push(Argument::Text(text.into()));
        format!("${}", self.0.len())
    }

    fn number(&mut self, number: i64) -> String {
        self.0.push(Argument::Number(number));
        format!("${}", self.0.len())
    }

    fn bind(self, text: String) -> Statement {
        self.0.into_iter().fold(sqlx::query(AssertSqlSafe(text)), |query, argument| match argument {
            Argument::Text(text) => query.bind(text),
            Argument::Number(number) => query.bind(number),
        })
    }
}

/// What people think of the entry of the row at hand, with the uses from `first_day` on.
fn standing_columns(first_day: &str) -> String {
    let of = "t.tenant_id = entries.tenant_id AND t.kind = entries.kind AND t.entry_id = entries.id";
    let rated = |what: &str| format!("COALESCE((SELECT t.{what} FROM entry_ratings t WHERE {of}), 0)");
    let used = |what: &str| {
        let sum = format!("SELECT CAST(SUM(t.{what}) AS BIGINT) FROM entry_uses t WHERE {of} AND t.day >= {first_day}");
        format!("COALESCE(({sum}), 0)")
    };
    let (ratings, total, uses, successes) = (rated("count"), rated("total"), used("uses"), used("successes"));
    format!("{ratings} AS ratings, {total} AS total, {uses} AS uses, {successes} AS successes")
}

fn first_day(at: Millis) -> i64 {
    day(at) - POPULAR_DAYS + 1
}

/// One row more than the page holds, which tells whether more follow.
pub(super) fn select_page(
    engine: Engine,
    tenant: &Tenant,
    asked: &EntriesAsked,
    after: Option<&EntryPlace>,
    limit: u32,
) -> Statement {
    let mut arguments = Arguments::default();
    let is_listed = conditions(engine, &mut arguments, tenant, asked);
    let standing = standing_columns(&arguments.number(first_day(asked.at)));
    let follows = after.map_or_else(String::new, |place| format!("WHERE {}", follows(&mut arguments, asked, place)));
    let order = match asked.order {
        EntryOrder::Id => "id".to_owned(),
        EntryOrder::Recent => "updated_at DESC, id".to_owned(),
        EntryOrder::Changes => "updated_at, id".to_owned(),
        EntryOrder::Popular => "successes DESC, id".to_owned(),
        EntryOrder::Rating => format!("{AVERAGE} DESC, ratings DESC, id"),
    };
    let limit = arguments.number(i64::from(limit) + 1);
    let text = format!(
        "SELECT * FROM (SELECT {}, {standing} FROM entries WHERE {is_listed}) AS listed
         {follows} ORDER BY {order} LIMIT {limit}",
        entries::COLUMNS
    );
    arguments.bind(text)
}

/// The same over several kinds, in the order of the changes.
pub(super) fn select_changes(
    tenant: &Tenant,
    followed: Followed<'_>,
    after: Option<&ChangePlace>,
    limit: u32,
) -> Statement {
    let mut arguments = Arguments::default();
    let tenant = arguments.text(tenant.to_string());
    let kinds: Vec<String> = followed.kinds.iter().map(|kind| arguments.text(kind.to_string())).collect();
    let (kinds, since) = (kinds.join(", "), arguments.number(followed.since.0));
    let standing = standing_columns(&arguments.number(first_day(followed.at)));
    let follows = after.map_or_else(String::new, |ChangePlace { at, name, .. }| {
        let at = arguments.number(at.0);
        let (kind, id) = (arguments.text(name.kind.to_string()), arguments.text(name.id.to_string()));
        format!("AND (updated_at, kind, id) > ({at}, {kind}, {id})")
    });
    let limit = arguments.number(i64::from(limit) + 1);
    let text = format!(
        "SELECT {}, {standing} FROM entries
         WHERE tenant_id = {tenant} AND kind IN ({kinds}) AND updated_at >= {since} {follows}
         ORDER BY updated_at, kind, id LIMIT {limit}",
        entries::COLUMNS
    );
    arguments.bind(text)
}

/// The tenant is `$1` and the kind `$2`.
fn conditions(engine: Engine, arguments: &mut Arguments, tenant: &Tenant, asked: &EntriesAsked) -> String {
    let mut all = vec![
        format!("entries.tenant_id = {}", arguments.text(tenant.to_string())),
        format!("entries.kind = {}", arguments.text(asked.kind.to_string())),
    ];
    let statuses: Vec<String> = asked.statuses.iter().map(|status| arguments.text(status.as_str())).collect();
    all.push(format!("entries.status IN ({})", statuses.join(", ")));
    if let Some(since) = asked.updated_since {
        all.push(format!("entries.updated_at >= {}", arguments.number(since.0)));
    }
    if let Some(category) = &asked.category {
        all.push(format!("entries.category = {}", arguments.text(category.as_str())));
    }
    if let Some(tag) = &asked.tag {
        // Tags stand in a JSON array without spaces, and within a string a quote is always escaped: a tag in its quotes
        // after the bracket or a comma is a whole tag.
        let quoted = serde_json::Value::from(tag.as_str()).to_string();
        let of = |before: char, arguments: &mut Arguments| {
            engine.holds("entries.tags", &arguments.text(format!("{before}{quoted}")))
        };
        all.push(format!("({} OR {})", of('[', arguments), of(',', arguments)));
    }
    if let Some(query) = &asked.search {
        let place = arguments.text(search::sought(engine, query));
        all.push(search::is_found(engine, &place));
    }
    all.join(" AND ")
}

/// The condition that a row follows the place.
fn follows(arguments: &mut Arguments, asked: &EntriesAsked, place: &EntryPlace) -> String {
    let id = arguments.text(place.id.to_string());
    if asked.order == EntryOrder::Id {
        return format!("id > {id}");
    }
    let first = arguments.number(place.first);
    match asked.order {
        EntryOrder::Id | EntryOrder::Recent => {
            format!("(updated_at < {first} OR (updated_at = {first} AND id > {id}))")
        }
        EntryOrder::Changes => format!("(updated_at, id) > ({first}, {id})"),
        EntryOrder::Popular => format!("(successes < {first} OR (successes = {first} AND id > {id}))"),
        EntryOrder::Rating => {
            let second = arguments.number(place.second);
            format!(
                "({AVERAGE} < {first} OR ({AVERAGE} = {first} AND (ratings < {second} OR (ratings = {second} AND id > {id}))))"
            )
        }
    }
}

pub(super) fn listed(row: &AnyRow) -> Result<ListedEntry, StoreError> {
    Ok(ListedEntry { entry: entries::entry(row)?, standing: standing(row)? })
}

pub(super) fn select_standing(tenant: &Tenant, of: &EntryName, at: Millis) -> Statement {
    let text = format!("SELECT {} FROM entries WHERE tenant_id = $1 AND kind = $2 AND id = $3", standing_columns("$4"));
    sqlx::query(AssertSqlSafe(text))
        .bind(tenant.to_string())
        .bind(of.kind.to_string())
        .bind(of.id.to_string())
        .bind(first_day(at))
}

pub(super) fn standing(row: &AnyRow) -> Result<Standing, StoreError> {
    Ok(Standing {
        ratings: plain(row, "ratings")?,
        total: plain(row, "total")?,
        uses: plain(row, "uses")?,
        successes: plain(row, "successes")?,
    })
}

pub(super) fn select_withdrawn(tenant: &Tenant, kind: &KindName, ids: &[EntryId]) -> Statement {
    let mut arguments = Arguments::default();
    let (tenant, kind) = (arguments.text(tenant.to_string()), arguments.text(kind.to_string()));
    let ids: Vec<String> = ids.iter().map(|id| arguments.text(id.to_string())).collect();
    let text = format!(
        "SELECT entry_id, version FROM withdrawals WHERE tenant_id = {tenant} AND kind = {kind} AND entry_id IN ({})
         ORDER BY entry_id, withdrawn_at, version",
        ids.join(", ")
    );
    arguments.bind(text)
}
