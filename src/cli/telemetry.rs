//! Logs: text on a terminal, JSON otherwise, on standard error.

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::{LogFormat, Settings, stderr_is_terminal};

/// Lines that wait to be written; those past them are dropped and counted.
const WAITING: usize = 8_192;

/// The log that was begun. It ends with this, once what waits is written, or after a second.
pub struct Log {
    dropped: ErrorCounter,
    _writer: WorkerGuard,
}

impl Log {
    /// How many lines were dropped because nobody took them.
    #[must_use]
    pub fn dropped_lines(&self) -> u64 {
        self.dropped.dropped_lines() as u64
    }
}

/// Begins to log as the settings say. Control characters in what is logged are escaped in both forms. Requests do not wait
/// for their lines to be written: a pipe that nobody reads would stop the server.
pub fn start(settings: &Settings) -> Log {
    // What actix says of its workers is nobody's news, and of bytes that are no request, which it takes for errors and
    // repeats, a stranger could fill the log.
    let filter = EnvFilter::new(format!("actix_server=warn,actix_http=off,{}", settings.log.as_str()));
    let as_text = match settings.log_format {
        LogFormat::Text => true,
        LogFormat::Json => false,
        LogFormat::Auto => stderr_is_terminal(),
    };
    let writing = NonBlockingBuilder::default().buffered_lines_limit(WAITING).lossy(true);
    let (writer, guard) = writing.thread_name("log").finish(std::io::stderr());
    let log = Log { dropped: writer.error_counter(), _writer: guard };
    let logs = fmt().with_env_filter(filter).with_writer(writer);
    // A second start in one process keeps the first.
    let _ = if as_text {
        logs.with_ansi(stderr_is_terminal()).with_target(false).try_init()
    } else {
        logs.json().flatten_event(true).with_current_span(false).try_init()
    };
    log
}
