//! Tokens: signed access tokens, personal access tokens, the keys that sign, and what was revoked.

pub mod revocation;
