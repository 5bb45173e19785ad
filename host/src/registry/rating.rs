//! What people think of entries, of any kind: ratings, and how often an entry was used and whether that went well.

use std::sync::Arc;

use super::release::Kind;
use super::store::{EntryName, EntryStatus, Page, RatingRow, Standing, day};
use super::{Actor, Registry, RegistryError};
use crate::clock::{Millis, new_id};

/// Characters of a comment.
pub const COMMENT_MAX: usize = 500;
/// Characters of a name that somebody rates under.
pub const NAME_MAX: usize = 200;
/// The best rating; the worst is 1.
pub const BEST: i64 = 5;

/// A rating that somebody gives.
#[derive(Debug, Clone)]
pub struct RatingWanted {
    /// 1 to 5.
    pub rating: i64,
    /// Why.
    pub comment: Option<String>,
    /// Who rates, where the caller passes on what somebody else thinks.
    pub submitted_by: Option<String>,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Rated {
    /// The kind.
    pub kind: Arc<Kind>,
    /// What people think of the entry now.
    pub standing: Standing,
    /// It replaces what the same caller said before, for the same name.
    pub replaced: bool,
}

impl Registry {
    /// Rates an entry. A caller is heard once, and so is each name that it speaks for: a later rating replaces the one
    /// before. Nobody replaces what another caller said.
    ///
    /// # Errors
    /// `NoKind`, `NotReady`, `NotFound`; `BadChange` where the rating is none; `OtherName`, `EntryDisabled`, `Store`.
    pub async fn rate(
        self: &Arc<Self>,
        actor: &Actor,
        (kind, id): (&str, &str),
        wanted: RatingWanted,
    ) -> Result<Rated, RegistryError> {
        check(&wanted)?;
        let submitted_by = speaker(actor, wanted.submitted_by)?;
        let (kind, of) = self.in_service(actor, kind, id).await?;
        let at = Millis::now();
        let RatingWanted { rating, comment, .. } = wanted;
        let row = RatingRow { id: new_id(at), of, submitted_by, rating, comment, actor: actor.name.clone(), at };
        let replaced = self.store.rate(&actor.tenant, &row).await?;
        let standing = self.store.standing(&actor.tenant, &row.of, at).await?;
        Ok(Rated { kind, standing, replaced })
    }

    /// The ratings of an entry, newest first, before `before`.
    ///
    /// # Errors
    /// `NoKind`, `NotReady`, `NotFound`, `Store`.
    pub async fn ratings(
        self: &Arc<Self>,
        actor: &Actor,
        (kind, id): (&str, &str),
        before: Option<&str>,
        limit: u32,
    ) -> Result<Page<RatingRow>, RegistryError> {
        let (_, name, _) = self.entry_row(actor, kind, id).await?;
        Ok(self.store.ratings(&actor.tenant, &name, before, limit).await?)
    }

    /// Counts a use of an entry.
    ///
    /// # Errors
    /// `NoKind`, `NotReady`, `NotFound`, `EntryDisabled`, `Store`.
    pub async fn count_use(
        self: &Arc<Self>,
        actor: &Actor,
        (kind, id): (&str, &str),
        went_well: bool,
    ) -> Result<(Arc<Kind>, Standing), RegistryError> {
        let (kind, of) = self.in_service(actor, kind, id).await?;
        let at = Millis::now();
        self.store.count_use(&actor.tenant, &of, day(at), went_well).await?;
        Ok((kind, self.store.standing(&actor.tenant, &of, at).await?))
    }

    async fn in_service(
        self: &Arc<Self>,
        actor: &Actor,
        kind: &str,
        id: &str,
    ) -> Result<(Arc<Kind>, EntryName), RegistryError> {
        let (kind, name, entry) = self.entry_row(actor, kind, id).await?;
        match entry.status {
            EntryStatus::Disabled => Err(RegistryError::EntryDisabled { kind: name.kind, id: name.id }),
            _ => Ok((kind, name)),
        }
    }
}

/// In whose name it counts. Whoever may speak for others and names nobody passes on what somebody thinks who gave no name.
fn speaker(actor: &Actor, named: Option<String>) -> Result<Option<String>, RegistryError> {
    match named {
        named if actor.grants.speak_for_others() => Ok(named),
        Some(other) if other != actor.name => Err(RegistryError::OtherName { token: actor.name.clone() }),
        _ => Ok(Some(actor.name.clone())),
    }
}

fn check(wanted: &RatingWanted) -> Result<(), RegistryError> {
    let refuse = |why: String| Err(RegistryError::BadChange(why));
    if !(1..=BEST).contains(&wanted.rating) {
        return refuse(format!("a rating is a whole number from 1 to {BEST}, not {}", wanted.rating));
    }
    for (what, text, most) in
        [("comment", &wanted.comment, COMMENT_MAX), ("submittedBy", &wanted.submitted_by, NAME_MAX)]
    {
        let Some(text) = text else { continue };
        let is_plain = text.chars().all(|letter| !letter.is_control() || (what == "comment" && letter == '\n'));
        if text.trim().is_empty() || text.chars().count() > most || !is_plain {
            return refuse(format!(
                "{what} is 1 to {most} characters without control characters: shorten it, or leave it out"
            ));
        }
    }
    Ok(())
}
