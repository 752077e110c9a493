//! Accounts: `GET` and `POST /api/v1/users`, `GET`, `PATCH` and `DELETE /api/v1/users/{id}`.

use actix_web::http::header::LOCATION;
use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{UsersRead, UsersWrite, authority, refuse_change, unknown_role};
use crate::guard::fields::{Fields, FromFields};
use crate::guard::input::{Json, Path, Query, not_found};
use crate::guard::issue::private;
use crate::guard::page::{Page, PageRequest};
use crate::guard::{Authorized, Services, refusal};
use crate::problem::{FieldError, Problem};
use crate::users::change::{self, Change, Changes};
use crate::users::name::{EmailAddress, Username, fold_typed};
use crate::users::password::PlainPassword;
use crate::users::user::{self, ACTIVE, DISABLED, Filter, Insertion, NewUser, User};

/// The role of an account when none is said.
const ROLE_DEFAULT: &str = "member";

/// An account.
#[derive(Serialize, utoipa::ToSchema)]
pub struct UserItem {
    /// Its id.
    pub id: Uuid,
    /// Its username.
    #[schema(example = "alice")]
    pub username: String,
    /// Its e-mail address.
    pub email: Option<String>,
    /// Its role.
    #[schema(example = "member")]
    pub role: String,
    /// `active` or `disabled`.
    #[schema(example = "active")]
    pub status: String,
    /// When it was made.
    pub created_at: String,
    /// When it was last changed.
    pub updated_at: String,
    /// When somebody last signed in to it.
    pub last_login_at: Option<String>,
}

fn item(user: User) -> UserItem {
    UserItem {
        id: user.id,
        username: user.username,
        email: user.email,
        role: user.role,
        status: user.status,
        created_at: refusal::time(user.created_at),
        updated_at: refusal::time(user.updated_at),
        last_login_at: user.last_login_at.map(refusal::time),
    }
}

/// Which users.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UserQuery {
    /// A part of the username or address.
    pub q: Option<String>,
    /// With this role.
    pub role: Option<String>,
    /// `active` or `disabled`.
    pub status: Option<String>,
    /// Items on a page, 1 to 200.
    #[param(default = 50, minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Lists users.
#[utoipa::path(get, path = "/api/v1/users", tag = "users", params(UserQuery),
    responses((status = 200, description = "The users, latest made first", body = Page<UserItem>)))]
pub async fn list(
    services: web::Data<Services>,
    guarded: Authorized<UsersRead, Query<UserQuery>>,
) -> Result<HttpResponse, Problem> {
    let Query(query) = guarded.input;
    let status = query.status.as_deref();
    if status.is_some_and(|status| ![ACTIVE, DISABLED].contains(&status)) {
        let detail = "either `active` or `disabled`".to_owned();
        return Err(Problem::validation(vec![FieldError::new("/status", "invalid", detail)]));
    }
    let list = format!("users {:?} {:?} {:?}", query.q, query.role, query.status);
    let request = PageRequest::read(&services, list, query.limit, query.cursor.as_deref())?;
    let filter = Filter {
        q: query.q.as_deref().filter(|q| !q.is_empty()).and_then(fold_typed),
        role: query.role,
        status: query.status,
        before: request.before,
    };
    let rows = request.rows();
    let users = services
        .database
        .run(move |connection| user::list(connection, &filter, rows))
        .await
        .map_err(refusal::database)?;
    Ok(private(HttpResponse::Ok()).json(request.page(&services, users, |user| user.id, item)))
}

/// Shows a user.
#[utoipa::path(get, path = "/api/v1/users/{id}", tag = "users", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The user", body = UserItem)))]
pub async fn show(
    services: web::Data<Services>,
    guarded: Authorized<UsersRead, Path<Uuid>>,
) -> Result<HttpResponse, Problem> {
    let Path(id) = guarded.input;
    let found = services
        .database
        .run(move |connection| user::find(connection, id))
        .await
        .map_err(refusal::database)?;
    let user = found.ok_or_else(not_found)?;
    Ok(private(HttpResponse::Ok()).json(item(user)))
}

/// An account to be made.
#[derive(Clone, utoipa::ToSchema)]
pub struct NewUserRequest {
    /// Its username.
    #[schema(value_type = String, example = "alice")]
    pub username: Username,
    /// Its password; without one it is set by a one-time link.
    #[schema(value_type = Option<String>, format = Password)]
    pub password: Option<PlainPassword>,
    /// Its e-mail address.
    #[schema(value_type = Option<String>, format = Email)]
    pub email: Option<EmailAddress>,
    /// Its role; `member` unless said.
    #[schema(default = "member")]
    pub role: Option<String>,
}

impl FromFields for NewUserRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let username = fields.text("username").and_then(|text| fields.username("username", &text));
        let password = fields.optional_text("password").map(|text| PlainPassword::new(&text));
        let email = fields.optional_text("email").and_then(|text| fields.email("email", &text));
        let role = fields.optional_text("role");
        Some(Self { username: username?, password, email, role })
    }
}

