//! What the registry knows at this moment. Every question and a digest of its answer is kept in the decision; the
//! host bounds how many one evaluation may ask (`plugin_lookups_max`, 200 unless set otherwise). Not to be called from `configure`.

use serde::de::DeserializeOwned;

pub use crate::bindings::base::hallmark::plugin::registry::Summary;
use crate::host;
use crate::submission::{Mismatch, read};

/// One published version of an entry of this tenant, by kind (plural: `agents`) and id. `version` none means the
/// active one. None where there is no such version.
pub fn lookup(kind: &str, id: &str, version: Option<&str>) -> Option<Summary> {
    host::registry::lookup(kind, id, version)
}

/// The resolved submission of a published version, as JSON text. `version` none means the active one.
pub fn manifest(kind: &str, id: &str, version: Option<&str>) -> Option<String> {
    host::registry::manifest(kind, id, version)
}

/// The resolved submission of a published version, read into a type.
///
/// # Errors
/// It is there and does not have the type's form.
pub fn read_manifest<T: DeserializeOwned>(kind: &str, id: &str, version: Option<&str>) -> Result<Option<T>, Mismatch> {
    manifest(kind, id, version).map(|text| read("", &text)).transpose()
}
