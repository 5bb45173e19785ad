//! How a host keeps to the rules in force: it loads what another host put in force as soon as it hears of it, looks
//! for it where it heard nothing, and judges by nothing else. See docs/SWAP.md.

use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::release::ReleaseRef;
use super::rules::{NotLoaded, RulesInForce};
use super::store::{Happened, Listener, Notice, ReleaseRow, Store};
use super::{InForce, Registry, RegistryError};
use crate::clock::Millis;
use crate::names::{Digest, Scope};
use crate::plugin::{Haste, Unfit};

/// Rules that are active and that this host could not load. Whoever may ask for its health may read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Behind {
    /// Whose rules they are.
    pub scope: Scope,
    /// The release.
    pub release: i64,
    /// Its digest.
    pub digest: Digest,
    /// What keeps them, in words for strangers.
    pub why: String,
}

impl fmt::Display for Behind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scope, release, why, .. } = self;
        write!(formatter, "release {release} of {scope} cannot be loaded: {why}")
    }
}

impl From<&NotLoaded> for Behind {
    fn from(not: &NotLoaded) -> Self {
        let release = not.release.clone();
        Self { scope: release.scope, release: release.number, digest: release.digest, why: why(not) }
    }
}

/// Causes may name what strangers need not know, a path say: the log has them.
pub(super) fn why(not: &NotLoaded) -> String {
    match &not.error {
        RegistryError::Unfit { binding, unfit } => {
            let binding = binding.as_deref().unwrap_or("?");
            let why = match unfit {
                Unfit::Load(_) => match &not.plugin {
                    Some(plugin) => format!(
                        "its component {plugin} is not to be had from the object store: push it again, or give every \
                         host the same --objects"
                    ),
                    None => "its component is not to be had from the object store".to_owned(),
                },
                Unfit::Settings(remarks) => match remarks.first() {
                    Some(remark) => format!("{unfit}: {}", remark.message),
                    None => unfit.to_string(),
                },
                Unfit::Broke(failure) => format!("{unfit}: {failure}"),
                unfit => unfit.to_string(),
            };
            format!("binding '{binding}': {why}")
        }
        RegistryError::BadRules(remarks) => {
            remarks.first().map_or_else(|| not.error.to_string(), |remark| remark.message.clone())
        }
        RegistryError::Internal(_) => "this host cannot read it: it may be of a newer hallmark".to_owned(),
        error => error.to_string(),
    }
}

/// What wakes a host that watches.
enum Woken {
    Heard(Notice),
    /// Something may have been told that was not heard, or not understood.
    Unclear,
    /// Nobody told anything for a while.
    Looked,
}

fn count(what: &'static str) {
    metrics::counter!("registry_rules_notices_total", "what" => what).increment(1);
}

