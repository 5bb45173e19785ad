//! Staged activation: a release runs as a shadow until its conditions are met and is then activated, as by hand; or it
//! demotes itself, because it would newly reject, disagrees, fails or is slow beyond its budget. After its activation nothing
//! watches it: what it then says are decisions, not disagreements.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::activation::Conditions;
use super::release::ReleaseRef;
use super::shadow::{ShadowRow, ShadowState};
use super::store::{Progress, ProgressAsked, ShadowEnd};
use super::{Actor, Registry, RegistryError};
use crate::clock::{Instant, Millis};
use crate::plugin::Unfit;

/// Milliseconds of an hour.
const HOUR_MS: i64 = 3_600_000;

/// Publishes over which the time of a staged release is averaged, and below which it says nothing yet.
const TIMED_MAX: i64 = 1_000;
const TIMED_MIN: i64 = 10;

/// What asks for the time alone.
pub(super) const TIMED: ProgressAsked =
    ProgressAsked { judged: 0, newly_rejected: 0, disagreed: 0, failed: 0, timed: TIMED_MAX };

/// When a staged release is activated, and what demotes it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Plan {
    /// Not before this instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Millis>,
    /// Not before it judged so many publishes.
    pub after_publishes: u32,
    /// Not before it ran so many hours.
    pub after_hours: u32,
    /// What it may do until then.
    pub budget: Budget,
    /// The release that it takes the place of; where another one is active it is demoted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<i64>,
}

/// What a staged release may do before it demotes itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Budget {
    /// Publishes that it would newly reject.
    pub rejections: u32,
    /// Publishes that it would newly reject or newly approve, or of which it finds something else; none is not
    /// compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disagreements: Option<u32>,
    /// Publishes that it may fail over.
    pub failures: u32,
    /// Milliseconds by which it may be slower than the active release, on average; none is not compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slower_ms: Option<u32>,
}

/// What is to be done with a staged release.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Wait,
    Activate(String),
    Demote(String),
}

impl Plan {
    /// As the audit log keeps it: in the API's words.
    pub(super) fn told(&self) -> Value {
        json!({
            "at": self.at.map(Instant),
            "afterPublishes": self.after_publishes,
            "afterHours": self.after_hours,
            "budget": self.budget,
            "replaces": self.expected,
        })
    }

    /// With the release that is active at `now`.
    pub(super) fn checked(self, active: i64, now: Millis) -> Result<Self, RegistryError> {
        // Most often the time of another zone or the year before, and it would be in force a moment later.
        if let Some(at) = self.at.filter(|at| *at < now) {
            let why = format!("at: {} is past: name an instant to come, in UTC, or activate it at once", at.rfc3339());
            return Err(RegistryError::BadChange(why));
        }
        if self.at.is_none() && self.after_publishes == 0 && self.after_hours == 0 {
            let why = "say when it is to be activated: at an instant, after a number of publishes, after hours, or several \
                       of these";
            return Err(RegistryError::BadChange(why.to_owned()));
        }
        Ok(Self { expected: Some(active), ..self })
    }

    fn asked(&self) -> ProgressAsked {
        ProgressAsked {
            judged: i64::from(self.after_publishes),
            newly_rejected: i64::from(self.budget.rejections) + 1,
            disagreed: self.budget.disagreements.map_or(0, |most| i64::from(most) + 1),
            failed: i64::from(self.budget.failures) + 1,
            timed: TIMED_MAX,
        }
    }

    fn judge(&self, progress: Progress, started_at: Millis, now: Millis) -> Verdict {
        if let Some(why) = self.budget.exceeded(progress) {
            return Verdict::Demote(why);
        }
        let waited = self.at.is_none_or(|at| at <= now)
            && progress.judged >= i64::from(self.after_publishes)
            && now.0 - started_at.0 >= i64::from(self.after_hours) * HOUR_MS;
        if waited { Verdict::Activate(self.met()) } else { Verdict::Wait }
    }

