//! What every request passes: its id, the count of requests in flight and of the caller's, who asks, the media type, the
//! body; then one handler; then the answer, the metrics and the log. The route table says which of these a route has.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{FromRequestParts as _, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, Uri};
use futures_util::FutureExt as _;
use tokio::sync::SemaphorePermit;
use tracing::Instrument as _;

use super::address::Peer;
use super::call::{Call, Correlation, REQUEST_ID, no_route as nothing_at};
use super::error::{Code, Problem};
use super::idempotency;
use super::intake::{Incoming, Intake};
use super::rates::Told;
use super::reply::{Answer, Known, refusal};
use super::{Host, caller};
use crate::registry::access::Role;
use crate::telemetry::{self, Caller, Trace};

/// The headers of W3C Trace Context.
static TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
static TRACE_STATE: HeaderName = HeaderName::from_static("tracestate");

/// How a route is called in metrics.
#[derive(Debug, Clone, Copy)]
pub struct Label {
    /// The method.
    pub method: &'static str,
    /// The path, with its parameters' names.
    pub path: &'static str,
}

/// What a route demands of who asks, and of what is sent.
#[derive(Debug, Clone, Copy)]
pub struct Guard {
    /// The role.
    pub role: Role,
    /// What is read.
    pub intake: Intake,
}

/// One request, from its head on.
struct Asked {
    label: Label,
    started: Instant,
    correlation: Correlation,
    trace: Arc<Trace>,
    /// What its answer tells of how many may follow.
    told: Told,
}

impl Asked {
    fn of(label: Label, headers: &HeaderMap) -> Self {
        let (started, correlation) = (Instant::now(), Correlation::of(headers));
        // Two parents are none; a state may come in parts, of which the first is the nearest.
        let mut parents = headers.get_all(&TRACE_PARENT).iter();
        let parent = parents.next().filter(|_| parents.next().is_none()).and_then(|value| value.to_str().ok());
        let state = headers.get(&TRACE_STATE).and_then(|value| value.to_str().ok());
        let trace = Trace::begin(Caller { parent, state }, label.method, label.path, correlation.as_str());
        Self { label, started, correlation, trace: Arc::new(trace), told: Told::default() }
    }
}

/// Serves a route that everybody may ask.
pub async fn public<H, F>(label: Label, host: Arc<Host>, request: Request, handler: H) -> Response<Body>
where
    H: FnOnce(Arc<Host>, Uri) -> F,
    F: Future<Output = Answer>,
{
    let (asked, known) = (Asked::of(label, request.headers()), Known::of(request.headers()));
    let uri = request.into_parts().0.uri;
    conclude(&asked, async { Ok(handler(host, uri).await?.unless_known(&known)) }).await
}

/// Serves a route that takes a token.
pub async fn guarded<H, F>(label: Label, guard: Guard, host: Arc<Host>, request: Request, handler: H) -> Response<Body>
where
    H: FnOnce(Call) -> F,
    F: Future<Output = Answer> + Send + 'static,
{
    let asked = Asked::of(label, request.headers());
    let (parts, body) = request.into_parts();
    let mut unread = Incoming::of(body, &parts.headers);
    let work = async {
        let answer = async {
            // Held until the answer is made. What outlives a client that hangs up is counted where it runs: by the gate's
            // own limits, and by the store's.
            let _permit = host.in_flight.try_acquire().map_err(|_| {
                let limit = host.limits.requests_in_flight_max;
                let detail = format!("the host is busy (requests_in_flight_max = {limit}): try again");
                Problem::new(Code::Busy, detail).limited_by("requests_in_flight_max")
            })?;
            let _change = guard.intake.is_change().then(|| change(&host)).transpose()?;
            let call = admit(Arc::clone(&host), guard, parts, &mut unread, &asked).await?;
            if label.method == "GET" {
                let known = Known::of(&call.headers);
                return Ok(handler(call).await?.unless_known(&known));
            }
            match idempotency::key(&call.headers)? {
                Some(key) => idempotency::once(key, label, call, handler).await,
                None => handler(call).await,
            }
        }
        .await;
        if answer.is_err() {
            unread.discard().await;
        }
        answer
    };
    conclude(&asked, work).await
}

