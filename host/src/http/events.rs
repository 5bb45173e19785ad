//! Events as they happen: a stream of server-sent events that a reader takes up again where it was. Each has its place in
//! the tenant's line as its id; the places that a filter leaves out are told with the heartbeat, so that a reader comes
//! back to where the stream was and not to the last event that it was shown.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderName;
use bytes::Bytes;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use super::call::Call;
use super::error::{Code, Problem};
use super::openapi::told::{Tagged, Told, text, text_like};
use super::reply::{Answer, Reply};
use crate::clock::Millis;
use crate::config::Limits;
use crate::registry::events::{CloudEvent, EventFilter, NoPlace, type_of};
use crate::registry::store::PlacedEvent;
use crate::registry::{Actor, Registry};

/// Where a reader was that comes back.
static LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Events read at once.
const PAGE: u32 = 100;
/// Events that wait for a slow reader.
const WAITING_MAX: usize = 16;
/// Milliseconds after which a reader whose stream ended asks again.
const RETRY_MS: u64 = 1_000;

/// `GET /api/events`
pub async fn stream(call: Call) -> Answer {
    let [after, types, kinds] = call.query(["after", "type", "kind"])?;
    let words = |text: Option<String>| -> Vec<String> {
        text.iter().flat_map(|text| text.split(',')).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    let filter = EventFilter::new(&words(types), &words(kinds)).map_err(|why| Problem::new(Code::BadQuery, why))?;
    if let Some(beyond) = filter.beyond(&call.actor) {
        let (name, held) = (&call.actor.name, call.actor.grants.roles_text());
        let detail = format!("events of the type {beyond} ask for the role admin, and the token '{name}' has {held}");
        return Err(Problem::new(Code::Forbidden, detail));
    }
    let after = call.registry.event_place(&call.actor, place(&call, after)?).await?.map_err(no_place)?;
    let streams = Arc::clone(&call.host.streams);
    let permit = streams.try_acquire_owned().map_err(|_| {
        let limit = call.host.limits.event_streams_max;
        let detail = format!("the host serves as many streams as it may (event_streams_max = {limit}): try again");
        Problem::new(Code::Busy, detail).limited_by("event_streams_max")
    })?;
    Ok(Reply::events(Feed::begin(&call, filter, after, permit)))
}

/// The place that the reader names: in the query, or as browsers do where a stream broke off, which is newer.
fn place(call: &Call, after: Option<String>) -> Result<Option<i64>, Problem> {
    let header = call.headers.get(&LAST_EVENT_ID).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let Some((name, text)) = header.map(|text| ("Last-Event-ID", text)).or(after.map(|text| ("after", text))) else {
        return Ok(None);
    };
    text.trim().parse().ok().filter(|place| *place >= 0).map(Some).ok_or_else(|| {
        let text: String = text.chars().take(80).collect();
        let detail = format!("{name} is the id of an event of this stream, or 0 for the oldest, not '{text}'");
        Problem::new(Code::BadQuery, detail)
    })
}

fn no_place(why: NoPlace) -> Problem {
    let code = match why {
        NoPlace::Forgotten { .. } => Code::EventsGone,
        NoPlace::Ahead { .. } => Code::BadQuery,
    };
    Problem::new(code, why.to_string())
}

/// One reader's stream.
struct Feed {
    registry: Arc<Registry>,
    actor: Actor,
    filter: EventFilter,
    /// What was read so far.
    after: i64,
    out: Sender<Bytes>,
    stopping: watch::Receiver<bool>,
    limits: Arc<Limits>,
    ends: Instant,
    _permit: OwnedSemaphorePermit,
}

/// The stream is over: its reader is gone, the host stops, or its time is up.
struct Over;

impl Feed {
    fn begin(call: &Call, filter: EventFilter, after: i64, permit: OwnedSemaphorePermit) -> Receiver<Bytes> {
        let (out, events) = channel(WAITING_MAX);
        let limits = Arc::clone(&call.host.limits);
        let mut feed = Self {
            registry: Arc::clone(&call.registry),
            actor: call.actor.clone(),
            filter,
            after,
            out,
            stopping: call.host.stopping.subscribe(),
            ends: Instant::now() + Duration::from_millis(limits.event_stream_max_ms.max(1)),
            limits,
            _permit: permit,
        };
        tokio::spawn(async move {
            let Err(Over) = feed.go_on().await;
        });
        events
    }

    async fn go_on(&mut self) -> Result<Infallible, Over> {
        let mut placed = self.registry.placed();
        let heartbeat = Duration::from_millis(self.limits.event_heartbeat_ms.max(10));
        let poll = Duration::from_millis(self.limits.event_poll_ms.max(10));
        let (mut told, mut checked) = (Instant::now(), Instant::now());
        self.say(format!("retry: {RETRY_MS}\nid: {}\n\n", self.after)).await?;
        loop {
            let is_last = self.tell_page(&mut told).await?;
            // However much there is to tell.
            if checked.elapsed() >= heartbeat {
                self.check_reader().await?;
                checked = Instant::now();
            }
            if told.elapsed() >= heartbeat {
                // Without data it is no event, and its id is remembered all the same.
                self.say(format!(": {}\nid: {}\n\n", Millis::now().rfc3339(), self.after)).await?;
                told = Instant::now();
            }
            if !is_last {
                continue;
            }
            tokio::select! {
                () = self.out.closed() => return Err(Over),
                _ = self.stopping.wait_for(|stopping| *stopping) => return Err(Over),
                () = tokio::time::sleep_until(self.ends) => return Err(Over),
                _ = placed.changed() => {}
                () = tokio::time::sleep(poll.min(heartbeat)) => {}
            }
        }
    }

    /// Tells what follows; true where there is no more.
    async fn tell_page(&mut self, told: &mut Instant) -> Result<bool, Over> {
        let events = match self.registry.events_after(&self.actor, self.after, PAGE).await {
            Ok(Some(events)) => events,
            // The reader was too slow, and what follows is gone: it is told so when it comes back.
            Ok(None) => return Err(Over),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a stream of events ends");
                return Err(Over);
            }
        };
        for event in &events {
            if self.filter.lets(&self.actor, &event.event) {
                self.say(frame(event)).await?;
                *told = Instant::now();
            }
            self.after = event.place;
        }
        Ok(events.len() < usize::try_from(PAGE).unwrap_or(usize::MAX))
    }

    async fn check_reader(&self) -> Result<(), Over> {
        match self.registry.still_holds(&self.actor, Millis::now()).await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(Over),
        }
    }

    /// Waits for a slow reader, and for nothing else.
    async fn say(&mut self, text: String) -> Result<(), Over> {
        tokio::select! {
            sent = self.out.send(Bytes::from(text)) => sent.map_err(|_| Over),
            _ = self.stopping.wait_for(|stopping| *stopping) => Err(Over),
            () = tokio::time::sleep_until(self.ends) => Err(Over),
        }
    }
}

fn frame(placed: &PlacedEvent) -> String {
    let (kind, data) = (type_of(&placed.event.what), CloudEvent::of(placed).to_json());
    format!("id: {}\nevent: {kind}\ndata: {data}\n\n", placed.place)
}

/// What the API's description tells of these.
pub fn told() -> Vec<Told> {
    vec![
        Told::get("/api/events", "streamEvents")
            .more("Each event's `data` is a CloudEvent 1.0 (docs/EVENTS.md); the stream goes on until the reader hangs up.")
            .query("after", text_like("^[0-9]+$"), "The id of the event to go on after; `0` for the oldest that is kept.")
            .query("type", text(), "Types of events, with commas between them.")
            .query("kind", text(), "Kinds of entries, with commas between them.")
            .header("Last-Event-ID", "The same as `after`, as browsers send it; it wins.")
            .gives_text("text/event-stream")
            .with_header("Cache-Control")
            .tagged(Tagged::Never)
            .refuses(&[Code::EventsGone]),
    ]
}
