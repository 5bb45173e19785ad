//! The archive of a registry: a tar file under Zstandard, whose last member says what every other must be. A file that
//! was cut off or changed anywhere is told before anything of it is used.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::super::Trouble;
use crate::names::Digest;
use crate::sql::Table;

/// The form of the archives that this binary writes and reads.
const FORMAT: u32 = 1;

/// The last member.
const MANIFEST: &str = "manifest.json";

/// Bytes of one member: the largest is a component.
const MEMBER_MAX_BYTES: u64 = 1024 * 1024 * 1024;

/// How hard is tried to make it small.
const LEVEL: i32 = 3;

/// What an archive says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The archive's form.
    pub format: u32,
    /// The version of the hallmark that made it.
    pub hallmark: String,
    /// The newest migration of the database that it was made from.
    pub schema: i64,
    /// The instant that its rows are of.
    pub at: String,
    /// The tables, in the order in which their rows stand.
    pub tables: Vec<Rows>,
    /// Every other member, in order.
    pub members: Vec<Member>,
}

impl Manifest {
    /// What a new archive begins with.
    pub fn new(schema: i64, at: String) -> Self {
        let (tables, members) = (Vec::new(), Vec::new());
        Self { format: FORMAT, hallmark: env!("CARGO_PKG_VERSION").to_owned(), schema, at, tables, members }
    }
}

/// How much of a table there is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rows {
    /// The table.
    #[serde(flatten)]
    pub table: Table,
    /// How many rows.
    pub rows: u64,
}

/// One member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Its name.
    pub path: String,
    /// Its bytes.
    pub size_bytes: u64,
    /// Their SHA-256.
    pub digest: Digest,
}

impl Member {
    fn of(path: String, bytes: &[u8]) -> Self {
        Self { path, size_bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX), digest: Digest::of(bytes) }
    }

    /// The table whose rows it holds.
    pub fn table(&self) -> Option<&str> {
        self.path.strip_prefix("rows/").and_then(|rest| rest.split('/').next())
    }

    /// The component that it is.
    pub fn component(&self) -> Option<Digest> {
        format!("sha256:{}", self.path.strip_prefix("blobs/sha256/")?).parse().ok()
    }

    /// The name of a member with rows of a table.
    pub fn of_rows(table: &str, number: usize) -> String {
        format!("rows/{table}/{number:06}.jsonl")
    }

    /// The name of a component's member.
    pub fn of_component(digest: &Digest) -> String {
        format!("blobs/sha256/{}", digest.hex())
    }
}

/// An archive that is being written.
pub struct Writer<W: Write> {
    tar: tar::Builder<zstd::Encoder<'static, W>>,
    /// What is said of it.
    pub manifest: Manifest,
}

impl<W: Write> Writer<W> {
    /// Begins.
    pub fn new(to: W, manifest: Manifest) -> anyhow::Result<Self> {
        let mut encoder = zstd::Encoder::new(to, LEVEL)?;
        encoder.include_checksum(true)?;
        Ok(Self { tar: tar::Builder::new(encoder), manifest })
    }

    /// Adds a member.
    pub fn add(&mut self, path: String, bytes: &[u8]) -> anyhow::Result<()> {
        self.append(&path, bytes)?;
        self.manifest.members.push(Member::of(path, bytes));
        Ok(())
    }

    fn append(&mut self, path: &str, bytes: &[u8]) -> std::io::Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_size(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        header.set_mode(0o600);
        header.set_mtime(0);
        self.tar.append_data(&mut header, path, bytes)
    }

    /// Writes what it says of itself, and gives back what it was written to.
    pub fn finish(mut self) -> anyhow::Result<(W, Manifest)> {
        let manifest = serde_json::to_vec_pretty(&self.manifest)?;
        self.append(MANIFEST, &manifest)?;
        Ok((self.tar.into_inner()?.finish()?, self.manifest))
    }
}

type Tar = tar::Archive<zstd::Decoder<'static, BufReader<File>>>;

/// An archive that was read once and found whole.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    /// What it says of itself.
    pub manifest: Manifest,
}

