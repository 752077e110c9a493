//! Writes the log to standard error, as text on a terminal and as JSON otherwise.

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::{LogFormat, Settings, stderr_is_terminal};

/// The maximum number of lines that wait to be written. Further lines are dropped and counted.
const WAITING: usize = 8_192;

/// The log. Dropping it waits until queued lines are written, for at most a second.
pub(crate) struct Log {
    dropped: ErrorCounter,
    _writer: WorkerGuard,
}

impl Log {
    /// Returns how many lines were dropped because they could not be written in time.
    #[must_use]
    pub(crate) fn dropped_lines(&self) -> u64 {
        self.dropped.dropped_lines() as u64
    }
}

/// Starts the log as the settings say. Both formats escape control characters. Requests do not wait for their
/// lines to be written, so that a pipe that no one reads cannot stop the server.
pub(crate) fn start(settings: &Settings) -> Log {
    // actix's messages about its workers are of no use. actix also logs each malformed request as several
    // errors, so a stranger could fill the log.
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
    // A second start in the same process keeps the first log.
    let _ = if as_text {
        logs.with_ansi(stderr_is_terminal()).with_target(false).try_init()
    } else {
        logs.json().flatten_event(true).with_current_span(false).try_init()
    };
    log
}
