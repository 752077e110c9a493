//! `POST /api/v1/me/password`: another password for oneself.

use actix_web::{HttpResponse, web};

use crate::guard::account::PasswordChange;
use crate::guard::input::Json;
use crate::guard::issue::private;
use crate::guard::requirements::AccountWrite;
use crate::guard::{Authorized, Services};
use crate::problem::Problem;

/// Changes the password; every other session ends.
#[utoipa::path(post, path = "/api/v1/me/password", tag = "me", request_body = PasswordChange,
    responses((status = 204, description = "It is changed")))]
pub async fn change(
    services: web::Data<Services>,
    guarded: Authorized<AccountWrite, Json<PasswordChange>>,
) -> Result<HttpResponse, Problem> {
    let Authorized { caller, input: Json(request), origin, .. } = guarded;
    services.change_password(&caller, request, origin).await?;
    Ok(private(HttpResponse::NoContent()).finish())
}
