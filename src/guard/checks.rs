//! The ordered checks that every guarded request goes through: header, form, signature or digest, times, issuer and
//! audience, type, revocation, session, user, permission, scope, freshness. The first that fails is the refusal.

use actix_web::HttpRequest;

use super::caller::{Caller, Credential};
use super::credential::{self, Sent};
use super::services::Services;
use super::{csrf, refusal};
use crate::problem::{Code, Problem};
use crate::sessions::refresh_token::{self, RefreshToken};
use crate::sessions::session;
use crate::sessions::{BrowserStanding, Standing, StandingUser, find_browser_standing, find_standing};
use crate::tokens::access_token::{self, AccessTokenFlaw, Claims};
use crate::tokens::personal_token;
use crate::users::name::fold_typed;

/// What an endpoint asks of its caller.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The permission; `None`: any caller.
    pub permission: Option<&'static str>,
    /// Whether the sign-in must be recent (RFC 9470). Personal tokens are exempt.
    pub fresh: bool,
}

/// The checks of the credential itself; gives whose it is.
///
/// # Errors
/// The refusal of the first check that fails; a fault of ours as a 5xx.
pub async fn identify(services: &Services, request: &HttpRequest) -> Result<Caller, Problem> {
    match credential::read(request, &services.browser)? {
        Sent::Bearer(token) => identify_bearer(services, &token).await,
        Sent::Basic { username, token } => {
            let caller = identify_basic(services, &username, &token).await?;
            csrf::refuse_cross_site(request)?;
            Ok(caller)
        }
        Sent::Cookie(digest) => identify_browser(services, digest).await,
    }
}

/// The checks of what the caller may do; what he is let in with counts as used.
///
/// # Errors
/// `permission_denied`, `insufficient_scope`, `authentication_too_old`.
pub fn permit(services: &Services, caller: &Caller, rule: Rule) -> Result<(), Problem> {
    check_permission(caller, rule)?;
    check_freshness(services, caller, rule)?;
    if let Some(session_id) = caller.credential.session_id() {
        services.last_use.note_used(session_id);
    }
    Ok(())
}

async fn identify_browser(services: &Services, cookie_digest: [u8; 32]) -> Result<Caller, Problem> {
    let found = services
        .database
        .run(move |connection| find_browser_standing(connection, &cookie_digest))
        .await
        .map_err(refusal::database)?;
    let BrowserStanding { id, auth_time, expired_at, standing } =
        found.ok_or_else(refusal::cookie_unknown)?;
    if let Some((ended_at, reason)) = standing.ended {
        return Err(refusal::session_ended(ended_at, &reason));
    }
    if let Some(expired_at) = expired_at {
        return Err(refusal::session_expired(expired_at));
    }
    let user = standing.user.ok_or_else(refusal::account_deleted)?;
    check_status(&user.status)?;
    let permissions = sorted(user.permissions);
    Ok(Caller {
        user_id: user.id,
        username: user.username,
        email: user.email,
        role: user.role,
        scope: permissions.clone(),
        permissions,
        credential: Credential::SessionCookie {
            session_id: id,
            auth_time,
            expires_at: standing.expires_at,
            csrf_token: csrf::token_of_session(&services.secret_keys, id),
        },
    })
}

async fn identify_bearer(services: &Services, token: &str) -> Result<Caller, Problem> {
    if token.starts_with(personal_token::PREFIX) {
        return identify_personal_token(services, token, None).await;
    }
    if token.starts_with(refresh_token::PREFIX) {
        return Err(refuse_refresh_token(services, token));
    }
    identify_access_token(services, token).await
}

async fn identify_basic(services: &Services, username: &str, token: &str) -> Result<Caller, Problem> {
    if !token.starts_with(personal_token::PREFIX) {
        let detail = "Basic takes a personal access token (dwp_…) for the password, never a password. Make one at \
                      POST /api/v1/me/tokens.";
        return Err(Problem::new(Code::TokenMalformed, detail));
    }
    identify_personal_token(services, token, Some(username)).await
}

/// A refresh token where an access token belongs.
fn refuse_refresh_token(services: &Services, token: &str) -> Problem {
    match refresh_token::parse(&services.secret_keys, token) {
        Ok(_) => refusal::type_mismatch(
            "access_token",
            "refresh_token",
            "This is a refresh token. Trade it at POST /api/v1/auth/refresh and send the access token that it gives.",
        ),
        Err(flaw) => refusal::refresh_token_flaw(flaw),
    }
}

/// Reads a refresh token where one belongs, and tells another kind of token from a broken one.
///
/// # Errors
/// `token_malformed`, `token_signature_invalid`, `token_type_mismatch`.
pub fn read_refresh_token(services: &Services, text: &str) -> Result<RefreshToken, Problem> {
    if text.starts_with(refresh_token::PREFIX) {
        return refresh_token::parse(&services.secret_keys, text).map_err(refusal::refresh_token_flaw);
    }
    let advice = "Send the refresh token (dwr_…) that came with it.";
    if text.starts_with(personal_token::PREFIX) {
        personal_token::parse(text).map_err(refusal::personal_token_flaw)?;
        let detail = format!("This is a personal access token, which is never refreshed. {advice}");
        return Err(refusal::type_mismatch("refresh_token", "personal_token", &detail));
    }
    // Whether it has expired is of no matter here: it is the wrong one of the two.
    match access_token::verify_signature(&services.keys.current(), text) {
        Ok(_) => {
            let detail = format!("This is an access token. {advice}");
            Err(refusal::type_mismatch("refresh_token", "access_token", &detail))
        }
        Err(flaw) => Err(refusal::access_token_flaw(flaw)),
    }
}

