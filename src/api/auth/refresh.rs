//! `POST /api/v1/auth/refresh`: exchanges a refresh token for a new one and an access token.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::guard::origin::RequestOrigin;
use crate::guard::trace::Trace;
use crate::http::fields::{Scope, json_object};
use crate::http::request::{Json, Public};
use crate::http::response::no_store;
use crate::operations::issue_tokens;
use crate::operations::refresh::{Refresh, Refreshed};
use crate::refusal::Refusal;
use crate::state::State;

json_object! {
    /// The refresh token to exchange, and optionally a scope.
    pub(crate) struct RefreshRequest {
        /// The current refresh token of the session.
        #[example = "dwr_…"]
        pub refresh_token: String,
        /// A narrower scope, for the new access token only.
        pub scope: Option<Scope>,
    }
}

/// Exchanges a refresh token for a new one and an access token.
///
/// A retry within `DOORWARD_REFRESH_GRACE` receives the current refresh token again. So does a later retry if
/// the response was lost, that is, if the current token has never been used.
#[utoipa::path(post, path = "/api/v1/auth/refresh", tag = "auth", request_body = RefreshRequest, security(()),
    responses((status = 200, description = "The new tokens of the session", body = crate::operations::issue_tokens::TokenAnswer)))]
pub(crate) async fn refresh(
    state: web::Data<State>,
    asked: HttpRequest,
    from: RequestOrigin,
    Public(Json(request)): Public<Json<RefreshRequest>>,
) -> Result<HttpResponse, Refusal> {
    let mut trace = Trace::default();
    let scope = request.scope.map(|Scope(names)| names);
    let wanted = Refresh { token: request.refresh_token, scope, rotate: true };
    let refreshed = wanted.run(&state, from.0, &mut trace).await;
    trace.keep(&asked);
    let Refreshed { grant, successor } = refreshed?;
    let answer = issue_tokens::token_answer(&state, &grant, wanted.scope, &successor)?;
    Ok(no_store(HttpResponse::Ok()).json(answer))
}
