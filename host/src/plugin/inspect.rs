//! What a component is, found out from its bytes, from what it says of itself and from the examples that it brings.

use super::contract::{SELF_TEST, VERSION};
use super::engine::Engine;
use super::imports::Outline;
use super::prepare::{self, Linked};
use super::self_test::Tested;
use super::snapshot::Instrumented;
use super::{Inspection, Progress, Step, Unfit, imports};
use crate::names::Digest;

/// Refuses it by its outline, or compiles it.
pub fn compile(engine: &Engine, component: &[u8], progress: &Progress<'_>) -> Result<(Outline, Linked), Unfit> {
    progress(Step::Reading);
    let outline = imports::outline(component, &engine.limits)?;
    progress(Step::Compiling);
    let linked = Linked::new(engine, prepare::compile(engine, component)?, &outline.stages)?;
    Ok((outline, linked))
}

/// Finds out the rest, and tells each step that it begins.
pub fn inspect(
    engine: &Engine,
    component: &[u8],
    outline: Outline,
    linked: &Linked,
    progress: &Progress<'_>,
) -> Result<Inspection, Unfit> {
    let digest = Digest::of(component);
    progress(Step::Describing);
    let description = linked.describe(engine, &digest)?;
    let brings_examples = outline.exports.iter().any(|export| export.split('@').next() == Some(SELF_TEST));
    let examples = if brings_examples {
        progress(Step::Testing);
        let (description, stages) = (&description, &outline.stages);
        Some(Tested { engine, digest: &digest, description, linked, stages }.run()?)
    } else {
        None
    };
    Ok(Inspection {
        size_bytes: component.len(),
        contract: VERSION.to_owned(),
        stages: outline.stages,
        imports: outline.imports,
        exports: outline.exports,
        description,
        examples,
        not_snapshottable: Instrumented::of(component).err(),
        digest,
    })
}
