//! Plugins: components by the digest of their bytes.

use std::sync::Arc;

use axum::http::header::ACCEPT;
use bytes::Bytes;
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::call::Call;
use super::error::{Code, Problem, Success};
use super::journal;
use super::openapi::told::Told;
use super::page::{self, PageView};
use super::reply::{Answer, Reply};
use super::view::PluginView;
use crate::names::{Digest, KeyId};
use crate::registry::signing::PluginSignature;
use crate::registry::store::{KeyRow, PluginRow};

/// What the list is of, in its cursors.
const PLUGINS: &str = "plugins";

/// `GET /api/plugins`
pub async fn list(call: Call) -> Answer {
    let asked = page::asked(&call, PLUGINS)?;
    let page = call.registry.plugins(&call.actor, asked.after.as_ref(), asked.limit).await?;
    page::answer(&call, &PageView::of(PLUGINS, &page, PluginRow::place, PluginView::listed))
}

/// `POST /api/plugins`
pub async fn push(call: Call) -> Answer {
    if asks_for_steps(&call) {
        let signature = signature(&call)?;
        return Ok(push_telling(call, signature));
    }
    let signature = signature(&call)?;
    let result = call.registry.push_plugin(&call.actor, call.body.clone(), signature.as_ref(), Arc::new(|_| {})).await;
    journal::pushed(&call, &result);
    let pushed = result?;
    let success = if pushed.created { Success::Created } else { Success::Found };
    let location = format!("/api/plugins/{}", pushed.plugin.digest);
    let signers = call.registry.signers(&call.actor, &pushed.plugin.digest).await?;
    Ok(Reply::json(success, &Signed::of(PluginView::pushed(&pushed.plugin, pushed.created), &signers))?.at(&location))
}

/// A plugin with who signed it.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Plugin)]
struct Signed<'a> {
    #[serde(flatten)]
    plugin: PluginView<'a>,
    signatures: Vec<SignerView<'a>>,
}

impl<'a> Signed<'a> {
    fn of(plugin: PluginView<'a>, signers: &'a [KeyRow]) -> Self {
        Self { plugin, signatures: signers.iter().map(SignerView::of).collect() }
    }
}

/// A key that signed a plugin, and whether it is believed.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Signer)]
pub struct SignerView<'a> {
    key_id: &'a KeyId,
    name: &'a str,
    trusted: bool,
}

impl<'a> SignerView<'a> {
    /// Shows it.
    pub fn of(key: &'a KeyRow) -> Self {
        Self { key_id: &key.id, name: &key.name, trusted: key.revoked.is_none() }
    }
}

/// The component's signature, where the request brings one: `Plugin-Signature: KEYID SIGNATURE`.
fn signature(call: &Call) -> Result<Option<PluginSignature>, Problem> {
    let Some(value) = call.headers.get("plugin-signature") else { return Ok(None) };
    let parts = value.to_str().ok().and_then(|text| text.trim().split_once(' '));
    let (key_id, signature) = parts.ok_or_else(|| {
        Problem::new(
            Code::BadName,
            "the header Plugin-Signature is not of the form 'KEYID SIGNATURE', as in a .sig file",
        )
    })?;
    Ok(Some(PluginSignature::new(Digest::of(&call.body), key_id.parse()?, signature.trim().to_owned())))
}

fn asks_for_steps(call: &Call) -> bool {
    let accepted = call.headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|range| range.trim().starts_with("application/x-ndjson"))
}

/// Answers at once with a line for each step as it begins; the last line is the plugin or the problem. A client that
/// hangs up meanwhile loses the answer and not the plugin.
fn push_telling(call: Call, signature: Option<PluginSignature>) -> Reply {
    let (lines, told) = unbounded_channel();
    tokio::spawn(async move {
        let steps = lines.clone();
        let progress = Arc::new(move |step| send(&steps, &json!({ "step": step })));
        let result = call.registry.push_plugin(&call.actor, call.body.clone(), signature.as_ref(), progress).await;
        journal::pushed(&call, &result);
        let signers = match &result {
            Ok(pushed) => call.registry.signers(&call.actor, &pushed.plugin.digest).await,
            Err(_) => Ok(Vec::new()),
        };
        match result.and_then(|pushed| Ok((pushed, signers?))) {
            Ok((pushed, signers)) => {
                let view = Signed::of(PluginView::pushed(&pushed.plugin, pushed.created), &signers);
                send(&lines, &json!({ "plugin": view }));
            }
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
    let signers = call.registry.signers(&call.actor, &row.digest).await?;
    Reply::json(Success::Found, &Signed::of(PluginView::full(&row), &signers))
}

/// What the API's description tells of these.
pub fn told() -> Vec<Told> {
    let push = Told::post("/api/plugins", "pushPlugin")
        .more(
            "With `Accept: application/x-ndjson` the answer is 200 at once, and a JSON line for each step as it begins; the \
             last line has the `plugin` or the `problem`.",
        )
        .header("Plugin-Signature", "The component's signature: `KEYID SIGNATURE`, as in a `.sig` file.")
        .takes_bytes()
        .gives::<Signed<'_>>(Success::Created)
        .with_header("Location")
        .gives::<Signed<'_>>(Success::Found)
        .with_header("Location")
        .meaning("The same bytes were there, or steps are told as they begin.")
        .gives_text("application/x-ndjson")
        .refuses(&[Code::BadName, Code::PluginUnfit, Code::PluginUnsigned]);
    vec![
        Told::get("/api/plugins", "listPlugins").pages::<PluginView<'_>>(),
        push,
        Told::get("/api/plugins/{digest}", "showPlugin").gives::<Signed<'_>>(Success::Found),
    ]
}
