//! Routes that do the work of doorward's routes without guarding anything, which is the best that a guard
//! could reach.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpResponse, HttpServer, Resource, web};
use diesel::r2d2::{ConnectionManager, Pool};
use diesel::{PgConnection, QueryResult};
use doorward::audit::Origin;
use doorward::database::Database;
use doorward::digest::Digest;
use doorward::resources::notes::{note, search};
use doorward::sessions::{PresentedToken, Rotation, SessionLimits, rotate};
use serde_json::json;
use uuid::Uuid;

use crate::client::request;
use crate::measure::Figures;
use crate::{CONNECTIONS, ask_for};

/// The length of an access token. These requests have a header of the same length, because the parser reads
/// it in any case.
const TOKEN: usize = 700;

fn serve(resource: impl Fn() -> Resource + Clone + Send + 'static) -> (ServerHandle, String) {
    let server =
        HttpServer::new(move || App::new().service(resource())).bind(("127.0.0.1", 0)).expect("a port");
    let address = server.addrs()[0].to_string();
    let server = server.run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    (handle, address)
}

/// Measures a route that responds with this many bytes from memory.
pub async fn me(bytes: usize, time: Duration) -> Figures {
    let body = web::Bytes::from(vec![b'x'; bytes]);
    let (handle, address) = serve(move || {
        let body = body.clone();
        web::resource("/api/v1/me").to(move || {
            let body = body.clone();
            async move { HttpResponse::Ok().content_type("application/json").body(body) }
        })
    });
    let figures = ask_for(&address, request("GET", "/api/v1/me", &"x".repeat(TOKEN), ""), 200, time).await;
    handle.stop(false).await;
    figures
}

/// The way in which a bare route gets a connection.
#[derive(Clone)]
pub enum Connections {
    /// r2d2's pool on the threads of `web::block`, as in a usual actix program.
    Plain(Pool<ConnectionManager<PgConnection>>),
    /// doorward's own pool and threads.
    Own(Database),
}

impl Connections {
    pub fn plain(url: &str, connections: u32) -> Self {
        let pool = Pool::builder().max_size(connections).test_on_check_out(false);
        Self::Plain(pool.build(ConnectionManager::new(url)).expect("connections"))
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut PgConnection) -> QueryResult<T> + Send + 'static,
    ) -> T {
        match self {
            Self::Plain(pool) => {
                let pool = pool.clone();
                let done = web::block(move || work(&mut pool.get().expect("a connection"))).await;
                done.expect("a thread").expect("an answer")
            }
            Self::Own(database) => database.run(work).await.expect("an answer"),
        }
    }
}

/// Measures a route that runs the query of a note.
pub async fn note(database: Connections, time: Duration) -> Figures {
    let any = |connection: &mut _| note::list(connection, &search::Filter::default(), 1);
    let id = database.run(any).await.notes.first().expect("a note of the guarded run").id;
    let state = web::Data::new(database);
    let (handle, address) = serve(move || web::resource("/notes/{id}").app_data(state.clone()).to(show));
    let figures =
        ask_for(&address, request("GET", &format!("/notes/{id}"), &"x".repeat(TOKEN), ""), 200, time).await;
    handle.stop(false).await;
    figures
}

async fn show(database: web::Data<Connections>, id: web::Path<Uuid>) -> HttpResponse {
    let id = id.into_inner();
    let found = database.run(move |connection| note::find(connection, id)).await.expect("a note");
    HttpResponse::Ok().json(json!({
        "id": found.id, "title": found.title, "body": found.body, "shared": found.shared,
        "owner": { "id": found.owner_id, "username": found.owner_name },
        "created_at": found.created_at, "updated_at": found.updated_at,
    }))
}

/// The live generation of each of pgbench's sessions, and the limits of a refresh.
struct Chains {
    database: Connections,
    live: Vec<AtomicI32>,
    limits: SessionLimits,
}

/// Measures a route that runs the statement of a refresh on pgbench's sessions, one for each connection.
pub async fn refresh(database: Connections, time: Duration) -> Figures {
    let seconds = Duration::from_secs;
    let limits = SessionLimits {
        access_ttl: seconds(300),
        refresh_ttl: seconds(30 * 86_400),
        session_ttl: seconds(90 * 86_400),
        refresh_grace: seconds(10),
        max_sessions: 100,
    };
    let live = (0..CONNECTIONS).map(|_| AtomicI32::new(1)).collect();
    let state = web::Data::from(Arc::new(Chains { database, live, limits }));
    let (handle, address) =
        serve(move || web::resource("/refresh/{chain}").app_data(state.clone()).to(rotate_once));
    let figures = crate::ask_each(
        (0..CONNECTIONS).map(|chain| request("POST", &format!("/refresh/{chain}"), "", "")).collect(),
        &address,
        200,
        time,
    )
    .await;
    handle.stop(false).await;
    figures
}

async fn rotate_once(chains: web::Data<Chains>, chain: web::Path<usize>) -> HttpResponse {
    let chain = chain.into_inner();
    let presented = PresentedToken {
        session_id: format!("00000000-0000-7000-8000-{chain:012}").parse().expect("an id"),
        secret_digest: Digest::from([0; 32]),
        generation: chains.live[chain].load(Ordering::Relaxed),
        scope: None,
        rotate: true,
    };
    let (limits, origin) = (chains.limits.clone(), Origin::default());
    let decided =
        chains.database.run(move |connection| rotate(connection, &presented, &limits, &origin)).await;
    match decided {
        Rotation::Rotated(grant) => {
            chains.live[chain].store(grant.generation, Ordering::Relaxed);
            HttpResponse::Ok().finish()
        }
        other => panic!("{other:?}"),
    }
}
