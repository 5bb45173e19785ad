//! The built binary, started for one test on a free port with a data folder of its own, and stopped with it.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::description;
use super::tls::believing;

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the host lies in the workspace").to_owned()
}

/// A component that `hallmark plugin build` made.
pub fn component(name: &str) -> PathBuf {
    let path = root().join("plugins/target/components").join(format!("{name}.wasm"));
    assert!(path.is_file(), "{} is missing: `make test` builds it", path.display());
    path
}

/// Milliseconds that nothing comes near but what never ends, however slow and busy the machine is.
pub const AMPLE_MS: u64 = 600_000;

/// The limits that tell how fast a machine is. A test that is about one of them sets it; in the others nothing may
/// fail for want of speed.
pub const LIMITS_OF_TIME: [&str; 9] = [
    "plugin_deadline_ms",
    "plugin_wall_max_ms",
    "plugin_configure_deadline_ms",
    "plugin_turn_wait_max_ms",
    "gate_queue_wait_max_ms",
    "request_read_max_ms",
    "database_acquire_max_ms",
    "database_idle_max_ms",
    "health_check_max_ms",
];

/// Asks until the answer is yes; what takes two minutes is never coming.
pub fn until(what: &str, is_so: impl Fn() -> bool) {
    let asked = Instant::now();
    while !is_so() {
        assert!(asked.elapsed() < Duration::from_secs(120), "two minutes went by before {what}");
    }
}

/// What a host is started with.
pub struct Options {
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    data: Option<PathBuf>,
    log: Option<File>,
}

/// What hosts have compiled, so that not each of them must: one folder of compiled code with one key, which every host
/// begins with whose data folder is its own affair. It holds what one run of the tests leaves to the next.
mod warm {
    use std::fs::{self, DirBuilder, OpenOptions};
    use std::io::{Read as _, Write as _};
    use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
    use std::path::Path;
    use std::sync::Once;

    const FOLDER: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/compiled");

    /// Gives it to a host's folder, unless that has one.
    pub fn begin(folder: &Path) {
        static MADE: Once = Once::new();
        MADE.call_once(make);
        if !folder.exists() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).expect("a folder");
            copy(Path::new(FOLDER), folder);
        }
    }

    /// Keeps what a host has compiled beside.
    pub fn keep(folder: &Path) {
        copy(folder, Path::new(FOLDER));
    }

    fn make() {
        DirBuilder::new().recursive(true).mode(0o700).create(FOLDER).expect("a folder");
        let mut key = [0; 32];
        fs::File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut key)).expect("random bytes");
        let path = Path::new(FOLDER).join("seal.key");
        if let Ok(mut file) = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            file.write_all(&key).expect("a file");
        }
    }

    /// A file is written once and then replaced whole, so that two folders may share it.
    fn copy(from: &Path, to: &Path) {
        for entry in fs::read_dir(from).into_iter().flatten().flatten() {
            let (name, target) = (entry.file_name(), to.join(entry.file_name()));
            let is_whole = name.to_string_lossy().ends_with(".plugin") || name == "seal.key";
            // Another may be faster, or a host sweep its folder meanwhile.
            if is_whole && fs::hard_link(entry.path(), &target).is_err() && !target.exists() {
                let _ = copy_whole(&entry.path(), &target);
            }
        }
    }

    /// Where the two are on different file systems.
    fn copy_whole(from: &Path, to: &Path) -> std::io::Result<()> {
        let folder = to.parent().expect("a file lies in a folder");
        let file = tempfile::Builder::new().suffix(".unfinished").tempfile_in(folder)?;
        fs::copy(from, file.path())?;
        file.persist(to)?;
        Ok(())
    }
}

impl Options {
    /// No modules, no policies, SQLite, time enough for everything and any number of requests.
    pub fn new() -> Self {
        let options = Self { arguments: Vec::new(), environment: Vec::new(), data: None, log: None };
        let options = LIMITS_OF_TIME.into_iter().fold(options, |options, name| options.limit(name, AMPLE_MS));
        options.limit("requests_per_token_max", 0).limit("requests_per_address_max", 0)
    }

    /// The modules and policies in `examples/`.
    pub fn examples() -> Self {
        Self::new().modules(&root().join("examples/modules")).policies(&root().join("examples/policies"))
    }

    /// A folder of module folders.
    pub fn modules(self, folder: &Path) -> Self {
        self.argument("--modules").argument(&folder.display().to_string())
    }

    /// The policies' folder.
    pub fn policies(self, folder: &Path) -> Self {
        self.argument("--policies").argument(&folder.display().to_string())
    }

    /// Another database.
    pub fn database(mut self, url: &str) -> Self {
        self.environment.push(("DATABASE_URL".to_owned(), url.to_owned()));
        self
    }

