//! Tests of the HTML pages, without a real browser.

mod admin;
