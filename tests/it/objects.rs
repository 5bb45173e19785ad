//! Components in a bucket: kept, backed up, restored and looked after as in a folder, and what is told of a bucket that
//! cannot be used. Asked of a server that is not ours and checks signatures.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::command::{against, argument, text};
use crate::support::host::{Options, root, until};
use crate::support::rules::{module, own_binding, submission};
use crate::support::s3::{BUCKET, Store};

/// Runs a command with these variables and nothing of the caller's settings.
fn run(variables: &[(&str, String)], arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hallmark"));
    command.env_clear().envs(variables.iter().cloned()).current_dir(root()).args(arguments);
    command.output().expect("the binary runs")
}

fn said(output: &Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}

/// A host's first module, with a component of its own.
fn rules(folder: &Path) -> std::path::PathBuf {
    module(folder, "note", &own_binding(folder, "check", "validate", "hostile", "{ break = \"none\" }"))
}

/// What `doctor` says of a part.
fn doctor(variables: &[(&str, String)], place: &[&str], part: &str) -> Vec<(String, String)> {
    let output = run(variables, &[&["doctor", "--output", "json"], place].concat());
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)));
    let checks = told["checks"].as_array().expect("checks").iter().filter(|check| check["part"] == part);
    let word = |check: &Value, name: &str| check[name].as_str().unwrap_or_default().to_owned();
    checks.map(|check| (word(check, "state"), word(check, "detail"))).collect()
}

