//! Where a row stands in a list's order: what a cursor carries, and a page begins after.

use std::fmt;
use std::str::FromStr;

use super::{PluginRow, VersionHead};
use crate::clock::Millis;
use crate::names::{DecisionId, Digest, NameError};

/// Where a plugin stands among the others, whose order is by name, then time pushed, then digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginPlace {
    /// SHA-256 of the component.
    pub digest: Digest,
    /// When it was pushed.
    pub pushed_at: Millis,
    /// Its own name.
    pub name: String,
}

impl PluginRow {
    /// Its place.
    pub fn place(&self) -> PluginPlace {
        PluginPlace { digest: self.digest.clone(), pushed_at: self.pushed_at, name: self.name.clone() }
    }
}

impl fmt::Display for PluginPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} {}", self.digest, self.pushed_at.0, self.name)
    }
}

impl FromStr for PluginPlace {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let mut parts = text.splitn(3, ' ');
        let mut next = || parts.next().unwrap_or_default();
        let (digest, pushed_at) = (next().parse()?, next().parse().map(Millis));
        let wrong = |_| NameError::new("place", text, "a digest, a time in milliseconds and a name");
        let pushed_at = pushed_at.map_err(wrong)?;
        let name = next();
        // It comes from a cursor, which anybody can write, and goes to the database.
        if name.chars().any(char::is_control) {
            return Err(NameError::new("place", text, "a digest, a time in milliseconds and a name"));
        }
        Ok(Self { digest, pushed_at, name: name.to_owned() })
    }
}

/// Where a version stands among those of its entry, whose order is by time published, then decision, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionPlace {
    /// When it was published.
    pub published_at: Millis,
    /// The decision that let it in; its id sorts by time.
    pub decision: DecisionId,
}

impl VersionHead {
    /// Its place.
    pub fn place(&self) -> VersionPlace {
        VersionPlace { published_at: self.published_at, decision: self.decision.clone() }
    }
}

impl fmt::Display for VersionPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.published_at.0, self.decision)
    }
}

impl FromStr for VersionPlace {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (published_at, decision) = text.split_once(' ').unwrap_or((text, ""));
        let wrong = |_| NameError::new("place", text, "a time in milliseconds and a decision");
        Ok(Self { published_at: Millis(published_at.parse().map_err(wrong)?), decision: decision.parse()? })
    }
}