impl Archive {
    /// Reads it to its end and holds every member to what its manifest says.
    ///
    /// # Errors
    /// `Wrong` where it is not whole; the file cannot be read.
    pub fn open(path: &Path) -> Result<Self, Trouble> {
        let wrong = |why: String| Trouble::Wrong(format!("error: {}: {why}", path.display()));
        let mut found = Vec::new();
        let mut manifest = None;
        for_each_member(path, |name, bytes| {
            if manifest.is_some() {
                return Err("a member stands behind its manifest: it was changed".to_owned());
            }
            if name == MANIFEST {
                manifest = Some(bytes);
            } else {
                found.push(Member::of(name, &bytes));
            }
            Ok(())
        })?;
        let Some(manifest) = manifest else {
            return Err(wrong("it has no manifest: it is no archive of `hallmark backup`, or was cut off".to_owned()));
        };
        let manifest = read_manifest(&manifest).map_err(wrong)?;
        compare(&manifest.members, &found).map_err(wrong)?;
        Ok(Self { path: path.to_owned(), manifest })
    }

    /// Reads it again, one member after the other, each held to the manifest once more: a file may change.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn members(&self) -> anyhow::Result<Tar> {
        tar_of(&self.path)
    }

    /// The bytes of a member that is read again; none of the manifest.
    ///
    /// # Errors
    /// It is not what it was.
    pub fn member(&self, entry: &mut tar::Entry<'_, impl Read>) -> anyhow::Result<Option<(Member, Vec<u8>)>> {
        let (name, bytes) = contents(entry).map_err(|why| anyhow::anyhow!("{}: {why}", self.path.display()))?;
        if name == MANIFEST {
            return Ok(None);
        }
        let member = Member::of(name, &bytes);
        if self.manifest.members.contains(&member) {
            Ok(Some((member, bytes)))
        } else {
            anyhow::bail!("{}: it was changed while it was read, at {}", self.path.display(), member.path)
        }
    }
}

fn tar_of(path: &Path) -> anyhow::Result<Tar> {
    let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(tar::Archive::new(zstd::Decoder::new(file)?))
}

/// Gives each member to `take`, by its name.
fn for_each_member(path: &Path, mut take: impl FnMut(String, Vec<u8>) -> Result<(), String>) -> Result<(), Trouble> {
    let wrong = |why: String| Trouble::Wrong(format!("error: {}: {why}", path.display()));
    let mut tar = tar_of(path)?;
    let unreadable = |error: std::io::Error| {
        wrong(format!("it is no archive of `hallmark backup`, or was cut off or damaged: {error}"))
    };
    for entry in tar.entries().map_err(unreadable)? {
        let (name, bytes) = contents(&mut entry.map_err(unreadable)?).map_err(wrong)?;
        take(name, bytes).map_err(wrong)?;
    }
    // What follows the last member is padding, and a checksum over all.
    std::io::copy(&mut tar.into_inner(), &mut std::io::sink()).map_err(unreadable)?;
    Ok(())
}

fn contents(entry: &mut tar::Entry<'_, impl Read>) -> Result<(String, Vec<u8>), String> {
    let name =
        String::from_utf8(entry.path_bytes().into_owned()).map_err(|_| "a member's name is no text".to_owned())?;
    let size = entry.size();
    if size > MEMBER_MAX_BYTES {
        return Err(format!("{name} has {size} bytes, more than the {MEMBER_MAX_BYTES} that are read"));
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).map_err(|error| format!("{name} is cut off or damaged: {error}"))?;
    Ok((name, bytes))
}

fn read_manifest(bytes: &[u8]) -> Result<Manifest, String> {
    let said: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|error| format!("its manifest cannot be read: {error}"))?;
    match said["format"].as_u64() {
        Some(format) if format == u64::from(FORMAT) => {}
        Some(format) => {
            let by = said["hallmark"].as_str().unwrap_or("another version");
            return Err(format!("it has format {format} and this hallmark reads {FORMAT}: restore it with {by}"));
        }
        None => return Err("its manifest names no format".to_owned()),
    }
    serde_json::from_value(said).map_err(|error| format!("its manifest cannot be read: {error}"))
}

