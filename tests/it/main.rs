//! The one integration binary: one file per behaviour, through the outermost door that stays fast.

mod activation;
mod agreement;
mod attestations;
mod audit;
mod browser;
mod caching;
mod cli;
mod cli_server;
mod corpus;
mod decisions;
mod docs;
mod events;
mod exemptions;
mod fleet;
mod frozen;
mod health;
mod hostile;
mod http;
mod idempotency;
mod impact;
mod javascript;
mod keys;
mod limits;
mod looking;
mod observability;
mod observing;
mod otlp;
mod pages;
mod protocol;
mod restart;
mod serve;
mod serve_fleet;
mod shadow;
mod store;
mod templates;
mod tidy;
mod tokens;
mod trust;
mod walks;
mod webhooks;

#[path = "../support/mod.rs"]
mod support;
