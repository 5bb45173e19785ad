//! Connections: accepted up to a number, greeted with TLS where the host has a certificate, given a time to send each head,
//! and finished before the host stops.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures_util::{Stream, StreamExt as _, stream};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::address::OfPeer;
use super::tls::{Tls, keep_read};
use super::{Host, router};

/// Bytes of one request's head, and of what is read ahead of its body.
const HEAD_MAX_BYTES: usize = 64 * 1024;
/// Milliseconds to wait when no connection can be accepted, for want of file descriptors say.
const ACCEPT_PAUSE_MS: u64 = 100;

/// Serves until `shutdown` asks it to stop: then it says that it is not ready and serves on for `shutdown_drain_ms`, or
/// until it is asked again, accepts no more, finishes what it accepted and returns, at the latest after `shutdown_max_ms`.
///
/// # Errors
/// The listener's address cannot be told.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    host: Arc<Host>,
    shutdown: impl Stream<Item = ()>,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    tracing::info!(%address, "listening");
    let app = router(Arc::clone(&host));
    let connections = Arc::new(Semaphore::new(host.limits.connections_max.min(Semaphore::MAX_PERMITS)));
    let (stopping, stopped) = watch::channel(());
    let mut drained = pin!(drain(&host, shutdown));
    let mut reading = pin!(keep_read(tls.as_deref()));
    let mut folding = pin!(host.metrics.keep_folded());
    loop {
        tokio::select! {
            (stream, permit) = accept(&listener, &connections) => {
                let read_max = Duration::from_millis(host.limits.request_read_max_ms);
                tokio::spawn(connection(stream, tls.clone(), app.clone(), read_max, permit, stopped.clone()));
            }
            () = &mut folding => {}
            () = &mut reading => {}
            () = &mut drained => break,
        }
    }
    drop(listener);
    drop(stopped);
    tracing::info!(%address, "stopping");
    let _ = stopping.send(());
    host.stopping.send_replace(true);
    if tokio::time::timeout(Duration::from_millis(host.limits.shutdown_max_ms), stopping.closed()).await.is_err() {
        tracing::warn!(connections = stopping.receiver_count(), "stopped with requests unfinished (shutdown_max_ms)");
    }
    Ok(())
}

/// Ends when the port is to be closed. Whoever sends requests here looks from time to time whether it should: a port that
/// is closed before that costs them a request.
async fn drain(host: &Host, shutdown: impl Stream<Item = ()>) {
    let mut asked = pin!(shutdown);
    asked.next().await;
    host.begin_to_stop();
    let drain_ms = host.limits.shutdown_drain_ms;
    if drain_ms > 0 {
        tracing::info!(drain_ms, "asked to stop: not ready any more, and serving on for a while (shutdown_drain_ms)");
    }
    tokio::select! {
        () = tokio::time::sleep(Duration::from_millis(drain_ms)) => {}
        Some(()) = asked.next() => {}
    }
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
    tls: Option<Arc<Tls>>,
    app: Router,
    read_max: Duration,
    _permit: OwnedSemaphorePermit,
    stopped: watch::Receiver<()>,
) {
    // Whoever has hung up already is owed no answer.
    let Ok(peer) = stream.peer_addr().map(|peer| peer.ip()) else { return };
    // Answers are written whole; waiting to fill a packet would only delay them.
    let _ = stream.set_nodelay(true);
    match tls {
        None => converse(stream, OfPeer { app, peer }, read_max, stopped).await,
        Some(tls) => {
            if let Some(stream) = tls.greet(stream).await {
                converse(stream, OfPeer { app, peer }, read_max, stopped).await;
            }
        }
    }
}

