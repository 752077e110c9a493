//! `POST /api/v1/auth/explain`: explains why a token is accepted or refused, or why a request was.

use actix_web::http::Method;
use actix_web::{HttpResponse, web};
use uuid::Uuid;

use crate::explain::explanation;
use crate::explain::explanation::{Asker, Explanation, NOT_KEPT};
use crate::explain::pasted::{self, METHOD_MAX, PATH_MAX, Target};
use crate::guard::authorized::MaybeAuthorized;
use crate::guard::origin::RequestOrigin;
use crate::http::fields::{Fields, FromFields};
use crate::http::request::Json;
use crate::http::response::no_store;
use crate::http::routing::RouteTable;
use crate::operations::throttle;
use crate::refusal::{Code, Refusal};
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

/// A question whose members fit together.
#[derive(Clone)]
pub(crate) enum ExplainSubject {
    /// About the pasted credential, and optionally about a request with it.
    Token(String, Option<Target>),
    /// About the request with this ID.
    Request(Uuid),
}

impl FromFields for ExplainSubject {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let token = fields.optional_text("token");
        let request_id = fields.optional_text("request_id");
        let target = read_target(fields);
        match (token, request_id) {
            (Some(token), None) => Some(Self::Token(token, target)),
            (None, Some(id)) => match Uuid::try_parse(id.trim().trim_start_matches("urn:uuid:")) {
                Ok(id) => Some(Self::Request(id)),
                Err(_) => {
                    fields.refuse(
                        "request_id",
                        "invalid",
                        "is not a request id; a refusal's `request_id` is a UUID",
                    );
                    None
                }
            },
            (None, None) => {
                fields.refuse("token", "required", "is missing; send `token` or `request_id`");
                None
            }
            (Some(_), Some(_)) => {
                fields.refuse("request_id", "ambiguous", "cannot be sent together with `token`");
                None
            }
        }
    }
}

/// Reads `method` and `path`. Returns `None` if both are omitted, and if an error was recorded.
fn read_target(fields: &mut Fields) -> Option<Target> {
    match (fields.optional_text("method"), fields.optional_text("path")) {
        (None, None) => None,
        (Some(method), Some(path)) if method.len() > METHOD_MAX || path.len() > PATH_MAX => {
            for (name, length, most) in [("method", method.len(), METHOD_MAX), ("path", path.len(), PATH_MAX)]
            {
                if length > most {
                    fields.refuse(
                        name,
                        "too_long",
                        format!("{length} bytes were sent, but only {most} are allowed"),
                    );
                }
            }
            None
        }
        (Some(method), Some(path)) => {
            let known = Method::from_bytes(method.to_ascii_uppercase().as_bytes());
            let path_only = path.split(['?', '#']).next().unwrap_or_default().to_owned();
            match known {
                Ok(method) if path_only.starts_with('/') => Some(Target { method, path: path_only }),
                Ok(_) => {
                    fields.refuse(
                        "path",
                        "invalid",
                        "is not a path; send one that starts with `/`, without a host",
                    );
                    None
                }
                Err(_) => {
                    fields.refuse("method", "invalid", "is not an HTTP method");
                    None
                }
            }
        }
        (Some(_), None) => {
            fields.refuse("path", "required", "is missing; it is required with `method`");
            None
        }
        (None, Some(_)) => {
            fields.refuse("method", "required", "is missing; it is required with `path`");
            None
        }
    }
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
    if caller.is_none() {
        throttle::count_unverified(&state, &from.0).await?;
    }
    let asker = caller.as_ref().map_or(Asker::Anonymous, Asker::Caller);
    let explanation = match question {
        ExplainSubject::Token(text, target) => {
            explanation::explain(&state, pasted::read(&text), target, &routes, asker).await?
        }
        ExplainSubject::Request(id) => {
            let found = explanation::explain_request(&state, id, asker).await?;
            found.ok_or_else(|| Refusal::new(Code::NotFound, NOT_KEPT))?
        }
    };
    Ok(no_store(HttpResponse::Ok()).json(explanation))
}
