//! `hallmark plugin keygen`, `sign` and `trust`: keys, signatures of plugins, and whose a server believes.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::client::{self, Client};
use super::{Ended, Outcome, Output, Trouble, pages, report, serve, show};
use crate::names::{Digest, KeyId};
use crate::registry::signing::{PluginSignature, PublicKey, SigningKey};

/// What `plugin keygen` takes.
#[derive(Debug, clap::Args)]
pub struct KeygenArguments {
    /// What the two files are called: NAME.key, which is a secret, and NAME.pub.
    #[arg(long, value_name = "NAME", default_value = "hallmark")]
    out: PathBuf,
}

/// What `plugin sign` takes.
#[derive(Debug, clap::Args)]
pub struct SignArguments {
    /// The component; its signature is written to FILE.sig.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The private key, as `plugin keygen` writes it.
    #[arg(long, value_name = "NAME.key")]
    key: PathBuf,
}

/// What is done about trust.
#[derive(Debug, clap::Subcommand)]
pub enum TrustCommand {
    /// Trust a key.
    Add {
        /// The public key, as `plugin keygen` writes it.
        #[arg(value_name = "NAME.pub")]
        file: PathBuf,
        /// What it is called [default: the file's name].
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        client: client::Arguments,
    },
    /// List the trusted keys, and what is in force without a signature of one.
    List {
        /// Where the page begins: the cursor that the page before ended with.
        #[arg(long)]
        cursor: Option<String>,
        #[command(flatten)]
        client: client::Arguments,
        /// How the page is written.
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Believe a key no more. What it signed and is in force goes on.
    Revoke {
        /// The key's id.
        id: KeyId,
        #[command(flatten)]
        client: client::Arguments,
    },
    /// Say whether plugins must be signed: from the next push, release and activation on.
    Require {
        /// `on` or `off`.
        #[arg(value_enum)]
        rule: Switch,
        #[command(flatten)]
        client: client::Arguments,
    },
}

/// Whether signatures are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Switch {
    /// Only signed plugins are put to work.
    On,
    /// A signature is kept where there is one.
    Off,
}

/// Makes a pair of keys.
pub fn keygen(arguments: &KeygenArguments) -> Outcome {
    let named = |extension: &str| {
        let mut name = arguments.out.clone().into_os_string();
        name.push(extension);
        PathBuf::from(name)
    };
    let (private, public) = (named(".key"), named(".pub"));
    if let Some(there) = [&private, &public].into_iter().find(|path| path.exists()) {
        return Err(Trouble::Usage(format!("{} is there: name others with --out", there.display())));
    }
    let key = SigningKey::generate();
    serve::write_secret(&private, key.to_pem().trim_end()).map_err(Trouble::CouldNotRun)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&public)
        .with_context(|| format!("{} cannot be written", public.display()))?;
    let pem = key.public().to_pem();
    file.write_all(pem.as_bytes()).with_context(|| format!("{} cannot be written", public.display()))?;
    let id = key.public().id();
    show::out(&format!(
        "key {id}\n  {}: keep it to yourself\n  {}: give it to who shall trust it",
        private.display(),
        public.display()
    ));
    Ok(Ended::Fine)
}

/// Signs a component.
pub fn sign(arguments: &SignArguments) -> Outcome {
    if fs::read_to_string(&arguments.key).is_ok_and(|text| PublicKey::from_pem(&text).is_ok()) {
        let message = format!("--key: {} is a public key: give the private one beside it", arguments.key.display());
        return Err(Trouble::Usage(message));
    }
    let key = serve::read_secret(&arguments.key)
        .map_err(|error| Trouble::Usage(format!("--key: {error:#}")))?
        .ok_or_else(|| Trouble::Usage(format!("--key: there is no file {}", arguments.key.display())))?;
    let key = SigningKey::from_pem(&key)
        .map_err(|error| Trouble::Usage(format!("--key: {}: {error}", arguments.key.display())))?;
    let component =
        fs::read(&arguments.file).map_err(|error| Trouble::Usage(format!("{}: {error}", arguments.file.display())))?;
    let signature = key.sign_plugin(&Digest::of(&component));
    let path = beside(&arguments.file);
    let text = format!("{}\n", report::pretty(&json!(signature)));
    fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    show::out(&format!("{}: {} by the key {}", path.display(), signature.plugin, signature.key_id));
    Ok(Ended::Fine)
}

