//! Users: accounts, their names, roles and passwords.

mod address;
pub mod attempts;
pub mod canonical_names;
pub mod change;
pub mod common_passwords;
pub mod known_address;
pub mod name;
pub mod password;
pub mod passwords;
pub mod seen;
pub mod set_password;
pub mod user;

pub use user::{Authority, NewUser, User};
