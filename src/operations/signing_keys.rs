//! Reloads and rotates the signing keys.

use crate::audit::Origin;
use crate::database::Connection;
use crate::guard::{Caller, rejudge};
use crate::refusal::{self, Refusal};
use crate::sessions::session::delta;
use crate::state::State;
use crate::tokens::key_ring::LoadError;
use crate::tokens::private_key::PrivateKey;
use crate::tokens::{lifetime, signing_key};

/// Reloads the signing keys. Raises the stored lifetime of keys that is too short for this node's tokens.
/// Such a key was published while this node was not reporting, or it signs again.
pub struct ReloadSigningKeys;

impl ReloadSigningKeys {
    /// # Errors
    /// The [`LoadError`]. The current keys stay.
    pub async fn run(self, state: &State) -> Result<(), LoadError> {
        state.tokens.keys.reload(&state.core.database, &state.core.secret_keys).await?;
        let ttl = state.tokens.lifetimes.access_ttl;
        if state.tokens.keys.current().needs_longer_ttl(delta(ttl), state.core.clock.now()) {
            let seconds = lifetime::in_seconds(ttl);
            state
                .core
                .database
                .transaction(move |connection| lifetime::raise_longest_ttl(connection, seconds))
                .await?;
            state.tokens.keys.reload(&state.core.database, &state.core.secret_keys).await?;
        }
        Ok(())
    }
}

/// Publishes another signing key. It signs after every verifier has had time to fetch it.
pub struct RotateSigningKey;

impl RotateSigningKey {
    /// # Errors
    /// The guard's refusal if the caller has lost the authority since.
    pub async fn run(self, state: &State, caller: &Caller, origin: Origin) -> Result<(), Refusal> {
        let private = PrivateKey::generate(state.tokens.signing_algorithm).map_err(|error| {
            tracing::error!(%error, "no signing key could be created");
            refusal::internal()
        })?;
        let secret_keys = Box::new(state.core.secret_keys.clone());
        let insert = move |connection: &mut Connection, _: &Caller| {
            signing_key::insert(connection, &private, &secret_keys, &origin).map(|_| Ok(()))
        };
        rejudge::transaction(state, caller, None, insert).await
    }
}
