//! Sessions: what a browser asks by, in a cookie that no script can read and no other site has sent.

use axum::http::HeaderValue;
use serde::Serialize;

use super::call::Call;
use super::error::{Code, Problem, Success};
use super::journal;
use super::openapi::told::Told;
use super::reply::{Answer, Reply};
use crate::clock::{Instant, Millis};
use crate::registry::Actor;
use crate::registry::access::{BegunSession, Session};

/// A browser takes a cookie of this prefix over TLS alone (or from this machine), for this host and no other.
pub const COOKIE_NAME: &str = "__Host-hallmark";
/// What every such cookie says beside its value.
const ATTRIBUTES: &str = "Path=/; HttpOnly; Secure; SameSite=Strict";

/// Who asks.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Caller)]
struct CallerView<'a> {
    name: &'a str,
    /// Whose registry it is that answers.
    tenant: &'a str,
    roles: Vec<&'static str>,
    entries: Vec<String>,
    /// When the session ends, and what its pages send with changes; neither where a token asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Instant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    csrf_token: Option<String>,
}

impl<'a> CallerView<'a> {
    fn of(actor: &'a Actor) -> Self {
        Self {
            name: &actor.name,
            tenant: actor.tenant.as_str(),
            roles: actor.grants.roles().iter().map(|role| role.as_str()).collect(),
            entries: actor.grants.entries().iter().map(ToString::to_string).collect(),
            expires_at: None,
            csrf_token: None,
        }
    }

    fn by(call: &'a Call, session: &Session) -> Result<Self, Problem> {
        let csrf_token = Some(call.registry.csrf_token(session)?);
        Ok(Self { expires_at: Some(Instant(session.expires_at)), csrf_token, ..Self::of(&call.actor) })
    }
}

fn cookie(value: &str, seconds: i64) -> HeaderValue {
    let text = format!("{COOKIE_NAME}={value}; Max-Age={seconds}; {ATTRIBUTES}");
    HeaderValue::try_from(text).expect("a session's text has only characters that a cookie may have")
}

/// `GET /api/session`
pub async fn show(call: Call) -> Answer {
    let view = match &call.session {
        Some(session) => CallerView::by(&call, session)?,
        None => CallerView::of(&call.actor),
    };
    Ok(Reply::json(Success::Found, &view)?.secret())
}

/// `POST /api/session`
pub async fn begin(call: Call) -> Answer {
    // Or one that was stolen could go on for ever.
    if call.session.is_some() {
        let detail = "a session cannot begin another: send a token in the Authorization header";
        return Err(Problem::new(Code::BadChange, detail));
    }
    let result = call.registry.begin_session(&call.actor, Millis::now()).await;
    journal::token(&call, "session", "begun", &result);
    let BegunSession { cookie: value, seconds, session } = result?;
    let reply = Reply::json(Success::Created, &CallerView::by(&call, &session)?)?;
    Ok(reply.secret().with_cookie(cookie(&value, seconds)))
}

/// `DELETE /api/session`
pub async fn end(call: Call) -> Answer {
    let reply = Reply::json(Success::Found, &CallerView::of(&call.actor))?;
    Ok(reply.secret().with_cookie(cookie("", 0)))
}

/// What the API's description tells of these.
pub fn told() -> Vec<Told> {
    vec![
        Told::get("/api/session", "showSession").gives::<CallerView<'_>>(Success::Found),
        Told::post("/api/session", "beginSession")
            .gives::<CallerView<'_>>(Success::Created)
            .with_header("Set-Cookie")
            .tells_once()
            .refuses(&[Code::BadChange]),
        Told::delete("/api/session", "endSession")
            .gives::<CallerView<'_>>(Success::Found)
            .with_header("Set-Cookie")
            .tells_once(),
    ]
}
