//! User accounts, with their names, roles and passwords.

pub mod address;
pub mod canonical_names;
pub mod change;
pub mod common_passwords;
pub mod name;
pub mod password;
pub mod passwords;
pub mod role;
pub mod seen;
pub mod set_password;
pub mod user;

pub use user::{Authority, NewUser, User};
