//! Shows refusals: on one line of a list, or with the full explanation of a refusal or a credential.

use askama::Template;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::check_words::{self, CheckWords};
use super::shell::Shell;
use super::timestamp::Timestamp;
use crate::audit::refusals::KeptRefusal;
use crate::explain::explanation::{Explanation, Step, Verdict};
use crate::explain::history::HistoryEvent;
use crate::explain::rehearsal::{Prospect, Rehearsal};
use crate::guard::Caller;
use crate::guard::trace::{CheckLine, Outcome};
use crate::refusal::path_without_secrets;
use crate::users::role::USERS_READ;

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

/// The reader of an explanation, who may open some of what it names, and the time of reading.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub caller: Option<&'a Caller>,
    pub now: DateTime<Utc>,
}

impl Reader<'_> {
    /// Returns the path of a user's page, if the reader may open it.
    fn page_of(self, user_id: Uuid) -> Option<String> {
        let caller = self.caller?;
        if caller.user_id == user_id {
            return Some("/account".to_owned());
        }
        caller.may(USERS_READ).then(|| format!("/admin/users/{user_id}"))
    }

    /// Returns the path of the list with a user's sessions, if the reader may open it.
    fn sessions_of(self, user_id: Uuid) -> Option<String> {
        let is_own = self.caller.is_some_and(|caller| caller.user_id == user_id);
        if is_own { Some("/account/sessions".to_owned()) } else { self.page_of(user_id) }
    }
}

/// The page with the full explanation of a refusal or a credential.
#[derive(Template)]
#[template(path = "explanation.html")]
pub(crate) struct ExplanationPage {
    pub shell: Shell,
    /// The path of the page to which this page links back.
    back: &'static str,
    /// The name of that page.
    back_name: &'static str,
    verdict: VerdictBanner,
    failed: Option<CheckItem>,
    passed: Vec<CheckItem>,
    /// The checks that were not made.
    unmade: Vec<CheckItem>,
    /// The history of the credential. `None` if the reader may not see it.
    timeline: Option<Vec<TimelineItem>>,
    rehearsal: Option<RehearsalView>,
    facts: Vec<Fact>,
    next: Vec<Advice>,
}

/// The verdict in words.
struct VerdictBanner {
    class: &'static str,
    icon: &'static str,
    /// A sentence above the title.
    summary: String,
    title: String,
    detail: String,
    code: String,
    when: Option<Timestamp>,
}

/// A check with its outcome.
struct CheckItem {
    name: &'static str,
    requirement: &'static str,
    outcome: &'static str,
    expected: String,
    found: String,
}

struct TimelineItem {
    class: &'static str,
    when: Timestamp,
    text: String,
}

/// A fact of the request or the credential.
struct Fact {
    name: &'static str,
    value: String,
    link: Option<String>,
    /// True for an ID, which people copy.
    is_id: bool,
}

/// The checks of a recorded request if it were sent again now.
struct RehearsalView {
    class: &'static str,
    icon: &'static str,
    sentence: &'static str,
    checks: Vec<RehearsedItem>,
}

struct RehearsedItem {
    class: &'static str,
    icon: &'static str,
    outcome: &'static str,
    name: &'static str,
    found: String,
}

/// The next steps of one reader.
struct Advice {
    who: &'static str,
    reader: &'static str,
    text: String,
}

impl ExplanationPage {
    /// Builds the page, with a link back to another one.
    #[must_use]
    pub(crate) fn new(
        shell: Shell,
        (back, back_name): (&'static str, &'static str),
        explanation: Explanation,
        rehearsal: Option<Rehearsal>,
        reader: Reader<'_>,
    ) -> Self {
        let verdict = verdict(&explanation, reader.now);
        let timeline = timeline(&explanation, reader.now);
        let facts = facts(&explanation, reader);
        let (mut failed, mut passed, mut unmade) = (None, Vec::new(), Vec::new());
        for line in explanation.checks {
            match line.outcome {
                Outcome::Passed => passed.push(CheckItem::from(line)),
                Outcome::Failed | Outcome::Undecided => failed = Some(CheckItem::from(line)),
                Outcome::NotReached | Outcome::NotApplicable => unmade.push(CheckItem::from(line)),
            }
        }
        Self {
            shell,
            back,
            back_name,
            verdict,
            failed,
            passed,
            unmade,
            timeline,
            rehearsal: rehearsal.map(RehearsalView::from),
            facts,
            next: explanation.next.into_iter().map(Advice::from).collect(),
        }
    }

