//! `GET` and `POST /api/v1/users`, `GET`, `PATCH` and `DELETE /api/v1/users/{id}`: manages accounts.

use actix_web::http::header::{ETAG, LOCATION};
use actix_web::{HttpResponse, web};
use serde::Serialize;
use uuid::Uuid;

use crate::guard::requirements::{UsersRead, UsersWrite};
use crate::guard::{Authorized, refusals};
use crate::http::conditions::{Conditions, IfMatch, IfNoneMatch};
use crate::http::fields::Draft;
use crate::http::pagination::Page;
use crate::http::request::{Path, QueryDraft};
use crate::http::response::private;
use crate::operations::manage_users::CreateUser;
use crate::operations::manage_users::DeleteUser;
use crate::operations::manage_users::FindUser;
use crate::operations::manage_users::ListUsers;
use crate::operations::manage_users::UpdateUser;
use crate::operations::manage_users::{NewUserDraft, NewUserRequest, UserChanges, UserQuery};
use crate::operations::user_tag::{Expected, entity_tag};
use crate::refusal::{self, Refusal};
use crate::state::State;
use crate::users::User;

/// An account.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct UserItem {
    /// The ID of the account.
    pub id: Uuid,
    /// The username of the account.
    #[schema(example = "alice")]
    pub username: String,
    /// The e-mail address of the account.
    pub email: Option<String>,
    /// The role of the account.
    #[schema(example = "member")]
    pub role: String,
    /// `active` or `disabled`.
    #[schema(example = "active")]
    pub status: String,
    /// The time when the account was created.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// The time when the account was last changed.
    #[schema(format = DateTime)]
    pub updated_at: String,
    /// The time of the last sign-in; null if there was none.
    #[schema(format = DateTime)]
    pub last_login_at: Option<String>,
}

fn item(user: User) -> UserItem {
    UserItem {
        id: user.id,
        username: user.username,
        email: user.email,
        role: user.role,
        status: user.status.to_string(),
        created_at: refusals::time(user.created_at),
        updated_at: refusals::time(user.updated_at),
        last_login_at: user.last_login_at.map(refusals::time),
    }
}

/// Lists the accounts, newest first.
#[utoipa::path(get, path = "/api/v1/users", tag = "users", params(UserQuery),
    responses((status = 200, description = "The users, newest first", body = Page<UserItem>)))]
pub(crate) async fn list(
    state: web::Data<State>,
    guarded: Authorized<UsersRead, QueryDraft<UserQuery>>,
) -> Result<HttpResponse, Refusal> {
    let QueryDraft(draft) = guarded.input;
    let mistakes = draft.value().mistakes(&state).await?;
    let query = draft.finish(mistakes)?;
    let page = ListUsers { query }.run(&state).await?;
    Ok(private(HttpResponse::Ok()).json(page.map(item)))
}

/// Shows an account.
#[utoipa::path(get, path = "/api/v1/users/{id}", tag = "users", params(("id" = Uuid, Path), IfNoneMatch),
    responses((status = 200, description = "The user", body = UserItem),
        (status = 304, description = "Still the version that `If-None-Match` names")))]
pub(crate) async fn show(
    state: web::Data<State>,
    guarded: Authorized<UsersRead, (Path<Uuid>, Conditions)>,
) -> Result<HttpResponse, Refusal> {
    let (Path(id), conditions) = guarded.input;
    let user = FindUser { id }.run(&state).await?;
    let tag = entity_tag(&user);
    conditions.check_match(&tag)?;
    if conditions.is_unmodified(&tag) {
        return Ok(private(HttpResponse::NotModified()).insert_header((ETAG, tag)).finish());
    }
    Ok(private(HttpResponse::Ok()).insert_header((ETAG, tag)).json(item(user)))
}

/// Creates an account.
#[utoipa::path(post, path = "/api/v1/users", tag = "users", request_body = NewUserRequest,
    responses((status = 201, description = "The new user", body = UserItem)))]
pub(crate) async fn create(
    state: web::Data<State>,
    guarded: Authorized<UsersWrite, Draft<NewUserDraft>>,
) -> Result<HttpResponse, Refusal> {
    let Authorized { caller, input: draft, origin, .. } = guarded;
    let mistakes = draft.value().mistakes(&state).await?;
    let request = draft.finish(mistakes)?.complete().ok_or_else(refusal::internal)?;
    let user = CreateUser { request }.run(&state, &caller, origin).await?;
    let location = format!("/api/v1/users/{}", user.id);
    Ok(private(HttpResponse::Created())
        .insert_header((LOCATION, location))
        .insert_header((ETAG, entity_tag(&user)))
        .json(item(user)))
}

/// The ID of the account, the conditions, and the changes.
type ConditionalChange = (Path<Uuid>, (Conditions, Draft<UserChanges>));

/// Changes an account.
///
/// Changing the role or the status also revokes the user's access tokens, and clients must refresh them.
/// Every credential of a disabled account is refused. Enabling it restores the sessions and personal tokens
/// that have neither ended nor expired. To end them permanently, call `DELETE /api/v1/users/{id}/sessions`
/// and `DELETE /api/v1/users/{id}/tokens` before or after.
///
/// Changing your own account also requires `account:write`, which no personal token can have.
#[utoipa::path(patch, path = "/api/v1/users/{id}", tag = "users", params(("id" = Uuid, Path), IfMatch),
    request_body = UserChanges, responses((status = 200, description = "The changed user", body = UserItem)))]
pub(crate) async fn update(
    state: web::Data<State>,
    guarded: Authorized<UsersWrite, ConditionalChange>,
) -> Result<HttpResponse, Refusal> {
    let Authorized { caller, input: (Path(id), (conditions, draft)), origin, .. } = guarded;
    let mistakes = draft.value().mistakes(&state, id).await?;
    let request = draft.finish(mistakes)?;
    let user = UpdateUser { id, request, expected: Expected::Tagged(conditions) }
        .run(&state, &caller, origin)
        .await?;
    Ok(private(HttpResponse::Ok()).insert_header((ETAG, entity_tag(&user))).json(item(user)))
}

/// Deletes an account and everything that belongs to it.
#[utoipa::path(delete, path = "/api/v1/users/{id}", tag = "users", params(("id" = Uuid, Path), IfMatch),
    responses((status = 204, description = "The account was deleted")))]
pub(crate) async fn delete(
    state: web::Data<State>,
    guarded: Authorized<UsersWrite, (Path<Uuid>, Conditions)>,
) -> Result<HttpResponse, Refusal> {
    let Authorized { caller, input: (Path(id), conditions), origin, .. } = guarded;
    DeleteUser { id, expected: Expected::Tagged(conditions) }.run(&state, &caller, origin).await?;
    Ok(private(HttpResponse::NoContent()).finish())
}
