//! https: a host shows its certificate, takes a new one without losing a request, and keeps the one before where the new
//! one is none.

use std::fs;
use std::io::Read as _;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tempfile::TempDir;

use crate::support::command::{against, argument, hallmark, text};
use crate::support::host::{AMPLE_MS, Host, Options, status, until};
use crate::support::tls::{Pair, write_authority};

fn host(pair: &Pair) -> Options {
    Options::new().tls(&pair.certificate, &pair.key).limit("tls_poll_ms", 20)
}

fn said(output: &Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}

/// Waits until the host shows a certificate that holds until the end of the year.
fn shows(host: &Host, until_year: i64) {
    let seconds =
        hallmark::clock::Millis::from_rfc3339(&format!("{until_year}-12-31T00:00:00Z")).expect("a date").0 / 1_000;
    let line = format!("hallmark_tls_certificate_expiry_timestamp_seconds {seconds}\n");
    until("the certificate is shown", || host.get("/metrics").body.as_str().is_some_and(|text| text.contains(&line)));
}

fn hang_up(host: &Host) {
    let told = Command::new("sh").args(["-c", &format!("kill -HUP {}", host.process())]).status();
    assert!(told.expect("sh runs").success());
}

#[test]
fn https_is_served_and_believed_by_who_is_told_whom_to_believe() {
    let folder = TempDir::new().expect("a folder");
    let pair = Pair::write(folder.path(), 2040);
    let host = host(&pair).start();
    assert!(host.url.starts_with("https://127.0.0.1:"), "{}", host.url);
    assert_eq!(status(&format!("{}/livez", host.url)), 200);
    shows(&host, 2040);

    let strange = against(&host, &["token", "list"]);
    assert_eq!(strange.status.code(), Some(3), "{}", said(&strange));
    let told = format!(
        "error: the certificate of {} is not believed: name who signed it with --ca-certificate FILE: ",
        host.url
    );
    assert!(said(&strange).starts_with(&told), "{}", said(&strange));
    let authority = write_authority(folder.path());
    let known = against(&host, &["token", "list", "--ca-certificate", argument(&authority)]);
    assert_eq!(known.status.code(), Some(0), "{}", said(&known));
    let none = against(&host, &["token", "list", "--ca-certificate", argument(&pair.key)]);
    let told = format!("error: --ca-certificate: {}: it holds no certificate (PEM)\n", pair.key.display());
    assert_eq!((said(&none), none.status.code()), (told, Some(2)));

    // Who does not speak TLS is not answered, and costs nobody else anything.
    let plain = host.url.replace("https://", "http://");
    assert_eq!(status(&format!("{plain}/livez")), 0);
    assert_eq!(host.get("/livez").status, 200);
    assert!(host.stop());
}

