//! What each operation is called in logs and metrics, and what came of it.

use std::time::Duration;

use super::call::Call;
use crate::names::DecisionId;
use crate::registry::exemptions::Exemption;
use crate::registry::life::ChangedEntry;
use crate::registry::replay::Replay;
use crate::registry::shadow::ShadowRow;
use crate::registry::{Published, Pushed, RegistryError, Released, Report, RolledBackTo};
use crate::report::Timing;
use crate::telemetry::{self, Operation, Stages};

/// What came of an operation, and on what it was done.
#[derive(Default)]
struct Told<'a> {
    outcome: &'static str,
    entry: &'a str,
    version: &'a str,
    decision: &'a str,
    stages: Stages,
}

/// What each stage took; a plugin's own share is in its metric.
fn stages(timings: &[Timing]) -> Stages {
    let mut stages = Stages::default();
    for timing in timings.iter().filter(|timing| timing.plugin.is_none()) {
        stages.note(&timing.stage, Duration::from_micros(timing.micros));
    }
    stages
}

fn tell(call: &Call, entity: &str, action: &'static str, told: &Told<'_>) {
    Operation {
        entity,
        action,
        outcome: told.outcome,
        correlation_id: call.correlation.as_str(),
        trace_id: call.trace.id(),
        tenant: call.actor.tenant.as_str(),
        actor: &call.actor.name,
        entry: told.entry,
        version: told.version,
        decision: told.decision,
        elapsed: call.started.elapsed(),
        stages: told.stages,
    }
    .record();
}

fn not_done(error: &RegistryError) -> Told<'_> {
    use RegistryError as Error;
    let outcome = match error {
        Error::Rejected { .. } => "rejected",
        Error::PluginFailed { .. } => "failed",
        Error::Malformed(_) | Error::TooLarge { .. } | Error::Name(_) | Error::Unidentified { .. } => "refused",
        Error::BadRules(_)
        | Error::Unfit { .. }
        | Error::Unsigned { .. }
        | Error::BadKey(_)
        | Error::BadImpact(_)
        | Error::BadList(_)
        | Error::BadChange(_) => "refused",
        Error::NoKind { .. } | Error::NotFound { .. } | Error::NoRelease { .. } => "missed",
        Error::OutOfReach { .. } | Error::OtherName { .. } => "forbidden",
        Error::VersionExists { .. }
        | Error::EntryDisabled { .. }
        | Error::EntryChanged { .. }
        | Error::EntryPresence { .. }
        | Error::VersionWithdrawn { .. }
        | Error::ReleaseMoved(_)
        | Error::ScopeFrozen(_)
        | Error::ShadowRunning { .. }
        | Error::ImpactTooLarge { .. } => "conflicted",
        Error::ImpactUnfinished { .. }
        | Error::Busy { .. }
        | Error::NotReady { .. }
        | Error::RulesKeptMoving { .. } => "shed",
        Error::IssuerUnreachable(_) | Error::Store(_) | Error::Blobs(_) | Error::Internal(_) => "broken",
    };
    match error {
        Error::Rejected { decision } | Error::PluginFailed { decision: Some(decision), .. } => Told {
            outcome,
            entry: decision.entry.as_str(),
            version: decision.version.as_str(),
            decision: decision.id.as_str(),
            stages: stages(&decision.timings),
        },
        Error::OutOfReach { id, .. }
        | Error::EntryDisabled { id, .. }
        | Error::EntryChanged { id, .. }
        | Error::EntryPresence { id, .. } => Told { outcome, entry: id.as_str(), ..Told::default() },
        Error::VersionExists { id, version, .. } => {
            Told { outcome, entry: id.as_str(), version: version.as_str(), ..Told::default() }
        }
        _ => Told { outcome, ..Told::default() },
    }
}

/// The singular of the kind in the path. A caller may name kinds that are none, so those share one word.
fn entity(call: &Call) -> String {
    call.registry.kind(call.word("kind")).map_or_else(|_| "unknown".to_owned(), |kind| kind.kind.singular.clone())
}

