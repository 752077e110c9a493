//! `POST /api/v1/me/password`: another password for oneself.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::guard::account::PasswordChange;
use crate::guard::cookie_store;
use crate::guard::input::Json;
use crate::guard::issue::private;
use crate::guard::requirements::AccountWrite;
use crate::guard::{Authorized, Services};
use crate::problem::Problem;

/// Changes the password; every other session ends. A browser gets a new session cookie, and the old one is refused from
/// then on.
#[utoipa::path(post, path = "/api/v1/me/password", tag = "me", request_body = PasswordChange,
    responses((status = 204, description = "It is changed")))]
pub async fn change(
    services: web::Data<Services>,
    request: HttpRequest,
    guarded: Authorized<AccountWrite, Json<PasswordChange>>,
) -> Result<HttpResponse, Problem> {
    let Authorized { caller, input: Json(change), origin, .. } = guarded;
    let renewed = services.change_password(&caller, change, origin).await?;
    let mut answer = private(HttpResponse::NoContent()).finish();
    if let Some((cookie, kept)) = renewed {
        let kept = cookie_store::kept_for(&services.browser, kept);
        cookie_store::give(&request, &mut answer, &cookie, kept);
    }
    Ok(answer)
}
