//! What a component is, found out from its bytes and from what it says of itself.

use super::contract::VERSION;
use super::engine::Engine;
use super::prepare::{Linked, compile};
use super::snapshot::Instrumented;
use super::{Inspection, Unfit, imports};
use crate::names::Digest;

/// Finds out.
pub fn inspect(engine: &Engine, component: &[u8]) -> Result<Inspection, Unfit> {
    let outline = imports::outline(component, &engine.limits)?;
    let digest = Digest::of(component);
    let linked = Linked::new(engine, compile(engine, component)?, &outline.stages)?;
    let description = linked.describe(engine, &digest)?;
    Ok(Inspection {
        size_bytes: component.len(),
        contract: VERSION.to_owned(),
        stages: outline.stages,
        imports: outline.imports,
        exports: outline.exports,
        description,
        not_snapshottable: Instrumented::of(component).err(),
        digest,
    })
}
