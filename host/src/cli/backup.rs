//! `hallmark backup`: one archive of the rows of every table and the components that they name, as they stood at one
//! instant, while hosts write on. `hallmark restore` is beside it.

pub mod archive;
pub mod restore;

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufWriter, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tempfile::NamedTempFile;

use self::archive::{Archive, Manifest, Member, Rows, Writer};
use super::configuration::Configuration;
use super::place::Place;
use super::{Ended, Outcome, Trouble, show};
use crate::clock::{Instant, Millis};
use crate::config::Limits;
use crate::names::Digest;
use crate::registry::blobs::Blobs;
use crate::sql::{Snapshot, Table};

/// The file in the data folder that says of when the last backup is, in seconds since the Unix epoch.
const LAST: &str = "backup.last";

/// Bytes of rows that are gathered in one member.
const ROWS_MEMBER_BYTES: usize = 4 * 1024 * 1024;

/// What no archive holds, and whoever restores one wants.
const BESIDE: &str = "It holds no secret file: keep admin.token and the keys of signing, sessions and webhooks (signing.key, session.key and \
                      webhook.key, or what the flags name) elsewhere, with the settings that hosts are started with.";

/// What `backup` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The archive to write, for its owner's eyes alone; a file that is there stays as it is.
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// Back up although components are lost: the archive lacks them, as the registry does.
    #[arg(long)]
    allow_missing: bool,
    #[command(flatten)]
    place: Place,
}

/// Backs up.
pub fn run(arguments: &Arguments, configuration: &Configuration) -> Outcome {
    if arguments.out.exists() {
        return Err(taken(&arguments.out));
    }
    super::on_one_thread(back_up(arguments, &configuration.limits(&[])?))
}

fn taken(out: &Path) -> Trouble {
    Trouble::Usage(format!("{} is there already: name another file with --out, or remove it", out.display()))
}

async fn back_up(arguments: &Arguments, limits: &Limits) -> Outcome {
    let Arguments { out, allow_missing, place } = arguments;
    let database = place.open_database(limits).await?;
    let objects = place.open_objects(limits)?;
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // It has its name when it is whole; a backup that was broken off leaves nothing that looks like one.
    let file = NamedTempFile::new_in(folder).with_context(|| format!("no file can be made in {}", folder.display()))?;
    let at = Millis::now();
    let mut snapshot = database.snapshot().await.map_err(anyhow::Error::from)?;
    let manifest = Manifest::new(snapshot.schema, Instant(at).to_string());
    let mut writer = Writer::new(BufWriter::new(file.reopen().context("the archive cannot be written")?), manifest)?;
    add_rows(&mut snapshot, &mut writer).await?;
    let components = snapshot.components().await.map_err(anyhow::Error::from)?;
    snapshot.end().await.map_err(anyhow::Error::from)?;
    // Components are never changed or removed: they can be read when the instant has been let go.
    for digest in present(&objects, components, *allow_missing).await? {
        let bytes = objects.get(&digest).await.map_err(anyhow::Error::from)?;
        writer.add(Member::of_component(&digest), &bytes)?;
    }
    let (written, manifest) = writer.finish().context("the archive cannot be written")?;
    let written = written.into_inner().map_err(|error| error.into_error()).context("the archive cannot be written")?;
    written.sync_all().context("the archive cannot be written")?;
    database.close().await;
    Archive::open(file.path())?;
    file.persist_noclobber(out).map_err(|error| match error.error.kind() {
        ErrorKind::AlreadyExists => taken(out),
        _ => Trouble::from(anyhow::Error::from(error.error).context(format!("{} cannot be written", out.display()))),
    })?;
    File::open(folder).and_then(|folder| folder.sync_all()).context("the archive's folder cannot be written")?;
    show::out(&format!("{}: {}", out.display(), told(&manifest)));
    show::err(BESIDE);
    note(&place.data, at)?;
    Ok(Ended::Fine)
}

async fn add_rows(snapshot: &mut Snapshot, writer: &mut Writer<BufWriter<File>>) -> anyhow::Result<()> {
    for table in snapshot.tables.clone() {
        let (mut lines, mut number) = (String::new(), 0);
        let rows = snapshot
            .rows(&table, |line| {
                lines.push_str(line);
                lines.push('\n');
                if lines.len() >= ROWS_MEMBER_BYTES {
                    writer.add(Member::of_rows(&table.name, number), lines.as_bytes())?;
                    number += 1;
                    lines.clear();
                }
                anyhow::Ok(())
            })
            .await
            .with_context(|| format!("the rows of the table {} cannot be read", table.name))?;
        if !lines.is_empty() {
            writer.add(Member::of_rows(&table.name, number), lines.as_bytes())?;
        }
        writer.manifest.tables.push(Rows { table, rows });
    }
    Ok(())
}

/// Those of the components that are there.
async fn present(objects: &Blobs, components: Vec<Digest>, allow_missing: bool) -> anyhow::Result<Vec<Digest>> {
    let kept: HashSet<Digest> = objects.list().await?.into_iter().map(|(digest, _)| digest).collect();
    let (present, lost): (Vec<_>, Vec<_>) = components.into_iter().partition(|digest| kept.contains(digest));
    for digest in &lost {
        show::err(&format!("lost: the component {digest}, which a plugin's row names"));
    }
    if !lost.is_empty() && !allow_missing {
        bail!(
            "{} lost, and nothing was written: push them again (`hallmark plugin push`), name where they are with \
             --objects, or leave them out with --allow-missing",
            if lost.len() == 1 { "1 component is".to_owned() } else { format!("{} components are", lost.len()) }
        );
    }
    Ok(present)
}

/// What there is in an archive.
fn told(manifest: &Manifest) -> String {
    let rows: u64 = manifest.tables.iter().map(|table| table.rows).sum();
    let components = manifest.members.iter().filter(|member| member.component().is_some()).count();
    format!(
        "{} of {}, {}, of {} at migration {}",
        show::counted(usize::try_from(rows).unwrap_or(usize::MAX), "row"),
        show::counted(manifest.tables.len(), "table"),
        show::counted(components, "component"),
        manifest.at,
        manifest.schema
    )
}

/// Notes of when the last backup is, for who watches that there are some.
fn note(data: &Path, at: Millis) -> anyhow::Result<()> {
    let path = data.join(LAST);
    let write = || {
        let mut file = NamedTempFile::new_in(data)?;
        writeln!(file, "{}", at.0 / 1_000)?;
        file.persist(&path).map_err(|error| error.error)?;
        // Whoever watches is not who backs up.
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644))
    };
    if !data.is_dir() {
        show::err(&format!(
            "{} is no folder here: {LAST} was not written, so hosts do not tell of this backup",
            data.display()
        ));
        return Ok(());
    }
    write().with_context(|| format!("the archive is whole, but {} cannot be written", path.display()))
}

/// What every archive carries of a table.
fn table_of<'a>(manifest: &'a Manifest, name: &str) -> Option<&'a Table> {
    manifest.tables.iter().map(|rows| &rows.table).find(|table| table.name == name)
}
