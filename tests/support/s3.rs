//! An S3-compatible server on loopback that is not ours and holds callers to their signatures: moto's, which the set-up
//! installs from the Python package index. It is told to stop where it is dropped.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::command::argument;
use super::host::{Options, root};

/// The bucket that there is.
pub const BUCKET: &str = "registry";

/// Who may ask it.
#[derive(Debug, Clone)]
pub struct Keys {
    /// The access key's id.
    pub id: String,
    /// Its secret.
    pub secret: String,
}

/// A running server.
pub struct Store {
    child: Child,
    /// Its address.
    pub endpoint: String,
    /// May do everything with the bucket.
    pub owner: Keys,
    /// May not.
    pub stranger: Keys,
}

impl Store {
    /// Starts it; none where no package index gave it to the set-up.
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// Starts it with a certificate and its key.
    pub fn start_with_tls(certificate: &Path, key: &Path) -> Option<Self> {
        Self::start_with(&[argument(certificate), argument(key)])
    }

    fn start_with(tls: &[&str]) -> Option<Self> {
        let tools = root().join("target/s3");
        if tools.join("unavailable").exists() {
            return None;
        }
        let python = tools.join("bin/python");
        assert!(python.is_file(), "tests/s3/requirements.txt is not installed: run `make test`");
        let mut child = Command::new(python)
            .arg(root().join("tests/s3/server.py"))
            .arg(BUCKET)
            .args(tls)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Python runs");
        let mut line = String::new();
        let read = BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line);
        read.expect("the server says where it is");
        let told: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("the server said '{line}'"));
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let keys = |name: &str| Keys { id: text(&told[name]["id"]), secret: text(&told[name]["secret"]) };
        let scheme = if tls.is_empty() { "http" } else { "https" };
        let endpoint = format!("{scheme}://127.0.0.1:{}", told["port"]);
        Some(Self { child, endpoint, owner: keys("owner"), stranger: keys("stranger") })
    }

    /// What names the bucket, and who asks.
    pub fn variables(&self, keys: &Keys) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL_S3", self.endpoint.clone()),
            ("AWS_ACCESS_KEY_ID", keys.id.clone()),
            ("AWS_SECRET_ACCESS_KEY", keys.secret.clone()),
        ]
    }

    /// A host that keeps its components under this prefix.
    pub fn host(&self, prefix: &str) -> Options {
        let options = Options::new().objects(Path::new(&format!("s3://{BUCKET}/{prefix}")));
        let variables = self.variables(&self.owner);
        variables.iter().fold(options, |options, (name, value)| options.variable(name, value))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
