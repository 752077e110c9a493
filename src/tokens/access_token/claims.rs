//! The claims of an access token, and their form in JSON (RFC 9068, section 2.2).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The issuer and the audiences of access tokens.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// The public URL. It is the `iss` of issued tokens, and it must be in `aud` of verified ones.
    pub url: String,
    /// Further values of `aud` in issued tokens.
    pub audiences: Vec<String>,
}

/// The claims of an access token (RFC 9068, section 2.2). Times are whole seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The user's ID.
    pub sub: Uuid,
    /// The token's ID.
    pub jti: Uuid,
    /// The session's ID.
    pub sid: Uuid,
    /// The generation of the refresh token that the access token was issued with.
    pub generation: i32,
    /// The user's version, as read in the transaction that issued the token.
    pub ver: i64,
    /// The client that requested the token.
    pub client_id: String,
    /// The scope, as names separated by spaces.
    pub scope: String,
    /// The time of the last sign-in or step-up.
    pub auth_time: DateTime<Utc>,
    pub iat: DateTime<Utc>,
    /// The token is valid from this time.
    pub nbf: DateTime<Utc>,
    /// The token is invalid from this time.
    pub exp: DateTime<Utc>,
}

/// The kind of software, besides this server, that reads an access token. Some readers need extra claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenDialect {
    /// Software that knows RFC 9068.
    Standard,
    /// djangorestframework-simplejwt as well, which needs `token_type` and `user_id`.
    Simplejwt,
}

#[derive(Serialize, Deserialize)]
pub(super) struct WireClaims {
    pub(super) iss: String,
    pub(super) sub: Uuid,
    pub(super) aud: Audience,
    pub(super) exp: i64,
    pub(super) iat: i64,
    pub(super) nbf: i64,
    pub(super) jti: Uuid,
    pub(super) client_id: String,
    pub(super) scope: String,
    pub(super) auth_time: i64,
    pub(super) sid: Uuid,
    #[serde(rename = "gen")]
    pub(super) generation: i32,
    pub(super) ver: i64,
    // Only for other readers. This server does not read them.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    pub(super) token_type: Option<&'static str>,
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    pub(super) user_id: Option<Uuid>,
}

/// One audience or several (RFC 7519, section 4.1.3).
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Audience {
    One(String),
    Several(Vec<String>),
}

pub(super) fn wire(issuer: &Issuer, claims: &Claims) -> WireClaims {
    let audiences: Vec<String> = std::iter::once(&issuer.url).chain(&issuer.audiences).cloned().collect();
    WireClaims {
        iss: issuer.url.clone(),
        sub: claims.sub,
        aud: if issuer.audiences.is_empty() {
            Audience::One(issuer.url.clone())
        } else {
            Audience::Several(audiences)
        },
        exp: claims.exp.timestamp(),
        iat: claims.iat.timestamp(),
        nbf: claims.nbf.timestamp(),
        jti: claims.jti,
        client_id: claims.client_id.clone(),
        scope: claims.scope.clone(),
        auth_time: claims.auth_time.timestamp(),
        sid: claims.sid,
        generation: claims.generation,
        ver: claims.ver,
        token_type: None,
        user_id: None,
    }
}

pub(super) fn read(wire: &WireClaims) -> Option<Claims> {
    let time = |seconds| DateTime::from_timestamp(seconds, 0);
    Some(Claims {
        sub: wire.sub,
        jti: wire.jti,
        sid: wire.sid,
        generation: wire.generation,
        ver: wire.ver,
        client_id: wire.client_id.clone(),
        scope: wire.scope.clone(),
        auth_time: time(wire.auth_time)?,
        iat: time(wire.iat)?,
        nbf: time(wire.nbf)?,
        exp: time(wire.exp)?,
    })
}
