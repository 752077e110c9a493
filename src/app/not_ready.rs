//! Serves until PostgreSQL is reached for the first time. `/healthz` reports that the process is alive; other
//! requests are refused and should be retried later.

use std::net::TcpListener;

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpResponse, web};

use super::listen;
use super::middleware::{finish, headers};
use crate::api::health;
use crate::config::SimplejwtRoutes;
use crate::database::DatabaseError;
use crate::http::routing::Endpoint;
use crate::refusal::{Refusal, RenderContext};

/// The seconds that running requests get once PostgreSQL is reached.
const SHUTDOWN: u64 = 1;

/// Serves on this socket until it is stopped.
///
/// # Errors
/// If the socket cannot be used.
pub fn serve(
    rendering: RenderContext,
    simplejwt: SimplejwtRoutes,
    listener: TcpListener,
) -> std::io::Result<Server> {
    let rendering = web::Data::new(rendering);
    let table = web::Data::new(super::route_table(simplejwt));
    let factory = move || {
        App::new()
            .app_data(rendering.clone())
            .app_data(table.clone())
            .wrap(from_fn(finish::finish))
            .wrap(from_fn(headers::write))
            .service(Endpoint::at("/healthz").get(health::healthz))
            .service(Endpoint::at("/readyz").get(health::waiting))
            .default_service(web::to(wait))
    };
    listen::serve(factory, listener, 1, SHUTDOWN)
}

async fn wait() -> Result<HttpResponse, Refusal> {
    Err(Refusal::from(DatabaseError::Unavailable("PostgreSQL has not been reached since the start".into())))
}
