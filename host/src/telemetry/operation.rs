//! One registry operation, told in one line and counted.

use std::time::Duration;

/// What each stage of a run took; none for those that it did not get to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stages {
    decode_ms: Option<f64>,
    schema_ms: Option<f64>,
    resolve_ms: Option<f64>,
    validate_ms: Option<f64>,
    policy_ms: Option<f64>,
    commit_ms: Option<f64>,
}

impl Stages {
    /// Notes what a stage took. One that is not told of operations is left out.
    pub fn note(&mut self, stage: &str, took: Duration) {
        let place = match stage {
            "decode" => &mut self.decode_ms,
            "schema" => &mut self.schema_ms,
            "resolve" => &mut self.resolve_ms,
            "validate" => &mut self.validate_ms,
            "policy" => &mut self.policy_ms,
            "commit" => &mut self.commit_ms,
            _ => return,
        };
        *place = Some(took.as_secs_f64() * 1_000.0);
    }
}

/// One thing that the registry was asked to do, and what came of it.
#[derive(Debug, Clone, Copy)]
pub struct Operation<'a> {
    /// What it was done to: a kind's singular, `plugin` or `rules`. Never text of a caller: it labels metrics.
    pub entity: &'a str,
    /// What was asked: `publish`.
    pub action: &'static str,
    /// What came of it, in the past tense: `published`, `rejected`.
    pub outcome: &'static str,
    /// The request.
    pub correlation_id: &'a str,
    /// Its trace; none where the caller has none and none is exported.
    pub trace_id: Option<&'a str>,
    /// Whose.
    pub tenant: &'a str,
    /// Who asked.
    pub actor: &'a str,
    /// The entry, plugin or scope; empty where it is not known.
    pub entry: &'a str,
    /// Its version or release; empty where it has none.
    pub version: &'a str,
    /// The decision; empty where none was made.
    pub decision: &'a str,
    /// How long it took.
    pub elapsed: Duration,
    /// How long each stage of the gate took.
    pub stages: Stages,
}

// A level is part of a call site: a function cannot be given one, and the two lines must have the same fields.
macro_rules! line {
    ($level:ident, $operation:expr) => {{
        let Operation { entity, action, outcome, correlation_id, trace_id, stages, .. } = *$operation;
        tracing::$level!(
            target: "hallmark::operation",
            event = %format_args!("registry.{entity}.{}", $operation.event()),
            action,
            outcome,
            correlation_id,
            trace_id,
            tenant = $operation.tenant,
            actor = $operation.actor,
            entry = $operation.entry,
            version = $operation.version,
            decision = $operation.decision,
            elapsed_ms = $operation.elapsed.as_secs_f64() * 1_000.0,
            decode_ms = stages.decode_ms,
            schema_ms = stages.schema_ms,
            resolve_ms = stages.resolve_ms,
            validate_ms = stages.validate_ms,
            policy_ms = stages.policy_ms,
            commit_ms = stages.commit_ms,
        );
    }};
}

impl Operation<'_> {
    /// Logs it as `registry.<entity>.<event>` and counts it. Dry runs and what was shed are logged at `debug`: they
    /// are many, and nobody needs to find them again.
    pub fn record(&self) {
        metrics::histogram!(
            "registry_operation_duration_ms",
            "entity" => self.entity.to_owned(),
            "action" => self.action,
            "outcome" => self.outcome,
        )
        .record(self.elapsed.as_secs_f64() * 1_000.0);
        if self.action == "validate" || self.outcome == "shed" {
            line!(debug, self);
        } else {
            line!(info, self);
        }
    }

    /// Who went back is found by what was asked, whatever came of it; all else by what came of it.
    fn event(&self) -> &'static str {
        if self.action == "rollback" { self.action } else { self.outcome }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_told_in_milliseconds_and_those_that_did_not_run_are_not() {
        let mut stages = Stages::default();
        stages.note("decode", Duration::from_micros(1_500));
        stages.note("announce", Duration::from_micros(1));
        assert_eq!(stages, Stages { decode_ms: Some(1.5), ..Stages::default() });
    }
}
