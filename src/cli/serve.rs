//! `doorward serve`: migrates the database and then serves.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpResponse, HttpServer, web};
use clap::Args;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::context::Context;
use super::database::{DatabaseAccess, refused};
use super::failure::{Failure, print_error};
use super::output::{Format, Output};
use super::reminder::Reminder;
use super::signals::Signals;
use super::telemetry::{self, Log};
use crate::app::start::{FirstAdmin, Prepared, StartError, prepare};
use crate::app::{self, background, listen, not_ready, site, state};
use crate::blocking::{BlockingPool, Lane, QueueLimits, WorkOwner};
use crate::clock::Clock;
use crate::config::Settings;
use crate::database::connection_advice::{self, Advice, SetupGrace};
use crate::database::nodes::{self, Node};
use crate::database::{Database, DatabaseError, instance};
use crate::refusal::RenderContext;
use crate::state::State;

/// The time that the server still serves but reports itself as not ready, so that load balancers stop using
/// it.
const DRAIN: Duration = Duration::from_secs(2);
/// The delay before another attempt to connect to PostgreSQL.
const RETRY: Duration = Duration::from_millis(500);
/// The time without an answer after which clients are told to wait.
const SILENCE: Duration = Duration::from_secs(2);
/// The deadline of the preparation, which is long enough for any recovery and migration.
const PREPARED_WITHIN: Duration = Duration::from_secs(86_400);
/// The time for writing buffered rows when the server stops.
const FLUSHED_WITHIN: Duration = Duration::from_secs(2);
/// The interval between upkeeps of the metrics, which sum up the recorded times.
const UPKEEP_EVERY: Duration = Duration::from_secs(1);
const BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Arguments of `doorward serve`; all else about it is settings.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  doorward serve\n  DATABASE_URL=postgres:///auth doorward serve --log debug"
)]
pub struct ServeArgs {}

impl ServeArgs {
    /// Serves until a signal asks the process to stop.
    ///
    /// # Errors
    /// Something that the server needs is not available.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let settings = context.settings()?;
        print_error(&settings.warnings());
        // A wrong logo stops the start at once, not only when PostgreSQL is there.
        site::load(&settings).map_err(|error| Failure::new(error.to_string()))?;
        let log = Rc::new(telemetry::start(&settings));
        let metrics = start_metrics()?;
        listen::open_more_files();
        let listener = bind(settings.listen, "DOORWARD_LISTEN")?;
        let metrics_listener = bind(settings.metrics_listen, "DOORWARD_METRICS_LISTEN")?;
        let mut access = None;
        let served = actix_web::rt::System::new().block_on(async {
            let metrics_server = serve_metrics(metrics, metrics_listener, Rc::clone(&log))?;
            let served = serve(&settings, listener, &mut access).await;
            metrics_server.stop(false).await;
            served
        });
        if let Some(access) = access {
            access.stop();
        }
        served
    }
}

fn start_metrics() -> Result<PrometheusHandle, Failure> {
    let failed =
        |error: &dyn std::fmt::Display| Failure::new(format!("the metrics could not be started: {error}"));
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &BUCKETS)
        .map_err(|error| failed(&error))?
        .install_recorder()
        .map_err(|error| failed(&error))
}

fn bind(address: SocketAddr, setting: &str) -> Result<TcpListener, Failure> {
    let bound =
        TcpListener::bind(address).and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    bound.map_err(|error| {
        let advice = match error.kind() {
            ErrorKind::AddrInUse => "another program listens there: stop it, or set another port",
            ErrorKind::AddrNotAvailable => "this machine has no such address: set another one",
            ErrorKind::PermissionDenied => {
                "only root may use ports below 1024: set another port, or grant CAP_NET_BIND_SERVICE"
            }
            _ => "set another address",
        };
        Failure::new(format!("{setting}: cannot listen on {address}: {error}; {advice}"))
    })
}

