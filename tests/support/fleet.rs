//! Hosts of one database under load while everything around them changes: rules are swapped, hosts are killed and
//! started again, connections are cut. What its clients were told is kept, to be compared with what is stored.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, RwLock};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::host::{Host, Options, status, until};
use super::rules::submission;

/// Waits, in a thread that paces itself.
pub fn pause(time: Duration) {
    let begun = Instant::now();
    while let Some(left) = time.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}

/// A number below `bound`, by chance.
pub fn chance(bound: u64) -> u64 {
    u64::from_le_bytes(hallmark::clock::random_bytes::<8>()) % bound
}

/// A host that is ended and started again.
pub struct Slot {
    options: Box<dyn Fn() -> Options + Send + Sync>,
    /// None while it is down.
    host: Mutex<Option<Host>>,
    /// Held by each publish that it was sent and has not answered.
    under_way: RwLock<()>,
    /// Counts its kills, each before it happens.
    kills: AtomicU64,
    /// Counts how often it was asked to stop, and did.
    stops: AtomicU64,
}

/// How to reach a host that is up.
struct Target {
    address: String,
    token: String,
    kills: u64,
    stops: u64,
}

impl Slot {
    /// Starts the host.
    pub fn start(options: impl Fn() -> Options + Send + Sync + 'static) -> Self {
        let host = Mutex::new(Some(options().start()));
        let (kills, stops) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { options: Box::new(options), host, under_way: RwLock::new(()), kills, stops }
    }

    /// Kills it (SIGKILL) and starts it again.
    pub fn kill(&self) {
        let host = {
            let mut host = self.host.lock().expect("a lock");
            self.kills.fetch_add(1, Ordering::SeqCst);
            host.take()
        };
        drop(host);
        self.start_again();
    }

    /// Stops it as whoever rolls a fleet does, and starts it again: it is asked to stop (SIGTERM) and says that it is not
    /// ready; it is sent no more; what is under way is waited for; it is asked once more, and ends.
    pub fn restart(&self) {
        let url = self.with(|host| {
            host.ask_to_stop();
            host.url.clone()
        });
        until("it says that it stops", || status(&format!("{url}/readyz")) == 503);
        let host = {
            let _none_under_way = self.under_way.write().expect("a lock");
            self.stops.fetch_add(1, Ordering::SeqCst);
            self.host.lock().expect("a lock").take().expect("a host that is up")
        };
        assert!(host.stop(), "it ends well");
        self.start_again();
    }

    fn start_again(&self) {
        let started = (self.options)().start();
        *self.host.lock().expect("a lock") = Some(started);
    }

    /// Does something with the host, which is up.
    pub fn with<T>(&self, act: impl FnOnce(&Host) -> T) -> T {
        act(self.host.lock().expect("a lock").as_ref().expect("a host that is up"))
    }

    fn target(&self) -> Option<Target> {
        let host = self.host.lock().expect("a lock");
        let host = host.as_ref()?;
        let address = host.url.trim_start_matches("http://").to_owned();
        let [kills, stops] = [&self.kills, &self.stops].map(|count| count.load(Ordering::SeqCst));
        Some(Target { address, token: host.token.clone(), kills, stops })
    }

    /// A request that failed may do so where the host was killed since.
    fn was_killed_since(&self, target: &Target) -> bool {
        self.kills.load(Ordering::SeqCst) != target.kills
    }
}

/// A connection that is kept from one request to the next.
struct Client {
    reader: BufReader<TcpStream>,
    /// Of which start of the host it is.
    ends: (u64, u64),
}

impl Client {
    fn connect(target: &Target) -> io::Result<Self> {
        let stream = TcpStream::connect(&target.address)?;
        stream.set_nodelay(true)?;
        Ok(Self { reader: BufReader::new(stream), ends: (target.kills, target.stops) })
    }

    /// Each of `fields` is a line of the head, with its end.
    fn post(&mut self, token: &str, path: &str, fields: &str, body: &Value) -> io::Result<(u16, Value)> {
        let body = body.to_string();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
             {fields}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.reader.get_mut().write_all(request.as_bytes())?;
        let ended = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let (mut status, mut length) = (None, 0);
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line)? == 0 {
                return Err(ended());
            }
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().expect("a length");
                }
                Some(_) => {}
                None if line.trim_end().is_empty() => break,
                None => status = line.split(' ').nth(1).and_then(|code| code.parse().ok()),
            }
        }
        let mut answer = vec![0; length];
        self.reader.read_exact(&mut answer)?;
        Ok((status.ok_or_else(ended)?, serde_json::from_slice(&answer).unwrap_or_default()))
    }
}

