//! Assembles the server: the shared state, the middleware and the routes of all interfaces. Only this module
//! knows every interface.

pub mod background;
mod indexes;
pub(crate) mod listen;
pub mod middleware;
pub mod node;
pub mod not_ready;
pub mod openapi;
pub(crate) mod secrets;
pub mod settings;
pub mod site;
pub mod start;
pub mod state;
mod timed_stream;

use std::net::TcpListener;
use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::Server;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::middleware::{Condition, from_fn};
use actix_web::{App, Error, web};

use crate::api::health::Draining;
use crate::blocking::caller::{self, WorkOwner};
use crate::config::{SimplejwtRoutes, WebOrigin};
use crate::guard::session_cookie;
use crate::http::routing::{self, Endpoint, RouteTable};
use crate::pages::site::{self as looks, Site};
use crate::refusal::RenderContext;
use crate::sessions::CookieKey;
use crate::state::State;
use crate::{api, database, pages, resources, simplejwt};

/// The seconds that running requests get when the server stops.
const SHUTDOWN: u64 = 5;

/// Returns all routes under this setting, in the order in which they are tried. Fixed paths come first,
/// because they are only compared. Paths with patterns follow; resources come first among them, because they
/// are requested most.
#[must_use]
pub fn routes(simplejwt: SimplejwtRoutes) -> Vec<Endpoint> {
    let simplejwt = if simplejwt == SimplejwtRoutes::Off { Vec::new() } else { simplejwt::routes() };
    let interfaces = [
        resources::routes(),
        api::routes(),
        simplejwt,
        api::open_routes(),
        pages::routes(),
        openapi::routes(),
    ];
    let mut routes: Vec<Endpoint> = interfaces.into_iter().flatten().collect();
    routes.sort_by_key(|endpoint| endpoint.path().contains('{'));
    routes
}

/// Returns the table of all routes with their requirements and dialects.
#[must_use]
pub fn route_table(simplejwt: SimplejwtRoutes) -> RouteTable {
    RouteTable::of(&routes(simplejwt), &[&api::ROOTS[..], &pages::ROOTS].concat())
}

/// The parts of which the server is assembled. Clones share them.
#[derive(Clone)]
pub struct AppParts {
    pub state: web::Data<State>,
    /// The settings and functions that render refusals.
    pub rendering: web::Data<RenderContext>,
    /// The key that signs session cookies.
    pub cookie_key: CookieKey,
    /// A flag that is set when the server is about to stop.
    pub draining: Draining,
    /// The setting of simplejwt's routes.
    pub simplejwt: SimplejwtRoutes,
    /// The web origins whose scripts may call the API.
    pub cors_origins: Vec<WebOrigin>,
    /// The looks of the pages.
    pub(crate) site: Arc<Site>,
}

/// Attributes the work of the request to its client, so that queues are fair. Gives all database work of the
/// request one deadline. Keeps the session cookie of a refused request for its error page.
async fn serve_request(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let state = request.app_data::<web::Data<State>>();
    let client = state.and_then(|state| state.web.trusted_proxies.client_address(request.request()));
    // A request whose client address is uncertain counts as one of its proxy.
    let peer = || request.peer_addr().map(|peer| peer.ip());
    let address = client.filter(|client| client.doubt.is_none()).map(|client| client.address).or_else(peer);
    let served = database::within_one_deadline(next.call(request));
    let response = caller::on_behalf_of(WorkOwner::at(address), served).await?;
    if let Some(state) = response.request().app_data::<web::Data<State>>()
        && response.status().is_client_error()
    {
        session_cookie::keep_sent(response.request(), &state.web.browser);
    }
    Ok(response)
}

/// Starts serving on this socket.
///
/// # Errors
/// If the socket cannot be used.
pub fn serve(parts: AppParts, listener: TcpListener, workers: usize) -> std::io::Result<Server> {
    let table = web::Data::new(route_table(parts.simplejwt));
    let document = web::Data::new(openapi::Served::new(&parts.rendering.base, &routes(parts.simplejwt)));
    let factory = move || {
        let parts = parts.clone();
        // Each worker calls this on its own thread.
        looks::set_for_thread(&parts.site);
        let cookies = session_cookie::middleware(&parts.state.web.browser, &parts.cookie_key);
        let simplejwt = parts.simplejwt;
        let app = App::new()
            .app_data(parts.state)
            .app_data(parts.rendering)
            .app_data(web::Data::new(parts.draining))
            .app_data(document.clone())
            .app_data(table.clone())
            .wrap(from_fn(middleware::answers::bound))
            .wrap(from_fn(serve_request))
            .wrap(cookies)
            .wrap(from_fn(session_cookie::keep))
            .wrap(from_fn(routing::refuse_long_path))
            .wrap(Condition::new(
                !parts.cors_origins.is_empty(),
                middleware::cors::middleware(&parts.cors_origins),
            ))
            .wrap(from_fn(middleware::cors::check_preflight))
            .wrap(from_fn(middleware::finish::finish))
            .wrap(from_fn(middleware::observe::observe))
            .wrap(from_fn(middleware::headers::write))
            .default_service(web::to(routing::no_route));
        routes(simplejwt).into_iter().fold(app, App::service)
    };
    listen::serve(factory, listener, workers, SHUTDOWN)
}
