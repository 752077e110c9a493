//! Manages other people's accounts, for the API and the pages.

mod authority;
mod change_user;
mod create_user;
mod end_access;
mod list_users;
mod reset_password;
mod unknown_role;

pub use change_user::{DeleteUser, DisableUser, UpdateUser, UserChanges};
pub use create_user::{CreateUser, NewUserDraft, NewUserRequest};
pub use end_access::{EndSessionsOf, RevokeTokensOf};
pub use list_users::{FindUser, ListUsers, Status, UserQuery};
pub use reset_password::{CreatedLink, MakePasswordLink, PasswordReset, ResetPassword};