    /// The components' folder, which hosts of one database share.
    pub fn objects(self, folder: &Path) -> Self {
        self.argument("--objects").argument(&folder.display().to_string())
    }

    /// The certificate that it shows, and its key.
    pub fn tls(self, certificate: &Path, key: &Path) -> Self {
        let options = self.argument("--tls-certificate").argument(&certificate.display().to_string());
        options.argument("--tls-key").argument(&key.display().to_string())
    }

    /// The key that decisions are signed with.
    pub fn signing_key(self, file: &Path) -> Self {
        self.argument("--signing-key").argument(&file.display().to_string())
    }

    /// A limit; of one that is set twice the later holds.
    pub fn limit(self, name: &str, value: u64) -> Self {
        self.set(name, &value.to_string())
    }

    /// A limit that is no number.
    pub fn set(self, name: &str, value: &str) -> Self {
        self.argument("--limit").argument(&format!("{name}={value}"))
    }

    /// A data folder that outlives the host.
    pub fn data(mut self, folder: &Path) -> Self {
        self.data = Some(folder.to_owned());
        self
    }

    /// A file that gets all that the host can be made to log of requests.
    pub fn log(mut self, file: &Path) -> Self {
        self.log = Some(File::create(file).expect("a file"));
        self.environment.push(("RUST_LOG".to_owned(), "hallmark=trace,sqlx=debug,hyper=debug,axum=debug".to_owned()));
        self
    }

    /// A flag with its value.
    pub fn flag(self, name: &str, value: &str) -> Self {
        self.argument(name).argument(value)
    }

    /// A variable of the environment.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// How log lines are written.
    pub fn log_format(self, format: &str) -> Self {
        self.argument("--log-format").argument(format)
    }

    fn argument(mut self, text: &str) -> Self {
        self.arguments.push(text.to_owned());
        self
    }

    /// Lets webhooks be sent to loopback.
    pub fn allow_private_webhooks(self) -> Self {
        self.argument("--allow-private-webhooks")
    }

    /// Starts it and waits until it says that it listens.
    pub fn start(self) -> Host {
        let own = TempDir::new().expect("a temporary folder");
        let is_warm = self.data.is_none();
        let data = self.data.unwrap_or_else(|| own.path().join("data"));
        if is_warm {
            warm::begin(&data.join("cache"));
        }
        let mut child = Command::new(env!("CARGO_BIN_EXE_hallmark"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(&data)
            .args(&self.arguments)
            .env_remove("DATABASE_URL")
            .env("RUST_LOG", "warn")
            .envs(self.environment)
            .current_dir(root())
            .stdout(Stdio::piped())
            .stderr(self.log.map_or_else(Stdio::inherit, Stdio::from))
            .spawn()
            .expect("the built binary starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut greeting = String::new();
        let url = loop {
            let line = lines.next().expect("the host says that it listens before it ends").expect("text");
            greeting.push_str(&line);
            greeting.push('\n');
            if let Some(url) = line.strip_prefix("Hallmark listens on ") {
                break url.to_owned();
            }
        };
        // Read on, so that the host never waits for somebody to read what it prints.
        std::thread::spawn(move || lines.for_each(drop));
        let token = std::fs::read_to_string(data.join("admin.token")).expect("a token").trim().to_owned();
        Host { child, url, token, data, is_warm, _own: own }
    }
}

/// A running host. It is killed where it is dropped.
pub struct Host {
    child: Child,
    /// `http://127.0.0.1:PORT`, or `https` where it has a certificate.
    pub url: String,
    /// The admin's.
    pub token: String,
    /// The data folder.
    pub data: PathBuf,
    is_warm: bool,
    _own: TempDir,
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if self.is_warm {
            warm::keep(&self.data.join("cache"));
        }
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, where it is JSON; else its text as a JSON string.
    pub body: Value,
}

impl Answer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// `code path` of every finding, in order.
    pub fn findings(&self) -> Vec<String> {
        let findings = self.body["findings"].as_array().cloned().unwrap_or_default();
        findings
            .iter()
            .map(|finding| {
                format!("{} {}", finding["code"].as_str().unwrap_or("?"), finding["path"].as_str().unwrap_or("?"))
            })
            .collect()
    }
}

/// A host, asked with another token than the admin's.
pub struct Caller<'a> {
    host: &'a Host,
    token: &'a str,
}

impl Caller<'_> {
    /// GET.
    pub fn get(&self, path: &str) -> Answer {
        self.host.get_with(path, ("Authorization", &format!("Bearer {}", self.token)))
    }

    /// POST of JSON.
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        let request = agent()
            .post(format!("{}{path}", self.host.url))
            .header("Authorization", format!("Bearer {}", self.token))
            .header("Content-Type", "application/json");
        answer(("POST", path), request.send(body.to_string().as_bytes()).expect("an answer"))
    }
}

