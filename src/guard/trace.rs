//! Records how far a credential came through the ordered checks. The log line, the metric, the kept refusal
//! and the explanation are all made from this one value.

use actix_web::{HttpMessage, HttpRequest};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::check::{Check, CredentialKind};
use crate::refusal::{Code, Refusal};

/// The outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// The check passed.
    Passed,
    /// The check failed. It is the reason for the refusal.
    Failed,
    /// The check could not be made because of a server error.
    Undecided,
    /// An earlier check failed, or the resource makes this check itself.
    NotReached,
    /// The check does not apply to this request.
    NotApplicable,
}

/// A check with its outcome.
#[derive(Clone, Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[schema(as = Line)]
pub(crate) struct CheckLine {
    pub check: Check,
    /// The outcome of the check.
    pub outcome: Outcome,
    /// The requirement of the check. Absent if no requirement was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// The state that the check found, or the detail of the refusal if the check failed without recording a
    /// state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
}

/// The requirement of a check, and the state that it found.
pub(crate) struct Evidence {
    pub expected: String,
    pub found: String,
}

impl Evidence {
    pub(crate) fn new(expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self { expected: expected.into(), found: found.into() }
    }
}

/// The progress of a credential through the checks.
#[derive(Default)]
pub(crate) struct Trace {
    pub kind: Option<CredentialKind>,
    /// The public ID of the credential. It is an access token's `jti`, a personal token's ID, or the
    /// session's ID.
    pub credential_id: Option<Uuid>,
    pub session_id: Option<Uuid>,
    pub user_id: Option<Uuid>,
    passed: u16,
    stopped: Option<Check>,
    /// Recorded only for explanations, to save time in requests.
    findings: Option<Vec<(Check, Evidence)>>,
}

impl Trace {
    /// Creates a trace for an explanation. It records what each check found, and nothing counts as used.
    #[must_use]
    pub(crate) fn explaining() -> Self {
        Self { findings: Some(Vec::new()), ..Self::default() }
    }

    /// Creates the trace of a sign-in with a username and a password.
    #[must_use]
    pub(crate) fn of_password() -> Self {
        Self { kind: Some(CredentialKind::Password), ..Self::default() }
    }

    /// Stores the trace in the request, for the log and the kept refusal.
    pub(crate) fn keep(self, request: &HttpRequest) {
        request.extensions_mut().insert(self);
    }

    /// Returns whether this is an explanation, so that nothing counts as used.
    #[must_use]
    pub(crate) fn explains(&self) -> bool {
        self.findings.is_some()
    }

    /// Records that a check passed.
    pub(crate) fn pass(&mut self, check: Check) {
        self.passed |= check.bit();
    }

    /// Records that the checks before `stop` passed.
    pub(crate) fn pass_until(&mut self, checks: &[Check], stop: Check) {
        checks.iter().filter(|check| **check < stop).for_each(|check| self.pass(*check));
    }

    /// Records the last check, which failed or could not be made.
    pub(crate) fn stop(&mut self, check: Check) {
        self.passed &= check.bit() - 1;
        self.stopped = Some(check);
    }

    /// Stops at this check, and removes the IDs that the credential claimed.
    pub(crate) fn disprove(&mut self, check: Check) {
        (self.credential_id, self.session_id, self.user_id) = (None, None, None);
        if let Some(findings) = &mut self.findings {
            findings.retain(|(earlier, _)| *earlier < check);
        }
        self.stop(check);
    }

    /// Removes everything except the kind, because none of the checks decided.
    pub(crate) fn forget(&mut self) {
        *self = Self { kind: self.kind, ..Self::default() };
    }

    /// Records that this check passed, or stops at it.
    ///
    /// # Errors
    /// The error in `found`.
    pub(crate) fn check<T>(&mut self, check: Check, found: Result<T, Refusal>) -> Result<T, Refusal> {
        match found {
            Ok(_) => self.pass(check),
            Err(_) => self.stop(check),
        }
        found
    }

    /// Records the evidence of a check, for an explanation, and that the check passed, or stops at it.
    ///
    /// # Errors
    /// The error in `verdict`.
    pub(crate) fn run<T>(
        &mut self,
        check: Check,
        evidence: impl FnOnce() -> Evidence,
        verdict: Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        self.add_finding(check, evidence);
        self.check(check, verdict)
    }

