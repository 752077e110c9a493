//! `POST /api/v1/me/password`: another password for oneself.

use actix_web::{HttpResponse, web};
use serde_json::json;

use super::AccountWrite;
use crate::audit::Origin;
use crate::audit::event::{self, EventType, Subject};
use crate::guard::fields::{Fields, FromFields};
use crate::guard::input::Json;
use crate::guard::{Authorized, Caller, Services, refusal};
use crate::problem::Problem;
use crate::tokens::personal_token::{self, RevokeReason, Which};
use crate::users::password::PlainPassword;
use crate::users::set_password;

/// The old password and the new one.
#[derive(Clone, utoipa::ToSchema)]
pub struct PasswordChange {
    /// The password of the account.
    #[schema(value_type = String, format = Password)]
    pub current_password: PlainPassword,
    /// Another one: by default at least 12 characters, at most 1,000 bytes.
    #[schema(value_type = String, format = Password)]
    pub new_password: PlainPassword,
    /// Whether every personal token is revoked too.
    #[schema(value_type = Option<bool>, default = false)]
    pub revoke_tokens: bool,
}

impl FromFields for PasswordChange {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let current = fields.text("current_password");
        let new = fields.text("new_password");
        let revoke_tokens = fields.optional_flag("revoke_tokens").unwrap_or(false);
        Some(Self {
            current_password: PlainPassword::new(&current?),
            new_password: PlainPassword::new(&new?),
            revoke_tokens,
        })
    }
}

/// Changes the password; every other session ends.
#[utoipa::path(post, path = "/api/v1/me/password", tag = "me", request_body = PasswordChange,
    responses((status = 204, description = "It is changed")))]
pub async fn change(
    services: web::Data<Services>,
    guarded: Authorized<AccountWrite, Json<PasswordChange>>,
) -> Result<HttpResponse, Problem> {
    let Authorized { caller, input: Json(request), origin, .. } = guarded;
    let verified_hash = verify_current(&services, &caller, request.current_password, &origin).await?;
    let names: Vec<&str> =
        [Some(caller.username.as_str()), caller.email.as_deref()].into_iter().flatten().collect();
    refusal::password_flaws(&services.passwords.flaws(&request.new_password, &names), "/new_password")?;
    let new_hash = services.passwords.hash(request.new_password).await.map_err(refusal::hashing)?;
    let (user_id, kept) = (caller.user_id, caller.credential.session_id());
    let changed = services
        .database
        .transaction(move |connection| {
            let changed =
                set_password::change_own(connection, user_id, &verified_hash, &new_hash, kept, &origin)?;
            if changed.is_some() && request.revoke_tokens {
                personal_token::revoke(
                    connection,
                    Which::AllOf(user_id),
                    RevokeReason::PasswordChanged,
                    &origin,
                )?;
            }
            Ok(changed)
        })
        .await
        .map_err(refusal::database)?;
    match changed {
        Some(_) => Ok(HttpResponse::NoContent().finish()),
        // Somebody else changed it, or disabled the account, since it was verified.
        None => Err(refusal::wrong_password("/current_password")),
    }
}

/// Verifies the caller's own password; gives the hash that it was verified against.
///
/// # Errors
/// `validation_failed` at `/current_password` for a wrong one, which counts as a failed sign-in.
pub async fn verify_current(
    services: &Services,
    caller: &Caller,
    password: PlainPassword,
    origin: &Origin,
) -> Result<String, Problem> {
    let hash = services.password_hash_of(caller.user_id).await?;
    let verified = services.passwords.verify(hash.clone(), password).await.map_err(refusal::hashing)?;
    if let (Some(hash), Some(_)) = (hash, verified) {
        return Ok(hash);
    }
    let (user_id, username, origin) = (caller.user_id, caller.username.clone(), origin.clone());
    services
        .database
        .run(move |connection| {
            let subject = Subject { id: Some(user_id), name: Some(&username) };
            event::insert(
                connection,
                &origin,
                EventType::LoginFailed,
                subject,
                &json!({ "code": "wrong_password" }),
            )
        })
        .await
        .map_err(refusal::database)?;
    Err(refusal::wrong_password("/current_password"))
}
