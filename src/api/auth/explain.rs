//! `POST /api/v1/auth/explain`: explains why a token is accepted or refused, or why a request was.

use actix_web::{HttpResponse, web};
use uuid::Uuid;

use crate::explain::explanation::Explanation;
use crate::explain::question::ExplainSubject;
use crate::guard::authorized::MaybeAuthorized;
use crate::guard::origin::RequestOrigin;
use crate::http::request::Json;
use crate::http::response::no_store;
use crate::http::routing::RouteTable;
use crate::refusal::Refusal;
use crate::state::State;

/// The question: either a token, or the ID of a request. An explained token is neither used up nor recorded
/// as used.
#[derive(utoipa::ToSchema)]
#[allow(dead_code)] // for the API description only
pub(crate) struct ExplainRequest {
    /// An access, refresh or personal access token. You can also send a whole `Authorization` header, or a
    /// curl command line that contains one.
    #[schema(example = "Authorization: Bearer eyJ…")]
    pub token: Option<String>,
    /// The `request_id` of a refusal.
    pub request_id: Option<Uuid>,
    /// Together with `path`: the method of a request to check with this token. The request is not executed.
    #[schema(example = "POST", pattern = r"^[!*+.^_`|~0-9A-Za-z-]+$")]
    pub method: Option<String>,
    /// Together with `method`: the path of that request.
    #[schema(example = "/api/v1/notes", pattern = "^/")]
    pub path: Option<String>,
}

/// Explains why a token is accepted or refused, or why a request was.
///
/// An anonymous caller learns no more than the refusal itself says. The history of a token is shown only to
/// its owner and to callers with `audit:read`.
#[utoipa::path(post, path = "/api/v1/auth/explain", tag = "auth", request_body = ExplainRequest,
    security((), ("bearer" = []), ("basic" = []), ("cookie" = [])),
    responses((status = 200, description = "The explanation, check by check", body = Explanation)))]
pub(crate) async fn explain(
    state: web::Data<State>,
    routes: web::Data<RouteTable>,
    from: RequestOrigin,
    known: MaybeAuthorized<Json<ExplainSubject>>,
) -> Result<HttpResponse, Refusal> {
    let MaybeAuthorized { caller, input: Json(question) } = known;
    let explanation = question.answer(&state, &routes, &from.0, caller.as_ref()).await?;
    Ok(no_store(HttpResponse::Ok()).json(explanation))
}
