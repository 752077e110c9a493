//! `/account/tokens`: lists, creates and revokes the user's own personal access tokens.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use crate::guard::requirements::{AccountRead, AccountWrite, FreshAccountWrite};
use crate::guard::{Authorized, Caller};
use crate::http::fields::Fields;
use crate::http::pagination::{CursorQuery, PageRequest};
use crate::http::request::{Form, Path, Query};
use crate::operations::own_account::{MakePersonalToken, NewTokenRequest, RevokeOwnToken};
use crate::pages::answer::answer;
use crate::pages::form_errors::{FormErrors, FormOutcome};
use crate::pages::redirect::see_other;
use crate::pages::shell::Shell;
use crate::pages::timestamp::Timestamp;
use crate::refusal::Refusal;
use crate::state::State;
use crate::tokens::personal_token::{self, PersonalToken};
use crate::users::role::ACCOUNT_WRITE;

/// The lifetimes that the form offers, in days.
const DAYS: [(i64, &str); 5] =
    [(7, "7 days"), (30, "30 days"), (90, "90 days"), (365, "1 year"), (1_825, "5 years")];
const DAYS_DEFAULT: i64 = 90;
/// The choice of the longest lifetime that the setting allows.
const LONGEST: &str = "longest";
/// The seconds of a day.
const DAY: i64 = 86_400;

#[derive(Template)]
#[template(path = "account/tokens.html")]
struct Tokens {
    shell: Shell,
    items: Vec<Item>,
    next: Option<String>,
}

/// A personal token in a list.
pub(crate) struct Item {
    pub id: Uuid,
    pub name: String,
    pub scope: String,
    pub made: Timestamp,
    pub used: Option<Timestamp>,
    pub expires: Timestamp,
}

#[derive(Template)]
#[template(path = "account/new_token.html")]
struct NewToken {
    shell: Shell,
    name: String,
    scopes: Vec<Choice>,
    lifetimes: Vec<Choice>,
    errors: FormErrors,
}

/// A checkbox or an option in a form.
struct Choice {
    value: String,
    label: String,
    chosen: bool,
}

#[derive(Template)]
#[template(path = "account/made_token.html")]
struct MadeToken {
    shell: Shell,
    name: String,
    token: String,
    url: String,
    expires: Timestamp,
}

/// Describes a token for a page shown at `now`.
#[must_use]
pub(crate) fn item(token: PersonalToken, now: DateTime<Utc>) -> Item {
    Item {
        id: token.id,
        name: token.name,
        scope: token.scope.join(" "),
        made: Timestamp::new(token.created_at, now),
        used: token.last_used_at.map(|used| Timestamp::new(used, now)),
        expires: Timestamp::new(token.expires_at, now),
    }
}

/// Lists the valid tokens.
pub(crate) async fn show(
    state: web::Data<State>,
    guarded: Authorized<AccountRead, Query<CursorQuery>>,
) -> Result<HttpResponse, Refusal> {
    let (user_id, Query(query)) = (guarded.caller.user_id, guarded.input);
    let list = format!("tokens of {user_id}");
    let request = PageRequest::read(&state.core.secret_keys, list, None, query.cursor.as_deref())?;
    let (before, rows) = (request.before, request.rows());
    let tokens = state
        .core
        .database
        .run(move |connection| personal_token::list(connection, Some(user_id), before, rows))
        .await?;
    let now = state.core.clock.now();
    let page = request.page(tokens, |token| token.id).map(|token| item(token, now));
    let page = Tokens { shell: Shell::of(&guarded.caller), items: page.items, next: page.next_cursor };
    answer(StatusCode::OK, &page)
}

/// Shows the form for a new token.
pub(crate) async fn new(
    state: web::Data<State>,
    guarded: Authorized<FreshAccountWrite>,
) -> Result<HttpResponse, Refusal> {
    let lifetimes = lifetimes(state.web.token_ttl_max, "");
    answer(StatusCode::OK, &form(&guarded.caller, String::new(), &[], lifetimes, FormErrors::none()))
}

