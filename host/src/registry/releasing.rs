//! How rules change: components are tried and kept, releases are proved, activated and loaded. Everything slow runs
//! off the request path and before the change that depends on it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;

use super::publish::not_found;
use super::release::{ReleaseRef, Rules};
use super::rules::{RulesInForce, check};
use super::signing::PluginSignature;
use super::store::{Activate, Activation, NewRelease, Page, PluginPlace, PluginRow, ReleaseHead, ReleaseRow};
use super::{ActiveScope, Actor, InForce, Pushed, Registry, RegistryError, Released};
use crate::clock::Millis;
use crate::names::{Digest, ModuleName, Scope};
use crate::plugin::{Progress, Step};

impl Registry {
    /// Tries a component and keeps it, with its signature; `progress` is told each step. The bytes that are there already take none.
    ///
    /// # Errors
    /// `Unfit` says why it cannot be put to work; `Unsigned`; `Store`, `Blobs`.
    pub async fn push_plugin(
        self: &Arc<Self>,
        actor: &Actor,
        component: Bytes,
        signature: Option<&PluginSignature>,
        progress: Arc<Progress<'static>>,
    ) -> Result<Pushed, RegistryError> {
        let digest = Digest::of(&component);
        let known = self.store.plugin(&actor.tenant, &digest).await?;
        let signature = self.accept_signature(actor, &digest, signature, known.as_ref()).await?;
        let pushed = match known {
            Some(plugin) => {
                let inspection = serde_json::from_str(&plugin.inspection)
                    .map_err(|error| RegistryError::Internal(format!("a stored inspection cannot be read: {error}")))?;
                Pushed { plugin, inspection, created: false }
            }
            None => self.keep_plugin(actor, digest, component, progress).await?,
        };
        if let Some(signature) = signature {
            self.store.insert_signature(&actor.tenant, &signature).await?;
        }
        Ok(pushed)
    }

    async fn keep_plugin(
        self: &Arc<Self>,
        actor: &Actor,
        digest: Digest,
        component: Bytes,
        progress: Arc<Progress<'static>>,
    ) -> Result<Pushed, RegistryError> {
        let (sandbox, bytes, trial) = (Arc::clone(&self.sandbox), component.clone(), self.trial()?);
        let told = Arc::clone(&progress);
        let inspect = move || {
            let _trial = trial;
            sandbox.inspect(&bytes, &*told)
        };
        let inspection = off_path(inspect).await?.map_err(|unfit| RegistryError::Unfit { binding: None, unfit })?;
        let plugin = PluginRow {
            digest: digest.clone(),
            name: inspection.description.name.clone(),
            version: inspection.description.version.clone(),
            contract: inspection.contract.clone(),
            inspection: serde_json::to_string(&inspection).expect("an inspection is plain data"),
            size_bytes: i64::try_from(component.len()).unwrap_or(i64::MAX),
            pushed_by: actor.name.clone(),
            pushed_at: Millis::now(),
        };
        progress(Step::Keeping);
        // The bytes before the row: a row promises them.
        self.blobs.put(&digest, component).await?;
        let created = self.store.insert_plugin(&actor.tenant, &plugin).await?;
        Ok(Pushed { plugin, inspection, created })
    }

    /// Plugins by name, then time pushed, after `after`.
    ///
    /// # Errors
    /// `Store`.
    pub async fn plugins(
        &self,
        actor: &Actor,
        after: Option<&PluginPlace>,
        limit: u32,
    ) -> Result<Page<PluginRow>, RegistryError> {
        Ok(self.store.plugins(&actor.tenant, after, limit).await?)
    }

    /// One plugin.
    ///
    /// # Errors
    /// `NotFound`, `Store`.
    pub async fn plugin(&self, actor: &Actor, digest: &str) -> Result<PluginRow, RegistryError> {
        let parsed: Digest = digest.parse().map_err(|_| not_found("plugin", digest))?;
        self.store.plugin(&actor.tenant, &parsed).await?.ok_or_else(|| not_found("plugin", digest))
    }

