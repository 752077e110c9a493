//! Rehearses a recorded request: would it be authorized if it were sent again now? The record has no credential,
//! so the checks of the credential itself are not made.

use actix_web::http::Method;
use uuid::Uuid;

use super::explanation::Explanation;
use super::history;
use crate::guard::check::{Check, CredentialKind};
use crate::guard::{csrf, lookup, refusals as reasons};
use crate::http::routing::{RouteLookup, RouteTable, Rule};
use crate::refusal::Refusal;
use crate::state::State;
use crate::tokens::ended::Ended;
use crate::tokens::personal_token;
use crate::users::{role, user};

/// The outcome that a check would have now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prospect {
    Passes,
    Fails,
    /// Only the credential or the object shows it, and neither is in the record.
    NotMade,
}

/// A check as it would go now.
pub(crate) struct RehearsedCheck {
    pub check: Check,
    pub prospect: Prospect,
    /// The state that was found, or what is missing for the check.
    pub found: String,
}

/// The result of a rehearsal, with the checks in their order.
pub(crate) struct Rehearsal {
    pub checks: Vec<RehearsedCheck>,
}

impl Rehearsal {
    /// Returns whether a check would fail, so that the request would be refused again.
    #[must_use]
    pub(crate) fn fails(&self) -> bool {
        self.checks.iter().any(|line| line.prospect == Prospect::Fails)
    }

    fn add(&mut self, check: Check, prospect: Prospect, found: impl Into<String>) {
        self.checks.push(RehearsedCheck { check, prospect, found: found.into() });
    }

    /// Adds a check that passes, or fails with this refusal.
    fn judge(&mut self, check: Check, passed: &str, refused: Option<&Refusal>) {
        match refused {
            Some(refusal) => self.add(check, Prospect::Fails, refusal.detail()),
            None => self.add(check, Prospect::Passes, passed),
        }
    }
}

/// Rehearses a recorded request of a guarded route. Returns `None` for other explanations, and if the asker may
/// not see whose credential it was.
///
/// # Errors
/// Those of the database.
pub(crate) async fn rehearse(
    state: &State,
    routes: &RouteTable,
    explanation: &Explanation,
) -> Result<Option<Rehearsal>, Refusal> {
    let Some(request) = explanation.request.as_ref().filter(|request| request.occurred_at.is_some()) else {
        return Ok(None);
    };
    let Some(credential) = &explanation.credential else { return Ok(None) };
    let (Some(user_id), Ok(method)) = (credential.user_id, Method::from_bytes(request.method.as_bytes()))
    else {
        return Ok(None);
    };
    let RouteLookup::Guarded(rule) = routes.find(&method, &request.path) else { return Ok(None) };
    let mut rehearsal = Rehearsal { checks: Vec::new() };
    let text = "The record does not contain the credential: its form, signature and times.";
    rehearsal.add(Check::Signature, Prospect::NotMade, text);
    let is_personal = credential.kind == CredentialKind::PersonalToken.as_str();
    let scope = match (is_personal, credential.id, credential.session_id) {
        (true, Some(id), _) => judge_personal_token(state, id, &mut rehearsal).await?,
        (false, _, Some(id)) => {
            judge_session(state, id, &mut rehearsal).await?;
            None
        }
        _ => None,
    };
    judge_user(state, user_id, rule, &mut rehearsal).await?;
    judge_scope(rule, scope.as_deref(), &mut rehearsal);
    if credential.kind == CredentialKind::SessionCookie.as_str() && !csrf::is_safe(&method) {
        let text = "Only the form or script that sends the request has the CSRF token.";
        rehearsal.add(Check::Csrf, Prospect::NotMade, text);
    }
    if rule.fresh && !is_personal {
        let text = "This action needs a recent sign-in. Only the credential has the time of the last one.";
        rehearsal.add(Check::Freshness, Prospect::NotMade, text);
    }
    rehearsal.checks.sort_by_key(|line| line.check);
    Ok(Some(rehearsal))
}

async fn judge_session(state: &State, id: Uuid, rehearsal: &mut Rehearsal) -> Result<(), Refusal> {
    let refused = match history::session_history(state, id, None).await? {
        None => Some(reasons::session_unknown()),
        Some(session) => match &session.ended {
            Some(ended) => Some(reasons::session_ended(ended)),
            None => session.is_expired.then(|| reasons::session_expired(session.expires_at)),
        },
    };
    rehearsal.judge(Check::Session, "The session is active.", refused.as_ref());
    Ok(())
}

/// Judges a personal token by its row. Returns its scope.
async fn judge_personal_token(
    state: &State,
    id: Uuid,
    rehearsal: &mut Rehearsal,
) -> Result<Option<Vec<String>>, Refusal> {
    let found = state.core.database.run(move |connection| personal_token::find_history(connection, id)).await;
    let Some(history) = found? else {
        rehearsal.add(Check::Revocation, Prospect::Fails, "The token no longer exists.");
        return Ok(None);
    };
    let now = lookup::database_time(state).await?;
    let expires_at = history.token.expires_at;
    let expired = (expires_at <= now).then(|| reasons::personal_token_expired(expires_at));
    rehearsal.judge(Check::Times, "The token has not expired.", expired.as_ref());
    let revoked = Ended::of_columns(history.revoked_at, history.revoked_reason);
    let revoked = revoked.as_ref().map(reasons::personal_token_revoked);
    rehearsal.judge(Check::Revocation, "The token is not revoked.", revoked.as_ref());
    Ok(Some(history.token.scope))
}

async fn judge_user(state: &State, id: Uuid, rule: Rule, rehearsal: &mut Rehearsal) -> Result<(), Refusal> {
    let found = state.core.database.run(move |connection| {
        let Some(user) = user::find(connection, id)? else { return Ok(None) };
        let permissions = role::find_permissions(connection, &user.role)?.unwrap_or_default();
        Ok(Some((user, permissions)))
    });
    let Some((user, permissions)) = found.await? else {
        rehearsal.judge(Check::User, "", Some(&reasons::account_deleted()));
        return Ok(());
    };
    let disabled = (!user.is_active()).then(reasons::account_disabled);
    rehearsal.judge(Check::User, "The account is active.", disabled.as_ref());
    if let Some(permission) = rule.permission {
        let is_missing = !permissions.iter().any(|name| name == permission);
        let denied = is_missing.then(|| reasons::permission_denied(&[permission.to_owned()], &user.role));
        let text = format!("The role `{}` has the permission `{permission}`.", user.role);
        rehearsal.judge(Check::Permission, &text, denied.as_ref());
    }
    Ok(())
}

fn judge_scope(rule: Rule, scope: Option<&[String]>, rehearsal: &mut Rehearsal) {
    let Some(permission) = rule.permission else { return };
    match scope {
        Some(scope) if scope.iter().any(|name| name == permission) => {
            rehearsal.add(Check::Scope, Prospect::Passes, format!("The token allows `{permission}`."));
        }
        Some(_) => {
            rehearsal.add(Check::Scope, Prospect::Fails, format!("The token does not allow `{permission}`."));
        }
        None => rehearsal.add(
            Check::Scope,
            Prospect::NotMade,
            "Only the credential says to which permissions it is limited.",
        ),
    }
}