fn compare(said: &[Member], found: &[Member]) -> Result<(), String> {
    for (said, found) in said.iter().zip(found) {
        if said.path != found.path {
            return Err(format!("{} stands where its manifest has {}", found.path, said.path));
        }
        if said != found {
            return Err(format!(
                "{} is damaged: it has {}, its manifest says {}",
                found.path, found.digest, said.digest
            ));
        }
    }
    match (said.get(found.len()), found.get(said.len())) {
        (Some(lacking), _) => Err(format!("{} is missing", lacking.path)),
        (None, Some(more)) => Err(format!("{} is not in its manifest", more.path)),
        (None, None) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(members: &[(&str, &str)], change: impl FnOnce(&mut Manifest)) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let mut writer =
            Writer::new(file.reopen().expect("a file"), Manifest::new(3, "now".to_owned())).expect("begun");
        for (path, bytes) in members {
            writer.add((*path).to_owned(), bytes.as_bytes()).expect("added");
        }
        change(&mut writer.manifest);
        writer.finish().expect("written");
        file
    }

    fn refusal(file: &Path) -> String {
        match Archive::open(file) {
            Err(Trouble::Wrong(text)) => text.replace(&format!("error: {}: ", file.display()), ""),
            other => panic!("it is not refused: {other:?}"),
        }
    }

    const MEMBERS: [(&str, &str); 2] = [("rows/entries/000000.jsonl", "{}\n"), ("blobs/sha256/00", "component")];

    #[test]
    fn gives_back_what_was_added() {
        let file = write(&MEMBERS, |_| {});
        let archive = Archive::open(file.path()).expect("it is whole");
        let mut tar = archive.members().expect("it is read again");
        let mut read = Vec::new();
        for entry in tar.entries().expect("members") {
            if let Some((member, bytes)) = archive.member(&mut entry.expect("a member")).expect("as it was") {
                read.push((member.path, String::from_utf8(bytes).expect("text")));
            }
        }
        assert_eq!(read, MEMBERS.map(|(path, bytes)| (path.to_owned(), bytes.to_owned())));
        assert_eq!(archive.manifest.members[0].table(), Some("entries"));
    }

    #[test]
    fn names_what_is_not_as_the_manifest_says() {
        let zeros = || Digest::of(b"");
        let said = |change: fn(&mut Manifest)| refusal(write(&MEMBERS, change).path());
        assert_eq!(said(|it| drop(it.members.pop())), "blobs/sha256/00 is not in its manifest");
        assert_eq!(said(|it| it.members.push(Member::of("a".to_owned(), b""))), "a is missing");
        assert_eq!(
            said(|it| it.members.swap(0, 1)),
            "rows/entries/000000.jsonl stands where its manifest has blobs/sha256/00"
        );
        let damaged = refusal(write(&MEMBERS, |it| it.members[1].digest = zeros()).path());
        let found = Digest::of(b"component");
        assert_eq!(damaged, format!("blobs/sha256/00 is damaged: it has {found}, its manifest says {}", zeros()));
        let newer = said(|it| (it.format, it.hallmark) = (2, "9.0.0".to_owned()));
        assert_eq!(newer, "it has format 2 and this hallmark reads 1: restore it with 9.0.0");
    }

    #[test]
    fn tells_a_file_that_was_cut_off_or_damaged() {
        let file = write(&MEMBERS, |_| {});
        let whole = std::fs::read(file.path()).expect("the file");
        let members = Archive::open(file.path()).expect("it is whole").manifest.members;
        for length in [whole.len() / 2, whole.len() - 1] {
            std::fs::write(file.path(), &whole[..length]).expect("written");
            assert!(Archive::open(file.path()).is_err(), "cut at {length} of {}", whole.len());
        }
        for place in (0..whole.len()).step_by(7) {
            let mut damaged = whole.clone();
            damaged[place] ^= 0x10;
            std::fs::write(file.path(), &damaged).expect("written");
            // A bit that only tells how much memory to take may change nothing.
            let read = Archive::open(file.path()).map(|archive| archive.manifest.members);
            assert!(read.is_err() || read.is_ok_and(|read| read == members), "damaged at {place} of {}", whole.len());
        }
        std::fs::write(file.path(), "no archive").expect("written");
        let text = refusal(file.path());
        assert!(text.starts_with("it is no archive of `hallmark backup`, or was cut off or damaged: "), "{text}");
    }
}
