//! Ends a user's sessions and revokes their personal tokens.

use uuid::Uuid;

use super::authority::{Effect, change_account, refuse_lacking};
use crate::audit::Origin;
use crate::guard::caller::Caller;
use crate::refusal::{Refusal, not_found};
use crate::sessions::{EndReason, SessionSelection, end_sessions};
use crate::state::State;
use crate::tokens::personal_token::{self, RevokeReason};
use crate::users::user::{self, Access};

/// Ends sessions of a user. Returns the IDs of those that had not ended before.
pub(crate) struct EndSessionsOf {
    pub user_id: Uuid,
    pub which: SessionSelection,
}

impl EndSessionsOf {
    /// # Errors
    /// `not_found`, `permission_denied`, `insufficient_scope`.
    pub(crate) async fn run(
        self,
        state: &State,
        caller: &Caller,
        origin: Origin,
    ) -> Result<Vec<Uuid>, Refusal> {
        let Self { user_id, which } = self;
        change_account(state, caller, user_id, Effect::TakesAway, move |connection, caller, authority| {
            match user::check_access(connection, user_id, authority)? {
                Access::Granted => end_sessions(connection, &which, EndReason::EndedByAdmin, &origin).map(Ok),
                refused => Ok(Err(refuse_access(refused, caller))),
            }
        })
        .await
    }
}

/// Revokes one personal token of a user, or all of them. Returns the IDs of those that had not been revoked
/// before.
pub(crate) struct RevokeTokensOf {
    pub user_id: Uuid,
    pub token_id: Option<Uuid>,
}

impl RevokeTokensOf {
    /// # Errors
    /// `not_found`, `permission_denied`, `insufficient_scope`.
    pub(crate) async fn run(
        self,
        state: &State,
        caller: &Caller,
        origin: Origin,
    ) -> Result<Vec<Uuid>, Refusal> {
        let Self { user_id, token_id } = self;
        let which = token_id.map_or(personal_token::TokenSelection::AllOf(user_id), |token_id| {
            personal_token::TokenSelection::OneOf(user_id, token_id)
        });
        change_account(state, caller, user_id, Effect::TakesAway, move |connection, caller, authority| {
            match user::check_access(connection, user_id, authority)? {
                Access::Granted => {
                    personal_token::revoke(connection, which, RevokeReason::ByAdmin, &origin).map(Ok)
                }
                refused => Ok(Err(refuse_access(refused, caller))),
            }
        })
        .await
    }
}

fn refuse_access(access: Access, caller: &Caller) -> Refusal {
    match access {
        Access::Denied(lacking) => refuse_lacking(&lacking, caller),
        Access::NotFound | Access::Granted => not_found(),
    }
}
