//! A path with its methods: HEAD as GET, OPTIONS for the asking, and 405 with `Allow` for the rest (RFC 9110,
//! section 15.5.6).

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{AppService, HttpServiceFactory, ResourceDef, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{
    Error, FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, ResponseError, Route, web,
};

use crate::refusal::{ACCEPT_PATCH, Code, PATCHES, Problem, path_without_secrets};

/// What an endpoint asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The permission that role and credential must both have; `None`: any caller.
    pub permission: Option<&'static str>,
    /// Whether the sign-in must be recent (RFC 9470). Personal tokens are exempt.
    pub fresh: bool,
}

/// What a part of a handler's signature asks of the caller: the guard does, nothing else.
pub trait Asks {
    /// `None`: nothing.
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

/// A method of a path.
struct Answering {
    method: Method,
    rule: Option<Rule>,
    route: Route,
}

/// A path and what answers there.
pub struct Endpoint {
    path: &'static str,
    routes: Vec<Answering>,
    codes: Vec<Code>,
    codes_of_methods: Vec<(Method, Code)>,
    cookie_only: bool,
}

/// Marks, in a request's app data, a path that takes the session cookie and no `Authorization` header.
#[derive(Clone, Copy, Debug)]
pub struct CookieOnly;

impl Endpoint {
    /// Nothing answers there yet.
    #[must_use]
    pub fn at(path: &'static str) -> Self {
        Self { path, routes: Vec::new(), codes: Vec::new(), codes_of_methods: Vec::new(), cookie_only: false }
    }

    /// Takes the session cookie alone: a page, which a browser opens.
    #[must_use]
    pub fn cookie_only(mut self) -> Self {
        self.cookie_only = true;
        self
    }

    /// GET, and HEAD without the body.
    #[must_use]
    pub fn get<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args> + Clone,
        Args: FromRequest + Asks + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::HEAD, handler.clone()).on(Method::GET, handler)
    }

    /// POST.
    #[must_use]
    pub fn post<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + Asks + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::POST, handler)
    }

    /// PUT.
    #[must_use]
    pub fn put<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + Asks + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::PUT, handler)
    }

    /// PATCH.
    #[must_use]
    pub fn patch<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + Asks + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::PATCH, handler)
    }

    /// DELETE.
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

    /// Refusals that its methods answer with besides the guard's own.
    #[must_use]
    pub fn codes(mut self, codes: &[Code]) -> Self {
        self.codes.extend_from_slice(codes);
        self
    }

    /// The same of one of them.
    #[must_use]
    pub fn codes_of(mut self, method: &Method, codes: &[Code]) -> Self {
        self.codes_of_methods.extend(codes.iter().map(|code| (method.clone(), *code)));
        self
    }

    /// The path, with its parameters in braces.
    #[must_use]
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// What may be asked for there, OPTIONS aside.
    #[must_use]
    pub fn methods(&self) -> Vec<Method> {
        self.routes.iter().map(|answering| answering.method.clone()).collect()
    }

    /// What a method asks of its caller; `None`: nothing, or there is no such method.
    #[must_use]
    pub fn rule(&self, method: &Method) -> Option<Rule> {
        self.routes.iter().find(|answering| answering.method == *method)?.rule
    }

    /// See [`Endpoint::codes`] and [`Endpoint::codes_of`].
    #[must_use]
    pub fn problem_codes(&self, method: &Method) -> Vec<Code> {
        let own = self.codes_of_methods.iter().filter(|(of, _)| of == method).map(|(_, code)| *code);
        self.codes.iter().copied().chain(own).collect()
    }
}

/// The path that a request matched, with its parameters in braces: actix's own answer to that goes over every route again.
#[derive(Clone, Copy, Debug)]
pub struct Matched(pub &'static str);

/// Every route with what it asks, for who wants to know before he asks.
pub struct RouteTable(Vec<(ResourceDef, Vec<Asked>)>);

/// A method with what it asks.
type Asked = (Method, Option<Rule>);

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// Other methods alone.
    OtherMethods(Vec<Method>),
    /// Something that asks for no credential.
    Open,
    /// Something that is guarded.
    Guarded(Rule),
}

impl RouteTable {
    /// Of these endpoints.
    #[must_use]
    pub fn of(endpoints: &[Endpoint]) -> Self {
        let row = |endpoint: &Endpoint| {
            let methods = endpoint.routes.iter().map(|answering| (answering.method.clone(), answering.rule));
            (ResourceDef::new(endpoint.path), methods.collect())
        };
        Self(endpoints.iter().map(row).collect())
    }

    /// What answers this method at this path.
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

/// Bytes of a path. No route of ours has more.
const PATH_MAX: usize = 2_000;

/// Middleware: refuses a path that is too long for any route before every route's pattern is run on it.
///
/// # Errors
/// The inner service's.
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

/// Answers what no route matches. Names the path with or without a slash at its end if there is one, since frameworks
/// differ in which of the two they mean.
///
/// # Errors
/// `not_found`, always.
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
