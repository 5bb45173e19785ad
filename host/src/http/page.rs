//! Pages of lists: how many things a reader asks for, after which one, and where the next page begins. Every list
//! has them, and each keeps an order that new things do not disturb.

use std::fmt::Display;
use std::str::FromStr;

use serde::Serialize;
use url::form_urlencoded;

use super::call::Call;
use super::cursor;
use super::error::{Code, Problem, Success};
use super::reply::{Answer, Reply};
use crate::registry::store::Page;

/// Things of a page where the query does not say.
const SIZE_DEFAULT: u32 = 25;
/// Things of a page at most.
const SIZE_MAX: u32 = 100;

/// Which page of a list is asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Asked<P> {
    /// The place that it follows; none begins the list.
    pub after: Option<P>,
    /// How many things.
    pub limit: u32,
}

/// What the query of a list asks for; `list` is what the list is of, as in `agents`.
///
/// # Errors
/// The limit is none, or the cursor is not one that this list gave.
pub fn asked<P: FromStr>(call: &Call, list: &str) -> Result<Asked<P>, Problem> {
    let [limit, cursor] = call.query(["limit", "cursor"])?;
    parsed(list, limit.as_deref(), cursor)
}

/// The same of a list that takes more than these two.
///
/// # Errors
/// As `asked`.
pub fn parsed<P: FromStr>(list: &str, limit: Option<&str>, cursor: Option<String>) -> Result<Asked<P>, Problem> {
    let limit = size(limit)?;
    let after = cursor.map(|cursor| cursor::read(list, &cursor)).transpose()?;
    Ok(Asked { after, limit })
}

/// The limit that a query names.
///
/// # Errors
/// It is none.
pub fn size(given: Option<&str>) -> Result<u32, Problem> {
    let Some(text) = given else { return Ok(SIZE_DEFAULT) };
    text.parse().ok().filter(|limit| (1..=SIZE_MAX).contains(limit)).ok_or_else(|| {
        let text: String = text.chars().take(80).collect();
        Problem::new(Code::BadQuery, format!("limit is a whole number from 1 to {SIZE_MAX}, not '{text}'"))
    })
}

/// The answer to a list.
///
/// # Errors
/// As `Reply::json`.
pub fn answer<V: Serialize>(call: &Call, page: &PageView<V>) -> Answer {
    Ok(Reply::json(Success::Found, page)?.followed_by(page.next(call)))
}

/// A page as it is shown.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PageView<V> {
    items: Vec<V>,
    next_cursor: Option<String>,
}

impl<V> PageView<V> {
    /// Where the next page is (RFC 8288), asked as this one was; none where there is none.
    pub fn next(&self, call: &Call) -> Option<String> {
        let cursor = self.next_cursor.as_deref()?;
        let mut query = form_urlencoded::Serializer::new(String::new());
        let asked = form_urlencoded::parse(call.uri.query().unwrap_or_default().as_bytes());
        query.extend_pairs(asked.filter(|(name, _)| name != "cursor")).append_pair("cursor", cursor);
        Some(format!("<{}?{}>; rel=\"next\"", call.uri.path(), query.finish()))
    }

    /// Shows each thing by `view`; the next page of the list follows the `place` of the last.
    pub fn of<'a, T, P: Display>(
        list: &str,
        page: &'a Page<T>,
        place: impl FnOnce(&'a T) -> P,
        view: impl FnMut(&'a T) -> V,
    ) -> Self {
        let last = page.items.last().filter(|_| page.more);
        let next_cursor = last.map(|last| cursor::after(list, &place(last)));
        Self { items: page.items.iter().map(view).collect(), next_cursor }
    }
}
