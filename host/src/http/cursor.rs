//! Where a list goes on: an opaque word over the last place of a page. It names its format, its list and a checksum, so
//! that one that was cut, edited or taken from another list is refused and not misread. It is no secret: whoever
//! forges one reaches what the list would have shown them.

use std::fmt::Display;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::error::{Code, Problem};
use crate::names::Digest;

const VERSION: &str = "1";
const CHECK_DIGITS: usize = 12;

/// The cursor after this place. A list is called by what it is of, a kind's list by the kind.
pub fn after(list: &str, place: &impl Display) -> String {
    let content = format!("{VERSION} {list} {place}");
    URL_SAFE_NO_PAD.encode(format!("{} {content}", check(&content)))
}

/// The place that the cursor follows.
///
/// # Errors
/// It is not one that this list gave.
pub fn read<P: FromStr>(list: &str, cursor: &str) -> Result<P, Problem> {
    read_content(list, cursor).ok_or_else(|| {
        let detail = format!(
            "the cursor is not one that a list of {list} gave: pass nextCursor unchanged, or leave it out to begin"
        );
        Problem::new(Code::BadQuery, detail)
    })
}

fn read_content<P: FromStr>(list: &str, cursor: &str) -> Option<P> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let (given_check, content) = text.split_once(' ')?;
    if check(content) != given_check {
        return None;
    }
    let place = content.strip_prefix(VERSION)?.strip_prefix(' ')?.strip_prefix(list)?.strip_prefix(' ')?;
    place.parse().ok()
}

fn check(content: &str) -> String {
    Digest::of(format!("cursor {content}").as_bytes()).hex()[..CHECK_DIGITS].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::EntryId;

    #[test]
    fn reads_what_it_wrote_and_nothing_else() {
        let id: EntryId = "weather-agent".parse().expect("an id");
        let cursor = after("agents", &id);
        assert_eq!(read_content("agents", &cursor), Some(id));
        assert_eq!(read_content::<EntryId>("services", &cursor), None, "a cursor of another list");
        for place in 0..cursor.len() {
            let other = if cursor.as_bytes()[place] == b'A' { "B" } else { "A" };
            let tampered = format!("{}{other}{}", &cursor[..place], &cursor[place + 1..]);
            assert_eq!(read_content::<EntryId>("agents", &tampered), None, "changed at {place}");
        }
        for wrong in ["", "x", "AAAA", &cursor[1..], "%%%"] {
            assert_eq!(read_content::<EntryId>("agents", wrong), None, "{wrong}");
        }
    }
}
