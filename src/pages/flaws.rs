//! What is wrong with a form, beside its fields.

use crate::problem::{Code, Problem};

/// What is wrong with a form.
#[derive(Default)]
pub struct Flaws {
    fields: Vec<(String, String)>,
    /// What concerns no field.
    pub general: Option<String>,
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
        Self { fields: vec![(name.to_owned(), detail.to_owned())], general: None }
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
                None => Ok(Self { fields: Vec::new(), general: Some(problem.detail().to_owned()) }),
            },
            Code::LastAdmin => Ok(Self { fields: Vec::new(), general: Some(problem.detail().to_owned()) }),
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
}

/// A detail as a sentence.
fn sentence(detail: &str) -> String {
    let mut letters = detail.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    let rest = letters.as_str().trim_end_matches('.');
    format!("{first}{rest}.")
}
