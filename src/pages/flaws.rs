//! What is wrong with a form, beside its fields.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use super::answer::answer;
use crate::refusal::{self, Code, Problem};

/// What is wrong with a form.
#[derive(Default)]
pub struct Flaws {
    fields: Vec<(String, String)>,
    /// What concerns no field.
    pub general: Option<String>,
    /// The refusal whose status the page has: the form came too soon, or from a stale page.
    held: Option<Problem>,
}

impl Flaws {
    /// Nothing is wrong.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// One field is wrong.
    #[must_use]
    pub fn of_field(name: &str, detail: &str) -> Self {
        Self { fields: vec![(name.to_owned(), detail.to_owned())], ..Self::default() }
    }

    fn general(detail: &str) -> Self {
        Self { general: Some(detail.to_owned()), ..Self::default() }
    }

    /// What a refusal says of the form's fields.
    ///
    /// # Errors
    /// The problem itself, where it is not about what was typed.
    pub fn of(problem: Problem) -> Result<Self, Problem> {
        match problem.code() {
            Code::ValidationFailed => {
                let mut flaws = Self::none();
                for error in problem.field_errors() {
                    // An item of a list stands with its list.
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

    /// What is wrong with this field; empty: nothing.
    #[must_use]
    pub fn at(&self, name: &str) -> String {
        let found = self.fields.iter().filter(|(field, _)| field == name);
        found.map(|(_, detail)| detail.as_str()).collect::<Vec<_>>().join(" ")
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.general.is_none()
    }

    /// The answer that shows the form again, with them.
    ///
    /// # Errors
    /// `internal_error` when the page cannot be made.
    pub fn shown_by<P: Template>(self, page: impl FnOnce(Self) -> P) -> Result<HttpResponse, Problem> {
        let Some(held) = self.held.clone() else {
            return answer(StatusCode::UNPROCESSABLE_ENTITY, &page(self));
        };
        let mut answer = answer(held.code().status(), &page(self))?;
        refusal::mark(&mut answer, &held);
        Ok(answer)
    }
}

/// A detail as a sentence.
fn sentence(detail: &str) -> String {
    let mut letters = detail.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    let rest = letters.as_str().trim_end_matches('.');
    format!("{first}{rest}.")
}
