//! Runs the ordered checks of every guarded request: header, form, signature or digest, times, issuer and
//! audience, type, revocation, session, user, permission, scope, freshness. The first check that fails is the
//! refusal. The [`Trace`] records how far each request came.

use std::sync::Arc;

use actix_web::HttpRequest;
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::caller::{Caller, Credential};
use super::credential::{self, Sent};
use super::lookup::Found;
use super::trace::{Check, CredentialKind, Trace};
use super::{csrf, refusals};
use crate::blocking;
use crate::guard::lookup;
use crate::http::routing::Rule;
use crate::refusal::{Code, Problem};
use crate::sessions::refresh_token::{self, RefreshToken, RefreshTokenFlaw};
use crate::sessions::{BrowserStanding, CookieDigest, EndReason, Standing, session};
use crate::state::State;
use crate::tokens::access_token::{AccessTokenFlaw, Claims, Signed};
use crate::tokens::ended::Ended;
use crate::tokens::names::Names;
use crate::tokens::owner::{Holder, UserStatus};
use crate::tokens::personal_token::{self, TokenStanding};
use crate::users::name::fold_typed;

/// A sign-in's time may be this far ahead of the database's clock. `nbf` and `iat` of a token have the same
/// leeway.
const LEEWAY: TimeDelta = TimeDelta::seconds(5);

/// The checks that need only the token itself, in order.
const OF_ACCESS_TOKEN: [Check; 6] =
    [Check::Form, Check::Key, Check::Signature, Check::Times, Check::Issuer, Check::Type];

/// Checks the request's credential. Returns its owner as the caller.
///
/// # Errors
/// The refusal of the first check that fails.
pub async fn identify(state: &State, request: &HttpRequest, trace: &mut Trace) -> Result<Caller, Problem> {
    let sent = read(state, request, trace)?;
    let caller = identify_sent(state, &sent, trace).await?;
    blocking::caller::note_user(caller.user_id);
    if matches!(sent, Sent::Basic { .. }) && !csrf::is_safe(request.method()) {
        trace.check(Check::Csrf, csrf::refuse_cross_site(request, &state.web.browser))?;
    }
    Ok(caller)
}

fn read(state: &State, request: &HttpRequest, trace: &mut Trace) -> Result<Sent, Problem> {
    let sent = credential::read(request, &state.web.browser);
    if let Err(problem) = &sent {
        trace.stop(credential::check_of(problem.code()));
    }
    sent
}

/// Checks a credential that was already read from the request, or pasted into an explanation.
///
/// # Errors
/// The refusal of the first check that fails.
pub async fn identify_sent(state: &State, sent: &Sent, trace: &mut Trace) -> Result<Caller, Problem> {
    trace.find(
        Check::Header,
        || "one Authorization header, or the session cookie".into(),
        || sent.in_words(),
    );
    trace.pass(Check::Header);
    match sent {
        Sent::Bearer(token) if token.starts_with(personal_token::PREFIX) => {
            identify_personal_token(state, token, None, trace).await
        }
        Sent::Bearer(token) if token.starts_with(refresh_token::PREFIX) => {
            Err(refuse_refresh_token(state, token, trace))
        }
        Sent::Bearer(token) => identify_access_token(state, token, trace).await,
        Sent::Basic { username, token } => identify_basic(state, username, token, trace).await,
        Sent::Cookie(digest) => identify_browser(state, *digest, trace).await,
    }
}

/// Checks the caller's permission, scope and freshness. If they pass and this is not an explanation, the
/// session is recorded as used.
///
/// # Errors
/// `permission_denied`, `insufficient_scope`, `authentication_too_old`.
pub async fn permit(state: &State, caller: &Caller, rule: Rule, trace: &mut Trace) -> Result<(), Problem> {
    check_permission(caller, rule, trace)?;
    check_freshness(state, caller, rule, trace).await?;
    if let Some(session_id) = caller.credential.session_id().filter(|_| !trace.explains()) {
        state.recorder.last_use.note_used(session_id);
    }
    Ok(())
}

