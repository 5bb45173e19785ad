//! The chain over the audit log: each row has a hash over itself and the row before, so that a row which was edited,
//! removed or put in between is found by whoever reads the log from its beginning. It is computed where rows are sealed
//! and checked from what was exported, by the same code.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::super::canonical::canonical;
use crate::clock::{Instant, Millis};
use crate::names::{Digest, NameError, Tenant, hex};

/// A row of the audit log that has its place in the chain.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditRow {
    /// Its place: 1, 2, 3 and so on.
    pub place: i64,
    /// What the chain says of it and of the row before; as it stands in the database, whatever that is.
    pub hash: String,
    /// The tenant.
    pub tenant: Tenant,
    /// Its id.
    pub id: String,
    /// What happened.
    pub what: String,
    /// Who did it.
    pub actor: String,
    /// What it was done to.
    pub subject: String,
    /// What else is worth knowing.
    pub body: Value,
    /// When.
    pub at: Millis,
}

impl AuditRow {
    /// The row as it is exported.
    pub fn line(&self) -> Value {
        let mut line = self.content();
        line[HASH] = json!(self.hash);
        line
    }

    /// What is hashed.
    fn content(&self) -> Value {
        json!({
            "place": self.place,
            "tenant": self.tenant,
            "id": self.id,
            "what": self.what,
            "actor": self.actor,
            "subject": self.subject,
            "body": self.body,
            "at": Instant(self.at),
        })
    }

    /// Gives the row its hash, after the one of this hash.
    pub fn seal(&mut self, previous: &Digest) {
        self.hash = link(previous, &self.content()).to_string();
    }
}

/// The member of a line that is not hashed.
const HASH: &str = "hash";

/// What stands before the first row: 32 zero bytes.
pub fn nothing() -> Digest {
    format!("sha256:{}", hex(&[0; 32])).parse().expect("a digest of zeros")
}

/// SHA-256 over the 32 bytes of the hash before and the canonical JSON of the row.
fn link(previous: &Digest, content: &Value) -> Digest {
    let digits = previous.hex().as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).unwrap_or(0);
    let bytes = digits.chunks(2).map(|pair| digit(pair[0]) * 16 + digit(pair[1]));
    let mut hashed: Vec<u8> = bytes.collect();
    hashed.extend(canonical(content).as_bytes());
    let hash = hex(&Sha256::digest(&hashed));
    format!("sha256:{hash}").parse().expect("a hash has the form of a digest")
}

/// How far a chain goes: the place and the hash of a row. As text: `120:sha256:…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The row's place.
    pub place: i64,
    /// Its hash.
    pub hash: Digest,
}

impl std::fmt::Display for Head {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}:{}", self.place, self.hash)
    }
}

impl std::str::FromStr for Head {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let wrong =
            || NameError::new("head", text, "a place and its hash, as in 120:sha256: and 64 hexadecimal digits");
        let (place, hash) = text.split_once(':').ok_or_else(wrong)?;
        let place = place.parse().ok().filter(|place| *place >= 1).ok_or_else(wrong)?;
        Ok(Self { place, hash: hash.parse().map_err(|_| wrong())? })
    }
}

/// Where a chain does not hold. The text names the first row that it does not hold for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A line is no row.
    #[error("line {line} is not a row of an audit log: {why}")]
    NoRow {
        /// Which, from 1.
        line: u64,
        /// Why not.
        why: String,
    },
    /// Rows are missing.
    #[error("{} removed: after row {before} comes row {after}", rows_were(before + 1, after - 1))]
    Removed {
        /// The last that is there.
        before: i64,
        /// The next that is there.
        after: i64,
    },
    /// A row does not come after the one before it.
    #[error("row {place} ({what}) was put in: it comes after row {before}")]
    Inserted {
        /// Its place.
        place: i64,
        /// What it says.
        what: String,
        /// The place of the row before.
        before: i64,
    },
    /// What a row says does not give its hash.
    #[error(
        "row {place} ({what}) was edited: its hash is not that of what it says after {}{}", before_of(*place),
        if *place == 1 { "" } else { ", or that row was edited and its own hash made anew" }
    )]
    Edited {
        /// Its place.
        place: i64,
        /// What it says.
        what: String,
    },
    /// The chain ends before a head that was kept.
    #[error("the log ends at row {end}, before the head {head}: rows were removed from its end")]
    Shorter {
        /// Where it ends.
        end: i64,
        /// The head that was kept.
        head: i64,
    },
    /// The chain is not the one that a head was kept of.
    #[error(
        "row {place} has another hash than the head that was kept: the chain was made anew from this row or one before it"
    )]
    Rebuilt {
        /// The head's place.
        place: i64,
    },
    /// What was read begins after the head.
    #[error("the rows begin at {first}, after the head {head}: read from before it")]
    Later {
        /// The first row that was read.
        first: i64,
        /// The head's place.
        head: i64,
    },
}