/// What the clients were told.
#[derive(Debug, Default)]
pub struct Told {
    /// Entry, version and decision of every publish that was acknowledged.
    pub stored: Vec<(String, String, String)>,
    /// Entry and version of those that were refused.
    pub refused: Vec<(String, String)>,
    /// Those whose host was killed before it answered, and that nobody asked for again.
    pub unknown: Vec<(String, String)>,
    /// How many were asked for again, at another host or after its start.
    pub retried: u64,
}

/// Publishes as fast as it can until it is told to stop, from its slot on, and settles what it began.
pub fn publish(slots: &[Slot], number: usize, stop: &AtomicBool) -> Told {
    let (mut told, mut client) = (Told::default(), None);
    for sequence in 0_u64.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        // Three versions of each entry.
        let (entry, version) = (format!("e{number}-{}", sequence / 3), format!("1.{}.0", sequence % 3));
        let mut body = submission("note", &entry);
        body["version"] = json!(version);
        settle(slots, number, &mut client, &body, &mut told, (entry, version));
    }
    told
}

fn settle(
    slots: &[Slot],
    number: usize,
    client: &mut Option<(usize, Client)>,
    body: &Value,
    told: &mut Told,
    (entry, version): (String, String),
) {
    let mut hung_up = false;
    for attempt in 0.. {
        let at = (number + attempt) % slots.len();
        let _under_way = slots[at].under_way.read().expect("a lock");
        let Some(target) = slots[at].target() else {
            pause(Duration::from_millis(5));
            continue;
        };
        match send(client, at, &target, ("/api/notes/publish", ""), body) {
            Ok((201, answer)) => {
                let decision = answer["decision"]["id"].as_str().expect("a decision").to_owned();
                return told.stored.push((entry, version, decision));
            }
            Ok((202, answer)) => {
                assert!(hung_up, "nobody published {entry} {version} before: {answer}");
                let decision = answer["decision"]["id"].as_str().unwrap_or_default().to_owned();
                return told.stored.push((entry, version, decision));
            }
            Ok((422, _)) => return told.refused.push((entry, version)),
            Ok(answer) => panic!("a live host failed a request: {answer:?}"),
            Err(error) => {
                assert!(slots[at].was_killed_since(&target), "a live host broke off: {error}");
                *client = None;
                if chance(2) == 0 {
                    return told.unknown.push((entry, version));
                }
                (hung_up, told.retried) = (true, told.retried + 1);
            }
        }
    }
}

fn send(
    client: &mut Option<(usize, Client)>,
    at: usize,
    target: &Target,
    (path, fields): (&str, &str),
    body: &Value,
) -> io::Result<(u16, Value)> {
    if client.as_ref().is_none_or(|(slot, client)| *slot != at || client.ends != (target.kills, target.stops)) {
        *client = Some((at, Client::connect(target)?));
    }
    let (_, client) = client.as_mut().expect("just made");
    client.post(&target.token, path, fields, body)
}

/// Puts one of the releases in force every `every`, by any host, and gives how often it was done.
pub fn swap(slots: &[Slot], releases: u64, every: Duration, stop: &AtomicBool) -> u64 {
    let (mut client, mut active, mut done) = (None, None, 0);
    while !stop.load(Ordering::SeqCst) {
        let begun = Instant::now();
        let at = usize::try_from(chance(slots.len() as u64)).expect("small");
        let release = 1 + chance(releases);
        let request = json!({"release": release});
        // Every other one says what it believes active.
        let expected: Option<u64> = active.filter(|_| chance(2) == 0);
        let fields = expected.map_or(String::new(), |active| format!("If-Match: \"{active}\"\r\n"));
        if let Some(target) = slots[at].target() {
            match send(&mut client, at, &target, ("/api/modules/notes/activate", &fields), &request) {
                Ok((200, _)) => (active, done) = (Some(release), done + 1),
                // One whose host was killed took effect all the same.
                Ok((412, _)) if expected.is_some() => active = None,
                Ok(answer) => panic!("a live host failed an activation: {answer:?}"),
                Err(error) => {
                    assert!(slots[at].was_killed_since(&target), "a live host broke off: {error}");
                    (client, active) = (None, None);
                }
            }
        }
        pause(every.saturating_sub(begun.elapsed()));
    }
    done
}
