//! Shows a kept refusal: on one line of a list, or with its full explanation.

use askama::Template;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::shell::Shell;
use super::timestamp::Timestamp;
use crate::audit::refusals::KeptRefusal;
use crate::explain::explanation::{Explanation, Step, Verdict};
use crate::guard::trace::{CheckLine, Outcome};

/// A refusal on one line of a list.
pub(crate) struct Item {
    pub request_id: Uuid,
    pub when: Timestamp,
    pub code: String,
    /// The method and the path.
    pub request: String,
    /// The kind of the credential.
    pub credential: String,
    /// The client address.
    pub address: String,
    pub detail: String,
}

impl Item {
    /// Describes a refusal for a page shown at `now`.
    #[must_use]
    pub(crate) fn new(refusal: KeptRefusal, now: DateTime<Utc>) -> Self {
        Self {
            request_id: refusal.request_id,
            when: Timestamp::new(refusal.occurred_at, now),
            code: refusal.code.unwrap_or_default(),
            request: format!("{} {}", refusal.method, refusal.path),
            credential: refusal.credential_kind.unwrap_or_default().replace('_', " "),
            address: refusal.address.unwrap_or_default(),
            detail: refusal.problem["detail"].as_str().unwrap_or_default().to_owned(),
        }
    }
}

/// The page with the full explanation of a refusal.
#[derive(Template)]
#[template(path = "explanation.html")]
pub(crate) struct ExplanationPage {
    pub shell: Shell,
    /// The path of the list to which the page links back.
    pub list: &'static str,
    /// The name of that list.
    pub list_name: &'static str,
    code: String,
    title: String,
    detail: String,
    facts: Vec<(&'static str, String)>,
    checks: Vec<Row>,
    history: Vec<HistoryLine>,
    next: Vec<Step>,
}

struct Row {
    check: &'static str,
    outcome: &'static str,
    class: &'static str,
    said: String,
}

struct HistoryLine {
    when: Timestamp,
    text: String,
}

impl ExplanationPage {
    /// Builds the page, to be shown at `now`, with a link back to the list.
    #[must_use]
    pub(crate) fn new(
        shell: Shell,
        (list, list_name): (&'static str, &'static str),
        explanation: Explanation,
        now: DateTime<Utc>,
    ) -> Self {
        let problem = |name: &str| {
            let text = explanation.problem.as_ref().and_then(|problem| problem[name].as_str());
            text.unwrap_or_default().to_owned()
        };
        let life = explanation.history.iter().flatten().map(|event| {
            let by = event.by.as_ref().map(|by| format!(", by {by}")).unwrap_or_default();
            let from = event.address.as_ref().map(|address| format!(", from {address}")).unwrap_or_default();
            HistoryLine { when: Timestamp::new(event.at, now), text: format!("{}{by}{from}", event.text) }
        });
        Self {
            shell,
            list,
            list_name,
            code: problem("code"),
            title: match explanation.verdict {
                Verdict::Refused => problem("title"),
                Verdict::Accepted | Verdict::SessionLives => "It was accepted".to_owned(),
            },
            detail: problem("detail"),
            facts: facts(&explanation, now),
            history: life.collect(),
            checks: explanation.checks.into_iter().map(Row::from).collect(),
            next: explanation.next,
        }
    }

    /// Keeps only the next steps that these readers can take.
    #[must_use]
    pub(crate) fn for_readers(mut self, readers: &[&str]) -> Self {
        self.next.retain(|step| readers.contains(&step.who));
        self
    }
}

fn facts(explanation: &Explanation, now: DateTime<Utc>) -> Vec<(&'static str, String)> {
    let (request, credential) = (explanation.request.as_ref(), explanation.credential.as_ref());
    let id = |id: Option<Uuid>| id.map(|id| id.to_string());
    let facts = [
        ("Request", request.map(|request| format!("{} {}", request.method, request.path))),
        ("Request id", request.and_then(|request| id(request.request_id))),
        (
            "When",
            request.and_then(|request| request.occurred_at).map(|at| {
                let moment = Timestamp::new(at, now);
                format!("{} ({})", moment.long, moment.words)
            }),
        ),
        ("Status", request.and_then(|request| request.status).map(|status| status.to_string())),
        ("From", request.and_then(|request| request.address.clone())),
        ("Credential", credential.map(|credential| credential.kind.replace('_', " "))),
        ("Its id", credential.and_then(|credential| id(credential.id))),
        ("Session", credential.and_then(|credential| id(credential.session_id))),
        ("User", credential.and_then(|credential| credential.username.clone())),
    ];
    facts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

impl From<CheckLine> for Row {
    fn from(line: CheckLine) -> Self {
        let (outcome, class) = match line.outcome {
            Outcome::Passed => ("passed", "good"),
            Outcome::Failed => ("failed", "bad"),
            Outcome::Undecided => ("could not be checked", "bad"),
            Outcome::NotReached => ("not reached", ""),
            Outcome::NotApplicable => ("not needed here", ""),
        };
        Self { check: line.check.as_str(), outcome, class, said: line.found.unwrap_or_default() }
    }
}
