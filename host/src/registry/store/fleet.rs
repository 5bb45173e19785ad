//! What hosts of one database tell each other through it.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::names::{Scope, Tenant};

/// What happened to a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Happened {
    /// It was made: it may be put in force any moment.
    Created,
    /// It was put in force.
    Activated,
    /// Not a release: an exemption or a shadow was made or ended.
    Changed,
}

/// What a change of rules tells every host, once it is committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// What happened.
    pub what: Happened,
    /// Whose rules.
    pub tenant: Tenant,
    /// Which of them.
    pub scope: Scope,
    /// The release.
    pub number: i64,
}

/// Hears what is told from the moment that it was made, as long as its connection lasts.
#[async_trait]
pub trait Listener: Send {
    /// Waits for the next notice; none where something was told that this host cannot read.
    ///
    /// # Errors
    /// The connection was lost, and with it whatever is told until there is another listener.
    async fn next(&mut self) -> Result<Option<Notice>, StoreError>;
}

/// Notices. They are a help, never a promise: a host that hears none finds the same by looking.
#[async_trait]
pub trait FleetStore {
    /// Begins to listen; none where the engine carries no notices.
    async fn listen(&self) -> Result<Option<Box<dyn Listener>>, StoreError>;
}