/// Records the kind of the credential, which this server accepts.
fn note_kind(trace: &mut Trace, kind: CredentialKind) {
    trace.kind = Some(kind);
    let expected = || "an access token, a personal access token or a session cookie".to_owned();
    trace.find(Check::Kind, expected, || kind.as_str().replace('_', " "));
    trace.pass(Check::Kind);
}

async fn identify_browser(
    state: &State,
    cookie_digest: CookieDigest,
    trace: &mut Trace,
) -> Result<Caller, Problem> {
    note_kind(trace, CredentialKind::SessionCookie);
    let found = lookup::browser_standing(state, cookie_digest).await;
    let found = found.and_then(|found| found.ok_or_else(refusals::cookie_unknown));
    let browser = trace.check(Check::Signature, found)?;
    let id = browser.id;
    trace.credential_id = Some(id);
    trace.session_id = Some(id);
    trace.user_id = browser.standing.user.as_ref().map(|user| user.id);
    let user = check_browser(&browser, trace)?;
    let credential = Credential::SessionCookie {
        session_id: id,
        auth_time: browser.auth_time,
        expires_at: browser.standing.expires_at,
        csrf_token: csrf::token_of_session(&state.core.secret_keys, id),
        digest: cookie_digest,
    };
    Ok(caller(user, user.permissions.clone(), credential))
}

/// Checks a browser's session, in order. Returns its user.
pub(super) fn check_browser<'a>(
    browser: &'a BrowserStanding,
    trace: &mut Trace,
) -> Result<&'a Holder, Problem> {
    let standing = &browser.standing;
    if let Some(former) = browser.former.filter(|former| former.is_over) {
        trace.stop(Check::Revocation);
        return Err(refusals::cookie_replaced(former.replaced_at));
    }
    trace.check(Check::Session, refuse_ended(standing.ended.as_ref()))?;
    trace.check(Check::Session, refuse_expired(browser.expired_at))?;
    check_user(standing.user.as_ref(), trace)
}

fn refuse_ended(ended: Option<&Ended<EndReason>>) -> Result<(), Problem> {
    ended.map_or(Ok(()), |ended| Err(refusals::session_ended(ended)))
}

fn refuse_expired(expired_at: Option<DateTime<Utc>>) -> Result<(), Problem> {
    expired_at.map_or(Ok(()), |expired_at| Err(refusals::session_expired(expired_at)))
}

async fn identify_basic(
    state: &State,
    username: &str,
    token: &str,
    trace: &mut Trace,
) -> Result<Caller, Problem> {
    if !token.starts_with(personal_token::PREFIX) {
        trace.stop(Check::Form);
        let detail = "Basic takes a personal access token (dwp_…) for the password, never a password. Make one at \
                      POST /api/v1/me/tokens.";
        return Err(Problem::new(Code::TokenMalformed, detail));
    }
    identify_personal_token(state, token, Some(username), trace).await
}

/// Refuses a refresh token that was sent in place of an access token.
fn refuse_refresh_token(state: &State, token: &str, trace: &mut Trace) -> Problem {
    match check_refresh_token(state, token, trace) {
        Ok(_) => {
            trace.stop(Check::Type);
            refusals::type_mismatch(
                "access_token",
                "refresh_token",
                "This is a refresh token. Trade it at POST /api/v1/auth/refresh and send the access token that it \
                 gives.",
            )
        }
        Err(problem) => problem,
    }
}

