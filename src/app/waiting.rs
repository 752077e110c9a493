//! What answers while PostgreSQL is not there yet: the process lives, and everything else is told to wait.

use std::net::TcpListener;

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpResponse, HttpServer, web};

use crate::api::health;
use crate::database::DatabaseError;
use crate::guard::refusal;
use crate::problem::{self, Problem, Rendering};
use crate::routing::Endpoint;

/// Answers on this socket until it is stopped.
///
/// # Errors
/// When the socket cannot be used.
pub fn serve(rendering: Rendering, listener: TcpListener) -> std::io::Result<Server> {
    let rendering = web::Data::new(rendering);
    let factory = move || {
        App::new()
            .app_data(rendering.clone())
            .wrap(from_fn(problem::finish))
            .service(Endpoint::at("/healthz").get(health::healthz))
            .service(Endpoint::at("/readyz").get(health::waiting))
            .default_service(web::to(wait))
    };
    let server =
        HttpServer::new(factory).workers(1).shutdown_timeout(1).disable_signals().listen(listener)?;
    Ok(server.run())
}

async fn wait() -> Result<HttpResponse, Problem> {
    Err(refusal::database(DatabaseError::Unavailable("it was not reached since the start".into())))
}
