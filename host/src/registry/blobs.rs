//! Component bytes, by digest, in an object store.

/// The object store.
#[derive(Debug)]
pub struct Blobs {}
