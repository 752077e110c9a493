//! Registers a path with its methods. Answers HEAD like GET, OPTIONS with the methods, and any other method
//! with 405 and `Allow` (RFC 9110, section 15.5.6).

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{AppService, HttpServiceFactory, ResourceDef, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{
    Error, FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, ResponseError, Route, web,
};

use crate::refusal::{ACCEPT_PATCH, Code, PATCHES, Problem, path_without_secrets};

/// The requirements of an endpoint on its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The permission that both the role and the credential must grant; `None` if any caller may use the
    /// endpoint.
    pub permission: Option<&'static str>,
    /// True if the sign-in must be recent (RFC 9470). Personal tokens are exempt.
    pub fresh: bool,
}

/// A handler parameter that may state requirements on the caller. Only the parameters of the guard do.
pub trait Asks {
    /// The requirements; `None` if the parameter has none.
    const RULE: Option<Rule> = None;
}

impl<T> Asks for web::Data<T> {}
impl<T> Asks for web::Path<T> {}
impl Asks for HttpRequest {}

macro_rules! asks_as_its_parts {
    ($($part:ident)*) => {
        impl<$($part: Asks),*> Asks for ($($part,)*) {
            const RULE: Option<Rule> = {
                #[allow(unused_mut)]
                let mut rule = None;
                $(if $part::RULE.is_some() {
                    rule = $part::RULE;
                })*
                rule
            };
        }
    };
}

asks_as_its_parts!();
asks_as_its_parts!(A);
asks_as_its_parts!(A B);
asks_as_its_parts!(A B C);
asks_as_its_parts!(A B C D);

/// A method of an endpoint.
struct Answering {
    method: Method,
    rule: Option<Rule>,
    route: Route,
}

/// A path with its methods and their handlers.
pub struct Endpoint {
    path: &'static str,
    routes: Vec<Answering>,
    codes: Vec<Code>,
    codes_of_methods: Vec<(Method, Code)>,
    cookie_only: bool,
}

/// Marks a path, in its app data, that accepts only the session cookie. A request with an `Authorization`
/// header is refused.
#[derive(Clone, Copy, Debug)]
pub struct CookieOnly;

impl Endpoint {
    /// Creates an endpoint without methods.
    #[must_use]
    pub fn at(path: &'static str) -> Self {
        Self { path, routes: Vec::new(), codes: Vec::new(), codes_of_methods: Vec::new(), cookie_only: false }
    }

    /// Accepts only the session cookie, for pages opened in a browser.
    #[must_use]
    pub fn cookie_only(mut self) -> Self {
        self.cookie_only = true;
        self
    }

    /// Adds GET, and HEAD with the same handler.
    #[must_use]
    pub fn get<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args> + Clone,
        Args: FromRequest + Asks + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::HEAD, handler.clone()).on(Method::GET, handler)
    }

    #[must_use]
    pub fn post<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + Asks + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::POST, handler)
    }

    #[must_use]
    pub fn put<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + Asks + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::PUT, handler)
    }

    #[must_use]
    pub fn patch<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + Asks + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::PATCH, handler)
    }

    #[must_use]
    pub fn delete<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + Asks + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::DELETE, handler)
    }

    fn on<F, Args>(mut self, method: Method, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + Asks + 'static,
        F::Output: Responder + 'static,
    {
        let route = web::method(method.clone()).to(handler);
        self.routes.push(Answering { method, rule: Args::RULE, route });
        self
    }

    /// Declares the codes that all methods can return, besides those of the guard.
    #[must_use]
    pub fn codes(mut self, codes: &[Code]) -> Self {
        self.codes.extend_from_slice(codes);
        self
    }

    /// Declares codes that only this method can return.
    #[must_use]
    pub fn codes_of(mut self, method: &Method, codes: &[Code]) -> Self {
        self.codes_of_methods.extend(codes.iter().map(|code| (method.clone(), *code)));
        self
    }

    /// Returns the path, with its parameters in braces.
    #[must_use]
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// Returns the methods, except OPTIONS.
    #[must_use]
    pub fn methods(&self) -> Vec<Method> {
        self.routes.iter().map(|answering| answering.method.clone()).collect()
    }

    /// Returns the requirements of a method; `None` if it has none or does not exist.
    #[must_use]
    pub fn rule(&self, method: &Method) -> Option<Rule> {
        self.routes.iter().find(|answering| answering.method == *method)?.rule
    }

    /// Returns the codes declared for a method.
    #[must_use]
    pub fn problem_codes(&self, method: &Method) -> Vec<Code> {
        let own = self.codes_of_methods.iter().filter(|(of, _)| of == method).map(|(_, code)| *code);
        self.codes.iter().copied().chain(own).collect()
    }
}