fn check_refresh_token(state: &State, text: &str, trace: &mut Trace) -> Result<RefreshToken, Problem> {
    trace.kind = Some(CredentialKind::RefreshToken);
    trace.pass(Check::Kind);
    trace.find(
        Check::Form,
        || "dwr_ and 69 bytes in base64url".into(),
        || format!("{} characters", text.len()),
    );
    trace.pass(Check::Form);
    let token = match refresh_token::parse(&state.core.secret_keys, text) {
        Ok(token) => token,
        Err(flaw) => {
            trace.stop(match flaw {
                RefreshTokenFlaw::Malformed => Check::Form,
                RefreshTokenFlaw::Forged => Check::Signature,
            });
            return Err(refusals::refresh_token_flaw(flaw));
        }
    };
    trace.find(Check::Signature, || "an HMAC under this server's key".into(), || "it is".into());
    trace.pass(Check::Signature);
    trace.credential_id = Some(token.session_id);
    trace.session_id = Some(token.session_id);
    Ok(token)
}

/// Parses a refresh token. Distinguishes tokens of another type from malformed ones.
///
/// # Errors
/// `token_malformed`, `token_signature_invalid`, `token_type_mismatch`.
pub fn read_refresh_token(state: &State, text: &str, trace: &mut Trace) -> Result<RefreshToken, Problem> {
    if text.starts_with(refresh_token::PREFIX) {
        return check_refresh_token(state, text, trace);
    }
    let advice = "Send the refresh token (dwr_…) that came with it.";
    if text.starts_with(personal_token::PREFIX) {
        trace.kind = Some(CredentialKind::PersonalToken);
        trace.check(Check::Form, personal_token::parse(text).map_err(refusals::personal_token_flaw))?;
        trace.stop(Check::Type);
        let detail = format!("This is a personal access token, which is never refreshed. {advice}");
        return Err(refusals::type_mismatch("refresh_token", "personal_token", &detail));
    }
    trace.kind = Some(CredentialKind::AccessToken);
    // An access token is the wrong type here, even if it has expired.
    match lookup::signed_access_token(state, text) {
        Ok(signed) => {
            trace.pass_until(&OF_ACCESS_TOKEN, Check::Times);
            note_claims(trace, &signed.claims);
            trace.stop(Check::Type);
            let detail = format!("This is an access token. {advice}");
            Err(refusals::type_mismatch("refresh_token", "access_token", &detail))
        }
        Err(flaw) => {
            trace.pass_until(&OF_ACCESS_TOKEN, check_of(&flaw));
            trace.stop(check_of(&flaw));
            Err(refusals::access_token_flaw(flaw))
        }
    }
}

/// Returns the check that finds this error.
fn check_of(flaw: &AccessTokenFlaw) -> Check {
    match flaw {
        AccessTokenFlaw::Malformed => Check::Form,
        AccessTokenFlaw::KeyUnknown
        | AccessTokenFlaw::KeyRevoked { .. }
        | AccessTokenFlaw::KeyRetired { .. } => Check::Key,
        AccessTokenFlaw::SignatureInvalid => Check::Signature,
        AccessTokenFlaw::Expired { .. } | AccessTokenFlaw::NotYetValid { .. } => Check::Times,
        AccessTokenFlaw::IssuerMismatch { .. } | AccessTokenFlaw::AudienceMismatch { .. } => Check::Issuer,
        AccessTokenFlaw::TypeMismatch { .. } => Check::Type,
    }
}

fn note_claims(trace: &mut Trace, claims: &Claims) {
    trace.credential_id = Some(claims.jti);
    trace.session_id = Some(claims.sid);
    trace.user_id = Some(claims.sub);
}

