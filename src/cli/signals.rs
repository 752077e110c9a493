//! The signals that a server handles. Some stop it in order, and the others are ignored.

use nix::sys::signal::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::failure::Failure;
use crate::config::stderr_is_terminal;

pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    /// Set only if the server runs in a terminal, which may hang up.
    hangup: Option<Signal>,
}

/// Signals that would end a process that does not handle them. Signals that report a fault of the process
/// itself are not included.
const IGNORED: [Number; 8] = [
    Number::SIGUSR1,
    Number::SIGUSR2,
    Number::SIGALRM,
    Number::SIGIO,
    Number::SIGVTALRM,
    Number::SIGPROF,
    Number::SIGXCPU,
    Number::SIGXFSZ,
];

/// Returns Linux's additional signals, and the real-time signals, which have only numbers.
#[cfg(target_os = "linux")]
fn further() -> Vec<(i32, String)> {
    let named = [Number::SIGPWR, Number::SIGSTKFLT].map(|number| (number as i32, number.as_str().to_owned()));
    let first = nix::libc::SIGRTMIN();
    let real_time =
        (first..=nix::libc::SIGRTMAX()).map(|number| (number, format!("SIGRTMIN+{}", number - first)));
    named.into_iter().chain(real_time).collect()
}

#[cfg(not(target_os = "linux"))]
fn further() -> Vec<(i32, String)> {
    Vec::new()
}

impl Signals {
    /// Starts handling the signals.
    pub(crate) fn new() -> Result<Self, Failure> {
        let named = IGNORED.map(|number| (number as i32, number.as_str().to_owned()));
        for (number, name) in named.into_iter().chain(further()) {
            ignore(on(SignalKind::from_raw(number))?, name);
        }
        let hangup = on(SignalKind::hangup())?;
        // In a terminal, SIGHUP stops the server, which would otherwise run on unseen.
        let hangup = if stderr_is_terminal() {
            Some(hangup)
        } else {
            ignore(hangup, "SIGHUP".to_owned());
            None
        };
        Ok(Self {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
            quit: on(SignalKind::quit())?,
            hangup,
        })
    }

    /// Waits for the next signal that asks the process to stop, and returns its name.
    pub(crate) async fn next(&mut self) -> &'static str {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.quit.recv() => "SIGQUIT",
            _ = hangup => "SIGHUP",
        }
    }
}

fn on(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::new(format!("signals: {error}")))
}

/// Logs that a signal has no effect. Settings are read only at the start, and the log is a stream that others
/// rotate.
fn ignore(mut signal: Signal, name: String) {
    actix_web::rt::spawn(async move {
        while signal.recv().await.is_some() {
            tracing::info!(
                signal = name,
                "this signal reloads nothing: restart the server to change settings; keys and roles are \
                 followed automatically"
            );
        }
    });
}
