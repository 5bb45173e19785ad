//! Connections: accepted up to a number, given a time to send each head, and finished before the host stops.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::{Host, router};

/// Bytes of one request's head, and of what is read ahead of its body.
const HEAD_MAX_BYTES: usize = 64 * 1024;
/// Milliseconds to wait when no connection can be accepted, for want of file descriptors say.
const ACCEPT_PAUSE_MS: u64 = 100;

/// Serves until `shutdown` is ready, then accepts no more, finishes what it accepted and returns, at the latest after
/// `shutdown_max_ms`.
///
/// # Errors
/// The listener's address cannot be told.
pub async fn serve(listener: TcpListener, host: Arc<Host>, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    let address = listener.local_addr()?;
    tracing::info!(%address, "listening");
    let app = router(Arc::clone(&host));
    let connections = Arc::new(Semaphore::new(host.limits.connections_max.min(Semaphore::MAX_PERMITS)));
    let (stopping, stopped) = watch::channel(());
    let mut shutdown = pin!(shutdown);
    let mut folding = pin!(host.metrics.keep_folded());
    loop {
        tokio::select! {
            (stream, permit) = accept(&listener, &connections) => {
                let read_max = Duration::from_millis(host.limits.request_read_max_ms);
                tokio::spawn(connection(stream, app.clone(), read_max, permit, stopped.clone()));
            }
            () = &mut folding => {}
            () = &mut shutdown => break,
        }
    }
    drop(listener);
    drop(stopped);
    tracing::info!(%address, "stopping");
    let _ = stopping.send(());
    if tokio::time::timeout(Duration::from_millis(host.limits.shutdown_max_ms), stopping.closed()).await.is_err() {
        tracing::warn!(connections = stopping.receiver_count(), "stopped with requests unfinished (shutdown_max_ms)");
    }
    Ok(())
}

/// The next connection, once there is room for one.
async fn accept(listener: &TcpListener, connections: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    let permit = Arc::clone(connections).acquire_owned().await.expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, permit),
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted");
                tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
            }
        }
    }
}

fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn connection(
    stream: TcpStream,
    app: Router,
    read_max: Duration,
    _permit: OwnedSemaphorePermit,
    mut stopped: watch::Receiver<()>,
) {
    // Answers are written whole; waiting to fill a packet would only delay them.
    let _ = stream.set_nodelay(true);
    // HTTP/1.1 alone: telling it from HTTP/2 by the first bytes has no time limit, so silent clients could fill the host.
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(read_max).max_buf_size(HEAD_MAX_BYTES);
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app)));
    let served = tokio::select! {
        served = serving.as_mut() => served,
        _ = stopped.changed() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection broke");
    }
}

/// Ready when the process is asked to stop: SIGTERM or SIGINT.
///
/// # Errors
/// The signals cannot be listened to.
pub fn stop_signal() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