/// Runs the checks that need only the token itself.
async fn verify_access_token(state: &State, token: &str, trace: &mut Trace) -> Result<Arc<Signed>, Problem> {
    let mut signed = lookup::signed_access_token(state, token);
    if let Err(AccessTokenFlaw::KeyUnknown | AccessTokenFlaw::KeyRetired { .. }) = signed {
        // Another node may have read a new key, or a key's later retirement, a few milliseconds earlier.
        state.core.database.feed().wait_for_next_read().await;
        signed = lookup::signed_access_token(state, token);
    }
    let now = state.core.clock.now();
    if let Ok(signed) = &signed {
        let claims = &signed.claims;
        note_claims(trace, claims);
        find_in_claims(state, claims, now, trace);
        if !trace.explains() {
            // Record this even if the request is refused, because it proves that the response with the token
            // arrived.
            state.recorder.last_use.note_presented(claims.sid, claims.generation);
        }
    }
    let verified = signed.and_then(|signed| signed.judge(&state.tokens.issuer, now).map(|()| signed));
    let stop = verified.as_ref().err().map(check_of);
    trace.pass_until(&OF_ACCESS_TOKEN, stop.unwrap_or(Check::Revocation));
    if let Some(stop) = stop {
        trace.stop(stop);
    }
    verified.map_err(refusals::access_token_flaw)
}

fn find_in_claims(state: &State, claims: &Claims, now: DateTime<Utc>, trace: &mut Trace) {
    trace.find(Check::Form, || "a JWT as RFC 9068 has it".into(), || "one, with every claim".into());
    trace.find(Check::Key, || "a key of this server".into(), || "one that may sign".into());
    trace.find(Check::Signature, || "by that key".into(), || "it is".into());
    trace.find(
        Check::Times,
        || {
            format!(
                "from {} (5 s of leeway) until before {}",
                refusals::time(claims.nbf),
                refusals::time(claims.exp)
            )
        },
        || {
            let (age, left) = ((now - claims.iat).num_seconds(), (claims.exp - now).num_seconds());
            let skew = if age < 0 {
                format!("issued {} s ahead of this clock", -age)
            } else {
                format!("issued {age} s ago")
            };
            let end =
                if claims.exp > now { format!("{left} s left") } else { format!("expired {} s ago", -left) };
            format!("it is {} here: {skew}, {end}", refusals::time(now))
        },
    );
    trace.find(
        Check::Issuer,
        || format!("from and for {}", state.tokens.issuer.url),
        || "as the token says".into(),
    );
    trace.find(Check::Type, || "at+jwt".into(), || "as the token says".into());
}

async fn identify_access_token(state: &State, token: &str, trace: &mut Trace) -> Result<Caller, Problem> {
    note_kind(trace, CredentialKind::AccessToken);
    let signed = verify_access_token(state, token, trace).await?;
    let claims = &signed.claims;
    let found = lookup::session_standing(state, claims.sid, &signed.kid).await;
    let standing = match found.inspect_err(|_| trace.stop(Check::Revocation))? {
        Found::Standing(standing) => standing,
        Found::Nothing => {
            trace.stop(Check::Session);
            return Err(refusals::session_unknown());
        }
        Found::KeyRevoked => {
            // Anyone who has the key may have signed this token, so its claims prove nothing.
            trace.disprove(Check::Key);
            return Err(refusals::access_token_flaw(AccessTokenFlaw::SignatureInvalid));
        }
    };
    let user = match check_standing(claims.ver, claims.generation, &standing, trace) {
        Ok(user) => user,
        Err(Outdated::Refused(problem)) => return Err(problem),
        Err(Outdated::VersionRaised(user_id)) => {
            let raised = lookup::version_raised(state, user_id, claims.ver).await?;
            return Err(refusals::version_raised(raised));
        }
    };
    let credential = Credential::AccessToken {
        session_id: claims.sid,
        session_scope: standing.scope.clone(),
        generation: claims.generation,
        auth_time: claims.auth_time,
        expires_at: claims.exp,
        kid: signed.kid.clone(),
        version: claims.ver,
    };
    Ok(caller(user, signed.scope.clone(), credential))
}

/// The reason why an access token of a session is refused.
pub(super) enum Outdated {
    Refused(Problem),
    /// The version of this user was increased past the token's.
    VersionRaised(Uuid),
}