/// A publish.
pub fn published(call: &Call, result: &Result<Published, RegistryError>) {
    let told = match result {
        Ok(Published::Created { version, decision, commit, .. }) => Told {
            outcome: "published",
            entry: version.id.as_str(),
            version: version.version.as_str(),
            decision: version.decision.as_str(),
            stages: {
                let mut stages = stages(&decision.timings);
                stages.note("commit", *commit);
                stages
            },
        },
        Ok(Published::Skipped { existing, .. }) => Told {
            outcome: "skipped",
            entry: existing.id.as_str(),
            version: existing.version.as_str(),
            decision: existing.decision.as_str(),
            ..Told::default()
        },
        Err(error) => not_done(error),
    };
    compared(result);
    tell(call, &entity(call), "publish", &told);
}

/// What ran beside a publish that left a decision.
fn compared(result: &Result<Published, RegistryError>) {
    let decision = match result {
        Ok(Published::Created { decision, .. }) => decision,
        Err(RegistryError::Rejected { decision }) => decision,
        _ => return,
    };
    for shadow in &decision.shadows {
        let took = Duration::from_micros(shadow.micros);
        telemetry::shadow_compared(&shadow.scope.to_string(), shadow.agreement.as_str(), took);
    }
    for observed in &decision.observing {
        let (scope, agreement) = (observed.scope.to_string(), observed.agreement.as_str());
        telemetry::observing_compared(&scope, &observed.binding, agreement);
    }
}

/// A shadow that was started, staged or stopped.
pub fn shadowed(call: &Call, action: &'static str, scope: &str, result: &Result<ShadowRow, RegistryError>) {
    let number = result.as_ref().map_or_else(|_| String::new(), |shadow| shadow.release.number.to_string());
    let told = match result {
        Ok(shadow) => Told { outcome: shadow.state.as_str(), entry: scope, version: &number, ..Told::default() },
        Err(error) => Told { entry: scope, ..not_done(error) },
    };
    tell(call, "shadow", action, &told);
}

/// An exemption that was made or taken back.
pub fn exempted(call: &Call, action: &'static str, result: &Result<Exemption, RegistryError>) {
    let told = match result {
        Ok(exemption) => {
            let outcome = if exemption.revoked.is_some() { "revoked" } else { "made" };
            Told { outcome, entry: &exemption.id, ..Told::default() }
        }
        Err(error) => not_done(error),
    };
    tell(call, "exemption", action, &told);
}

/// A dry run.
pub fn validated(call: &Call, result: &Result<Report, RegistryError>) {
    let told = match result {
        Ok(report) => {
            let outcome = if report.valid { "valid" } else { "invalid" };
            Told { outcome, stages: stages(&report.timings), ..Told::default() }
        }
        Err(error) => not_done(error),
    };
    tell(call, &entity(call), "validate", &told);
}

/// A rollback.
pub fn rolled_back(call: &Call, result: &Result<RolledBackTo, RegistryError>) {
    let told = match result {
        Ok(done) => Told {
            outcome: "rolled-back",
            entry: done.entry.id.as_str(),
            version: done.entry.current_version.as_str(),
            ..Told::default()
        },
        Err(error) => not_done(error),
    };
    tell(call, &entity(call), "rollback", &told);
}

/// An entry that got another status, or a version of which was taken back.
pub fn changed(
    call: &Call,
    (action, outcome): (&'static str, &'static str),
    version: &str,
    result: &Result<ChangedEntry, RegistryError>,
) {
    let told = match result {
        Ok(changed) => Told { outcome, entry: changed.entry.id.as_str(), version, ..Told::default() },
        Err(error) => not_done(error),
    };
    tell(call, &entity(call), action, &told);
}

/// An entry that was rated or used.
pub fn rated<T>(
    call: &Call,
    (action, outcome): (&'static str, &'static str),
    id: &str,
    result: &Result<T, RegistryError>,
) {
    let told = match result {
        Ok(_) => Told { outcome, entry: id, ..Told::default() },
        Err(error) => not_done(error),
    };
    tell(call, &entity(call), action, &told);
}

/// A change of what keys are trusted, or whether a signature is asked for.
pub fn trust<T>(call: &Call, action: &'static str, outcome: &'static str, result: &Result<T, RegistryError>) {
    let told = match result {
        Ok(_) => Told { outcome, ..Told::default() },
        Err(error) => not_done(error),
    };
    tell(call, "key", action, &told);
}

