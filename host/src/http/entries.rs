//! Entries and versions of every kind: publish, validate and read. What else changes them is in `life`.

use serde::Serialize;
use serde_json::json;
use utoipa::openapi::schema::{AdditionalProperties, Array, Object, ObjectBuilder};

use super::call::Call;
use super::error::{Code, Problem, Success};
use super::journal;
use super::life::expected_of_publish;
use super::openapi::told::{self, Told, anything, object, word_of};
use super::page::{self, PageView};
use super::reply::{Answer, Reply};
use super::view::{DecisionView, EntryView, Named, Stored, VersionView};
use crate::registry::publish::PublishWanted;
use crate::registry::store::{EntryStatus, VersionHead};
use crate::registry::{Published, RegistryError, Report};

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Decided<'a> {
    pub(super) decision: DecisionView<'a>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Skipped<'a> {
    pub(super) status: &'static str,
    pub(super) reason: &'static str,
    pub(super) decision: Id<'a>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = DecisionName)]
pub(super) struct Id<'a> {
    pub(super) id: &'a str,
}

/// `POST /api/{kind}/publish`
pub async fn publish(call: Call) -> Answer {
    let [status] = call.query(["status"])?;
    let status = match status.as_deref() {
        None => EntryStatus::Active,
        Some("draft") => EntryStatus::Draft,
        Some(other) => {
            let detail = format!("status is 'draft', or left out, not '{}'", short(other));
            return Err(Problem::new(Code::BadQuery, detail));
        }
    };
    let sent = (call.body.clone(), call.format);
    let wanted = PublishWanted { status, expected: expected_of_publish(&call)? };
    let published = call.registry.publish_as(&call.actor, call.word("kind"), sent, wanted).await;
    journal::published(&call, &published);
    match published? {
        Published::Created { kind, entry, version, decision, .. } => {
            let stored = Stored::of(&version)?;
            let thing = EntryView::full(&kind, &entry, &version, &stored);
            let more = Decided { decision: DecisionView::of(&decision) };
            let location = format!("/api/{}/{}/versions/{}", kind.name, version.id, version.version);
            let named = Named { singular: &kind.singular, thing, more };
            Ok(Reply::json(Success::Created, &named)?.at(&location).now_at(entry.revision()))
        }
        Published::Skipped { kind, existing } => {
            let stored = Stored::of(&existing)?;
            let thing = EntryView::version(&kind, &existing, &stored);
            let decision = Id { id: existing.decision.as_str() };
            let more = Skipped { status: "skipped", reason: "duplicate", decision };
            Reply::json(Success::Skipped, &Named { singular: &kind.singular, thing, more })
        }
    }
}

/// `POST /api/{kind}/validate`
pub async fn validate(call: Call) -> Answer {
    let judged = call.registry.validate(&call.actor, call.word("kind"), call.body.clone(), call.format).await;
    journal::validated(&call, &judged);
    let report = match judged {
        // A dry run answers what is wrong, whatever it is: only a request that cannot be read is refused.
        Err(RegistryError::Unidentified { findings }) => Report::unidentified(findings),
        other => other?,
    };
    Reply::json(Success::Found, &report)
}

/// `GET /api/{kind}/{id}`
pub async fn show(call: Call) -> Answer {
    // A route that ends in a fixed word serves the entry of that name.
    let id = match call.word("id") {
        "" => call.uri.path().rsplit('/').next().unwrap_or_default(),
        id => id,
    };
    let read = call.registry.entry(&call.actor, call.word("kind"), id).await?;
    let stored = Stored::of(&read.version)?;
    let view = EntryView {
        versions: Some(&read.versions),
        standing: Some(read.standing),
        ..EntryView::full(&read.kind, &read.entry, &read.version, &stored)
    };
    Ok(Reply::json(Success::Found, &view)?.at_revision(read.entry.revision()))
}

/// `GET /api/{kind}/{id}/versions`
pub async fn versions(call: Call) -> Answer {
    let (kind, id) = (call.word("kind"), call.word("id"));
    let list = format!("versions of {kind}/{id}");
    let asked = page::asked(&call, &list)?;
    let page = call.registry.versions(&call.actor, kind, id, asked.after.as_ref(), asked.limit).await?;
    page::answer(&call, &PageView::of(&list, &page, VersionHead::place, VersionView::of))
}

