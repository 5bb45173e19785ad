//! Committed events out: each is told and given its place in line, at least once and in order per entry, and sent to
//! whoever has a webhook. It never decides anything: what it tells has happened.

pub mod webhooks;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Limits;
use crate::registry::Registry;
use crate::registry::store::EventRow;

/// Announces events until `stop` is ready, then those that are committed by then. A commit wakes it; it also looks
/// by itself every `event_poll_ms`, for what another host or an earlier run left.
pub async fn announce(registry: Arc<Registry>, limits: Arc<Limits>, stop: impl Future<Output = ()>) {
    let mut stop = std::pin::pin!(stop);
    let committed = registry.committed();
    let poll = Duration::from_millis(limits.event_poll_ms.max(10));
    let gather = Duration::from_millis(limits.event_gather_ms);
    loop {
        // A database that cannot be reached is tried again at the next look; the events wait in it.
        if let Err(error) = registry.announce_pending(tell).await {
            tracing::warn!(error = %chain(&error), "events wait: the outbox cannot be read");
        }
        tokio::select! {
            () = &mut stop => break,
            // Each look costs the database two statements, however many events it finds.
            () = committed.notified() => tokio::select! {
                () = &mut stop => break,
                () = tokio::time::sleep(gather) => {}
            },
            () = tokio::time::sleep(poll) => {}
        }
    }
    if let Err(error) = registry.announce_pending(tell).await {
        tracing::warn!(error = %chain(&error), "events wait for the next start: the outbox cannot be read");
    }
}

/// The listeners that are always there: the log and a counter.
fn tell(row: &EventRow) {
    let event = &row.event;
    tracing::info!(
        target: "hallmark::event",
        event = %event.what,
        id = %event.id,
        sequence = row.sequence,
        tenant = %row.tenant,
        subject = event.subject(),
        "announced"
    );
    metrics::counter!("registry_events_announced_total", "event" => event.what.clone()).increment(1);
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
