//! What a host says of its parts: each is asked for real, and one that does not answer holds nobody up.

use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tempfile::TempDir;

use crate::support::fleet::pause;
use crate::support::host::{Options, until};
use crate::support::new_postgres_database;

#[test]
fn an_object_store_that_is_gone_is_seen() {
    let folder = TempDir::new().expect("a folder");
    let (objects, away) = (folder.path().join("objects"), folder.path().join("away"));
    let host = Options::new().objects(&objects).start();
    let health = host.get("/health");
    assert_eq!((health.status, health.body["objectStore"].as_str()), (200, Some("ok")));
    fs::rename(&objects, &away).expect("moved");
    until("it is down", || host.get("/health").status == 503);
    let health = host.get("/health").body;
    assert_eq!(
        (&health["status"], &health["objectStore"], &health["database"]),
        (&"down".into(), &"down".into(), &"ok".into())
    );
    let ready = host.get("/readyz?verbose");
    assert_eq!(ready.status, 503);
    assert_eq!(
        ready.body["detail"],
        "not ready: database ok, object store down, rules ok: the object store has no such folder or bucket"
    );
    assert_eq!(health["objectStoreProblem"], "missing");
    fs::rename(&away, &objects).expect("moved back");
    until("it is well", || host.get("/health").status == 200);
}

/// Passes bytes on while it is not held up.
fn pass(mut from: TcpStream, mut to: TcpStream, is_held: Arc<AtomicBool>) {
    use io::{Read as _, Write as _};
    let mut bytes = [0; 16 * 1024];
    while let Ok(count) = from.read(&mut bytes) {
        while is_held.load(Ordering::SeqCst) {
            pause(std::time::Duration::from_millis(5));
        }
        if count == 0 || to.write_all(&bytes[..count]).is_err() {
            return;
        }
    }
}

/// An address that leads to another, as a network does that can fall silent.
fn network(to: String, is_held: &Arc<AtomicBool>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let is_held = Arc::clone(is_held);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(&to) else { continue };
            let (back, forth) = (stream.try_clone().expect("a stream"), server.try_clone().expect("a stream"));
            let (held_back, held_forth) = (Arc::clone(&is_held), Arc::clone(&is_held));
            thread::spawn(move || pass(server, back, held_back));
            thread::spawn(move || pass(stream, forth, held_forth));
        }
    });
    address
}

#[test]
fn a_database_that_falls_silent_is_told_in_time() {
    let database = tokio::runtime::Runtime::new().expect("a runtime").block_on(new_postgres_database());
    let server = database.split(['@', '/']).nth(3).expect("host and port").to_owned();
    let is_held = Arc::new(AtomicBool::new(false));
    let address = database.replace(&server, &network(server.clone(), &is_held));
    let host = Options::new().database(&address).limit("health_check_max_ms", 300).start();
    until("it is well", || host.get("/health").status == 200);
    is_held.store(true, Ordering::SeqCst);
    // Every other limit of time is ample here: without its own, this would wait for minutes.
    until("it is down", || host.get("/health").status == 503);
    let health = host.get("/health").body;
    assert_eq!((&health["database"], &health["objectStore"]), (&"down".into(), &"ok".into()), "{health}");
    assert_eq!(host.get("/livez").status, 200);
    is_held.store(false, Ordering::SeqCst);
    until("it is well again", || host.get("/readyz").status == 200);
}
