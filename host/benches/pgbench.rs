//! pgbench beside us: the rows of one publish in a transaction, on the same server with as many clients.

use std::process::Command;

use hallmark::names::Digest;

/// A cluster as a server is run: a commit is on the disk before it is answered.
pub const DURABLE_SETTINGS: &[&str] = &["max_connections=100", "shared_buffers=128MB"];

/// JSON of about that many bytes, no two parts alike.
pub fn json(size_bytes: usize) -> String {
    let mut text = "{".to_owned();
    for number in 0.. {
        let member = format!("\"field{number}\":\"{}\",", &Digest::of(&[number]).hex()[..24]);
        if text.len() + member.len() > size_bytes {
            break;
        }
        text.push_str(&member);
    }
    text + "\"end\":true}"
}

/// pgbench's commits a second, on a database in which the scope has active rules. The rows have about the sizes of a
/// publish of a 2 KB manifest.
pub fn pgbench(clients: usize, address: &str, scope: &str, seconds: u32) -> f64 {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/commit.pgbench.sql");
    let define = |name: &str, value: &str| format!("--define={name}={value}");
    let output = Command::new("pgbench")
        .args(["--no-vacuum", "--protocol=prepared", "--jobs=2", &format!("--time={seconds}")])
        .args([format!("--client={clients}"), format!("--file={script}")])
        .args([define("scope", scope), define("key", "registry:agent:bench-")])
        .args([define("manifest", &json(2048)), define("decision", &json(1024)), define("event", &json(200))])
        .args([
            define("digest", Digest::of(b"bench").as_str()),
            format!("{address}?options=-challmark.tenant%3Ddefault"),
        ])
        .output()
        .expect("pgbench runs: apt-get install postgresql");
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    let rate = report.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    rate.unwrap_or_else(|| panic!("pgbench: {report}{}", String::from_utf8_lossy(&output.stderr)))
}