/// The pattern of the matched route, with its parameters in braces. actix-web's own lookup would scan all
/// routes again.
#[derive(Clone, Copy, Debug)]
pub struct Matched(pub &'static str);

/// All routes with their requirements. Explanations use it to look up what a request requires.
pub struct RouteTable(Vec<(ResourceDef, Vec<Asked>)>);

/// A method with its requirements.
type Asked = (Method, Option<Rule>);

/// The result of looking up a method and a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// No route matches the path.
    Nothing,
    /// The path exists, but only with these methods.
    OtherMethods(Vec<Method>),
    /// A public endpoint.
    Open,
    /// A guarded endpoint.
    Guarded(Rule),
}

impl RouteTable {
    /// Builds the table from the endpoints.
    #[must_use]
    pub fn of(endpoints: &[Endpoint]) -> Self {
        let row = |endpoint: &Endpoint| {
            let methods = endpoint.routes.iter().map(|answering| (answering.method.clone(), answering.rule));
            (ResourceDef::new(endpoint.path), methods.collect())
        };
        Self(endpoints.iter().map(row).collect())
    }

    /// Looks up the route for a method and a path.
    #[must_use]
    pub fn find(&self, method: &Method, path: &str) -> Found {
        let Some((_, methods)) = self.0.iter().find(|(pattern, _)| pattern.is_match(path)) else {
            return Found::Nothing;
        };
        match methods.iter().find(|(answering, _)| answering == method) {
            Some((_, Some(rule))) => Found::Guarded(*rule),
            Some((_, None)) => Found::Open,
            None => Found::OtherMethods(methods.iter().map(|(method, _)| method.clone()).collect()),
        }
    }
}

/// The maximum length of a path, in bytes. No route here is longer.
const PATH_MAX: usize = 2_000;

/// Middleware: refuses an overlong path before actix-web matches it against every route.
pub async fn refuse_long_path<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let bytes = request.uri().path().len();
    if bytes > PATH_MAX {
        let detail = format!(
            "The path has {bytes} bytes, and no route has more than {PATH_MAX}; /openapi.json lists those that exist."
        );
        return Ok(request.into_response(Problem::new(Code::NotFound, detail).error_response()));
    }
    next.call(request).await.map(ServiceResponse::map_into_boxed_body)
}

/// Responds when no route matches. The detail suggests the path with or without a trailing slash if that one
/// exists, because frameworks differ in which they use.
///
/// # Errors
/// Always `not_found`.
pub async fn no_route(request: HttpRequest, table: web::Data<RouteTable>) -> Result<HttpResponse, Problem> {
    let path = request.path();
    let shown = path_without_secrets(path, 200);
    let other = match path.strip_suffix('/') {
        Some(without) => without.trim_end_matches('/').to_owned(),
        None => format!("{path}/"),
    };
    let has_route = !other.is_empty() && table.find(request.method(), &other) != Found::Nothing;
    let detail = if has_route {
        format!("No route matches {shown}. Send the request to {}.", path_without_secrets(&other, 200))
    } else {
        format!("No route matches {shown}; /openapi.json lists those that exist.")
    };
    Err(Problem::new(Code::NotFound, detail))
}

impl HttpServiceFactory for Endpoint {
    fn register(self, config: &mut AppService) {
        let mut allowed: Vec<Method> = self.methods();
        allowed.push(Method::OPTIONS);
        allowed.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        let (options, takes_patches) = (allow(&allowed), allowed.contains(&Method::PATCH));
        let mut resource = Resource::new(self.path).app_data(Matched(self.path));
        if self.cookie_only {
            resource = resource.app_data(CookieOnly);
        }
        for answering in self.routes {
            resource = resource.route(answering.route);
        }
        resource
            .route(web::method(Method::OPTIONS).to(move || {
                let options = options.clone();
                async move {
                    let mut answer = HttpResponse::NoContent();
                    if takes_patches {
                        answer.insert_header((ACCEPT_PATCH, PATCHES));
                    }
                    answer.insert_header((ALLOW, options)).finish()
                }
            }))
            .default_service(web::to(move |method: Method| {
                let allowed = allowed.clone();
                async move { Err::<HttpResponse, Problem>(refuse(&method, &allowed)) }
            }))
            .register(config);
    }
}

fn allow(methods: &[Method]) -> HeaderValue {
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    HeaderValue::from_str(&names.join(", ")).unwrap_or(HeaderValue::from_static(""))
}

fn refuse(method: &Method, allowed: &[Method]) -> Problem {
    let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    let shown: String = method.as_str().chars().take(20).collect();
    let detail = format!("{shown} is not answered here; what is: {}.", names.join(", "));
    Problem::new(Code::MethodNotAllowed, detail).allow(allowed)
}