impl Registry {
    /// Loads what other hosts put in force, for as long as the registry is held elsewhere.
    pub async fn watch_rules(self: Arc<Self>) {
        let every = Duration::from_millis(self.limits.release_poll_ms.max(10));
        let (tell, mut told) = mpsc::channel(64);
        tokio::spawn(listen(Arc::clone(&self.store), tell, every));
        let watched = Arc::downgrade(&self);
        drop(self);
        // A look that finds a change may be quicker than its notice: only what is not told until the next was missed.
        let (mut listens, mut perhaps_missed) = (true, false);
        // One clock for all looks: however often something is told, the next look comes.
        let mut looks = tokio::time::interval(every);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        looks.reset();
        loop {
            let woken = tokio::select! {
                woken = told.recv(), if listens => woken,
                _ = looks.tick() => Some(Woken::Looked),
            };
            let Some(registry) = watched.upgrade() else { return };
            let Some(woken) = woken else {
                listens = false;
                continue;
            };
            match &woken {
                Woken::Looked if perhaps_missed && listens => {
                    count("missed");
                    tracing::warn!("rules changed and this host was not told: it found out by looking");
                }
                // Another tenant's registry hears it as well.
                Woken::Heard(notice) if notice.tenant != registry.tenant => continue,
                Woken::Heard(notice) => {
                    count("heard");
                    if notice.what == Happened::Created {
                        tokio::spawn(Arc::clone(&registry).prepare(notice.clone()));
                        continue;
                    }
                }
                Woken::Looked | Woken::Unclear => {}
            }
            match registry.refresh_rules().await {
                Ok(changed) => perhaps_missed = changed && matches!(woken, Woken::Looked),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "the rules in force cannot be read");
                }
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
            Some(behind) => Err(RegistryError::NotReady { behind: Box::new(behind.clone()) }),
        }
    }

    /// Loads what is active, where that is not what this host judges by, and says whether it was not. A release that
    /// cannot be loaded makes the host not ready; it is tried again with every refresh.
    pub(super) async fn refresh_rules(self: &Arc<Self>) -> Result<bool, RegistryError> {
        let _one_at_a_time = self.refreshing.lock().await;
        let current = self.rules.load_full();
        let stamp = self.store.rules_stamp(&self.tenant).await?;
        let has_exemptions = current.loaded.exemptions().number == stamp.exemptions;
        if current.behind.is_none() && has_exemptions && current.loaded.releases() == stamp.releases {
            self.follow_shadows(stamp.shadows);
            return Ok(false);
        }
        let exemptions = match has_exemptions {
            true => Arc::clone(current.loaded.exemptions()),
            false => Arc::new(self.store.exemptions_in_force(&self.tenant, Millis::now()).await?),
        };
        let mut ready = self.kept().into_iter().chain([Arc::clone(&current.loaded)]);
        let ready = ready.find(|rules| rules.releases() == stamp.releases);
        let loaded = match ready {
            Some(rules) => Ok(rules),
            None => self.load(self.store.active_releases(&self.tenant).await?, Haste::Now, None).await?,
        };
        match loaded {
            Ok(loaded) => {
                self.keep(&loaded);
                if let Some(behind) = &current.behind {
                    tracing::info!(scope = %behind.scope, release = behind.release, "the host judges again");
                }
                // What was kept ready may be from before an exemption was made or taken back.
                let loaded = loaded.with_exemptions(exemptions);
                self.rules.store(Arc::new(InForce { loaded, behind: None }));
            }
            Err(not) => {
                let behind = Behind::from(&*not);
                if current.behind.as_ref() != Some(&behind) {
                    let error = &not.error as &dyn std::error::Error;
                    tracing::error!(error, %behind, "the active rules cannot be loaded: the host judges nothing");
                }
                self.rules.store(Arc::new(InForce { loaded: Arc::clone(&current.loaded), behind: Some(behind) }));
            }
        }
        self.follow_shadows(stamp.shadows);
        Ok(true)
    }

    /// Loads what this host has just changed. It is changed whatever comes of that: the next look catches up.
    pub(super) async fn catch_up(self: &Arc<Self>) {
        if let Err(error) = self.refresh_rules().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "what was changed here is loaded later");
        }
    }

    /// Loads a release that another host made beside what is active now, so that its activation finds everything
    /// compiled. What keeps it is only told: nothing is in force yet.
    async fn prepare(self: Arc<Self>, notice: Notice) {
        let Notice { scope, number, .. } = notice;
        let failed = |why: &dyn fmt::Display| {
            tracing::warn!(%scope, release = number, %why, "put in force, this release would stop this host");
        };
        // Waited for: nobody is there to be told to come again. One at a time is enough.
        let Ok(trial) = Arc::clone(&self.trials).acquire_owned().await else { return };
        let rows = async {
            let release = self.store.release(&self.tenant, &scope, number).await?;
            Ok::<_, RegistryError>((release, self.store.active_releases(&self.tenant).await?))
        };
        match rows.await {
            Ok((Some(release), active)) => match self.load(beside(active, release), Haste::Ahead, Some(trial)).await {
                Ok(Ok(rules)) => self.keep(&rules),
                Ok(Err(not)) => failed(&Behind::from(&*not)),
                Err(error) => failed(&error),
            },
            Ok((None, _)) => {}
            Err(error) => failed(&error),
        }
    }

    /// The sets of rules that are ready to judge by, the newest first.
    pub(super) fn kept(&self) -> Vec<Arc<RulesInForce>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Keeps rules ready: putting them in force, or back in force, loads nothing then.
    pub(super) fn keep(&self, rules: &Arc<RulesInForce>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // The same rules under another number, as they were proved before they had one, are worth no place.
        let mut gone: Vec<_> = kept.extract_if(.., |other| are_same(other.releases(), rules.releases())).collect();
        kept.insert(0, Arc::clone(rules));
        let kept_max = self.limits.rules_kept_max.max(1).min(kept.len());
        gone.extend(kept.drain(kept_max..));
        drop(kept);
        // Letting go of compiled code gives its pages back, which takes its time: not on a thread that answers.
        spawn_blocking(move || drop(gone));
    }
}

