//! Committed events out: reads the outbox in order, tells each event and marks it announced. At least once, and in
//! order per entry. It never decides anything: what it tells has happened.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::Millis;
use crate::config::Limits;
use crate::registry::store::{EventRow, Store, StoreError};

/// Events told between two marks: as many are told again after a crash, at most.
const BATCH_MAX: u32 = 100;

/// Announces events until `stop` is ready, then those that are committed by then. `committed` wakes it; it also looks
/// by itself every `event_poll_ms`, for what another host or an earlier run left.
pub async fn announce(
    store: Arc<dyn Store>,
    committed: Arc<Notify>,
    limits: Arc<Limits>,
    stop: impl Future<Output = ()>,
) {
    let mut stop = std::pin::pin!(stop);
    let poll = Duration::from_millis(limits.event_poll_ms.max(10));
    let gather = Duration::from_millis(limits.event_gather_ms);
    loop {
        // A database that cannot be reached is tried again at the next look; the events wait in it.
        if let Err(error) = announce_pending(store.as_ref()).await {
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
    if let Err(error) = announce_pending(store.as_ref()).await {
        tracing::warn!(error = %chain(&error), "events wait for the next start: the outbox cannot be read");
    }
}

/// Announces every event that is committed and not announced; says how many.
///
/// # Errors
/// The database.
pub async fn announce_pending(store: &dyn Store) -> Result<usize, StoreError> {
    let mut announced = 0;
    loop {
        let events = store.pending_events(BATCH_MAX).await?;
        let is_last = events.len() < usize::try_from(BATCH_MAX).unwrap_or(usize::MAX);
        if events.is_empty() {
            return Ok(announced);
        }
        events.iter().for_each(tell);
        let sequences: Vec<i64> = events.iter().map(|row| row.sequence).collect();
        store.mark_announced(&sequences, Millis::now()).await?;
        announced += events.len();
        // What was committed since wakes the next look, after it was gathered.
        if is_last {
            return Ok(announced);
        }
    }
}

/// Today's listeners: the log and a counter.
fn tell(row: &EventRow) {
    let event = &row.event;
    tracing::info!(
        target: "hallmark::event",
        event = %event.what,
        id = %event.id,
        sequence = row.sequence,
        tenant = %row.tenant,
        kind = %event.kind,
        entry = %event.entry,
        "announced"
    );
    metrics::counter!("registry_events_announced_total", "event" => event.what.clone()).increment(1);
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
