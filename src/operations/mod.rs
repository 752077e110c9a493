//! Operations are the use cases that the API and the pages share, each in its own file. They return a refusal
//! on failure, never an HTTP response.

pub(crate) mod issue_tokens;
pub(crate) mod list_events;
pub(crate) mod manage_users;
pub(crate) mod new_password;
pub(crate) mod own_account;
pub(crate) mod refresh;
pub(crate) mod register;
pub(crate) mod reserve_answer;
pub(crate) mod roles;
pub(crate) mod sign_in;
pub mod signing_keys;
pub(crate) mod step_up;
pub(crate) mod throttle;
pub(crate) mod user_tag;
