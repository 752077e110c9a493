//! Describes the checks of the guard to people.

use crate::guard::check::Check;

/// The words for a check.
pub(crate) struct CheckWords {
    /// A short name.
    pub name: &'static str,
    /// The requirement, as a sentence.
    pub requirement: &'static str,
}

/// Returns the words for a check.
#[must_use]
pub(crate) fn words(check: Check) -> CheckWords {
    let (name, requirement) = match check {
        Check::Header => ("Header", "The request has exactly one credential, and it can be read."),
        Check::Kind => ("Kind of credential", "This endpoint accepts credentials of this kind."),
        Check::Form => ("Form", "The credential is well-formed."),
        Check::Key => ("Key", "This server has the key that signed the token, and has not revoked it."),
        Check::Signature => ("Signature", "This server issued the credential, and nobody changed it."),
        Check::Times => ("Times", "The credential is valid at this time."),
        Check::Issuer => ("Issuer and audience", "The token was issued by this server, for this server."),
        Check::Type => ("Type", "The token is of the type that this endpoint needs."),
        Check::Revocation => ("Revocation", "The credential is neither revoked nor already used."),
        Check::Session => ("Session", "The session of the credential is active."),
        Check::User => ("User", "The account exists and is active."),
        Check::Csrf => ("Cross-site protection", "The request comes from a page of this server."),
        Check::Permission => ("Permission", "The user’s role includes the permission that is needed."),
        Check::Scope => ("Scope", "The credential allows the permission that is needed."),
        Check::Freshness => ("Recent sign-in", "The user entered their password recently enough."),
        Check::Ownership => ("Ownership", "The object belongs to the user, or is shared with them."),
    };
    CheckWords { name, requirement }
}

/// Returns the kind of a credential in words.
#[must_use]
pub(crate) fn kind(name: &str) -> String {
    match name {
        "access_token" => "Access token".to_owned(),
        "refresh_token" => "Refresh token".to_owned(),
        "personal_token" => "Personal access token".to_owned(),
        "session_cookie" => "Session cookie".to_owned(),
        "password" => "Username and password".to_owned(),
        other => other.replace('_', " "),
    }
}
