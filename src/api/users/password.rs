//! `POST /api/v1/users/{id}/password`: a new password for somebody, or a one-time link to set one.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use uuid::Uuid;

use crate::guard::requirements::UsersWrite;
use crate::guard::{Authorized, refusals};
use crate::http::request::{Json, Path};
use crate::http::response::{no_store, private};
use crate::operations::manage_users::MakePasswordLink;
use crate::operations::manage_users::PasswordReset;
use crate::operations::manage_users::ResetPassword;
use crate::refusal::Problem;
use crate::state::State;

/// A link by which a user sets a password.
#[derive(Serialize, utoipa::ToSchema)]
pub struct PasswordLink {
    /// Good once; shown once. Until it is used the account has no password.
    pub link: String,
    /// Until when.
    #[schema(format = DateTime)]
    pub expires_at: String,
    /// How many sessions have ended.
    pub sessions_ended: usize,
    /// How many personal tokens are revoked.
    pub tokens_revoked: usize,
}

/// Sets a password, or makes a link for it.
///
/// Either way the old password is gone at once, and every session of the user ends. Every personal token of the user is
/// revoked too, unless `revoke_tokens` is false; using the link revokes those that were made since. Asks for a recent
/// sign-in. For one's own account it also needs `account:write`, which no personal token carries: use
/// `POST /api/v1/me/password`.
#[utoipa::path(post, path = "/api/v1/users/{id}/password", tag = "users", params(("id" = Uuid, Path)),
    request_body = PasswordReset, responses(
        (status = 200, description = "The link, when one was asked for", body = PasswordLink),
        (status = 204, description = "The password is set, every session has ended, and every personal token is revoked \
                                      unless these were to be kept")))]
pub async fn set(
    state: web::Data<State>,
    guarded: Authorized<UsersWrite, (Path<Uuid>, Json<PasswordReset>)>,
) -> Result<HttpResponse, Problem> {
    let Authorized { caller, input: (Path(id), Json(request)), origin, .. } = guarded;
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