/// Where a component's signature lies.
fn beside(file: &Path) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(".sig");
    PathBuf::from(path)
}

/// The signature to push with a component: the one that is named, or the one that lies beside it.
///
/// # Errors
/// It cannot be read, or is of other bytes.
pub fn signature_of(file: &Path, component: &Digest, named: Option<&Path>) -> Result<Option<PluginSignature>, String> {
    let path = named.map_or_else(|| beside(file), Path::to_owned);
    if named.is_none() && !path.exists() {
        return Ok(None);
    }
    let wrong = |why: String| format!("{}: {why}", path.display());
    let text = fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
    let signature = PluginSignature::read(&text).map_err(|error| wrong(error.to_string()))?;
    if signature.plugin != *component {
        let why = format!("it is of other bytes than {} has now: sign it again", file.display());
        return Err(wrong(why));
    }
    Ok(Some(signature))
}

/// Does it, and gives the exit code.
pub fn trust(command: &TrustCommand) -> Outcome {
    match command {
        TrustCommand::Add { file, name, client } => add(file, name.as_deref(), client),
        TrustCommand::List { cursor, client, output } => list(cursor.as_deref(), client, *output),
        TrustCommand::Revoke { id, client } => {
            let key = Client::new(client)?.post(&format!("/api/keys/{id}/revoke"), &Value::Null)?.body;
            show::out(&key_line(&key));
            in_force(&key).iter().for_each(|line| show::out(line));
            Ok(Ended::Fine)
        }
        TrustCommand::Require { rule, client } => {
            let required = *rule == Switch::On;
            let told = Client::new(client)?.post("/api/keys/require", &json!({"required": required}))?.body;
            show::out(rule_line(&told));
            if required {
                in_force(&told).iter().for_each(|line| show::out(line));
            }
            Ok(Ended::Fine)
        }
    }
}

fn add(file: &Path, name: Option<&str>, client: &client::Arguments) -> Outcome {
    let pem = fs::read_to_string(file).map_err(|error| Trouble::Usage(format!("{}: {error}", file.display())))?;
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let request = json!({"name": name.unwrap_or(&stem), "publicKey": pem});
    let key = Client::new(client)?.post("/api/keys", &request)?.body;
    let already = if key["created"] == false { " already" } else { "" };
    show::out(&format!("{}{already}", key_line(&key)));
    Ok(Ended::Fine)
}

fn list(cursor: Option<&str>, client: &client::Arguments, output: Output) -> Outcome {
    let path = pages::path("/api/keys", &[("cursor", cursor.map(str::to_owned))]);
    let page = Client::new(client)?.get(&path)?.body;
    if output == Output::Json {
        show::out(&report::pretty(&page));
        return Ok(Ended::Fine);
    }
    show::out(rule_line(&page));
    for key in page["items"].as_array().into_iter().flatten() {
        show::out(&key_line(key));
    }
    let unsigned = in_force(&page);
    match unsigned.len() {
        count if count > 0 && page["signaturesRequired"] != true => {
            show::out(&format!("{} in force without a trusted signature", show::counted(count, "binding")));
        }
        _ => unsigned.iter().for_each(|line| show::out(line)),
    }
    pages::tell_more(&page);
    Ok(Ended::Fine)
}

fn rule_line(told: &Value) -> &'static str {
    if told["signaturesRequired"] == true {
        "only plugins that a trusted key signed are put to work"
    } else {
        "plugins are put to work whether they are signed or not"
    }
}

fn key_line(key: &Value) -> String {
    let text = |field: &str| key[field].as_str().unwrap_or("?");
    let state = match (key["revokedBy"].as_str(), key["revokedAt"].as_str()) {
        (Some(by), Some(at)) => format!("revoked by {by} at {at}"),
        _ => format!("trusted by {} at {}", text("addedBy"), text("addedAt")),
    };
    show::plain(&format!("{}  {}  {state}", text("id"), text("name")))
}

/// What is in force that no trusted key signed.
fn in_force(told: &Value) -> Vec<String> {
    let unsigned = told["unsignedInForce"].as_array().into_iter().flatten();
    let line = |unsigned: &Value| {
        let text = |field: &str| unsigned[field].as_str().unwrap_or("?").to_owned();
        show::plain(&format!(
            "in force without a trusted signature: {} release {}, binding '{}' ({})",
            text("scope"),
            unsigned["release"],
            text("binding"),
            text("plugin")
        ))
    };
    unsigned.map(line).collect()
}
