//! `/account/activity`: tells users in words what happened to their account.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use crate::audit::event::{self, EventFilter};
use crate::audit::{Event, EventDetails, EventType, SharedDetails};
use crate::guard::Authorized;
use crate::guard::requirements::AccountRead;
use crate::http::pagination::{CursorQuery, PageRequest};
use crate::http::request::Query;
use crate::pages::answer::answer;
use crate::pages::shell::Shell;
use crate::pages::timestamp::Timestamp;
use crate::refusal::Refusal;
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
    when: Timestamp,
    what: String,
    address: String,
    alarming: bool,
}

/// Lists the events of the user's account.
pub(crate) async fn show(
    state: web::Data<State>,
    guarded: Authorized<AccountRead, Query<CursorQuery>>,
) -> Result<HttpResponse, Refusal> {
    let (user_id, Query(query)) = (guarded.caller.user_id, guarded.input);
    let list = format!("activity of {user_id}");
    let request = PageRequest::read(&state.core.secret_keys, list, None, query.cursor.as_deref())?;
    let (before, rows) = (request.before, request.rows());
    let filter = EventFilter { subject_id: Some(user_id), before, ..EventFilter::default() };
    let events = state.core.database.search(move |connection| event::list(connection, &filter, rows)).await?;
    let now = state.core.clock.now();
    let page = request.page(events, |event| event.id).map(|event| {
        let alarming = matches!(
            event.type_,
            EventType::LoginFailed
                | EventType::StepUpFailed
                | EventType::TooManyAttempts
                | EventType::RefreshTokenReused
        );
        let shared = event.read_shared_details();
        let what = counted(words(&event), &shared);
        let address = addresses(&event, &shared);
        Item { when: Timestamp::new(event.occurred_at, now), what, address, alarming }
    });
    let page = Activity { shell: Shell::of(&guarded.caller), items: page.items, next: page.next_cursor };
    answer(StatusCode::OK, &page)
}

/// Returns the client addresses of an event.
fn addresses(event: &Event, shared: &SharedDetails) -> String {
    let others = shared.other_addresses.iter().map(String::as_str);
    event.address.as_deref().into_iter().chain(others).collect::<Vec<_>>().join(", ")
}

/// Adds the number of times that the event happened within a minute.
fn counted(words: String, shared: &SharedDetails) -> String {
    match shared.count {
        Some(count) => format!("{words} This happened {count} times within a minute."),
        None => words,
    }
}

/// Describes an event for the user whom it concerns.
fn words(event: &Event) -> String {
    let who = who(event);
    match event.read_details() {
        EventDetails::LoginSucceeded { device: Some(device), .. } if !device.is_empty() => {
            format!("You signed in with {device}.")
        }
        EventDetails::LoginSucceeded { .. } => "You signed in.".to_owned(),
        EventDetails::LoginFailed { code, .. } => match code.as_str() {
            "account_disabled" => "Somebody tried to sign in while the account was disabled.".to_owned(),
            "permission_denied" | "validation_failed" => {
                "Somebody gave the right password and asked for more than you may.".to_owned()
            }
            _ => "Somebody gave a wrong password.".to_owned(),
        },
        EventDetails::SteppedUp {} => "You confirmed your password.".to_owned(),
        EventDetails::StepUpFailed {} => "A wrong password was given to confirm.".to_owned(),
        EventDetails::TooManyAttempts { by, .. } if by == "tokens" => {
            "You made many tokens in a short time; the next had to wait.".to_owned()
        }
        EventDetails::TooManyAttempts { .. } => {
            "Too many wrong passwords were given; further tries had to wait.".to_owned()
        }
        EventDetails::RefreshRepeated { .. } => {
            "A client asked for its tokens twice; it was given them again.".to_owned()
        }
        EventDetails::RefreshTokenReused { .. } => {
            "A used refresh token was presented again: somebody may have a copy, so its session was ended."
                .to_owned()
        }
        EventDetails::SessionEnded { reason, device } => {
            session_ended(&reason, &device.unwrap_or_default(), &who)
        }
        EventDetails::UserCreated { .. } => "The account was made.".to_owned(),
        EventDetails::UserUpdated { .. } => format!("The name or address was changed by {who}."),
        EventDetails::UserRoleChanged { .. } => format!("The role was changed by {who}."),
        EventDetails::UserDisabled { .. } => format!("The account was disabled by {who}."),
        EventDetails::UserEnabled {} => format!("The account was enabled by {who}."),
        EventDetails::UserUnlocked {} => format!("The wait before the next sign-in was lifted by {who}."),
        EventDetails::PasswordChanged { .. } => format!("The password was changed by {who}."),
        EventDetails::PasswordLinkCreated { .. } => {
            format!("A link to set the password was made by {who}; the old password is gone.")
        }
        EventDetails::PersonalTokenCreated { name, .. } => format!("The personal token “{name}” was made."),
        EventDetails::PersonalTokenRevoked { name, reason, .. } => token_revoked(&reason, &name, &who),
        // The others concern no account, or one that no longer exists.
        EventDetails::UserDeleted { .. }
        | EventDetails::SigningKeyPublished { .. }
        | EventDetails::SigningKeyRevoked { .. }
        | EventDetails::DatabaseRestored { .. }
        | EventDetails::DatabaseWentBack { .. }
        | EventDetails::Unknown(_) => event.type_.as_str().replace('_', " "),
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
    let why = match EndReason::from(reason) {
        EndReason::Logout => return format!("{session} signed out."),
        EndReason::EndedByUser | EndReason::EndedByAdmin => {
            return format!("{session} was ended by {who}.");
        }
        EndReason::PasswordChanged => format!("the password was changed by {who}"),
        EndReason::PasswordReset => format!("the password was reset by {who}"),
        EndReason::RefreshTokenReused => "a used refresh token was presented again".to_owned(),
        EndReason::TooManySessions => "newer ones have taken its place".to_owned(),
        EndReason::SignedInAgain => "its browser signed in again".to_owned(),
        EndReason::AccountDeleted => "the account was deleted".to_owned(),
        EndReason::DatabaseRestored => RESTORED.to_owned(),
        EndReason::RenewalsUsedUp => "the password was confirmed too often in it".to_owned(),
        EndReason::Unknown(name) => name.replace('_', " "),
    };
    format!("{session} ended: {why}.")
}

/// Describes which token was revoked, why, and who revoked it.
fn token_revoked(reason: &str, name: &str, who: &str) -> String {
    match RevokeReason::from(reason) {
        RevokeReason::PasswordChanged => {
            format!("The personal token “{name}” was revoked: the password was changed by {who}.")
        }
        RevokeReason::PasswordReset => {
            format!("The personal token “{name}” was revoked: the password was reset by {who}.")
        }
        RevokeReason::DatabaseRestored => {
            format!("The personal token “{name}” was revoked: {RESTORED}.")
        }
        RevokeReason::ByUser | RevokeReason::ByAdmin | RevokeReason::Unknown(_) => {
            format!("The personal token “{name}” was revoked by {who}.")
        }
    }
}
