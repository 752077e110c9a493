//! Manages other people's accounts, for the API and the pages.

mod authority;
mod change_user;
mod create_user;
mod end_access;
mod list_users;
mod reset_password;
mod unknown_role;

pub(crate) use change_user::{DeleteUser, DisableUser, UpdateUser, UserChanges};
pub(crate) use create_user::{CreateUser, NewUserDraft, NewUserRequest};
pub(crate) use end_access::{EndSessionsOf, RevokeTokensOf};
pub(crate) use list_users::{FindUser, ListUsers, UserQuery};
pub(crate) use reset_password::{CreatedLink, MakePasswordLink, PasswordReset, ResetPassword};
