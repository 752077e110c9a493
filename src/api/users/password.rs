//! `POST /api/v1/users/{id}/password`: sets a user's password, or creates a one-time link with which the user
//! sets one.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use uuid::Uuid;

use crate::guard::requirements::UsersWrite;
use crate::guard::{Authorized, refusals};
use crate::http::fields::Draft;
use crate::http::request::Path;
use crate::http::response::{no_store, private};
use crate::operations::manage_users::{MakePasswordLink, PasswordReset, ResetPassword};
use crate::refusal::Refusal;
use crate::state::State;

/// A link with which a user sets a password.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct PasswordLink {
    /// The link. It works once, and only this response contains it. Until it is used, the account has no
    /// password.
    pub link: String,
    /// The time when the link expires.
    #[schema(format = DateTime)]
    pub expires_at: String,
    /// The number of sessions that were ended.
    pub sessions_ended: usize,
    /// The number of personal tokens that were revoked.
    pub tokens_revoked: usize,
}

/// Sets a user's password, or creates a link with which the user sets one.
///
/// In both cases the old password stops working immediately, and every session of the user ends. All personal
/// tokens of the user are revoked too, unless `revoke_tokens` is false. If they are revoked, using the link
/// also revokes those created since.
///
/// Requires a recent sign-in. Your own account also requires `account:write`, which no personal token can
/// have; use `POST /api/v1/me/password` instead.
#[utoipa::path(post, path = "/api/v1/users/{id}/password", tag = "users", params(("id" = Uuid, Path)),
    request_body = PasswordReset, responses(
        (status = 200, description = "The link, if one was requested", body = PasswordLink),
        (status = 204, description = "The password was set and every session ended. Every personal token was \
                                      revoked, unless the request asked to keep them")))]
pub(crate) async fn set(
    state: web::Data<State>,
    guarded: Authorized<UsersWrite, (Path<Uuid>, Draft<PasswordReset>)>,
) -> Result<HttpResponse, Refusal> {
    let Authorized { caller, input: (Path(id), draft), origin, .. } = guarded;
    let mistakes = if draft.has_errors() { draft.value().mistakes(&state, id).await? } else { Vec::new() };
    let request = draft.finish(mistakes)?;
    match request.new_password {
        Some(password) => {
            ResetPassword { id, password, revokes_tokens: request.revoke_tokens }
                .run(&state, &caller, origin)
                .await?;
            Ok(private(HttpResponse::NoContent()).finish())
        }
        None => {
            let made = MakePasswordLink { id, revokes_tokens: request.revoke_tokens }
                .run(&state, &caller, origin)
                .await?;
            let answer = PasswordLink {
                link: made.url,
                expires_at: refusals::time(made.expires_at),
                sessions_ended: made.ended.sessions,
                tokens_revoked: made.ended.tokens.unwrap_or(0),
            };
            Ok(no_store(HttpResponse::Ok()).json(answer))
        }
    }
}
