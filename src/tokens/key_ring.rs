//! The signing keys as this process holds them, reloaded when they change.

use std::sync::{Arc, PoisonError, RwLock};

use super::signing_key::{self, KeyError, KeyRing};
use crate::database::{Database, DatabaseError};
use crate::secret_key::SecretKeys;

/// The ring that requests use. Clones share it.
#[derive(Clone, Debug)]
pub struct Keys {
    ring: Arc<RwLock<Arc<KeyRing>>>,
}

/// Why the keys could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No answer from the database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A key does not open or work.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl Keys {
    /// This ring.
    #[must_use]
    pub fn new(ring: KeyRing) -> Self {
        Self { ring: Arc::new(RwLock::new(Arc::new(ring))) }
    }

    /// The ring of this moment.
    #[must_use]
    pub fn current(&self) -> Arc<KeyRing> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Loads the rows again; the old ring stays when that fails.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub async fn reload(&self, database: &Database, secret_keys: &SecretKeys) -> Result<(), LoadError> {
        let rows = database.run(signing_key::list).await?;
        let ring = signing_key::open(&rows, secret_keys)?;
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
        Ok(())
    }
}
