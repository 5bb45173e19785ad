//! Who waits for a lock in PostgreSQL: what a test waits for that is about two at once.

use sqlx::{AssertSqlSafe, Executor as _, PgConnection, Row as _};

/// Waits until so many wait for a lock in this database, of those that match.
pub async fn until_waiting(stranger: &mut PgConnection, what: &str, count: i64) {
    let query = format!(
        "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
         WHERE NOT granted AND datname = current_database() AND ({what})"
    );
    loop {
        let row = stranger.fetch_one(AssertSqlSafe(query.clone())).await.expect("an answer");
        if row.get::<i64, _>(0) >= count {
            return;
        }
    }
}
