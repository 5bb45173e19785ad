//! The Idempotency-Key header (draft-ietf-httpapi-idempotency-key-header-07): a request that carries one is run once, and
//! its answer is sent again to whoever sends it again.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName};
use futures_util::FutureExt as _;
use sha2::{Digest as _, Sha256};
use tracing::Instrument as _;

use super::call::Call;
use super::error::{Code, Problem};
use super::front::Label;
use super::reply::{Answer, Reply};
use crate::clock::Millis;
use crate::names::{Digest, hex};
use crate::registry::idempotency::{Attempt, KeptAnswer, KeyedRequest, Once};
use crate::registry::{Actor, Registry};

/// The header.
static KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Characters of a key.
const KEY_MAX_CHARACTERS: usize = 255;

/// Headers that change what a request asks for.
const TELLING: [&str; 2] = ["if-match", "if-none-match"];

/// The key of a request. The draft has it in quotes; most clients send it bare.
///
/// # Errors
/// It is empty, too long or no key.
pub fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut given = headers.get_all(&KEY).iter();
    let (Some(value), None) = (given.next(), given.next()) else {
        return if headers.contains_key(&KEY) { Err(refused()) } else { Ok(None) };
    };
    let text = value.to_str().map_err(|_| refused())?.trim();
    let bare = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    let is_key = (1..=KEY_MAX_CHARACTERS).contains(&bare.len())
        && bare.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
    match is_key {
        true => Ok(Some(bare.to_owned())),
        false => Err(refused()),
    }
}

fn refused() -> Problem {
    let detail = format!(
        "the Idempotency-Key header holds one key of 1 to {KEY_MAX_CHARACTERS} visible ASCII characters, as in \
         \"8e03978e-40d5-43dd-bc93-6894a57f9324\""
    );
    Problem::new(Code::BadHeader, detail)
}

/// Runs a request unless it was run before. It goes on though its client hangs up, so that the answer is there when the
/// client asks again.
///
/// # Errors
/// The request runs, its answer was not kept, or another request came with the key.
pub async fn once<H, F>(key: String, label: Label, call: Call, handler: H) -> Answer
where
    H: FnOnce(Call) -> F,
    F: Future<Output = Answer> + Send + 'static,
{
    let (registry, actor) = (Arc::clone(&call.registry), call.actor.clone());
    let request = KeyedRequest { key: key.clone(), fingerprint: fingerprint(label, &call) };
    let attempt = match registry.begin_once(&actor, request, Millis::now()).await? {
        Once::Begun(attempt) => attempt,
        Once::Answered(kept) => return Reply::again(kept).ok_or_else(|| gone(&key)),
        Once::Running => {
            let detail = format!("a request with the idempotency key '{key}' runs: ask again for its answer");
            return Err(Problem::new(Code::IdempotencyRunning, detail));
        }
        Once::Other => {
            let detail =
                format!("the idempotency key '{key}' came with another request: take a new key for a new request");
            return Err(Problem::new(Code::IdempotencyReused, detail));
        }
    };
    let limit_bytes = call.host.limits.idempotency_answer_max_bytes;
    let correlation = call.correlation.clone();
    let work = AssertUnwindSafe(handler(call)).catch_unwind().in_current_span();
    let run = tokio::spawn(async move {
        let answer = work.await.unwrap_or_else(|_| Err(Problem::internal("a handler panicked")));
        let kept = match &answer {
            Ok(reply) => reply.to_keep(limit_bytes),
            Err(problem) => problem.is_final().then(|| problem_to_keep(problem, correlation.as_str())),
        };
        keep(&registry, &actor, &attempt, kept).await;
        answer
    });
    run.await.map_err(Problem::internal)?
}

fn gone(key: &str) -> Problem {
    let detail = format!(
        "the request with the idempotency key '{key}' was run, and its answer held a secret that is kept nowhere: look \
         at what it made, and make another with a new key"
    );
    Problem::new(Code::IdempotencyGone, detail)
}

/// An answer that cannot be kept is given all the same: the request is then run again where it is sent again.
async fn keep(registry: &Registry, actor: &Actor, attempt: &Attempt, kept: Option<KeptAnswer>) {
    let done = match &kept {
        Some(answer) => registry.finish_once(actor, attempt, answer).await,
        None => registry.give_back_once(actor, attempt).await,
    };
    if let Err(error) = done {
        tracing::warn!(error = &error as &dyn std::error::Error, "the answer to a keyed request is not kept");
    }
}

fn problem_to_keep(problem: &Problem, correlation_id: &str) -> KeptAnswer {
    let (body, _) = problem.document(correlation_id);
    KeptAnswer {
        status: problem.code().status().as_u16(),
        content_type: "application/problem+json".to_owned(),
        location: None,
        etag: None,
        body: Some(String::from_utf8_lossy(&body).into_owned()),
    }
}

/// SHA-256 of what makes the request what it is, each part behind its length.
fn fingerprint(label: Label, call: &Call) -> Digest {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    part(label.method.as_bytes());
    part(call.uri.path_and_query().map_or("", |path| path.as_str()).as_bytes());
    part(call.headers.get(CONTENT_TYPE).map_or(&[], |value| value.as_bytes()));
    for name in TELLING {
        part(call.headers.get(name).map_or(&[], |value| value.as_bytes()));
    }
    part(&call.body);
    format!("sha256:{}", hex(&hash.finalize())).parse().expect("a SHA-256 has this form")
}
