//! What each operation is called in logs and metrics, and what came of it.

use super::call::Call;
use crate::registry::{Published, Pushed, RegistryError, Released, Report, RolledBackTo};
use crate::telemetry::Operation;

/// What came of an operation, and on what it was done.
#[derive(Default)]
struct Told<'a> {
    outcome: &'static str,
    entry: &'a str,
    version: &'a str,
    decision: &'a str,
}

fn tell(call: &Call, entity: &str, action: &'static str, told: &Told<'_>) {
    Operation {
        entity,
        action,
        outcome: told.outcome,
        correlation_id: call.correlation.as_str(),
        tenant: call.actor.tenant.as_str(),
        actor: &call.actor.name,
        entry: told.entry,
        version: told.version,
        decision: told.decision,
        elapsed: call.started.elapsed(),
    }
    .record();
}

fn not_done(error: &RegistryError) -> Told<'_> {
    use RegistryError as Error;
    let outcome = match error {
        Error::Rejected { .. } => "rejected",
        Error::PluginFailed { .. } => "failed",
        Error::Malformed(_) | Error::TooLarge { .. } | Error::Name(_) | Error::Unidentified { .. } => "refused",
        Error::BadRules(_) | Error::Unfit { .. } => "refused",
        Error::NoKind { .. } | Error::NotFound { .. } => "missed",
        Error::VersionExists { .. } | Error::ReleaseMoved(_) | Error::ScopeFrozen(_) => "conflicted",
        Error::Busy { .. } | Error::NotReady { .. } | Error::RulesKeptMoving { .. } => "shed",
        Error::Store(_) | Error::Blobs(_) | Error::Internal(_) => "broken",
    };
    match error {
        Error::Rejected { decision } => Told {
            outcome,
            entry: decision.entry.as_str(),
            version: decision.version.as_str(),
            decision: decision.id.as_str(),
        },
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
        Ok(Published::Created { version, .. }) => Told {
            outcome: "published",
            entry: version.id.as_str(),
            version: version.version.as_str(),
            decision: version.decision.as_str(),
        },
        Ok(Published::Skipped { existing, .. }) => Told {
            outcome: "skipped",
            entry: existing.id.as_str(),
            version: existing.version.as_str(),
            decision: existing.decision.as_str(),
        },
        Err(error) => not_done(error),
    };
    tell(call, &entity(call), "publish", &told);
}

/// A dry run.
pub fn validated(call: &Call, result: &Result<Report, RegistryError>) {
    let told = match result {
        Ok(report) if report.valid => Told { outcome: "valid", ..Told::default() },
        Ok(_) => Told { outcome: "invalid", ..Told::default() },
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
            decision: "",
        },
        Err(error) => not_done(error),
    };
    tell(call, &entity(call), "rollback", &told);
}

/// A component that was pushed.
pub fn pushed(call: &Call, result: &Result<Pushed, RegistryError>) {
    let told = match result {
        Ok(pushed) => Told {
            outcome: if pushed.created { "pushed" } else { "skipped" },
            entry: &pushed.plugin.name,
            version: pushed.plugin.digest.as_str(),
            decision: "",
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
            decision: "",
        },
        Err(error) => Told { entry: scope, ..not_done(error) },
    };
    tell(call, "rules", "release", &told);
}

/// A release that was put in force.
pub fn activated<T>(call: &Call, scope: &str, number: i64, result: &Result<T, RegistryError>) {
    let number = number.to_string();
    let told = match result {
        Ok(_) => Told { outcome: "activated", entry: scope, version: &number, decision: "" },
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
