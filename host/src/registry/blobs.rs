//! Component bytes, by digest, in an object store. What is read back is proved to be what was put there.

mod bucket;

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde::Serialize;

use super::RegistryError;
use crate::names::Digest;

pub use bucket::{Bucket, Credentials};

/// What is put into the store to be read back when it is asked how it is.
const MARKER: &str = "health/marker";
const MARK: &[u8] = b"This store is in use by Hallmark.\n";

/// Where components are kept.
#[derive(Clone)]
pub enum Location {
    /// A folder.
    Folder(PathBuf),
    /// A bucket of an S3-compatible store.
    Bucket(Box<Bucket>),
}

/// How a store is that does not give back what was put there. Told to everybody who asks for health, so without names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ill {
    /// Its folder or bucket is not there.
    Missing,
    /// It refuses the credentials, or what they ask for.
    Refused,
    /// It does not answer.
    Unreachable,
    /// It answers what it should not.
    Broken,
}

impl Ill {
    /// In words.
    pub fn told(self) -> &'static str {
        match self {
            Self::Missing => "has no such folder or bucket",
            Self::Refused => "refuses the host's credentials, or what they ask for",
            Self::Unreachable => "does not answer",
            Self::Broken => "does not give back what was put there",
        }
    }
}

/// How a store is, and for whoever runs the host, why and what to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Illness {
    /// How it is.
    pub ill: Ill,
    /// Why.
    pub why: String,
}

impl std::fmt::Display for Illness {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.why)
    }
}

/// The object store.
#[derive(Clone)]
pub struct Blobs {
    objects: Arc<dyn ObjectStore>,
    /// The bucket that they are in, where they are in one.
    bucket: Option<Arc<Bucket>>,
    /// The marker was put there.
    is_marked: Arc<AtomicBool>,
}

impl Blobs {
    /// What is there. A bucket is not asked yet.
    ///
    /// # Errors
    /// `Blobs` where it cannot be made or used.
    pub fn at(location: &Location, request_max_ms: u64) -> Result<Self, RegistryError> {
        match location {
            Location::Folder(folder) => Self::in_folder(folder),
            Location::Bucket(bucket) => {
                let objects = bucket.open(request_max_ms).map_err(|why| RegistryError::Blobs(why.into()))?;
                Ok(Self { objects, bucket: Some(Arc::new((**bucket).clone())), is_marked: Arc::default() })
            }
        }
    }

    /// A folder, made where it is missing.
    ///
    /// # Errors
    /// `Blobs` where it cannot be made or used.
    pub fn in_folder(folder: &FilePath) -> Result<Self, RegistryError> {
        // For its owner alone, also where the folder around it is open to others.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| RegistryError::Blobs(Box::new(error)))?;
        let objects = LocalFileSystem::new_with_prefix(folder);
        let objects = objects.map_err(|error| RegistryError::Blobs(Box::new(error)))?.with_fsync(true);
        Ok(Self { objects: Arc::new(objects), bucket: None, is_marked: Arc::default() })
    }

    /// Keeps a component. The same bytes twice are kept once.
    ///
    /// # Errors
    /// `Blobs` where the store cannot be written.
    pub async fn put(&self, digest: &Digest, bytes: Bytes) -> Result<(), RegistryError> {
        self.objects.put(&path(digest), bytes.into()).await.map_err(|error| self.failed(error))?;
        Ok(())
    }

    /// A component's bytes.
    ///
    /// # Errors
    /// `Blobs` where they are missing or are not what was put there.
    pub async fn get(&self, digest: &Digest) -> Result<Bytes, RegistryError> {
        let read = async { self.objects.get(&path(digest)).await?.bytes().await };
        let bytes = read.await.map_err(|error| self.failed(error))?;
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
        let listed = self.objects.list(Some(&Path::from(FOLDER))).try_collect().await;
        let objects: Vec<_> = listed.map_err(|error| self.failed(error))?;
        let digest = |location: &Path| -> Option<Digest> { format!("sha256:{}", location.filename()?).parse().ok() };
        Ok(objects.iter().filter_map(|object| Some((digest(&object.location)?, object.size))).collect())
    }

    /// Makes sure that the store gives back what was put there. The first call puts a marker, which shows that it can
    /// be written; every call reads it, so that a folder or a bucket that is gone is not taken for an empty one.
    ///
    /// # Errors
    /// How it is, and why.
    pub async fn answer(&self) -> Result<(), Illness> {
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
            Ok(_) => Err(Illness { ill: Ill::Broken, why: format!("its {MARKER} is not what was put there") }),
            Err(error) => Err(self.illness(&error)),
        }
    }

    fn illness(&self, error: &object_store::Error) -> Illness {
        let (ill, why) = match (&self.bucket, error) {
            (Some(bucket), error) => bucket.told(error),
            (None, object_store::Error::NotFound { .. }) => (Ill::Missing, error.to_string()),
            (None, object_store::Error::PermissionDenied { .. }) => (Ill::Refused, error.to_string()),
            (None, error) => (Ill::Broken, error.to_string()),
        };
        Illness { ill, why }
    }

    fn failed(&self, error: object_store::Error) -> RegistryError {
        match &self.bucket {
            Some(bucket) => RegistryError::Blobs(bucket.told(&error).1.into()),
            None => RegistryError::Blobs(Box::new(error)),
        }
    }
}

/// Where components are, by the digits of their digests.
const FOLDER: &str = "plugins/sha256";

fn path(digest: &Digest) -> Path {
    Path::from(format!("{FOLDER}/{}", digest.hex()))
}
