//! Checks the caller's permission, scope and freshness.

use chrono::TimeDelta;

use super::evidence;
use crate::guard::caller::Caller;
use crate::guard::check::Check;
use crate::guard::trace::{Evidence, Trace};
use crate::guard::{lookup, refusals};
use crate::http::routing::Rule;
use crate::refusal::Refusal;
use crate::sessions::session;
use crate::state::State;

/// A sign-in's time may be this far ahead of the database's clock. `nbf` and `iat` of a token have the same
/// leeway.
const LEEWAY: TimeDelta = TimeDelta::seconds(5);

/// Checks the caller's permission, scope and freshness. If they pass and this is not an explanation, the
/// session is recorded as used.
///
/// # Errors
/// `permission_denied`, `insufficient_scope`, `authentication_too_old`.
pub(crate) async fn permit(
    state: &State,
    caller: &Caller,
    rule: Rule,
    trace: &mut Trace,
) -> Result<(), Refusal> {
    check_permission(caller, rule, trace)?;
    check_freshness(state, caller, rule, trace).await?;
    if let Some(session_id) = caller.credential.session_id().filter(|_| !trace.explains()) {
        state.recorder.last_use.record_used(session_id);
    }
    Ok(())
}

pub(in crate::guard) fn check_permission(
    caller: &Caller,
    rule: Rule,
    trace: &mut Trace,
) -> Result<(), Refusal> {
    let Some(permission) = rule.permission else { return Ok(()) };
    let required = [permission.to_owned()];
    let permitted = if caller.permissions.iter().any(|name| name == permission) {
        Ok(())
    } else {
        Err(refusals::permission_denied(&required, &caller.role))
    };
    trace.run(Check::Permission, || evidence::permission(permission, caller), permitted)?;
    let in_scope = if caller.may(permission) {
        Ok(())
    } else {
        Err(refusals::insufficient_scope(&required, &caller.scope, &caller.credential))
    };
    trace.run(Check::Scope, || Evidence::new(permission, caller.scope.join(" ")), in_scope)
}

/// Checks the age of the last sign-in by the database's clock, because that clock set the time of the
/// sign-in.
async fn check_freshness(
    state: &State,
    caller: &Caller,
    rule: Rule,
    trace: &mut Trace,
) -> Result<(), Refusal> {
    let Some(auth_time) = caller.credential.auth_time().filter(|_| rule.fresh) else { return Ok(()) };
    let now = lookup::database_time(state).await.inspect_err(|_| trace.stop(Check::Freshness))?;
    let (age, max_age) = (now - auth_time, state.web.step_up_max_age);
    let is_fresh = age <= session::delta(max_age) && age >= -LEEWAY;
    let verdict =
        if is_fresh { Ok(()) } else { Err(refusals::authentication_too_old(auth_time, max_age, now)) };
    trace.run(Check::Freshness, || evidence::sign_in_age(age.num_seconds(), max_age.as_secs()), verdict)
}
