//! `hallmark serve`: puts the rooms together and serves until it is told to stop. The one place that names them all.

mod tending;

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use tokio::net::TcpListener;

use self::tending::Tending;
use super::configuration::Configuration;
use super::folder::{self, Folder};
use super::{Ended, Outcome, Trouble, access, certificate, database, objects, sampling, show};
use crate::clock::Millis;
use crate::config::Limits;
use crate::http;
use crate::names::{Digest, Scope, Tenant};
use crate::plugin::{Sandbox, Unfit};
use crate::registry::access::new_token;
use crate::registry::activation::Frozen;
use crate::registry::signing::SigningKey;
use crate::registry::tenants::Tenants;
use crate::registry::webhooks::WebhookSettings;
use crate::registry::webhooks::address::Addresses;
use crate::registry::webhooks::secret::WebhookKey;
use crate::registry::{Actor, Registry, RegistryError, Releases, impact};
use crate::sql::Database;
use crate::telemetry::{self, Exporter, LogFormat, Metrics};

/// The file in the data folder that holds the admin's token.
pub(super) const TOKEN_FILE: &str = "admin.token";

/// The file in the data folder that holds the key that decisions are signed with.
pub(super) const SIGNING_KEY_FILE: &str = "signing.key";

/// The file in the data folder that holds the key that webhooks' secrets are made from.
pub(super) const WEBHOOK_KEY_FILE: &str = "webhook.key";

/// Bytes of a thread's stack beside a guest's.
const RUNTIME_STACK_BYTES: usize = 2 * 1024 * 1024;

/// What `serve` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The address to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: String,
    /// The folder of everything that the host keeps; made where it is missing.
    #[arg(long, value_name = "DIR", default_value = "./data")]
    data: PathBuf,
    #[command(flatten)]
    tls: certificate::Arguments,
    #[command(flatten)]
    database: database::Arguments,
    #[command(flatten)]
    objects: objects::Arguments,
    /// The private key (PKCS#8, PEM) that decisions are signed with when they are exported; without it one in the data
    /// folder, made at the first start. Hosts that share a database share it.
    #[arg(long, value_name = "FILE")]
    signing_key: Option<PathBuf>,
    #[command(flatten)]
    access: access::Arguments,
    /// The key (64 hexadecimal digits) that webhooks' secrets are made from; without it one in the data folder, made at the
    /// first start. Hosts that share a database share it.
    #[arg(long, value_name = "FILE")]
    webhook_key: Option<PathBuf>,
    /// Lets webhooks be sent to any address, over http too; without it only to public ones, over https.
    #[arg(long)]
    allow_private_webhooks: bool,
    /// A folder of module folders to apply at the start.
    #[arg(long, value_name = "DIR")]
    modules: Option<PathBuf>,
    /// The folder of the policies to apply at the start.
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// Sets a limit, as in plugin_deadline_ms=100; may be given often.
    #[arg(long = "limit", value_name = "NAME=VALUE")]
    pub(super) limits: Vec<String>,
    /// How log lines are written: pretty or json. RUST_LOG says which.
    #[arg(long, value_name = "FORMAT", default_value = "pretty")]
    log_format: LogFormat,
}

/// Serves.
pub fn run(arguments: &Arguments, configuration: &Configuration) -> Outcome {
    let limits = Arc::new(configuration.limits(&arguments.limits)?);
    let exporter = Exporter::from_environment().map_err(Trouble::Usage)?;
    telemetry::start_logging(arguments.log_format, exporter.as_ref()).map_err(Trouble::Usage)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // Decisions are run again on its blocking threads: a guest's stack, and what the host has above it.
        .thread_stack_size(limits.plugin_stack_max_bytes + RUNTIME_STACK_BYTES)
        .build()
        .context("the threads that answer requests cannot be started")?;
    let ended = runtime.block_on(serve(arguments, limits, exporter.as_ref()));
    // A compilation that nobody waits for any more must not hold the process up.
    runtime.shutdown_background();
    if let Some(exporter) = exporter {
        exporter.stop();
    }
    ended
}

