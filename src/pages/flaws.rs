//! Errors of a form, shown next to its fields.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use super::answer::answer;
use crate::refusal::{self, Code, Problem};

/// The errors of a form.
#[derive(Default)]
pub struct Flaws {
    fields: Vec<(String, String)>,
    /// An error that concerns no single field.
    pub general: Option<String>,
    /// The refusal whose status the page gets: the form was throttled, or its page was stale.
    held: Option<Problem>,
}

impl Flaws {
    /// Returns no errors.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Returns an error of one field.
    #[must_use]
    pub fn of_field(name: &str, detail: &str) -> Self {
        Self { fields: vec![(name.to_owned(), detail.to_owned())], ..Self::default() }
    }

    fn general(detail: &str) -> Self {
        Self { general: Some(detail.to_owned()), ..Self::default() }
    }

    /// Returns the errors of a form that a refusal reports.
    ///
    /// # Errors
    /// The refusal itself, if it is not about the content of the form.
    pub fn of(problem: Problem) -> Result<Self, Problem> {
        match problem.code() {
            Code::ValidationFailed => {
                let mut flaws = Self::none();
                for error in problem.field_errors() {
                    // An error of a list's item is shown at the list.
                    let name = error.pointer.trim_start_matches('/').split('/').next().unwrap_or_default();
                    flaws.fields.push((name.to_owned(), sentence(&error.detail)));
                }
                Ok(flaws)
            }
            Code::Conflict => match problem.pointer() {
                Some(name) => Ok(Self::of_field(name, problem.detail())),
                None => Ok(Self::general(problem.detail())),
            },
            Code::LastAdmin => Ok(Self::general(problem.detail())),
            Code::TooManyAttempts | Code::PreconditionFailed => {
                Ok(Self { held: Some(problem.clone()), ..Self::general(problem.detail()) })
            }
            _ => Err(problem),
        }
    }

    /// Returns the errors of a field, or an empty text if there are none.
    #[must_use]
    pub fn at(&self, name: &str) -> String {
        let found = self.fields.iter().filter(|(field, _)| field == name);
        found.map(|(_, detail)| detail.as_str()).collect::<Vec<_>>().join(" ")
    }

    /// Returns true if there are no errors.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.general.is_none()
    }

    /// Shows the form again with the errors.
    pub fn shown_by<P: Template>(self, page: impl FnOnce(Self) -> P) -> Result<HttpResponse, Problem> {
        let Some(held) = self.held.clone() else {
            return answer(StatusCode::UNPROCESSABLE_ENTITY, &page(self));
        };
        let mut answer = answer(held.code().status(), &page(self))?;
        refusal::mark(&mut answer, &held);
        Ok(answer)
    }
}

/// The outcome of a submitted form.
pub enum FormOutcome<T> {
    /// The form was accepted.
    Done(T),
    /// The form is shown again with these errors.
    Invalid(Flaws),
    /// The request was refused for a reason that is not in the form.
    Refused(Problem),
}

impl<T> FormOutcome<T> {
    /// Returns the outcome of a form with an error in one field.
    #[must_use]
    pub fn invalid(field: &str, detail: &str) -> Self {
        Self::Invalid(Flaws::of_field(field, detail))
    }
}

impl<T> From<Problem> for FormOutcome<T> {
    fn from(problem: Problem) -> Self {
        match Flaws::of(problem) {
            Ok(flaws) => Self::Invalid(flaws),
            Err(problem) => Self::Refused(problem),
        }
    }
}

impl<T> From<Result<T, Problem>> for FormOutcome<T> {
    fn from(result: Result<T, Problem>) -> Self {
        result.map_or_else(Self::from, Self::Done)
    }
}

/// Turns a detail into a sentence.
fn sentence(detail: &str) -> String {
    let mut letters = detail.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    let rest = letters.as_str().trim_end_matches('.');
    format!("{first}{rest}.")
}
