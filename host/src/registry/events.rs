//! Events as others see them: CloudEvents 1.0 in structured JSON, of the types in `TYPES`, in one order for each tenant.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::access::Role;
use super::store::{Event, EventRow, NewHappening, PlacedEvent, PlacesKept};
use super::{Actor, Decision, Registry, RegistryError};
use crate::clock::{Instant, Millis};
use crate::config::nearest;
use crate::names::{Digest, KindName, NameError};

/// Events given places between two marks: as many are told again after a crash, at most.
const PLACED_AT_ONCE_MAX: u32 = 100;

/// Milliseconds between two looks for events whose time is over, at most.
const SWEEP_MS_MAX: u64 = 60_000;

/// Milliseconds in which a plugin's failures are told once.
const FAILURES_TOLD_EVERY_MS: i64 = 60_000;

/// Every type of event, what it tells, and the role that may read it. docs/EVENTS.md has the same table.
pub const TYPES: &[(&str, &str, Role)] = &[
    ("entry.activated", "an entry is active again", Role::Reader),
    ("entry.deprecated", "an entry is to be replaced", Role::Reader),
    ("entry.disabled", "an entry is not to be used", Role::Reader),
    ("entry.published", "a version was published and is the active one", Role::Reader),
    ("entry.rolled-back", "an earlier version was made the active one", Role::Reader),
    ("entry.version-withdrawn", "a version was taken back", Role::Reader),
    ("exemption.made", "entries may pass one finding's code until a date", Role::Reader),
    ("exemption.revoked", "an exemption was taken back", Role::Reader),
    ("inbox.forgotten", "a key of the inbox was forgotten", Role::Admin),
    ("key.revoked", "a key is believed no more", Role::Reader),
    ("key.trusted", "a key is trusted", Role::Reader),
    ("plugin.failed", "a plugin broke over a submission; told once a plugin and minute", Role::Reader),
    ("plugin.pushed", "a component was pushed", Role::Reader),
    ("plugin.signed", "a signature of a plugin was kept", Role::Reader),
    ("publisher.removed", "a publisher is trusted no more", Role::Admin),
    ("publisher.trusted", "whoever an issuer vouches for may publish entries", Role::Admin),
    ("release.activated", "a release was put in force", Role::Reader),
    ("release.created", "a release was made", Role::Reader),
    ("scope.frozen", "a scope keeps its active release", Role::Reader),
    ("scope.unfrozen", "a scope's active release may be replaced again", Role::Reader),
    ("shadow.activated", "a staged release was put in force by itself", Role::Reader),
    ("shadow.demoted", "a staged release went beyond its budget and was ended", Role::Reader),
    ("shadow.staged", "a release runs as a shadow, to be put in force by itself", Role::Reader),
    ("shadow.started", "a release runs beside the active one", Role::Reader),
    ("shadow.stopped", "a shadow was stopped", Role::Reader),
    ("signatures.optional", "plugins need not be signed", Role::Reader),
    ("signatures.required", "plugins must be signed", Role::Reader),
    ("token.created", "a token was made", Role::Admin),
    ("token.revoked", "a token was revoked", Role::Admin),
    ("webhook.added", "somebody is told of events", Role::Admin),
    ("webhook.disabled", "a webhook is sent nothing for now", Role::Admin),
    ("webhook.enabled", "a webhook is sent what waits for it", Role::Admin),
    ("webhook.removed", "a webhook was removed", Role::Admin),
    ("webhook.rotated", "a webhook has a new secret", Role::Admin),
];

/// The type of an event, as CloudEvents name it: reversed domain, what happened, the version of its data.
pub fn type_of(what: &str) -> String {
    format!("dev.hallmark.{what}.v1")
}

/// What happened, from the type.
///
/// # Errors
/// There is no such type; the text names the nearest.
pub fn what_of(kind: &str) -> Result<&'static str, String> {
    let known: Vec<String> = TYPES.iter().map(|(what, ..)| type_of(what)).collect();
    if let Some(place) = known.iter().position(|candidate| candidate == kind) {
        return Ok(TYPES[place].0);
    }
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let kind: String = kind.chars().take(150).collect();
    Err(match nearest(&kind, &known) {
        Some(near) => format!("there is no type of event '{kind}': did you mean '{near}'?"),
        None => {
            format!("there is no type of event '{kind}': docs/EVENTS.md lists them, as {}", type_of("entry.published"))
        }
    })
}

