//! Errors of a form, shown next to its fields.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use super::answer::answer;
use crate::refusal::{self, Code, Refusal};

/// The errors of a form.
#[derive(Default)]
pub(crate) struct FormErrors {
    fields: Vec<(String, String)>,
    /// An error that concerns no single field.
    pub general: Option<String>,
    /// The refusal whose status the page gets: the form was throttled, or its page was stale.
    held: Option<Refusal>,
}

impl FormErrors {
    /// Returns no errors.
    #[must_use]
    pub(crate) fn none() -> Self {
        Self::default()
    }

    /// Returns an error of one field.
    #[must_use]
    pub(crate) fn of_field(name: &str, detail: &str) -> Self {
        Self { fields: vec![(name.to_owned(), detail.to_owned())], ..Self::default() }
    }

    /// Replaces the errors of a field.
    pub(crate) fn replace(&mut self, name: &str, detail: &str) {
        self.fields.retain(|(field, _)| field != name);
        self.fields.push((name.to_owned(), detail.to_owned()));
    }

    fn general(detail: &str) -> Self {
        Self { general: Some(detail.to_owned()), ..Self::default() }
    }

    /// Returns the errors of a form that a refusal reports.
    ///
    /// # Errors
    /// The refusal itself, if it is not about the content of the form.
    pub(crate) fn of(refusal: Refusal) -> Result<Self, Refusal> {
        match refusal.code() {
            Code::ValidationFailed => {
                let mut errors = Self::none();
                for error in refusal.field_errors() {
                    // An error of a list's item is shown at the list.
                    let name = error.pointer.trim_start_matches('/').split('/').next().unwrap_or_default();
                    errors.fields.push((name.to_owned(), sentence(&error.detail)));
                }
                Ok(errors)
            }
            Code::Conflict => match refusal.pointer() {
                Some(name) => Ok(Self::of_field(name, refusal.detail())),
                None => Ok(Self::general(refusal.detail())),
            },
            Code::LastAdmin => Ok(Self::general(refusal.detail())),
            Code::TooManyAttempts | Code::PreconditionFailed => {
                Ok(Self { held: Some(refusal.clone()), ..Self::general(refusal.detail()) })
            }
            _ => Err(refusal),
        }
    }

    /// Returns the errors of a field, or an empty text if there are none.
    #[must_use]
    pub(crate) fn at(&self, name: &str) -> String {
        let found = self.fields.iter().filter(|(field, _)| field == name);
        found.map(|(_, detail)| detail.as_str()).collect::<Vec<_>>().join(" ")
    }

    /// Returns true if there are no errors.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.general.is_none()
    }

    /// Shows the form again with the errors.
    pub(crate) fn shown_by<P: Template>(self, page: impl FnOnce(Self) -> P) -> Result<HttpResponse, Refusal> {
        let Some(held) = self.held.clone() else {
            return answer(StatusCode::UNPROCESSABLE_ENTITY, &page(self));
        };
        let mut answer = answer(held.code().status(), &page(self))?;
        refusal::mark_refused(&mut answer, &held);
        Ok(answer)
    }
}

/// The outcome of a submitted form.
pub(crate) enum FormOutcome<T> {
    /// The form was accepted.
    Done(T),
    /// The form is shown again with these errors.
    Invalid(FormErrors),
    /// The request was refused for a reason that is not in the form.
    Refused(Refusal),
}

impl<T> FormOutcome<T> {
    /// Returns the outcome of a form with an error in one field.
    #[must_use]
    pub(crate) fn invalid(field: &str, detail: &str) -> Self {
        Self::Invalid(FormErrors::of_field(field, detail))
    }
}

impl<T> From<Refusal> for FormOutcome<T> {
    fn from(refusal: Refusal) -> Self {
        match FormErrors::of(refusal) {
            Ok(errors) => Self::Invalid(errors),
            Err(refusal) => Self::Refused(refusal),
        }
    }
}

impl<T> From<Result<T, Refusal>> for FormOutcome<T> {
    fn from(result: Result<T, Refusal>) -> Self {
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
