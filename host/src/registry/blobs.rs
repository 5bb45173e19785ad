//! Component bytes, by digest, in an object store. What is read back is proved to be what was put there.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::RegistryError;
use crate::names::Digest;

/// What is put into the store to be read back when it is asked how it is.
const MARKER: &str = "health/marker";
const MARK: &[u8] = b"This store is in use by Hallmark.\n";

/// The object store.
#[derive(Debug, Clone)]
pub struct Blobs {
    objects: Arc<dyn ObjectStore>,
    /// The marker was put there.
    is_marked: Arc<AtomicBool>,
}

impl Blobs {
    /// A folder, made where it is missing.
    ///
    /// # Errors
    /// `Blobs` where it cannot be made or used.
    pub fn in_folder(folder: &FilePath) -> Result<Self, RegistryError> {
        // For its owner alone, also where the folder around it is open to others.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| RegistryError::Blobs(Box::new(error)))?;
        let objects = LocalFileSystem::new_with_prefix(folder).map_err(failed)?.with_fsync(true);
        Ok(Self { objects: Arc::new(objects), is_marked: Arc::default() })
    }

    /// Keeps a component. The same bytes twice are kept once.
    ///
    /// # Errors
    /// `Blobs` where the store cannot be written.
    pub async fn put(&self, digest: &Digest, bytes: Bytes) -> Result<(), RegistryError> {
        self.objects.put(&path(digest), bytes.into()).await.map_err(failed)?;
        Ok(())
    }

    /// A component's bytes.
    ///
    /// # Errors
    /// `Blobs` where they are missing or are not what was put there.
    pub async fn get(&self, digest: &Digest) -> Result<Bytes, RegistryError> {
        let bytes = self.objects.get(&path(digest)).await.map_err(failed)?.bytes().await.map_err(failed)?;
        if Digest::of(&bytes) == *digest {
            Ok(bytes)
        } else {
            Err(RegistryError::Blobs(format!("the stored bytes of {digest} have another digest").into()))
        }
    }

    /// Every component that is kept, with its size in bytes.
    ///
    /// # Errors
    /// `Blobs` where the store cannot be read.
    pub async fn list(&self) -> Result<Vec<(Digest, u64)>, RegistryError> {
        let objects: Vec<_> = self.objects.list(Some(&Path::from(FOLDER))).try_collect().await.map_err(failed)?;
        let digest = |location: &Path| -> Option<Digest> { format!("sha256:{}", location.filename()?).parse().ok() };
        Ok(objects.iter().filter_map(|object| Some((digest(&object.location)?, object.size))).collect())
    }

    /// Makes sure that the store gives back what was put there. The first call puts a marker, which shows that it can
    /// be written; every call reads it, so that a folder or a bucket that is gone is not taken for an empty one.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn answer(&self) -> Result<(), String> {
        let marker = Path::from(MARKER);
        let asked = async {
            if !self.is_marked.load(Ordering::Relaxed) {
                self.objects.put(&marker, Bytes::from_static(MARK).into()).await?;
                self.is_marked.store(true, Ordering::Relaxed);
            }
            self.objects.get(&marker).await?.bytes().await
        };
        match asked.await {
            Ok(bytes) if bytes == MARK => Ok(()),
            Ok(_) => Err(format!("its {MARKER} is not what was put there")),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Where components are, by the digits of their digests.
const FOLDER: &str = "plugins/sha256";

fn path(digest: &Digest) -> Path {
    Path::from(format!("{FOLDER}/{}", digest.hex()))
}

fn failed(error: object_store::Error) -> RegistryError {
    RegistryError::Blobs(Box::new(error))
}
