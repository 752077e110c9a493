//! Refuses callers who lack a permission, a scope or a recent sign-in.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::time;
use crate::guard::caller::Credential;
use crate::refusal::{Action, Code, Refusal};
use crate::tokens::names::Names;
use crate::users::role::ACCOUNT_WRITE;

/// Refuses a user whose role lacks the permission.
#[must_use]
pub(crate) fn permission_denied(required: &[String], role: &str) -> Refusal {
    let detail =
        format!("This requires the permission {}, which the role `{role}` does not have.", listed(required));
    Refusal::new(Code::PermissionDenied, detail).with("required", required).with("role", role)
}

/// Refuses a credential whose scope lacks the permission, although the user has it.
#[must_use]
pub(crate) fn insufficient_scope(
    required: &[String],
    granted: &[String],
    credential: &Credential,
) -> Refusal {
    let session_may = |scope: &Option<Names>| {
        scope.as_ref().is_none_or(|scope| required.iter().all(|name| scope.contains(name)))
    };
    let (action, advice) = match credential {
        // The next refresh gives the session the scope that its sign-in requested, or all of the user's
        // permissions.
        Credential::AccessToken { session_scope, .. } if session_may(session_scope) => {
            (Action::Refresh, "Refresh with a wider scope. The session has it.")
        }
        Credential::AccessToken { .. } => (Action::Login, "Sign in again with a wider scope."),
        Credential::PersonalToken { .. } if required.iter().any(|name| name == ACCOUNT_WRITE) => (
            Action::Login,
            "Personal tokens cannot have `account:write`. Sign in, and change your own account under \
             /api/v1/me or /account.",
        ),
        Credential::PersonalToken { .. } | Credential::SessionCookie { .. } => {
            (Action::Login, "Sign in, or create a token with this scope.")
        }
    };
    scope_refused(required, granted, advice).action(action)
}

/// Refuses a scope that exceeds what was granted.
#[must_use]
pub(crate) fn scope_refused(required: &[String], granted: &[String], advice: &str) -> Refusal {
    let detail = format!(
        "This requires the scope {}, but the token has {}. {advice}",
        listed(required),
        listed(granted)
    );
    Refusal::new(Code::InsufficientScope, detail)
        .with("required", required)
        .with("granted", granted)
        .challenge_scope(&required.join(" "))
}

/// Refuses a request that needs a more recent sign-in (RFC 9470).
#[must_use]
pub(crate) fn authentication_too_old(
    auth_time: DateTime<Utc>,
    max_age: Duration,
    now: DateTime<Utc>,
) -> Refusal {
    let ahead = if auth_time > now { ", ahead of the server's clock" } else { "" };
    let detail = format!(
        "This requires a sign-in within the last {} s, but the last one was at {}{ahead}. Send the password \
         again to POST /api/v1/auth/step-up.",
        max_age.as_secs(),
        time(auth_time)
    );
    Refusal::new(Code::AuthenticationTooOld, detail)
        .with("auth_time", time(auth_time))
        .with("max_age", max_age.as_secs())
        .challenge_max_age(max_age)
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { format!("`{}`", names.join(" ")) }
}