    /// Records what a check requires and what it found, for an explanation.
    pub(crate) fn add_finding(&mut self, check: Check, evidence: impl FnOnce() -> Evidence) {
        if let Some(findings) = &mut self.findings {
            findings.push((check, evidence()));
        }
    }

    /// Returns whether the credential was verified to be one of this server's.
    #[must_use]
    pub(crate) fn is_verified(&self) -> bool {
        self.passed & Check::Signature.bit() != 0
    }

    /// Returns the check that a refusal comes from. Returns `None` if the credential is valid but the request
    /// is not.
    #[must_use]
    pub(crate) fn failed_at(&self, code: Code) -> Option<Check> {
        self.stopped.or(match code {
            Code::InvalidCredentials => Some(Check::Signature),
            Code::AccountDisabled => Some(Check::User),
            Code::NotOwner => Some(Check::Ownership),
            Code::PermissionDenied => Some(Check::Permission),
            Code::InsufficientScope => Some(Check::Scope),
            Code::CsrfFailed => Some(Check::Csrf),
            _ => None,
        })
    }

    /// Returns the checks with their outcomes. `refusal` is the response to the request; `None` if the
    /// request was authorized.
    #[must_use]
    pub(crate) fn lines(&self, refusal: Option<&Refusal>) -> Vec<CheckLine> {
        let failed = refusal.and_then(|refusal| self.failed_at(refusal.code()));
        let is_ours = refusal.is_some_and(|refusal| refusal.code().status().is_server_error());
        let line = |check: Check| {
            let outcome = match failed {
                Some(failed) if failed == check && is_ours => Outcome::Undecided,
                Some(failed) if failed == check => Outcome::Failed,
                Some(failed) if check > failed => Outcome::NotReached,
                _ if self.passed & check.bit() != 0 => Outcome::Passed,
                None if check == Check::Ownership || self.passed == 0 => Outcome::NotReached,
                _ => Outcome::NotApplicable,
            };
            let finding = self.findings.iter().flatten().rev().find(|(of, _)| *of == check);
            let detail =
                refusal.filter(|_| outcome == Outcome::Failed).map(|refusal| refusal.detail().to_owned());
            CheckLine {
                check,
                outcome,
                expected: finding.map(|(_, evidence)| evidence.expected.clone()),
                found: finding.map(|(_, evidence)| evidence.found.clone()).or(detail),
            }
        };
        Check::ALL.into_iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(lines: &[CheckLine], check: Check) -> Outcome {
        lines.iter().find(|line| line.check == check).map(|line| line.outcome).expect("every check")
    }

    #[test]
    fn checks_after_the_failed_one_are_not_reached() {
        let mut trace = Trace::default();
        trace.pass_until(&[Check::Header, Check::Form, Check::Signature, Check::Times], Check::Times);
        trace.stop(Check::Times);
        assert!(trace.is_verified());
        let lines = trace.lines(Some(&Refusal::new(Code::TokenExpired, "It expired.")));
        assert_eq!(outcome(&lines, Check::Form), Outcome::Passed);
        assert_eq!(outcome(&lines, Check::Kind), Outcome::NotApplicable);
        assert_eq!(outcome(&lines, Check::Times), Outcome::Failed);
        assert_eq!(outcome(&lines, Check::Session), Outcome::NotReached);
        assert_eq!(lines[Check::Times as usize].found.as_deref(), Some("It expired."));
    }

    #[test]
    fn revoked_key_withdraws_the_verification() {
        let mut trace = Trace::default();
        trace.pass(Check::Signature);
        trace.pass(Check::Type);
        trace.stop(Check::Key);
        assert!(!trace.is_verified());
    }

    #[test]
    fn server_error_leaves_its_check_undecided() {
        let mut trace = Trace::default();
        trace.stop(Check::Session);
        let lines = trace.lines(Some(&Refusal::new(Code::DatabaseUnavailable, "It is away.")));
        assert_eq!(outcome(&lines, Check::Session), Outcome::Undecided);
    }

    #[test]
    fn refusal_by_the_resource_fails_only_the_ownership_check() {
        let mut trace = Trace::default();
        trace.pass(Check::User);
        let lines = trace.lines(Some(&Refusal::new(Code::NotFound, "It is not there.")));
        assert!(lines.iter().all(|line| line.outcome != Outcome::Failed));
        let owned = trace.lines(Some(&Refusal::new(Code::NotOwner, "It is another's.")));
        assert_eq!(outcome(&owned, Check::Ownership), Outcome::Failed);
    }

    #[test]
    fn explaining_trace_is_distinguished_from_a_request() {
        assert!(Trace::explaining().explains());
        let request = Trace::of_password();
        assert!(!request.explains());
        assert_eq!(request.kind, Some(CredentialKind::Password));
    }

    #[test]
    fn refusal_outside_a_check_is_assigned_one_by_its_code() {
        for (code, check) in [
            (Code::InvalidCredentials, Check::Signature),
            (Code::AccountDisabled, Check::User),
            (Code::NotOwner, Check::Ownership),
            (Code::PermissionDenied, Check::Permission),
            (Code::InsufficientScope, Check::Scope),
            (Code::CsrfFailed, Check::Csrf),
        ] {
            let lines = Trace::of_password().lines(Some(&Refusal::new(code, "No.")));
            let failed = lines.iter().filter(|line| line.outcome == Outcome::Failed);
            assert_eq!(failed.map(|line| line.check).collect::<Vec<_>>(), [check], "{code:?}");
        }
        let mut stopped = Trace::of_password();
        stopped.stop(Check::User);
        assert_eq!(stopped.failed_at(Code::InvalidCredentials), Some(Check::User));
    }

    #[test]
    fn authorized_request_does_not_reach_the_ownership_check() {
        let mut trace = Trace::explaining();
        trace.pass(Check::Header);
        trace.add_finding(Check::Header, || Evidence::new("one credential", "one"));
        let lines = trace.lines(None);
        assert_eq!(outcome(&lines, Check::Header), Outcome::Passed);
        assert_eq!(outcome(&lines, Check::Key), Outcome::NotApplicable);
        assert_eq!(outcome(&lines, Check::Ownership), Outcome::NotReached);
        let written = lines.iter().filter(|line| line.found.is_some() || line.expected.is_some());
        let written: Vec<_> = written.map(|line| (line.check, &line.expected, &line.found)).collect();
        assert_eq!(written, [(Check::Header, &Some("one credential".into()), &Some("one".into()))]);
    }

    #[test]
    fn stopped_check_has_not_passed() {
        let mut trace = Trace::default();
        trace.pass_until(&[Check::Header, Check::Signature, Check::Times], Check::Signature);
        assert!(!trace.is_verified());
        assert_eq!(outcome(&trace.lines(None), Check::Header), Outcome::Passed);
        assert_eq!(outcome(&trace.lines(None), Check::Times), Outcome::NotApplicable);
    }

    fn of_somebody() -> Trace {
        let somebody = Some(Uuid::from_u128(1));
        let kind = Some(CredentialKind::AccessToken);
        Trace {
            kind,
            credential_id: somebody,
            session_id: somebody,
            user_id: somebody,
            ..Trace::explaining()
        }
    }

    #[test]
    fn revoked_key_removes_the_claims_from_the_trace() {
        let mut trace = of_somebody();
        for check in [Check::Form, Check::Key, Check::Signature, Check::Type] {
            trace.pass(check);
            trace.add_finding(check, || Evidence::new("as the token says", "what the token says"));
        }
        trace.disprove(Check::Key);
        assert_eq!((trace.credential_id, trace.session_id, trace.user_id), (None, None, None));
        assert_eq!(trace.kind, Some(CredentialKind::AccessToken));
        let lines = trace.lines(Some(&Refusal::new(Code::TokenSignatureInvalid, "Its key is revoked.")));
        let written = lines.iter().filter_map(|line| Some((line.check, line.found.as_deref()?)));
        assert_eq!(
            written.collect::<Vec<_>>(),
            [(Check::Form, "what the token says"), (Check::Key, "Its key is revoked.")]
        );
        assert_eq!(outcome(&lines, Check::Signature), Outcome::NotReached);
    }

    #[test]
    fn throttled_request_keeps_only_the_kind_that_was_sent() {
        let mut trace = of_somebody();
        trace.pass(Check::Form);
        trace.stop(Check::Revocation);
        trace.forget();
        assert_eq!(trace.kind, Some(CredentialKind::AccessToken));
        assert_eq!((trace.credential_id, trace.session_id, trace.user_id), (None, None, None));
        let lines = trace.lines(Some(&Refusal::new(Code::TooManyAttempts, "Wait.")));
        assert!(lines.iter().all(|line| line.outcome == Outcome::NotReached));
    }
}
