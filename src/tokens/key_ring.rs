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
        self.replace(Some(count), signing_key::open(&rows, secret_keys)?);
        Ok(())
    }

    /// The same on a connection of the caller's, who knows that the rows have just changed: no load that is under way
    /// comes after it.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn reload_on(&self, connection: &mut Connection, secret_keys: &SecretKeys) -> Result<(), LoadError> {
        let rows = signing_key::list(connection).map_err(DatabaseError::from)?;
        self.replace(None, signing_key::open(&rows, secret_keys)?);
        Ok(())
    }

    fn count(&self) -> u64 {
        self.held.read().unwrap_or_else(PoisonError::into_inner).count
    }

    /// A ring that was asked for before another was put in place may be older than that.
    fn replace(&self, asked_at: Option<u64>, ring: KeyRing) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if asked_at.is_none_or(|count| count == held.count) {
            *held = Held { ring: Arc::new(ring), count: held.count + 1 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_load_does_not_put_an_older_ring_in_a_newer_ones_place() {
        let keys = Keys::new(KeyRing::default());
        let held = || Arc::as_ptr(&keys.current());
        for newest in [None, Some(1)] {
            let asked_at = keys.count();
            let before = held();
            keys.replace(newest, KeyRing::default());
            let newer = held();
            assert_ne!(newer, before);
            keys.replace(Some(asked_at), KeyRing::default());
            assert_eq!(held(), newer);
        }
    }
}
