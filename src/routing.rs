//! A path with its methods: HEAD as GET, OPTIONS for the asking, and 405 with `Allow` for the rest (RFC 9110,
//! section 15.5.6).

use actix_web::dev::{AppService, HttpServiceFactory};
use actix_web::http::Method;
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::{FromRequest, Handler, HttpResponse, Resource, Responder, Route, web};

use crate::problem::{Code, Problem};

/// A path and what answers there.
pub struct Endpoint {
    path: &'static str,
    routes: Vec<(Method, Route)>,
    codes: Vec<Code>,
}

impl Endpoint {
    /// Nothing answers there yet.
    #[must_use]
    pub fn at(path: &'static str) -> Self {
        Self { path, routes: Vec::new(), codes: Vec::new() }
    }

    /// GET, and HEAD without the body.
    #[must_use]
    pub fn get<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args> + Clone,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::HEAD, handler.clone()).on(Method::GET, handler)
    }

    /// POST.
    #[must_use]
    pub fn post<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::POST, handler)
    }

    /// PUT.
    #[must_use]
    pub fn put<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::PUT, handler)
    }

    /// PATCH.
    #[must_use]
    pub fn patch<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::PATCH, handler)
    }

    /// DELETE.
    #[must_use]
    pub fn delete<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::DELETE, handler)
    }

    fn on<F, Args>(mut self, method: Method, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.routes.push((method.clone(), web::method(method).to(handler)));
        self
    }

    /// Refusals that its methods answer with besides the guard's own.
    #[must_use]
    pub fn codes(mut self, codes: &[Code]) -> Self {
        self.codes.extend_from_slice(codes);
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
        self.routes.iter().map(|(method, _)| method.clone()).collect()
    }

    /// See [`Endpoint::codes`].
    #[must_use]
    pub fn problem_codes(&self) -> &[Code] {
        &self.codes
    }
}

impl HttpServiceFactory for Endpoint {
    fn register(self, config: &mut AppService) {
        let mut allowed: Vec<Method> = self.methods();
        allowed.push(Method::OPTIONS);
        allowed.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        let options = allow(&allowed);
        let mut resource = Resource::new(self.path);
        for (_, route) in self.routes {
            resource = resource.route(route);
        }
        resource
            .route(web::method(Method::OPTIONS).to(move || {
                let options = options.clone();
                async move { HttpResponse::NoContent().insert_header((ALLOW, options)).finish() }
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