/// Serves the metrics on a listener of their own, because they are only for Prometheus.
fn serve_metrics(
    metrics: PrometheusHandle,
    listener: TcpListener,
    log: Rc<Log>,
) -> Result<ServerHandle, Failure> {
    let upkeep = metrics.clone();
    let factory = move || {
        let metrics = metrics.clone();
        let render = move || {
            let metrics = metrics.clone();
            async move {
                metrics.run_upkeep();
                HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(metrics.render())
            }
        };
        App::new().service(web::resource("/metrics").get(render))
    };
    let server = HttpServer::new(factory).workers(1).disable_signals().listen(listener);
    let server = server.map_err(|error| Failure::new(format!("DOORWARD_METRICS_LISTEN: {error}")))?.run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    // Without this upkeep, measurements pile up if no one fetches them.
    actix_web::rt::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP_EVERY).await;
            upkeep.run_upkeep();
            metrics::counter!("doorward_log_lines_dropped_total").absolute(log.dropped_lines());
        }
    });
    Ok(handle)
}

/// Runs the server. The caller must stop `access` after everything that uses it has ended.
async fn serve(
    settings: &Settings,
    listener: TcpListener,
    access: &mut Option<DatabaseAccess>,
) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::new(error.to_string());
    let address = listener.local_addr().map_err(failed)?;
    let mut signals = Signals::new()?;
    let clock = Clock::default();
    let again = listener.try_clone().map_err(failed)?;
    let mut start = Start::new(settings, &clock, again, &mut signals);
    let prepared = start.run(access).await;
    start.end().await;
    let (Some(mut prepared), Some(access)) = (prepared?, access) else { return Ok(()) };
    let (first_admin, node) = (prepared.first_admin.take(), prepared.node.take());
    let parts = state::parts(settings, address, access.url(), prepared, clock);
    let (state, draining) = (parts.state.clone(), parts.draining.clone());
    let server = app::serve(parts, listener, app::settings::cores()).map_err(failed)?;
    let handle = server.handle();
    let following = crate::state::follow(&state, access.url()).map_err(failed)?;
    let tasks = background::start(&state, node.as_ref(), app::settings::retention(settings), access.url());
    announce(&state.tokens.issuer.url, first_admin)?;
    tracing::info!(url = %state.tokens.issuer.url, %address, "serving");
    let mut server = actix_web::rt::spawn(server);
    tokio::select! {
        ended = &mut server => return ended.map_err(|error| Failure::new(error.to_string()))?.map_err(failed),
        name = signals.next() => tracing::info!(signal = name, "stopping"),
    }
    draining.begin();
    // A second signal skips the wait.
    tokio::select! {
        () = tokio::time::sleep(DRAIN) => {}
        _ = signals.next() => {}
    }
    handle.stop(true).await;
    let _ = server.await;
    tasks.stop();
    drop(following);
    flush(&state, node).await;
    tracing::info!("stopped");
    Ok(())
}

/// Writes all buffered rows within one deadline, so that a PostgreSQL that does not answer cannot delay the
/// stop.
async fn flush(state: &State, node: Option<Node>) {
    let database = &state.core.database;
    let leave = async {
        let Some(node) = node else { return Ok(()) };
        database.run(move |connection| nodes::delete(connection, node.id)).await
    };
    let all = async {
        tokio::join!(
            state.recorder.last_use.flush(database),
            state.recorder.kept_refusals.flush(database),
            state.recorder.refusal_counts.flush(database),
            leave,
        )
    };
    let Ok((uses, refusals, counts, left)) = tokio::time::timeout(FLUSHED_WITHIN, all).await else {
        tracing::warn!("PostgreSQL does not answer; the last uses and refusals of the last seconds are lost");
        return;
    };
    if let Err(error) = uses {
        tracing::warn!(%error, "the last uses of the last seconds could not be saved");
    }
    if let Err(error) = refusals {
        tracing::warn!(%error, "the refusals of the last second could not be saved");
    }
    if let Err(error) = counts {
        tracing::warn!(%error, "the refusals of the last seconds could not be counted");
    }
    if let Err(error) = left {
        tracing::debug!(%error, "this node's row could not be deleted; other nodes delete it later");
    }
}

