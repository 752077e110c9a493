//! Accepts connections. Limits their number, and the time that each may take.

use std::fmt;
use std::net::TcpListener;
use std::time::Duration;

use actix_http::{HttpService, Request, Response};
use actix_service::{IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, Server};
use actix_web::rt::net::TcpStream;
use rustix::process::{Resource, getrlimit, setrlimit};

use super::timed_stream::TimedStream;

/// The time in which the first head of a connection must arrive.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);
/// The time that an idle connection stays open.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// The time for which the body of a refused request is discarded before the connection is closed.
const LINGER: Duration = Duration::from_secs(1);
/// The number of open files reserved for everything else: database connections, logs, clients of the metrics.
const OTHER_FILES: u64 = 256;
/// The maximum number of connections, even if more files may be open. Each may need about 130 KB while its
/// request is read.
const CONNECTIONS_MAX: u64 = 20_000;

/// Raises the limit of open files to the maximum of this process. Every connection is an open file.
pub(crate) fn open_more_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "the limit of open files could not be raised");
    }
}

/// Returns the number of connections for each of these threads. Further connections wait to be accepted, so
/// that the process does not run out of open files.
fn connections_of_each(workers: usize) -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let room = files.saturating_sub(OTHER_FILES).max(files / 2).min(CONNECTIONS_MAX);
    let each = room / u64::try_from(workers).unwrap_or(u64::MAX).max(1);
    usize::try_from(each).unwrap_or(usize::MAX).max(1)
}

/// Serves the factory's service on this socket. Unlike actix-web's own server, it applies the deadlines of
/// [`TimedStream`].
///
/// # Errors
/// If the socket cannot be used.
pub(crate) fn serve<F, I, S, B>(
    factory: F,
    listener: TcpListener,
    workers: usize,
    shutdown: u64,
) -> std::io::Result<Server>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<Error> + 'static,
    S::InitError: fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    S::Service: 'static,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    let address = listener.local_addr()?;
    let builder = Server::build()
        .workers(workers)
        .max_concurrent_connections(connections_of_each(workers))
        .shutdown_timeout(shutdown)
        .disable_signals();
    let stopping = builder.graceful_shutdown_signal();
    let http = move || {
        let stopping = stopping.clone();
        let app = factory().into_factory().map_err(|error: S::Error| error.into().error_response());
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(HEAD_DEADLINE)
            .client_disconnect_timeout(LINGER)
            .local_addr(address)
            .h1(map_config(app, |()| AppConfig::default()));
        fn_service(|stream: TcpStream| async {
            // Responses are written in whole parts, so none should wait until the peer has acknowledged the
            // previous one.
            let _ = stream.set_nodelay(true);
            let peer = stream.peer_addr().ok();
            Ok((TimedStream::new(stream), peer))
        })
        .and_then(http)
    };
    Ok(builder.listen("doorward", listener, http)?.run())
}
