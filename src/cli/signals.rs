//! The signals that a server takes: some stop it in good order, the others change nothing and lose nothing.

use nix::sys::signal::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::failure::Failure;
use crate::config::stderr_is_terminal;

/// The signals that stop the server.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    /// Only where the terminal that the server runs in hangs up.
    hangup: Option<Signal>,
}

/// Signals that would end a process that does not take them.
const IGNORED: [Number; 6] =
    [Number::SIGUSR1, Number::SIGUSR2, Number::SIGALRM, Number::SIGIO, Number::SIGVTALRM, Number::SIGPROF];

impl Signals {
    /// Takes the signals from now on.
    ///
    /// # Errors
    /// The operating system's.
    pub fn new() -> Result<Self, Failure> {
        for number in IGNORED {
            ignore(on(SignalKind::from_raw(number as i32))?, number.as_str());
        }
        let hangup = on(SignalKind::hangup())?;
        // Without its terminal a server would go on where nobody sees it.
        let hangup = if stderr_is_terminal() {
            Some(hangup)
        } else {
            ignore(hangup, "SIGHUP");
            None
        };
        Ok(Self {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
            quit: on(SignalKind::quit())?,
            hangup,
        })
    }

    /// Waits for the next signal to stop; returns its name.
    pub async fn next(&mut self) -> &'static str {
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

/// Says that a signal changes nothing. Settings are read at the start alone, and the log is a stream that others rotate.
fn ignore(mut signal: Signal, name: &'static str) {
    actix_web::rt::spawn(async move {
        while signal.recv().await.is_some() {
            tracing::info!(
                signal = name,
                "nothing is read again: restart the server for other settings; keys and roles are followed by themselves"
            );
        }
    });
}
