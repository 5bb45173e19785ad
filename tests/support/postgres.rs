//! A private PostgreSQL cluster, made from the machine's binaries, shared by every test of a run (each with a database
//! of its own) and removed when the last has ended, however it ended. `cargo nextest` gives each test a process of
//! its own, so the server belongs to none of them: `postgres.sh` keeps it as long as somebody holds the users' lock.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

const START_MAX: Duration = Duration::from_secs(300);

/// Times that the server is started: another process may take the port that was free when it was chosen.
const STARTS_MAX: usize = 5;

/// A server that tests share.
pub struct Cluster {
    /// Its name, by which processes find it.
    pub name: &'static str,
    /// Settings of the server.
    pub settings: &'static [&'static str],
}

/// The role that hosts connect as: it owns the database, and row-level security holds for it.
const ROLE: &str = "hallmark";

/// Made by whichever test comes first, at times by two.
const MAKE_ROLE: &str = "DO $$ BEGIN CREATE ROLE hallmark LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$";

/// The address of a new, empty database, for a host.
pub async fn new_database(cluster: &'static Cluster) -> String {
    let server = tokio::task::spawn_blocking(|| server(cluster)).await.expect("the cluster is looked for");
    sqlx::any::install_default_drivers();
    let mut connection =
        sqlx::AnyConnection::connect(&format!("{server}/postgres")).await.expect("the cluster answers");
    let name = format!("test_{}", hallmark::names::hex(&hallmark::clock::random_bytes::<8>()));
    // A collation that is not byte order, as most servers have one: the schema must bring its own.
    connection.execute(MAKE_ROLE).await.expect("a role is made");
    let create = format!(
        "CREATE DATABASE {name} OWNER {ROLE} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en' ENCODING 'UTF8'"
    );
    connection.execute(AssertSqlSafe(create)).await.expect("a database is made");
    format!("{}/{name}", server.replacen("postgres@", &format!("{ROLE}@"), 1))
}

/// The server's address, without a database. The cluster is started where none runs. A process uses one cluster.
fn server(cluster: &Cluster) -> &'static str {
    static SERVER: OnceLock<(String, File)> = OnceLock::new();
    &SERVER
        .get_or_init(|| {
            let locks = Path::new(env!("CARGO_TARGET_TMPDIR")).join(cluster.name);
            fs::create_dir_all(&locks).expect("the locks' folder");
            let gate = lock_file(&locks.join("gate"));
            gate.lock().expect("the gate's lock");
            let users = lock_file(&locks.join("users"));
            let address = running(&locks).unwrap_or_else(|| start(cluster, &locks));
            users.lock_shared().expect("the users' lock");
            (address, users)
        })
        .0
}

fn lock_file(path: &Path) -> File {
    File::options().create(true).append(true).open(path).expect("a lock file")
}

/// The address that a server left, if it is still there.
fn running(locks: &Path) -> Option<String> {
    let address = fs::read_to_string(locks.join("address")).ok()?;
    let port = address.rsplit(':').next()?.parse().ok()?;
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok().map(|_| address)
}

fn start(cluster: &Cluster, locks: &Path) -> String {
    let mut why = String::new();
    for _ in 0..STARTS_MAX {
        match try_start(cluster, locks) {
            Ok(address) => return address,
            Err(log) => why = log,
        }
    }
    panic!("PostgreSQL did not start, {STARTS_MAX} times: {why}");
}

/// The address, or what the server said before it ended.
#[expect(clippy::zombie_processes, reason = "the keeper outlives this process, and removes the cluster")]
fn try_start(cluster: &Cluster, locks: &Path) -> Result<String, String> {
    let binaries = binaries();
    let data = tempfile::Builder::new().prefix("hallmark-postgres-").tempdir().expect("a folder").keep();
    let user = unprivileged_user();
    if let Some((uid, gid)) = user {
        std::os::unix::fs::chown(&data, Some(uid), Some(gid)).expect("the folder is given away");
        fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).expect("the folder is closed");
    }
    make_cluster(&binaries, &data, user);
    let port =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr()).expect("a free port").port();
    let mut keeper = Command::new("sh");
    keeper.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/support/postgres.sh")).args([&data, locks]);
    if let Some((uid, gid)) = user {
        keeper.args(["setpriv", &format!("--reuid={uid}"), &format!("--regid={gid}"), "--clear-groups"]);
    }
    keeper.arg(binaries.join("postgres")).arg("-D").arg(data.join("cluster")).arg("-k").arg(&data);
    keeper.args(["-h", "127.0.0.1", "-p", &port.to_string()]);
    keeper.args(cluster.settings.iter().flat_map(|setting| ["-c", setting]));
    // A group of its own: what ends a test run by signal must not end it before it has removed the cluster.
    keeper.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let mut keeper = keeper.spawn().expect("a shell");
    let begun = Instant::now();
    let mut log = String::new();
    while !is_ready(&data) {
        // The keeper removes it with the cluster.
        log = fs::read_to_string(data.join("log")).unwrap_or(log);
        if keeper.try_wait().expect("its state").is_some() {
            return Err(log);
        }
        assert!(begun.elapsed() < START_MAX, "PostgreSQL did not start within {START_MAX:?}: {log}");
        std::thread::sleep(Duration::from_millis(5));
    }
    let address = format!("postgres://postgres@127.0.0.1:{port}");
    fs::write(locks.join("address"), &address).expect("the address is left for others");
    Ok(address)
}

/// The server says so in the last line of its pid file; that its port is open says less.
fn is_ready(data: &Path) -> bool {
    fs::read_to_string(data.join("cluster/postmaster.pid"))
        .is_ok_and(|text| text.lines().nth(7).is_some_and(|state| state.trim() == "ready"))
}

fn make_cluster(binaries: &Path, data: &Path, user: Option<(u32, u32)>) {
    let mut initdb = Command::new(binaries.join("initdb"));
    initdb.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "-D"]);
    initdb.arg(data.join("cluster")).current_dir("/");
    if let Some((uid, gid)) = user {
        initdb.uid(uid).gid(gid);
    }
    let made = initdb.output().expect("initdb runs");
    assert!(made.status.success(), "initdb failed: {}", String::from_utf8_lossy(&made.stderr));
}

/// The newest of Debian's versions, or what `pg_config` names.
fn binaries() -> PathBuf {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|version| version.ok())
        .filter_map(|version| Some((version.file_name().to_str()?.parse().ok()?, version.path().join("bin"))))
        .filter(|(_, bin)| bin.join("initdb").exists())
        .collect();
    versions.sort();
    versions
        .pop()
        .map(|(_, bin)| bin)
        .or_else(|| {
            let asked = Command::new("pg_config").arg("--bindir").output().ok()?;
            let bin = PathBuf::from(String::from_utf8(asked.stdout).ok()?.trim());
            bin.join("initdb").exists().then_some(bin)
        })
        .expect("PostgreSQL is not installed and its tests need it: apt-get install postgresql")
}

/// PostgreSQL refuses to run as root. Gives the user to run it as, where the tests run as root.
fn unprivileged_user() -> Option<(u32, u32)> {
    if fs::metadata("/proc/self").expect("this process").uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("the machine's users");
    let ids = |name: &str| {
        let mut fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|line| line[0] == name)?;
        fields.truncate(4);
        Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
    };
    Some(ids("postgres").or_else(|| ids("nobody")).expect("a user that is not root: postgres or nobody"))
}
