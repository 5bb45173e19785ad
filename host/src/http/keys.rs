//! Trusted keys, what they signed, and whether a signature is asked for.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::call::Call;
use super::error::{Code, Problem, Success};
use super::journal;
use super::openapi::told::{self, Told, all_of};
use super::page::{self, PageView};
use super::plugins::SignerView;
use super::reply::{Answer, Reply};
use crate::clock::Instant;
use crate::names::{Digest, KeyId, Scope};
use crate::registry::keys::UnsignedBinding;
use crate::registry::signing::PluginSignature;
use crate::registry::store::{KeyRow, Signatures};

/// What the list is of, in its cursors.
const KEYS: &str = "keys";

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Key)]
struct KeyView<'a> {
    id: &'a KeyId,
    name: &'a str,
    public_key: &'a str,
    added_by: &'a str,
    added_at: Instant,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<Instant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<bool>,
}

impl<'a> KeyView<'a> {
    fn of(row: &'a KeyRow) -> Self {
        Self {
            id: &row.id,
            name: &row.name,
            public_key: &row.public_key,
            added_by: &row.added_by,
            added_at: Instant(row.added_at),
            revoked_by: row.revoked.as_ref().map(|(by, _)| by.as_str()),
            revoked_at: row.revoked.as_ref().map(|(_, at)| Instant(*at)),
            created: None,
        }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = UnsignedBinding)]
struct UnsignedView<'a> {
    scope: &'a Scope,
    release: i64,
    binding: &'a str,
    plugin: &'a Digest,
}

impl<'a> UnsignedView<'a> {
    fn of(unsigned: &'a UnsignedBinding) -> Self {
        Self {
            scope: &unsigned.release.scope,
            release: unsigned.release.number,
            binding: &unsigned.binding,
            plugin: &unsigned.plugin,
        }
    }
}

/// What comes beside keys: whether signatures are asked for, and what is in force without one.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(bound = "")]
struct Trusting<'a, T> {
    #[serde(flatten)]
    #[schema(ignore)]
    what: T,
    signatures_required: bool,
    unsigned_in_force: Vec<UnsignedView<'a>>,
}

async fn trusting(call: &Call, what: impl Serialize) -> Answer {
    let unsigned = call.registry.unsigned_in_force(&call.actor).await?;
    let signatures_required = call.registry.signatures(&call.actor).await? == Signatures::Required;
    let unsigned_in_force = unsigned.iter().map(UnsignedView::of).collect();
    Reply::json(Success::Found, &Trusting { what, signatures_required, unsigned_in_force })
}

/// `GET /api/keys`
pub async fn list(call: Call) -> Answer {
    let asked = page::asked(&call, KEYS)?;
    let page = call.registry.keys(&call.actor, asked.after.as_ref(), asked.limit).await?;
    let view = PageView::of(KEYS, &page, |row| &row.id, KeyView::of);
    let next = view.next(&call);
    Ok(trusting(&call, view).await?.followed_by(next))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = KeyRequest)]
struct AddRequest {
    name: String,
    public_key: String,
}

/// `POST /api/keys`
pub async fn add(call: Call) -> Answer {
    let request: AddRequest = call.json()?;
    let result = call.registry.add_key(&call.actor, &request.name, &request.public_key).await;
    journal::trust(&call, "trust", "trusted", &result);
    let (row, created) = result?;
    let success = if created { Success::Created } else { Success::Found };
    Reply::json(success, &KeyView { created: Some(created), ..KeyView::of(&row) })
}

/// `POST /api/keys/{id}/revoke`
pub async fn revoke(call: Call) -> Answer {
    let result = call.registry.revoke_key(&call.actor, call.word("id")).await;
    journal::trust(&call, "revoke", "revoked", &result);
    let row = result?;
    trusting(&call, KeyView::of(&row)).await
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SignaturesRequest)]
struct RequireRequest {
    required: bool,
}

#[derive(Serialize)]
struct Nothing {}

/// `POST /api/keys/require`
pub async fn require(call: Call) -> Answer {
    let request: RequireRequest = call.json()?;
    let rule = if request.required { Signatures::Required } else { Signatures::Optional };
    let result = call.registry.set_signatures(&call.actor, rule).await;
    journal::trust(&call, "require", if request.required { "required" } else { "released" }, &result);
    result?;
    trusting(&call, Nothing {}).await
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Signatures)]
struct Signed<'a> {
    signatures: Vec<SignerView<'a>>,
}

/// `POST /api/plugins/{digest}/signatures`
pub async fn sign(call: Call) -> Answer {
    let text = std::str::from_utf8(&call.body).unwrap_or_default();
    let signature = PluginSignature::read(text).map_err(|error| Problem::new(Code::Malformed, error.to_string()))?;
    let result = call.registry.add_signature(&call.actor, call.word("digest"), &signature).await;
    journal::trust(&call, "sign", "signed", &result);
    result?;
    let signers = call.registry.signers(&call.actor, &signature.plugin).await?;
    Reply::json(Success::Created, &Signed { signatures: signers.iter().map(SignerView::of).collect() })
}

/// What the API's description tells of these.
pub fn told() -> Vec<Told> {
    let mut list = Told::get("/api/keys", "listKeys").lists();
    let listed = all_of([told::page(list.named::<KeyView<'_>>()).into(), list.named::<Trusting<'_, ()>>()]);
    let mut revoke = Told::post("/api/keys/{id}/revoke", "revokeKey");
    let revoked = all_of([revoke.named::<KeyView<'_>>(), revoke.named::<Trusting<'_, ()>>()]);
    let (key, signature) = (
        json!({"name": "team", "publicKey": "-----BEGIN PUBLIC KEY-----\n…\n-----END PUBLIC KEY-----\n"}),
        json!({
            "format": "hallmark-plugin-signature-v1", "plugin": Digest::of(b""), "keyId": Digest::of(b"").hex(),
            "signature": "…",
        }),
    );
    vec![
        Told::post("/api/plugins/{digest}/signatures", "signPlugin")
            .takes::<PluginSignature>(signature)
            .gives::<Signed<'_>>(Success::Created)
            .refuses(&[Code::PluginUnsigned]),
        list.gives_form(Success::Found, listed).with_header("Link"),
        Told::post("/api/keys", "trustKey")
            .takes::<AddRequest>(key)
            .gives::<KeyView<'_>>(Success::Created)
            .gives::<KeyView<'_>>(Success::Found)
            .meaning("It is trusted already.")
            .refuses(&[Code::BadName, Code::BadKey]),
        Told::post("/api/keys/require", "requireSignatures")
            .takes::<RequireRequest>(json!({"required": false}))
            .gives::<Trusting<'_, ()>>(Success::Found),
        revoke.gives_form(Success::Found, revoked),
    ]
}
