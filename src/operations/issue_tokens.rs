//! Builds the token response of login, refresh and step-up.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::random;
use crate::refusal::{self, Refusal};
use crate::sessions::refresh_token::{self, PlainRefreshToken};
use crate::sessions::{Grant, session};
use crate::state::State;
use crate::tokens::access_token::{self, Claims, TokenDialect};

/// The client ID of access tokens from doorward's own login (RFC 9068, section 2.2).
const CLIENT_ID: &str = "doorward";

/// A token response (RFC 6749, section 5.1).
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct TokenAnswer {
    /// The access token. Send it as `Authorization: Bearer …`.
    pub access_token: String,
    /// Always `Bearer`.
    #[schema(example = "Bearer")]
    pub token_type: &'static str,
    /// Seconds until the access token expires.
    #[schema(example = 300)]
    pub expires_in: i64,
    /// The refresh token. It can be used once, at `POST /api/v1/auth/refresh`. After a step-up it replaces
    /// the previous one.
    pub refresh_token: String,
    /// Seconds until the refresh token expires if it is not used.
    #[schema(example = 2_592_000)]
    pub refresh_expires_in: i64,
    /// The scope of the access token, as names separated by spaces.
    #[schema(example = "notes:read notes:write")]
    pub scope: String,
}

/// Issues both tokens of a session.
///
/// # Errors
/// `internal_error` if no key can sign.
pub(crate) fn token_answer(
    state: &State,
    grant: &Grant,
    scope: Option<Vec<String>>,
    refresh_token: &PlainRefreshToken,
) -> Result<TokenAnswer, Refusal> {
    let scope = scope.unwrap_or_else(|| grant.scope()).join(" ");
    let (access_token, expires_in) =
        access_token(state, grant, &scope, grant.refresh_expires_at, TokenDialect::Standard)?;
    Ok(TokenAnswer {
        access_token,
        token_type: "Bearer",
        expires_in,
        refresh_token: refresh_token.expose().to_owned(),
        refresh_expires_in: (grant.refresh_expires_at - grant.issued_at).num_seconds().max(0),
        scope,
    })
}

/// Issues an access token of a session. It expires at `session_ends` or when its key retires, if either is
/// earlier. Returns it with its lifetime in seconds.
///
/// # Errors
/// `internal_error` if no key can sign.
pub(crate) fn access_token(
    state: &State,
    grant: &Grant,
    scope: &str,
    session_ends: DateTime<Utc>,
    dialect: TokenDialect,
) -> Result<(String, i64), Refusal> {
    let left = (session_ends - grant.issued_at).max(TimeDelta::zero());
    let ttl = session::delta(state.tokens.lifetimes.access_ttl).min(left);
    let now = state.core.clock.now();
    let claims = Claims {
        sub: grant.user_id,
        jti: random::id(),
        sid: grant.session_id,
        generation: grant.generation,
        ver: grant.version,
        client_id: CLIENT_ID.to_owned(),
        scope: scope.to_owned(),
        auth_time: grant.auth_time,
        iat: now,
        nbf: now,
        exp: now + ttl,
    };
    let token =
        access_token::issue(&state.tokens.keys.current(), &state.tokens.issuer, &claims, dialect, now);
    let (token, expires_at) = token.map_err(|error| {
        tracing::error!(%error, "no access token could be signed");
        refusal::internal()
    })?;
    Ok((token, (expires_at - now).num_seconds().max(0)))
}

/// Issues the refresh token of a session's current generation.
#[must_use]
pub(crate) fn refresh_token(state: &State, grant: &Grant, secret: [u8; 16]) -> PlainRefreshToken {
    refresh_token::issue(&state.core.secret_keys, grant.session_id, secret, grant.generation)
}
