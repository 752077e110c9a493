//! User accounts, with their names, roles and passwords.

pub mod canonical_form;
pub mod canonical_names;
pub mod change;
pub mod common_passwords;
pub mod edit_tag;
pub mod name;
pub mod password;
pub mod passwords;
pub mod role;
pub mod set_password;
pub mod user;

pub use user::{Authority, NewUser, User};
