//! Signs in with a password, for the tokens of an API client and for the cookie of a browser.

use crate::audit::{EventDetails, Origin, Subject, event};
use crate::blocking::{Claim, Lane, caller};
use crate::guard::refusals;
use crate::limits::counters::{AttemptOutcome, Reservation};
use crate::limits::known_address;
use crate::operations::roles;
use crate::operations::throttle;
use crate::random;
use crate::refusal::{Code, Refusal};
use crate::sessions::session_state::FormerCookie;
use crate::sessions::{
    self, CookieDigest, EndReason, Grant, NewSession, SessionSecret, SessionSelection, end_sessions,
    find_browser_state, session,
};
use crate::state::State;
use crate::users::name::fold_typed;
use crate::users::password::PlainPassword;
use crate::users::user::{self, Login};

/// The password is verified at most this often, if it changes meanwhile.
pub(super) const ATTEMPTS: usize = 3;

/// A request to sign in.
#[derive(Clone, Debug)]
pub(crate) struct SignIn {
    /// The username or the e-mail address.
    pub username: String,
    pub password: PlainPassword,
    /// The scope requested for the session.
    pub scope: Option<Vec<String>>,
    /// The name that the device gave itself.
    pub device: Option<String>,
    /// The credential that the client gets for the session.
    pub secret: SessionSecret,
    /// The digest of the browser's cookie from an earlier session. The new session replaces that one.
    pub replaces: Option<CookieDigest>,
}

impl SignIn {
    /// Verifies the password and starts a session. The attempt is counted first, and must not be throttled.
    ///
    /// # Errors
    /// `too_many_attempts`, `invalid_credentials`, `account_disabled` if the password is correct,
    /// `permission_denied` and `validation_failed` for the scope.
    pub(crate) async fn run(&self, state: &State, origin: &Origin) -> Result<Grant, Refusal> {
        let reservation = throttle::reserve_sign_in(state, &self.username, origin).await?;
        match try_sign_in(state, self, &reservation, origin).await {
            Ok(Attempt::SignedIn(grant)) => Ok(*grant),
            Ok(Attempt::Refused(refusal)) => Err(refusal),
            Err(refusal) => Err(throttle::release_refused(state, reservation, refusal).await),
        }
    }
}

/// The outcome of a sign-in whose reserved attempt is settled.
enum Attempt {
    SignedIn(Box<Grant>),
    Refused(Refusal),
}

/// Tries to sign in. An error means that the attempt is not settled, because no password was checked or the
/// session could not be started. The caller gives the attempt back.
async fn try_sign_in(
    state: &State,
    wanted: &SignIn,
    reservation: &Reservation,
    origin: &Origin,
) -> Result<Attempt, Refusal> {
    for _ in 0..ATTEMPTS {
        let found = find_login(state, &wanted.username).await?;
        let hash = found.as_ref().and_then(|login| login.password_hash.clone());
        let claim = claim_of(wanted, found.as_ref(), reservation);
        let verified = state.core.passwords.verify(claim, hash.clone(), wanted.password.clone()).await;
        let (Some(login), Some(hash), Some(verified)) = (found.clone(), hash, verified?) else {
            let code = Code::InvalidCredentials;
            return Ok(refuse_sign_in(state, wanted, found, reservation, origin, code).await);
        };
        // Only someone with the correct password learns this.
        if !login.user.is_active() {
            let code = Code::AccountDisabled;
            return Ok(refuse_sign_in(state, wanted, Some(login), reservation, origin, code).await);
        }
        if let Some(scope) = &wanted.scope
            && let Err(refusal) = check_scope_of(state, scope, &login).await
        {
            return refuse_scope_of(state, &login, refusal, reservation, origin).await;
        }
        let upgraded = verified.upgraded.map(|hash| hash.expose().to_owned());
        if let Some(grant) = begin(state, wanted, &login, (hash, upgraded), reservation, origin).await? {
            return Ok(Attempt::SignedIn(Box::new(grant)));
        }
        // The password or the status has changed since it was verified, so try again.
    }
    Err(changed_meanwhile())
}

async fn find_login(state: &State, username: &str) -> Result<Option<Login>, Refusal> {
    if fold_typed(username).is_none() {
        return Ok(None);
    }
    let username = username.to_owned();
    state
        .core
        .database
        .run(move |connection| user::find_login(connection, &username))
        .await
        .map_err(Refusal::from)
}

