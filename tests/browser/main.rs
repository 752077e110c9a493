//! Tests the pages in a real Chromium, as people use them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod account;
mod admin;
mod chromium;
mod documents;
mod every_page;
mod explain;
mod guide;
mod other_origin;
mod readme;
mod theme;
