//! The known name that somebody most likely meant.

/// Longer names are compared with none: comparing takes time by the product of the lengths, and both may be a
/// publisher's.
const COMPARED_MAX_BYTES: usize = 64;
/// No more names are compared with one.
const CANDIDATES_MAX: usize = 200;

/// The known name nearest to `name`, where one is near enough to be meant.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance_max = name.len() / 3 + 1;
    known
        .into_iter()
        .take(CANDIDATES_MAX)
        .filter(|candidate| name.len() <= COMPARED_MAX_BYTES && name.len().abs_diff(candidate.len()) <= distance_max)
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= distance_max)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        assert_eq!(nearest("custmer", ["company", "customer"]), Some("customer"));
        assert_eq!(nearest("emial", ["email", "e-mail"]), Some("email"));
        assert_eq!(nearest("customer", ["address"]), None);
        assert_eq!(nearest("a", []), None);
        let long = "a".repeat(COMPARED_MAX_BYTES + 1);
        assert_eq!(nearest(&long, [long.as_str()]), None);
    }
}
