//! The forms of ids, tags and versions, and the nearest text that has them.

/// True where `text` is words of lower case letters and digits with one separator between two of them.
pub fn is_words(text: &str, separators: &[u8]) -> bool {
    let is_word_byte = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends_right = bytes.last().is_some_and(|&byte| is_word_byte(byte));
    let mut in_word = false;
    ends_right
        && bytes.iter().all(|&byte| {
            let fits = is_word_byte(byte) || (in_word && separators.contains(&byte));
            in_word = is_word_byte(byte);
            fits
        })
}

/// The text as words, for a suggestion: lower case, and one dash in the place of all that does not fit. None where
/// nothing is left.
pub fn as_words(text: &str, separators: &[u8]) -> Option<String> {
    let mut words = String::with_capacity(text.len());
    for character in text.chars() {
        let lower = character.to_ascii_lowercase();
        if lower.is_ascii_lowercase() || lower.is_ascii_digit() {
            words.push(lower);
        } else if !words.is_empty() && !words.ends_with(|last| is_separator(last, separators)) {
            words.push(if is_separator(lower, separators) { lower } else { '-' });
        }
    }
    words.truncate(words.trim_end_matches(|last| is_separator(last, separators)).len());
    (!words.is_empty()).then_some(words)
}

fn is_separator(character: char, separators: &[u8]) -> bool {
    character == '-' || u8::try_from(character).is_ok_and(|byte| separators.contains(&byte))
}

/// The semantic version that was plainly meant: `v1.2` is 1.2.0. None where it would be a guess.
pub fn as_version(text: &str) -> Option<semver::Version> {
    let trimmed = text.trim();
    let bare = trimmed.strip_prefix(['v', 'V', '=']).unwrap_or(trimmed);
    let is_numbers = !bare.is_empty() && bare.split('.').all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    let missing = match bare.split('.').count() {
        1 if is_numbers => ".0.0",
        2 if is_numbers => ".0",
        _ => "",
    };
    semver::Version::parse(&[bare, missing].concat()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_words() {
        for right in ["a", "a1", "3d", "my-agent", "a.b_c"] {
            assert!(is_words(right, b"-._"), "{right}");
        }
        for wrong in ["", "-a", "a-", "a--b", "a.-b", "A", "a b", "ä", "a/b"] {
            assert!(!is_words(wrong, b"-._"), "{wrong}");
        }
        assert!(!is_words("a.b", b"-"));
    }

    #[test]
    fn suggests_the_nearest_words() {
        assert_eq!(as_words("  My Agent!! ", b"-").as_deref(), Some("my-agent"));
        assert_eq!(as_words("a.B__c", b"-._").as_deref(), Some("a.b_c"));
        assert_eq!(as_words("Größe", b"-").as_deref(), Some("gr-e"));
        assert_eq!(as_words("***", b"-"), None);
    }

    #[test]
    fn completes_versions_that_are_plainly_meant() {
        for (given, meant) in [("v1.2.3", "1.2.3"), ("1.2", "1.2.0"), (" 3 ", "3.0.0"), ("=1.0.0-rc.1", "1.0.0-rc.1")] {
            assert_eq!(as_version(given).map(|version| version.to_string()).as_deref(), Some(meant), "{given}");
        }
        for guess in ["", "latest", "1.2.3.4", "01.2", "1.x", "1..2", "v"] {
            assert_eq!(as_version(guess), None, "{guess}");
        }
    }
}
