//! Building and reading JSON Pointers (RFC 6901), so that escaping is never forgotten.

use std::borrow::Cow;
use std::fmt::Display;

/// The pointer of a member of the object, or an element of the array, at `parent`.
///
/// ```
/// assert_eq!(hallmark_plugin::pointer::child("/a", "b/c~d"), "/a/b~1c~0d");
/// assert_eq!(hallmark_plugin::pointer::child("/list", 3), "/list/3");
/// ```
pub fn child(parent: &str, token: impl Display) -> String {
    use std::fmt::Write as _;
    let mut pointer = String::with_capacity(parent.len() + 16);
    pointer.push_str(parent);
    pointer.push('/');
    let start = pointer.len();
    // Writing to a String cannot fail.
    let _ = write!(pointer, "{token}");
    if pointer[start..].contains(['~', '/']) {
        let escaped = pointer[start..].replace('~', "~0").replace('/', "~1");
        pointer.truncate(start);
        pointer.push_str(&escaped);
    }
    pointer
}

/// The tokens of a pointer, unescaped.
///
/// ```
/// assert_eq!(hallmark_plugin::pointer::tokens("/a/b~1c/0").collect::<Vec<_>>(), ["a", "b/c", "0"]);
/// ```
pub fn tokens(pointer: &str) -> impl Iterator<Item = Cow<'_, str>> {
    pointer.split('/').skip(1).map(|token| {
        if token.contains('~') { Cow::Owned(token.replace("~1", "/").replace("~0", "~")) } else { Cow::Borrowed(token) }
    })
}

/// True where `text` has the form of a pointer: empty, or tokens that each follow a `/`, with `~` only in `~0` and
/// `~1`.
pub fn is_pointer(text: &str) -> bool {
    (text.is_empty() || text.starts_with('/')) && text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_unescapes() {
        assert_eq!(child("", ""), "/");
        assert_eq!(child("/a~1b", "c/~"), "/a~1b/c~1~0");
        assert_eq!(tokens("/a~1b/c~1~0").collect::<Vec<_>>(), ["a/b", "c/~"]);
        assert_eq!(tokens("").count(), 0);
        assert_eq!(tokens("/").collect::<Vec<_>>(), [""]);
    }

    #[test]
    fn knows_the_form() {
        for right in ["", "/", "/a", "/a~0b/~1"] {
            assert!(is_pointer(right), "{right}");
        }
        for wrong in ["a", "#/a", "/a~", "/~2"] {
            assert!(!is_pointer(wrong), "{wrong}");
        }
    }
}
