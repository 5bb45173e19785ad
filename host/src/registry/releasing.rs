//! How rules change: components are tried and kept, releases are proved, activated and loaded. Everything slow runs
//! off the request path and before the change that depends on it.

use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;

use super::fleet::beside;
use super::impact::kinds_of;
use super::publish::not_found;
use super::release::{ReleaseRef, Rules};
use super::rules::{Loading, NotLoaded, RulesInForce, Turns, check, unknown_kinds};
use super::signing::PluginSignature;
use super::store::{NewRelease, Page, PluginPlace, PluginRow, ReleaseRow};
use super::{ActiveScope, Actor, Pushed, Registry, RegistryError, Released, Releases};
use crate::clock::Millis;
use crate::names::{Digest, ModuleName, Scope};
use crate::plugin::Haste;
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
                // Its row promises its bytes: where they were lost, pushing them again brings them back.
                if self.blobs.get(&digest).await.is_err() {
                    self.blobs.put(&digest, component).await?;
                }
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
        let unknown = unknown_kinds(&rules, &kinds_of(&Scope::Policies, &active)?);
        if !unknown.is_empty() {
            return Err(RegistryError::BadRules(unknown));
        }
        self.prove(actor, &rules, unnumbered(&rules.scope, &digest, text.clone()), active).await?;
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

    /// The releases of a scope, newest first, below the number `before`.
    ///
    /// # Errors
    /// `NotFound` where the scope has no release and never had; `Store`.
    pub async fn releases(
        &self,
        actor: &Actor,
        scope: &Scope,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Releases, RegistryError> {
        let state = self.scope_state(actor, scope).await?;
        let page = self.store.releases(&actor.tenant, scope, before, limit).await?;
        let running = self.store.running_shadows(&actor.tenant).await?;
        let shadow = running.into_iter().find(|shadow| shadow.release.scope == *scope);
        Ok(Releases { page, state, shadow })
    }

    /// One release with its rules.
    ///
    /// # Errors
    /// `NoRelease`, `Store`.
    pub async fn release(
        &self,
        actor: &Actor,
        scope: &Scope,
        number: i64,
    ) -> Result<(ReleaseRow, Rules), RegistryError> {
        let row = self.store.release(&actor.tenant, scope, number).await?;
        let row = row.ok_or_else(|| RegistryError::NoRelease { scope: scope.clone(), number })?;
        let rules = parse_rules(&row)?;
        Ok((row, rules))
    }

    /// Loads rules, taking every plugin that is at hand; the inner error names the release that cannot be loaded.
    pub(super) async fn load(
        self: &Arc<Self>,
        rows: Vec<ReleaseRow>,
        haste: Haste,
        trial: Option<OwnedSemaphorePermit>,
    ) -> Result<Result<Arc<RulesInForce>, Box<NotLoaded>>, RegistryError> {
        self.load_beside(rows, haste, trial, None).await
    }

    /// The same, taking the plugins of these other rules too.
    pub(super) async fn load_beside(
        self: &Arc<Self>,
        rows: Vec<ReleaseRow>,
        haste: Haste,
        trial: Option<OwnedSemaphorePermit>,
        other: Option<Arc<RulesInForce>>,
    ) -> Result<Result<Arc<RulesInForce>, Box<NotLoaded>>, RegistryError> {
        let (registry, runtime) = (Arc::clone(self), Handle::current());
        off_path(move || {
            let _trial = trial;
            let component = components(&registry, &runtime);
            let parsed = |row: ReleaseRow| match parse_rules(&row) {
                Ok(rules) => Ok((row.release, rules)),
                Err(error) => Err(Box::new(NotLoaded { release: row.release, plugin: None, error })),
            };
            let releases = rows.into_iter().map(parsed).collect::<Result<Vec<_>, _>>()?;
            let (kept, in_force) = (registry.kept(), Arc::clone(&registry.rules.load().loaded));
            let at_hand = RulesInForce::at_hand(kept.iter().chain([&in_force]).chain(&other).map(|rules| &**rules));
            let (sandbox, previous, turns) = (&*registry.sandbox, Some(&at_hand), Turns::Shared(haste));
            let loading = Loading { sandbox, component: &component, previous, turns };
            RulesInForce::load_or_name(loading, releases, Arc::clone(in_force.exemptions()))
        })
        .await
    }

    /// The right to try something. It goes with the work, which runs to its end though its caller hangs up: without it
    /// a caller who does so again and again could have any number of components wait for the compiler.
    fn trial(&self) -> Result<OwnedSemaphorePermit, RegistryError> {
        Arc::clone(&self.trials).try_acquire_owned().map_err(|_| {
            let limit = self.limits.changes_in_flight_max;
            RegistryError::Busy { what: format!("it tries other changes (changes_in_flight_max = {limit})") }
        })
    }

    /// Loads what would be active with these rules in their scope's place, and keeps it ready. `release` is numbered 0
    /// where it is not stored yet.
    pub(super) async fn prove(
        self: &Arc<Self>,
        actor: &Actor,
        rules: &Rules,
        release: ReleaseRow,
        active: Vec<ReleaseRow>,
    ) -> Result<(), RegistryError> {
        for binding in &rules.bindings {
            if self.store.plugin(&actor.tenant, &binding.plugin).await?.is_none() {
                return Err(not_found("plugin", binding.plugin.as_str()));
            }
        }
        self.demand_signatures(actor, &rules.bindings).await?;
        let rows = beside(active, release);
        let mut refs: Vec<ReleaseRef> = rows.iter().map(|row| row.release.clone()).collect();
        refs.sort();
        if self.kept().iter().any(|rules| rules.releases() == refs) {
            return Ok(());
        }
        match self.load(rows, Haste::Ahead, Some(self.trial()?)).await? {
            Ok(rules) => {
                self.keep(&rules);
                Ok(())
            }
            Err(not) => Err(not.error),
        }
    }
}

/// Rules that are no release yet, as one.
pub(super) fn unnumbered(scope: &Scope, digest: &Digest, rules: String) -> ReleaseRow {
    ReleaseRow {
        release: ReleaseRef { scope: scope.clone(), number: 0, digest: digest.clone() },
        rules,
        author: String::new(),
        message: String::new(),
        created_at: Millis(0),
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

/// Reads components from the object store, on a thread that may wait for it.
pub(super) fn components(registry: &Registry, runtime: &Handle) -> impl Fn(&Digest) -> Result<Vec<u8>, String> {
    |digest| runtime.block_on(registry.blobs.get(digest)).map(|bytes| bytes.to_vec()).map_err(|error| chain(&error))
}

/// Runs slow, blocking work away from the threads that answer requests.
pub(super) async fn off_path<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, RegistryError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| RegistryError::Internal(format!("work off the request path ended early: {error}")))
}