async fn serve(arguments: &Arguments, limits: Arc<Limits>, exporter: Option<&Exporter>) -> Outcome {
    let folders = folder::read_all(arguments.modules.as_deref(), arguments.policies.as_deref(), &limits)?;
    prepare_folder(&arguments.data)?;
    let shutdown = http::stop_signals().context("signals cannot be listened to")?;
    let metrics = Metrics::start(limits.metric_label_values_max, exporter).map_err(|text| anyhow!(text))?;
    let tls = arguments.tls.load(&limits)?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let listener = TcpListener::bind(&arguments.listen)
        .await
        .with_context(|| format!("cannot listen on {}: name another address with --listen", arguments.listen))?;
    let address = listener.local_addr().context("the address listened on cannot be told")?;

    // It answers from here on, that it is alive and not ready, and can be told to stop: compiling takes its time.
    let host = http::Host::behind(arguments.access.proxies()?, Arc::clone(&limits), metrics);
    let mut serving = tokio::spawn(http::serve(listener, tls, Arc::clone(&host), shutdown));
    let opened = tokio::select! {
        opened = open(arguments, &limits, folders) => opened?,
        ended = &mut serving => {
            ended.context("the server broke off")?.context("the server ended")?;
            return Ok(Ended::Fine);
        }
    };
    host.open(Arc::clone(&opened.tenants));
    keep(&opened, &limits, arguments);
    greet(&format!("{scheme}://{address}"), &opened.token_file, opened.tenants.first());
    serving.await.context("the server broke off")?.context("the server ended")?;

    // What was accepted is answered; now the events of those answers go out, and the database is left tidy.
    opened.tending.end().await?;
    for registry in opened.tenants.all() {
        if let Err(error) = registry.seal_audit().await {
            tracing::warn!(%error, "rows of the audit log are sealed at the next start");
        }
    }
    // Nothing that was promised is open any more, so a statement that hangs holds nobody up.
    let _ = tokio::time::timeout(Duration::from_millis(limits.shutdown_max_ms), opened.database.close()).await;
    Ok(Ended::Fine)
}

/// Starts what goes on beside requests and is the host's; previews are judged in as many chunks at once as there are
/// threads for.
fn keep(opened: &Opened, limits: &Limits, arguments: &Arguments) {
    for _ in 0..impact::threads(limits) {
        let judging = Arc::clone(&opened.database).judge_chunks(Arc::clone(&opened.tenants));
        opened.tending.keep(tokio::spawn(judging));
    }
    let (database, data) = (Arc::clone(&opened.database), Arc::from(arguments.data.as_path()));
    opened.tending.keep(tokio::spawn(sampling::keep_sampled(database, data, limits.metrics_sample_ms)));
    opened.tending.keep(tokio::spawn(Arc::clone(&opened.tenants).watch()));
}

/// What a host needs before it is ready.
struct Opened {
    database: Arc<Database>,
    tenants: Arc<Tenants>,
    tending: Arc<Tending>,
    token_file: PathBuf,
}

async fn open(arguments: &Arguments, limits: &Arc<Limits>, folders: Vec<Folder>) -> Result<Opened, Trouble> {
    let database = open_database(arguments, limits).await?;
    let registry = open_registry(arguments, limits, Arc::clone(&database)).await?;
    let token_file = admit_admin(&registry, &arguments.data).await?;
    registry.sign_with(signing_key(arguments)?);
    registry.sign_sessions_with(arguments.access.session_key(&arguments.data)?);
    let issuers = arguments.access.issuers()?;
    registry.believe(issuers).map_err(|what| Trouble::Usage(format!("--issuers: {what}")))?;
    registry.send_webhooks_with(webhook_settings(arguments)?);
    for folder in folders {
        apply(&registry, folder).await?;
    }
    let tending = Arc::new(Tending::new(limits));
    let tend = Arc::clone(&tending);
    let tenants = Tenants::open(registry, move |registry| tend.begin(&registry)).await.map_err(anyhow::Error::from)?;
    Ok(Opened { database, tenants, tending, token_file })
}

/// Makes the data folder, for its owner alone. One that everybody may write to is refused: the token and the database
/// in it could be anybody's.
pub(super) fn prepare_folder(data: &Path) -> anyhow::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data)
        .with_context(|| format!("the data folder {} cannot be made: name another with --data", data.display()))?;
    let mode = fs::metadata(data).with_context(|| format!("{} cannot be read", data.display()))?.permissions().mode();
    if mode & 0o002 != 0 {
        bail!("the data folder {} can be written by everybody: run chmod o-w {0}", data.display());
    }
    Ok(())
}

async fn open_database(arguments: &Arguments, limits: &Limits) -> Result<Arc<Database>, Trouble> {
    let address = match arguments.database.url()? {
        Some(address) => address,
        None => format!("sqlite:{}", arguments.data.join("hallmark.db").display()),
    };
    let database = Database::connect(&address, limits).await.map_err(anyhow::Error::from)?;
    database.check_role().await.map_err(anyhow::Error::from)?;
    for step in database.migrate(Millis::now()).await.map_err(anyhow::Error::from)? {
        tracing::info!(step, "the database's schema was brought forward");
    }
    Ok(Arc::new(database))
}

