//! `/account/sessions`: lists and ends the user's own sessions in browsers and API clients.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::guard::Authorized;
use crate::guard::requirements::{AccountRead, AccountWrite};
use crate::http::request::{Form, Path};
use crate::operations::own_account::EndOwnSessions;
use crate::pages::answer::answer;
use crate::pages::device;
use crate::pages::redirect::see_other;
use crate::pages::shell::Shell;
use crate::pages::timestamp::Timestamp;
use crate::refusal::Refusal;
use crate::sessions::{Session, SessionKind, SessionSelection, session};
use crate::state::State;

const HERE: &str = "/account/sessions";

#[derive(Template)]
#[template(path = "account/sessions.html")]
struct Sessions {
    shell: Shell,
    items: Vec<Item>,
    has_others: bool,
}

/// A session in a list.
pub(crate) struct Item {
    pub id: Uuid,
    pub device: String,
    /// The picture of the device.
    pub icon: &'static str,
    pub kind: String,
    pub address: String,
    pub started: Timestamp,
    pub used: Timestamp,
    pub expires: Timestamp,
    pub current: bool,
}

/// Describes a session for a page shown at `now`. `current` is the caller's session.
#[must_use]
pub(crate) fn item(session: Session, current: Option<Uuid>, now: DateTime<Utc>) -> Item {
    let kind = match session.kind {
        SessionKind::Browser => "Browser".to_owned(),
        SessionKind::Api => "API client".to_owned(),
        SessionKind::Unknown(name) => name,
    };
    let device = session.device.unwrap_or_else(|| format!("{kind} without a name"));
    Item {
        id: session.id,
        icon: device::icon(&device),
        device,
        kind,
        address: session.address.unwrap_or_else(|| "unknown".to_owned()),
        started: Timestamp::new(session.created_at, now),
        used: Timestamp::new(session.last_used_at, now),
        expires: Timestamp::new(session.expires_at, now),
        current: current == Some(session.id),
    }
}

/// Lists the sessions.
pub(crate) async fn show(
    state: web::Data<State>,
    guarded: Authorized<AccountRead>,
) -> Result<HttpResponse, Refusal> {
    let (user_id, current) = (guarded.caller.user_id, guarded.caller.credential.session_id());
    let sessions = state.core.database.run(move |connection| session::list(connection, user_id)).await?;
    let now = state.core.clock.now();
    let items: Vec<Item> = sessions.into_iter().map(|session| item(session, current, now)).collect();
    let has_others = items.iter().any(|item| !item.current);
    answer(StatusCode::OK, &Sessions { shell: Shell::of(&guarded.caller), items, has_others })
}

/// Ends a session.
pub(crate) async fn end(
    state: web::Data<State>,
    guarded: Authorized<AccountWrite, (Path<Uuid>, Form)>,
) -> Result<HttpResponse, Refusal> {
    let (Path(id), _) = guarded.input;
    // It is no error if the session has already ended.
    let which = SessionSelection::OneOf(guarded.caller.user_id, id);
    EndOwnSessions { which }.run(&state, &guarded.caller, guarded.origin).await?;
    Ok(see_other(HERE))
}

/// Ends all sessions except the current one.
pub(crate) async fn end_others(
    state: web::Data<State>,
    guarded: Authorized<AccountWrite, Form>,
) -> Result<HttpResponse, Refusal> {
    let user_id = guarded.caller.user_id;
    let kept = guarded.caller.credential.session_id();
    let which =
        kept.map_or(SessionSelection::AllOf(user_id), |kept| SessionSelection::OthersOf(user_id, kept));
    EndOwnSessions { which }.run(&state, &guarded.caller, guarded.origin).await?;
    Ok(see_other(HERE))
}
