//! `GET` and `PATCH /api/v1/me`: who I am, and by which credential; another name or address for myself.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use uuid::Uuid;

use super::AccountWrite;
use super::password::verify_current;
use crate::guard::fields::{Fields, FromFields};
use crate::guard::input::Json;
use crate::guard::issue::private;
use crate::guard::{AnyCaller, Authorized, Caller, Services, refusal};
use crate::problem::Problem;
use crate::users::change::{self, Change, Changes};
use crate::users::name::{EmailAddress, Username};
use crate::users::password::PlainPassword;
use crate::users::user::Authority;

/// Oneself.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Me {
    /// The user's id.
    pub id: Uuid,
    /// The user's name.
    #[schema(example = "alice")]
    pub username: String,
    /// The user's e-mail address.
    pub email: Option<String>,
    /// The user's role.
    #[schema(example = "member")]
    pub role: String,
    /// What the role may.
    pub permissions: Vec<String>,
    /// What was sent to prove it.
    pub credential: MyCredential,
}

/// The credential that a request was sent with.
#[derive(Serialize, utoipa::ToSchema)]
pub struct MyCredential {
    /// `access_token` or `personal_token`.
    #[schema(example = "access_token")]
    pub kind: &'static str,
    /// What it may do.
    pub scope: Vec<String>,
    /// The session that it belongs to; null for a personal token.
    pub session_id: Option<Uuid>,
    /// When the user last gave the password; null for a personal token.
    pub auth_time: Option<String>,
    /// When it expires.
    pub expires_at: String,
}

/// Shows oneself. Needs no permission.
#[utoipa::path(get, path = "/api/v1/me", tag = "me", responses((status = 200, description = "Oneself", body = Me)))]
pub async fn show(guarded: Authorized<AnyCaller>) -> HttpResponse {
    private(HttpResponse::Ok()).json(me(guarded.caller))
}

fn me(caller: Caller) -> Me {
    let credential = MyCredential {
        kind: caller.credential.kind(),
        scope: caller.scope,
        session_id: caller.credential.session_id(),
        auth_time: caller.credential.auth_time().map(refusal::time),
        expires_at: refusal::time(caller.credential.expires_at()),
    };
    Me {
        id: caller.user_id,
        username: caller.username,
        email: caller.email,
        role: caller.role,
        permissions: caller.permissions,
        credential,
    }
}

/// Another name or address.
#[derive(Clone, utoipa::ToSchema)]
pub struct MeChanges {
    /// Another username.
    #[schema(value_type = Option<String>)]
    pub username: Option<Username>,
    /// Another address; null removes it.
    #[schema(value_type = Option<String>, format = Email)]
    pub email: Option<Option<EmailAddress>>,
    /// The password of the account.
    #[schema(value_type = String, format = Password)]
    pub current_password: PlainPassword,
}

impl FromFields for MeChanges {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let username = fields.nullable_text("username");
        let email = fields.nullable_text("email");
        let current_password = fields.text("current_password");
        let username = match username {
            Some(None) => {
                fields.refuse("username", "wrong_type", "a username cannot be removed");
                None
            }
            other => other.flatten().and_then(|text| fields.username("username", &text)),
        };
        let email = match email {
            Some(Some(text)) => fields.email("email", &text).map(Some),
            other => other.map(|_| None),
        };
        Some(Self { username, email, current_password: PlainPassword::new(&current_password?) })
    }
}

/// Changes oneself.
#[utoipa::path(patch, path = "/api/v1/me", tag = "me", request_body = MeChanges,
    responses((status = 200, description = "Oneself, changed", body = Me)))]
pub async fn update(
    services: web::Data<Services>,
    guarded: Authorized<AccountWrite, Json<MeChanges>>,
) -> Result<HttpResponse, Problem> {
    let Authorized { mut caller, input: Json(request), origin, .. } = guarded;
    verify_current(&services, &caller, request.current_password, &origin).await?;
    let changes = Changes { username: request.username, email: request.email, ..Changes::default() };
    let user_id = caller.user_id;
    let changed = services
        .database
        .transaction(move |connection| {
            change::update(connection, user_id, &changes, &Authority::Unlimited, &origin)
        })
        .await
        .map_err(refusal::database)?;
    match changed {
        Change::Done(user) => {
            caller.username = user.username;
            caller.email = user.email;
            Ok(private(HttpResponse::Ok()).json(me(caller)))
        }
        Change::NameTaken(taken) => Err(refusal::name_taken(taken)),
        Change::NotFound => Err(refusal::account_deleted()),
        Change::UnknownRole | Change::Denied(_) | Change::LastAdmin => Err(refusal::internal()),
    }
}
