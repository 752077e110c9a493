//! The codes of refusals, one row of a table for each. A code without a help page does not compile.

use std::fmt;

use actix_web::http::StatusCode;
use serde::{Serialize, Serializer};

use super::help::{self, HelpPage};

/// The next step for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Sign in again.
    Login,
    /// Refresh the access token.
    Refresh,
    /// Enter the password again, within the same session.
    StepUp,
    /// Retry later, as `Retry-After` or the detail says.
    Wait,
    /// Correct the request.
    FixRequest,
    /// Ask someone who can grant access.
    RequestAccess,
    /// Contact an administrator.
    ContactAdmin,
}

/// The content of `WWW-Authenticate` besides the realm (RFC 6750, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// The header is not sent.
    Absent,
    /// The realm only: no credential was sent, or none was checked.
    Bare,
    /// `error="…"`.
    Error(&'static str),
}

/// A row of the catalogue.
struct Row {
    name: &'static str,
    status: StatusCode,
    title: &'static str,
    action: Action,
    terminal: bool,
    challenge: Challenge,
    members: &'static [&'static str],
    page: &'static HelpPage,
}

macro_rules! catalogue {
    ($($code:ident $name:literal $status:ident $action:ident $terminal:literal ($challenge:expr) [$($member:literal)*] $page:ident $title:literal;)*) => {
        /// The reason why a request was refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs)] // each has a help page
        pub enum Code { $($code,)* }

        impl Code {
            /// All codes, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$code,)*];

            const fn row(self) -> &'static Row {
                match self {
                    $(Self::$code => const { &Row {
                        name: $name,
                        status: StatusCode::$status,
                        title: $title,
                        action: Action::$action,
                        terminal: $terminal,
                        challenge: $challenge,
                        members: &[$($member),*],
                        page: &help::$page,
                    } },)*
                }
            }
        }
    };
}

const INVALID_REQUEST: Challenge = Challenge::Error("invalid_request");
const INVALID_TOKEN: Challenge = Challenge::Error("invalid_token");
const TOO_OLD: Challenge = Challenge::Error("insufficient_user_authentication");
const SCOPE: Challenge = Challenge::Error("insufficient_scope");
const BARE: Challenge = Challenge::Bare;
const NONE: Challenge = Challenge::Absent;

