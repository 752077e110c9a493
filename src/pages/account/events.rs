//! `/account/activity`: tells users in words what happened to their account.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use serde_json::Value;

use crate::audit::event::{self, Event, Filter};
use crate::guard::Authorized;
use crate::guard::requirements::AccountRead;
use crate::http::pagination::{CursorQuery, PageRequest};
use crate::http::request::Query;
use crate::pages::answer::answer;
use crate::pages::moment::Moment;
use crate::pages::shell::Shell;
use crate::refusal::Problem;
use crate::sessions::EndReason;
use crate::state::State;
use crate::tokens::personal_token::RevokeReason;

/// The reason why a session or token ended after the database was restored.
const RESTORED: &str = "the database was restored to an earlier state";

#[derive(Template)]
#[template(path = "account/activity.html")]
struct Activity {
    shell: Shell,
    items: Vec<Item>,
    next: Option<String>,
}

struct Item {
    when: Moment,
    what: String,
    address: String,
    alarming: bool,
}

/// Lists the events of the user's account.
pub async fn show(
    state: web::Data<State>,
    guarded: Authorized<AccountRead, Query<CursorQuery>>,
) -> Result<HttpResponse, Problem> {
    let (user_id, Query(query)) = (guarded.caller.user_id, guarded.input);
    let list = format!("activity of {user_id}");
    let request = PageRequest::read(&state.core.secret_keys, list, None, query.cursor.as_deref())?;
    let (before, rows) = (request.before, request.rows());
    let filter = Filter { subject_id: Some(user_id), before, ..Filter::default() };
    let events = state.core.database.search(move |connection| event::list(connection, &filter, rows)).await?;
    let now = state.core.clock.now();
    let page = request.page(events, |event| event.id).map(|event| {
        let alarming = matches!(
            event.type_.as_str(),
            "login_failed" | "step_up_failed" | "too_many_attempts" | "refresh_token_reused"
        );
        let what = counted(words(&event), &event);
        let address = addresses(&event);
        Item { when: Moment::new(event.occurred_at, now), what, address, alarming }
    });
    let page = Activity { shell: Shell::of(&guarded.caller), items: page.items, next: page.next_cursor };
    answer(StatusCode::OK, &page)
}

/// Returns the client addresses of an event.
fn addresses(event: &Event) -> String {
    let others = event.details.get("other_addresses").and_then(Value::as_array);
    let others = others.into_iter().flatten().filter_map(Value::as_str);
    event.address.as_deref().into_iter().chain(others).collect::<Vec<_>>().join(", ")
}

/// Adds the number of times that the event happened within a minute.
fn counted(words: String, event: &Event) -> String {
    match event.details.get("count").and_then(Value::as_u64) {
        Some(count) => format!("{words} This happened {count} times within a minute."),
        None => words,
    }
}

/// Describes an event for the user whom it concerns.
fn words(event: &Event) -> String {
    let detail = |name: &str| event.details.get(name).and_then(Value::as_str).unwrap_or_default();
    let who = who(event);
    match event.type_.as_str() {
        "login_succeeded" if detail("device").is_empty() => "You signed in.".to_owned(),
        "login_succeeded" => format!("You signed in with {}.", detail("device")),
        "login_failed" if detail("code") == "account_disabled" => {
            "Somebody tried to sign in while the account was disabled.".to_owned()
        }
        "login_failed" if ["permission_denied", "validation_failed"].contains(&detail("code")) => {
            "Somebody gave the right password and asked for more than you may.".to_owned()
        }
        "login_failed" => "Somebody gave a wrong password.".to_owned(),
        "stepped_up" => "You confirmed your password.".to_owned(),
        "step_up_failed" => "A wrong password was given to confirm.".to_owned(),
        "too_many_attempts" if detail("by") == "tokens" => {
            "You made many tokens in a short time; the next had to wait.".to_owned()
        }
        "too_many_attempts" => "Too many wrong passwords were given; further tries had to wait.".to_owned(),
        "refresh_repeated" => "A client asked for its tokens twice; it was given them again.".to_owned(),
        "refresh_token_reused" => {
            "A used refresh token was presented again: somebody may have a copy, so its session was ended."
                .to_owned()
        }
        "session_ended" => session_ended(detail("reason"), detail("device"), &who),
        "user_created" => "The account was made.".to_owned(),
        "user_updated" => format!("The name or address was changed by {who}."),
        "user_role_changed" => format!("The role was changed by {who}."),
        "user_disabled" => format!("The account was disabled by {who}."),
        "user_enabled" => format!("The account was enabled by {who}."),
        "user_unlocked" => format!("The wait before the next sign-in was lifted by {who}."),
        "password_changed" => format!("The password was changed by {who}."),
        "password_link_created" => {
            format!("A link to set the password was made by {who}; the old password is gone.")
        }
        "personal_token_created" => format!("The personal token “{}” was made.", detail("name")),
        "personal_token_revoked" => token_revoked(detail("reason"), detail("name"), &who),
        other => other.replace('_', " "),
    }
}

/// Names the one who caused the event.
fn who(event: &Event) -> String {
    match (event.actor_id, event.actor_name.as_deref()) {
        (Some(actor), _) if Some(actor) == event.subject_id => "you".to_owned(),
        (Some(_), Some(name)) => name.to_owned(),
        // The command line, or the server itself.
        (None, Some(name)) => format!("the {name}"),
        (_, None) => "an administrator".to_owned(),
    }
}

/// Describes which session ended, why, and who ended it.
fn session_ended(reason: &str, device: &str, who: &str) -> String {
    let session =
        if device.is_empty() { "A session".to_owned() } else { format!("The session with {device}") };
    let why = match EndReason::read(reason) {
        Some(EndReason::Logout) => return format!("{session} signed out."),
        Some(EndReason::EndedByUser | EndReason::EndedByAdmin) => {
            return format!("{session} was ended by {who}.");
        }
        Some(EndReason::PasswordChanged) => format!("the password was changed by {who}"),
        Some(EndReason::PasswordReset) => format!("the password was reset by {who}"),
        Some(EndReason::RefreshTokenReused) => "a used refresh token was presented again".to_owned(),
        Some(EndReason::TooManySessions) => "newer ones have taken its place".to_owned(),
        Some(EndReason::SignedInAgain) => "its browser signed in again".to_owned(),
        Some(EndReason::AccountDeleted) => "the account was deleted".to_owned(),
        Some(EndReason::DatabaseRestored) => RESTORED.to_owned(),
        Some(EndReason::RenewalsUsedUp) => "the password was confirmed too often in it".to_owned(),
        None => reason.replace('_', " "),
    };
    format!("{session} ended: {why}.")
}

/// Describes which token was revoked, why, and who revoked it.
fn token_revoked(reason: &str, name: &str, who: &str) -> String {
    match RevokeReason::read(reason) {
        Some(RevokeReason::PasswordChanged) => {
            format!("The personal token “{name}” was revoked: the password was changed by {who}.")
        }
        Some(RevokeReason::PasswordReset) => {
            format!("The personal token “{name}” was revoked: the password was reset by {who}.")
        }
        Some(RevokeReason::DatabaseRestored) => {
            format!("The personal token “{name}” was revoked: {RESTORED}.")
        }
        Some(RevokeReason::ByUser | RevokeReason::ByAdmin) | None => {
            format!("The personal token “{name}” was revoked by {who}.")
        }
    }
}
