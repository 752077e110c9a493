//! Issues and verifies access tokens, which are JWTs with the profile of RFC 9068.

mod claims;
mod issue;
#[cfg(test)]
mod tests;
mod verify;

pub use claims::{Claims, Issuer, TokenDialect};
pub use issue::{IssueError, issue};
pub use verify::{AccessTokenError, MAX_LEN, Signed, verify_signature};
