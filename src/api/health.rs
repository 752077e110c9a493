//! `/healthz` and `/readyz`: report the health of the server to load balancers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};
use serde::Serialize;

use crate::database::feed::FeedState;
use crate::database::migrate;
use crate::http::routing::Endpoint;
use crate::state::State;

/// A flag that is set when the server starts to shut down. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Draining(Arc<AtomicBool>);

impl Draining {
    /// Makes `/readyz` respond 503 from now on.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[must_use]
pub(crate) fn routes() -> Vec<Endpoint> {
    vec![Endpoint::at("/healthz").get(healthz), Endpoint::at("/readyz").get(readyz)]
}

/// The health of the process.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Health {
    /// Always `ok`.
    #[schema(example = "ok")]
    pub status: &'static str,
}

/// Reports that the process is alive.
///
/// Checks nothing else.
#[utoipa::path(get, path = "/healthz", tag = "operation", security(()),
    responses((status = 200, description = "The process is running", body = Health)))]
pub(crate) async fn healthz() -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(Health { status: "ok" })
}

/// The readiness of the server for requests.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Readiness {
    /// `ready` or `not_ready`.
    #[schema(example = "ready")]
    pub status: &'static str,
    /// `reached` or `unavailable`.
    #[schema(example = "reached")]
    pub database: &'static str,
    /// `done`, `pending` or `unknown`.
    #[schema(example = "done")]
    pub migrations: &'static str,
    /// True if the server is shutting down.
    pub draining: bool,
    /// The state of the revocation feed. `live`: notifications of revocations arrive. `polled`: notifications
    /// are lost on the way, so the server polls ten times a second. `silent`: the feed is down, so the server
    /// queries the database for every request.
    #[schema(example = "live")]
    pub feed: &'static str,
}

/// Reports whether the server is ready for requests.
///
/// It is ready if the database is reachable, all migrations are done, and the server is not shutting down.
#[utoipa::path(get, path = "/readyz", tag = "operation", security(()),
    responses((status = 200, description = "Ready", body = Readiness),
        (status = 503, description = "Not ready", body = Readiness)))]
pub(crate) async fn readyz(state: web::Data<State>, draining: web::Data<Draining>) -> HttpResponse {
    let asked = state.core.database.run(|connection| Ok(migrate::is_pending(connection))).await;
    let (database, migrations) = match asked {
        Ok(Ok(false)) => ("reached", "done"),
        Ok(Ok(true)) => ("reached", "pending"),
        Ok(Err(_)) | Err(_) => ("unavailable", "unknown"),
    };
    let draining = draining.is_on();
    let is_ready = migrations == "done" && !draining;
    let status = if is_ready { "ready" } else { "not_ready" };
    let mut answer = if is_ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    let feed = state.core.database.feed().state().as_str();
    let readiness = Readiness { status, database, migrations, draining, feed };
    answer.insert_header((CACHE_CONTROL, "no-store")).json(readiness)
}

/// Responds to `/readyz` before the database was first reached.
pub(crate) async fn waiting() -> HttpResponse {
    let readiness = Readiness {
        status: "not_ready",
        database: "unavailable",
        migrations: "unknown",
        draining: false,
        feed: FeedState::Silent.as_str(),
    };
    HttpResponse::ServiceUnavailable().insert_header((CACHE_CONTROL, "no-store")).json(readiness)
}