#[test]
fn components_are_kept_in_a_bucket_and_carried_by_backups() {
    let Some(store) = Store::start() else { return };
    let folder = TempDir::new().expect("a folder");
    let (data, other) = (folder.path().join("data"), folder.path().join("other"));
    let host = store.host("team/one").data(&data).start();
    let applied = against(&host, &["module", "apply", argument(&rules(folder.path()))]);
    assert_eq!(applied.status.code(), Some(0), "{}", said(&applied));
    assert_eq!(host.post("/api/notes/publish", &submission("note", "a")).status, 201);
    assert_eq!(host.get("/health").body["objectStore"], "ok");
    assert!(!data.join("objects").exists(), "nothing is kept beside the bucket");

    let variables = store.variables(&store.owner);
    let objects = format!("s3://{BUCKET}/team/one");
    let place = ["--data", argument(&data), "--objects", &objects];
    assert_eq!(
        doctor(&variables, &place, "components"),
        [("ok".to_owned(), "all 1 are there, and no others".to_owned())]
    );
    let archive = folder.path().join("archive");
    let backup = run(&variables, &[&["backup", "--out", argument(&archive)], &place[..]].concat());
    assert_eq!(backup.status.code(), Some(0), "{}", said(&backup));
    assert!(said(&backup).contains(" 1 component, "), "{}", said(&backup));
    drop(host);

    // Another bucket's prefix, and a database without a row: what lies there is nobody's.
    let elsewhere = format!("s3://{BUCKET}/team/two");
    let restored = ["--data", argument(&other), "--objects", &elsewhere];
    let output = run(&variables, &[&["restore", argument(&archive)], &restored[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let host = store.host("team/two").data(&other).start();
    assert_eq!(host.post("/api/notes/publish", &submission("note", "b")).status, 201, "the component is loaded");
    let empty = folder.path().join("empty");
    assert!(Options::new().data(&empty).start().stop());
    let told = doctor(&variables, &["--data", argument(&empty), "--objects", &elsewhere], "components");
    let [(state, detail)] = &told[..] else { panic!("{told:?}") };
    assert!(state == "warn" && detail.starts_with("1 that no plugin's row names: sha256:"), "{state} {detail}");
}

#[test]
fn what_is_wrong_about_a_bucket_is_told_at_the_start_and_by_the_doctor() {
    let Some(store) = Store::start() else { return };
    let folder = TempDir::new().expect("a folder");
    let data = folder.path().join("data");
    assert!(Options::new().data(&data).start().stop());
    let endpoint = &store.endpoint;
    let with = |name: &'static str, value: &str| {
        let mut variables = store.variables(&store.owner);
        variables.retain(|(known, _)| *known != name);
        variables.push((name, value.to_owned()));
        variables
    };
    let refused = format!("{endpoint} refuses the credentials");
    for (variables, objects, expected) in [
        (
            store.variables(&store.owner),
            "s3://registri",
            format!("{endpoint} has no bucket 'registri': make it, or name another (serve.objects)"),
        ),
        (
            with("AWS_SECRET_ACCESS_KEY", "wrong"),
            "s3://registry",
            format!("{refused} (SignatureDoesNotMatch): look at s3.access_key_id and its secret"),
        ),
        (
            with("AWS_ACCESS_KEY_ID", "AKIANOBODYKNOWSTHIS0"),
            "s3://registry",
            format!("{refused} (InvalidAccessKeyId): look at s3.access_key_id and its secret"),
        ),
        (
            store.variables(&store.stranger),
            "s3://registry",
            format!(
                "{endpoint} does not let these credentials use the bucket 'registry' (AccessDenied): give them \
                 s3:GetObject and s3:PutObject on its objects and s3:ListBucket on it"
            ),
        ),
        (
            // Port 1 is nobody's.
            with("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1"),
            "s3://registry",
            "http://127.0.0.1:1 cannot be reached: Connection refused (os error 111): is it up, and is s3.endpoint \
             right?"
                .to_owned(),
        ),
    ] {
        let place = ["--data", argument(&data), "--objects", objects];
        let output = run(&variables, &[&["serve", "--listen", "127.0.0.1:0"], &place[..]].concat());
        let told = format!("error: the object store cannot be used: {expected}");
        assert!(output.status.code() == Some(3) && said(&output).contains(&told), "{}", said(&output));
        let told = format!("the object store cannot be used: {expected}");
        assert_eq!(doctor(&variables, &place, "components"), [("fail".to_owned(), told)]);
    }
}

#[test]
fn a_store_that_does_not_answer_holds_no_start_up_for_long() {
    let folder = TempDir::new().expect("a folder");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let endpoint = format!("http://{}", silent.local_addr().expect("an address"));
    let keys = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(|name| (name, "any".to_owned()));
    let variables = [&keys[..], &[("HALLMARK_S3__ENDPOINT", endpoint.clone())]].concat();
    let place = ["--data", argument(folder.path()), "--objects", "s3://registry"];
    let limit = ["--limit", "object_request_max_ms=200"];
    let output = run(&variables, &[&["serve", "--listen", "127.0.0.1:0"], &place[..], &limit].concat());
    let told = format!("error: the object store cannot be used: {endpoint} cannot be reached: ");
    assert!(output.status.code() == Some(3) && said(&output).contains(&told), "{}", said(&output));
}

#[test]
fn a_bucket_that_falls_silent_is_seen() {
    let Some(store) = Store::start() else { return };
    let host = store.host("").start();
    assert_eq!(host.get("/health").body["objectStore"], "ok");
    drop(store);
    until("it is down", || host.get("/health").status == 503);
    let health = host.get("/health").body;
    assert_eq!(
        (&health["objectStore"], &health["objectStoreProblem"]),
        (&"down".into(), &"unreachable".into()),
        "{health}"
    );
    let ready = host.get("/readyz?verbose").body;
    assert_eq!(
        ready["detail"],
        "not ready: database ok, object store down, rules ok: the object store does not answer"
    );
}

#[test]
fn a_bucket_is_reached_over_tls_by_an_authority_of_ones_own() {
    let folder = TempDir::new().expect("a folder");
    let names = vec!["127.0.0.1".to_owned()];
    let pair = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let (certificate, key) = (folder.path().join("store.pem"), folder.path().join("store.key"));
    fs::write(&certificate, pair.cert.pem()).expect("a file");
    fs::write(&key, pair.signing_key.serialize_pem()).expect("a file");
    let Some(store) = Store::start_with_tls(&certificate, &key) else { return };
    let secret = folder.path().join("secret");
    fs::write(&secret, format!("{}\n", store.owner.secret)).expect("a file");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("changed");
    let file = format!(
        "[serve]\nobjects = \"s3://{BUCKET}\"\n[s3]\nendpoint = \"{}\"\naccess_key_id = \"{}\"\n\
         secret_access_key_file = \"secret\"\n",
        store.endpoint, store.owner.id
    );
    let settings = folder.path().join("hallmark.toml");
    fs::write(&settings, &file).expect("a file");
    let data = folder.path().join("data");
    let serve = ["serve", "--listen", "127.0.0.1:0", "--data", argument(&data), "--config", argument(&settings)];
    let output = run(&[], &serve);
    let told = format!("error: the object store cannot be used: {} cannot be reached: ", store.endpoint);
    assert!(output.status.code() == Some(3) && said(&output).contains(&told), "{}", said(&output));

    let trusting = Options::new()
        .variable("HALLMARK_CONFIG", argument(&settings))
        .variable("AWS_CA_BUNDLE", argument(&certificate))
        .data(&data);
    assert_eq!(trusting.start().get("/health").body["objectStore"], "ok");
}
