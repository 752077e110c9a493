//! `POST /api/v1/users/{id}/password`: a new password for somebody, or a one-time link to set one.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use uuid::Uuid;

use super::{UsersWrite, authority};
use crate::guard::fields::{Fields, FromFields};
use crate::guard::input::{Json, Path, not_found};
use crate::guard::issue::no_store;
use crate::guard::{Authorized, Caller, Services, refusal};
use crate::problem::Problem;
use crate::users::password::PlainPassword;
use crate::users::set_password::{self, LinkToken, Setting};
use crate::users::user;

/// A new password, or the wish for a link.
#[derive(Clone, utoipa::ToSchema)]
pub struct PasswordReset {
    /// The new password.
    #[schema(value_type = Option<String>, format = Password)]
    pub new_password: Option<PlainPassword>,
    /// `true` for a one-time link in its place.
    #[schema(value_type = Option<bool>)]
    pub link: bool,
}

impl FromFields for PasswordReset {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let new_password = fields.optional_text("new_password").map(|text| PlainPassword::new(&text));
        let link = fields.optional_flag("link").unwrap_or(false);
        if new_password.is_some() == link {
            fields.refuse("", "one_of", "send either `new_password` or `\"link\": true`");
        }
        Some(Self { new_password, link })
    }
}

/// A link by which a user sets a password.
#[derive(Serialize, utoipa::ToSchema)]
pub struct PasswordLink {
    /// Good once; shown once.
    pub link: String,
    /// Until when.
    pub expires_at: String,
}

/// Sets a password, or makes a link for it. Either way every session of the user ends.
#[utoipa::path(post, path = "/api/v1/users/{id}/password", tag = "users", params(("id" = Uuid, Path)),
    request_body = PasswordReset, responses(
        (status = 200, description = "The link, when one was asked for", body = PasswordLink),
        (status = 204, description = "The password is set")))]
pub async fn set(
    services: web::Data<Services>,
    guarded: Authorized<UsersWrite, (Path<Uuid>, Json<PasswordReset>)>,
) -> Result<HttpResponse, Problem> {
    let Authorized { caller, input: (Path(id), Json(request)), origin, .. } = guarded;
    let authority = authority(&caller);
    let Some(password) = request.new_password else {
        let (token, digest) = LinkToken::mint();
        let made = services
            .database
            .transaction(move |connection| {
                set_password::insert_link(connection, id, &digest, &authority, &origin)
            })
            .await
            .map_err(refusal::database)?;
        let expires_at = made.map_err(|refused| refuse(refused, &caller))?;
        let link = format!("{}/set-password/{}", services.issuer.url, token.expose());
        let answer = PasswordLink { link, expires_at: refusal::time(expires_at) };
        return Ok(no_store(HttpResponse::Ok()).json(answer));
    };
    let found = services
        .database
        .run(move |connection| user::find(connection, id))
        .await
        .map_err(refusal::database)?;
    let user = found.ok_or_else(not_found)?;
    let names: Vec<&str> =
        [Some(user.username.as_str()), user.email.as_deref()].into_iter().flatten().collect();
    refusal::password_flaws(&services.passwords.flaws(&password, &names), "/new_password")?;
    let hash = services.passwords.hash(password).await.map_err(refusal::hashing)?;
    let set = services
        .database
        .transaction(move |connection| set_password::reset(connection, id, &hash, &authority, &origin))
        .await
        .map_err(refusal::database)?;
    match set {
        Setting::Done(_) => Ok(HttpResponse::NoContent().finish()),
        refused => Err(refuse(refused, &caller)),
    }
}

fn refuse(setting: Setting, caller: &Caller) -> Problem {
    match setting {
        Setting::Denied(lacking) => refusal::permission_denied(&lacking, &caller.role),
        Setting::NotFound | Setting::Done(_) => not_found(),
    }
}
