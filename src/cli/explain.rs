//! `doorward explain`: explains as a short tree why a token or a request was accepted or refused.

use std::io::Read;

use actix_web::http::Method;
use clap::Args;
use uuid::Uuid;

use super::context::Context;
use super::database::DatabaseAccess;
use super::failure::Failure;
use super::output::{Format, Output};
use super::terminal::printable;
use crate::app::{self, start, state};
use crate::clock::Clock;
use crate::config::{Settings, stdin_is_terminal, wants_colour};
use crate::explain::explanation;
use crate::explain::explanation::{Asker, Explanation, NOT_KEPT, Verdict};
use crate::explain::pasted::{self, Target};
use crate::guard::refusals::time;
use crate::guard::trace::{CheckLine, Outcome};

/// The limit of bytes read from standard input.
const LONGEST: u64 = 64 * 1024;
/// The longest time until a server has written a refusal.
const WRITTEN_WITHIN: std::time::Duration = std::time::Duration::from_millis(1_500);

/// Arguments of `doorward explain`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  doorward explain 0b6a1f2e-…               the request id of a refusal\n  doorward explain \
                  < token.txt             a token that stays out of the shell's history\n  doorward explain --method \
                  DELETE --path /api/v1/notes/1 < token.txt\n\nYou can also paste an Authorization header or a curl \
                  command line. Explaining does not use the token."
)]
pub struct ExplainArgs {
    /// A request id or a token. Without it, or if it is `-`, the token is read from standard input.
    #[arg(allow_hyphen_values = true)]
    pub subject: Option<String>,
    /// Also check whether the token would be accepted for a request with this method to `--path`.
    #[arg(long, requires = "path")]
    pub method: Option<String>,
    /// The path for `--method`.
    #[arg(long, requires = "method")]
    pub path: Option<String>,
    #[command(flatten)]
    pub format: Format,
}

impl ExplainArgs {
    /// Prints the explanation.
    ///
    /// # Errors
    /// The database cannot be reached, or no refusal is kept under the request id.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let settings = context.settings()?;
        let subject = match self.subject.as_deref() {
            None | Some("-") => read_stdin()?,
            Some(subject) => subject.to_owned(),
        };
        let target = self.target()?;
        let access = DatabaseAccess::find(&settings)?;
        let explained = explain(&settings, &access, subject.trim(), target);
        access.stop();
        let explanation = explained?;
        let mut output = Output::stdout(self.format);
        if output.is_json() {
            return output.json(&explanation);
        }
        output.verbatim(&Tree { coloured: wants_colour() }.of(&explanation))
    }

    fn target(&self) -> Result<Option<Target>, Failure> {
        let (Some(method), Some(path)) = (&self.method, &self.path) else { return Ok(None) };
        let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes())
            .map_err(|_| Failure::new(format!("--method {method}: not an HTTP method")))?;
        if !path.starts_with('/') {
            return Err(Failure::new(format!("--path {path}: a path starts with `/`, without a host")));
        }
        Ok(Some(Target { method, path: path.clone() }))
    }
}

fn read_stdin() -> Result<String, Failure> {
    if stdin_is_terminal() {
        super::failure::print_error(&["paste the token, then press Enter and Ctrl-D".to_owned()]);
    }
    let mut text = String::new();
    std::io::stdin()
        .take(LONGEST)
        .read_to_string(&mut text)
        .map_err(|error| Failure::new(format!("cannot read standard input: {error}")))?;
    if text.trim().is_empty() {
        return Err(Failure::new(
            "standard input was empty: send a token there, or give a request id as the argument",
        ));
    }
    Ok(text)
}

fn explain(
    settings: &Settings,
    access: &DatabaseAccess,
    subject: &str,
    target: Option<Target>,
) -> Result<Explanation, Failure> {
    let prepared =
        start::open(&mut access.connect()?, settings).map_err(|error| Failure::new(error.to_string()))?;
    let parts = state::parts(settings, settings.listen, access.url(), prepared, Clock::default());
    let routes = app::route_table(settings.simplejwt_routes);
    let state = &parts.state;
    let explained = actix_web::rt::System::new().block_on(async {
        let Ok(request_id) = Uuid::try_parse(subject.trim_start_matches("urn:uuid:")) else {
            return explanation::explain(state, pasted::read(subject), target, &routes, Asker::Operator)
                .await
                .map(Some);
        };
        let found = explanation::explain_request(state, request_id, Asker::Operator).await?;
        if found.is_some() {
            return Ok(found);
        }
        // A server writes its refusals once a second, so look again.
        tokio::time::sleep(WRITTEN_WITHIN).await;
        explanation::explain_request(state, request_id, Asker::Operator).await
    });
    match explained {
        Ok(Some(explanation)) => Ok(explanation),
        Ok(None) => Err(Failure::new(NOT_KEPT)),
        Err(problem) => Err(Failure::new(problem.detail())),
    }
}

/// Formats an explanation as text.
struct Tree {
    coloured: bool,
}

