//! Plugins: components by the digest of their bytes.

use std::sync::Arc;

use axum::http::header::ACCEPT;
use bytes::Bytes;
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::call::Call;
use super::error::{Problem, Success};
use super::journal;
use super::page::{self, PageView};
use super::reply::{Answer, Reply};
use super::view::PluginView;
use crate::registry::store::PluginRow;

/// What the list is of, in its cursors.
const PLUGINS: &str = "plugins";

/// `GET /api/plugins`
pub async fn list(call: Call) -> Answer {
    let asked = page::asked(&call, PLUGINS)?;
    let page = call.registry.plugins(&call.actor, asked.after.as_ref(), asked.limit).await?;
    Reply::json(Success::Found, &PageView::of(PLUGINS, &page, PluginRow::place, PluginView::listed))
}

/// `POST /api/plugins`
pub async fn push(call: Call) -> Answer {
    if asks_for_steps(&call) {
        return Ok(push_telling(call));
    }
    let result = call.registry.push_plugin(&call.actor, call.body.clone(), Arc::new(|_| {})).await;
    journal::pushed(&call, &result);
    let pushed = result?;
    let success = if pushed.created { Success::Created } else { Success::Found };
    let location = format!("/api/plugins/{}", pushed.plugin.digest);
    Ok(Reply::json(success, &PluginView::pushed(&pushed.plugin, pushed.created))?.at(&location))
}

fn asks_for_steps(call: &Call) -> bool {
    let accepted = call.headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|range| range.trim().starts_with("application/x-ndjson"))
}

/// Answers at once with a line for each step as it begins; the last line is the plugin or the problem. A client that
/// hangs up meanwhile loses the answer and not the plugin.
fn push_telling(call: Call) -> Reply {
    let (lines, told) = unbounded_channel();
    tokio::spawn(async move {
        let steps = lines.clone();
        let progress = Arc::new(move |step| send(&steps, &json!({ "step": step })));
        let result = call.registry.push_plugin(&call.actor, call.body.clone(), progress).await;
        journal::pushed(&call, &result);
        match result {
            Ok(pushed) => send(&lines, &json!({ "plugin": PluginView::pushed(&pushed.plugin, pushed.created) })),
            Err(error) => {
                let problem = Problem::from(error);
                problem.log(call.correlation.as_str());
                let (document, _) = problem.document(call.correlation.as_str());
                let document: serde_json::Value = serde_json::from_slice(&document).unwrap_or_default();
                send(&lines, &json!({ "problem": document }));
            }
        }
    });
    Reply::lines(told)
}

fn send(lines: &UnboundedSender<Bytes>, line: &impl Serialize) {
    let mut text = serde_json::to_vec(line).expect("a line is plain data");
    text.push(b'\n');
    // Nobody may be left to hear it.
    let _ = lines.send(text.into());
}

/// `GET /api/plugins/{digest}`
pub async fn show(call: Call) -> Answer {
    let row = call.registry.plugin(&call.actor, call.word("digest")).await?;
    Reply::json(Success::Found, &PluginView::full(&row))
}
