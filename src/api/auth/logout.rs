//! `POST /api/v1/auth/logout`: ends the session that the credential belongs to.

use actix_web::{FromRequest, HttpRequest, HttpResponse, web};

use crate::guard::origin::RequestOrigin;
use crate::guard::trace::Trace;
use crate::guard::{AnyCaller, Authorized, checks};
use crate::http::fields::json_object;
use crate::http::request::{OptionalJson, Public};
use crate::http::response::private;
use crate::operations::own_account::SignOut;
use crate::refusal::{Code, Refusal};
use crate::sessions::{SessionSelection, refresh_token};
use crate::state::State;

json_object! {
    /// The session to end. Without a body, it is the session of the credential that the request carries.
    pub(crate) struct LogoutRequest {
        /// A refresh token of the session, even one that was used or has expired.
        #[example = "dwr_…"]
        pub refresh_token: Option<String>,
    }
}

/// Ends a session.
///
/// Also succeeds if the session has already ended.
#[utoipa::path(post, path = "/api/v1/auth/logout", tag = "auth", request_body = Option<LogoutRequest>,
    responses((status = 204, description = "The session ended")))]
pub(crate) async fn logout(
    state: web::Data<State>,
    request: HttpRequest,
    from: RequestOrigin,
    Public(OptionalJson(body)): Public<OptionalJson<LogoutRequest>>,
) -> Result<HttpResponse, Refusal> {
    match body.and_then(|body| body.refresh_token) {
        // The credential of the request itself is ignored.
        Some(text) => {
            let mut trace = Trace::default();
            let token = checks::read_refresh_token(&state, &text, &mut trace);
            trace.keep(&request);
            let token = token?;
            let digest = refresh_token::digest(&token.secret);
            let which = SessionSelection::OfRefreshToken(token.session_id, digest);
            SignOut { which }.run(&state, from.0).await?;
        }
        None => {
            let guarded = Authorized::<AnyCaller>::extract(&request).await?;
            let Some(session_id) = guarded.caller.credential.session_id() else {
                let detail = "A personal access token has no session. To revoke it, send DELETE \
                              /api/v1/me/tokens/{id}.";
                return Err(Refusal::new(Code::PermissionDenied, detail)
                    .with("required", ["session"])
                    .with("role", guarded.caller.role));
            };
            let which = SessionSelection::These(vec![session_id]);
            SignOut { which }.run(&state, guarded.origin).await?;
        }
    }
    Ok(private(HttpResponse::NoContent()).finish())
}