/// Returns the lifetimes that the setting allows. If it allows none of [`DAYS`], returns the longest allowed
/// lifetime.
fn lifetimes(longest: Duration, chosen: &str) -> Vec<Choice> {
    let allowed =
        DAYS.iter().filter(|(days, _)| longest.as_secs() >= days.unsigned_abs() * DAY.unsigned_abs());
    let mut lifetimes: Vec<Choice> = allowed
        .map(|(days, label)| Choice { value: days.to_string(), label: (*label).to_owned(), chosen: false })
        .collect();
    if lifetimes.is_empty() {
        let label = format!("{}, the longest allowed", in_words(longest));
        lifetimes.push(Choice { value: LONGEST.to_owned(), label, chosen: false });
    }
    let default = DAYS_DEFAULT.to_string();
    let preferred = [chosen, default.as_str()].into_iter();
    let mut found =
        preferred.filter_map(|value| lifetimes.iter().position(|lifetime| lifetime.value == value));
    let at = found.next().unwrap_or(lifetimes.len() - 1);
    lifetimes[at].chosen = true;
    lifetimes
}

fn in_words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [("day", 86_400), ("hour", 3_600), ("minute", 60)];
    let unit = units.into_iter().find(|(_, length)| seconds.is_multiple_of(*length) && seconds > 0);
    let (name, length) = unit.unwrap_or(("second", 1));
    let count = seconds / length;
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}

fn form(
    caller: &Caller,
    name: String,
    chosen: &[&str],
    lifetimes: Vec<Choice>,
    errors: FormErrors,
) -> NewToken {
    let offered = caller.permissions.iter().filter(|permission| *permission != ACCOUNT_WRITE);
    let scopes = offered.map(|permission| Choice {
        value: permission.clone(),
        label: permission.clone(),
        chosen: chosen.contains(&permission.as_str()),
    });
    NewToken { shell: Shell::of(caller), name, scopes: scopes.collect(), lifetimes, errors }
}

/// Reads the form, and refuses it with every error.
async fn check(state: &State, caller: &Caller, sent: &Form) -> Result<NewTokenRequest, Refusal> {
    let scope: Vec<&str> = sent.all("scope").collect();
    let seconds = match sent.field("days").unwrap_or_default() {
        LONGEST => state.web.token_ttl_max.as_secs().try_into().unwrap_or(i64::MAX),
        days => days.parse().unwrap_or(DAYS_DEFAULT).saturating_mul(DAY),
    };
    let draft = Fields::draft::<NewTokenRequest>(json!({
        "name": sent.field("name").unwrap_or_default().trim(),
        "scope": scope.join(" "),
        "expires_in": seconds,
    }))?;
    let mistakes = draft.value().mistakes(state, caller).await?;
    draft.finish(mistakes)
}

/// Creates a token, and shows it this one time.
pub(crate) async fn make(
    state: web::Data<State>,
    guarded: Authorized<FreshAccountWrite, Form>,
) -> Result<HttpResponse, Refusal> {
    let Authorized { caller, input: sent, origin, .. } = guarded;
    let made: FormOutcome<_> = match check(&state, &caller, &sent).await {
        Ok(request) => MakePersonalToken { request }.run(&state, &caller, origin).await.into(),
        Err(refused) => refused.into(),
    };
    match made {
        FormOutcome::Done((plain, token)) => {
            let page = MadeToken {
                shell: Shell::of(&caller),
                name: token.name,
                token: plain.expose().to_owned(),
                url: state.tokens.issuer.url.clone(),
                expires: Timestamp::new(token.expires_at, state.core.clock.now()),
            };
            answer(StatusCode::CREATED, &page)
        }
        FormOutcome::Invalid(mut errors) => {
            let name = sent.field("name").unwrap_or_default().trim().to_owned();
            let scope: Vec<&str> = sent.all("scope").collect();
            if scope.is_empty() {
                errors.replace("scope", "Choose at least one thing that it may do.");
            }
            let lifetimes = lifetimes(state.web.token_ttl_max, sent.field("days").unwrap_or_default());
            errors.shown_by(|errors| form(&caller, name, &scope, lifetimes, errors))
        }
        FormOutcome::Refused(refusal) => Err(refusal),
    }
}

/// Revokes a token.
pub(crate) async fn revoke(
    state: web::Data<State>,
    guarded: Authorized<AccountWrite, (Path<Uuid>, Form)>,
) -> Result<HttpResponse, Refusal> {
    let Authorized { caller, input: (Path(id), _), origin, .. } = guarded;
    RevokeOwnToken { id }.run(&state, &caller, origin).await?;
    Ok(see_other("/account/tokens"))
}
