//! `/admin/users/{id}`: shows an account, and changes it.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::audit::{EventLine, line};
use super::link::show_link;
use crate::audit::event;
use crate::guard::requirements::{UsersRead, UsersWrite};
use crate::guard::{Authorized, Caller};
use crate::http::fields::Fields;
use crate::http::request::{Form, Path, Query};
use crate::operations::manage_users::DeleteUser;
use crate::operations::manage_users::DisableUser;
use crate::operations::manage_users::EndSessionsOf;
use crate::operations::manage_users::FindUser;
use crate::operations::manage_users::MakePasswordLink;
use crate::operations::manage_users::ResetPassword;
use crate::operations::manage_users::RevokeTokensOf;
use crate::operations::manage_users::UpdateUser;
use crate::operations::manage_users::UserChanges;
use crate::operations::roles::ListRoleNames;
use crate::operations::user_tag::Expected;
use crate::pages::account::sessions::{self, Item};
use crate::pages::account::tokens;
use crate::pages::answer::answer;
use crate::pages::form_errors::{FormErrors, FormOutcome};
use crate::pages::redirect::see_other;
use crate::pages::shell::Shell;
use crate::pages::timestamp::Timestamp;
use crate::pages::{seen_fields, set_password};
use crate::refusal::Refusal;
use crate::sessions::{SessionSelection, session};
use crate::state::State;
use crate::tokens::owner::UserStatus;
use crate::tokens::personal_token;
use crate::users::User;
use crate::users::edit_tag::SeenFields;
use crate::users::password::PlainPassword;
use crate::users::role;

/// The number of tokens and of events that the page shows.
const SHOWN: usize = 20;

#[derive(Template)]
#[template(path = "admin/user.html")]
struct UserPage {
    shell: Shell,
    id: Uuid,
    name: String,
    is_active: bool,
    made: Timestamp,
    signed_in: Option<Timestamp>,
    username: String,
    email: String,
    role: String,
    roles: Vec<String>,
    seen: SeenFields,
    hint: String,
    sessions: Vec<Item>,
    tokens: Vec<tokens::Item>,
    has_older_tokens: bool,
    events: Vec<EventLine>,
    errors: FormErrors,
    done: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "admin/revoke_tokens.html")]
struct RevokeTokens {
    shell: Shell,
    id: Uuid,
    username: String,
}

#[derive(Template)]
#[template(path = "admin/delete_user.html")]
struct Delete {
    shell: Shell,
    id: Uuid,
    username: String,
    errors: FormErrors,
}

/// The change that was just made, for a notice.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct UserPageQuery {
    done: Option<String>,
}

fn in_words(done: &str) -> Option<&'static str> {
    Some(match done {
        "made" => "The account is made.",
        "saved" => "The details are saved.",
        "disabled" => {
            "The account is disabled: its sessions and tokens are refused from now on. Enabling it brings back those that \
             have neither ended nor expired."
        }
        "disabled-ended" => {
            "The account is disabled, and every session has ended. Its personal tokens are refused from now on; enabling \
             it brings back those that have neither been revoked nor expired."
        }
        "enabled" => {
            "The account is enabled. Its sessions and tokens are good again, as far as they had not ended."
        }
        "role" => "The role is changed.",
        "password" => "The password is set. Every session has ended, and every personal token is revoked.",
        "password-kept" => {
            "The password is set, and every session has ended. The personal tokens are still good."
        }
        "sessions" => "Every session has ended.",
        "session" => "The session has ended.",
        "token" => "The token is revoked.",
        "tokens" => "Every personal token is revoked.",
        _ => return None,
    })
}

fn back(id: Uuid, done: &str) -> HttpResponse {
    see_other(&format!("/admin/users/{id}?done={done}"))
}

/// Shows the account.
pub(crate) async fn show(
    state: web::Data<State>,
    guarded: Authorized<UsersRead, (Path<Uuid>, Query<UserPageQuery>)>,
) -> Result<HttpResponse, Refusal> {
    let (Path(id), Query(query)) = guarded.input;
    let user = FindUser { id }.run(&state).await?;
    let mut page = page(&state, &guarded.caller, user).await?;
    page.done = query.done.as_deref().and_then(in_words);
    answer(StatusCode::OK, &page)
}

