//! Which entries a share of all of them is made of. The choice hangs on kind and id alone, so that an entry is in or out
//! for every version, on every host and after every restart, and a larger share holds all of a smaller one.

use crate::names::{Digest, EntryId, KindName};

/// The entry's place from 0 to 99: the SHA-256 of `hallmark:share:<kind>/<id>` in UTF-8, its first four bytes read as
/// an unsigned number, the most significant first, modulo 100.
pub fn place(kind: &KindName, id: &EntryId) -> u8 {
    u8::try_from(number(&format!("hallmark:share:{kind}/{id}")) % 100).expect("a number below 100")
}

/// The first four bytes of a text's SHA-256, the most significant first.
pub(super) fn number(text: &str) -> u32 {
    let digest = Digest::of(text.as_bytes());
    u32::from_str_radix(&digest.hex()[..8], 16).expect("eight hexadecimal digits have 32 bits")
}

/// True where the entry is one of the share: its place is below `percent`.
pub fn is_within(percent: u8, kind: &KindName, id: &EntryId) -> bool {
    percent >= 100 || place(kind, id) < percent
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> EntryId {
        text.parse().expect("an id")
    }

    #[test]
    fn places_are_what_the_documents_say() {
        let kind: KindName = "agents".parse().expect("a kind");
        // printf 'hallmark:share:agents/weather' | sha256sum | head -c 8, in decimal, modulo 100.
        assert_eq!([place(&kind, &entry("weather")), place(&kind, &entry("triage"))], [40, 69]);
    }

    #[test]
    fn a_share_holds_about_its_part_and_every_smaller_share() {
        let kind: KindName = "agents".parse().expect("a kind");
        let ids: Vec<EntryId> = (0..2_000).map(|number| entry(&format!("a{number}"))).collect();
        let count = |percent| ids.iter().filter(|id| is_within(percent, &kind, id)).count();
        assert_eq!((count(0), count(100)), (0, 2_000));
        assert!((100..300).contains(&count(10)), "{}", count(10));
        assert!((850..1_150).contains(&count(50)), "{}", count(50));
        assert!(ids.iter().all(|id| !is_within(10, &kind, id) || is_within(20, &kind, id)));
    }
}
