//! Plugins: components by the digest of their bytes.

use super::call::Call;
use super::error::Success;
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
