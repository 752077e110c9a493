//! Shows a one-time link.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;
use uuid::Uuid;

use crate::guard::Caller;
use crate::operations::manage_users::PasswordLink;
use crate::pages::answer::answer;
use crate::pages::moment::Moment;
use crate::pages::shell::Shell;
use crate::refusal::Problem;
use crate::state::State;
use crate::users::User;

#[derive(Template)]
#[template(path = "admin/link.html")]
struct Link {
    shell: Shell,
    id: Uuid,
    username: String,
    link: String,
    expires: Moment,
    keeps_tokens: bool,
}

/// Shows a link. It is shown only this one time.
pub fn show_link(
    state: &State,
    caller: &Caller,
    user: &User,
    link: PasswordLink,
) -> Result<HttpResponse, Problem> {
    let page = Link {
        shell: Shell::of(caller),
        id: user.id,
        username: user.username.clone(),
        link: link.url,
        expires: Moment::new(link.expires_at, state.core.clock.now()),
        keeps_tokens: link.ended.tokens.is_none(),
    };
    answer(StatusCode::CREATED, &page)
}
