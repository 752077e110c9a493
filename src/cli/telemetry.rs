//! Logs: text on a terminal, JSON otherwise, on standard error.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::{LogFormat, Settings, stderr_is_terminal};

/// Begins to log as the settings say. Control characters in what is logged are escaped in both forms.
pub fn start(settings: &Settings) {
    // What actix says of its workers is nobody's news, and of bytes that are no request, which it takes for errors and
    // repeats, a stranger could fill the log.
    let filter = EnvFilter::new(format!("actix_server=warn,actix_http=off,{}", settings.log.as_str()));
    let as_text = match settings.log_format {
        LogFormat::Text => true,
        LogFormat::Json => false,
        LogFormat::Auto => stderr_is_terminal(),
    };
    let logs = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start in one process keeps the first.
    let _ = if as_text {
        logs.with_ansi(stderr_is_terminal()).with_target(false).try_init()
    } else {
        logs.json().flatten_event(true).with_current_span(false).try_init()
    };
}
