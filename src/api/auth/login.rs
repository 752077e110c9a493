//! `POST /api/v1/auth/login`: a password for the first pair of tokens.

use actix_web::{HttpResponse, web};
use serde_json::json;

use crate::audit::event::{self, EventType, Origin, Subject};
use crate::guard::fields::{Fields, FromFields};
use crate::guard::input::{From, Json, Open};
use crate::guard::issue::no_store;
use crate::guard::{Services, refusal};
use crate::problem::{Code, Problem};
use crate::random;
use crate::sessions::{self, NewSession, refresh_token, session};
use crate::users::name::fold_typed;
use crate::users::password::PlainPassword;
use crate::users::user::{self, Login};

/// How often a sign-in is begun anew when the password changes under it.
const ATTEMPTS: usize = 3;
/// Characters that a device's name may have.
const DEVICE_MAX: usize = 100;

/// What signs in.
#[derive(Clone, utoipa::ToSchema)]
#[schema(as = LoginRequest)]
pub struct LoginRequest {
    /// The username, or the e-mail address.
    #[schema(example = "alice")]
    pub username: String,
    /// The password.
    #[schema(value_type = String, format = Password)]
    pub password: PlainPassword,
    /// A narrower scope for the whole session; without it, whatever the user may at each refresh.
    #[schema(value_type = Option<String>, example = "notes:read")]
    pub scope: Option<Vec<String>>,
    /// What the device calls itself in the list of sessions; at most 100 characters.
    #[schema(example = "curl on my laptop")]
    pub device: Option<String>,
}

impl FromFields for LoginRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let username = fields.text("username");
        let password = fields.text("password");
        let scope = fields.optional_scope("scope");
        let device = fields.optional_text("device");
        let device = fields.within("device", device, 1, DEVICE_MAX);
        Some(Self { username: username?, password: PlainPassword::new(&password?), scope, device })
    }
}

/// Signs in.
#[utoipa::path(post, path = "/api/v1/auth/login", tag = "auth", request_body = LoginRequest, security(()),
    responses((status = 200, description = "A new session's tokens", body = crate::guard::issue::TokenAnswer)))]
pub async fn login(
    services: web::Data<Services>,
    from: From,
    Open(Json(request)): Open<Json<LoginRequest>>,
) -> Result<HttpResponse, Problem> {
    for _ in 0..ATTEMPTS {
        let found = find(&services, &request.username).await?;
        let hash = found.as_ref().and_then(|login| login.password_hash.clone());
        let verified = services.passwords.verify(hash.clone(), request.password.clone()).await;
        let (Some(login), Some(hash), Some(verified)) =
            (found.clone(), hash, verified.map_err(refusal::hashing)?)
        else {
            return Err(refuse(&services, &request.username, found, &from.0, Code::InvalidCredentials).await);
        };
        // Said only to the right password.
        if !login.user.is_active() {
            return Err(
                refuse(&services, &request.username, Some(login), &from.0, Code::AccountDisabled).await
            );
        }
        if let Some(scope) = &request.scope {
            check_scope(&services, scope, &login).await?;
        }
        let upgraded = verified.upgraded.map(|hash| hash.expose().to_owned());
        if let Some(answer) = begin(&services, &request, &login, hash, upgraded, &from.0).await? {
            return Ok(answer);
        }
        // The password or the status changed since it was verified: once more from the start.
    }
    let detail = "The account is being changed just now; try again.";
    Err(Problem::new(Code::Overloaded, detail).retry_after(Services::retry_after()))
}

async fn find(services: &Services, username: &str) -> Result<Option<Login>, Problem> {
    let Some(folded) = fold_typed(username) else { return Ok(None) };
    services
        .database
        .run(move |connection| user::find_login(connection, &folded))
        .await
        .map_err(refusal::database)
}

async fn begin(
    services: &Services,
    request: &LoginRequest,
    login: &Login,
    verified_hash: String,
    upgraded_hash: Option<String>,
    origin: &Origin,
) -> Result<Option<HttpResponse>, Problem> {
    let secret = random::bytes();
    let new = NewSession {
        id: random::id(),
        user_id: login.user.id,
        verified_hash,
        upgraded_hash,
        device: request.device.clone(),
        scope: request.scope.clone(),
        secret_digest: refresh_token::digest(&secret),
    };
    let (limits, origin) = (services.limits.clone(), origin.clone());
    let begun = services
        .database
        .transaction(move |connection| sessions::begin(connection, &new, &limits, &origin))
        .await
        .map_err(refusal::database)?;
    let Some(grant) = begun else { return Ok(None) };
    let answer = services.token_answer(&grant, None, &services.refresh_token(&grant, secret))?;
    Ok(Some(no_store(HttpResponse::Ok()).json(answer)))
}

/// A name that nothing knows is a slip of the pen; one that the role lacks is a refusal.
async fn check_scope(services: &Services, scope: &[String], login: &Login) -> Result<(), Problem> {
    let denied = session::missing(Some(scope), &login.permissions);
    if denied.is_empty() {
        return Ok(());
    }
    services.refuse_unknown_scope(&denied).await?;
    Err(refusal::permission_denied(&denied, &login.user.role))
}

/// One answer for an unknown user, a wrong password and a user without one; the audit log tells them apart.
async fn refuse(
    services: &Services,
    typed: &str,
    login: Option<Login>,
    origin: &Origin,
    code: Code,
) -> Problem {
    let typed: String = typed.chars().filter(|c| !c.is_control()).take(150).collect();
    let origin = origin.clone();
    let noted = services
        .database
        .run(move |connection| {
            let user = login.as_ref().map(|login| &login.user);
            let subject = Subject { id: user.map(|user| user.id), name: Some(&typed) };
            let details = json!({ "code": code.as_str(), "known": user.is_some() });
            event::insert(connection, &origin, EventType::LoginFailed, subject, &details)
        })
        .await;
    match (noted, code) {
        (Err(error), _) => refusal::database(error),
        (Ok(()), Code::AccountDisabled) => refusal::account_disabled(),
        (Ok(()), _) => refusal::invalid_credentials(),
    }
}