impl From<Problem> for Outdated {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

/// Checks an API client's session, in order, for an access token with this version and generation.
pub(super) fn check_standing<'a>(
    version: i64,
    generation: i32,
    standing: &'a Standing,
    trace: &mut Trace,
) -> Result<&'a Holder, Outdated> {
    if let Some(user) = &standing.user {
        trace.find(
            Check::Revocation,
            || "the user's version as it is now, or a later one".into(),
            || format!("the token has version {version}, the user {}", user.version),
        );
    }
    if let Some(user) = standing.user.as_ref().filter(|user| version < user.version) {
        if check_status(&user.status).is_err() {
            // A refresh would be refused for the same reason.
            return Ok(check_user(Some(user), trace)?);
        }
        trace.stop(Check::Revocation);
        return Err(Outdated::VersionRaised(user.id));
    }
    if let Some(at) = standing.replaced_at(generation) {
        trace.stop(Check::Revocation);
        return Err(refusals::access_token_replaced(at).into());
    }
    trace.pass(Check::Revocation);
    find_in_session(standing, trace);
    trace.check(Check::Session, refuse_ended(standing.ended.as_ref()))?;
    Ok(check_user(standing.user.as_ref(), trace)?)
}

fn find_in_session(standing: &Standing, trace: &mut Trace) {
    trace.find(
        Check::Session,
        || "one that lives".into(),
        || match &standing.ended {
            None => format!("it lives until {} at most", refusals::time(standing.expires_at)),
            Some(Ended { at, reason }) => {
                format!("it was ended at {} ({})", refusals::time(*at), refusals::in_words(reason.as_str()))
            }
        },
    );
}

fn check_user<'a>(user: Option<&'a Holder>, trace: &mut Trace) -> Result<&'a Holder, Problem> {
    let user = user.ok_or_else(refusals::account_deleted).inspect_err(|_| trace.stop(Check::User))?;
    find_in_user(user, trace);
    trace.check(Check::User, check_status(&user.status))?;
    Ok(user)
}

fn find_in_user(user: &Holder, trace: &mut Trace) {
    trace.find(
        Check::User,
        || "an active account".into(),
        || format!("{}, {}, with the role {}", user.username, user.status, user.role),
    );
}

fn check_status(status: &UserStatus) -> Result<(), Problem> {
    if status.is_active() { Ok(()) } else { Err(refusals::account_disabled()) }
}

fn caller(user: &Holder, scope: Names, credential: Credential) -> Caller {
    Caller {
        user_id: user.id,
        username: user.username.clone(),
        email: user.email.clone(),
        role: user.role.clone(),
        permissions: user.permissions.clone(),
        scope,
        credential,
        version: user.version,
        required: None,
    }
}

async fn identify_personal_token(
    state: &State,
    token: &str,
    username: Option<&str>,
    trace: &mut Trace,
) -> Result<Caller, Problem> {
    note_kind(trace, CredentialKind::PersonalToken);
    trace.find(
        Check::Form,
        || "dwp_, 43 characters and a checksum of 6".into(),
        || format!("{} characters", token.len()),
    );
    let digest =
        trace.check(Check::Form, personal_token::parse(token).map_err(refusals::personal_token_flaw))?;
    let found = lookup::personal_token_standing(state, digest).await;
    let found = found.and_then(|found| found.ok_or_else(refusals::personal_token_unknown));
    let standing = trace.check(Check::Signature, found)?;
    trace.credential_id = Some(standing.id);
    trace.user_id = standing.user.as_ref().map(|user| user.id);
    let expires_at = standing.expires_at;
    trace.find(Check::Signature, || "the digest of a token that was made here".into(), || "it is".into());
    trace.find(
        Check::Times,
        || format!("before {}", refusals::time(expires_at)),
        || {
            // Use the clock that decided.
            let now = state.core.database_clock.now().unwrap_or_else(|| state.core.clock.now());
            format!("it is {} here", refusals::time(now))
        },
    );
    let user = check_personal_token(&standing, username, trace)?;
    if !trace.explains() {
        state.recorder.last_use.note_personal_token(standing.id);
    }
    let credential = Credential::PersonalToken { id: standing.id, expires_at, digest };
    Ok(caller(user, standing.scope.clone(), credential))
}