/// `GET /api/{kind}/{id}/versions/{version}`
pub async fn version(call: Call) -> Answer {
    let (kind, id, version) = (call.word("kind"), call.word("id"), call.word("version"));
    let (kind, row) = call.registry.version(&call.actor, kind, id, version).await?;
    let stored = Stored::of(&row)?;
    Reply::json(Success::Found, &EntryView::version(&kind, &row, &stored))
}

/// `GET /api/{kind}/{id}/versions/{version}/manifest`
pub async fn manifest(call: Call) -> Answer {
    let (kind, id, version) = (call.word("kind"), call.word("id"), call.word("version"));
    let (_, row) = call.registry.version(&call.actor, kind, id, version).await?;
    Ok(Reply::forever(&row.digest, row.manifest.to_string().into()))
}

/// What a caller wrote, as far as it is worth showing.
pub(super) fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

/// What the API's description tells of these.
pub fn told() -> Vec<Told> {
    let example = json!({
        "agentId": "weather-agent", "name": "Weather agent", "version": "1.0.0", "tags": ["weather"],
        "manifest": {
            "apiVersion": "v1", "kind": "AgentManifest", "metadata": {"name": "weather-agent", "version": "1.0.0"},
            "spec": {},
        },
        "variables": {"REGION": "eu-west"},
    });
    let mut publish = Told::post("/api/{kind}/publish", "publish");
    let (created, skipped) = (Named::<Decided<'_>>::told(&mut publish), Named::<Skipped<'_>>::told(&mut publish));
    let publish = publish
        .query("status", word_of(&["draft"]), "An entry that is new begins as a draft.")
        .header("If-Match", "The entry's `ETag`, or `*` where it is to be there: it is published only where it is so.")
        .header("If-None-Match", "`*`: it is published only where the entry is new.")
        .takes_form(submission(), example.clone())
        .gives_form(Success::Created, created)
        .with_header("Location")
        .gives_form(Success::Skipped, skipped)
        .meaning("The same content is published already, and nothing was written.")
        .refuses(&[
            Code::Forbidden,
            Code::VersionExists,
            Code::EntryDisabled,
            Code::EntryChanged,
            Code::Rejected,
            Code::Unidentified,
            Code::BadChange,
            Code::PluginFailed,
        ]);
    let validate = Told::post("/api/{kind}/validate", "validate")
        .takes_form(submission(), example)
        .gives::<Report>(Success::Found)
        .meaning("What the gate says of it; `valid` says whether it would be let in.")
        .refuses(&[Code::PluginFailed]);
    let entry =
        |path: &str, id: &str| Told::get(path, id).gives::<EntryView<'_>>(Success::Found).refuses(&[Code::NotFound]);
    vec![
        publish,
        validate,
        entry("/api/{kind}/publish", "showEntryCalledPublish"),
        entry("/api/{kind}/validate", "showEntryCalledValidate"),
        entry("/api/{kind}/rate", "showEntryCalledRate"),
        entry("/api/{kind}/use", "showEntryCalledUse"),
        entry("/api/{kind}/{id}", "showEntry"),
        Told::get("/api/{kind}/{id}/versions", "listVersions").pages::<VersionView<'_>>(),
        entry("/api/{kind}/{id}/versions/{version}", "showVersion"),
        Told::get("/api/{kind}/{id}/versions/{version}/manifest", "showManifest")
            .gives_form(Success::Found, object([])),
    ]
}

/// What a kind's submissions are is in its module's rules: the members that every kind has, and others.
fn submission() -> Object {
    let member = |name: &str| (name.to_owned(), told::text());
    let texts = ["name", "version", "description", "sourceCommit"].map(member);
    let tags = Array::new(told::text());
    let object = ObjectBuilder::new()
        .description(Some(
            "The kind's id field, `name`, `version` (unless the registry counts the kind's versions), the kind's document \
             field, and what else it declares: `GET /api/modules/{name}` shows its JSON Schema.",
        ))
        .additional_properties(Some(AdditionalProperties::FreeForm(true)))
        .property("tags", tags)
        .property("metadata", anything())
        .property("variables", object([]));
    texts.into_iter().fold(object, |object, (name, form)| object.property(name, form)).build()
}