    fn met(&self) -> String {
        let mut met = Vec::new();
        if self.at.is_some() {
            met.push("the time that was set".to_owned());
        }
        if self.after_publishes > 0 {
            met.push(publishes(i64::from(self.after_publishes)));
        }
        if self.after_hours > 0 {
            let hours = if self.after_hours == 1 { "hour" } else { "hours" };
            met.push(format!("{} {hours}", self.after_hours));
        }
        format!("automatically after {}", met.join(" and "))
    }
}

impl Budget {
    /// Which part of it is exceeded, and by what; counts go no further than one beyond it.
    fn exceeded(&self, progress: Progress) -> Option<String> {
        let beyond = |count: i64, most: u32| count > i64::from(most);
        if beyond(progress.newly_rejected, self.rejections) {
            let (over, most) = (publishes(progress.newly_rejected), self.rejections);
            return Some(format!("it would newly reject at least {over}, its budget of rejections is {most}"));
        }
        if let Some(most) = self.disagreements.filter(|most| beyond(progress.disagreed, *most)) {
            let over = publishes(progress.disagreed);
            return Some(format!(
                "it disagrees with the active release over at least {over}, its budget of disagreements is {most}"
            ));
        }
        if beyond(progress.failed, self.failures) {
            let (over, most) = (publishes(progress.failed), self.failures);
            return Some(format!("it failed over at least {over}, its budget of failures is {most}"));
        }
        let (slower_micros, timed) = progress.slower_micros;
        let slower_ms = self.slower_ms.filter(|most| timed >= TIMED_MIN && slower_micros > i64::from(*most) * 1_000)?;
        let (whole, part) = (slower_micros / 1_000, slower_micros % 1_000 / 100);
        Some(format!(
            "it is {whole}.{part} ms slower than the active release on average over {}, its budget is {slower_ms} ms",
            publishes(timed)
        ))
    }
}

fn publishes(count: i64) -> String {
    if count == 1 { "1 publish".to_owned() } else { format!("{count} publishes") }
}

/// A shadow whose state changed by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Advanced {
    /// The shadow as it was.
    pub shadow: ShadowRow,
    /// Its state now.
    pub state: ShadowState,
    /// Why.
    pub reason: String,
}

/// What a shadow is to become.
struct Due {
    state: ShadowState,
    reason: String,
    /// True where it is so already.
    is_written: bool,
}

impl Due {
    fn to(state: ShadowState, reason: String) -> Self {
        Self { state, reason, is_written: false }
    }
}

impl Registry {
    /// Activates and demotes what is due at `now`. Any number of hosts may do so at once: each change is made by one.
    ///
    /// # Errors
    /// `Store`. A release that cannot be activated is no error here: it is demoted, or stays staged where trying again
    /// may help.
    pub async fn advance_staged(self: &Arc<Self>, now: Millis) -> Result<Vec<Advanced>, RegistryError> {
        let running = self.store.running_shadows(&self.tenant).await?;
        if running.is_empty() {
            return Ok(Vec::new());
        }
        let stamp = self.store.rules_stamp(&self.tenant).await?;
        let mut advanced = Vec::new();
        for shadow in running {
            let active = stamp.releases.iter().find(|active| active.scope == shadow.release.scope);
            let active = active.map(|active| active.number);
            if let Some(Due { state, reason, is_written }) = self.due(&shadow, active, now).await? {
                let end = ShadowEnd { to: state, reason: &reason, by: &shadow.started_by, at: now };
                // One that was activated here ended in the activation's own transaction.
                if is_written || self.store.end_shadow(&self.tenant, &shadow, end).await? {
                    tell(&shadow, state, &reason);
                    advanced.push(Advanced { shadow, state, reason });
                }
            }
        }
        if !advanced.is_empty() {
            self.refresh_rules().await?;
        }
        Ok(advanced)
    }

