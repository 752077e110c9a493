//! `doorward user`: lists and changes users, with or without a running server.

mod args;
mod change;
mod find;
mod password;
mod row;

use crate::cli::context::Context;
use crate::cli::database::DatabaseAccess;
use crate::cli::failure::Failure;
use crate::config::Settings;
use crate::database::Connection;
use crate::tokens::owner::UserStatus;
use crate::users::change::Changes;
use args::UserAction;
use change::{change_one, delete, disable, logout, unlock};
use find::{list, show};
use password::{add, set_password};

pub(crate) use args::UserArgs;
pub(super) use find::find;

impl UserArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// The database cannot be reached, or the change is refused. The message gives the reason.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let settings = context.settings()?;
        DatabaseAccess::use_for(&settings, |connection| self.act(connection, &settings))
    }

    fn act(&self, connection: &mut Connection, settings: &Settings) -> Result<(), Failure> {
        match &self.action {
            UserAction::Add(args) => add(connection, settings, args),
            UserAction::List(args) => list(connection, args),
            UserAction::Show(args) => show(connection, args),
            UserAction::Disable(args) => disable(connection, args),
            UserAction::Enable(args) => {
                let changes = Changes { status: Some(UserStatus::Active), ..Changes::default() };
                change_one(connection, &args.user, &changes, args.format, |user| {
                    format!("{} is now {}.", user.username, user.status)
                })
            }
            UserAction::Unlock(args) => unlock(connection, args),
            UserAction::SetRole(args) => {
                let changes = Changes { role: Some(args.role.clone()), ..Changes::default() };
                change_one(connection, &args.user, &changes, args.format, |user| {
                    format!("{} now has the role {}.", user.username, user.role)
                })
            }
            UserAction::SetPassword(args) => set_password(connection, settings, args),
            UserAction::Logout(args) => logout(connection, args),
            UserAction::Delete(args) => delete(connection, args),
        }
    }
}
