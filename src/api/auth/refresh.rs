//! `POST /api/v1/auth/refresh`: a refresh token for its successor and a new access token.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::audit::Origin;
use crate::guard::fields::{Fields, FromFields};
use crate::guard::input::{From, Json, Open};
use crate::guard::issue::{TokenAnswer, no_store};
use crate::guard::trace::{Check, Trace};
use crate::guard::{Services, checks, refusal};
use crate::problem::{Action, Problem};
use crate::sessions::refresh_token;
use crate::sessions::{Presented, Rotation, rotate, session};

/// What is refreshed.
#[derive(Clone, utoipa::ToSchema)]
pub struct RefreshRequest {
    /// The live refresh token.
    #[schema(example = "dwr_…")]
    pub refresh_token: String,
    /// A narrower scope for the new access token alone.
    #[schema(value_type = Option<String>, example = "notes:read")]
    pub scope: Option<Vec<String>>,
}

impl FromFields for RefreshRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let refresh_token = fields.text("refresh_token");
        let scope = fields.optional_scope("scope");
        Some(Self { refresh_token: refresh_token?, scope })
    }
}

/// Refreshes. A repeat within the grace window, or of an answer that was lost, is answered with the same successor.
#[utoipa::path(post, path = "/api/v1/auth/refresh", tag = "auth", request_body = RefreshRequest, security(()),
    responses((status = 200, description = "The session's new tokens", body = crate::guard::issue::TokenAnswer)))]
pub async fn refresh(
    services: web::Data<Services>,
    asked: HttpRequest,
    from: From,
    Open(Json(request)): Open<Json<RefreshRequest>>,
) -> Result<HttpResponse, Problem> {
    let mut trace = Trace::default();
    let answer = trade(&services, request, from.0, &mut trace).await;
    trace.keep(&asked);
    Ok(no_store(HttpResponse::Ok()).json(answer?))
}

async fn trade(
    services: &Services,
    request: RefreshRequest,
    origin: Origin,
    trace: &mut Trace,
) -> Result<TokenAnswer, Problem> {
    let token = checks::read_refresh_token(services, &request.refresh_token, trace)?;
    let presented = Presented {
        session_id: token.session_id,
        secret_digest: refresh_token::digest(&token.secret),
        generation: token.generation,
        scope: request.scope.clone(),
    };
    let limits = services.limits.clone();
    let decided = services
        .database
        .run(move |connection| rotate(connection, &presented, &limits, &origin))
        .await
        .map_err(refusal::database);
    let decided = decided.inspect_err(|_| trace.stop(Check::Revocation))?;
    if let Some(stop) = check_of(&decided) {
        trace.stop(stop);
    }
    match decided {
        Rotation::Rotated(grant) | Rotation::Repeated(grant) => {
            let successor = services.refresh_token(&grant, token.secret);
            trace.user_id = Some(grant.user_id);
            services.token_answer(&grant, request.scope, &successor)
        }
        Rotation::Reused => Err(refusal::refresh_token_reused()),
        Rotation::Unknown => Err(refusal::refresh_token_unknown()),
        Rotation::Ended { at, reason } => Err(refusal::session_ended(at, &reason)),
        Rotation::Expired { at } => Err(refusal::session_expired(at)),
        Rotation::AccountDeleted => Err(refusal::account_deleted()),
        Rotation::AccountDisabled => Err(refusal::account_disabled()),
        Rotation::ScopeRefused { granted } => {
            let wanted = request.scope.unwrap_or_default();
            services.refuse_unknown_scope(&session::missing(Some(&wanted), &granted)).await?;
            let advice = "Ask for less, or sign in again with more; the refresh token was not spent.";
            Err(refusal::scope_refused(&wanted, &granted, advice).action(Action::Login))
        }
    }
}

/// Which check decided; `None`: all of them let it in.
fn check_of(decided: &Rotation) -> Option<Check> {
    match decided {
        Rotation::Rotated(_) | Rotation::Repeated(_) => None,
        Rotation::Reused => Some(Check::Revocation),
        Rotation::Unknown | Rotation::Ended { .. } | Rotation::Expired { .. } => Some(Check::Session),
        Rotation::AccountDeleted | Rotation::AccountDisabled => Some(Check::User),
        Rotation::ScopeRefused { .. } => Some(Check::Scope),
    }
}