async fn admit(
    host: Arc<Host>,
    Guard { role, intake }: Guard,
    mut parts: Parts,
    unread: &mut Incoming,
    asked: &Asked,
) -> Result<Call, Problem> {
    if let Some(Peer(peer)) = parts.extensions.get() {
        host.rates.count_address(host.proxies.client(*peer, &parts.headers), &asked.told)?;
    }
    let (actor, session) = caller::identify(&host, &parts).await?;
    host.rates.count_token(actor.token.as_deref().unwrap_or(&actor.name), &asked.told)?;
    caller::demand(&actor, role)?;
    let registry = host.registry_of(&actor).await?.ok_or_else(|| caller::no_such_tenant(&actor))?;
    let format = intake.format(&parts.headers)?;
    let words = RawPathParams::from_request_parts(&mut parts, &())
        .await
        .map_err(|_| Problem::new(Code::BadName, "the path is not UTF-8 when its percent-encoding is undone"))?;
    let body = intake.read(unread.take(), &host.limits).await?;
    let Parts { headers, uri, .. } = parts;
    let (correlation, trace, started) = (asked.correlation.clone(), Arc::clone(&asked.trace), asked.started);
    Ok(Call { host, registry, actor, session, correlation, trace, started, format, headers, body, words, uri })
}

/// Their bodies are up to 32 times as large as a document: they have a number of their own.
fn change(host: &Host) -> Result<SemaphorePermit<'_>, Problem> {
    host.changes_in_flight.try_acquire().map_err(|_| {
        let limit = host.limits.changes_in_flight_max;
        let detail = format!("the host is busy with other changes (changes_in_flight_max = {limit}): try again");
        Problem::new(Code::Busy, detail).limited_by("changes_in_flight_max")
    })
}

/// Answers a path that no route has.
pub async fn no_route(State(_): State<Arc<Host>>, request: Request) -> Response<Body> {
    let problem = nothing_at(request.uri().path());
    refuse(request, problem).await
}

/// Answers a method that a route does not have; the router adds `Allow`.
pub async fn no_method(State(_): State<Arc<Host>>, request: Request) -> Response<Body> {
    let detail = format!("{} is not served here: the Allow header says what is", method_word(request.method()));
    refuse(request, Problem::new(Code::NoMethod, detail)).await
}

async fn refuse(request: Request, problem: Problem) -> Response<Body> {
    let label = Label { method: method_word(request.method()), path: "none" };
    let asked = Asked::of(label, request.headers());
    let (parts, body) = request.into_parts();
    let work = async {
        Incoming::of(body, &parts.headers).discard().await;
        Err(problem)
    };
    conclude(&asked, work).await
}

/// A caller may invent methods; a metric's labels are ours.
fn method_word(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "another method",
    }
}

/// Turns whatever came of the work, a panic included, into a response.
async fn conclude(asked: &Asked, work: impl Future<Output = Answer>) -> Response<Body> {
    let Asked { label, started, correlation, trace, told } = asked;
    let work = work.instrument(trace.span().clone());
    // A handler shares nothing mutable with the next request, so nothing half-changed is seen after a panic.
    let answer = AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(Problem::internal(format!("a handler panicked: {}", text.unwrap_or_default())))
    });
    let mut response = match answer {
        Ok(reply) => reply.into_response(),
        Err(problem) => {
            problem.log(correlation.as_str());
            refusal(&problem, correlation.as_str())
        }
    };
    told.write(response.headers_mut());
    response.headers_mut().insert(&REQUEST_ID, correlation.header());
    if let Some(parent) = trace.parent().and_then(|parent| HeaderValue::try_from(parent).ok()) {
        response.headers_mut().insert(&TRACE_PARENT, parent);
    }
    trace.answered(response.status().as_u16());
    telemetry::request_answered(label.method, label.path, response.status().as_str(), started.elapsed());
    response
}