async fn page(state: &State, caller: &Caller, user: User) -> Result<UserPage, Refusal> {
    let (id, seen) = (user.id, SeenFields::of(&user));
    let sees_events = caller.may(role::AUDIT_READ);
    let (live, tokens, events) = state
        .core
        .database
        .run(move |connection| {
            let live = session::list(connection, id)?;
            let shown = SHOWN as i64;
            // One token more than the page shows tells whether there are others.
            let tokens = personal_token::list(connection, Some(id), None, shown + 1)?;
            let filter = event::EventFilter { subject_id: Some(id), ..event::EventFilter::default() };
            let events = if sees_events { event::list(connection, &filter, shown)? } else { Vec::new() };
            Ok((live, tokens, events))
        })
        .await?;
    let (now, current) = (state.core.clock.now(), caller.credential.session_id());
    Ok(UserPage {
        shell: Shell::of(caller),
        id,
        is_active: user.is_active(),
        made: Timestamp::new(user.created_at, now),
        signed_in: user.last_login_at.map(|at| Timestamp::new(at, now)),
        name: user.username.clone(),
        username: user.username,
        email: user.email.unwrap_or_default(),
        role: user.role,
        roles: ListRoleNames.run(state).await?,
        seen,
        hint: set_password::hint(state),
        sessions: live.into_iter().map(|session| sessions::item(session, current, now)).collect(),
        has_older_tokens: tokens.len() > SHOWN,
        tokens: tokens.into_iter().take(SHOWN).map(|token| tokens::item(token, now)).collect(),
        events: events.into_iter().map(|event| line(event, now)).collect(),
        errors: FormErrors::none(),
        done: None,
    })
}

/// Shows the page again, with the errors of one of its forms.
async fn page_with(
    state: &State,
    caller: &Caller,
    id: Uuid,
    refusal: Refusal,
    change: impl FnOnce(&mut UserPage),
) -> Result<HttpResponse, Refusal> {
    let errors = FormErrors::of(refusal)?;
    let user = FindUser { id }.run(state).await?;
    let mut page = page(state, caller, user).await?;
    change(&mut page);
    errors.shown_by(|errors| UserPage { errors, ..page })
}

/// Reads the form for the username and the address, and refuses it with every error.
async fn check(state: &State, id: Uuid, typed: Value) -> Result<UserChanges, Refusal> {
    let draft = Fields::draft::<UserChanges>(typed)?;
    let mistakes = draft.value().mistakes(state, id).await?;
    draft.finish(mistakes)
}

/// Changes the username or e-mail address, if the account is still as the page showed it.
pub(crate) async fn change(
    state: web::Data<State>,
    guarded: Authorized<UsersWrite, (Path<Uuid>, Form)>,
) -> Result<HttpResponse, Refusal> {
    let Authorized { caller, input: (Path(id), sent), origin, .. } = guarded;
    let field = |name: &str| sent.field(name).unwrap_or_default().trim().to_owned();
    let email = Some(field("email")).filter(|email| !email.is_empty());
    let typed = json!({ "username": field("username"), "email": email });
    let changed = match check(&state, id, typed).await {
        Ok(request) => {
            UpdateUser { id, request, expected: seen_fields::read(&sent) }.run(&state, &caller, origin).await
        }
        Err(refusal) => Err(refusal),
    };
    match changed {
        Ok(_) => Ok(back(id, "saved")),
        Err(refusal) => {
            let keep = |page: &mut UserPage| {
                page.username = field("username");
                page.email = field("email");
            };
            page_with(&state, &caller, id, refusal, keep).await
        }
    }
}

type OnUser = Authorized<UsersWrite, (Path<Uuid>, Form)>;

/// Changes the role, if the account is still as the page showed it.
pub(crate) async fn change_role(state: web::Data<State>, guarded: OnUser) -> Result<HttpResponse, Refusal> {
    let Authorized { caller, input: (Path(id), sent), origin, .. } = guarded;
    let role = sent.field("role").unwrap_or_default().to_owned();
    let request = UserChanges { role: Some(role.clone()), ..UserChanges::default() };
    match (UpdateUser { id, request, expected: seen_fields::read(&sent) }).run(&state, &caller, origin).await
    {
        Ok(_) => Ok(back(id, "role")),
        Err(refusal) => page_with(&state, &caller, id, refusal, |page| page.role = role).await,
    }
}

/// Disables the account, and ends its sessions if the form says so.
pub(crate) async fn disable(state: web::Data<State>, guarded: OnUser) -> Result<HttpResponse, Refusal> {
    let Authorized { caller, input: (Path(id), sent), origin, .. } = guarded;
    let ends_sessions = sent.field("end_sessions").is_some();
    match (DisableUser { id, ends_sessions }).run(&state, &caller, origin).await {
        Ok(_) => Ok(back(id, if ends_sessions { "disabled-ended" } else { "disabled" })),
        Err(refusal) => page_with(&state, &caller, id, refusal, |_| ()).await,
    }
}

/// Enables the account.
pub(crate) async fn enable(state: web::Data<State>, guarded: OnUser) -> Result<HttpResponse, Refusal> {
    let Authorized { caller, input: (Path(id), _), origin, .. } = guarded;
    let request = UserChanges { status: Some(UserStatus::Active), ..UserChanges::default() };
    match (UpdateUser { id, request, expected: Expected::Anything }).run(&state, &caller, origin).await {
        Ok(_) => Ok(back(id, "enabled")),
        Err(refusal) => page_with(&state, &caller, id, refusal, |_| ()).await,
    }
}

/// Returns true if the form asks to keep personal tokens valid. By default they are revoked.
fn keeps_tokens(sent: &Form) -> bool {
    sent.field("keep_tokens").is_some()
}

