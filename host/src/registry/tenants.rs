//! The tenants of a host: a registry of each, opened when the host starts, or when somebody first shows a token of it. They
//! share what is the machine's (the sandbox, components, turns) and nothing that is a tenant's own.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use super::access::{Grants, MadeToken, new_token, token_row};
use super::store::{Store, StoreError};
use super::{Registry, RegistryError};
use crate::clock::Millis;
use crate::names::Tenant;

/// Who makes tenants, in their audit logs.
const OPERATOR: &str = "operator";

/// What a tenant's first token is called.
const FIRST_TOKEN: &str = "admin";

type Tend = dyn Fn(Arc<Registry>) + Send + Sync;

/// The registries of one host.
pub struct Tenants {
    /// That of the tenant which is there without anybody's doing: the host's own folders are its rules, and its health is
    /// the host's.
    first: Arc<Registry>,
    open: RwLock<BTreeMap<Tenant, Arc<Registry>>>,
    /// One is opened at a time.
    opening: tokio::sync::Mutex<()>,
    /// Starts what goes on beside requests.
    tend: Box<Tend>,
}

impl Tenants {
    /// Opens a registry of every tenant that there is, and has each tended to.
    ///
    /// # Errors
    /// The database or the object store cannot be used.
    pub async fn open(
        first: Arc<Registry>,
        tend: impl Fn(Arc<Registry>) + Send + Sync + 'static,
    ) -> Result<Arc<Self>, RegistryError> {
        let (open, opening) = (RwLock::default(), tokio::sync::Mutex::new(()));
        let tenants = Arc::new(Self { first: Arc::clone(&first), open, opening, tend: Box::new(tend) });
        tenants.add(first);
        tenants.look().await?;
        Ok(tenants)
    }

    /// That of the tenant which is there without anybody's doing.
    pub fn first(&self) -> &Arc<Registry> {
        &self.first
    }

    /// Those that are open, by their tenants' names.
    pub fn all(&self) -> Vec<Arc<Registry>> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// A tenant's; none where there is no such tenant.
    ///
    /// # Errors
    /// The database or the object store cannot be used.
    pub async fn registry(&self, tenant: &Tenant) -> Result<Option<Arc<Registry>>, RegistryError> {
        if let Some(known) = self.known(tenant) {
            return Ok(Some(known));
        }
        let _one_at_a_time = self.opening.lock().await;
        if let Some(known) = self.known(tenant) {
            return Ok(Some(known));
        }
        if !self.first.store.tenants().await?.contains(tenant) {
            return Ok(None);
        }
        let registry = self.first.beside(tenant.clone()).await?;
        self.add(Arc::clone(&registry));
        Ok(Some(registry))
    }

    /// Looks for tenants that were made elsewhere, again and again: what was committed of one whose host died is announced
    /// by another.
    pub async fn watch(self: Arc<Self>) {
        let every = Duration::from_millis(self.first.limits.tenant_poll_ms.max(10));
        let watched = Arc::downgrade(&self);
        drop(self);
        loop {
            tokio::time::sleep(every).await;
            let Some(tenants) = watched.upgrade() else { return };
            if let Err(error) = tenants.look().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "new tenants are looked for later");
            }
        }
    }

    async fn look(&self) -> Result<(), RegistryError> {
        for tenant in self.first.store.tenants().await? {
            self.registry(&tenant).await?;
        }
        Ok(())
    }

    fn known(&self, tenant: &Tenant) -> Option<Arc<Registry>> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).get(tenant).cloned()
    }

    fn add(&self, registry: Arc<Registry>) {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        open.insert(registry.tenant.clone(), Arc::clone(&registry));
        drop(open);
        (self.tend)(registry);
    }
}

/// Makes a tenant, with the token of its first admin; none where it is there already.
///
/// # Errors
/// The database.
pub async fn create(store: &dyn Store, tenant: &Tenant, now: Millis) -> Result<Option<MadeToken>, StoreError> {
    if store.tenants().await?.contains(tenant) {
        return Ok(None);
    }
    store.ensure_tenant(tenant, now).await?;
    admit(store, tenant, now).await.map(Some)
}

/// Makes a token of an admin of the tenant, for who has lost every other.
///
/// # Errors
/// The database.
pub async fn admit(store: &dyn Store, tenant: &Tenant, now: Millis) -> Result<MadeToken, StoreError> {
    let token = new_token();
    let row = token_row(tenant, &token, FIRST_TOKEN, Grants::everything(), None, OPERATOR, now);
    store.insert_token(&row).await?;
    Ok(MadeToken { token, row })
}
