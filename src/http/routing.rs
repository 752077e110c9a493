//! Registers a path with its methods. Answers HEAD like GET, OPTIONS with the methods, and any other method
//! with 405 and `Allow` (RFC 9110, section 15.5.6).

use std::collections::HashMap;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{AppService, HttpServiceFactory, ResourceDef, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{
    Error, FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, ResponseError, Route, web,
};

use crate::refusal::{ACCEPT_PATCH, Code, Dialect, PATCHES, Refusal, path_without_secrets};

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
pub trait RequiresPermission {
    /// The requirements; `None` if the parameter has none.
    const RULE: Option<Rule> = None;
}

impl<T> RequiresPermission for web::Data<T> {}
impl<T> RequiresPermission for web::Path<T> {}
impl RequiresPermission for HttpRequest {}

macro_rules! impl_requires_permission {
    ($($part:ident)*) => {
        impl<$($part: RequiresPermission),*> RequiresPermission for ($($part,)*) {
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

impl_requires_permission!();
impl_requires_permission!(A);
impl_requires_permission!(A B);
impl_requires_permission!(A B C);
impl_requires_permission!(A B C D);

/// A method of an endpoint.
struct MethodRoute {
    method: Method,
    rule: Option<Rule>,
    route: Route,
}

/// A path with its methods and their handlers.
pub struct Endpoint {
    path: &'static str,
    routes: Vec<MethodRoute>,
    codes: Vec<Code>,
    codes_of_methods: Vec<(Method, Code)>,
    dialect: Dialect,
}

impl Endpoint {
    /// Creates an endpoint without methods.
    #[must_use]
    pub fn at(path: &'static str) -> Self {
        let dialect = Dialect::default();
        Self { path, routes: Vec::new(), codes: Vec::new(), codes_of_methods: Vec::new(), dialect }
    }

    /// Sets the dialect of the refusals. The default is [`Dialect::Problem`].
    #[must_use]
    pub fn refused_as(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }

    /// Adds GET, and HEAD with the same handler.
    #[must_use]
    pub fn get<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args> + Clone,
        Args: FromRequest + RequiresPermission + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::HEAD, handler.clone()).on(Method::GET, handler)
    }

    #[must_use]
    pub fn post<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + RequiresPermission + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::POST, handler)
    }

    #[must_use]
    pub fn put<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + RequiresPermission + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::PUT, handler)
    }

    #[must_use]
    pub fn patch<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + RequiresPermission + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::PATCH, handler)
    }

    #[must_use]
    pub fn delete<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + RequiresPermission + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::DELETE, handler)
    }

    fn on<F, Args>(mut self, method: Method, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + RequiresPermission + 'static,
        F::Output: Responder + 'static,
    {
        let route = web::method(method.clone()).to(handler);
        self.routes.push(MethodRoute { method, rule: Args::RULE, route });
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

    /// Returns the requirements of a method; `None` if the method has none or does not exist.
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
pub struct MatchedPath(pub &'static str);

/// All routes with their requirements and dialects. Explanations and refusals look them up.
pub struct RouteTable {
    rows: Vec<Row>,
    /// The rows whose paths have no parameters.
    by_path: HashMap<&'static str, usize>,
    /// The dialects of unmatched paths, by first segment.
    roots: HashMap<&'static str, Dialect>,
}

struct Row {
    pattern: ResourceDef,
    methods: Vec<(Method, Option<Rule>)>,
    dialect: Dialect,
}

/// The result of looking up a method and a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteLookup {
    /// No route matches the path.
    NotFound,
    /// The path exists, but only with these methods.
    OtherMethods(Vec<Method>),
    /// A public endpoint.
    Open,
    /// A guarded endpoint.
    Guarded(Rule),
}

impl RouteTable {
    /// Builds the table from the endpoints. `roots` maps the first segment of a path to the dialect in which
    /// unmatched paths below it are refused. The default is [`Dialect::ByAccept`].
    #[must_use]
    pub fn of(endpoints: &[Endpoint], roots: &[(&'static str, Dialect)]) -> Self {
        let row = |endpoint: &Endpoint| Row {
            pattern: ResourceDef::new(endpoint.path),
            methods: endpoint.routes.iter().map(|route| (route.method.clone(), route.rule)).collect(),
            dialect: endpoint.dialect,
        };
        let is_fixed = |(_, endpoint): &(usize, &Endpoint)| !endpoint.path.contains('{');
        let fixed = endpoints.iter().enumerate().filter(is_fixed);
        Self {
            rows: endpoints.iter().map(row).collect(),
            by_path: fixed.map(|(index, endpoint)| (endpoint.path, index)).collect(),
            roots: roots.iter().copied().collect(),
        }
    }

    /// Looks up the route for a method and a path.
    #[must_use]
    pub fn find(&self, method: &Method, path: &str) -> RouteLookup {
        let Some(Row { methods, .. }) = self.row(path) else {
            return RouteLookup::NotFound;
        };
        match methods.iter().find(|(answering, _)| answering == method) {
            Some((_, Some(rule))) => RouteLookup::Guarded(*rule),
            Some((_, None)) => RouteLookup::Open,
            None => RouteLookup::OtherMethods(methods.iter().map(|(method, _)| method.clone()).collect()),
        }
    }

    /// Returns the dialect in which requests for this path are refused.
    #[must_use]
    pub fn dialect(&self, path: &str) -> Dialect {
        let of_root = || {
            let segment = path.get(1..).and_then(|rest| rest.split('/').next()).unwrap_or_default();
            self.roots.get(segment).copied().unwrap_or(Dialect::ByAccept)
        };
        let row = if path.len() > PATH_MAX { None } else { self.row(path) };
        row.map_or_else(of_root, |row| row.dialect)
    }

    fn row(&self, path: &str) -> Option<&Row> {
        let fixed = self.by_path.get(path).and_then(|index| self.rows.get(*index));
        fixed.or_else(|| self.rows.iter().find(|row| row.pattern.is_match(path)))
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
            "The path has {bytes} bytes, but no route has more than {PATH_MAX}. See /openapi.json for all \
             routes."
        );
        return Ok(request.into_response(Refusal::new(Code::NotFound, detail).error_response()));
    }
    next.call(request).await.map(ServiceResponse::map_into_boxed_body)
}

/// Responds when no route matches. The detail suggests the path with or without a trailing slash if that one
/// exists, because frameworks differ in which they use.
///
/// # Errors
/// Always `not_found`.
pub async fn no_route(request: HttpRequest, table: web::Data<RouteTable>) -> Result<HttpResponse, Refusal> {
    let path = request.path();
    let shown = path_without_secrets(path, 200);
    let other = match path.strip_suffix('/') {
        Some(without) => without.trim_end_matches('/').to_owned(),
        None => format!("{path}/"),
    };
    let has_route = !other.is_empty() && table.find(request.method(), &other) != RouteLookup::NotFound;
    let detail = if has_route {
        format!("No route matches {shown}. Send the request to {}.", path_without_secrets(&other, 200))
    } else {
        format!("No route matches {shown}. See /openapi.json for all routes.")
    };
    Err(Refusal::new(Code::NotFound, detail))
}

impl HttpServiceFactory for Endpoint {
    fn register(self, config: &mut AppService) {
        let mut allowed: Vec<Method> = self.methods();
        allowed.push(Method::OPTIONS);
        allowed.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        let (options, takes_patches) = (allow(&allowed), allowed.contains(&Method::PATCH));
        let mut resource = Resource::new(self.path).app_data(MatchedPath(self.path)).app_data(self.dialect);
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
                async move { Err::<HttpResponse, Refusal>(refuse(&method, &allowed)) }
            }))
            .register(config);
    }
}

fn allow(methods: &[Method]) -> HeaderValue {
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    HeaderValue::from_str(&names.join(", ")).unwrap_or(HeaderValue::from_static(""))
}

fn refuse(method: &Method, allowed: &[Method]) -> Refusal {
    let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    let shown: String = method.as_str().chars().take(20).collect();
    let detail = format!("This address does not support {shown}. Use one of: {}.", names.join(", "));
    Refusal::new(Code::MethodNotAllowed, detail).allow(allowed)
}