async fn open_registry(
    arguments: &Arguments,
    limits: &Arc<Limits>,
    database: Arc<Database>,
) -> Result<Arc<Registry>, Trouble> {
    let blobs = arguments.objects.open(&arguments.data, limits)?;
    // What a person can get wrong about it is told now, and not at the first push.
    blobs.answer().await.map_err(|illness| anyhow!(illness.why).context("the object store cannot be used"))?;
    let cache = arguments.data.join("cache");
    let sandbox = Sandbox::start(Arc::clone(limits), Some(&cache)).map_err(|text| anyhow!(text))?;
    let opened = Registry::open(database, blobs, sandbox, Arc::clone(limits), Tenant::default_tenant()).await;
    Ok(opened.map_err(anyhow::Error::from)?)
}

/// Makes the admin's token at the first start and makes sure that the registry knows it.
async fn admit_admin(registry: &Registry, data: &Path) -> anyhow::Result<PathBuf> {
    let path = data.join(TOKEN_FILE);
    let token = match read_secret(&path)? {
        Some(text) => text.trim().to_owned(),
        None => {
            let token = new_token();
            write_secret(&path, &token)?;
            token
        }
    };
    if token.len() < 32 {
        bail!("{} holds no token: remove it, and a new one is made at the next start", path.display());
    }
    registry.admit_admin(&token, "admin").await?;
    Ok(path)
}

/// What decisions are signed with. One that is named must be there; the data folder's own is made where it is missing.
fn signing_key(arguments: &Arguments) -> anyhow::Result<SigningKey> {
    let path = arguments.signing_key.clone().unwrap_or_else(|| arguments.data.join(SIGNING_KEY_FILE));
    match read_secret(&path)? {
        Some(text) => SigningKey::from_pem(&text).with_context(|| format!("{} holds no signing key", path.display())),
        None if arguments.signing_key.is_some() => {
            bail!("there is no signing key {}: make one with `hallmark plugin keygen`", path.display())
        }
        None => {
            let key = SigningKey::generate();
            write_secret(&path, key.to_pem().trim_end())?;
            Ok(key)
        }
    }
}

/// How webhooks are sent to. A key that is named must be there; the data folder's own is made where it is missing.
fn webhook_settings(arguments: &Arguments) -> anyhow::Result<WebhookSettings> {
    let path = arguments.webhook_key.clone().unwrap_or_else(|| arguments.data.join(WEBHOOK_KEY_FILE));
    let key = match read_secret(&path)? {
        Some(text) => WebhookKey::from_text(&text).with_context(|| format!("{} holds no key", path.display()))?,
        None if arguments.webhook_key.is_some() => {
            bail!("there is no webhook key {}: make one with `openssl rand -hex 32`", path.display())
        }
        None => {
            let key = WebhookKey::generate();
            write_secret(&path, &key.to_text())?;
            key
        }
    };
    let addresses = if arguments.allow_private_webhooks { Addresses::Any } else { Addresses::Public };
    Ok(WebhookSettings { key, addresses })
}

/// A file that nobody else may read; none where there is none.
pub(super) fn read_secret(path: &Path) -> anyhow::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => {
            let mode = fs::metadata(path)?.permissions().mode();
            if mode & 0o077 != 0 {
                bail!("{} can be read by others: run chmod 600 {0}", path.display());
            }
            Ok(Some(text))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}

pub(super) fn write_secret(path: &Path, secret: &str) -> anyhow::Result<()> {
    let failed = || format!("{} cannot be written", path.display());
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).with_context(failed)?;
    file.write_all(format!("{secret}\n").as_bytes()).with_context(failed)?;
    file.sync_all().with_context(failed)
}

/// True where a release of the scope has the folder's rules and another is active: somebody went back from them, or has
/// not put them in force yet, and a host that starts must not decide that for the whole fleet.
async fn was_left(registry: &Arc<Registry>, actor: &Actor, folder: &Folder) -> Result<bool, RegistryError> {
    let (scope, (_, digest)) = (&folder.rules.scope, folder.rules.canonical());
    let mut before = None;
    loop {
        let Releases { page, state, .. } = match registry.releases(actor, scope, before, 100).await {
            Err(RegistryError::NotFound { .. }) => return Ok(false),
            releases => releases?,
        };
        let Some(active) = state.active.map(|active| active.number) else { return Ok(false) };
        if let Some(same) = page.items.iter().find(|head| head.release.digest == digest) {
            return Ok(same.release.number != active && !is_active(registry, actor, scope, &digest).await?);
        }
        match page.items.last() {
            Some(last) if page.more => before = Some(last.release.number),
            _ => return Ok(false),
        }
    }
}

async fn is_active(
    registry: &Arc<Registry>,
    actor: &Actor,
    scope: &Scope,
    digest: &Digest,
) -> Result<bool, RegistryError> {
    let active = registry.scope(actor, scope).await?;
    Ok(active.is_some_and(|active| active.release.release.digest == *digest))
}

