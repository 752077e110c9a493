//! Checks the form and the signature of refresh tokens. Their state is checked when they are rotated.

use super::access_token::{OF_ACCESS_TOKEN, note_ids, refuse_flaw};
use super::evidence;
use crate::guard::check::{Check, CredentialKind};
use crate::guard::trace::Trace;
use crate::guard::{lookup, refusals};
use crate::refusal::Refusal;
use crate::sessions::refresh_token::{self, RefreshToken, RefreshTokenError};
use crate::state::State;
use crate::tokens::personal_token;

/// Refuses a refresh token that was sent in place of an access token.
pub(super) fn refuse_refresh_token(state: &State, token: &str, trace: &mut Trace) -> Refusal {
    match check_refresh_token(state, token, trace) {
        Ok(_) => {
            trace.stop(Check::Type);
            refusals::type_mismatch(
                "access_token",
                "refresh_token",
                "This is a refresh token. Exchange it at POST /api/v1/auth/refresh and send the new access \
                 token.",
            )
        }
        Err(refusal) => refusal,
    }
}

fn check_refresh_token(state: &State, text: &str, trace: &mut Trace) -> Result<RefreshToken, Refusal> {
    trace.kind = Some(CredentialKind::RefreshToken);
    trace.pass(Check::Kind);
    trace.run(Check::Form, || evidence::form("dwr_ and 69 bytes in base64url", text), Ok(()))?;
    let parsed = refresh_token::parse(&state.core.secret_keys, text);
    let token = parsed.map_err(|error| {
        trace.stop(match error {
            RefreshTokenError::Malformed => Check::Form,
            RefreshTokenError::Forged => Check::Signature,
        });
        refusals::refresh_token_error(error)
    })?;
    trace.run(Check::Signature, || evidence::verified("an HMAC made with this server's key"), Ok(()))?;
    trace.credential_id = Some(token.session_id);
    trace.session_id = Some(token.session_id);
    Ok(token)
}

/// Parses a refresh token. Distinguishes tokens of another type from malformed ones.
///
/// # Errors
/// `token_malformed`, `token_signature_invalid`, `token_type_mismatch`.
pub(crate) fn read_refresh_token(
    state: &State,
    text: &str,
    trace: &mut Trace,
) -> Result<RefreshToken, Refusal> {
    if text.starts_with(refresh_token::PREFIX) {
        return check_refresh_token(state, text, trace);
    }
    let advice = "Send the refresh token (dwr_…) of the same sign-in.";
    if text.starts_with(personal_token::PREFIX) {
        trace.kind = Some(CredentialKind::PersonalToken);
        trace.check(Check::Form, personal_token::parse(text).map_err(refusals::personal_token_error))?;
        trace.stop(Check::Type);
        let detail = format!("This is a personal access token, which cannot be refreshed. {advice}");
        return Err(refusals::type_mismatch("refresh_token", "personal_token", &detail));
    }
    trace.kind = Some(CredentialKind::AccessToken);
    // An access token is the wrong type here, even if it has expired.
    match lookup::signed_access_token(state, text) {
        Ok(signed) => {
            trace.pass_until(&OF_ACCESS_TOKEN, Check::Times);
            note_ids(trace, &signed.claims);
            trace.stop(Check::Type);
            let detail = format!("This is an access token. {advice}");
            Err(refusals::type_mismatch("refresh_token", "access_token", &detail))
        }
        Err(error) => Err(refuse_flaw(error, trace)),
    }
}
