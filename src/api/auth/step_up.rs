//! `POST /api/v1/auth/step-up`: verifies the password again, for requests that require a recent sign-in
//! (RFC 9470).

use actix_web::{HttpRequest, HttpResponse, web};

use crate::guard::caller::Credential;
use crate::guard::session_cookie::{self, NewSessionCookie};
use crate::guard::{AnyCaller, Authorized};
use crate::http::fields::json_object;
use crate::http::request::Json;
use crate::http::response::{no_store, private};
use crate::operations::issue_tokens;
use crate::operations::issue_tokens::TokenAnswer;
use crate::operations::step_up::StepUp;
use crate::random;
use crate::refusal::{Code, Refusal};
use crate::sessions::{NewSecret, SteppedUp, refresh_token};
use crate::state::State;
use crate::users::password::PlainPassword;

/// The pointer to the password in the body.
const POINTER: &str = "/password";

json_object! {
    /// The proof that the user is present.
    pub(crate) struct StepUpRequest {
        /// The user's password.
        pub password: PlainPassword,
    }
}

/// Verifies the password again, and sets the session's `auth_time` to now.
///
/// Older credentials of the session keep their `auth_time`. They are refused once `DOORWARD_REFRESH_GRACE`
/// has passed since the new credentials were first used.
#[utoipa::path(post, path = "/api/v1/auth/step-up", tag = "auth", request_body = StepUpRequest,
    responses((status = 200, description = "An access token with the new `auth_time`, and the session's new refresh token",
            body = TokenAnswer),
        (status = 204, description = "The browser session has the new `auth_time` and a new cookie")))]
pub(crate) async fn step_up(
    state: web::Data<State>,
    request: HttpRequest,
    guarded: Authorized<AnyCaller, Json<StepUpRequest>>,
) -> Result<HttpResponse, Refusal> {
    let Authorized { caller, input: Json(StepUpRequest { password }), origin, .. } = guarded;
    match &caller.credential {
        Credential::AccessToken { session_id, .. } => {
            let secret: [u8; 16] = random::bytes();
            let digest = NewSecret::RefreshToken(refresh_token::digest(&secret));
            let SteppedUp { grant, .. } =
                StepUp { session_id: *session_id, password, pointer: POINTER, secret: digest }
                    .run(&state, &caller, origin)
                    .await?;
            // The scope exceeds neither that of the presented token nor what the user may do now.
            let mut scope = grant.scope();
            scope.retain(|name| caller.scope.contains(name));
            let successor = issue_tokens::refresh_token(&state, &grant, secret);
            let answer = issue_tokens::token_answer(&state, &grant, Some(scope), &successor)?;
            Ok(no_store(HttpResponse::Ok()).json(answer))
        }
        Credential::SessionCookie { session_id, .. } => {
            let cookie = NewSessionCookie::generate();
            let digest = NewSecret::Cookie(cookie.digest());
            let SteppedUp { kept, .. } =
                StepUp { session_id: *session_id, password, pointer: POINTER, secret: digest }
                    .run(&state, &caller, origin)
                    .await?;
            let mut answer = private(HttpResponse::NoContent()).finish();
            let kept = session_cookie::cookie_max_age(&state.web.browser, kept);
            session_cookie::set_cookie(&request, &mut answer, &cookie, kept);
            Ok(answer)
        }
        Credential::PersonalToken { .. } => {
            let detail = "A personal access token has no sign-in to renew. Sign in instead.";
            Err(Refusal::new(Code::PermissionDenied, detail)
                .with("required", ["session"])
                .with("role", caller.role.as_str()))
        }
    }
}
