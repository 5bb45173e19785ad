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
mod exemptions;
mod fleet;
mod frozen;
mod health;
mod hostile;
mod http;
mod idempotency;
mod impact;
mod issuers;
mod javascript;
mod keys;
mod limits;
mod looking;
mod observability;
mod observing;
mod otlp;
mod pages;
mod protocol;
mod publishers;
mod rates;
mod restart;
mod routes;
mod serve;
mod serve_fleet;
mod sessions;
mod shadow;
mod store;
mod templates;
mod tidy;
mod tokens;
mod trust;
mod walks;

#[path = "../support/mod.rs"]
mod support;
