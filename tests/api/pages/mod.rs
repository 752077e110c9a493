//! Tests of the HTML pages, without a real browser.

mod account;
mod admin;
mod documents;
mod every_page;
mod explain;
mod login;
mod looks;
mod register;
mod step_up;
mod theme;
mod visitors;

pub fn html(answer: &doorward_test::Answer) -> &str {
    answer.body.as_str().unwrap_or_default()
}
