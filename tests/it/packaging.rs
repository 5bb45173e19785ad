//! What is packaged is held to the command line and to its own promises: as much as can be told without a container
//! engine. Where systemd is, it reads the units.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use hallmark::config::Limits;
use hallmark::registry::decode::{Format, decode};
use hallmark::sql::connections_of_host;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::command::{argument, hallmark, text};
use crate::support::host::root;

const UNITS: [&str; 3] = ["hallmark.service", "hallmark-backup.service", "hallmark-backup.timer"];
const HOSTS: [&str; 3] = ["hallmark-1", "hallmark-2", "hallmark-3"];

fn packaged(name: &str) -> String {
    fs::read_to_string(root().join("packaging").join(name)).expect("a packaged file")
}

/// Makes sure that a command knows every flag that a text gives it.
fn knows(command: &str, given: &str) {
    let help = text(&hallmark(&[command, "--help"]).stdout);
    let flags: Vec<&str> = given.split([' ', '"', ',', '\'']).filter(|word| word.starts_with("--")).collect();
    assert!(!flags.is_empty(), "{given}");
    for flag in flags {
        assert!(help.split_whitespace().any(|word| word == flag), "hallmark {command} has no {flag}: {given}");
    }
}

/// The settings of a unit, those of one name together.
fn settings(unit: &str) -> BTreeMap<String, Vec<String>> {
    let mut settings: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in packaged(unit).lines().filter(|line| !line.starts_with(['#', '[']) && !line.is_empty()) {
        let (name, value) = line.split_once('=').unwrap_or_else(|| panic!("{unit}: {line}"));
        settings.entry(name.to_owned()).or_default().push(value.to_owned());
    }
    settings
}

#[test]
fn units_start_what_there_is_behind_walls() {
    for (unit, command) in [("hallmark.service", "serve"), ("hallmark-backup.service", "backup")] {
        let settings = settings(unit);
        let given = &settings["ExecStart"][0];
        assert!(given.contains(&format!("hallmark {command} ")), "{given}");
        knows(command, given);
        let walls = [
            ("DynamicUser", "yes"),
            ("NoNewPrivileges", "yes"),
            ("ProtectSystem", "strict"),
            ("ProtectHome", "yes"),
            ("PrivateTmp", "yes"),
            ("CapabilityBoundingSet", ""),
            ("UMask", "0077"),
            ("StateDirectoryMode", "0700"),
        ];
        for (name, value) in walls {
            assert_eq!(settings[name], [value], "{unit}: {name}");
        }
    }
    let stop = settings("hallmark.service")["TimeoutStopSec"][0].trim_end_matches('s').parse::<u64>().expect("seconds");
    assert!(stop * 1_000 > Limits::default().shutdown_max_ms, "a host that stops answers what it accepted");
}

#[test]
fn units_are_read_by_systemd() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return;
    }
    let folder = TempDir::new().expect("a folder");
    let files: Vec<_> = UNITS
        .into_iter()
        .map(|unit| {
            let file = folder.path().join(unit);
            // It looks for the program.
            let text = packaged(unit).replace("/usr/local/bin/hallmark serve", "/bin/true serve");
            fs::write(&file, text).expect("a file");
            file
        })
        .collect();
    let verified = Command::new("systemd-analyze").arg("verify").args(&files).output().expect("it runs");
    let said = text(&verified.stderr);
    assert!(verified.status.success() && !said.contains("hallmark"), "{said}");
    for unit in ["hallmark.service", "hallmark-backup.service"] {
        let rated = Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--no-pager", "--threshold=20"])
            .arg(folder.path().join(unit))
            .output()
            .expect("it runs");
        assert!(rated.status.success(), "more than 2.0 is exposed: {}{}", text(&rated.stdout), text(&rated.stderr));
    }
}

fn compose() -> Value {
    let limits = Limits::default();
    // YAML 1.2 has no merge keys; compose files have.
    decode(packaged("compose.yaml").replace("<<: ", "merged: ").as_bytes(), Format::Yaml, &limits).expect("YAML")
}

/// A service with what it takes over from another.
fn service(compose: &Value, name: &str) -> Value {
    let own = compose["services"][name].as_object().unwrap_or_else(|| panic!("no service {name}"));
    let mut whole = own.get("merged").and_then(Value::as_object).cloned().unwrap_or_default();
    whole.extend(own.iter().map(|(name, value)| (name.clone(), value.clone())));
    Value::Object(whole)
}