/// A token that was made, or tokens that were revoked.
pub fn token<T>(call: &Call, action: &'static str, outcome: &'static str, result: &Result<T, RegistryError>) {
    let told = match result {
        Ok(_) => Told { outcome, ..Told::default() },
        Err(error) => not_done(error),
    };
    tell(call, "token", action, &told);
}

/// A publisher that is trusted, or no more.
pub fn publisher<T>(call: &Call, action: &'static str, outcome: &'static str, result: &Result<T, RegistryError>) {
    let told = match result {
        Ok(_) => Told { outcome, ..Told::default() },
        Err(error) => not_done(error),
    };
    tell(call, "publisher", action, &told);
}

/// A change of a webhook, or of what is sent to it.
pub fn webhook<T>(call: &Call, action: &'static str, outcome: &'static str, result: &Result<T, RegistryError>) {
    let told = match result {
        Ok(_) => Told { outcome, ..Told::default() },
        Err(error) => not_done(error),
    };
    tell(call, "webhook", action, &told);
}

/// A key of the inbox that was forgotten.
pub fn inbox(call: &Call, key: &str, result: &Result<(), RegistryError>) {
    let told = match result {
        Ok(()) => Told { outcome: "forgotten", entry: key, ..Told::default() },
        Err(error) => not_done(error),
    };
    tell(call, "inbox", "delete", &told);
}

/// A decision that was run again.
pub fn replayed(call: &Call, result: &Result<(DecisionId, Replay), RegistryError>) {
    let told = match result {
        Ok((id, replay)) => {
            let outcome = match replay {
                Replay::Same => "same",
                Replay::Different { .. } => "different",
                Replay::Impossible { .. } => "impossible",
            };
            Told { outcome, decision: id.as_str(), ..Told::default() }
        }
        Err(error) => not_done(error),
    };
    tell(call, "decision", "replay", &told);
}

/// A component that was pushed.
pub fn pushed(call: &Call, result: &Result<Pushed, RegistryError>) {
    let told = match result {
        Ok(pushed) => Told {
            outcome: if pushed.created { "pushed" } else { "skipped" },
            entry: &pushed.plugin.name,
            version: pushed.plugin.digest.as_str(),
            ..Told::default()
        },
        Err(error) => not_done(error),
    };
    tell(call, "plugin", "push", &told);
}

/// A release that was made.
pub fn released(call: &Call, scope: &str, result: &Result<Released, RegistryError>) {
    let number = result.as_ref().map_or_else(|_| String::new(), |released| released.release.release.number.to_string());
    let told = match result {
        Ok(released) => Told {
            outcome: if released.created { "released" } else { "skipped" },
            entry: scope,
            version: &number,
            ..Told::default()
        },
        Err(error) => Told { entry: scope, ..not_done(error) },
    };
    tell(call, "rules", "release", &told);
}

/// A release that was put in force.
pub fn activated<T>(call: &Call, scope: &str, number: i64, result: &Result<T, RegistryError>) {
    let number = number.to_string();
    let told = match result {
        Ok(_) => Told { outcome: "activated", entry: scope, version: &number, ..Told::default() },
        Err(error) => Told { entry: scope, version: &number, ..not_done(error) },
    };
    tell(call, "rules", "activate", &told);
}

/// A scope that was frozen.
pub fn frozen<T>(call: &Call, scope: &str, result: &Result<T, RegistryError>) {
    held(call, scope, ("freeze", "frozen"), result);
}

/// A scope that was unfrozen.
pub fn unfrozen<T>(call: &Call, scope: &str, result: &Result<T, RegistryError>) {
    held(call, scope, ("unfreeze", "unfrozen"), result);
}

fn held<T>(
    call: &Call,
    scope: &str,
    (action, outcome): (&'static str, &'static str),
    result: &Result<T, RegistryError>,
) {
    let told = match result {
        Ok(_) => Told { outcome, entry: scope, ..Told::default() },
        Err(error) => Told { entry: scope, ..not_done(error) },
    };
    tell(call, "rules", action, &told);
}

/// A preview that was begun.
pub fn previewed<T>(call: &Call, scope: &str, result: &Result<T, RegistryError>) {
    let told = match result {
        Ok(_) => Told { outcome: "begun", entry: scope, ..Told::default() },
        Err(error) => Told { entry: scope, ..not_done(error) },
    };
    tell(call, "rules", "impact", &told);
}