#[test]
fn a_new_certificate_is_taken_under_load_without_a_lost_request() {
    let folder = TempDir::new().expect("a folder");
    let pair = Pair::write(folder.path(), 2040);
    let host = host(&pair).start();
    let (stop, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    // A connection of its own each time.
                    assert_eq!(host.get("/api/modules").status, 200);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        scope.spawn(|| {
            // One connection for all of it.
            let agent = crate::support::host::agent();
            while !stop.load(Ordering::Relaxed) {
                let mut asked = agent.get(format!("{}/livez", host.url)).call().expect("an answer");
                assert_eq!(asked.status(), 200);
                asked.body_mut().read_to_string().expect("a body");
            }
        });
        for year in 2041..2046 {
            let before = answered.load(Ordering::Relaxed);
            pair.renew(year);
            shows(&host, i64::from(year));
            until("requests are answered", || answered.load(Ordering::Relaxed) > before + 20);
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_new_certificate_is_taken_at_once_where_somebody_asks() {
    let folder = TempDir::new().expect("a folder");
    let pair = Pair::write(folder.path(), 2040);
    let host = host(&pair).limit("tls_poll_ms", AMPLE_MS).start();
    shows(&host, 2040);
    pair.renew(2041);
    hang_up(&host);
    shows(&host, 2041);
}

#[test]
fn a_new_certificate_that_cannot_be_used_leaves_the_one_before() {
    let folder = TempDir::new().expect("a folder");
    let (pair, log) = (Pair::write(folder.path(), 2040), folder.path().join("log"));
    let host = host(&pair).log(&log).start();
    let refused = |why: &str| {
        until("it is told", || fs::read_to_string(&log).is_ok_and(|log| log.contains(why)));
        assert_eq!(host.get("/livez").status, 200);
        shows(&host, 2040);
    };
    let key = fs::read(&pair.key).expect("a key");
    fs::write(&pair.key, "nonsense").expect("a file");
    refused("tls.key holds no private key (PEM)");
    fs::write(&pair.key, &key).expect("a file");
    fs::write(&pair.certificate, "").expect("a file");
    refused("tls.pem holds no certificate (PEM)");
    pair.renew(2001);
    refused("the certificate held until 2001-12-31T00:00:00.000Z");
    fs::remove_file(&pair.key).expect("removed");
    refused("tls.key: No such file or directory (os error 2)");
    pair.renew(2042);
    shows(&host, 2042);
    let log = fs::read_to_string(&log).expect("a log");
    assert!(log.contains("the new certificate cannot be used: the one before stays in use"), "{log}");
    assert!(!log.contains("PRIVATE KEY"), "{log}");
}

#[test]
fn who_does_not_greet_is_a_connection_and_is_given_up() {
    let folder = TempDir::new().expect("a folder");
    let pair = Pair::write(folder.path(), 2040);
    let limits =
        |handshake_max_ms| host(&pair).limit("connections_max", 1).limit("tls_handshake_max_ms", handshake_max_ms);
    let host = limits(200).start();
    let mut silent = TcpStream::connect(host.url.trim_start_matches("https://")).expect("a connection");
    // There is room for one: this waits until the other is given up.
    assert_eq!(status(&format!("{}/livez", host.url)), 200);
    assert_eq!(silent.read(&mut [0; 1]).expect("the end"), 0);
}

#[test]
fn what_is_wrong_with_a_certificate_is_told_at_the_start_and_by_the_doctor() {
    let folder = TempDir::new().expect("a folder");
    let (pair, other) = (Pair::write(folder.path(), 2040), TempDir::new().expect("a folder"));
    let (stranger, data) = (Pair::write(other.path(), 2040), folder.path().join("data"));
    let serve = |certificate: &Path, key: &Path| {
        let (data, pair) = (argument(&data), [argument(certificate), argument(key)]);
        let line =
            ["serve", "--listen", "127.0.0.1:0", "--data", data, "--tls-certificate", pair[0], "--tls-key", pair[1]];
        let output = hallmark(&line);
        (output.status.code(), said(&output))
    };
    let (code, told) = serve(&pair.certificate, &stranger.key);
    let why = format!("{} is not the key of the certificate in {}", stranger.key.display(), pair.certificate.display());
    assert!(code == Some(3) && told.ends_with(&format!("error: TLS cannot be served: {why}\n")), "{told}");
    let alone = hallmark(&["serve", "--data", argument(&data), "--tls-key", argument(&pair.key)]);
    assert_eq!(
        (said(&alone).as_str(), alone.status.code()),
        ("error: --tls-key needs its certificate: give --tls-certificate FILE\n", Some(2))
    );

    let doctor = |pair: &Pair, key: &Path| {
        let (certificate, key) = (argument(&pair.certificate), argument(key));
        let output =
            hallmark(&["doctor", "--data", argument(&data), "--tls-certificate", certificate, "--tls-key", key]);
        let told = said(&output);
        let line = told.lines().find(|line| line.contains("  certificate  ")).unwrap_or_else(|| panic!("{told}"));
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let shown = pair.certificate.display();
    assert_eq!(doctor(&pair, &pair.key), format!("ok certificate {shown} holds until 2040-12-31T00:00:00.000Z"));
    assert_eq!(doctor(&pair, &stranger.key), format!("fail certificate {why}"));
    pair.renew(2001);
    assert_eq!(
        doctor(&pair, &pair.key),
        format!("fail certificate {shown} held until 2001-12-31T00:00:00.000Z: clients refuse it")
    );
}