/// Sets the password.
pub(crate) async fn set_password(state: web::Data<State>, guarded: OnUser) -> Result<HttpResponse, Refusal> {
    let Authorized { caller, input: (Path(id), sent), origin, .. } = guarded;
    let password = PlainPassword::new(sent.field("new_password").unwrap_or_default());
    let keeps = keeps_tokens(&sent);
    match (ResetPassword { id, password, revokes_tokens: !keeps }).run(&state, &caller, origin).await {
        Ok(_) => Ok(back(id, if keeps { "password-kept" } else { "password" })),
        Err(refusal) => page_with(&state, &caller, id, refusal, |_| ()).await,
    }
}

/// Creates a link with which the user sets a password.
pub(crate) async fn make_link(state: web::Data<State>, guarded: OnUser) -> Result<HttpResponse, Refusal> {
    let Authorized { caller, input: (Path(id), sent), origin, .. } = guarded;
    let user = FindUser { id }.run(&state).await?;
    let link =
        MakePasswordLink { id, revokes_tokens: !keeps_tokens(&sent) }.run(&state, &caller, origin).await?;
    show_link(&state, &caller, &user, link)
}

/// Ends all sessions of the account.
pub(crate) async fn end_sessions(state: web::Data<State>, guarded: OnUser) -> Result<HttpResponse, Refusal> {
    let Authorized { caller, input: (Path(id), _), origin, .. } = guarded;
    EndSessionsOf { user_id: id, which: SessionSelection::AllOf(id) }.run(&state, &caller, origin).await?;
    Ok(back(id, "sessions"))
}

/// Ends a session of the account.
pub(crate) async fn end_session(
    state: web::Data<State>,
    guarded: Authorized<UsersWrite, (Path<(Uuid, Uuid)>, Form)>,
) -> Result<HttpResponse, Refusal> {
    let Authorized { caller, input: (Path((id, session_id)), _), origin, .. } = guarded;
    EndSessionsOf { user_id: id, which: SessionSelection::OneOf(id, session_id) }
        .run(&state, &caller, origin)
        .await?;
    Ok(back(id, "session"))
}

/// Revokes a personal token of the account.
pub(crate) async fn revoke_token(
    state: web::Data<State>,
    guarded: Authorized<UsersWrite, (Path<(Uuid, Uuid)>, Form)>,
) -> Result<HttpResponse, Refusal> {
    let Authorized { caller, input: (Path((id, token_id)), _), origin, .. } = guarded;
    RevokeTokensOf { user_id: id, token_id: Some(token_id) }.run(&state, &caller, origin).await?;
    Ok(back(id, "token"))
}

/// Asks for confirmation before revoking all personal tokens.
pub(crate) async fn ask_revoke_tokens(
    state: web::Data<State>,
    guarded: Authorized<UsersWrite, Path<Uuid>>,
) -> Result<HttpResponse, Refusal> {
    let Path(id) = guarded.input;
    let username = FindUser { id }.run(&state).await?.username;
    answer(StatusCode::OK, &RevokeTokens { shell: Shell::of(&guarded.caller), id, username })
}

/// Revokes all personal tokens of the account.
pub(crate) async fn revoke_tokens(state: web::Data<State>, guarded: OnUser) -> Result<HttpResponse, Refusal> {
    let Authorized { caller, input: (Path(id), _), origin, .. } = guarded;
    RevokeTokensOf { user_id: id, token_id: None }.run(&state, &caller, origin).await?;
    Ok(back(id, "tokens"))
}

/// Asks for the username, so that nobody deletes an account by mistake.
pub(crate) async fn ask_delete(
    state: web::Data<State>,
    guarded: Authorized<UsersWrite, Path<Uuid>>,
) -> Result<HttpResponse, Refusal> {
    let Path(id) = guarded.input;
    let username = FindUser { id }.run(&state).await?.username;
    let page = Delete { shell: Shell::of(&guarded.caller), id, username, errors: FormErrors::none() };
    answer(StatusCode::OK, &page)
}

/// Deletes the account if the username was entered correctly.
pub(crate) async fn delete(state: web::Data<State>, guarded: OnUser) -> Result<HttpResponse, Refusal> {
    let Authorized { caller, input: (Path(id), sent), origin, .. } = guarded;
    let username = FindUser { id }.run(&state).await?.username;
    let deleted = if sent.field("confirm").map(str::trim) == Some(username.as_str()) {
        DeleteUser { id, expected: Expected::Anything }.run(&state, &caller, origin).await.into()
    } else {
        FormOutcome::invalid("confirm", "This is not the account's name.")
    };
    match deleted {
        FormOutcome::Done(_) => Ok(see_other("/admin/users")),
        FormOutcome::Invalid(errors) => {
            let page = Delete { shell: Shell::of(&caller), id, username, errors };
            answer(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
        FormOutcome::Refused(refusal) => Err(refusal),
    }
}