impl Host {
    /// Asks with this token.
    pub fn by<'a>(&'a self, token: &'a str) -> Caller<'a> {
        Caller { host: self, token }
    }

    /// GET with a header and nothing else.
    pub fn get_with(&self, path: &str, (name, value): (&str, &str)) -> Answer {
        let request = agent().get(format!("{}{path}", self.url)).header(name, value);
        answer(("GET", path), request.call().expect("an answer"))
    }

    /// A request with these headers and no body.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        answer((method, path), agent().run(request.body(()).expect("a request")).expect("an answer"))
    }

    /// GET with the admin's token and a header more.
    pub fn get_if(&self, path: &str, (name, value): (&str, &str)) -> Answer {
        let request = agent()
            .get(format!("{}{path}", self.url))
            .header("Authorization", format!("Bearer {}", self.token))
            .header(name, value);
        answer(("GET", path), request.call().expect("an answer"))
    }

    /// GET with the admin's token.
    pub fn get(&self, path: &str) -> Answer {
        let request =
            agent().get(format!("{}{path}", self.url)).header("Authorization", format!("Bearer {}", self.token));
        answer(("GET", path), request.call().expect("an answer"))
    }

    /// DELETE with the admin's token.
    pub fn delete(&self, path: &str) -> Answer {
        let request =
            agent().delete(format!("{}{path}", self.url)).header("Authorization", format!("Bearer {}", self.token));
        answer(("DELETE", path), request.call().expect("an answer"))
    }

    /// POST of JSON with the admin's token.
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(path, "application/json", body.to_string().as_bytes())
    }

    /// The same with a header more.
    pub fn send_with(&self, path: &str, media_type: &str, body: &[u8], (name, value): (&str, &str)) -> Answer {
        let request = agent()
            .post(format!("{}{path}", self.url))
            .header("Authorization", format!("Bearer {}", self.token))
            .header("Content-Type", media_type)
            .header(name, value);
        answer(("POST", path), request.send(body).expect("an answer"))
    }

    /// POST of bytes with the admin's token.
    pub fn send(&self, path: &str, media_type: &str, body: &[u8]) -> Answer {
        let request = agent()
            .post(format!("{}{path}", self.url))
            .header("Authorization", format!("Bearer {}", self.token))
            .header("Content-Type", media_type);
        answer(("POST", path), request.send(body).expect("an answer"))
    }

    /// POST of JSON with the admin's token, under preconditions.
    pub fn post_if(&self, path: &str, body: &Value, preconditions: &[(&str, &str)]) -> Answer {
        let request = agent()
            .post(format!("{}{path}", self.url))
            .header("Authorization", format!("Bearer {}", self.token))
            .header("Content-Type", "application/json");
        let request = preconditions.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        answer(("POST", path), request.send(body.to_string().as_bytes()).expect("an answer"))
    }

    /// Sends a POST of JSON and does not wait for its answer. A stream that is dropped hangs up; the host would not see
    /// that of one that it was told to close.
    pub fn begin(&self, path: &str, body: &Value) -> TcpStream {
        self.begin_with(path, body, "")
    }

    /// The same with further lines of the head, each with its end.
    pub fn begin_with(&self, path: &str, body: &Value, lines: &str) -> TcpStream {
        self.begin_by(&self.token, path, body, lines)
    }

    /// The same with another token.
    pub fn begin_by(&self, token: &str, path: &str, body: &Value, lines: &str) -> TcpStream {
        let body = body.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {}\r\n{lines}\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            token,
            body.len()
        );
        let mut stream = TcpStream::connect(self.url.trim_start_matches("http://")).expect("a connection");
        stream.write_all(format!("{head}{body}").as_bytes()).expect("sent");
        stream
    }

    /// The host's process id.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Asks the host to stop.
    pub fn ask_to_stop(&self) {
        terminate(&self.child);
    }

    /// Asks the host to stop and waits until it has; says whether it ended well.
    pub fn stop(mut self) -> bool {
        terminate(&self.child);
        self.child.wait().expect("the host ends").success()
    }
}

/// Asks a process to stop: SIGTERM.
pub fn terminate(child: &Child) {
    let told = Command::new("sh").args(["-c", &format!("kill {}", child.id())]).status().expect("sh runs");
    assert!(told.success());
}

/// The status that a route answers that asks for no token; 0 where nobody answers.
pub fn status(url: &str) -> u16 {
    agent().get(url).call().map_or(0, |answer| answer.status().as_u16())
}

/// A client that asks on connections of its own.
pub fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).tls_config(believing()).build().into()
}

fn answer((method, path): (&str, &str), mut response: ureq::http::Response<ureq::Body>) -> Answer {
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let status = response.status().as_u16();
    let text = response.body_mut().read_to_string().expect("a text");
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    let answer = Answer { status, headers, body };
    description::check(method, path, &answer);
    answer
}