async fn begin(
    state: &State,
    wanted: &SignIn,
    login: &Login,
    (verified_hash, upgraded_hash): (String, Option<String>),
    reservation: &Reservation,
    origin: &Origin,
) -> Result<Option<Grant>, Refusal> {
    let new = NewSession {
        id: random::id(),
        user_id: login.user.id,
        verified_hash,
        upgraded_hash,
        device: wanted.device.clone(),
        scope: wanted.scope.clone(),
        secret: wanted.secret.clone(),
    };
    let (limits, origin, replaces) = (state.tokens.lifetimes.clone(), origin.clone(), wanted.replaces);
    let reservation = reservation.clone();
    state
        .core
        .database
        .transaction(move |connection| {
            let started = sessions::begin(connection, &new, &limits, &origin)?;
            if let Some(digest) = replaces.filter(|_| started.is_some()) {
                let held = find_browser_state(connection, &digest, limits.refresh_grace, false)?;
                let is_over = |former: FormerCookie| former.is_over;
                let held = held.filter(|browser| !browser.former.is_some_and(is_over));
                let which = SessionSelection::These(held.iter().map(|browser| browser.id).collect());
                end_sessions(connection, &which, EndReason::SignedInAgain, &origin)?;
            }
            if let Some(grant) = &started {
                known_address::record(connection, grant.user_id, &known_address::network(&origin))?;
                // Do this last, because other transactions wait for these rows.
                reservation.settle(connection, AttemptOutcome::Succeeded)?;
            }
            Ok(started)
        })
        .await
        .map_err(Refusal::from)
}

/// Checks the requested scope. Names that no role has are typing mistakes. A name that the user's role lacks
/// is refused.
async fn check_scope_of(state: &State, scope: &[String], login: &Login) -> Result<(), Refusal> {
    let denied = session::missing(Some(scope), &login.permissions);
    if denied.is_empty() {
        return Ok(());
    }
    roles::refuse_unknown_scope(state, &denied).await?;
    Err(refusals::permission_denied(&denied, &login.user.role))
}

/// Refuses the scope. The password was correct, so the attempt does not count. The audit log records that the
/// password was confirmed.
async fn refuse_scope_of(
    state: &State,
    login: &Login,
    refusal: Refusal,
    reservation: &Reservation,
    origin: &Origin,
) -> Result<Attempt, Refusal> {
    let code = refusal.code();
    if code.status().is_server_error() {
        return Err(refusal);
    }
    let (user, origin, reservation) = (login.user.clone(), origin.clone(), reservation.clone());
    let recorded = state.core.database.transaction(move |connection| {
        let subject = Subject { id: Some(user.id), name: Some(&user.username) };
        let details = EventDetails::LoginFailed { code: code.as_str().to_owned(), known: None };
        event::insert(connection, &origin, subject, &details)?;
        reservation.settle(connection, AttemptOutcome::Released)
    });
    recorded.await?;
    Ok(Attempt::Refused(refusal))
}

/// Refuses a sign-in. An unknown user, a wrong password and an account without a password get the same
/// response. The audit log distinguishes them.
async fn refuse_sign_in(
    state: &State,
    wanted: &SignIn,
    login: Option<Login>,
    reservation: &Reservation,
    origin: &Origin,
    code: Code,
) -> Attempt {
    let typed = throttle::name_for_audit(&wanted.username);
    let user_id = login.map(|login| login.user.id);
    let details =
        EventDetails::LoginFailed { code: code.as_str().to_owned(), known: Some(user_id.is_some()) };
    let subject = Subject { id: user_id, name: Some(&typed) };
    let recorded = throttle::record_failure(state, reservation.clone(), subject, details, origin).await;
    Attempt::Refused(match (recorded, code) {
        (Err(refusal), _) => refusal,
        (Ok(()), Code::AccountDisabled) => refusals::account_disabled(),
        (Ok(()), _) => refusals::invalid_credentials(),
    })
}

/// Returns the party that this password check counts against. A name without an account has a share like any
/// account.
fn claim_of(wanted: &SignIn, found: Option<&Login>, reservation: &Reservation) -> Claim {
    let lane = if reservation.is_at_known_address() { Lane::KnownAddress } else { Lane::Ordinary };
    match found {
        Some(login) => caller::current().claim_of_account(lane, &login.user.id),
        None => caller::current().claim_of_account(lane, &fold_typed(&wanted.username)),
    }
}

/// Refuses a request because the account changed during each attempt.
pub(super) fn changed_meanwhile() -> Refusal {
    let detail = "The account is being changed right now. Try again.";
    Refusal::new(Code::Overloaded, detail).retry_after(refusals::RETRY_AFTER)
}