async fn identify_access_token(services: &Services, token: &str) -> Result<Caller, Problem> {
    let ring = services.keys.current();
    let verified = access_token::verify(&ring, &services.issuer, token, services.clock.now());
    let proven = match &verified {
        Ok(verified) => Some(&verified.claims),
        Err(flaw) => flaw.claims(),
    };
    if let Some(claims) = proven {
        // Whether or not it is let in: the answer that carried it has arrived.
        services.last_use.note_presented(claims.sid, claims.generation);
    }
    let verified = verified.map_err(refusal::access_token_flaw)?;
    let (session_id, kid) = (verified.claims.sid, verified.kid);
    let (key_revoked_at, standing) = services
        .database
        .run(move |connection| find_standing(connection, session_id, &kid))
        .await
        .map_err(refusal::database)?;
    if key_revoked_at.is_some() {
        return Err(refusal::access_token_flaw(AccessTokenFlaw::SignatureInvalid));
    }
    let session_scope = standing.as_ref().and_then(|standing| standing.scope.clone());
    let user = check_standing(services, &verified.claims, standing).await?;
    Ok(caller_of_access_token(verified.claims, session_scope, user))
}

async fn check_standing(
    services: &Services,
    claims: &Claims,
    standing: Option<Standing>,
) -> Result<StandingUser, Problem> {
    let Some(standing) = standing else { return Err(refusal::session_unknown()) };
    if let Some(user) = standing.user.as_ref().filter(|user| claims.ver < user.version) {
        return Err(refuse_old_version(services, user, claims.ver).await);
    }
    if let Some((ended_at, reason)) = standing.ended {
        return Err(refusal::session_ended(ended_at, &reason));
    }
    let Some(user) = standing.user else { return Err(refusal::account_deleted()) };
    check_status(&user.status)?;
    Ok(user)
}

/// When and why the user's version was raised past the token's.
async fn refuse_old_version(services: &Services, user: &StandingUser, version: i64) -> Problem {
    let user_id = user.id;
    let found = services
        .database
        .run(move |connection| crate::tokens::revocation::find_of_user(connection, user_id, version))
        .await;
    match found {
        Ok(found) => refusal::version_raised(found),
        Err(error) => refusal::database(error),
    }
}

fn check_status(status: &str) -> Result<(), Problem> {
    if status == crate::users::user::ACTIVE { Ok(()) } else { Err(refusal::account_disabled()) }
}

fn caller_of_access_token(claims: Claims, session_scope: Option<Vec<String>>, user: StandingUser) -> Caller {
    Caller {
        user_id: user.id,
        username: user.username,
        email: user.email,
        role: user.role,
        permissions: sorted(user.permissions),
        scope: sorted(claims.scope.split(' ').filter(|name| !name.is_empty()).map(str::to_owned).collect()),
        credential: Credential::AccessToken {
            session_id: claims.sid,
            session_scope,
            generation: claims.generation,
            auth_time: claims.auth_time,
            expires_at: claims.exp,
        },
    }
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

async fn identify_personal_token(
    services: &Services,
    token: &str,
    username: Option<&str>,
) -> Result<Caller, Problem> {
    let digest = personal_token::parse(token).map_err(refusal::personal_token_flaw)?;
    let found = services
        .database
        .run(move |connection| personal_token::find_standing(connection, &digest))
        .await
        .map_err(refusal::database)?;
    let Some(standing) = found else { return Err(refusal::personal_token_unknown()) };
    if let Some(expired_at) = standing.expired_at {
        return Err(refusal::personal_token_expired(expired_at));
    }
    if let Some((revoked_at, reason)) = &standing.revoked {
        return Err(refusal::personal_token_revoked(*revoked_at, reason));
    }
    let Some(user) = standing.user else { return Err(refusal::account_deleted()) };
    if username.is_some_and(|name| !is_one_of(name, &[Some(&user.username), user.email.as_deref()])) {
        return Err(refusal::basic_name_mismatch());
    }
    check_status(&user.status)?;
    services.last_use.note_personal_token(standing.id);
    Ok(Caller {
        user_id: user.id,
        username: user.username,
        email: user.email,
        role: user.role,
        permissions: sorted(user.permissions),
        scope: sorted(standing.scope),
        credential: Credential::PersonalToken { id: standing.id, expires_at: standing.expires_at },
    })
}

fn is_one_of(typed: &str, own: &[Option<&str>]) -> bool {
    let typed = fold_typed(typed);
    typed.is_some() && own.iter().flatten().any(|name| fold_typed(name) == typed)
}

fn check_permission(caller: &Caller, rule: Rule) -> Result<(), Problem> {
    let Some(permission) = rule.permission else { return Ok(()) };
    if !caller.permissions.iter().any(|name| name == permission) {
        return Err(refusal::permission_denied(&[permission.to_owned()], &caller.role));
    }
    if !caller.may(permission) {
        return Err(refusal::insufficient_scope(&[permission.to_owned()], &caller.scope, &caller.credential));
    }
    Ok(())
}

fn check_freshness(services: &Services, caller: &Caller, rule: Rule) -> Result<(), Problem> {
    let Some(auth_time) = caller.credential.auth_time().filter(|_| rule.fresh) else { return Ok(()) };
    let age = services.clock.now() - auth_time;
    if age > session::delta(services.step_up_max_age) {
        return Err(refusal::authentication_too_old(auth_time, services.step_up_max_age));
    }
    Ok(())
}
