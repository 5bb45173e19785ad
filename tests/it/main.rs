//! The integration tests: one binary, one file for each behaviour.

mod tidy;