fn role_of(what: &str) -> Role {
    // One that is in no table is shown to those who may see everything.
    TYPES.iter().find(|(known, ..)| *known == what).map_or(Role::Admin, |(.., role)| *role)
}

impl Event {
    /// What it is about, as the audit log names it: `agents/planner@1.0.0`, `policies#7`.
    pub fn subject(&self) -> String {
        let Some((kind, id)) = &self.entry else { return self.subject.clone().unwrap_or_default() };
        match self.data().get("version").and_then(Value::as_str) {
            Some(version) => format!("{kind}/{id}@{version}"),
            None => format!("{kind}/{id}"),
        }
    }

    /// What shares an order: the events of one entry, of one scope, of one plugin.
    pub fn lane(&self) -> String {
        match (&self.entry, &self.subject) {
            (Some((kind, id)), _) => format!("{kind}/{id}"),
            (None, Some(subject)) => subject.split('#').next().unwrap_or_default().to_owned(),
            (None, None) => String::new(),
        }
    }

    fn data(&self) -> Map<String, Value> {
        match serde_json::from_str(&self.body) {
            Ok(Value::Object(data)) => data,
            _ => Map::new(),
        }
    }

    /// True where it is one of these; an empty list lets everything through. One that is about no entry is of no kind.
    fn is_among(&self, types: &[String], kinds: &[KindName]) -> bool {
        let is_of_type = types.is_empty() || types.contains(&self.what);
        let is_of_kind = kinds.is_empty() || self.entry.as_ref().is_some_and(|(kind, _)| kinds.contains(kind));
        is_of_type && is_of_kind
    }
}

impl super::store::WebhookRow {
    /// True where it is sent this event.
    pub fn wants(&self, event: &Event) -> bool {
        event.is_among(&self.types, &self.kinds)
    }
}

/// An event as it is sent (CloudEvents 1.0, structured JSON).
#[derive(Debug, Serialize)]
pub struct CloudEvent<'a> {
    specversion: &'static str,
    id: &'a str,
    source: String,
    #[serde(rename = "type")]
    kind: String,
    subject: String,
    time: Instant,
    datacontenttype: &'static str,
    /// Extensions: whose it is, and its place among the tenant's, as text that sorts (the sequence extension).
    tenant: &'a str,
    sequence: String,
    data: Map<String, Value>,
}

impl<'a> CloudEvent<'a> {
    /// The event at its place.
    pub fn of(placed: &'a PlacedEvent) -> Self {
        let PlacedEvent { tenant, place, event } = placed;
        let mut data = event.data();
        // The envelope has it.
        data.remove("at");
        if let Some((kind, id)) = &event.entry {
            data.insert("kind".to_owned(), json!(kind));
            data.insert("entry".to_owned(), json!(id));
        }
        Self {
            specversion: "1.0",
            id: &event.id,
            source: format!("urn:hallmark:registry:{tenant}"),
            kind: type_of(&event.what),
            subject: event.subject(),
            time: Instant(event.created_at),
            datacontenttype: "application/json",
            tenant: tenant.as_str(),
            sequence: format!("{place:020}"),
            data,
        }
    }

    /// As text.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("an event is plain data")
    }
}

/// Which events somebody asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    types: Vec<String>,
    kinds: Vec<KindName>,
}

impl EventFilter {
    /// Of these types (as CloudEvents name them) and kinds; none of either stands for all.
    ///
    /// # Errors
    /// There is no such type; a kind has not its form.
    pub fn new(types: &[String], kinds: &[String]) -> Result<Self, String> {
        let types = types.iter().map(|kind| what_of(kind).map(str::to_owned)).collect::<Result<_, _>>()?;
        let kinds: Result<_, NameError> = kinds.iter().map(|kind| kind.parse()).collect();
        Ok(Self { types, kinds: kinds.map_err(|error| error.to_string())? })
    }

    /// The types and the kinds.
    pub fn into_parts(self) -> (Vec<String>, Vec<KindName>) {
        (self.types, self.kinds)
    }

    /// The first type that the caller may not read.
    pub fn beyond(&self, actor: &Actor) -> Option<String> {
        self.types.iter().find(|what| !actor.grants.include(role_of(what))).map(|what| type_of(what))
    }

