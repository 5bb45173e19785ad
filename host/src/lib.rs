//! Hallmark: a registry with a gate. Manifests are judged by sandboxed WebAssembly plugins before they are stored.
//! `docs/ARCHITECTURE.md` has the map and the invariants.

pub mod announce;
pub mod cli;
pub mod clock;
pub mod config;
pub mod http;
pub mod identity;
pub mod names;
pub mod plugin;
pub mod registry;
pub mod report;
pub mod sql;
pub mod telemetry;