    /// Proves rules (every binding is compiled and configured) and keeps them as the scope's next release; the
    /// active release is returned unchanged where it has the same rules.
    ///
    /// # Errors
    /// `BadRules`, `Unfit`: what must change. `Store`, `Blobs`.
    pub async fn create_release(
        self: &Arc<Self>,
        actor: &Actor,
        rules: Rules,
        message: String,
    ) -> Result<Released, RegistryError> {
        let remarks = check(&rules);
        if !remarks.is_empty() {
            return Err(RegistryError::BadRules(remarks));
        }
        let (text, digest) = rules.canonical();
        let active = self.store.active_releases(&actor.tenant).await?;
        if let Some(same) = active.iter().find(|row| row.release.scope == rules.scope && row.release.digest == digest) {
            return Ok(Released { release: same.clone(), created: false });
        }
        self.prove(actor, &rules, &digest, &active).await?;
        let release = NewRelease {
            scope: rules.scope,
            digest,
            rules: text,
            author: actor.name.clone(),
            message,
            created_at: Millis::now(),
        };
        let release = self.store.create_release(&actor.tenant, &release).await?;
        Ok(Released { release, created: true })
    }

    /// Puts a release in force. `expected`: the number the caller believes active (`Some(None)`: none).
    ///
    /// # Errors
    /// `NotFound`, `ReleaseMoved`; `BadRules`, `Unfit` where it does not load beside what is active now; `Store`.
    pub async fn activate(
        self: &Arc<Self>,
        actor: &Actor,
        scope: &Scope,
        number: i64,
        expected: Option<Option<i64>>,
    ) -> Result<ReleaseRow, RegistryError> {
        let (row, rules) = self.release(actor, scope, number).await?;
        let active = self.store.active_releases(&actor.tenant).await?;
        self.prove(actor, &rules, &row.release.digest, &active).await?;
        let wish = Activate { scope, number, expected, actor: &actor.name, at: Millis::now() };
        match self.store.activate(&actor.tenant, &wish).await? {
            Activation::Activated => {
                tracing::info!(%scope, release = number, actor = actor.name, "registry.release.activated");
                self.refresh_rules().await?;
                Ok(row)
            }
            Activation::Unchanged => Ok(row),
            Activation::Moved { active } => Err(RegistryError::ReleaseMoved { scope: scope.clone(), active }),
            Activation::Missing => Err(not_found("release", &number.to_string())),
        }
    }

    /// Modules by name, after `after`, each with its active rules.
    ///
    /// # Errors
    /// `Store`.
    pub async fn modules(
        &self,
        actor: &Actor,
        after: Option<&ModuleName>,
        limit: u32,
    ) -> Result<Page<(ModuleName, ActiveScope)>, RegistryError> {
        let page = self.store.active_modules(&actor.tenant, after, limit).await?;
        let module = |release: ReleaseRow| match release.release.scope.clone() {
            Scope::Module(name) => Ok((name, ActiveScope { rules: parse_rules(&release)?, release })),
            Scope::Policies => Err(RegistryError::Internal("the policies are listed as a module".to_owned())),
        };
        Ok(Page { items: page.items.into_iter().map(module).collect::<Result<_, _>>()?, more: page.more })
    }

    /// One scope with its active rules, where it has any.
    ///
    /// # Errors
    /// `Store`.
    pub async fn scope(&self, actor: &Actor, scope: &Scope) -> Result<Option<ActiveScope>, RegistryError> {
        let release = self.store.active_release(&actor.tenant, scope).await?;
        release.map(|release| Ok(ActiveScope { rules: parse_rules(&release)?, release })).transpose()
    }

    /// The releases of a scope, newest first, below the number `before`, with the number of the active one.
    ///
    /// # Errors
    /// `Store`.
    pub async fn releases(
        &self,
        actor: &Actor,
        scope: &Scope,
        before: Option<i64>,
        limit: u32,
    ) -> Result<(Page<ReleaseHead>, Option<i64>), RegistryError> {
        let releases = self.store.releases(&actor.tenant, scope, before, limit).await?;
        let active = self.store.active_release_refs(&actor.tenant).await?;
        let active = active.into_iter().find(|release| release.scope == *scope).map(|release| release.number);
        Ok((releases, active))
    }

    /// One release with its rules.
    ///
    /// # Errors
    /// `NotFound`, `Store`.
    pub async fn release(
        &self,
        actor: &Actor,
        scope: &Scope,
        number: i64,
    ) -> Result<(ReleaseRow, Rules), RegistryError> {
        let row = self.store.release(&actor.tenant, scope, number).await?;
        let row = row.ok_or_else(|| not_found("release", &number.to_string()))?;
        let rules = parse_rules(&row)?;
        Ok((row, rules))
    }