    /// True where the caller is shown it.
    pub fn lets(&self, actor: &Actor, event: &Event) -> bool {
        event.is_among(&self.types, &self.kinds) && actor.grants.include(role_of(&event.what))
    }
}

/// From where a reader cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    /// What follows it is not kept any more.
    #[error(
        "events up to place {} are not kept any more (events_kept_ms), and you were at {after}: read what is stored, then \
         go on with after={}", first - 1, first - 1
    )]
    Forgotten {
        /// Where the reader was.
        after: i64,
        /// The oldest place that is kept.
        first: i64,
    },
    /// There is no such event yet.
    #[error("there is no event at place {after} yet, the newest is at {last}: was it another registry's?")]
    Ahead {
        /// Where the reader says that it was.
        after: i64,
        /// The newest place.
        last: i64,
    },
}

/// The events that tell of plugins that broke, beside the decision. Each has an id that is its plugin's and minute's, so
/// that one is written however often it breaks, on however many hosts.
pub(super) fn failures(decision: &Decision) -> Vec<NewHappening> {
    let at = Millis(decision.submitted_at);
    let told = decision.failures.iter().filter(|failure| !failure.passing);
    told.map(|failure| {
        let minute = at.0.div_euclid(FAILURES_TOLD_EVERY_MS);
        let id = Digest::of(format!("plugin.failed {} {} {minute}", failure.plugin, failure.digest).as_bytes());
        let body = json!({
            "binding": failure.plugin,
            "plugin": failure.digest,
            "mode": failure.mode,
            "cause": failure.cause,
            "decision": decision.id,
            "kind": decision.kind,
            "entry": decision.entry,
            "version": decision.version,
            "actor": decision.publisher,
        });
        NewHappening {
            id: id.hex()[..32].to_owned(),
            what: "plugin.failed".to_owned(),
            subject: format!("plugins/{}", failure.digest),
            body: body.to_string(),
            created_at: at,
        }
    })
    .collect()
}

impl Registry {
    /// Rings after events got places here. Those of other hosts are looked for.
    pub fn placed(&self) -> tokio::sync::watch::Receiver<()> {
        self.placed.subscribe()
    }

    /// Tells every event of the tenant that is committed and has no place yet, and gives it one; says how many.
    ///
    /// # Errors
    /// `Store`.
    pub async fn announce_pending(&self, tell: impl Fn(&EventRow)) -> Result<usize, RegistryError> {
        let mut announced = 0;
        loop {
            let events = self.store.pending_events(&self.tenant, PLACED_AT_ONCE_MAX).await?;
            if events.is_empty() {
                return Ok(announced);
            }
            events.iter().for_each(&tell);
            self.store.place_events(&self.tenant, &events, Millis::now()).await?;
            self.placed.send_replace(());
            announced += events.len();
            // What was committed since wakes the next look, after it was gathered.
            if events.len() < usize::try_from(PLACED_AT_ONCE_MAX).unwrap_or(usize::MAX) {
                return Ok(announced);
            }
        }
    }

    /// The place that a reader goes on after: the one that it names, where 0 stands for the oldest that is kept, or else
    /// the newest.
    ///
    /// # Errors
    /// `Store`; within, why it cannot go on from there.
    pub async fn event_place(&self, actor: &Actor, after: Option<i64>) -> Result<Result<i64, NoPlace>, RegistryError> {
        let PlacesKept { first, last } = self.store.places_kept(&actor.tenant).await?;
        Ok(match after {
            None => Ok(last),
            Some(0) => Ok((first - 1).max(0)),
            Some(after) if after > last => Err(NoPlace::Ahead { after, last }),
            Some(after) if after < first - 1 => Err(NoPlace::Forgotten { after, first }),
            Some(after) => Ok(after),
        })
    }

    /// Events after a place, in order. None where the one that follows is not kept any more.
    ///
    /// # Errors
    /// `Store`.
    pub async fn events_after(
        &self,
        actor: &Actor,
        after: i64,
        limit: u32,
    ) -> Result<Option<Vec<PlacedEvent>>, RegistryError> {
        let events = self.store.events_after(&actor.tenant, after, limit).await?;
        let follows = events.first().is_none_or(|event| event.place == after + 1);
        Ok(follows.then_some(events))
    }