catalogue! {
    CredentialsMissing "credentials_missing" UNAUTHORIZED Login false (BARE) [] CREDENTIALS_MISSING "No credentials were sent";
    SchemeUnsupported "scheme_unsupported" UNAUTHORIZED FixRequest false (BARE) ["scheme"] SCHEME_UNSUPPORTED "The authorization scheme is not supported";
    CredentialsMalformed "credentials_malformed" BAD_REQUEST FixRequest false (INVALID_REQUEST) [] CREDENTIALS_MALFORMED "The Authorization header is malformed";
    CredentialsAmbiguous "credentials_ambiguous" BAD_REQUEST FixRequest false (INVALID_REQUEST) [] CREDENTIALS_AMBIGUOUS "More than one Authorization header was sent";
    TokenMalformed "token_malformed" UNAUTHORIZED FixRequest false (INVALID_TOKEN) [] TOKEN_MALFORMED "The token is malformed";
    TokenSignatureInvalid "token_signature_invalid" UNAUTHORIZED Refresh false (INVALID_TOKEN) [] TOKEN_SIGNATURE_INVALID "The token's signature is invalid";
    TokenExpired "token_expired" UNAUTHORIZED Refresh false (INVALID_TOKEN) ["expired_at"] TOKEN_EXPIRED "The token has expired";
    TokenNotYetValid "token_not_yet_valid" UNAUTHORIZED Wait false (INVALID_TOKEN) ["valid_from"] TOKEN_NOT_YET_VALID "The token is not valid yet";
    TokenIssuerMismatch "token_issuer_mismatch" UNAUTHORIZED Refresh false (INVALID_TOKEN) ["expected" "found"] TOKEN_ISSUER_MISMATCH "The token was issued for another server";
    TokenAudienceMismatch "token_audience_mismatch" UNAUTHORIZED Refresh false (INVALID_TOKEN) ["expected" "found"] TOKEN_AUDIENCE_MISMATCH "The token is for another audience";
    TokenTypeMismatch "token_type_mismatch" UNAUTHORIZED FixRequest false (INVALID_TOKEN) ["expected" "found"] TOKEN_TYPE_MISMATCH "Wrong token type";
    TokenUnknown "token_unknown" UNAUTHORIZED Login false (INVALID_TOKEN) [] TOKEN_UNKNOWN "The token is unknown";
    TokenRevoked "token_revoked" UNAUTHORIZED Refresh false (INVALID_TOKEN) ["revoked_at" "reason"] TOKEN_REVOKED "The token was revoked";
    SessionEnded "session_ended" UNAUTHORIZED Login true (INVALID_TOKEN) ["ended_at" "reason"] SESSION_ENDED "The session has ended";
    SessionExpired "session_expired" UNAUTHORIZED Login true (INVALID_TOKEN) ["expired_at"] SESSION_EXPIRED "The session has expired";
    AuthenticationTooOld "authentication_too_old" UNAUTHORIZED StepUp false (TOO_OLD) ["auth_time" "max_age"] AUTHENTICATION_TOO_OLD "A more recent sign-in is required";
    AccountDisabled "account_disabled" UNAUTHORIZED ContactAdmin false (INVALID_TOKEN) [] ACCOUNT_DISABLED "The account is disabled";
    AccountDeleted "account_deleted" UNAUTHORIZED ContactAdmin true (INVALID_TOKEN) [] ACCOUNT_DELETED "The account was deleted";
    InvalidCredentials "invalid_credentials" UNAUTHORIZED Login false (BARE) [] INVALID_CREDENTIALS "Wrong username or password";
    RefreshTokenReused "refresh_token_reused" UNAUTHORIZED Login true (INVALID_TOKEN) [] REFRESH_TOKEN_REUSED "The refresh token was already used";
    RefreshTokenUnknown "refresh_token_unknown" UNAUTHORIZED Login true (INVALID_TOKEN) [] REFRESH_TOKEN_UNKNOWN "The refresh token is unknown";
    InsufficientScope "insufficient_scope" FORBIDDEN Refresh false (SCOPE) ["required" "granted"] INSUFFICIENT_SCOPE "The token's scope is insufficient";
    PermissionDenied "permission_denied" FORBIDDEN RequestAccess false (NONE) ["required" "role"] PERMISSION_DENIED "The user lacks the permission";
    NotOwner "not_owner" FORBIDDEN RequestAccess false (NONE) [] NOT_OWNER "Only the owner can change this";
    CsrfFailed "csrf_failed" FORBIDDEN FixRequest false (NONE) [] CSRF_FAILED "The CSRF check failed";
    PreflightRefused "preflight_refused" FORBIDDEN FixRequest false (NONE) [] PREFLIGHT_REFUSED "The cross-origin request is not allowed";
    TooManyAttempts "too_many_attempts" TOO_MANY_REQUESTS Wait false (NONE) ["retry_after"] TOO_MANY_ATTEMPTS "Too many attempts";
    Overloaded "overloaded" SERVICE_UNAVAILABLE Wait false (NONE) ["retry_after"] OVERLOADED "The server is overloaded";
    DatabaseUnavailable "database_unavailable" SERVICE_UNAVAILABLE Wait false (NONE) ["retry_after"] DATABASE_UNAVAILABLE "The database is unavailable";
    MalformedJson "malformed_json" BAD_REQUEST FixRequest false (NONE) [] MALFORMED_JSON "The body is not valid JSON";
    ValidationFailed "validation_failed" UNPROCESSABLE_ENTITY FixRequest false (NONE) ["errors"] VALIDATION_FAILED "The request is invalid";
    UnsupportedMediaType "unsupported_media_type" UNSUPPORTED_MEDIA_TYPE FixRequest false (NONE) [] UNSUPPORTED_MEDIA_TYPE "The media type is not supported";
    PayloadTooLarge "payload_too_large" PAYLOAD_TOO_LARGE FixRequest false (NONE) [] PAYLOAD_TOO_LARGE "The body is too large";
    NotFound "not_found" NOT_FOUND FixRequest false (NONE) [] NOT_FOUND "Not found";
    MethodNotAllowed "method_not_allowed" METHOD_NOT_ALLOWED FixRequest false (NONE) [] METHOD_NOT_ALLOWED "The method is not allowed";
    Conflict "conflict" CONFLICT FixRequest false (NONE) ["pointer"] CONFLICT "Conflicts with an existing record";
    LastAdmin "last_admin" CONFLICT FixRequest false (NONE) [] LAST_ADMIN "Cannot remove the last administrator";
    PreconditionFailed "precondition_failed" PRECONDITION_FAILED FixRequest false (NONE) [] PRECONDITION_FAILED "The precondition failed";
    InternalError "internal_error" INTERNAL_SERVER_ERROR ContactAdmin false (NONE) [] INTERNAL_ERROR "Internal server error";
}

impl Code {
    /// Returns the name in bodies, logs and URLs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.row().name
    }

    /// Returns the status of the response.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        self.row().status
    }

    /// Returns a short summary, which never varies.
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.row().title
    }

    /// Returns the next step for the client. A refusal can replace it.
    #[must_use]
    pub const fn action(self) -> Action {
        self.row().action
    }

    /// Returns true if the session is over. A refusal can replace it.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        self.row().terminal
    }

    /// Returns the challenge in `WWW-Authenticate`.
    #[must_use]
    pub const fn challenge(self) -> Challenge {
        self.row().challenge
    }

    /// Returns the body members that not every code has.
    #[must_use]
    pub const fn members(self) -> &'static [&'static str] {
        self.row().members
    }

    #[must_use]
    pub const fn page(self) -> &'static HelpPage {
        self.row().page
    }

    /// Returns the code with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == name)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
