//! The baseline: an axum handler that parses a JSON body and sends it back, in a process of its own.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use axum::routing::post;
use axum::{Json, Router};
use serde_json::Value;

/// Set in the environment of the process that serves.
pub const CHILD: &str = "HALLMARK_BENCH_BARE";

/// The running baseline.
pub struct Bare {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Bare {
    /// Starts this program again as the baseline.
    pub fn start() -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let mut child =
            Command::new(program).env(CHILD, "1").stdout(Stdio::piped()).spawn().expect("this program starts again");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        Self { child, address: line.trim().parse().expect("an address") }
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the other process does.
#[tokio::main]
pub async fn serve() {
    let app = Router::new().route("/", post(|Json(body): Json<Value>| async move { Json(body) }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    println!("{}", listener.local_addr().expect("an address"));
    axum::serve(listener, app).await.expect("the baseline serves");
}
