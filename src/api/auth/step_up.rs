//! `POST /api/v1/auth/step-up`: the password once more, for what asks for a recent sign-in (RFC 9470).

use actix_web::{HttpResponse, web};

use crate::guard::caller::Credential;
use crate::guard::fields::{Fields, FromFields};
use crate::guard::input::Json;
use crate::guard::issue::{TokenAnswer, no_store, private};
use crate::guard::{AnyCaller, Authorized, Services};
use crate::problem::{Code, Problem};
use crate::sessions::Grant;
use crate::sessions::session::SteppedUp;
use crate::tokens::access_token::Reader;
use crate::users::password::PlainPassword;

/// The proof that the user is present.
#[derive(Clone, utoipa::ToSchema)]
pub struct StepUpRequest {
    /// The user's password.
    #[schema(value_type = String, format = Password)]
    pub password: PlainPassword,
}

impl FromFields for StepUpRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { password: PlainPassword::new(&fields.text("password")?) })
    }
}

/// Steps up: the session's `auth_time` is now. The refresh token in hand stays good, so none is given.
#[utoipa::path(post, path = "/api/v1/auth/step-up", tag = "auth", request_body = StepUpRequest,
    responses((status = 200, description = "An access token with the new `auth_time`", body = TokenAnswer),
        (status = 204, description = "The browser's session has the new `auth_time`")))]
pub async fn step_up(
    services: web::Data<Services>,
    guarded: Authorized<AnyCaller, Json<StepUpRequest>>,
) -> Result<HttpResponse, Problem> {
    let Authorized { caller, input: Json(request), origin, .. } = guarded;
    let Some(session_id) = caller.credential.session_id() else {
        let detail = "A personal access token has no sign-in to renew; sign in instead.";
        return Err(Problem::new(Code::PermissionDenied, detail)
            .with("required", ["session"])
            .with("role", caller.role));
    };
    let stepped_up = services.step_up(&caller, session_id, request.password, "/password", origin).await?;
    let SteppedUp { auth_time, version, session_ends } = stepped_up;
    let Credential::AccessToken { generation, expires_at, .. } = caller.credential else {
        return Ok(private(HttpResponse::NoContent()).finish());
    };
    let scope = caller.scope.join(" ");
    let grant = Grant {
        session_id,
        user_id: caller.user_id,
        username: caller.username.clone(),
        version,
        permissions: caller.permissions.to_vec(),
        session_scope: None,
        auth_time,
        // The token in hand proves that its answer arrived; nothing proves it of a later one.
        generation,
        refresh_expires_at: session_ends.max(expires_at),
        issued_at: auth_time,
    };
    let (access_token, expires_in) = services.access_token(&grant, &scope, session_ends, Reader::Standard)?;
    let answer = TokenAnswer {
        access_token,
        token_type: "Bearer",
        expires_in,
        refresh_token: None,
        refresh_expires_in: None,
        scope,
    };
    Ok(no_store(HttpResponse::Ok()).json(answer))
}
