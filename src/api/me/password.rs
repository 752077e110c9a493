//! `POST /api/v1/me/password`: changes the caller's own password.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::guard::requirements::AccountWrite;
use crate::guard::{Authorized, session_cookie};
use crate::http::fields::Draft;
use crate::http::response::private;
use crate::operations::own_account::{ChangePassword, PasswordChange, PasswordChangeDraft};
use crate::refusal::{self, Refusal};
use crate::state::State;

/// Changes the caller's own password.
///
/// All other sessions of the user end. A browser receives a new session cookie, and the old one is refused
/// from then on.
#[utoipa::path(post, path = "/api/v1/me/password", tag = "me", request_body = PasswordChange,
    responses((status = 204, description = "The password was changed")))]
pub(crate) async fn change(
    state: web::Data<State>,
    request: HttpRequest,
    guarded: Authorized<AccountWrite, Draft<PasswordChangeDraft>>,
) -> Result<HttpResponse, Refusal> {
    let Authorized { caller, input: draft, origin, .. } = guarded;
    let mistakes = draft.value().mistakes(&state, &caller).await?;
    let change = draft.finish(mistakes)?.complete().ok_or_else(refusal::internal)?;
    let renewed = ChangePassword { request: change }.run(&state, &caller, origin).await?;
    let mut answer = private(HttpResponse::NoContent()).finish();
    if let Some((cookie, kept)) = renewed {
        let kept = session_cookie::cookie_max_age(&state.web.browser, kept);
        session_cookie::set_cookie(&request, &mut answer, &cookie, kept);
    }
    Ok(answer)
}