#[test]
fn three_hosts_share_a_database_and_nothing_that_is_their_own() {
    let compose = compose();
    let mut homes = Vec::new();
    for name in HOSTS {
        let host = service(&compose, name);
        let words: Vec<&str> = host["command"].as_array().expect("words").iter().filter_map(Value::as_str).collect();
        assert_eq!(words[0], "serve");
        let served = words.join(" ").replace("--limit=", "--limit ").replace('=', " ");
        knows("serve", &served);
        assert!(served.contains("--database-file /run/secrets/database_url "), "{served}");
        assert!(served.contains("database_connections_max 16 "), "{served}");
        for shared in ["session", "webhook"] {
            assert!(served.contains(&format!("--{shared}-key /run/secrets/{shared}_key ")), "{served}");
            assert!(host["secrets"].as_array().expect("secrets").contains(&json!(format!("{shared}_key"))));
        }
        let subnet = compose["networks"]["inside"]["ipam"]["config"][0]["subnet"].as_str().expect("a network");
        assert!(served.contains(&format!("--trusted-proxies {subnet} ")), "the proxy is believed: {served}");
        let volumes: Vec<&str> =
            host["volumes"].as_array().expect("volumes").iter().filter_map(Value::as_str).collect();
        assert!(served.contains("--objects s3://hallmark/components "), "{served}");
        for secret in ["s3-secret-access-key-file", "signing-key", "webhook-key"] {
            assert!(served.contains(&format!("--{secret} /run/secrets/")), "what hosts share is a secret: {secret}");
        }
        for secret in host["secrets"].as_array().expect("secrets").iter().filter_map(Value::as_str) {
            assert!(compose["secrets"].get(secret).is_some(), "the secret {secret} is not declared");
        }
        homes.extend(volumes.iter().filter(|volume| volume.ends_with(":/var/lib/hallmark")).map(|it| (*it).to_owned()));
        let period = host["stop_grace_period"].as_str().expect("a time").trim_end_matches('s').parse::<u64>();
        let drain = served.split_once("shutdown_drain_ms ").map_or("0", |(_, rest)| rest.trim());
        let drain_ms: u64 = drain.parse().expect("milliseconds");
        assert!(drain_ms > 2_000, "the proxy looks twice, a second apart: {served}");
        assert!(period.expect("seconds") * 1_000 > drain_ms + Limits::default().shutdown_max_ms);
    }
    homes.dedup();
    assert_eq!(homes.len(), HOSTS.len(), "each has a data folder of its own: {homes:?}");
    let max = compose["services"]["database"]["command"].to_string();
    let max: i64 =
        max.split_once("max_connections=").and_then(|(_, rest)| rest.split('"').next()?.parse().ok()).expect("it");
    let limits = Limits { database_connections_max: 16, impact_threads: 16, ..Limits::default() };
    assert!(3 * connections_of_host(&limits) < max - 10, "hosts, and people beside them, are given connections");
    for volume in compose["services"].as_object().expect("services").values().filter_map(|it| it["volumes"].as_array())
    {
        let named = volume.iter().filter_map(|it| it.as_str()?.split(':').next()).filter(|it| !it.starts_with('.'));
        named.for_each(|name| assert!(compose["volumes"].get(name).is_some(), "the volume {name} is not declared"));
    }
}

#[test]
fn hosts_have_a_role_of_their_own_in_the_database() {
    let (compose, made) = (compose(), packaged("database.sh"));
    let database = service(&compose, "database");
    assert!(database["environment"].get("POSTGRES_USER").is_none(), "the image makes its user a superuser");
    assert!(database["volumes"].to_string().contains("./database.sh:/docker-entrypoint-initdb.d/database.sh:ro"));
    let runbook = fs::read_to_string(root().join("docs/OPERATIONS.md")).expect("the runbook");
    for statement in made.lines().filter(|line| line.ends_with(';') && !line.contains("PASSWORD")) {
        assert!(runbook.contains(statement), "the runbook says so as well: {statement}");
    }
    for text in [&made, &runbook] {
        assert!(text.contains("NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;"));
    }
}

#[test]
fn containers_can_write_nothing_and_become_nobody() {
    let compose = compose();
    for name in compose["services"].as_object().expect("services").keys() {
        let service = service(&compose, name);
        assert_eq!(service["read_only"], json!(true), "{name}");
        assert_eq!(service["cap_drop"], json!(["ALL"]), "{name}");
        assert_eq!(service["security_opt"], json!(["no-new-privileges:true"]), "{name}");
        let image = service["image"].as_str().expect("an image");
        assert!(image.split_once(':').is_some_and(|(_, tag)| tag != "latest"), "{image}");
    }
    assert_eq!(compose["networks"]["inside"]["internal"], json!(true));
    let proxy = packaged("haproxy.cfg");
    for name in HOSTS {
        assert_eq!(service(&compose, name)["user"], json!("10001:10001"));
        assert!(proxy.contains(&format!("server {name} {name}:8080\n")), "the proxy knows {name}");
    }
    assert!(proxy.contains("option httpchk GET /readyz\n"));
    assert!(proxy.contains("    http-request del-header x-forwarded-for\n    option forwardfor\n"));
}

#[test]
fn the_image_is_built_from_what_there_is_and_runs_without_rights() {
    let file = packaged("Containerfile").replace("\\\n", " ");
    let instructions: Vec<(&str, &str)> = file
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| line.split_once(' '))
        .filter(|(word, _)| word.chars().all(|letter| letter.is_ascii_uppercase()) && !word.is_empty())
        .collect();
    let of = |word: &str| -> Vec<&str> { instructions.iter().filter(|it| it.0 == word).map(|it| it.1).collect() };
    let stages = of("FROM");
    assert_eq!(stages.len(), 2, "nothing to build with is in what runs");
    let release = |image: &str| image.contains(":") && image.contains("bookworm");
    assert!(stages.iter().all(|image| release(image)), "both are of one Debian: {stages:?}");
    assert_eq!(of("USER"), ["10001:10001"]);
    for copied in of("COPY").iter().filter(|copied| !copied.starts_with("--from=")) {
        let mut words: Vec<&str> = copied.split_whitespace().collect();
        words.pop();
        for word in words {
            assert!(root().join(word).exists(), "COPY {copied}: there is no {word}");
        }
    }
    knows("serve", of("CMD")[0]);
    let wanted = root().join("host/Cargo.toml");
    let rust = fs::read_to_string(root().join("Cargo.toml")).expect("a file");
    let rust = rust.split_once("rust-version = \"").and_then(|(_, rest)| rest.split('"').next()).expect("a version");
    assert!(stages[0].contains(&format!("rust:{rust}-")), "{} asks for {rust}: {}", argument(&wanted), stages[0]);
}
