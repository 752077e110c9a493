//! Use cases: each file is something that an interface can ask for. They return a refusal, never an HTTP answer.

pub mod hold_answer;
pub mod issue_tokens;
pub mod list_events;
pub mod manage_users;
pub mod new_password;
pub mod own_account;
pub mod refresh;
pub mod register;
pub mod roles;
pub mod sign_in;
pub mod signing_keys;
pub mod step_up;
pub mod throttle;
pub mod user_tag;
