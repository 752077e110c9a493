//! `/admin/refusals`: lists recent refusals with filters, and explains them.

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;
use uuid::Uuid;

use super::audit::{find_user, query_of, read_choice, read_day};
use super::chart::Chart;
use super::overview::{DAYS, days};
use crate::audit::refusal_counts;
use crate::explain::explanation;
use crate::explain::explanation::{Asker, NOT_KEPT};
use crate::explain::kept_refusals;
use crate::explain::kept_refusals::RefusalQuery;
use crate::explain::rehearsal::rehearse;
use crate::guard::requirements::AuditRead;
use crate::guard::{Authorized, Caller};
use crate::http::request::{Path, Query};
use crate::http::routing::RouteTable;
use crate::pages::answer::answer;
use crate::pages::explanation::{ExplanationPage, Item, Reader};
use crate::pages::form_errors::FormErrors;
use crate::pages::shell::Shell;
use crate::refusal::{Code, Refusal};
use crate::state::State;

/// The seconds between reloads of the live list.
const LIVE_EVERY: HeaderValue = HeaderValue::from_static("5");
const REFRESH: HeaderName = HeaderName::from_static("refresh");

#[derive(Template)]
#[template(path = "admin/refusals.html")]
struct Refusals {
    shell: Shell,
    items: Vec<Item>,
    codes: Vec<&'static str>,
    sent: RefusalsQuery,
    query: String,
    next: Option<String>,
    chart: Chart,
    keeps: bool,
    errors: FormErrors,
}

/// The filters and the requested page. The user is given by name or ID.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct RefusalsQuery {
    #[serde(default)]
    code: String,
    #[serde(default)]
    user: String,
    #[serde(default)]
    route: String,
    #[serde(default)]
    since: String,
    live: Option<String>,
    cursor: Option<String>,
}

impl RefusalsQuery {
    fn without_cursor(&self) -> String {
        let fields =
            [("code", &self.code), ("user", &self.user), ("route", &self.route), ("since", &self.since)];
        query_of(&fields)
    }

    async fn read(&self, state: &State) -> Result<RefusalQuery, Refusal> {
        let mut wrong = Vec::new();
        let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        let filled = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let query = RefusalQuery {
            user: find_user(state, &self.user, "/user", &mut wrong).await?,
            code: read_choice(&self.code, "/code", &codes, &mut wrong),
            route: filled(&self.route),
            since: read_day(&self.since, &mut wrong),
            cursor: self.cursor.clone(),
        };
        if wrong.is_empty() { Ok(query) } else { Err(Refusal::validation(wrong)) }
    }
}

/// Returns the page without refusals.
async fn empty(
    state: &State,
    caller: &Caller,
    sent: RefusalsQuery,
    errors: FormErrors,
) -> Result<Refusals, Refusal> {
    Ok(Refusals {
        shell: Shell::of(caller),
        items: Vec::new(),
        codes: Code::ALL.iter().map(|code| code.as_str()).collect(),
        chart: count(state, &sent.code).await?,
        keeps: state.recorder.kept_refusals.keeps(),
        sent,
        query: String::new(),
        next: None,
        errors,
    })
}

/// Lists the refusals.
pub(crate) async fn show(
    state: web::Data<State>,
    guarded: Authorized<AuditRead, Query<RefusalsQuery>>,
) -> Result<HttpResponse, Refusal> {
    let Authorized { caller, input: Query(sent), .. } = guarded;
    let filters = match sent.read(&state).await {
        Ok(filters) => filters,
        Err(refusal) => {
            let page = empty(&state, &caller, sent, FormErrors::of(refusal)?).await?;
            return answer(StatusCode::UNPROCESSABLE_ENTITY, &page);
        }
    };
    let page = kept_refusals::list_refusals(&state, filters).await?;
    let now = state.core.clock.now();
    let query = sent.without_cursor();
    let next = page.next_cursor.as_ref().map(|cursor| {
        let mut next = url::form_urlencoded::Serializer::new(query.clone());
        next.append_pair("cursor", cursor).finish()
    });
    let is_live = sent.live.is_some();
    let items = page.items.into_iter().map(|refusal| Item::new(refusal, now)).collect();
    let page = empty(&state, &caller, sent, FormErrors::none()).await?;
    let page = Refusals { items, query, next, ..page };
    let mut answer = answer(StatusCode::OK, &page)?;
    if is_live {
        answer.headers_mut().insert(REFRESH, LIVE_EVERY);
    }
    Ok(answer)
}

/// Counts the refusals of each day, for one code or all. Includes those that were not kept.
async fn count(state: &State, code: &str) -> Result<Chart, Refusal> {
    let counts =
        state.core.database.run(|connection| refusal_counts::list(connection, DAYS.cast_signed())).await?;
    let of_code = counts.into_iter().filter(|count| code.is_empty() || count.what == code);
    let counts: Vec<_> = of_code.collect();
    let total: i64 = counts.iter().map(|count| count.count).sum();
    let bars = days(state.core.clock.now().date_naive(), |day| {
        let on_day: Vec<_> = counts.iter().filter(|count| count.day == day).collect();
        let label: Vec<String> =
            on_day.iter().map(|count| format!("{} {}", count.what, count.count)).collect();
        let label = if label.is_empty() { "none".to_owned() } else { label.join(", ") };
        (0, on_day.iter().map(|count| count.count).sum(), label)
    });
    Ok(Chart::new("Refusals", format!("{total} in {DAYS} days, on all nodes"), bars))
}

/// Explains a refusal.
pub(crate) async fn explain(
    state: web::Data<State>,
    routes: web::Data<RouteTable>,
    guarded: Authorized<AuditRead, Path<Uuid>>,
) -> Result<HttpResponse, Refusal> {
    let Path(request_id) = guarded.input;
    let found = explanation::explain_request(&state, request_id, Asker::Caller(&guarded.caller)).await?;
    let explanation = found.ok_or_else(|| Refusal::new(Code::NotFound, NOT_KEPT))?;
    let rehearsal = rehearse(&state, &routes, &explanation).await?;
    let back = ("/admin/refusals", "All refusals");
    let reader = Reader { caller: Some(&guarded.caller), now: state.core.clock.now() };
    let page = ExplanationPage::new(Shell::of(&guarded.caller), back, explanation, rehearsal, reader);
    answer(StatusCode::OK, &page)
}
