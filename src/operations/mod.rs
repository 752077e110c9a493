//! Operations are the use cases that the API and the pages share, each in its own file. They return a refusal
//! on failure, never an HTTP response.

pub mod issue_tokens;
pub mod list_events;
pub mod manage_users;
pub mod new_password;
pub mod own_account;
pub mod refresh;
pub mod register;
pub mod reserve_answer;
pub mod roles;
pub mod sign_in;
pub mod signing_keys;
pub mod step_up;
pub mod throttle;
pub mod user_tag;
