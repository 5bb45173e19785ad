//! Plugins: components by the digest of their bytes.

use serde::Serialize;

use super::call::Call;
use super::error::Success;
use super::journal;
use super::reply::{Answer, Reply};
use super::view::PluginView;

#[derive(Serialize)]
struct Plugins<'a> {
    items: Vec<PluginView<'a>>,
}

/// `GET /api/plugins`
pub async fn list(call: Call) -> Answer {
    let rows = call.registry.plugins(&call.actor).await?;
    Reply::json(Success::Found, &Plugins { items: rows.iter().map(PluginView::listed).collect() })
}

/// `POST /api/plugins`
pub async fn push(call: Call) -> Answer {
    let result = call.registry.push_plugin(&call.actor, call.body.clone()).await;
    journal::pushed(&call, &result);
    let pushed = result?;
    let success = if pushed.created { Success::Created } else { Success::Found };
    let location = format!("/api/plugins/{}", pushed.plugin.digest);
    Ok(Reply::json(success, &PluginView::pushed(&pushed.plugin, pushed.created))?.at(&location))
}

/// `GET /api/plugins/{digest}`
pub async fn show(call: Call) -> Answer {
    let row = call.registry.plugin(&call.actor, call.word("digest")).await?;
    Reply::json(Success::Found, &PluginView::full(&row))
}
