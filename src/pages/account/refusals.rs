//! `/account/refusals`: lists and explains recent refusals of the user's own credentials.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use uuid::Uuid;

use crate::explain::explanation;
use crate::explain::explanation::{Asker, NOT_KEPT};
use crate::explain::kept_refusals;
use crate::explain::kept_refusals::RefusalQuery;
use crate::explain::rehearsal::rehearse;
use crate::guard::Authorized;
use crate::guard::requirements::AccountRead;
use crate::http::pagination::CursorQuery;
use crate::http::request::{Path, Query};
use crate::http::routing::RouteTable;
use crate::pages::answer::answer;
use crate::pages::explanation::{ExplanationPage, Item, Reader};
use crate::pages::shell::Shell;
use crate::refusal::{Code, Refusal};
use crate::state::State;

#[derive(Template)]
#[template(path = "account/refusals.html")]
struct Refusals {
    shell: Shell,
    items: Vec<Item>,
    next: Option<String>,
    keeps: bool,
}

/// Lists the refusals.
pub(crate) async fn show(
    state: web::Data<State>,
    guarded: Authorized<AccountRead, Query<CursorQuery>>,
) -> Result<HttpResponse, Refusal> {
    let Query(sent) = guarded.input;
    let user = Some(guarded.caller.user_id);
    let page = kept_refusals::list_refusals(
        &state,
        RefusalQuery { user, cursor: sent.cursor, ..RefusalQuery::default() },
    )
    .await?;
    let now = state.core.clock.now();
    let page = Refusals {
        shell: Shell::of(&guarded.caller),
        items: page.items.into_iter().map(|refusal| Item::new(refusal, now)).collect(),
        next: page.next_cursor,
        keeps: state.recorder.kept_refusals.keeps(),
    };
    answer(StatusCode::OK, &page)
}

/// Explains a refusal, if its credential belongs to the user.
pub(crate) async fn explain(
    state: web::Data<State>,
    routes: web::Data<RouteTable>,
    guarded: Authorized<AccountRead, Path<Uuid>>,
) -> Result<HttpResponse, Refusal> {
    let Path(request_id) = guarded.input;
    let found = explanation::explain_request(&state, request_id, Asker::Caller(&guarded.caller)).await?;
    let own = found.filter(|explanation| {
        let credential = explanation.credential.as_ref();
        credential.and_then(|credential| credential.user_id) == Some(guarded.caller.user_id)
    });
    let explanation = own.ok_or_else(|| Refusal::new(Code::NotFound, NOT_KEPT))?;
    let rehearsal = rehearse(&state, &routes, &explanation).await?;
    let back = ("/account/refusals", "Your refusals");
    let reader = Reader { caller: Some(&guarded.caller), now: state.core.clock.now() };
    let page = ExplanationPage::new(Shell::of(&guarded.caller), back, explanation, rehearsal, reader);
    answer(StatusCode::OK, &page.for_readers(&["client", "user"]))
}