/// Brings a scope to what its folder says; what is so already stays.
async fn apply(registry: &Arc<Registry>, folder: Folder) -> Result<(), Trouble> {
    let actor = Actor::trusted(Tenant::default_tenant(), "serve");
    let scope = folder.rules.scope.clone();
    let refused = |error: RegistryError| refusal(&scope, &error);
    if is_kept_by_freeze(registry, &actor, &folder).await.map_err(refused)? {
        return Ok(());
    }
    if was_left(registry, &actor, &folder).await.map_err(refused)? {
        tracing::warn!(%scope, "a release has the folder's rules already and another one is active: a start changes nothing of that; activate it by hand");
        return Ok(());
    }
    for (digest, component) in folder.components {
        let signature = folder.signatures.get(&digest);
        registry.push_plugin(&actor, Bytes::from(component), signature, Arc::new(|_| {})).await.map_err(refused)?;
    }
    let released =
        registry.create_release(&actor, folder.rules, "applied at the start".to_owned()).await.map_err(refused)?;
    if released.created {
        registry.activate(&actor, &scope, released.release.release.number, None).await.map_err(refused)?;
    }
    Ok(())
}

/// True where the scope is frozen: what is in force stays so, and where the folder says something else, that is told.
/// The host starts all the same, as it would without its folders.
async fn is_kept_by_freeze(registry: &Arc<Registry>, actor: &Actor, folder: &Folder) -> Result<bool, RegistryError> {
    let scope = &folder.rules.scope;
    let state = match registry.scope_state(actor, scope).await {
        Err(RegistryError::NotFound { .. }) => return Ok(false),
        state => state?,
    };
    let Some(freeze) = state.freeze else { return Ok(false) };
    let active = registry.scope(actor, scope).await?.map(|active| active.release.release);
    if active.as_ref().is_none_or(|active| active.digest != folder.rules.canonical().1) {
        let kept = active.map_or("no release".to_owned(), |active| format!("release {}", active.number));
        let frozen = Frozen { scope: scope.clone(), freeze };
        let folder = format!("the folder is not applied and {kept} stays in force: {frozen}");
        tracing::warn!(%scope, "{folder}");
    }
    Ok(true)
}

/// Says everything that keeps a folder from being applied.
fn refusal(scope: &Scope, error: &RegistryError) -> Trouble {
    let remarks = match error {
        RegistryError::BadRules(remarks) | RegistryError::Unfit { unfit: Unfit::Settings(remarks), .. } => remarks,
        _ => &Vec::new(),
    };
    let mut text = format!("error: {scope} cannot be applied: {error}");
    for remark in remarks {
        text.push_str(&format!("\n  {} {}: {}", remark.code, remark.path, remark.message));
        if let Some(help) = &remark.help {
            text.push_str(&format!("\n    {help}"));
        }
    }
    Trouble::Wrong(text)
}

/// Tells whoever started the host how to use it.
fn greet(url: &str, token_file: &Path, registry: &Registry) {
    let program = std::env::args().next().unwrap_or_else(|| "hallmark".to_owned());
    let token = token_file.display();
    show::out(&format!("Hallmark listens on {url}\nThe admin's token is in {token}\n"));
    let Some(example) = example(registry) else {
        show::out("No module is active yet: see `hallmark module apply --help`.");
        return;
    };
    show::out(&format!(
        "Publish with curl:\n  curl -sS {url}/api/{0}/publish -H \"Authorization: Bearer $(cat {token})\" \
         -H 'Content-Type: application/yaml' --data-binary @{1}\n\n\
         Publish with hallmark:\n  {program} publish --server {url} --token-file {token} {1}",
        example.0, example.1
    ));
}

/// A kind that is in force, with one of the examples' manifests of it that lies here.
fn example(registry: &Registry) -> Option<(String, &'static str)> {
    const EXAMPLES: [(&str, &str); 2] =
        [("agents", "examples/manifests/valid/agent.yaml"), ("services", "examples/manifests/valid/service.yaml")];
    let kinds = registry.kind_names();
    EXAMPLES
        .into_iter()
        .find(|(kind, path)| kinds.iter().any(|known| known == kind) && Path::new(path).is_file())
        .map(|(kind, path)| (kind.to_owned(), path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_data_folder_that_everybody_may_write_to() {
        let around = tempfile::tempdir().expect("a folder");
        let data = around.path().join("data");
        prepare_folder(&data).expect("it is made");
        assert_eq!(fs::metadata(&data).expect("it is there").permissions().mode() & 0o777, 0o700);
        fs::set_permissions(&data, fs::Permissions::from_mode(0o777)).expect("changed");
        let refused = prepare_folder(&data).expect_err("refused").to_string();
        assert_eq!(
            refused,
            format!("the data folder {} can be written by everybody: run chmod o-w {0}", data.display())
        );
    }
}
