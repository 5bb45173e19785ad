//! How entries are found and what people think of them: lists, searches, references, ratings and uses.

use async_trait::async_trait;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::errors::failed;
use super::rows::{millis, name, page, plain};
use super::{Database, Statement, entries, listing, search};
use crate::clock::Millis;
use crate::names::{EntryId, KindName, Tenant, VersionName};
use crate::registry::store::{
    ChangePlace, Direction, EntriesAsked, EntryName, EntryPlace, Followed, FoundEntry, FoundPlace, ListedEntry, Page,
    RatingRow, ReadingStore, ReferencePlace, ReferenceRow, Search, Standing, StoreError,
};

#[async_trait]
impl ReadingStore for Database {
    async fn entries(
        &self,
        tenant: &Tenant,
        asked: &EntriesAsked,
        after: Option<&EntryPlace>,
        limit: u32,
    ) -> Result<Page<ListedEntry>, StoreError> {
        let statement = listing::select_page(self.engine, tenant, asked, after, limit);
        let rows = self.read_all(tenant, "to read entries", statement).await?;
        page(&rows, limit, listing::listed)
    }

    async fn changes(
        &self,
        tenant: &Tenant,
        followed: Followed<'_>,
        after: Option<&ChangePlace>,
        limit: u32,
    ) -> Result<Page<ListedEntry>, StoreError> {
        if followed.kinds.is_empty() {
            return Ok(Page { items: Vec::new(), more: false });
        }
        let statement = listing::select_changes(tenant, followed, after, limit);
        let rows = self.read_all(tenant, "to read entries", statement).await?;
        page(&rows, limit, listing::listed)
    }

    async fn standing(&self, tenant: &Tenant, of: &EntryName, at: Millis) -> Result<Standing, StoreError> {
        let row = self.read_one(tenant, "to read an entry", listing::select_standing(tenant, of, at)).await?;
        row.as_ref().map_or_else(|| Ok(Standing::default()), listing::standing)
    }

    async fn withdrawn(
        &self,
        tenant: &Tenant,
        kind: &KindName,
        ids: &[EntryId],
    ) -> Result<Vec<(EntryId, VersionName)>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let rows = self.read_all(tenant, "to read versions", listing::select_withdrawn(tenant, kind, ids)).await?;
        rows.iter().map(|row| Ok((name(row, "entry_id")?, name(row, "version")?))).collect()
    }

    async fn search(
        &self,
        tenant: &Tenant,
        search: Search<'_>,
        after: Option<&FoundPlace>,
        limit: u32,
    ) -> Result<Page<FoundEntry>, StoreError> {
        if search.kinds.is_empty() || search.statuses.is_empty() {
            return Ok(Page { items: Vec::new(), more: false });
        }
        let statement = search::select_found(self.engine, tenant, search, after, limit);
        let rows = self.read_all(tenant, "to search entries", statement).await?;
        page(&rows, limit, search::found_entry)
    }

    async fn references(
        &self,
        tenant: &Tenant,
        of: &EntryName,
        direction: Direction,
        after: Option<&ReferencePlace>,
        limit: u32,
    ) -> Result<Page<ReferenceRow>, StoreError> {
        let statement = select_references(tenant, of, direction, after, limit);
        let rows = self.read_all(tenant, "to read references", statement).await?;
        page(&rows, limit, reference)
    }

    async fn rate(&self, tenant: &Tenant, rating: &RatingRow) -> Result<bool, StoreError> {
        let failed = failed("to write a rating");
        let mut transaction = self.writers.begin(tenant).await.map_err(&failed)?;
        // The count's row first, and always: two who rate in one name wait for each other here.
        of_entry(
            "INSERT INTO entry_ratings (tenant_id, kind, entry_id, count, total) VALUES ($1, $2, $3, 0, 0)
             ON CONFLICT (tenant_id, kind, entry_id) DO UPDATE SET count = entry_ratings.count",
            tenant,
            &rating.of,
        )
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
        let before = of_entry(
            "DELETE FROM ratings WHERE tenant_id = $1 AND kind = $2 AND entry_id = $3 AND submitted_by = $4
             AND actor = $5 RETURNING rating",
            tenant,
            &rating.of,
        )
        .bind(rating.submitted_by.clone())
        .bind(rating.actor.clone())
        .fetch_optional(&mut *transaction)
        .await
        .map_err(&failed)?;
        let replaced = before.as_ref().map(|row| plain::<i64>(row, "rating")).transpose()?;
        insert_rating(tenant, rating).execute(&mut *transaction).await.map_err(&failed)?;
        of_entry(
            "UPDATE entry_ratings SET count = count + $4, total = total + $5
             WHERE tenant_id = $1 AND kind = $2 AND entry_id = $3",
            tenant,
            &rating.of,
        )
        .bind(i64::from(replaced.is_none()))
        .bind(rating.rating - replaced.unwrap_or(0))
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
        transaction.commit().await.map_err(&failed)?;
        Ok(replaced.is_some())
    }

    async fn ratings(
        &self,
        tenant: &Tenant,
        of: &EntryName,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Page<RatingRow>, StoreError> {
        let statement = of_entry(
            "SELECT id, kind, entry_id, submitted_by, rating, comment, actor, created_at FROM ratings
             WHERE tenant_id = $1 AND kind = $2 AND entry_id = $3 AND id < $4 ORDER BY id DESC LIMIT $5",
            tenant,
            of,
        )
        // Ids are hexadecimal: this is after each.
        .bind(before.unwrap_or("g").to_owned())
        .bind(i64::from(limit) + 1);
        let rows = self.read_all(tenant, "to read ratings", statement).await?;
        page(&rows, limit, rating)
    }

    async fn count_use(&self, tenant: &Tenant, of: &EntryName, day: i64, went_well: bool) -> Result<(), StoreError> {
        let statement = of_entry(
            "INSERT INTO entry_uses (tenant_id, kind, entry_id, day, uses, successes) VALUES ($1, $2, $3, $4, 1, $5)
             ON CONFLICT (tenant_id, kind, entry_id, day)
             DO UPDATE SET uses = entry_uses.uses + 1, successes = entry_uses.successes + excluded.successes",
            tenant,
            of,
        )
        .bind(day)
        .bind(i64::from(went_well));
        self.write(tenant, "to count a use", statement).await.map(|_| ())
    }
}

