//! The one integration binary: one file per behaviour, through the outermost door that stays fast.

mod activation;
mod agreement;
mod audit;
mod cli;
mod cli_server;
mod corpus;
mod docs;
mod hostile;
mod http;
mod javascript;
mod limits;
mod pages;
mod serve;
mod store;
mod tidy;

#[path = "../support/mod.rs"]
mod support;
