//! A closed-loop load: each connection sends a request, waits for the answer and sends the next. Plain sockets and
//! threads, so that the generator takes as little of the machine as it can.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What one load gave.
pub struct Outcome {
    /// Answers a second.
    pub rate: f64,
    /// Median latency.
    pub p50: Duration,
    /// 99th percentile.
    pub p99: Duration,
    /// Slowest.
    pub max: Duration,
    /// Answers by status.
    pub statuses: Vec<(u16, u64)>,
}

/// Sends what `request` makes (given a number that no other request has) over `connections` for `time`.
pub fn load(
    address: SocketAddr,
    connections: usize,
    time: Duration,
    request: &(dyn Fn(u64) -> Vec<u8> + Sync),
) -> Outcome {
    let (stop, counter) = (AtomicBool::new(false), AtomicU64::new(0));
    let started = Instant::now();
    let answers: Vec<(u16, Duration)> = std::thread::scope(|scope| {
        let workers: Vec<_> =
            (0..connections).map(|_| scope.spawn(|| converse(address, &stop, &counter, request))).collect();
        // A thread may be woken before its time, by what an earlier load left behind even.
        while let Some(left) = time.checked_sub(started.elapsed()).filter(|left| !left.is_zero()) {
            std::thread::park_timeout(left);
        }
        stop.store(true, Ordering::Relaxed);
        workers.into_iter().flat_map(|worker| worker.join().expect("a connection that lasts")).collect()
    });
    summarise(answers, started.elapsed())
}

fn converse(
    address: SocketAddr,
    stop: &AtomicBool,
    counter: &AtomicU64,
    request: &(dyn Fn(u64) -> Vec<u8> + Sync),
) -> Vec<(u16, Duration)> {
    let stream = TcpStream::connect(address).expect("the server listens");
    stream.set_nodelay(true).expect("a socket option");
    let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
    let mut writer = stream;
    let mut answers = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let bytes = request(counter.fetch_add(1, Ordering::Relaxed));
        let sent = Instant::now();
        writer.write_all(&bytes).expect("the server reads");
        let status = read_answer(&mut reader);
        answers.push((status, sent.elapsed()));
    }
    answers
}

/// Reads one answer with a Content-Length and gives its status.
fn read_answer(reader: &mut BufReader<TcpStream>) -> u16 {
    let mut line = String::new();
    reader.read_line(&mut line).expect("an answer");
    let status = line.split(' ').nth(1).and_then(|text| text.parse().ok()).expect("a status line");
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).expect("a header");
        match line.trim_end().split_once(':') {
            None => break,
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().expect("a length");
            }
            Some(_) => {}
        }
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink()).expect("a body");
    status
}

fn summarise(answers: Vec<(u16, Duration)>, elapsed: Duration) -> Outcome {
    let mut latencies: Vec<Duration> = answers.iter().map(|(_, latency)| *latency).collect();
    latencies.sort();
    let at = |share: f64| {
        let place = (latencies.len() as f64 * share) as usize;
        latencies.get(place.min(latencies.len().saturating_sub(1))).copied().unwrap_or_default()
    };
    let mut statuses: Vec<(u16, u64)> = Vec::new();
    for (status, _) in &answers {
        match statuses.iter_mut().find(|(known, _)| known == status) {
            Some((_, count)) => *count += 1,
            None => statuses.push((*status, 1)),
        }
    }
    statuses.sort();
    Outcome { rate: answers.len() as f64 / elapsed.as_secs_f64(), p50: at(0.5), p99: at(0.99), max: at(1.0), statuses }
}

/// A request with a JSON body.
pub fn post(path: &str, token: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