/// The start of the server, until the database is ready. If that takes long, clients are told to wait.
struct Start<'a> {
    settings: &'a Settings,
    clock: &'a Clock,
    signals: &'a mut Signals,
    /// The listener, until the stand-in server uses it.
    listener: Option<TcpListener>,
    /// The server that tells clients to wait.
    not_ready_server: Option<ServerHandle>,
    /// Decides when to log again why PostgreSQL is not available.
    reminder: Reminder,
    /// The time for which a role or a database may be missing.
    patience: SetupGrace,
}

impl<'a> Start<'a> {
    fn new(
        settings: &'a Settings,
        clock: &'a Clock,
        listener: TcpListener,
        signals: &'a mut Signals,
    ) -> Self {
        Self {
            settings,
            clock,
            signals,
            listener: Some(listener),
            not_ready_server: None,
            reminder: Reminder::default(),
            patience: SetupGrace::default(),
        }
    }

    /// Opens and prepares the database, waiting for PostgreSQL as long as needed. Returns `None` if a signal
    /// arrived first.
    async fn run(&mut self, access: &mut Option<DatabaseAccess>) -> Result<Option<Prepared>, Failure> {
        let thread = BlockingPool::new("start", QueueLimits::new(1, 1));
        let settings = self.settings;
        // A private PostgreSQL logs its own progress.
        let opened = self.wait_for(open(&thread, settings), Self::answer_meanwhile).await?;
        let Some(opened) = opened else { return Ok(None) };
        let url = access.insert(opened?).url().to_owned();
        loop {
            // A paused PostgreSQL accepts connections but does not answer.
            let silent = |start: &mut Self| start.report_waiting("no answer yet");
            match self.wait_for(try_prepare(&thread, settings, &url), silent).await? {
                None => return Ok(None),
                Some(attempt) => match attempt? {
                    Attempt::Prepared(prepared) => return Ok(Some(*prepared)),
                    Attempt::NotReady(not_yet) => self.continue_or_fail(&not_yet)?,
                },
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                _ = self.signals.next() => return Ok(None),
            }
        }
    }

    /// Waits for work, and calls `on_silence` at intervals while it takes long. Returns `None` if a signal
    /// arrived first.
    async fn wait_for<T>(
        &mut self,
        work: impl Future<Output = T>,
        on_silence: impl Fn(&mut Self) -> Result<(), Failure>,
    ) -> Result<Option<T>, Failure> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(Some(done)),
                () = tokio::time::sleep(SILENCE) => on_silence(self)?,
                _ = self.signals.next() => return Ok(None),
            }
        }
    }

    /// Fails if waiting does not help. Otherwise logs why the server waits.
    fn continue_or_fail(&mut self, not_yet: &NotReady) -> Result<(), Failure> {
        let NotReady { said, advice } = not_yet;
        let Some(advice) = *advice else {
            self.patience.restart();
            return self.report_waiting(said);
        };
        let line = refused(said, advice.text);
        if self.patience.is_over(advice, Instant::now()) {
            Err(Failure::new(line))
        } else {
            self.report_waiting(&line)
        }
    }

    /// Logs now and then why PostgreSQL is not available, and starts telling clients to wait.
    fn report_waiting(&mut self, error: &str) -> Result<(), Failure> {
        if self.reminder.is_due(error, Instant::now()) {
            if takes_no_writes(error) {
                tracing::warn!(%error, "PostgreSQL accepts no writes because it is a standby or read-only; \
                                        waiting until it does");
            } else {
                tracing::warn!(%error, "PostgreSQL is not available yet; waiting for it");
            }
        }
        self.answer_meanwhile()
    }

    /// Starts the stand-in server, unless it already runs.
    fn answer_meanwhile(&mut self) -> Result<(), Failure> {
        let failed = |error: std::io::Error| Failure::new(error.to_string());
        let Some(listener) = self.listener.take() else { return Ok(()) };
        let address = listener.local_addr().map_err(failed)?;
        let base = self.settings.public_url_for(address).as_str().to_owned();
        let rendering = RenderContext { base, clock: self.clock.clone() };
        let server = not_ready::serve(rendering, self.settings.simplejwt_routes, listener).map_err(failed)?;
        self.not_ready_server = Some(server.handle());
        actix_web::rt::spawn(server);
        Ok(())
    }

    /// Stops the stand-in server.
    async fn end(self) {
        if let Some(not_ready_server) = self.not_ready_server {
            not_ready_server.stop(true).await;
        }
    }
}

