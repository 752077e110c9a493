//! `/healthz` and `/readyz`: for load balancers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};
use serde::Serialize;

use crate::database::feed::FeedState;
use crate::database::migrate;
use crate::http::routing::Endpoint;
use crate::state::State;

/// Whether the server is about to stop. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Draining(Arc<AtomicBool>);

impl Draining {
    /// From now on not ready.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The routes.
#[must_use]
pub fn routes() -> Vec<Endpoint> {
    vec![Endpoint::at("/healthz").get(healthz), Endpoint::at("/readyz").get(readyz)]
}

/// Whether the process lives.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Health {
    /// Always `ok`.
    #[schema(example = "ok")]
    pub status: &'static str,
}

/// The process lives; nothing else is looked at.
#[utoipa::path(get, path = "/healthz", tag = "operation", security(()),
    responses((status = 200, description = "It lives", body = Health)))]
pub async fn healthz() -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(Health { status: "ok" })
}

/// Whether requests should be sent here.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Readiness {
    /// `ready` or `not_ready`.
    #[schema(example = "ready")]
    pub status: &'static str,
    /// `reached` or `unavailable`.
    #[schema(example = "reached")]
    pub database: &'static str,
    /// `done`, `pending` or `unknown`.
    #[schema(example = "done")]
    pub migrations: &'static str,
    /// Whether the server is about to stop.
    pub draining: bool,
    /// How this node learns what was ended: `live` hears of it, `polled` asks ten times a second since notifications are
    /// lost on the way, `silent` asks the database for every request.
    #[schema(example = "live")]
    pub feed: &'static str,
}

/// It can serve: the database is reached and migrated, and the server is not about to stop.
#[utoipa::path(get, path = "/readyz", tag = "operation", security(()),
    responses((status = 200, description = "Ready", body = Readiness),
        (status = 503, description = "Not ready", body = Readiness)))]
pub async fn readyz(state: web::Data<State>, draining: web::Data<Draining>) -> HttpResponse {
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

/// `/readyz` before the database was first reached.
pub async fn waiting() -> HttpResponse {
    let readiness = Readiness {
        status: "not_ready",
        database: "unavailable",
        migrations: "unknown",
        draining: false,
        feed: FeedState::Silent.as_str(),
    };
    HttpResponse::ServiceUnavailable().insert_header((CACHE_CONTROL, "no-store")).json(readiness)
}
