//! `/admin/users`: lists and finds accounts, and creates new ones.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use serde_json::{Value, json};
use uuid::Uuid;

use super::link::show_link;
use crate::guard::requirements::{UsersRead, UsersWrite};
use crate::guard::{Authorized, Caller};
use crate::http::fields::Fields;
use crate::http::request::{Form, QueryDraft};
use crate::operations::manage_users::{
    CreateUser, ListUsers, MakePasswordLink, NewUserDraft, NewUserRequest, UserQuery,
};
use crate::operations::roles::ListRoleNames;
use crate::pages::answer::answer;
use crate::pages::form_errors::FormErrors;
use crate::pages::redirect::see_other;
use crate::pages::set_password;
use crate::pages::shell::Shell;
use crate::pages::timestamp::Timestamp;
use crate::refusal::{self, Refusal};
use crate::state::State;
use crate::users::{User, role};

#[derive(Template)]
#[template(path = "admin/users.html")]
struct Users {
    shell: Shell,
    items: Vec<Item>,
    next: Option<String>,
    q: String,
    role: String,
    status: String,
    roles: Vec<String>,
    is_filtered: bool,
}

struct Item {
    id: Uuid,
    username: String,
    email: String,
    role: String,
    is_active: bool,
    made: Timestamp,
    signed_in: Option<Timestamp>,
}

#[derive(Template)]
#[template(path = "admin/new_user.html")]
struct NewUser {
    shell: Shell,
    username: String,
    email: String,
    role: String,
    by_link: bool,
    roles: Vec<String>,
    hint: String,
    errors: FormErrors,
}

/// Lists the accounts.
pub(crate) async fn show(
    state: web::Data<State>,
    guarded: Authorized<UsersRead, QueryDraft<UserQuery>>,
) -> Result<HttpResponse, Refusal> {
    // A form sends empty fields as empty texts.
    let QueryDraft(draft) = guarded.input;
    let draft = draft.map(|mut query| {
        for field in [&mut query.q, &mut query.role, &mut query.status] {
            *field = field.take().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        }
        query
    });
    let mistakes = draft.value().mistakes(&state).await?;
    let query = draft.finish(mistakes)?;
    let shown = query.clone();
    let page = ListUsers { query }.run(&state).await?;
    let now = state.core.clock.now();
    let item = |user: User| Item {
        id: user.id,
        is_active: user.is_active(),
        username: user.username,
        email: user.email.unwrap_or_default(),
        role: user.role,
        made: Timestamp::new(user.created_at, now),
        signed_in: user.last_login_at.map(|at| Timestamp::new(at, now)),
    };
    let page = page.map(item);
    let page = Users {
        shell: Shell::of(&guarded.caller),
        items: page.items,
        next: page.next_cursor.map(|cursor| next_page(&shown, &cursor)),
        is_filtered: shown.q.is_some() || shown.role.is_some() || shown.status.is_some(),
        q: shown.q.unwrap_or_default(),
        role: shown.role.unwrap_or_default(),
        status: shown.status.unwrap_or_default(),
        roles: ListRoleNames.run(&state).await?,
    };
    answer(StatusCode::OK, &page)
}

fn next_page(query: &UserQuery, cursor: &str) -> String {
    let mut next = url::form_urlencoded::Serializer::new(String::from("?"));
    let fields = [("q", &query.q), ("role", &query.role), ("status", &query.status)];
    next.extend_pairs(
        fields.into_iter().filter_map(|(name, value)| value.as_ref().map(|value| (name, value))),
    );
    next.append_pair("cursor", cursor).finish().replacen("?&", "?", 1)
}

/// Shows the form for a new account.
pub(crate) async fn new(
    state: web::Data<State>,
    guarded: Authorized<UsersWrite>,
) -> Result<HttpResponse, Refusal> {
    let page = form(&state, &guarded.caller, &Form::default(), FormErrors::none()).await?;
    answer(StatusCode::OK, &page)
}

async fn form(state: &State, caller: &Caller, typed: &Form, errors: FormErrors) -> Result<NewUser, Refusal> {
    let field = |name: &str| typed.field(name).unwrap_or_default().trim().to_owned();
    let role = field("role");
    Ok(NewUser {
        shell: Shell::of(caller),
        username: field("username"),
        email: field("email"),
        role: if role.is_empty() { role::DEFAULT.to_owned() } else { role },
        by_link: typed.field("by").is_none_or(|by| by == "link"),
        roles: ListRoleNames.run(state).await?,
        hint: set_password::hint(state),
        errors,
    })
}

/// Reads the form, and refuses it with every error.
async fn check(state: &State, typed: Value) -> Result<NewUserRequest, Refusal> {
    let draft = Fields::draft::<NewUserDraft>(typed)?;
    let mistakes = draft.value().mistakes(state).await?;
    draft.finish(mistakes)?.complete().ok_or_else(refusal::internal)
}

/// Creates an account: with a password, or with a link with which its user sets one.
pub(crate) async fn create(
    state: web::Data<State>,
    guarded: Authorized<UsersWrite, Form>,
) -> Result<HttpResponse, Refusal> {
    let Authorized { caller, input: sent, origin, .. } = guarded;
    let field = |name: &str| sent.field(name).unwrap_or_default();
    let by_link = field("by") != "password";
    let mut typed = json!({ "username": field("username").trim(), "role": field("role") });
    if !field("email").trim().is_empty() {
        typed["email"] = field("email").trim().into();
    }
    if !by_link {
        typed["password"] = field("password").into();
    }
    let made = match check(&state, typed).await {
        Ok(request) => CreateUser { request }.run(&state, &caller, origin.clone()).await,
        Err(refusal) => Err(refusal),
    };
    match made {
        Ok(user) if by_link => {
            let link =
                MakePasswordLink { id: user.id, revokes_tokens: true }.run(&state, &caller, origin).await?;
            show_link(&state, &caller, &user, link)
        }
        Ok(user) => Ok(see_other(&format!("/admin/users/{}?done=made", user.id))),
        Err(refusal) => {
            let page = form(&state, &caller, &sent, FormErrors::of(refusal)?).await?;
            answer(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
    }
}
