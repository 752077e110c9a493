//! `/account/password`: changes the user's own password.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde_json::json;

use crate::guard::requirements::AccountWrite;
use crate::guard::{Authorized, Caller, session_cookie};
use crate::http::fields::Fields;
use crate::http::request::Form;
use crate::operations::own_account::{ChangePassword, PasswordChange, PasswordChangeDraft};
use crate::pages::answer::answer;
use crate::pages::form_errors::{FormErrors, FormOutcome};
use crate::pages::set_password;
use crate::pages::shell::Shell;
use crate::refusal::{self, Refusal};
use crate::state::State;

#[derive(Template)]
#[template(path = "account/password.html")]
struct Password {
    shell: Shell,
    hint: String,
    revoke_tokens: bool,
    errors: FormErrors,
    done: Option<&'static str>,
}

/// Shows the form.
pub(crate) async fn show(
    state: web::Data<State>,
    guarded: Authorized<AccountWrite>,
) -> Result<HttpResponse, Refusal> {
    let (shell, hint) = (Shell::of(&guarded.caller), set_password::hint(&state));
    let page = Password { shell, hint, revoke_tokens: false, errors: FormErrors::none(), done: None };
    answer(StatusCode::OK, &page)
}

/// Reads the form, and refuses it with every error.
async fn check(state: &State, caller: &Caller, sent: &Form) -> Result<PasswordChange, Refusal> {
    let field = |name: &str| sent.field(name).unwrap_or_default();
    let draft = Fields::draft::<PasswordChangeDraft>(json!({
        "current_password": field("current_password"),
        "new_password": field("new_password"),
        "revoke_tokens": sent.field("revoke_tokens").is_some(),
    }))?;
    let mut mistakes = draft.value().mistakes(state, caller).await?;
    mistakes.extend(set_password::find_difference(sent));
    draft.finish(mistakes)?.complete().ok_or_else(refusal::internal)
}

/// Changes the password. All other sessions of the user end.
pub(crate) async fn change(
    state: web::Data<State>,
    request: HttpRequest,
    guarded: Authorized<AccountWrite, Form>,
) -> Result<HttpResponse, Refusal> {
    let Authorized { caller, input: sent, origin, .. } = guarded;
    let revoke_tokens = sent.field("revoke_tokens").is_some();
    let changed: FormOutcome<_> = match check(&state, &caller, &sent).await {
        Ok(request) => ChangePassword { request }.run(&state, &caller, origin).await.into(),
        Err(refused) => refused.into(),
    };
    let hint = set_password::hint(&state);
    let page =
        Password { shell: Shell::of(&caller), hint, revoke_tokens, errors: FormErrors::none(), done: None };
    match changed {
        FormOutcome::Done(renewed) => {
            let done = Some("Your password is changed, and every other session is signed out.");
            let mut answer = answer(StatusCode::OK, &Password { revoke_tokens: false, done, ..page })?;
            if let Some((cookie, kept)) = renewed {
                let kept = session_cookie::cookie_max_age(&state.web.browser, kept);
                session_cookie::set_cookie(&request, &mut answer, &cookie, kept);
            }
            Ok(answer)
        }
        FormOutcome::Invalid(errors) => errors.shown_by(|errors| Password { errors, ..page }),
        FormOutcome::Refused(refusal) => Err(refusal),
    }
}
