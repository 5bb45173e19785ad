//! The schema and the resolvers alone, beside the gate: for a preview, which judges the rest in its own way. It takes no
//! turn from a publish, and what breaks in it puts no plugin into quarantine.

use std::sync::Arc;

use super::{Bench, Run, Stopped, Way, resolve, schema};
use crate::plugin::{Document, Failure};
use crate::registry::submission::Submission;
use crate::report::{Finding, Placeholder};

/// What comes before validators and policies.
pub(in crate::registry) struct Front {
    /// What the schema and the resolvers said.
    pub(in crate::registry) findings: Vec<Finding>,
    /// Every placeholder that the resolvers met.
    pub(in crate::registry) placeholders: Vec<Placeholder>,
    /// The resolved submission; none where it is rejected, or a resolver broke.
    pub(in crate::registry) document: Option<Arc<Document>>,
    /// The enforcing resolver that broke, by its binding's name.
    pub(in crate::registry) broke: Option<(String, Failure)>,
}

/// Runs both.
pub(in crate::registry) fn front_aside(submission: Submission, bench: &Bench) -> Front {
    let mut run = Run::start(submission, bench);
    run.record.way = Way::Aside;
    let record = match schema(run).and_then(resolve) {
        Ok(resolved) => resolved.record,
        Err(Stopped(record)) => *record,
    };
    let broke = record.broke.map(|broken| (broken.name, broken.failure));
    Front { findings: record.findings, placeholders: record.placeholders, document: record.document, broke }
}
