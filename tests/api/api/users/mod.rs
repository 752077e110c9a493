//! Managing users: names, roles, the last admin, passwords and links.

mod accounts;
mod credentials;
mod powers;
