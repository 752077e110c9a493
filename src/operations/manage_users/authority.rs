//! Determines what a caller may do to another account.

use uuid::Uuid;

use crate::database::{Connection, Queried};
use crate::guard::caller::Caller;
use crate::guard::{refusals, rejudge};
use crate::refusal::Refusal;
use crate::state::State;
use crate::users::role::ACCOUNT_WRITE;
use crate::users::user::{Authority, Exempt};

/// The effect of an action on an account.
#[derive(Clone, Copy)]
pub(super) enum Effect {
    /// The action can give the caller control of the account, or the account more power.
    Gives,
    /// The action only takes something away from the account.
    TakesAway,
}

/// Changes the account `id` in one transaction, with the authority that the caller has at that time.
pub(super) async fn change_account<T, F>(
    state: &State,
    caller: &Caller,
    id: Uuid,
    effect: Effect,
    mut work: F,
) -> Result<T, Refusal>
where
    T: Send + 'static,
    F: FnMut(&mut Connection, &Caller, &Authority) -> Queried<Result<T, Refusal>> + Send + 'static,
{
    let work = move |connection: &mut Connection, caller: &Caller| match authority(caller, id, effect) {
        Ok(authority) => work(connection, caller, &authority),
        Err(refused) => Ok(Err(refused)),
    };
    rejudge::transaction(state, caller, Some(id), work).await
}

/// Returns the caller's authority over the account `id`, which is limited to what both role and credential
/// allow.
///
/// # Errors
/// `permission_denied` or `insufficient_scope` if the account is the caller's own and they are not allowed to
/// change it.
pub(super) fn authority(caller: &Caller, id: Uuid, effect: Effect) -> Result<Authority, Refusal> {
    let exempt = match effect {
        _ if id == caller.user_id => {
            if !caller.may(ACCOUNT_WRITE) {
                return Err(refuse_lacking(&[ACCOUNT_WRITE.to_owned()], caller));
            }
            Exempt::None
        }
        Effect::Gives => Exempt::Ordinary,
        Effect::TakesAway => Exempt::All,
    };
    Ok(Authority::Limited { held: held(caller), exempt })
}

pub(super) fn held(caller: &Caller) -> Vec<String> {
    caller.permissions.iter().filter(|name| caller.may(name)).cloned().collect()
}

/// Reports the permissions that the role lacks first, because another credential would not help with those.
pub(super) fn refuse_lacking(lacking: &[String], caller: &Caller) -> Refusal {
    let by_role: Vec<String> =
        lacking.iter().filter(|name| !caller.permissions.contains(name)).cloned().collect();
    if by_role.is_empty() {
        refusals::insufficient_scope(lacking, &caller.scope, &caller.credential)
    } else {
        refusals::permission_denied(&by_role, &caller.role)
    }
}
