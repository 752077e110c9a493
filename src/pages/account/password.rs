//! `/account/password`: changes the user's own password.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use crate::guard::requirements::AccountWrite;
use crate::guard::{Authorized, session_cookie};
use crate::http::request::Form;
use crate::operations::own_account::ChangePassword;
use crate::operations::own_account::PasswordChange;
use crate::pages::answer::answer;
use crate::pages::flaws::{Flaws, FormOutcome};
use crate::pages::set_password;
use crate::pages::shell::Shell;
use crate::refusal::Problem;
use crate::state::State;
use crate::users::password::PlainPassword;

#[derive(Template)]
#[template(path = "account/password.html")]
struct Password {
    shell: Shell,
    hint: String,
    revoke_tokens: bool,
    flaws: Flaws,
    done: Option<&'static str>,
}

/// Shows the form.
pub async fn show(
    state: web::Data<State>,
    guarded: Authorized<AccountWrite>,
) -> Result<HttpResponse, Problem> {
    let (shell, hint) = (Shell::of(&guarded.caller), set_password::hint(&state));
    let page = Password { shell, hint, revoke_tokens: false, flaws: Flaws::none(), done: None };
    answer(StatusCode::OK, &page)
}

/// Changes the password. All other sessions of the user end.
pub async fn change(
    state: web::Data<State>,
    request: HttpRequest,
    guarded: Authorized<AccountWrite, Form>,
) -> Result<HttpResponse, Problem> {
    let Authorized { caller, input: sent, origin, .. } = guarded;
    let field = |name: &str| sent.field(name).unwrap_or_default();
    let revoke_tokens = sent.field("revoke_tokens").is_some();
    let changed = if field("new_password") == field("again") {
        let change = PasswordChange {
            current_password: PlainPassword::new(field("current_password")),
            new_password: PlainPassword::new(field("new_password")),
            revoke_tokens,
        };
        ChangePassword { request: change }.run(&state, &caller, origin).await.into()
    } else {
        FormOutcome::invalid("again", "This is not the same as above.")
    };
    let hint = set_password::hint(&state);
    let page = Password { shell: Shell::of(&caller), hint, revoke_tokens, flaws: Flaws::none(), done: None };
    match changed {
        FormOutcome::Done(renewed) => {
            let done = Some("Your password is changed, and every other session is signed out.");
            let mut answer = answer(StatusCode::OK, &Password { revoke_tokens: false, done, ..page })?;
            if let Some((cookie, kept)) = renewed {
                let kept = session_cookie::kept_for(&state.web.browser, kept);
                session_cookie::give(&request, &mut answer, &cookie, kept);
            }
            Ok(answer)
        }
        FormOutcome::Invalid(flaws) => flaws.shown_by(|flaws| Password { flaws, ..page }),
        FormOutcome::Refused(problem) => Err(problem),
    }
}
