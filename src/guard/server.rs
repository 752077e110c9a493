//! What is done to the server itself, from its pages.

use super::refusal;
use super::services::Services;
use crate::audit::Origin;
use crate::problem::Problem;
use crate::sessions::session::delta;
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
    /// Publishes another signing key; it signs as soon as every verifier has had the time to fetch it.
    ///
    /// # Errors
    /// A fault of ours as a 5xx.
    pub async fn rotate_signing_key(&self, origin: Origin) -> Result<(), Problem> {
        let private = PrivateKey::generate(self.signing_algorithm).map_err(|error| {
            tracing::error!(%error, "no signing key could be made");
            refusal::internal()
        })?;
        let (secret_keys, ttl) = (Box::new(self.secret_keys.clone()), delta(self.limits.access_ttl));
        self.database
            .transaction(move |connection| {
                signing_key::insert(connection, &private, &secret_keys, ttl, &origin)
            })
            .await
            .map(|_| ())
            .map_err(refusal::database)
    }
}