/// Returns whether PostgreSQL refused a write, or libpq refused a read-only server.
fn takes_no_writes(said: &str) -> bool {
    ["read-only transaction", "during recovery", "session is read-only", "hot standby mode"]
        .iter()
        .any(|words| said.contains(words))
}

/// Finds the database. Creates or starts a private one, which may have to recover.
async fn open(thread: &BlockingPool, settings: &Settings) -> Result<DatabaseAccess, Failure> {
    let for_thread = settings.clone();
    let claim = WorkOwner::default().claim(Lane::Ordinary);
    let opened = thread.run(PREPARED_WITHIN, claim, move || DatabaseAccess::make(&for_thread)).await;
    let access = opened.map_err(|error| Failure::new(error.to_string()))??;
    if access.beside_server {
        let folder = settings.data_dir.display();
        return Err(Failure::new(format!(
            "another doorward serves from the data folder {folder}: stop it first"
        )));
    }
    Ok(access)
}

/// Why the server cannot use PostgreSQL yet.
struct NotReady {
    /// The error message.
    said: String,
    /// The advice if waiting does not help.
    advice: Option<Advice>,
}

/// The outcome of preparing the database.
enum Attempt {
    Prepared(Box<Prepared>),
    /// PostgreSQL is not available yet.
    NotReady(NotReady),
}

/// Prepares the database. An error ends the start.
async fn try_prepare(thread: &BlockingPool, settings: &Settings, url: &str) -> Result<Attempt, Failure> {
    let (settings, url) = (settings.clone(), url.to_owned());
    let claim = WorkOwner::default().claim(Lane::Ordinary);
    let prepared = thread.run(PREPARED_WITHIN, claim, move || {
        let mut connection = Database::connect(&url)?;
        instance::warn_of_foreign_messages(&mut connection);
        Ok(prepare(&mut connection, &settings))
    });
    let prepared: Result<_, DatabaseError> =
        prepared.await.map_err(|error| Failure::new(error.to_string()))?;
    match prepared.map(|prepared| prepared.map_err(unavailability)) {
        Ok(Ok(prepared)) => Ok(Attempt::Prepared(Box::new(prepared))),
        Ok(Err(failure)) => failure.map(|said| Attempt::NotReady(NotReady { said, advice: None })),
        Err(error) => {
            let said = error.to_string();
            let advice = connection_advice::find_advice(&said);
            Ok(Attempt::NotReady(NotReady { said, advice }))
        }
    }
}

/// Returns why PostgreSQL is not available or cannot be used yet. Any other error ends the start.
fn unavailability(error: StartError) -> Result<String, Failure> {
    let failure = Failure::new(error.to_string());
    let cause = match error {
        StartError::Query(error) => DatabaseError::from(error),
        StartError::Migrate(error) => DatabaseError::from(error),
        _ => return Err(failure),
    };
    match cause {
        DatabaseError::Unavailable(why) => Ok(why),
        _ => Err(failure),
    }
}

/// Prints the server's URL, and the first administrator's password if the account was just created.
fn announce(url: &str, first_admin: Option<FirstAdmin>) -> Result<(), Failure> {
    let mut output = Output::stdout(Format::default());
    if let Some(admin) = first_admin {
        match admin.password {
            Some(password) => output.line(&format!(
                "The first administrator is `{}`, with the password {} (shown only once).",
                admin.username,
                password.expose()
            ))?,
            None => output.line(&format!("The first administrator is `{}`.", admin.username))?,
        }
    }
    output.line(&format!("doorward serves at {url} (documentation: {url}/docs)"))
}
