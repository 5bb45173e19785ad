//! What nobody but a test does: rows of a stopped host's database are changed behind its back.

use std::path::Path;

use serde_json::Value;
use sqlx::{AnyConnection, Connection as _, Row as _};

/// Changes the record of a decision in the SQLite database of a stopped host's data folder.
pub fn change_decision(data: &Path, id: &str, change: impl FnOnce(&mut Value)) {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let mut connection = open(data).await;
        let row = sqlx::query("SELECT body FROM decisions WHERE id = $1")
            .bind(id.to_owned())
            .fetch_one(&mut connection)
            .await
            .expect("the decision");
        let mut body: Value = serde_json::from_str(row.get::<&str, _>("body")).expect("JSON");
        change(&mut body);
        sqlx::query("UPDATE decisions SET body = $1 WHERE id = $2")
            .bind(body.to_string())
            .bind(id.to_owned())
            .execute(&mut connection)
            .await
            .expect("it is written");
        connection.close().await.expect("it closes");
    });
}

/// Forgets what was sent.
pub fn forget_submission(data: &Path, id: &str) {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let mut connection = open(data).await;
        sqlx::query("UPDATE decisions SET submission = NULL WHERE id = $1")
            .bind(id.to_owned())
            .execute(&mut connection)
            .await
            .expect("it is written");
        connection.close().await.expect("it closes");
    });
}

async fn open(data: &Path) -> AnyConnection {
    sqlx::any::install_default_drivers();
    AnyConnection::connect(&format!("sqlite:{}", data.join("hallmark.db").display())).await.expect("it opens")
}