    /// Keeps only the next steps that these readers can take.
    #[must_use]
    pub(crate) fn for_readers(mut self, readers: &[&str]) -> Self {
        self.next.retain(|step| readers.contains(&step.who));
        self
    }
}

fn verdict(explanation: &Explanation, now: DateTime<Utc>) -> VerdictBanner {
    let problem = |name: &str| {
        let text = explanation.problem.as_ref().and_then(|problem| problem[name].as_str());
        text.unwrap_or_default().to_owned()
    };
    let request = explanation.request.as_ref();
    let is_recorded = request.is_some_and(|request| request.occurred_at.is_some());
    let asked = request.map(|request| format!("{} {}", request.method, shown_path(&request.path)));
    let asked = asked.unwrap_or_else(|| "The credential".to_owned());
    let status = request.and_then(|request| request.status).map(|status| format!(" with {status}"));
    let status = status.unwrap_or_default();
    let (class, icon) = match explanation.verdict {
        Verdict::Refused => ("bad", "failed"),
        Verdict::Accepted => ("good", "passed"),
        Verdict::SessionLives => ("note", "info"),
    };
    let (summary, title, detail) = match (explanation.verdict, request.is_some(), is_recorded) {
        (Verdict::Refused, _, true) => {
            (format!("{asked} was refused{status}"), problem("title"), problem("detail"))
        }
        (Verdict::Refused, true, false) => {
            (format!("{asked} would be refused now"), problem("title"), problem("detail"))
        }
        (Verdict::Refused, false, false) => {
            ("This credential is refused".to_owned(), problem("title"), problem("detail"))
        }
        (Verdict::Accepted, _, true) => {
            (format!("{asked} was answered{status}"), "This request was accepted".to_owned(), String::new())
        }
        (Verdict::Accepted, true, false) => (
            "With this credential, now".to_owned(),
            format!("{asked} would be allowed"),
            "Nothing was sent: only the checks were made.".to_owned(),
        ),
        (Verdict::Accepted, false, false) => (
            "This credential".to_owned(),
            "The credential is accepted".to_owned(),
            "It identifies its user. Whether a request is allowed also depends on the permission that it needs."
                .to_owned(),
        ),
        (Verdict::SessionLives, ..) => (
            "This refresh token".to_owned(),
            "Its session is active".to_owned(),
            "Only using the token shows whether the token itself is still accepted.".to_owned(),
        ),
    };
    let when = request.and_then(|request| request.occurred_at).map(|at| Timestamp::new(at, now));
    VerdictBanner { class, icon, summary, title, detail, code: problem("code"), when }
}

/// Returns a path as a page shows it. A path that someone pasted may contain a secret.
fn shown_path(path: &str) -> String {
    path_without_secrets(path, 200)
}

/// Returns the history with the request itself in its place. Returns `None` if the reader may not see it.
fn timeline(explanation: &Explanation, now: DateTime<Utc>) -> Option<Vec<TimelineItem>> {
    let history = explanation.history.as_ref()?;
    let occurred_at = explanation.request.as_ref().and_then(|request| request.occurred_at);
    let mut items: Vec<_> = history.iter().map(|event| (event.at, TimelineItem::of(event, now))).collect();
    if let Some(at) = occurred_at.filter(|_| !items.is_empty()) {
        let text = match explanation.verdict {
            Verdict::Refused => "This request was refused",
            Verdict::Accepted | Verdict::SessionLives => "This request was accepted",
        };
        items.push((at, TimelineItem { class: "now", when: Timestamp::new(at, now), text: text.to_owned() }));
    }
    items.sort_by_key(|(at, _)| *at);
    Some(items.into_iter().map(|(_, item)| item).collect())
}

