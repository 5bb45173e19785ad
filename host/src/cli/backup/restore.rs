//! `hallmark restore`: fills an empty database and a folder of components from an archive, on whichever engine. Every
//! digest is checked before anything is written, and all the rows are written or none.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;

use super::super::configuration::Configuration;
use super::super::place::Place;
use super::super::webhook_key::{mute, own_key};
use super::super::{Ended, Outcome, Trouble, serve, show};
use super::archive::{Archive, Manifest};
use super::{table_of, told};
use crate::clock::Millis;
use crate::config::Limits;
use crate::names::Digest;
use crate::registry::blobs::Blobs;
use crate::sql::{Database, Load};

/// What is not in the archive, and goes into the new host's data folder.
const BESIDE: &str = "Put admin.token, signing.key and webhook.key that were kept beside it into the data folder before the first \
                      start. Without them the host makes new ones: tokens of before hold on, what was signed before is \
                      verified with the old public key, and webhooks of before are sent nothing until each is rotated.";

/// What `restore` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The archive, as `hallmark backup` wrote it.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Look through the archive, hold it to its digests, and write nothing.
    #[arg(long)]
    check: bool,
    /// The key that webhooks' secrets are made from; without it the one in the data folder. It tells which webhooks will be
    /// sent nothing.
    #[arg(long, value_name = "FILE")]
    webhook_key: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

/// Restores.
pub fn run(arguments: &Arguments, configuration: &Configuration) -> Outcome {
    let archive = Archive::open(&arguments.file)?;
    let name = arguments.file.display();
    if arguments.check {
        show::out(&format!("{name} is whole: {}", told(&archive.manifest)));
        return Ok(Ended::Fine);
    }
    serve::prepare_folder(&arguments.place.data)?;
    let mut mute = None;
    super::super::on_one_thread(async {
        mute = restore(arguments, &archive, &configuration.limits(&[])?).await?;
        Ok(Ended::Fine)
    })?;
    show::out(&format!("restored {name}: {}", told(&archive.manifest)));
    show::err(BESIDE);
    if let Some(mute) = mute {
        show::err(&format!("warning: {mute}"));
    }
    Ok(Ended::Fine)
}

/// Gives back which webhooks will be sent nothing, where there are any.
async fn restore(arguments: &Arguments, archive: &Archive, limits: &Limits) -> Result<Option<String>, Trouble> {
    let place = &arguments.place;
    let database = Database::connect(&place.address()?, limits).await.map_err(anyhow::Error::from)?;
    let manifest = &archive.manifest;
    let mut load = database.load(manifest.schema, Millis::now()).await.map_err(anyhow::Error::from)?;
    for rows in &manifest.tables {
        if !load.fits(&rows.table).map_err(anyhow::Error::from)? && rows.rows > 0 {
            show::err(&format!(
                "left out: {} of the table {}, which this schema has not",
                show::counted(usize::try_from(rows.rows).unwrap_or(usize::MAX), "row"),
                rows.table.name
            ));
        }
    }
    fill(archive, &mut load, &place.open_objects(limits)?).await?;
    load.end(Millis::now()).await.map_err(anyhow::Error::from)?;
    let made = database.webhook_keys().await.map_err(anyhow::Error::from)?;
    database.close().await;
    let (key, _) = own_key(&place.data, arguments.webhook_key.as_deref());
    Ok(mute(&made, key.as_ref()))
}

async fn fill(archive: &Archive, load: &mut Load<'_>, objects: &Blobs) -> anyhow::Result<()> {
    let manifest = &archive.manifest;
    let mut written: BTreeMap<&str, u64> = BTreeMap::new();
    let mut tar = archive.members()?;
    for entry in tar.entries()? {
        let Some((member, bytes)) = archive.member(&mut entry?)? else { continue };
        if let Some(digest) = member.component() {
            put(objects, &digest, bytes).await?;
            continue;
        }
        let table = member.table().and_then(|name| table_of(manifest, name));
        let table = table.ok_or_else(|| anyhow!("{} is of no table that the manifest names", member.path))?;
        if load.fits(table)? {
            let lines = String::from_utf8(bytes).with_context(|| format!("{} is no text", member.path))?;
            *written.entry(&table.name).or_default() += load.rows(table, &lines).await?;
        }
    }
    all_written(manifest, load, &written)
}

/// Bytes of another digest would be found when they are asked for, and that may be late.
async fn put(objects: &Blobs, digest: &Digest, bytes: Vec<u8>) -> anyhow::Result<()> {
    if Digest::of(&bytes) != *digest {
        bail!("the component {digest} has other bytes than its name says");
    }
    Ok(objects.put(digest, Bytes::from(bytes)).await?)
}

fn all_written(manifest: &Manifest, load: &Load<'_>, written: &BTreeMap<&str, u64>) -> anyhow::Result<()> {
    for rows in &manifest.tables {
        let name = rows.table.name.as_str();
        let count = written.get(name).copied().unwrap_or(0);
        if load.fits(&rows.table)? && count != rows.rows {
            bail!(
                "the archive has {count} rows of the table {name} and its manifest says {}: it was changed",
                rows.rows
            );
        }
    }
    Ok(())
}