    /// The state that a shadow is to get, and why; it is activated here, where it is due.
    async fn due(
        self: &Arc<Self>,
        shadow: &ShadowRow,
        active: Option<i64>,
        now: Millis,
    ) -> Result<Option<Due>, RegistryError> {
        let number = shadow.release.number;
        let Some(plan) = shadow.plan.as_ref().filter(|_| shadow.state == ShadowState::Staged) else {
            let is_active = active == Some(number);
            return Ok(is_active.then(|| Due::to(ShadowState::Stopped, format!("release {number} was activated"))));
        };
        let progress = self.store.observation_progress(&self.tenant, &shadow.id, plan.asked()).await?;
        let verdict = plan.judge(progress, shadow.started_at, now);
        if active == Some(number) {
            // By hand; or by a host that stopped before it had written so.
            let reason = match verdict {
                Verdict::Activate(reason) => reason,
                Verdict::Wait | Verdict::Demote(_) => "activated by hand".to_owned(),
            };
            return Ok(Some(Due::to(ShadowState::Activated, reason)));
        }
        if active != plan.expected {
            let named = |number: Option<i64>| number.map_or("none".to_owned(), |number| format!("release {number}"));
            let reason =
                format!("{} is active, and it was to take the place of {}", named(active), named(plan.expected));
            return Ok(Some(Due::to(ShadowState::Demoted, reason)));
        }
        match verdict {
            Verdict::Wait => Ok(None),
            Verdict::Demote(reason) => Ok(Some(Due::to(ShadowState::Demoted, reason))),
            Verdict::Activate(reason) => self.activate_staged(shadow, plan, reason, now).await,
        }
    }

    async fn activate_staged(
        self: &Arc<Self>,
        shadow: &ShadowRow,
        plan: &Plan,
        reason: String,
        now: Millis,
    ) -> Result<Option<Due>, RegistryError> {
        let actor = Actor::trusted(self.tenant.clone(), &shadow.started_by);
        let ReleaseRef { scope, number, .. } = &shadow.release;
        let end = ShadowEnd { to: ShadowState::Activated, reason: &reason, by: &shadow.started_by, at: now };
        let conditions = Conditions { staged: Some((shadow, end)), ..Conditions::default() };
        match self.activate_if(&actor, scope, *number, Some(plan.expected), conditions).await {
            Ok(_) => Ok(Some(Due { state: ShadowState::Activated, reason, is_written: true })),
            // The object store's fault, not the release's: the next look tries again.
            Err(RegistryError::Unfit { unfit: Unfit::Load(why), .. }) => {
                tracing::warn!(%scope, release = number, why, "a staged release is not activated yet");
                Ok(None)
            }
            Err(
                error @ (RegistryError::Unfit { .. }
                | RegistryError::BadRules(_)
                | RegistryError::NotFound { .. }
                | RegistryError::NoRelease { .. }),
            ) => Ok(Some(Due::to(ShadowState::Demoted, format!("it cannot be activated: {error}")))),
            // Another host was first, or somebody: the next look tells which. Or it can be tried again.
            Err(error) => {
                tracing::warn!(%scope, release = number, %error, "a staged release is not activated yet");
                Ok(None)
            }
        }
    }

    /// Looks for what is due, for as long as the registry is held elsewhere.
    pub async fn watch_staged(self: Arc<Self>, told: impl Fn(&Advanced)) {
        let every = Duration::from_millis(self.limits.staged_poll_ms.max(10));
        let watched = Arc::downgrade(&self);
        drop(self);
        loop {
            tokio::time::sleep(every).await;
            let Some(registry) = watched.upgrade() else { return };
            match registry.advance_staged(Millis::now()).await {
                Ok(advanced) => advanced.iter().for_each(&told),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "staged releases cannot be looked at");
                }
            }
        }
    }
}