/// Checks a personal token, in order. Returns its user.
pub(super) fn check_personal_token<'a>(
    standing: &'a TokenStanding,
    username: Option<&str>,
    trace: &mut Trace,
) -> Result<&'a Holder, Problem> {
    let times = standing.expired_at.map_or(Ok(()), |at| Err(refusals::personal_token_expired(at)));
    trace.check(Check::Times, times)?;
    let revocation = standing.revoked.as_ref();
    trace.find(
        Check::Revocation,
        || "not revoked".into(),
        || {
            revocation.map_or("it is not".into(), |Ended { at, reason }| {
                format!("revoked at {} ({})", refusals::time(*at), refusals::in_words(reason.as_str()))
            })
        },
    );
    let revocation = revocation.map_or(Ok(()), |revoked| Err(refusals::personal_token_revoked(revoked)));
    trace.check(Check::Revocation, revocation)?;
    let user = standing.user.as_ref().ok_or_else(refusals::account_deleted);
    let user = user.inspect_err(|_| trace.stop(Check::User))?;
    find_in_user(user, trace);
    if username.is_some_and(|name| !is_one_of(name, &[Some(&user.username), user.email.as_deref()])) {
        trace.stop(Check::User);
        return Err(refusals::basic_name_mismatch());
    }
    trace.check(Check::User, check_status(&user.status))?;
    Ok(user)
}

fn is_one_of(typed: &str, own: &[Option<&str>]) -> bool {
    let typed = fold_typed(typed);
    typed.is_some() && own.iter().flatten().any(|name| fold_typed(name) == typed)
}

pub(super) fn check_permission(caller: &Caller, rule: Rule, trace: &mut Trace) -> Result<(), Problem> {
    let Some(permission) = rule.permission else { return Ok(()) };
    trace.find(
        Check::Permission,
        || permission.to_owned(),
        || format!("the role {} has {}", caller.role, caller.permissions.join(" ")),
    );
    let required = [permission.to_owned()];
    if !caller.permissions.iter().any(|name| name == permission) {
        trace.stop(Check::Permission);
        return Err(refusals::permission_denied(&required, &caller.role));
    }
    trace.pass(Check::Permission);
    trace.find(Check::Scope, || permission.to_owned(), || caller.scope.join(" "));
    if !caller.may(permission) {
        trace.stop(Check::Scope);
        return Err(refusals::insufficient_scope(&required, &caller.scope, &caller.credential));
    }
    trace.pass(Check::Scope);
    Ok(())
}

/// Checks the age of the last sign-in by the database's clock, because that clock set the time of the
/// sign-in.
async fn check_freshness(
    state: &State,
    caller: &Caller,
    rule: Rule,
    trace: &mut Trace,
) -> Result<(), Problem> {
    let Some(auth_time) = caller.credential.auth_time().filter(|_| rule.fresh) else { return Ok(()) };
    let now = lookup::database_time(state).await.inspect_err(|_| trace.stop(Check::Freshness))?;
    let (age, max_age) = (now - auth_time, state.web.step_up_max_age);
    trace.find(
        Check::Freshness,
        || format!("a sign-in within the last {} s", max_age.as_secs()),
        || match age.num_seconds() {
            seconds @ 0.. => format!("the last one was {seconds} s ago"),
            ahead => format!("the last one is dated {} s ahead of the database's clock", -ahead),
        },
    );
    if age > session::delta(max_age) || age < -LEEWAY {
        trace.stop(Check::Freshness);
        return Err(refusals::authentication_too_old(auth_time, max_age, now));
    }
    trace.pass(Check::Freshness);
    Ok(())
}
