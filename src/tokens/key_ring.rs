//! The signing keys as this process holds them, reloaded when they change.

use std::sync::{Arc, PoisonError, RwLock};

use super::private_key::KeyError;
use super::signing_key::{self, KeyRing};
use crate::database::{Connection, Database, DatabaseError};
use crate::secret_key::SecretKeys;

/// The ring that requests use. Clones share it.
#[derive(Clone, Debug)]
pub struct Keys {
    held: Arc<RwLock<Held>>,
}

#[derive(Debug)]
struct Held {
    ring: Arc<KeyRing>,
    /// Counts the rings: a slow load does not put an older one in a newer one's place.
    count: u64,
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
        Self { held: Arc::new(RwLock::new(Held { ring: Arc::new(ring), count: 0 })) }
    }

    /// The ring of this moment.
    #[must_use]
    pub fn current(&self) -> Arc<KeyRing> {
        Arc::clone(&self.held.read().unwrap_or_else(PoisonError::into_inner).ring)
    }

    /// Loads the rows again; the old ring stays when that fails.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub async fn reload(&self, database: &Database, secret_keys: &SecretKeys) -> Result<(), LoadError> {
        let count = self.count();
        let rows = database.run(signing_key::list).await?;
        self.replace(count, signing_key::open(&rows, secret_keys)?);
        Ok(())
    }

    /// The same on a connection of the caller's, who knows that the rows have just changed: no load that is under way
    /// comes after it.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn reload_on(&self, connection: &mut Connection, secret_keys: &SecretKeys) -> Result<(), LoadError> {
        let rows = signing_key::list(connection).map_err(DatabaseError::from)?;
        let ring = Arc::new(signing_key::open(&rows, secret_keys)?);
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        *held = Held { ring, count: held.count + 1 };
        Ok(())
    }

    fn count(&self) -> u64 {
        self.held.read().unwrap_or_else(PoisonError::into_inner).count
    }

    /// A ring that was asked for before another was put in place may be older than that.
    fn replace(&self, asked_at: u64, ring: KeyRing) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if held.count == asked_at {
            *held = Held { ring: Arc::new(ring), count: asked_at + 1 };
        }
    }
}
