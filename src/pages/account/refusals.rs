//! `/account/refusals`: the recent refusals of what is mine, each explained.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;
use uuid::Uuid;

use crate::guard::explain::{Asker, NOT_KEPT};
use crate::guard::input::{Path, Query};
use crate::guard::refusal_log::RefusalQuery;
use crate::guard::requirements::AccountRead;
use crate::guard::{Authorized, Services};
use crate::pages::answer;
use crate::pages::explanation::{ExplanationPage, Item};
use crate::pages::shell::Shell;
use crate::problem::{Code, Problem};

#[derive(Template)]
#[template(path = "account/refusals.html")]
struct Refusals {
    shell: Shell,
    items: Vec<Item>,
    next: Option<String>,
    keeps: bool,
}

/// Which part of the list.
#[derive(Clone, Debug, Deserialize)]
pub struct RefusalsQuery {
    cursor: Option<String>,
}

/// Lists them.
pub async fn show(
    services: web::Data<Services>,
    guarded: Authorized<AccountRead, Query<RefusalsQuery>>,
) -> Result<HttpResponse, Problem> {
    let Query(sent) = guarded.input;
    let user = Some(guarded.caller.user_id);
    let page =
        services.list_refusals(RefusalQuery { user, cursor: sent.cursor, ..RefusalQuery::default() }).await?;
    let now = services.clock.now();
    let page = Refusals {
        shell: Shell::of(&guarded.caller),
        items: page.items.into_iter().map(|refusal| Item::new(refusal, now)).collect(),
        next: page.next_cursor,
        keeps: services.kept_refusals.keeps(),
    };
    answer(StatusCode::OK, &page)
}

/// Explains one.
pub async fn explain(
    services: web::Data<Services>,
    guarded: Authorized<AccountRead, Path<Uuid>>,
) -> Result<HttpResponse, Problem> {
    let Path(request_id) = guarded.input;
    let found = services.explain_request(request_id, Asker::Caller(&guarded.caller)).await?;
    let own = found.filter(|explanation| {
        let credential = explanation.credential.as_ref();
        credential.and_then(|credential| credential.user_id) == Some(guarded.caller.user_id)
    });
    let explanation = own.ok_or_else(|| Problem::new(Code::NotFound, NOT_KEPT))?;
    let list = ("/account/refusals", "All refusals");
    let page = ExplanationPage::new(Shell::of(&guarded.caller), list, explanation, services.clock.now());
    answer(StatusCode::OK, &page.for_readers(&["client", "user"]))
}
