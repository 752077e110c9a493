//! The token answer: what login, refresh and step-up give.

use actix_web::HttpResponseBuilder;
use actix_web::http::header::{CACHE_CONTROL, VARY};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::refusal;
use super::services::Services;
use crate::problem::Problem;
use crate::random;
use crate::sessions::refresh_token::{self, PlainRefreshToken};
use crate::sessions::{Grant, session};
use crate::tokens::access_token::{self, Claims, Reader};

/// The client id of access tokens that doorward's own login gives (RFC 9068, section 2.2).
const CLIENT_ID: &str = "doorward";

/// A token answer (RFC 6749, section 5.1).
#[derive(Serialize, utoipa::ToSchema)]
pub struct TokenAnswer {
    /// To be sent as `Authorization: Bearer …`.
    pub access_token: String,
    /// Always `Bearer`.
    #[schema(example = "Bearer")]
    pub token_type: &'static str,
    /// Seconds until the access token expires.
    #[schema(example = 300)]
    pub expires_in: i64,
    /// Good once, at `POST /api/v1/auth/refresh`. That of a step-up replaces the one in hand.
    pub refresh_token: String,
    /// Seconds until the refresh token expires if it is not used.
    #[schema(example = 2_592_000)]
    pub refresh_expires_in: i64,
    /// What the access token may do, separated by spaces.
    #[schema(example = "notes:read notes:write")]
    pub scope: String,
}

impl Services {
    /// Both tokens of a session.
    ///
    /// # Errors
    /// `internal_error` when no key can sign.
    pub fn token_answer(
        &self,
        grant: &Grant,
        scope: Option<Vec<String>>,
        refresh_token: &PlainRefreshToken,
    ) -> Result<TokenAnswer, Problem> {
        let scope = scope.unwrap_or_else(|| grant.scope()).join(" ");
        let (access_token, expires_in) =
            self.access_token(grant, &scope, grant.refresh_expires_at, Reader::Standard)?;
        Ok(TokenAnswer {
            access_token,
            token_type: "Bearer",
            expires_in,
            refresh_token: refresh_token.expose().to_owned(),
            refresh_expires_in: (grant.refresh_expires_at - grant.issued_at).num_seconds().max(0),
            scope,
        })
    }

    /// An access token of a session, which outlives neither `session_ends` nor the key that signs it; and its seconds of life.
    ///
    /// # Errors
    /// `internal_error` when no key can sign.
    pub fn access_token(
        &self,
        grant: &Grant,
        scope: &str,
        session_ends: DateTime<Utc>,
        reader: Reader,
    ) -> Result<(String, i64), Problem> {
        let left = (session_ends - grant.issued_at).max(TimeDelta::zero());
        let ttl = session::delta(self.limits.access_ttl).min(left);
        let now = self.clock.now();
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
        let token = access_token::issue(&self.keys.current(), &self.issuer, &claims, reader, now);
        let (token, expires_at) = token.map_err(|error| {
            tracing::error!(%error, "no access token could be signed");
            refusal::internal()
        })?;
        Ok((token, (expires_at - now).num_seconds().max(0)))
    }

    /// The refresh token of a session's live generation.
    #[must_use]
    pub fn refresh_token(&self, grant: &Grant, secret: [u8; 16]) -> PlainRefreshToken {
        refresh_token::issue(&self.secret_keys, grant.session_id, secret, grant.generation)
    }
}

/// An answer that no cache may keep (RFC 6749, section 5.1).
#[must_use]
pub fn no_store(mut answer: HttpResponseBuilder) -> HttpResponseBuilder {
    answer.insert_header((CACHE_CONTROL, "no-store"));
    answer
}

/// An answer that depends on who asks and may be kept by the asker alone.
#[must_use]
pub fn private(mut answer: HttpResponseBuilder) -> HttpResponseBuilder {
    answer.insert_header((CACHE_CONTROL, "private, no-cache")).insert_header((VARY, "Authorization, Cookie"));
    answer
}

/// On what is public, other sites' pages may load it too (Fetch Standard, `Cross-Origin-Resource-Policy`).
pub const FOR_ALL: (&str, &str) = ("cross-origin-resource-policy", "cross-origin");
