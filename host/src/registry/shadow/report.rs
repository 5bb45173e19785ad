//! What was counted of that which runs beside the active release: by how it compares, by code, with examples.

use super::observing::observer;
use super::{Agreement, ShadowRow};
use crate::names::{Scope, Tenant};
use crate::registry::releasing::parse_rules;
use crate::registry::staging::TIMED;
use crate::registry::store::{ObservationCode, ObservationExample};
use crate::registry::{Actor, Registry, RegistryError};
use crate::report::Mode;

/// Codes of a report, and examples of each count in it.
const CODES_SHOWN_MAX: u32 = 50;
const EXAMPLES_SHOWN_MAX: u32 = 3;

/// Observers that a host counts at once; others wait for their turn.
pub(in crate::registry) const TALLIES_AT_ONCE: usize = 2;

/// What would have been said over every publish that was seen.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Publishes, by how the two compare, with the newest of each that is not agreement.
    pub counts: Vec<(Agreement, i64, Vec<ObservationExample>)>,
    /// The codes that only one of the two finds, with the newest publishes of each.
    pub codes: Vec<(ObservationCode, Vec<ObservationExample>)>,
    /// Microseconds by which a publish is slower for it, on average over the newest that it judged; none where it
    /// judged none.
    pub slower_micros: Option<i64>,
}

/// What a shadow would have said.
#[derive(Debug, Clone)]
pub struct ShadowReport {
    /// The newest shadow of the scope, running or not.
    pub shadow: ShadowRow,
    /// What was counted.
    pub tally: Tally,
    /// Why this host does not run it, where it should.
    pub unable: Option<String>,
}

/// What a binding of the active release that observes would have changed.
#[derive(Debug, Clone)]
pub struct ObservingReport {
    /// The release that binds it.
    pub release: i64,
    /// Its name.
    pub binding: String,
    /// The share of entries that it sees.
    pub percent: u8,
    /// What was counted, whenever this release was the active one.
    pub tally: Tally,
}

impl Registry {
    /// What the newest shadow of a scope would have said; none where the scope never had one.
    ///
    /// # Errors
    /// `Store`.
    pub async fn shadow_report(&self, actor: &Actor, scope: &Scope) -> Result<Option<ShadowReport>, RegistryError> {
        let Some(shadow) = self.store.newest_shadow(&actor.tenant, scope).await? else { return Ok(None) };
        let tally = self.tally(&actor.tenant, &shadow.id, &Agreement::ALL).await?;
        let unable = self.shadows.load().unable(&shadow.id).map(str::to_owned);
        Ok(Some(ShadowReport { shadow, tally, unable }))
    }

    /// What each binding that observes would have changed, of a scope's active release.
    ///
    /// # Errors
    /// `Store`.
    pub async fn observing_reports(&self, actor: &Actor, scope: &Scope) -> Result<Vec<ObservingReport>, RegistryError> {
        let Some(active) = self.store.active_release(&actor.tenant, scope).await? else { return Ok(Vec::new()) };
        let release = active.release.number;
        let mut reports = Vec::new();
        for binding in parse_rules(&active)?.bindings {
            if binding.mode == Mode::Observe {
                let observer = observer(scope, release, &binding.name);
                let tally = self.tally(&actor.tenant, &observer, &Agreement::OF_BINDINGS).await?;
                let percent = binding.percent.unwrap_or(100);
                reports.push(ObservingReport { release, binding: binding.name, percent, tally });
            }
        }
        Ok(reports)
    }

    async fn tally(&self, tenant: &Tenant, observer: &str, agreements: &[Agreement]) -> Result<Tally, RegistryError> {
        // They read every row of an observer: many at once would take the connections that publishes need.
        let _turn = self.tallies.acquire().await.map_err(|error| RegistryError::Internal(error.to_string()))?;
        let counted = self.store.observation_counts(tenant, observer).await?;
        let mut counts = Vec::new();
        for &agreement in agreements {
            let count = counted.iter().find(|(counted, _)| *counted == agreement).map_or(0, |(_, count)| *count);
            let examples = match agreement {
                Agreement::Agreed => Vec::new(),
                _ if count == 0 => Vec::new(),
                _ => self.store.observation_examples(tenant, observer, agreement, EXAMPLES_SHOWN_MAX).await?,
            };
            counts.push((agreement, count, examples));
        }
        let mut codes = Vec::new();
        for code in self.store.observation_codes(tenant, observer, CODES_SHOWN_MAX).await? {
            let examples = self.store.observation_code_examples(tenant, observer, &code, EXAMPLES_SHOWN_MAX).await?;
            codes.push((code, examples));
        }
        let (slower_micros, timed) = self.store.observation_progress(tenant, observer, TIMED).await?.slower_micros;
        Ok(Tally { counts, codes, slower_micros: (timed > 0).then_some(slower_micros) })
    }
}