    /// Looks for releases that another host activated, for as long as the registry is held elsewhere.
    pub async fn watch_rules(self: Arc<Self>) {
        let every = Duration::from_millis(self.limits.release_poll_ms.max(10));
        let watched = Arc::downgrade(&self);
        drop(self);
        loop {
            tokio::time::sleep(every).await;
            let Some(registry) = watched.upgrade() else { return };
            if let Err(error) = registry.refresh_rules().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "the rules in force cannot be read");
            }
        }
    }

    /// The rules to judge by.
    ///
    /// # Errors
    /// `NotReady` where others are in force that this host could not load: it must not judge by retired ones.
    pub(super) fn rules_to_judge_by(&self) -> Result<Arc<RulesInForce>, RegistryError> {
        let in_force = self.rules.load();
        match &in_force.behind {
            None => Ok(Arc::clone(&in_force.loaded)),
            Some(why) => Err(RegistryError::NotReady { why: why.clone() }),
        }
    }

    /// Loads what is active, where that is not what this host judges by. A release that cannot be loaded makes the
    /// host not ready.
    pub(super) async fn refresh_rules(self: &Arc<Self>) -> Result<(), RegistryError> {
        let _one_at_a_time = self.refreshing.lock().await;
        let current = self.rules.load_full();
        let mut active = self.store.active_release_refs(&self.tenant).await?;
        active.sort();
        if current.behind.is_none() && current.loaded.releases() == active {
            return Ok(());
        }
        let rows = self.store.active_releases(&self.tenant).await?;
        let previous = Arc::clone(&current.loaded);
        match self.load(rows, previous, None).await {
            Ok(loaded) => self.rules.store(Arc::new(InForce { loaded: Arc::new(loaded), behind: None })),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the active rules cannot be loaded");
                let behind = Some(error.to_string());
                self.rules.store(Arc::new(InForce { loaded: Arc::clone(&current.loaded), behind }));
            }
        }
        Ok(())
    }

    async fn load(
        self: &Arc<Self>,
        rows: Vec<ReleaseRow>,
        previous: Arc<RulesInForce>,
        trial: Option<OwnedSemaphorePermit>,
    ) -> Result<RulesInForce, RegistryError> {
        let releases = rows
            .into_iter()
            .map(|row| Ok((row.release.clone(), parse_rules(&row)?)))
            .collect::<Result<Vec<(ReleaseRef, Rules)>, RegistryError>>()?;
        let (registry, runtime) = (Arc::clone(self), Handle::current());
        off_path(move || {
            let _trial = trial;
            let component = |digest: &Digest| {
                runtime.block_on(registry.blobs.get(digest)).map(|bytes| bytes.to_vec()).map_err(|error| chain(&error))
            };
            RulesInForce::load(&registry.sandbox, releases, &component, Some(&previous))
        })
        .await?
    }

    /// The right to try something. It goes with the work, which runs to its end though its caller hangs up: without it
    /// a caller who does so again and again could have any number of components wait for the compiler.
    fn trial(&self) -> Result<OwnedSemaphorePermit, RegistryError> {
        Arc::clone(&self.trials).try_acquire_owned().map_err(|_| {
            let limit = self.limits.changes_in_flight_max;
            RegistryError::Busy { what: format!("it tries other changes (changes_in_flight_max = {limit})") }
        })
    }

    /// Loads what would be active with these rules in their scope's place, and lets go of it: whatever was compiled
    /// for it stays in the cache, so that activation is quick.
    async fn prove(
        self: &Arc<Self>,
        actor: &Actor,
        rules: &Rules,
        digest: &Digest,
        active: &[ReleaseRow],
    ) -> Result<(), RegistryError> {
        for binding in &rules.bindings {
            if self.store.plugin(&actor.tenant, &binding.plugin).await?.is_none() {
                return Err(not_found("plugin", binding.plugin.as_str()));
            }
        }
        self.demand_signatures(actor, &rules.bindings).await?;
        let mut rows: Vec<ReleaseRow> = active.iter().filter(|row| row.release.scope != rules.scope).cloned().collect();
        rows.push(ReleaseRow {
            release: ReleaseRef { scope: rules.scope.clone(), number: 0, digest: digest.clone() },
            rules: rules.canonical().0,
            author: String::new(),
            message: String::new(),
            created_at: Millis(0),
        });
        let previous = Arc::clone(&self.rules.load().loaded);
        self.load(rows, previous, Some(self.trial()?)).await.map(drop)
    }
}

pub(super) fn parse_rules(row: &ReleaseRow) -> Result<Rules, RegistryError> {
    serde_json::from_str(&row.rules).map_err(|error| {
        RegistryError::Internal(format!(
            "release {} of {} cannot be read: {error}",
            row.release.number, row.release.scope
        ))
    })
}

/// An error with its causes, for the log and for who waits for a host to be ready.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Runs slow, blocking work away from the threads that answer requests.
pub(super) async fn off_path<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, RegistryError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| RegistryError::Internal(format!("work off the request path ended early: {error}")))
}
