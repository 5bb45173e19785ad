//! What a token lets its holder do: its roles, and the entries that it reaches.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::names::{EntryId, KindName};
use crate::registry::exemptions::Pattern;

/// What somebody is trusted with. Whoever has a role may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads, and judges without publishing.
    Reader,
    /// Publishes and rolls back entries.
    Publisher,
    /// Changes rules: plugins, releases, activations, exemptions, freezes.
    Rules,
    /// Everything: tokens and trusted keys beside it all.
    Admin,
}

/// A word that is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a role: there are reader, publisher, rules and admin")]
pub struct NoRole(String);

impl Role {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Reader, Self::Publisher, Self::Rules, Self::Admin];

    /// The word in JSON, the database and texts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Publisher => "publisher",
            Self::Rules => "rules",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Role {
    type Err = NoRole;

    fn from_str(word: &str) -> Result<Self, NoRole> {
        let known = Self::ALL.into_iter().find(|role| role.as_str() == word);
        known.ok_or_else(|| NoRole(word.chars().take(80).collect()))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Roles, and the entries that they are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grants {
    roles: Vec<Role>,
    entries: Arc<[Pattern]>,
}

impl Grants {
    /// Every role over every entry.
    pub fn everything() -> Self {
        Self { roles: vec![Role::Admin], entries: Arc::new([]) }
    }

    /// At least one role; without patterns, over every entry.
    ///
    /// # Errors
    /// There is none.
    pub fn new(mut roles: Vec<Role>, entries: Vec<Pattern>) -> Result<Self, NoRole> {
        roles.sort_unstable();
        roles.dedup();
        if roles.is_empty() { Err(NoRole(String::new())) } else { Ok(Self { roles, entries: entries.into() }) }
    }

    /// These and others. Patterns bound what a publisher may change: those of whoever publishes nothing bound nothing.
    pub fn and(&self, others: &Self) -> Self {
        let mut roles = [self.roles(), others.roles()].concat();
        roles.sort_unstable();
        roles.dedup();
        let publishing: Vec<&Self> =
            [self, others].into_iter().filter(|grants| grants.include(Role::Publisher)).collect();
        let mut entries: Vec<Pattern> = Vec::new();
        if publishing.iter().all(|grants| !grants.entries.is_empty()) {
            entries.extend(publishing.iter().flat_map(|grants| grants.entries.iter().cloned()));
        }
        Self { roles, entries: entries.into() }
    }

    /// True where whoever holds these may do what the role is for.
    pub fn include(&self, role: Role) -> bool {
        role == Role::Reader || self.roles.contains(&role) || self.roles.contains(&Role::Admin)
    }

    /// True where entries of this kind and id may be changed by these.
    pub fn reach(&self, kind: &KindName, id: &EntryId) -> bool {
        self.entries.is_empty() || self.entries.iter().any(|pattern| pattern.matches(kind.as_str(), id.as_str()))
    }

    /// True where what others say may be passed on by these: an admin, or a publisher who is bound to no entries. One
    /// who is bound would speak of its own.
    pub fn speak_for_others(&self) -> bool {
        self.include(Role::Publisher) && self.entries.is_empty()
    }

    /// The roles, each once.
    pub fn roles(&self) -> &[Role] {
        &self.roles
    }

    /// The patterns of the entries; none stands for every entry.
    pub fn entries(&self) -> &[Pattern] {
        &self.entries
    }

    /// The roles with commas between them.
    pub fn roles_text(&self) -> String {
        joined(&self.roles)
    }

    /// The patterns with commas between them.
    pub fn entries_text(&self) -> String {
        joined(&self.entries)
    }
}

fn joined<T: fmt::Display>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(roles: &[Role], entries: &[&str]) -> Grants {
        let entries = entries.iter().map(|text| text.parse().expect("a pattern")).collect();
        Grants::new(roles.to_vec(), entries).expect("a role")
    }

    #[test]
    fn each_role_is_for_its_own_and_for_reading() {
        for (held, may) in [
            (Role::Reader, [true, false, false, false]),
            (Role::Publisher, [true, true, false, false]),
            (Role::Rules, [true, false, true, false]),
            (Role::Admin, [true, true, true, true]),
        ] {
            assert_eq!(Role::ALL.map(|role| grants(&[held], &[]).include(role)), may, "{held}");
        }
        let both = grants(&[Role::Rules, Role::Publisher, Role::Rules], &[]);
        assert_eq!(Role::ALL.map(|role| both.include(role)), [true, true, true, false]);
        assert_eq!(both.roles_text(), "publisher, rules");
    }

    #[test]
    fn patterns_keep_a_token_to_its_entries() {
        let reaches = |grants: &Grants, kind: &str, id: &str| {
            grants.reach(&kind.parse().expect("a kind"), &id.parse().expect("an id"))
        };
        let all = grants(&[Role::Publisher], &[]);
        assert!(reaches(&all, "agents", "anything"));
        let some = grants(&[Role::Publisher], &["agents/search-*", "services/search"]);
        assert!(reaches(&some, "agents", "search-web") && reaches(&some, "services", "search"));
        assert!(!reaches(&some, "agents", "web-search") && !reaches(&some, "services", "search-web"));
        assert_eq!(some.entries_text(), "agents/search-*, services/search");
    }

    #[test]
    fn who_is_bound_to_entries_or_only_reads_speaks_for_nobody_else() {
        for (roles, entries, expected) in [
            (&[Role::Reader][..], &[][..], false),
            (&[Role::Rules], &[], false),
            (&[Role::Publisher], &["agents/search-*"], false),
            (&[Role::Publisher], &[], true),
            (&[Role::Admin], &[], true),
        ] {
            assert_eq!(grants(roles, entries).speak_for_others(), expected, "{roles:?} {entries:?}");
        }
    }

    #[test]
    fn two_grants_together_reach_what_either_does() {
        use Role::{Admin, Publisher, Reader, Rules};
        let narrow = grants(&[Publisher], &["agents/a-*"]);
        for (other, roles, entries) in [
            (grants(&[Reader], &[]), "reader, publisher", "agents/a-*"),
            (grants(&[Rules], &[]), "publisher, rules", "agents/a-*"),
            (grants(&[Publisher], &["agents/b"]), "publisher", "agents/a-*, agents/b"),
            (grants(&[Publisher], &[]), "publisher", ""),
            (grants(&[Admin], &[]), "publisher, admin", ""),
        ] {
            for both in [narrow.and(&other), other.and(&narrow)] {
                let mut reached: Vec<String> = both.entries().iter().map(ToString::to_string).collect();
                reached.sort();
                assert_eq!((both.roles_text().as_str(), reached.join(", ").as_str()), (roles, entries));
            }
        }
        assert_eq!(grants(&[Reader], &[]).and(&grants(&[Rules], &[])).entries_text(), "");
    }

    #[test]
    fn a_word_that_is_no_role_is_refused() {
        let error = "writer".parse::<Role>().expect_err("no role").to_string();
        assert_eq!(error, "'writer' is not a role: there are reader, publisher, rules and admin");
        Grants::new(Vec::new(), Vec::new()).expect_err("a token has a role");
    }
}