fn of_entry(text: &'static str, tenant: &Tenant, of: &EntryName) -> Statement {
    sqlx::query(text).bind(tenant.to_string()).bind(of.kind.to_string()).bind(of.id.to_string())
}

fn insert_rating(tenant: &Tenant, rating: &RatingRow) -> Statement {
    of_entry(
        "INSERT INTO ratings (tenant_id, kind, entry_id, id, submitted_by, rating, comment, actor, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        tenant,
        &rating.of,
    )
    .bind(rating.id.clone())
    .bind(rating.submitted_by.clone())
    .bind(rating.rating)
    .bind(rating.comment.clone())
    .bind(rating.actor.clone())
    .bind(rating.at.0)
}

fn rating(row: &AnyRow) -> Result<RatingRow, StoreError> {
    Ok(RatingRow {
        id: plain(row, "id")?,
        of: EntryName { kind: name(row, "kind")?, id: name(row, "entry_id")? },
        submitted_by: plain(row, "submitted_by")?,
        rating: plain(row, "rating")?,
        comment: plain(row, "comment")?,
        actor: plain(row, "actor")?,
        at: millis(row, "created_at")?,
    })
}

/// References of active versions alone. What they refer to may name a version; what refers to an entry is shown with the
/// version that it refers to.
fn select_references(
    tenant: &Tenant,
    of: &EntryName,
    direction: Direction,
    after: Option<&ReferencePlace>,
    limit: u32,
) -> Statement {
    let text = match direction {
        Direction::From => format!(
            "SELECT {}, r.to_version, r.bindings
             FROM entries f
             JOIN version_references r ON r.tenant_id = f.tenant_id AND r.kind = f.kind AND r.entry_id = f.id
                                      AND r.version = f.current_version
             JOIN entries e ON e.tenant_id = r.tenant_id AND e.kind = r.to_kind AND e.id = r.to_id
             WHERE f.tenant_id = $1 AND f.kind = $2 AND f.id = $3 AND (e.kind, e.id, r.to_version) > ($4, $5, $6)
             ORDER BY e.kind, e.id, r.to_version LIMIT $7",
            entries::columns_of("e")
        ),
        Direction::To => format!(
            "SELECT {}, r.to_version, r.bindings
             FROM version_references r
             JOIN entries e ON e.tenant_id = r.tenant_id AND e.kind = r.kind AND e.id = r.entry_id
                           AND e.current_version = r.version
             WHERE r.tenant_id = $1 AND r.to_kind = $2 AND r.to_id = $3 AND (e.kind, e.id, r.to_version) > ($4, $5, $6)
             ORDER BY e.kind, e.id, r.to_version LIMIT $7",
            entries::columns_of("e")
        ),
    };
    let name = |part: fn(&EntryName) -> String| after.map_or_else(String::new, |place| part(&place.name));
    let version = after.and_then(|place| place.version.as_ref()).map(VersionName::to_string).unwrap_or_default();
    sqlx::query(AssertSqlSafe(text))
        .bind(tenant.to_string())
        .bind(of.kind.to_string())
        .bind(of.id.to_string())
        .bind(name(|name| name.kind.to_string()))
        .bind(name(|name| name.id.to_string()))
        .bind(version)
        .bind(i64::from(limit) + 1)
}

fn reference(row: &AnyRow) -> Result<ReferenceRow, StoreError> {
    let version: &str = plain(row, "to_version")?;
    Ok(ReferenceRow {
        entry: entries::entry(row)?,
        version: (!version.is_empty()).then(|| name(row, "to_version")).transpose()?,
        bindings: plain(row, "bindings")?,
    })
}
