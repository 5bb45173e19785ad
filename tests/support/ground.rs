//! Registries of one database in this process, as hosts of a fleet have them: for tests that pass the time in.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use hallmark::clock::Millis;
use hallmark::config::Limits;
use hallmark::names::{Scope, Tenant};
use hallmark::plugin::Sandbox;
use hallmark::registry::blobs::Blobs;
use hallmark::registry::decode::Format;
use hallmark::registry::release::Rules;
use hallmark::registry::{Actor, Decision, Published, Registry, RegistryError};
use hallmark::sql::Database;
use serde_json::{Value, json};

use super::host::{AMPLE_MS, component};
use super::new_postgres_database;

/// Runs each case, which takes a `Ground`, on SQLite and on PostgreSQL.
macro_rules! on_both_engines {
    ($($case:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case($crate::support::ground::Ground::sqlite().await).await;
            })+
        }

        mod postgresql {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case($crate::support::ground::Ground::postgres().await).await;
            })+
        }
    };
}

pub(crate) use on_both_engines;

/// Limits under which nothing fails for want of speed. Hosts look for new rules by themselves once in ten minutes: what
/// they learn in a test they learn otherwise.
pub fn limits() -> Limits {
    Limits {
        gate_threads: 2,
        plugin_deadline_ms: AMPLE_MS,
        plugin_wall_max_ms: AMPLE_MS,
        plugin_turn_wait_max_ms: AMPLE_MS,
        gate_queue_wait_max_ms: AMPLE_MS,
        database_acquire_max_ms: AMPLE_MS,
        database_idle_max_ms: AMPLE_MS,
        release_poll_ms: AMPLE_MS,
        ..Limits::default()
    }
}

/// One for the process: it takes address space for its pools, and keeps what was compiled.
static SANDBOX: LazyLock<(Arc<Sandbox>, tempfile::TempDir)> = LazyLock::new(|| {
    let cache = tempfile::tempdir().expect("a folder");
    (Sandbox::start(Arc::new(limits()), Some(cache.path())).expect("a sandbox"), cache)
});

/// A database with a folder of components.
pub struct Ground {
    /// Where the database is.
    pub address: String,
    folder: tempfile::TempDir,
}

/// One host.
pub struct Member {
    /// Its registry.
    pub registry: Arc<Registry>,
    /// Its database.
    pub database: Arc<Database>,
    /// Who asks.
    pub actor: Actor,
}

impl Ground {
    /// On SQLite.
    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { address: format!("sqlite:{}", folder.path().join("hallmark.db").display()), folder }
    }

    /// On PostgreSQL.
    pub async fn postgres() -> Self {
        Self { address: new_postgres_database().await, folder: tempfile::tempdir().expect("a folder") }
    }

    /// One more host.
    pub async fn host(&self, limits: Limits) -> Member {
        let database = Arc::new(Database::connect(&self.address, &limits).await.expect("it opens"));
        database.migrate(Millis::now()).await.expect("it migrates");
        let blobs = Blobs::in_folder(&self.folder.path().join("objects")).expect("a folder");
        let (sandbox, tenant) = (Arc::clone(&SANDBOX.0), Tenant::default_tenant());
        let store = Arc::clone(&database) as _;
        let registry = Registry::open(store, blobs, sandbox, Arc::new(limits), tenant.clone()).await.expect("it opens");
        Member { registry, database, actor: Actor::trusted(tenant, "ada") }
    }
}

/// The rules of the module `notes`, with what the manifest's schema demands.
pub fn notes(schema: Value) -> Value {
    json!({
        "scope": "module:notes",
        "kinds": [{
            "name": "notes", "singular": "note", "idField": "noteId", "documentField": "manifest", "schema": schema,
        }],
    })
}

/// The module's scope.
pub fn notes_scope() -> Scope {
    "module:notes".parse().expect("a scope")
}

impl Member {
    /// Pushes a component.
    pub async fn push(&self, name: &str) -> String {
        self.push_file(&component(name)).await
    }

    /// Pushes a component's file.
    pub async fn push_file(&self, file: &Path) -> String {
        let bytes = Bytes::from(std::fs::read(file).expect("a component"));
        let pushed = self.registry.push_plugin(&self.actor, bytes, None, Arc::new(|_| {})).await.expect("it is pushed");
        pushed.plugin.digest.to_string()
    }

    /// Makes a release and gives its number.
    pub async fn release(&self, rules: Value) -> i64 {
        let rules: Rules = serde_json::from_value(rules).expect("rules");
        let released = self.registry.create_release(&self.actor, rules, String::new()).await.expect("a release");
        released.release.release.number
    }

    /// Makes a release and puts it in force.
    pub async fn apply(&self, rules: Value) -> i64 {
        let scope: Scope = rules["scope"].as_str().expect("a scope").parse().expect("a scope");
        let number = self.release(rules).await;
        self.registry.activate(&self.actor, &scope, number, None).await.expect("it is activated");
        number
    }

    /// Publishes a note.
    pub async fn publish(&self, id: &str, version: &str, manifest: Value) -> Result<Published, RegistryError> {
        let body = json!({"noteId": id, "name": id, "version": version, "manifest": manifest});
        self.registry.publish(&self.actor, "notes", Bytes::from(body.to_string()), Format::Json).await
    }

    /// The decision that let a note in, or that refused it.
    pub async fn decide(&self, id: &str, version: &str, manifest: Value) -> Decision {
        match self.publish(id, version, manifest).await {
            Ok(Published::Created { decision, .. }) | Err(RegistryError::Rejected { decision }) => *decision,
            other => panic!("it leaves no decision: {other:?}"),
        }
    }
}
