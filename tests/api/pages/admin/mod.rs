//! The administrator's pages: who may see them, and everything that they do.

mod access;
mod audit;
mod overview;
mod refusals;
mod user;
mod users;
