//! What the tests share.

pub mod approval;
pub mod host;
pub mod postgres;