fn tell(shadow: &ShadowRow, state: ShadowState, reason: &str) {
    let (scope, release, by) = (&shadow.release.scope, shadow.release.number, &shadow.started_by);
    match state {
        ShadowState::Demoted => {
            tracing::warn!(%scope, release, staged_by = by, reason, "registry.staged.demoted");
        }
        _ => tracing::info!(%scope, release, staged_by = by, reason, "registry.staged.{}", state.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * HOUR_MS;

    fn plan() -> Plan {
        Plan { after_publishes: 100, after_hours: 24, expected: Some(3), ..Plan::default() }
    }

    fn progress(judged: i64) -> Progress {
        Progress { judged, newly_rejected: 0, disagreed: 0, failed: 0, slower_micros: (0, judged) }
    }

    #[test]
    fn waits_for_every_condition() {
        let at = |plan: &Plan, judged, now| plan.judge(progress(judged), Millis(0), Millis(now));
        assert_eq!(at(&plan(), 99, DAY), Verdict::Wait);
        assert_eq!(at(&plan(), 100, DAY - 1), Verdict::Wait);
        let met = |what: &str| Verdict::Activate(format!("automatically after {what}"));
        assert_eq!(at(&plan(), 100, DAY), met("100 publishes and 24 hours"));
        let timed = Plan { at: Some(Millis(7)), ..Plan::default() };
        assert_eq!(at(&timed, 0, 6), Verdict::Wait);
        assert_eq!(at(&timed, 0, 7), met("the time that was set"));
        assert!(timed.clone().checked(1, Millis(7)).is_ok());
        let refused = |plan: Plan| plan.checked(1, Millis(8)).expect_err("it is refused").to_string();
        let past = "at: 1970-01-01T00:00:00.007Z is past: name an instant to come, in UTC, or activate it at once";
        assert_eq!(refused(timed), past);
        let error = refused(Plan::default());
        assert!(error.starts_with("say when it is to be activated: at an instant"), "{error}");
    }

    #[test]
    fn demotes_beyond_each_budget() {
        let demoted = |plan: &Plan, progress| match plan.judge(progress, Millis(0), Millis(DAY)) {
            Verdict::Demote(why) => why,
            other => format!("{other:?}"),
        };
        let budget = Budget { rejections: 2, disagreements: Some(4), failures: 1, slower_ms: Some(5) };
        let generous = Plan { budget, ..plan() };
        let within =
            Progress { newly_rejected: 2, disagreed: 4, failed: 1, slower_micros: (5_000, 100), ..progress(100) };
        assert!(demoted(&generous, within).starts_with("Activate"), "it may do so much");
        assert!(demoted(&plan(), Progress { disagreed: 9, ..progress(100) }).starts_with("Activate"), "not compared");
        for (plan, progress, why) in [
            (
                &plan(),
                Progress { newly_rejected: 1, disagreed: 1, ..progress(1) },
                "it would newly reject at least 1 publish, its budget of rejections is 0",
            ),
            (
                &generous,
                Progress { newly_rejected: 3, ..within },
                "it would newly reject at least 3 publishes, its budget of rejections is 2",
            ),
            (
                &generous,
                Progress { disagreed: 5, ..within },
                "it disagrees with the active release over at least 5 publishes, its budget of disagreements is 4",
            ),
            (
                &plan(),
                Progress { failed: 1, ..progress(0) },
                "it failed over at least 1 publish, its budget of failures is 0",
            ),
            (
                &generous,
                Progress { slower_micros: (5_190, 10), ..progress(10) },
                "it is 5.1 ms slower than the active release on average over 10 publishes, its budget is 5 ms",
            ),
        ] {
            assert_eq!(demoted(plan, progress), why);
        }
        let few = Progress { slower_micros: (50_000, 9), ..progress(9) };
        assert_eq!(generous.judge(few, Millis(0), Millis(DAY)), Verdict::Wait);
    }
}
