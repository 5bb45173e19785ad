//! How the parts of a host are: each is asked for real, and has a bounded time to answer.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use serde::Serialize;

use super::Registry;
use super::blobs::Ill;
use super::fleet::Behind;

/// What each part says of itself.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// The database answers.
    pub database: bool,
    /// The object store gives back what was put there.
    pub object_store: Result<(), Ill>,
    /// The rules in force are loaded; else what keeps them.
    pub rules: Result<(), Behind>,
    /// A thread of the gate took work in time.
    pub has_room: bool,
    /// Plugins in quarantine, by name.
    pub quarantined: Vec<String>,
}

impl Registry {
    /// How the parts are, after `health_check_max_ms` at the latest.
    pub async fn health(&self) -> Health {
        let database = async { self.store.ping().await.map_err(|error| error.to_string()) };
        let gate = async { self.sandbox.run(|| ()).await.map_err(|busy| busy.0) };
        let (database, object_store, has_room) = tokio::join!(
            self.answers("the database", database),
            self.answers("the object store", self.blobs.answer()),
            self.answers("the gate", gate),
        );
        let behind = self.rules.load().behind.clone();
        let quarantined = self.sandbox.quarantined();
        let object_store = object_store.map_err(|said| said.map_or(Ill::Unreachable, |illness| illness.ill));
        let (database, has_room) = (database.is_ok(), has_room.is_ok());
        Health { database, object_store, rules: behind.map_or(Ok(()), Err), has_room, quarantined }
    }

    /// What a part says within its time; nothing where it says nothing.
    async fn answers<E: Display>(
        &self,
        part: &'static str,
        asked: impl Future<Output = Result<(), E>>,
    ) -> Result<(), Option<E>> {
        let wait_max_ms = self.limits.health_check_max_ms;
        let said = match tokio::time::timeout(Duration::from_millis(wait_max_ms), asked).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => Some(error),
            Err(_) => None,
        };
        let why = match &said {
            Some(error) => error.to_string(),
            None => format!("it did not answer in time (health_check_max_ms = {wait_max_ms})"),
        };
        tracing::warn!(part, why, "a part of the host does not answer");
        Err(said)
    }
}
