//! `POST /api/v1/auth/register`: creates an account for anyone, if the setting allows it.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use uuid::Uuid;

use crate::guard::origin::RequestOrigin;
use crate::http::fields::Draft;
use crate::http::request::Public;
use crate::http::response::no_store;
use crate::operations::register::{Register, RegisterDraft, RegisterRequest};
use crate::refusal::Refusal;
use crate::state::State;

/// An account that was just created.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Registered {
    /// The ID of the account.
    pub id: Uuid,
    /// The username.
    #[schema(example = "alice")]
    pub username: String,
    /// The e-mail address.
    pub email: Option<String>,
    /// The role.
    #[schema(example = "member")]
    pub role: String,
}

/// Creates an account, with which its user can then sign in.
///
/// The response is 404 (`not_found`) if `DOORWARD_REGISTRATION` is `closed`.
#[utoipa::path(post, path = "/api/v1/auth/register", tag = "auth", request_body = RegisterRequest, security(()),
    responses((status = 201, description = "The new account", body = Registered)))]
pub(crate) async fn register(
    state: web::Data<State>,
    from: RequestOrigin,
    Public(draft): Public<Draft<RegisterDraft>>,
) -> Result<HttpResponse, Refusal> {
    let user = Register { draft }.run(&state, from.0).await?;
    let answer = Registered { id: user.id, username: user.username, email: user.email, role: user.role };
    Ok(no_store(HttpResponse::Created()).json(answer))
}
