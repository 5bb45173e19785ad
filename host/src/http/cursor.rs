//! Where a list goes on: an opaque word over the last id of a page. It names its format, its kind and a checksum, so
//! that one that was cut, edited or taken from another list is refused and not misread. It is no secret: whoever
//! forges one reaches what the list would have shown them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::error::{Code, Problem};
use crate::names::{Digest, EntryId};

const VERSION: &str = "1";
const CHECK_DIGITS: usize = 12;

/// The cursor after this id.
pub fn after(kind: &str, id: &EntryId) -> String {
    let content = format!("{VERSION} {kind} {id}");
    URL_SAFE_NO_PAD.encode(format!("{} {content}", check(&content)))
}

/// The id that the cursor follows.
///
/// # Errors
/// It is not one that a list of this kind gave.
pub fn read(kind: &str, cursor: &str) -> Result<EntryId, Problem> {
    read_content(kind, cursor).ok_or_else(|| {
        let detail = format!(
            "the cursor is not one that a list of {kind} gave: pass nextCursor unchanged, or leave it out to begin"
        );
        Problem::new(Code::BadQuery, detail)
    })
}

fn read_content(kind: &str, cursor: &str) -> Option<EntryId> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let (given_check, content) = text.split_once(' ')?;
    if check(content) != given_check {
        return None;
    }
    let id = content.strip_prefix(VERSION)?.strip_prefix(' ')?.strip_prefix(kind)?.strip_prefix(' ')?;
    id.parse().ok()
}

fn check(content: &str) -> String {
    Digest::of(format!("cursor {content}").as_bytes()).hex()[..CHECK_DIGITS].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_wrote_and_nothing_else() {
        let id: EntryId = "weather-agent".parse().expect("an id");
        let cursor = after("agents", &id);
        assert_eq!(read_content("agents", &cursor), Some(id));
        assert_eq!(read_content("services", &cursor), None, "a cursor of another list");
        for place in 0..cursor.len() {
            let other = if cursor.as_bytes()[place] == b'A' { "B" } else { "A" };
            let tampered = format!("{}{other}{}", &cursor[..place], &cursor[place + 1..]);
            assert_eq!(read_content("agents", &tampered), None, "changed at {place}");
        }
        for wrong in ["", "x", "AAAA", &cursor[1..], "%%%"] {
            assert_eq!(read_content("agents", wrong), None, "{wrong}");
        }
    }
}
