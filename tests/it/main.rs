//! The one integration binary: one file per behaviour, through the outermost door that stays fast.

mod agreement;
mod cli;
mod cli_server;
mod corpus;
mod docs;
mod exemptions;
mod hostile;
mod http;
mod javascript;
mod limits;
mod pages;
mod restart;
mod serve;
mod shadow;
mod store;
mod tidy;

#[path = "../support/mod.rs"]
mod support;
