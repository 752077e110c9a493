//! `/login` and `/logout`: a browser's session begins and ends.

use actix_web::http::StatusCode;
use actix_web::http::header::USER_AGENT;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::refused::see_other;
use super::shell::Shell;
use super::{answer, device, next};
use crate::audit::Origin;
use crate::guard::cookie_store::{self, NewCookie, SentCookie};
use crate::guard::csrf::{Before, FormBefore};
use crate::guard::input::{Form, From, Open, Query};
use crate::guard::sign_in::SignIn;
use crate::guard::trace::Trace;
use crate::guard::{AnyCaller, Authorized, Services, checks};
use crate::problem::{self, Code, Problem};
use crate::sessions::{EndReason, HeldBy, Which};
use crate::users::password::PlainPassword;

/// Where a sign-in leads when nothing else was asked for.
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
    flaw: Option<String>,
}

impl Login {
    fn empty(services: &Services) -> Self {
        Self {
            shell: Shell::bare(),
            csrf_token: String::new(),
            next: String::new(),
            username: String::new(),
            keep: false,
            registers: services.registration_open,
            notice: None,
            flaw: None,
        }
    }
}

/// What the address of the page may carry.
#[derive(Clone, Debug, Deserialize)]
pub struct LoginQuery {
    next: Option<String>,
    signed_out: Option<String>,
}

/// The form; who is signed in already goes on.
pub async fn show(
    services: web::Data<Services>,
    request: HttpRequest,
    Open(Query(query)): Open<Query<LoginQuery>>,
) -> Result<HttpResponse, Problem> {
    let next = next::path(query.next.as_deref());
    let notice = match checks::identify(&services, &request, &mut Trace::default()).await {
        Ok(_) => return Ok(see_other(next.unwrap_or(HOME))),
        Err(problem) => notice(&problem, next, query.signed_out.is_some())?,
    };
    let page = Login { next: next.unwrap_or_default().to_owned(), notice, ..Login::empty(&services) };
    form(&services, &request, StatusCode::OK, page)
}

/// Why there is something to sign in to again, in words.
fn notice(problem: &Problem, next: Option<&str>, signed_out: bool) -> Result<Option<String>, Problem> {
    match problem.code() {
        code if code.status().is_server_error() => Err(problem.clone()),
        _ if signed_out => Ok(Some("You are signed out.".to_owned())),
        Code::CredentialsMissing => Ok(next.map(|_| "Sign in to go on.".to_owned())),
        _ => Ok(Some(problem.detail().to_owned())),
    }
}

fn form(
    services: &Services,
    request: &HttpRequest,
    status: StatusCode,
    mut page: Login,
) -> Result<HttpResponse, Problem> {
    let before = Before::of(services, request);
    page.csrf_token.clone_from(&before.token);
    Ok(before.on(answer(status, &page)?))
}

/// Signs in.
pub async fn sign_in(
    services: web::Data<Services>,
    request: HttpRequest,
    from: From,
    Open(FormBefore(sent)): Open<FormBefore>,
) -> Result<HttpResponse, Problem> {
    Trace::of_password().keep(&request);
    let keep = sent.field("keep").is_some();
    let next = next::path(sent.field("next")).unwrap_or(HOME);
    let username = sent.field("username").unwrap_or_default();
    let wish = Wish { username, password: sent.field("password").unwrap_or_default(), keep, next };
    match begin(&services, &request, &from.0, &wish).await {
        Err(problem) if is_about_the_form(&problem) => {
            let page = Login {
                next: next.to_owned(),
                username: username.to_owned(),
                keep,
                flaw: Some(problem.detail().to_owned()),
                ..Login::empty(&services)
            };
            let mut answer = form(&services, &request, problem.code().status(), page)?;
            problem::mark(&mut answer, &problem);
            Ok(answer)
        }
        answer => answer,
    }
}

/// Who wants to sign in, and how.
pub struct Wish<'a> {
    /// The username, or the e-mail address.
    pub username: &'a str,
    /// The password.
    pub password: &'a str,
    /// Whether to stay signed in when the browser is closed.
    pub keep: bool,
    /// Where to go on.
    pub next: &'a str,
}

/// Begins a browser's session: the answer carries its cookie and leads on.
///
/// # Errors
/// See [`Services::sign_in`].
pub async fn begin(
    services: &Services,
    request: &HttpRequest,
    origin: &Origin,
    wish: &Wish<'_>,
) -> Result<HttpResponse, Problem> {
    let cookie = NewCookie::generate();
    let settings = &services.browser;
    let idle_ttl = if wish.keep { settings.kept_ttl } else { settings.idle_ttl };
    let wanted = SignIn {
        username: wish.username.to_owned(),
        password: PlainPassword::new(wish.password),
        scope: None,
        device: Some(device_of(request)),
        held_by: HeldBy::Cookie { digest: cookie.digest(), idle_ttl, is_kept: wish.keep },
        replaces: match cookie_store::sent(request, settings) {
            SentCookie::Signed(digest) => Some(digest),
            SentCookie::Missing | SentCookie::Forged => None,
        },
    };
    services.sign_in(&wanted, origin).await?;
    let mut answer = see_other(wish.next);
    cookie_store::give(request, &mut answer, &cookie, wish.keep.then_some(services.limits.session_ttl));
    Ok(answer)
}

fn is_about_the_form(problem: &Problem) -> bool {
    matches!(problem.code(), Code::InvalidCredentials | Code::AccountDisabled | Code::TooManyAttempts)
}

fn device_of(request: &HttpRequest) -> String {
    let user_agent = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok());
    device::name(user_agent.unwrap_or_default())
}

/// Signs out.
pub async fn sign_out(
    services: web::Data<Services>,
    request: HttpRequest,
    guarded: Authorized<AnyCaller, Form>,
) -> Result<HttpResponse, Problem> {
    let which = Which::These(guarded.caller.credential.session_id().into_iter().collect());
    services.end_own_sessions(which, EndReason::Logout, guarded.origin).await?;
    cookie_store::take_back(&request);
    Ok(see_other("/login?signed_out=1"))
}