fn rows_were(first: i64, last: i64) -> String {
    if first == last { format!("row {first} was") } else { format!("rows {first} to {last} were") }
}

fn before_of(place: i64) -> String {
    if place == 1 { "no other".to_owned() } else { format!("row {}", place - 1) }
}

/// Checks a chain, row after row.
#[derive(Debug, Default)]
pub struct Verifier {
    lines: u64,
    first: Option<i64>,
    head: Option<Head>,
    kept: Option<Head>,
}

impl Verifier {
    /// One that also checks that an earlier head is part of the chain.
    pub fn new(kept: Option<Head>) -> Self {
        Self { kept, ..Self::default() }
    }

    /// Takes the next line of an export.
    ///
    /// # Errors
    /// Where the chain does not hold.
    pub fn read(&mut self, line: &str) -> Result<(), Broken> {
        match serde_json::from_str(line) {
            Ok(row) => self.take(row),
            Err(error) => Err(Broken::NoRow { line: self.lines + 1, why: error.to_string() }),
        }
    }

    /// Takes the next row.
    ///
    /// # Errors
    /// Where the chain does not hold.
    pub fn take(&mut self, mut row: Value) -> Result<(), Broken> {
        self.lines += 1;
        let no_row = |why: &str| Broken::NoRow { line: self.lines, why: why.to_owned() };
        let place = row["place"].as_i64().filter(|place| *place >= 1).ok_or_else(|| no_row("it has no place"))?;
        let given = row.as_object_mut().and_then(|row| row.remove(HASH)).ok_or_else(|| no_row("it has no hash"))?;
        let given = given.as_str().unwrap_or_default().to_owned();
        let what = format!("{} {}", shown(&row["what"]), shown(&row["subject"]));
        let before = self.head.as_ref().map(|head| head.place);
        match before {
            Some(before) if place <= before => return Err(Broken::Inserted { place, what, before }),
            Some(before) if place > before + 1 => return Err(Broken::Removed { before, after: place }),
            _ => {}
        }
        // The first row of an export that begins later is taken as it stands: what came before it is not here.
        let hash = match (&self.head, place) {
            (None, 1) => Some(link(&nothing(), &row)),
            (None, _) => given.parse().ok(),
            (Some(head), _) => Some(link(&head.hash, &row)),
        };
        let Some(hash) = hash.filter(|hash| hash.as_str() == given) else {
            return Err(Broken::Edited { place, what });
        };
        if self.kept.as_ref().is_some_and(|kept| kept.place == place && kept.hash != hash) {
            return Err(Broken::Rebuilt { place });
        }
        self.first.get_or_insert(place);
        self.head = Some(Head { place, hash });
        Ok(())
    }

    /// What was checked, where the chain holds.
    ///
    /// # Errors
    /// An earlier head is not part of it.
    pub fn end(self) -> Result<Checked, Broken> {
        let end = self.head.as_ref().map_or(0, |head| head.place);
        if let Some(kept) = self.kept {
            if kept.place > end {
                return Err(Broken::Shorter { end, head: kept.place });
            }
            if let Some(first) = self.first.filter(|first| *first > kept.place) {
                return Err(Broken::Later { first, head: kept.place });
            }
        }
        Ok(Checked { first: self.first, head: self.head })
    }
}

/// A chain that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The first row that was read; where it is not 1, what comes before was not checked.
    pub first: Option<i64>,
    /// The last.
    pub head: Option<Head>,
}

/// A member of a line, for a message.
fn shown(value: &Value) -> String {
    value.as_str().unwrap_or("?").chars().take(200).collect()
}

#[cfg(test)]
mod tests;
