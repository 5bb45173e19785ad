//! A receiver of webhooks on loopback, which keeps what it was sent and answers what the test wants.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

/// What it was sent.
#[derive(Debug, Clone)]
pub struct Message {
    headers: Vec<(String, String)>,
    /// The body as it came.
    pub text: String,
    /// The body.
    pub body: Value,
}

impl Message {
    /// A header's value.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// What it is about.
    pub fn subject(&self) -> String {
        self.body["subject"].as_str().unwrap_or_default().to_owned()
    }

    /// Whether one of the signatures is by this secret, as any receiver that follows Standard Webhooks finds out.
    pub fn is_signed_by(&self, secret: &str) -> bool {
        let key = BASE64.decode(secret.strip_prefix("whsec_").expect("a secret")).expect("Base64");
        let mut expected = Hmac::<Sha256>::new_from_slice(&key).expect("a key");
        let (id, timestamp) = (self.header("webhook-id"), self.header("webhook-timestamp"));
        expected.update(format!("{id}.{timestamp}.{}", self.text).as_bytes());
        let expected = format!("v1,{}", BASE64.encode(expected.finalize().into_bytes()));
        self.header("webhook-signature").split(' ').any(|signature| signature == expected)
    }
}

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// With a status.
    Status(u16),
    /// With a redirect to itself.
    Redirect,
    /// Never.
    Silence,
    /// With 200 and a body that does not end by itself.
    Endless,
    /// With 200, once the test lets it.
    Held,
}

#[derive(Default)]
struct State {
    messages: Vec<Message>,
    at_once: usize,
    at_once_most: usize,
    /// Held answers are given.
    is_released: bool,
}

/// A receiver; its threads end with the process.
pub struct Receiver {
    /// Where it listens.
    pub url: String,
    state: Arc<(Mutex<State>, Condvar)>,
}

/// What takes two minutes is never coming.
const PATIENCE: Duration = Duration::from_secs(120);

impl Receiver {
    /// Starts it; `answer` is told each message and those that came before.
    pub fn start(answer: impl Fn(&Message, &[Message]) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let state = Arc::new((Mutex::new(State::default()), Condvar::new()));
        let (kept, answer) = (Arc::clone(&state), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                std::thread::spawn(move || drop(serve(stream, &kept, answer.as_ref())));
            }
        });
        Self { url, state }
    }

    /// One that takes everything.
    pub fn willing() -> Self {
        Self::start(|_, _| Reply::Status(204))
    }

    /// What it was sent so far.
    pub fn messages(&self) -> Vec<Message> {
        self.state.0.lock().expect("a lock").messages.clone()
    }

    /// Waits until it was sent so many.
    pub fn wait_for(&self, count: usize) -> Vec<Message> {
        let state = self.state.0.lock().expect("a lock");
        let (state, waited) =
            self.state.1.wait_timeout_while(state, PATIENCE, |state| state.messages.len() < count).expect("a lock");
        assert!(!waited.timed_out(), "two minutes went by before {count} messages: {:?}", state.messages);
        state.messages.clone()
    }

    /// Gives the answers that are held, and holds none from here on.
    pub fn release(&self) {
        self.state.0.lock().expect("a lock").is_released = true;
        self.state.1.notify_all();
    }

    /// How many it was sent at once, at most.
    pub fn at_once_most(&self) -> usize {
        self.state.0.lock().expect("a lock").at_once_most
    }
}

fn serve(
    mut stream: TcpStream,
    state: &(Mutex<State>, Condvar),
    answer: &(impl Fn(&Message, &[Message]) -> Reply + ?Sized),
) -> io::Result<()> {
    let message = read(&stream)?;
    let reply = {
        let mut held = state.0.lock().expect("a lock");
        let reply = answer(&message, &held.messages);
        held.messages.push(message);
        held.at_once += 1;
        held.at_once_most = held.at_once_most.max(held.at_once);
        state.1.notify_all();
        reply
    };
    if reply == Reply::Held {
        let held = state.0.lock().expect("a lock");
        drop(state.1.wait_timeout_while(held, PATIENCE, |state| !state.is_released).expect("a lock"));
    }
    state.0.lock().expect("a lock").at_once -= 1;
    let close = "Connection: close\r\n";
    match reply {
        Reply::Status(status) => {
            stream.write_all(format!("HTTP/1.1 {status} Told\r\n{close}Content-Length: 0\r\n\r\n").as_bytes())
        }
        Reply::Held => stream.write_all(format!("HTTP/1.1 200 Told\r\n{close}Content-Length: 0\r\n\r\n").as_bytes()),
        Reply::Redirect => {
            let text = format!("HTTP/1.1 307 There\r\nLocation: /elsewhere\r\n{close}Content-Length: 0\r\n\r\n");
            stream.write_all(text.as_bytes())
        }
        // Until the host hangs up.
        Reply::Silence => stream.read(&mut [0; 1]).map(|_| ()),
        Reply::Endless => {
            stream.write_all(format!("HTTP/1.1 200 Told\r\n{close}\r\n").as_bytes())?;
            loop {
                stream.write_all(&[b'x'; 1024])?;
            }
        }
    }
}

fn read(stream: &TcpStream) -> io::Result<Message> {
    let mut reader = BufReader::new(stream);
    let (mut headers, mut line) = (Vec::new(), String::new());
    reader.read_line(&mut line)?;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or("0", |(_, value)| value.as_str());
    let mut body = vec![0; length.parse().expect("a length")];
    reader.read_exact(&mut body)?;
    let text = String::from_utf8(body).expect("UTF-8");
    let body = serde_json::from_str(&text).expect("JSON");
    Ok(Message { headers, text, body })
}