const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const FAINT: &str = "2";

impl Tree {
    fn paint(&self, colour: &str, text: &str) -> String {
        let text = printable(text);
        if self.coloured { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text }
    }

    fn of(&self, explanation: &Explanation) -> String {
        let mut lines = vec![self.verdict(explanation)];
        let detail = explanation.problem.as_ref().and_then(|problem| problem["detail"].as_str());
        lines.extend(detail.map(|detail| format!("  {}", printable(detail))));
        let mut branches: Vec<(&str, Vec<String>)> = vec![
            ("request", self.request(explanation)),
            ("credential", self.credential(explanation)),
            ("checks", explanation.checks.iter().map(|line| self.check(line)).collect()),
            ("history", self.history(explanation)),
            ("next", explanation.next.iter().map(|step| self.step(step.who, &step.text)).collect()),
        ];
        branches.retain(|(_, leaves)| !leaves.is_empty());
        let last = branches.len().saturating_sub(1);
        for (at, (name, leaves)) in branches.into_iter().enumerate() {
            let (fork, trunk) = if at == last { ("└─", "   ") } else { ("├─", "│  ") };
            lines.push(format!("{} {name}", self.paint(FAINT, fork)));
            lines.extend(leaves.into_iter().map(|leaf| format!("{}{leaf}", self.paint(FAINT, trunk))));
        }
        lines.join("\n") + "\n"
    }

    fn verdict(&self, explanation: &Explanation) -> String {
        let text = |name: &str| {
            explanation.problem.as_ref().and_then(|problem| problem[name].as_str()).unwrap_or("")
        };
        match explanation.verdict {
            Verdict::Accepted => self.paint(GREEN, "✓ accepted"),
            Verdict::SessionLives => self.paint(
                YELLOW,
                "? the session is active; only presenting this token shows whether it was used",
            ),
            Verdict::Refused => {
                format!("{} — {}", self.paint(RED, &format!("✗ {}", text("code"))), printable(text("title")))
            }
        }
    }

    fn request(&self, explanation: &Explanation) -> Vec<String> {
        let Some(request) = &explanation.request else { return Vec::new() };
        let mut lines = vec![printable(&format!("{} {}", request.method, request.path))];
        if let Some(permission) = &request.permission {
            lines.push(format!("requires {}", printable(permission)));
        }
        if let (Some(at), Some(status)) = (request.occurred_at, request.status) {
            lines.push(format!("answered with {status} at {}", time(at)));
        }
        if let Some(address) = &request.address {
            let proxy = request.peer.as_ref().filter(|peer| *peer != address);
            let through = proxy.map(|peer| format!(" through {peer}")).unwrap_or_default();
            lines.push(printable(&format!("from {address}{through}")));
        }
        lines
    }

    fn credential(&self, explanation: &Explanation) -> Vec<String> {
        let Some(credential) = &explanation.credential else { return Vec::new() };
        let id = credential.id.map(|id| format!(" {id}")).unwrap_or_default();
        let mut lines = vec![printable(&format!("{}{id}", credential.kind.replace('_', " ")))];
        lines.extend(credential.session_id.map(|id| format!("session {id}")));
        lines.extend(credential.username.as_ref().map(|name| printable(&format!("of {name}"))));
        lines
    }

    fn check(&self, line: &CheckLine) -> String {
        let name = format!("{:<11}", line.check.as_str());
        let said = match (&line.found, &line.expected) {
            (Some(found), Some(expected)) if line.outcome == Outcome::Failed => {
                format!("{found} (expected: {expected})")
            }
            (Some(found), _) => found.clone(),
            (None, _) => String::new(),
        };
        let text = printable(&said);
        let line = match line.outcome {
            Outcome::Passed => format!("{} {name}{text}", self.paint(GREEN, "✓")),
            Outcome::Failed => format!("{} {}{text}", self.paint(RED, "✗"), self.paint(RED, &name)),
            Outcome::Undecided => format!("{} {name}could not be checked", self.paint(YELLOW, "?")),
            Outcome::NotReached => self.paint(FAINT, &format!("· {name}not reached")),
            Outcome::NotApplicable => self.paint(FAINT, &format!("· {name}not needed here")),
        };
        line.trim_end().to_owned()
    }

    fn history(&self, explanation: &Explanation) -> Vec<String> {
        let event = |event: &crate::explain::history::HistoryEvent| {
            let by = event.by.as_ref().map(|by| format!(", by {by}")).unwrap_or_default();
            let from = event.address.as_ref().map(|address| format!(", from {address}")).unwrap_or_default();
            let said = printable(&format!("{}{by}{from}", event.text));
            format!("{} {said}", self.paint(FAINT, &time(event.at)))
        };
        explanation.history.iter().flatten().map(event).collect()
    }

    fn step(&self, who: &str, text: &str) -> String {
        format!("{} {}", self.paint(FAINT, &format!("{who}:")), printable(text))
    }
}
