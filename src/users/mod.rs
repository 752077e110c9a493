//! User accounts, with their names, roles and passwords.

pub(crate) mod canonical_form;
pub mod canonical_names;
pub(crate) mod change;
pub(crate) mod common_passwords;
pub(crate) mod edit_tag;
pub mod name;
pub mod password;
pub(crate) mod passwords;
pub mod role;
pub(crate) mod set_password;
pub mod user;

pub use user::{Authority, NewUser, User};