impl TimelineItem {
    fn of(event: &HistoryEvent, now: DateTime<Utc>) -> Self {
        let by = event.by.as_ref().map(|by| format!(", by {by}")).unwrap_or_default();
        let from = event.address.as_ref().map(|address| format!(", from {address}")).unwrap_or_default();
        let class = match event.event.as_str() {
            "login_succeeded" | "personal_token_created" | "stepped_up" | "user_enabled" => "good",
            "session_ended"
            | "refresh_token_reused"
            | "personal_token_revoked"
            | "user_disabled"
            | "user_deleted"
            | "expired"
            | "login_failed"
            | "step_up_failed" => "bad",
            _ => "",
        };
        let text = capitalized(&event.text.replace("(api session)", "(API session)"));
        Self { class, when: Timestamp::new(event.at, now), text: format!("{text}{by}{from}") }
    }
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

fn facts(explanation: &Explanation, reader: Reader<'_>) -> Vec<Fact> {
    let (request, credential) = (explanation.request.as_ref(), explanation.credential.as_ref());
    let user_id = credential.and_then(|credential| credential.user_id);
    let text = |name, value: Option<String>| Some(Fact { name, value: value?, link: None, is_id: false });
    let id = |name, id: Option<Uuid>| {
        Some(Fact { name, value: id.map(|id| id.to_string())?, link: None, is_id: true })
    };
    let when = request.and_then(|request| request.occurred_at).map(|at| {
        let moment = Timestamp::new(at, reader.now);
        format!("{} ({})", moment.long, moment.words)
    });
    let user = text("User", credential.and_then(|credential| credential.username.clone()));
    let session = id("Session ID", credential.and_then(|credential| credential.session_id));
    let facts = [
        id("Request ID", request.and_then(|request| request.request_id)),
        text("Request", request.map(|request| format!("{} {}", request.method, shown_path(&request.path)))),
        text("Time", when),
        text("Status", request.and_then(|request| request.status).map(|status| status.to_string())),
        text("Permission", request.and_then(|request| request.permission.clone())),
        text("Client address", request.and_then(|request| request.address.clone())),
        text("Credential", credential.map(|credential| check_words::kind(&credential.kind))),
        id("Credential ID", credential.and_then(|credential| credential.id)),
        session.map(|fact| Fact { link: user_id.and_then(|id| reader.sessions_of(id)), ..fact }),
        user.map(|fact| Fact { link: user_id.and_then(|id| reader.page_of(id)), ..fact }),
    ];
    facts.into_iter().flatten().collect()
}

impl From<CheckLine> for CheckItem {
    fn from(line: CheckLine) -> Self {
        let CheckWords { name, requirement } = check_words::words(line.check);
        let outcome = match line.outcome {
            Outcome::Passed => "passed",
            Outcome::Failed => "failed",
            Outcome::Undecided => "could not be checked",
            Outcome::NotReached => "not reached",
            Outcome::NotApplicable => "not needed",
        };
        let (expected, found) = (line.expected.unwrap_or_default(), line.found.unwrap_or_default());
        Self { name, requirement, outcome, expected, found }
    }
}

impl From<Rehearsal> for RehearsalView {
    fn from(rehearsal: Rehearsal) -> Self {
        let (class, icon, sentence) = if rehearsal.fails() {
            ("bad", "failed", "No: the same request would be refused again.")
        } else {
            ("note", "info", "Perhaps: nothing in the record stops it. The rest depends on the credential.")
        };
        let checks = rehearsal.checks.into_iter().map(|line| {
            let (class, icon, outcome) = match line.prospect {
                Prospect::Passes => ("good", "check", "passes"),
                Prospect::Fails => ("bad", "cross", "fails"),
                Prospect::NotMade => ("skip", "dash", "not looked at"),
            };
            let name = match line.prospect {
                Prospect::NotMade if line.found.starts_with("The record") => "The credential itself",
                _ => check_words::words(line.check).name,
            };
            RehearsedItem { class, icon, outcome, name, found: line.found }
        });
        Self { class, icon, sentence, checks: checks.collect() }
    }
}

impl From<Step> for Advice {
    fn from(step: Step) -> Self {
        let reader = match step.who {
            "client" => "Client developer",
            "user" => "User",
            _ => "Operator",
        };
        Self { who: step.who, reader, text: step.text }
    }
}