    /// Forgets events whose time is over, for as long as the registry is held elsewhere.
    pub async fn sweep_events(self: Arc<Self>) {
        let kept_ms = self.limits.events_kept_ms;
        let every = Duration::from_millis((kept_ms / 10).clamp(10, SWEEP_MS_MAX));
        let swept = Arc::downgrade(&self);
        drop(self);
        loop {
            tokio::time::sleep(every).await;
            let Some(registry) = swept.upgrade() else { return };
            let before = Millis(Millis::now().0.saturating_sub(i64::try_from(kept_ms).unwrap_or(i64::MAX)));
            if let Err(error) = registry.store.forget_events(&registry.tenant, before).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "old events stay for now");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(entry: Option<(&str, &str)>, subject: Option<&str>, what: &str, body: Value) -> PlacedEvent {
        let entry = entry.map(|(kind, id)| (kind.parse().expect("a kind"), id.parse().expect("an id")));
        let event = Event {
            id: "0190".to_owned(),
            what: what.to_owned(),
            entry,
            subject: subject.map(str::to_owned),
            body: body.to_string(),
            created_at: Millis(1_763_660_456_123),
        };
        PlacedEvent { tenant: "default".parse().expect("a tenant"), place: 7, event }
    }

    #[test]
    fn an_event_is_a_cloud_event() {
        let body = json!({"version": "1.0.0", "digest": "sha256:00", "actor": "ada", "at": 1});
        let event = placed(Some(("agents", "planner")), None, "entry.published", body);
        assert_eq!(
            serde_json::from_str::<Value>(&CloudEvent::of(&event).to_json()).expect("JSON"),
            json!({
                "specversion": "1.0",
                "id": "0190",
                "source": "urn:hallmark:registry:default",
                "type": "dev.hallmark.entry.published.v1",
                "subject": "agents/planner@1.0.0",
                "time": "2025-11-20T17:40:56.123Z",
                "datacontenttype": "application/json",
                "tenant": "default",
                "sequence": "00000000000000000007",
                "data": {
                    "version": "1.0.0", "digest": "sha256:00", "actor": "ada", "kind": "agents", "entry": "planner",
                },
            })
        );
        assert_eq!(event.event.lane(), "agents/planner");
    }

    #[test]
    fn an_event_about_no_entry_has_the_lane_of_what_it_is_about() {
        let event = placed(None, Some("module:agents#3"), "release.activated", json!({"actor": "bob", "before": 2}));
        assert_eq!((event.event.subject().as_str(), event.event.lane().as_str()), ("module:agents#3", "module:agents"));
        let agents = ["agents".parse().expect("a kind")];
        assert!(event.event.is_among(&[], &[]) && !event.event.is_among(&[], &agents));
    }

    #[test]
    fn a_type_that_is_not_known_is_told_with_the_nearest() {
        assert_eq!(what_of("dev.hallmark.entry.published.v1"), Ok("entry.published"));
        assert_eq!(
            what_of("dev.hallmark.entry.publish.v1"),
            Err("there is no type of event 'dev.hallmark.entry.publish.v1': did you mean \
                 'dev.hallmark.entry.published.v1'?"
                .to_owned())
        );
        assert_eq!(
            what_of("x"),
            Err("there is no type of event 'x': docs/EVENTS.md lists them, as dev.hallmark.entry.published.v1"
                .to_owned())
        );
    }

    #[test]
    fn docs_list_every_type_and_no_other() {
        let text = include_str!("../../../docs/EVENTS.md");
        let listed: Vec<&str> = text.lines().filter(|line| line.starts_with("| `dev.hallmark.")).collect();
        let known: Vec<String> =
            TYPES.iter().map(|(what, told, role)| format!("| `{}` | {role} | {told} |", type_of(what))).collect();
        assert_eq!(listed, known);
        assert!(TYPES.is_sorted_by(|one, next| one.0 < next.0));
    }

    #[test]
    fn whatever_the_audit_log_knows_is_an_event() {
        let text = include_str!("../../../docs/API.md");
        let list = text.split("- `what` is ").nth(1).expect("the audit log's list").split("\n- ").next().unwrap_or("");
        let words: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
        let missing: Vec<&&str> = words.iter().filter(|word| !TYPES.iter().any(|(what, ..)| what == *word)).collect();
        assert!(words.len() > 20 && missing.is_empty(), "TYPES lacks {missing:?}");
    }
}