fn are_same(some: &[ReleaseRef], others: &[ReleaseRef]) -> bool {
    let rules = |releases: &[ReleaseRef]| -> Vec<(Scope, Digest)> {
        releases.iter().map(|release| (release.scope.clone(), release.digest.clone())).collect()
    };
    rules(some) == rules(others)
}

/// What would be active with this release in its scope's place.
pub(super) fn beside(active: Vec<ReleaseRow>, release: ReleaseRow) -> Vec<ReleaseRow> {
    let mut rows: Vec<ReleaseRow> =
        active.into_iter().filter(|row| row.release.scope != release.release.scope).collect();
    rows.push(release);
    rows
}

/// Hears what is told until nobody wants to know, connecting again where the connection is lost.
async fn listen(store: Arc<dyn Store>, tell: mpsc::Sender<Woken>, every: Duration) {
    while !tell.is_closed() {
        match store.listen().await {
            Ok(None) => return,
            Ok(Some(listener)) => pass_on(listener, &tell).await,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the host cannot listen for changes of rules");
                tokio::select! {
                    () = tokio::time::sleep(every) => {}
                    () = tell.closed() => {}
                }
            }
        }
    }
}

/// Passes on what is told until the connection is lost, or nobody wants to know.
async fn pass_on(mut listener: Box<dyn Listener>, tell: &mpsc::Sender<Woken>) {
    // What was told before it listened, it did not hear.
    let mut woken = Woken::Unclear;
    while tell.send(woken).await.is_ok() {
        let heard = tokio::select! {
            heard = listener.next() => heard,
            () = tell.closed() => return,
        };
        woken = match heard {
            Ok(notice) => notice.map_or(Woken::Unclear, Woken::Heard),
            Err(error) => {
                count("lost");
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the host does not hear of changes of rules: it listens again");
                return;
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::{Cause, Failure};
    use crate::report::Remark;

    fn behind(plugin: Option<Digest>, error: RegistryError) -> String {
        let release = ReleaseRef { scope: Scope::Policies, number: 3, digest: Digest::of(b"") };
        Behind::from(&NotLoaded { release, plugin, error }).to_string()
    }

    fn unfit(unfit: Unfit) -> RegistryError {
        RegistryError::Unfit { binding: Some("cel".to_owned()), unfit }
    }

    #[test]
    fn what_keeps_a_release_is_told_without_a_path() {
        let plugin = Digest::of(b"component");
        let cause = Cause::Deadline { limit_ms: 5 };
        let failure = Failure { plugin: "cel".to_owned(), digest: plugin.clone(), cause, lookups: Vec::new() };
        let said = [
            behind(Some(plugin.clone()), unfit(Unfit::Load("/secret/path".to_owned()))),
            behind(Some(plugin.clone()), unfit(Unfit::Broke(failure.clone()))),
            behind(None, unfit(Unfit::Settings(vec![Remark::error("a.b", "/x", "no such field")]))),
            behind(None, RegistryError::BadRules(vec![Remark::error("a.b", "/x", "the kind is declared twice")])),
            behind(None, RegistryError::Internal("release 3: unknown field /secret/path".to_owned())),
        ];
        let cannot = "release 3 of policies cannot be loaded: ";
        assert_eq!(
            said.each_ref().map(|text| text.strip_prefix(cannot).expect("the release")),
            [
                &*format!(
                    "binding 'cel': its component {plugin} is not to be had from the object store: push it again, or \
                     give every host the same --objects"
                ),
                &*format!("binding 'cel': it broke when it was tried: {failure}"),
                "binding 'cel': its settings are refused: no such field",
                "the kind is declared twice",
                "this host cannot read it: it may be of a newer hallmark",
            ]
        );
    }
}
