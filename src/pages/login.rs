//! `/login` and `/logout`: start and end the session of a browser.

use actix_web::http::StatusCode;
use actix_web::http::header::USER_AGENT;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::answer::answer;
use super::redirect::see_other;
use super::shell::Shell;
use super::{device, return_to};
use crate::audit::Origin;
use crate::guard::csrf::{AnonymousForm, AnonymousFormToken};
use crate::guard::origin::RequestOrigin;
use crate::guard::session_cookie::{self, NewSessionCookie, SentCookie};
use crate::guard::trace::Trace;
use crate::guard::{AnyCaller, Authorized, checks};
use crate::http::request::{Form, Public, Query};
use crate::operations::own_account::SignOut;
use crate::operations::sign_in::SignIn;
use crate::refusal::{self, Code, Refusal};
use crate::sessions::{SessionSecret, SessionSelection};
use crate::state::State;
use crate::users::password::PlainPassword;

/// The page after a sign-in, unless another was requested.
const HOME: &str = "/account";

#[derive(Template)]
#[template(path = "login.html")]
struct Login {
    shell: Shell,
    csrf_token: String,
    next: String,
    username: String,
    keep: bool,
    registers: bool,
    notice: Option<String>,
    error: Option<String>,
}

impl Login {
    fn empty(state: &State) -> Self {
        Self {
            shell: Shell::bare(),
            csrf_token: String::new(),
            next: String::new(),
            username: String::new(),
            keep: false,
            registers: state.web.registration_open,
            notice: None,
            error: None,
        }
    }
}

/// The query parameters of the page.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct LoginQuery {
    next: Option<String>,
    signed_out: Option<String>,
}

/// Shows the form, or redirects a user who is already signed in.
pub(crate) async fn show(
    state: web::Data<State>,
    request: HttpRequest,
    Public(Query(query)): Public<Query<LoginQuery>>,
) -> Result<HttpResponse, Refusal> {
    let next = return_to::path(query.next.as_deref());
    let notice = match checks::identify(&state, &request, &mut Trace::default()).await {
        Ok(_) => return Ok(see_other(next.unwrap_or(HOME))),
        Err(refusal) => notice(&refusal, next, query.signed_out.is_some())?,
    };
    let page = Login { next: next.unwrap_or_default().to_owned(), notice, ..Login::empty(&state) };
    form(&state, &request, StatusCode::OK, page)
}

/// Returns a message that explains why the user has to sign in.
fn notice(refusal: &Refusal, next: Option<&str>, signed_out: bool) -> Result<Option<String>, Refusal> {
    match refusal.code() {
        code if code.status().is_server_error() => Err(refusal.clone()),
        _ if signed_out => Ok(Some("You are signed out.".to_owned())),
        Code::CredentialsMissing => Ok(next.map(|_| "Sign in to continue.".to_owned())),
        _ => Ok(Some(refusal.detail().to_owned())),
    }
}

fn form(
    state: &State,
    request: &HttpRequest,
    status: StatusCode,
    mut page: Login,
) -> Result<HttpResponse, Refusal> {
    let before = AnonymousFormToken::of(state, request);
    page.csrf_token.clone_from(&before.token);
    Ok(before.on(answer(status, &page)?))
}

/// Handles the form: signs in.
pub(crate) async fn sign_in(
    state: web::Data<State>,
    request: HttpRequest,
    from: RequestOrigin,
    Public(AnonymousForm(sent)): Public<AnonymousForm>,
) -> Result<HttpResponse, Refusal> {
    Trace::of_password().keep(&request);
    let keep = sent.field("keep").is_some();
    let next = return_to::path(sent.field("next")).unwrap_or(HOME);
    let username = sent.field("username").unwrap_or_default();
    let sign_in =
        BrowserSignIn { username, password: sent.field("password").unwrap_or_default(), keep, next };
    match begin(&state, &request, &from.0, &sign_in).await {
        Err(refusal) if is_about_the_form(&refusal) => {
            let page = Login {
                next: next.to_owned(),
                username: username.to_owned(),
                keep,
                error: Some(refusal.detail().to_owned()),
                ..Login::empty(&state)
            };
            let mut answer = form(&state, &request, refusal.code().status(), page)?;
            refusal::mark_refused(&mut answer, &refusal);
            Ok(answer)
        }
        answer => answer,
    }
}

/// A sign-in that a form requests.
pub(crate) struct BrowserSignIn<'a> {
    /// The username or the e-mail address.
    pub username: &'a str,
    pub password: &'a str,
    /// True if the session outlives the browser window.
    pub keep: bool,
    /// The path to redirect to.
    pub next: &'a str,
}

/// Starts a session, and redirects with its cookie.
///
/// # Errors
/// See [`SignIn::run`].
pub(crate) async fn begin(
    state: &State,
    request: &HttpRequest,
    origin: &Origin,
    sign_in: &BrowserSignIn<'_>,
) -> Result<HttpResponse, Refusal> {
    let cookie = NewSessionCookie::generate();
    let settings = &state.web.browser;
    let idle_ttl = if sign_in.keep { settings.kept_ttl } else { settings.idle_ttl };
    let wanted = SignIn {
        username: sign_in.username.to_owned(),
        password: PlainPassword::new(sign_in.password),
        scope: None,
        device: Some(device_of(request)),
        secret: SessionSecret::Cookie { digest: cookie.digest(), idle_ttl, is_kept: sign_in.keep },
        replaces: match session_cookie::read_cookie(request, settings) {
            SentCookie::Signed(digest) => Some(digest),
            SentCookie::Missing | SentCookie::Forged => None,
        },
    };
    wanted.run(state, origin).await?;
    let mut answer = see_other(sign_in.next);
    session_cookie::set_cookie(
        request,
        &mut answer,
        &cookie,
        sign_in.keep.then_some(state.tokens.lifetimes.session_ttl),
    );
    Ok(answer)
}

fn is_about_the_form(refusal: &Refusal) -> bool {
    matches!(refusal.code(), Code::InvalidCredentials | Code::AccountDisabled | Code::TooManyAttempts)
}

fn device_of(request: &HttpRequest) -> String {
    let user_agent = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok());
    device::name(user_agent.unwrap_or_default())
}

#[derive(Template)]
#[template(path = "sign_out.html")]
struct SignOutPage {
    shell: Shell,
}

/// Shows the button that signs out. Public pages link to it, because they have no CSRF token.
pub(crate) async fn ask_sign_out(guarded: Authorized<AnyCaller>) -> Result<HttpResponse, Refusal> {
    answer(StatusCode::OK, &SignOutPage { shell: Shell::of(&guarded.caller) })
}

/// Signs out: ends the session and removes its cookie.
pub(crate) async fn sign_out(
    state: web::Data<State>,
    request: HttpRequest,
    guarded: Authorized<AnyCaller, Form>,
) -> Result<HttpResponse, Refusal> {
    let which = SessionSelection::These(guarded.caller.credential.session_id().into_iter().collect());
    SignOut { which }.run(&state, guarded.origin).await?;
    session_cookie::delete_cookie(&request);
    Ok(see_other("/login?signed_out=1"))
}
