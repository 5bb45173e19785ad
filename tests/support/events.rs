//! A reader of a host's stream of events.

use std::io::{BufRead as _, BufReader};

use serde_json::{Value, json};

use super::host::{Answer, Host};

/// One block of the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// The id that a reader comes back with.
    pub id: Option<i64>,
    /// Its type.
    pub event: Option<String>,
    /// The event; none where the stream says that it lives.
    pub data: Option<Value>,
}

/// A stream that is read.
pub struct Stream {
    lines: std::io::Lines<BufReader<ureq::BodyReader<'static>>>,
}

impl Stream {
    /// Opens it; `last` is sent as `Last-Event-ID`.
    pub fn open(host: &Host, path: &str, last: Option<i64>) -> Self {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let request =
            agent.get(format!("{}{path}", host.url)).header("Authorization", format!("Bearer {}", host.token));
        let request = match last {
            Some(last) => request.header("Last-Event-ID", last.to_string()),
            None => request,
        };
        let response = request.call().expect("an answer");
        assert_eq!(response.status(), 200, "{path}");
        let kind = response.headers().get("content-type").expect("a type").to_str().expect("text");
        assert_eq!(kind, "text/event-stream");
        Self { lines: BufReader::new(response.into_body().into_reader()).lines() }
    }

    /// The next block; none where the stream ended.
    pub fn block(&mut self) -> Option<Block> {
        let mut block = Block { id: None, event: None, data: None };
        let mut is_empty = true;
        loop {
            let line = self.lines.next()?.ok()?;
            if line.is_empty() && !is_empty {
                return Some(block);
            }
            is_empty &= line.is_empty();
            match line.split_once(": ") {
                Some(("id", id)) => block.id = id.parse().ok(),
                Some(("event", event)) => block.event = Some(event.to_owned()),
                Some(("data", data)) => block.data = serde_json::from_str(data).ok(),
                _ => {}
            }
        }
    }

    /// The next event; none where the stream ended.
    pub fn event(&mut self) -> Option<Block> {
        loop {
            let block = self.block()?;
            if block.data.is_some() {
                return Some(block);
            }
        }
    }

    /// Reads on until an event of this type, and gives it with all before.
    pub fn until(&mut self, kind: &str) -> Vec<Block> {
        let mut seen = Vec::new();
        loop {
            let block = self.event().expect("an event");
            let found = block.event.as_deref() == Some(kind);
            seen.push(block);
            if found {
                return seen;
            }
        }
    }
}

/// Lets any manifest be a note.
pub fn with_notes(host: &Host) {
    let kind = json!({
        "name": "notes", "singular": "note", "idField": "noteId", "documentField": "manifest", "schema": true,
    });
    let rules = json!({"scope": "module:notes", "kinds": [kind]});
    let released = host.post("/api/modules/notes/releases", &json!({"rules": rules}));
    assert_eq!(released.status, 201, "{released:?}");
    let activated = host.post("/api/modules/notes/activate", &json!({"release": 1}));
    assert_eq!(activated.status, 200, "{activated:?}");
}

/// Publishes a note.
pub fn publish(host: &Host, id: &str, version: &str) -> Answer {
    let answer =
        host.post("/api/notes/publish", &json!({"noteId": id, "name": id, "version": version, "manifest": {}}));
    assert_eq!(answer.status, 201, "{answer:?}");
    answer
}
