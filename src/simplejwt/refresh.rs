//! `POST /api/token/refresh/`: exchanges a refresh token for a new access token. A setting decides whether
//! the refresh token is rotated or stays valid.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

use super::answer::answer;
use super::body::{Body, FromBody, SentBody};
use super::obtain::access_token;
use super::refusal::Refusals;
use crate::guard::origin::RequestOrigin;
use crate::guard::trace::Trace;
use crate::http::request::Public;
use crate::operations::refresh::{Refresh, Refreshed};
use crate::refusal::Refusal;
use crate::state::State;

/// A refresh token.
#[derive(utoipa::ToSchema)]
#[schema(as = SimplejwtRefresh)]
pub(crate) struct RefreshToken {
    /// The refresh token.
    #[schema(example = "dwr_…", pattern = r"^[^\u0000]*[^\s\u0000\u001c-\u001f\u0085][^\u0000]*$")]
    pub refresh: String,
}

impl FromBody for RefreshToken {
    fn from_body(body: &mut Body) -> Option<Self> {
        body.text("refresh").map(|refresh| Self { refresh })
    }
}

/// The tokens that a refresh returns.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = SimplejwtRefreshed)]
pub(crate) struct Tokens {
    /// The access token, to be sent as `Authorization: Bearer …`.
    pub access: String,
    /// The new refresh token. It is present only if `DOORWARD_SIMPLEJWT_ROUTES` is `rotate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "dwr_…")]
    pub refresh: Option<String>,
}

/// Exchanges a refresh token for a new access token, like simplejwt's TokenRefreshView.
#[utoipa::path(post, path = "/api/token/refresh/", tag = "simplejwt", operation_id = "simplejwt_refresh", security(()),
    request_body(content((RefreshToken = "application/json"), (RefreshToken = "application/x-www-form-urlencoded"),
        (RefreshToken = "multipart/form-data"))),
    responses((status = 200, description = "A new access token", body = Tokens), Refusals))]
pub(crate) async fn refresh(
    state: web::Data<State>,
    head: HttpRequest,
    from: RequestOrigin,
    Public(SentBody(sent)): Public<SentBody<RefreshToken>>,
) -> Result<HttpResponse, Refusal> {
    let mut trace = Trace::default();
    let wanted = Refresh { token: sent.refresh, scope: None, rotate: state.web.simplejwt_rotates };
    let refreshed = wanted.run(&state, from.0, &mut trace).await;
    trace.keep(&head);
    let Refreshed { grant, successor } = refreshed?;
    let access = access_token(&state, &grant)?;
    let refresh = wanted.rotate.then(|| successor.expose().to_owned());
    Ok(answer(&Tokens { access, refresh }))
}
