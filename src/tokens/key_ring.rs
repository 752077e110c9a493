//! Holds the signing keys of this process and reloads them when they change.

use std::sync::{Arc, PoisonError, RwLock};

use super::private_key::KeyError;
use super::signing_key::{self, KeyRing};
use crate::database::{Connection, Database, DatabaseError};
use crate::secret_key::SecretKeys;

/// The current key ring. Clones share it.
#[derive(Clone, Debug)]
pub struct SharedKeyRing {
    current: Arc<RwLock<CurrentRing>>,
}

#[derive(Debug)]
struct CurrentRing {
    ring: Arc<KeyRing>,
    /// The number of replacements, so that a slow load does not replace a newer ring by an older one.
    count: u64,
}

/// The reason why the keys could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The query failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A key could not be decrypted or does not work.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl SharedKeyRing {
    #[must_use]
    pub fn new(ring: KeyRing) -> Self {
        Self { current: Arc::new(RwLock::new(CurrentRing { ring: Arc::new(ring), count: 0 })) }
    }

    /// Returns the current ring.
    #[must_use]
    pub fn current(&self) -> Arc<KeyRing> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).ring)
    }

    /// Loads the keys from the database. The old ring stays if that fails.
    pub async fn reload(&self, database: &Database, secret_keys: &SecretKeys) -> Result<(), LoadError> {
        let count = self.count();
        let rows = database.run(signing_key::list).await?;
        self.replace(Some(count), signing_key::open(&rows, secret_keys)?);
        Ok(())
    }

    /// Loads the keys on the caller's connection, after the caller has changed the rows. A load that was
    /// started earlier cannot replace this ring.
    pub fn reload_on(&self, connection: &mut Connection, secret_keys: &SecretKeys) -> Result<(), LoadError> {
        let rows = signing_key::list(connection).map_err(DatabaseError::from)?;
        self.replace(None, signing_key::open(&rows, secret_keys)?);
        Ok(())
    }

    fn count(&self) -> u64 {
        self.current.read().unwrap_or_else(PoisonError::into_inner).count
    }

    /// Replaces the ring. A ring whose load started before the last replacement may be older, so it is
    /// dropped.
    fn replace(&self, asked_at: Option<u64>, ring: KeyRing) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if asked_at.is_none_or(|count| count == current.count) {
            *current = CurrentRing { ring: Arc::new(ring), count: current.count + 1 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_load_does_not_replace_a_newer_ring() {
        let keys = SharedKeyRing::new(KeyRing::default());
        let current = || Arc::as_ptr(&keys.current());
        for newest in [None, Some(1)] {
            let asked_at = keys.count();
            let before = current();
            keys.replace(newest, KeyRing::default());
            let newer = current();
            assert_ne!(newer, before);
            keys.replace(Some(asked_at), KeyRing::default());
            assert_eq!(current(), newer);
        }
    }
}