/// Makes a user.
#[utoipa::path(post, path = "/api/v1/users", tag = "users", request_body = NewUserRequest,
    responses((status = 201, description = "The user", body = UserItem)))]
pub async fn create(
    services: web::Data<Services>,
    guarded: Authorized<UsersWrite, Json<NewUserRequest>>,
) -> Result<HttpResponse, Problem> {
    let Authorized { caller, input: Json(request), origin, .. } = guarded;
    let password_hash = match request.password {
        None => None,
        Some(password) => {
            let names = [Some(request.username.as_str()), request.email.as_ref().map(EmailAddress::as_str)];
            let names: Vec<&str> = names.into_iter().flatten().collect();
            refusal::password_flaws(&services.passwords.flaws(&password, &names), "/password")?;
            Some(services.passwords.hash(password).await.map_err(refusal::hashing)?)
        }
    };
    let role = request.role.unwrap_or_else(|| ROLE_DEFAULT.to_owned());
    let new = NewUser { username: request.username, email: request.email, password_hash, role };
    let authority = authority(&caller);
    let inserted = services
        .database
        .transaction(move |connection| user::insert(connection, &new, &authority, &origin))
        .await
        .map_err(refusal::database)?;
    match inserted {
        Insertion::Inserted(user) => {
            let location = format!("/api/v1/users/{}", user.id);
            Ok(private(HttpResponse::Created()).insert_header((LOCATION, location)).json(item(user)))
        }
        Insertion::NameTaken(taken) => Err(refusal::name_taken(taken)),
        Insertion::UnknownRole => Err(unknown_role()),
        Insertion::Denied(lacking) => Err(refusal::permission_denied(&lacking, &caller.role)),
    }
}

/// What is to be changed.
#[derive(Clone, utoipa::ToSchema)]
pub struct UserChanges {
    /// Another username.
    #[schema(value_type = Option<String>)]
    pub username: Option<Username>,
    /// Another address; null removes it.
    #[schema(value_type = Option<String>, format = Email)]
    pub email: Option<Option<EmailAddress>>,
    /// Another role.
    pub role: Option<String>,
    /// `active` or `disabled`.
    #[schema(value_type = Option<String>, example = "disabled")]
    pub status: Option<bool>,
}

impl FromFields for UserChanges {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let username = fields.optional_text("username").and_then(|text| fields.username("username", &text));
        let email = match fields.nullable_text("email") {
            Some(Some(text)) => fields.email("email", &text).map(Some),
            other => other.map(|_| None),
        };
        let role = fields.optional_text("role");
        let status = match fields.optional_text("status").as_deref() {
            None => None,
            Some(ACTIVE) => Some(true),
            Some(DISABLED) => Some(false),
            Some(_) => {
                fields.refuse("status", "invalid", "either `active` or `disabled`");
                None
            }
        };
        Some(Self { username, email, role, status })
    }
}

/// Changes a user; of role or status also raises the version, so that access tokens are issued anew.
#[utoipa::path(patch, path = "/api/v1/users/{id}", tag = "users", params(("id" = Uuid, Path)),
    request_body = UserChanges, responses((status = 200, description = "The user, changed", body = UserItem)))]
pub async fn update(
    services: web::Data<Services>,
    guarded: Authorized<UsersWrite, (Path<Uuid>, Json<UserChanges>)>,
) -> Result<HttpResponse, Problem> {
    let Authorized { caller, input: (Path(id), Json(request)), origin, .. } = guarded;
    let changes = Changes {
        username: request.username,
        email: request.email,
        role: request.role,
        active: request.status,
    };
    let authority = authority(&caller);
    let changed = services
        .database
        .transaction(move |connection| change::update(connection, id, &changes, &authority, &origin))
        .await
        .map_err(refusal::database)?;
    match changed {
        Change::Done(user) => Ok(private(HttpResponse::Ok()).json(item(user))),
        refused => Err(refuse_change(refused, &caller)),
    }
}

/// Deletes a user with all that is his.
#[utoipa::path(delete, path = "/api/v1/users/{id}", tag = "users", params(("id" = Uuid, Path)),
    responses((status = 204, description = "The account is deleted")))]
pub async fn delete(
    services: web::Data<Services>,
    guarded: Authorized<UsersWrite, Path<Uuid>>,
) -> Result<HttpResponse, Problem> {
    let Authorized { caller, input: Path(id), origin, .. } = guarded;
    let authority = authority(&caller);
    let deleted = services
        .database
        .transaction(move |connection| change::delete(connection, id, &authority, &origin))
        .await
        .map_err(refusal::database)?;
    match deleted {
        Change::Done(_) => Ok(HttpResponse::NoContent().finish()),
        refused => Err(refuse_change(refused, &caller)),
    }
}
