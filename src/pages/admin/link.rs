//! Shows a one-time link.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;
use uuid::Uuid;

use crate::guard::Caller;
use crate::operations::manage_users::CreatedLink;
use crate::pages::answer::answer;
use crate::pages::shell::Shell;
use crate::pages::timestamp::Timestamp;
use crate::refusal::Refusal;
use crate::state::State;
use crate::users::User;

#[derive(Template)]
#[template(path = "admin/link.html")]
struct Link {
    shell: Shell,
    id: Uuid,
    username: String,
    link: String,
    expires: Timestamp,
    keeps_tokens: bool,
}

/// Shows a link. It is shown only this one time.
pub(crate) fn show_link(
    state: &State,
    caller: &Caller,
    user: &User,
    link: CreatedLink,
) -> Result<HttpResponse, Refusal> {
    let page = Link {
        shell: Shell::of(caller),
        id: user.id,
        username: user.username.clone(),
        link: link.url,
        expires: Timestamp::new(link.expires_at, state.core.clock.now()),
        keeps_tokens: link.ended.tokens.is_none(),
    };
    answer(StatusCode::CREATED, &page)
}
