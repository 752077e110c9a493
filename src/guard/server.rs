//! What is done to the server itself, from its pages.

use super::refusal;
use super::services::Services;
use crate::audit::Origin;
use crate::problem::Problem;
use crate::sessions::session::delta;
use crate::tokens::key_ring::LoadError;
use crate::tokens::lifetime;
use crate::tokens::private_key::PrivateKey;
use crate::tokens::signing_key;

/// A setting as it is shown, secrets masked.
#[derive(Clone, Debug)]
pub struct ShownSetting {
    /// The environment variable.
    pub name: &'static str,
    /// What it does.
    pub help: String,
    /// Its value.
    pub value: String,
    /// Where the value came from.
    pub source: String,
}

impl Services {
    /// Loads the signing keys again. A key that allows too short a lifetime for this node's tokens is raised: it was published
    /// while this node was not seen, or it signs again.
    ///
    /// # Errors
    /// See [`LoadError`]; the keys in hand stay.
    pub async fn reload_signing_keys(&self) -> Result<(), LoadError> {
        self.keys.reload(&self.database, &self.secret_keys).await?;
        let ttl = self.limits.access_ttl;
        if self.keys.current().needs_longer_ttl(delta(ttl), self.clock.now()) {
            let seconds = lifetime::in_seconds(ttl);
            self.database
                .transaction(move |connection| lifetime::raise_longest_ttl(connection, seconds))
                .await?;
            self.keys.reload(&self.database, &self.secret_keys).await?;
        }
        Ok(())
    }

    /// Publishes another signing key; it signs as soon as every verifier has had the time to fetch it.
    ///
    /// # Errors
    /// A fault of ours as a 5xx.
    pub async fn rotate_signing_key(&self, origin: Origin) -> Result<(), Problem> {
        let private = PrivateKey::generate(self.signing_algorithm).map_err(|error| {
            tracing::error!(%error, "no signing key could be made");
            refusal::internal()
        })?;
        let secret_keys = Box::new(self.secret_keys.clone());
        self.database
            .transaction(move |connection| signing_key::insert(connection, &private, &secret_keys, &origin))
            .await
            .map(|_| ())
            .map_err(refusal::database)
    }
}
