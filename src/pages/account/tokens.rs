//! `/account/tokens`: my personal access tokens.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::guard::account::{NEVER, NewTokenRequest};
use crate::guard::fields::Fields;
use crate::guard::input::{Form, Path, Query};
use crate::guard::page::PageRequest;
use crate::guard::requirements::{AccountRead, AccountWrite, FreshAccountWrite};
use crate::guard::{Authorized, Caller, Services, refusal};
use crate::pages::answer;
use crate::pages::flaws::Flaws;
use crate::pages::moment::Moment;
use crate::pages::refused::see_other;
use crate::pages::shell::Shell;
use crate::problem::Problem;
use crate::tokens::personal_token::{self, PersonalToken};

/// Lives that the form offers, in days.
const DAYS: [(i64, &str); 5] =
    [(7, "7 days"), (30, "30 days"), (90, "90 days"), (365, "1 year"), (1_825, "5 years")];
const DAYS_DEFAULT: i64 = 90;

#[derive(Template)]
#[template(path = "account/tokens.html")]
struct Tokens {
    shell: Shell,
    items: Vec<Item>,
    next: Option<String>,
}

/// A token on a page.
pub struct Item {
    /// See [`PersonalToken`].
    pub id: Uuid,
    /// See [`PersonalToken`].
    pub name: String,
    /// See [`PersonalToken`].
    pub scope: String,
    /// See [`PersonalToken`].
    pub made: Moment,
    /// See [`PersonalToken`].
    pub used: Option<Moment>,
    /// See [`PersonalToken`].
    pub expires: Moment,
}

#[derive(Template)]
#[template(path = "account/new_token.html")]
struct NewToken {
    shell: Shell,
    name: String,
    scopes: Vec<Choice>,
    lives: Vec<Choice>,
    flaws: Flaws,
}

/// A box or an option of a form.
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
    expires: Moment,
}

/// Which part of the list.
#[derive(Clone, Debug, Deserialize)]
pub struct TokensQuery {
    cursor: Option<String>,
}

/// A token as it is shown at `now`.
#[must_use]
pub fn item(token: PersonalToken, now: DateTime<Utc>) -> Item {
    Item {
        id: token.id,
        name: token.name,
        scope: token.scope.join(" "),
        made: Moment::new(token.created_at, now),
        used: token.last_used_at.map(|used| Moment::new(used, now)),
        expires: Moment::new(token.expires_at, now),
    }
}

/// Lists the good ones.
pub async fn show(
    services: web::Data<Services>,
    guarded: Authorized<AccountRead, Query<TokensQuery>>,
) -> Result<HttpResponse, Problem> {
    let (user_id, Query(query)) = (guarded.caller.user_id, guarded.input);
    let request =
        PageRequest::read(&services, format!("tokens of {user_id}"), None, query.cursor.as_deref())?;
    let (before, rows) = (request.before, request.rows());
    let tokens = services
        .database
        .run(move |connection| personal_token::list(connection, Some(user_id), before, rows))
        .await
        .map_err(refusal::database)?;
    let now = services.clock.now();
    let page = request.page(&services, tokens, |token| token.id, |token| item(token, now));
    let page = Tokens { shell: Shell::of(&guarded.caller), items: page.items, next: page.next_cursor };
    answer(StatusCode::OK, &page)
}

/// The form for another.
pub async fn new(guarded: Authorized<FreshAccountWrite>) -> Result<HttpResponse, Problem> {
    answer(StatusCode::OK, &form(&guarded.caller, String::new(), &[], DAYS_DEFAULT, Flaws::none()))
}

fn form(caller: &Caller, name: String, chosen: &[&str], days: i64, flaws: Flaws) -> NewToken {
    let offered = caller.permissions.iter().filter(|permission| *permission != NEVER);
    let scopes = offered.map(|permission| Choice {
        value: permission.clone(),
        label: permission.clone(),
        chosen: chosen.contains(&permission.as_str()),
    });
    let lives = DAYS.iter().map(|(count, label)| Choice {
        value: count.to_string(),
        label: (*label).to_owned(),
        chosen: *count == days,
    });
    NewToken { shell: Shell::of(caller), name, scopes: scopes.collect(), lives: lives.collect(), flaws }
}

/// Makes one, and shows it this once.
pub async fn make(
    services: web::Data<Services>,
    guarded: Authorized<FreshAccountWrite, Form>,
) -> Result<HttpResponse, Problem> {
    let Authorized { caller, input: sent, origin, .. } = guarded;
    let name = sent.field("name").unwrap_or_default().trim().to_owned();
    let scope: Vec<&str> = sent.all("scope").collect();
    let days = sent.field("days").and_then(|days| days.parse().ok()).unwrap_or(DAYS_DEFAULT);
    let typed = json!({ "name": name, "scope": scope.join(" "), "expires_in": days.saturating_mul(86_400) });
    let made = match Fields::read::<NewTokenRequest>(typed) {
        _ if scope.is_empty() => {
            Err(Ok(Flaws::of_field("scope", "Choose at least one thing that it may do.")))
        }
        Ok(request) => services.make_personal_token(&caller, request, origin).await.map_err(Flaws::of),
        Err(problem) => Err(Flaws::of(problem)),
    };
    match made {
        Ok((plain, token)) => {
            let page = MadeToken {
                shell: Shell::of(&caller),
                name: token.name,
                token: plain.expose().to_owned(),
                url: services.issuer.url.clone(),
                expires: Moment::new(token.expires_at, services.clock.now()),
            };
            answer(StatusCode::CREATED, &page)
        }
        Err(flaws) => flaws?.shown_by(|flaws| form(&caller, name, &scope, days, flaws)),
    }
}

/// Revokes one.
pub async fn revoke(
    services: web::Data<Services>,
    guarded: Authorized<AccountWrite, (Path<Uuid>, Form)>,
) -> Result<HttpResponse, Problem> {
    let Authorized { caller, input: (Path(id), _), origin, .. } = guarded;
    services.revoke_own_token(&caller, id, origin).await?;
    Ok(see_other("/account/tokens"))
}
