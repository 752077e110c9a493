//! Access tokens, personal access tokens, signing keys, and the revocation feed.

pub mod access_token;
pub(crate) mod ended;
pub(crate) mod key_ring;
pub mod key_state;
pub mod key_times;
pub mod lifetime;
pub(crate) mod names;
pub(crate) mod owner;
pub mod personal_token;
pub mod private_key;
pub mod recently_revoked;
pub mod revocation;
pub mod signing_key;
pub(crate) mod unchanged;
