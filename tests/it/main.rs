//! The one integration binary: one file per behaviour, through the outermost door that stays fast.

mod cli;
mod cli_server;
mod hostile;
mod http;
mod store;
mod tidy;

#[path = "../support/mod.rs"]
mod support;
