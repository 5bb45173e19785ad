//! Component bytes, by digest, in an object store. What is read back is proved to be what was put there.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path as FilePath;
use std::sync::Arc;

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::RegistryError;
use crate::names::Digest;

/// The object store.
#[derive(Debug, Clone)]
pub struct Blobs {
    objects: Arc<dyn ObjectStore>,
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
        Ok(Self { objects: Arc::new(objects) })
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

    /// True where the store answers.
    pub async fn answers(&self) -> bool {
        match self.objects.head(&Path::from("plugins/sha256/none")).await {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => true,
            Err(error) => {
                tracing::warn!(%error, "the object store does not answer");
                false
            }
        }
    }
}

fn path(digest: &Digest) -> Path {
    Path::from(format!("plugins/sha256/{}", digest.hex()))
}

fn failed(error: object_store::Error) -> RegistryError {
    RegistryError::Blobs(Box::new(error))
}
