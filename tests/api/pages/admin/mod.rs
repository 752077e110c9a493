//! The administrator's pages: who may see them, and everything that they do.

mod access;
mod audit;
mod overview;
mod refusals;
mod user;
mod users;

use crate::support::Answer;

fn html(answer: &Answer) -> &str {
    answer.body.as_str().unwrap_or_default()
}