/// Answers what is asked over one connection.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    app: OfPeer,
    read_max: Duration,
    mut stopped: watch::Receiver<()>,
) {
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

/// Whenever the process is asked to stop: SIGTERM or SIGINT.
///
/// # Errors
/// The signals cannot be listened to.
pub fn stop_signals() -> io::Result<impl Stream<Item = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(stream::unfold(signals, |(mut terminate, mut interrupt)| async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Some(((), (terminate, interrupt)))
    }))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::config::Limits;
    use crate::telemetry::Metrics;

    async fn start(limits: Limits) -> (std::net::SocketAddr, oneshot::Sender<()>, JoinHandle<io::Result<()>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let host = Host::new(Arc::new(limits), Metrics::detached());
        let (stop, stopped) = oneshot::channel();
        let asked = stream::once(async { stopped.await.unwrap_or_default() });
        let serving = tokio::spawn(serve(listener, None, host, asked));
        (address, stop, serving)
    }

    async fn read_all(stream: &mut TcpStream) -> String {
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("an answer");
        text
    }

    #[tokio::test]
    async fn a_stopping_host_answers_what_it_accepted_and_refuses_the_rest() {
        let (address, stop, serving) = start(Limits::default()).await;
        let mut half = TcpStream::connect(address).await.expect("a connection");
        half.write_all(b"GET /livez HTTP/1.1\r\nHost: h\r\n").await.expect("half a head");
        // An answer on a second connection shows that the first, which came before, is accepted.
        let mut idle = TcpStream::connect(address).await.expect("a connection");
        idle.write_all(b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n").await.expect("a head");
        let mut start_of_answer = [0; 12];
        idle.read_exact(&mut start_of_answer).await.expect("an answer");
        stop.send(()).expect("it serves");
        read_all(&mut idle).await;
        half.write_all(b"\r\n").await.expect("the other half");
        assert!(read_all(&mut half).await.starts_with("HTTP/1.1 200"));
        serving.await.expect("no panic").expect("it stops");
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn a_host_that_is_asked_to_stop_says_so_and_serves_until_it_is_asked_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let limits = Limits { shutdown_drain_ms: 600_000, ..Limits::default() };
        let host = Host::new(Arc::new(limits), Metrics::detached());
        let (ask, asked) = tokio::sync::mpsc::unbounded_channel();
        let asked = stream::unfold(asked, |mut asked| async move { Some((asked.recv().await?, asked)) });
        let serving = tokio::spawn(serve(listener, None, Arc::clone(&host), asked));
        ask.send(()).expect("it serves");
        while !host.is_stopping() {
            tokio::task::yield_now().await;
        }
        for (path, told) in [("/livez", "HTTP/1.1 200"), ("/readyz", "HTTP/1.1 503")] {
            let mut asks = TcpStream::connect(address).await.expect("it accepts");
            let head = format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
            asks.write_all(head.as_bytes()).await.expect("a head");
            let answer = read_all(&mut asks).await;
            assert!(answer.starts_with(told), "{answer}");
            assert!(path == "/livez" || answer.contains("the host is stopping: send requests to another"), "{answer}");
        }
        ask.send(()).expect("it serves");
        serving.await.expect("no panic").expect("it stops");
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn a_stopping_host_waits_no_longer_than_its_limit() {
        let (address, stop, serving) = start(Limits { shutdown_max_ms: 1, ..Limits::default() }).await;
        let mut silent = TcpStream::connect(address).await.expect("a connection");
        silent.write_all(b"GET /livez HTTP/1.1\r\n").await.expect("half a head");
        stop.send(()).expect("it serves");
        serving.await.expect("no panic").expect("it stops");
    }

    #[tokio::test]
    async fn a_head_that_never_ends_is_given_up() {
        let (address, _stop, _serving) = start(Limits { request_read_max_ms: 1, ..Limits::default() }).await;
        for head in [&b""[..], b"G", b"PRI * HTTP/2.0", b"GET /livez HTTP/1.1\r\nHost"] {
            let mut slow = TcpStream::connect(address).await.expect("a connection");
            // Where the host has closed already, what is written late resets the connection.
            let _ = slow.write_all(head).await;
            let mut answer = Vec::new();
            let _ = slow.read_to_end(&mut answer).await;
            assert!(!String::from_utf8_lossy(&answer).contains("200 OK"));
        }
    }

    #[tokio::test]
    async fn past_its_number_of_connections_a_host_lets_new_ones_wait() {
        let (address, _stop, _serving) = start(Limits { connections_max: 1, ..Limits::default() }).await;
        let mut first = TcpStream::connect(address).await.expect("a connection");
        let mut second = TcpStream::connect(address).await.expect("a connection that waits");
        let asked = b"GET /livez HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
        second.write_all(asked).await.expect("a head");
        // However much is answered on the first, nothing is on the second.
        for _ in 0..100 {
            first.write_all(b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n").await.expect("a head");
            let mut start_of_answer = [0; 15];
            first.read_exact(&mut start_of_answer).await.expect("an answer");
            assert_eq!(&start_of_answer, b"HTTP/1.1 200 OK");
            while first.read_u8().await.expect("the rest of the answer") != b'}' {}
        }
        let waits = second.try_read(&mut [0; 1]).expect_err("no answer");
        assert_eq!(waits.kind(), io::ErrorKind::WouldBlock);
        first.write_all(asked).await.expect("a head");
        assert!(read_all(&mut first).await.starts_with("HTTP/1.1 200"));
        assert!(read_all(&mut second).await.starts_with("HTTP/1.1 200"));
    }
}
