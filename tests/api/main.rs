//! Tests the API from outside, with real HTTP and a real PostgreSQL. Each test has its own database.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod api;
mod app;
mod blocking;
mod cache;
mod database;
mod explain;
mod guard;
mod guide;
mod http;
mod limits;
mod operations;
mod pages;
mod refusal;
mod resources;
mod sessions;
mod simplejwt;
mod tokens;
mod users;
