//! Changes and deletes users, and ends their sessions.

use super::args::{OneUserArgs, UserDeleteArgs, UserDisableArgs};
use super::find::{find, folded_names};
use super::row::Row;
use crate::audit::{EventDetails, Origin, Subject, event};
use crate::cli::failure::Failure;
use crate::cli::output::{Format, Output};
use crate::database::{Connection, transaction};
use crate::limits::counters;
use crate::sessions::{EndReason, SessionSelection, end_sessions};
use crate::users::change::{self, ChangeOutcome, Changes};
use crate::users::user::{Authority, NameTaken, User};

pub(super) fn name_taken(taken: NameTaken) -> Failure {
    let which = match taken {
        NameTaken::Username => "username",
        NameTaken::Email => "e-mail address",
    };
    Failure::new(format!("the {which} is already in use, as a username or as an e-mail address"))
}

pub(super) fn unknown_role(role: &str) -> Failure {
    Failure::new(format!("there is no role {role}; the built-in roles are viewer, member and admin"))
}

pub(super) fn unlock(connection: &mut Connection, args: &OneUserArgs) -> Result<(), Failure> {
    let user = find(connection, &args.user)?;
    let names = folded_names(&user);
    let cleared = transaction(connection, |connection| {
        let cleared = counters::clear(connection, user.id, &names)?;
        if cleared {
            let subject = Subject { id: Some(user.id), name: Some(&user.username) };
            let origin = Origin::command_line();
            event::insert(connection, &origin, subject, &EventDetails::UserUnlocked {})?;
        }
        Ok(cleared)
    })?;
    let line = match cleared {
        true => format!(
            "Cleared the failed attempts of {}. The next sign-in does not have to wait.",
            user.username
        ),
        false => format!("{} has no failed attempts.", user.username),
    };
    Output::stdout(args.format)
        .result(&serde_json::json!({ "username": user.username, "unlocked": cleared }), &line)
}

pub(super) fn disable(connection: &mut Connection, args: &UserDisableArgs) -> Result<(), Failure> {
    let id = find(connection, &args.user)?.id;
    let (change, ended) = transaction(connection, |connection| {
        let (authority, origin) = (Authority::Unlimited, Origin::command_line());
        change::disable(connection, id, args.end_sessions, &authority, &origin)
    })?;
    let user = done(change, &args.user, "")?;
    let left = if args.end_sessions {
        format!("{ended} sessions ended; enabling the account restores its personal tokens")
    } else {
        "Enabling the account restores its sessions and personal tokens".to_owned()
    };
    let line =
        format!("{} is now {}. {left}, unless they have ended or expired.", user.username, user.status);
    let row = Row { sessions_ended: args.end_sessions.then_some(ended), ..Row::from(user) };
    Output::stdout(args.format).result(&row, &line)
}

pub(super) fn change_one(
    connection: &mut Connection,
    named: &str,
    changes: &Changes,
    format: Format,
    line: impl Fn(&User) -> String,
) -> Result<(), Failure> {
    let id = find(connection, named)?.id;
    let changed = transaction(connection, |connection| {
        change::update(connection, id, changes, |_| true, &Authority::Unlimited, &Origin::command_line())
    });
    let user = done(changed?, named, changes.role.as_deref().unwrap_or_default())?;
    let line = line(&user);
    Output::stdout(format).result(&Row::from(user), &line)
}

fn done(change: ChangeOutcome, named: &str, role: &str) -> Result<User, Failure> {
    match change {
        ChangeOutcome::Done(user) => Ok(user),
        ChangeOutcome::LastAdmin => {
            let why = "is the last active administrator, who cannot be disabled, demoted or deleted";
            Err(Failure::new(format!("{named} {why}: make someone else an administrator first")))
        }
        ChangeOutcome::NameTaken(taken) => Err(name_taken(taken)),
        ChangeOutcome::NameRefused(error) => Err(Failure::new(format!("the username {error}"))),
        ChangeOutcome::UnknownRole | ChangeOutcome::Denied(_) => Err(unknown_role(role)),
        ChangeOutcome::NotFound | ChangeOutcome::Stale(_) => {
            Err(Failure::new(format!("there is no user {named}")))
        }
    }
}

pub(super) fn logout(connection: &mut Connection, args: &OneUserArgs) -> Result<(), Failure> {
    let user = find(connection, &args.user)?;
    let ended = transaction(connection, |connection| {
        end_sessions(
            connection,
            &SessionSelection::AllOf(user.id),
            EndReason::EndedByAdmin,
            &Origin::command_line(),
        )
    });
    let ended = ended?.len();
    let line = format!("{ended} sessions of {} ended.", user.username);
    Output::stdout(args.format)
        .result(&serde_json::json!({ "username": user.username, "ended": ended }), &line)
}

pub(super) fn delete(connection: &mut Connection, args: &UserDeleteArgs) -> Result<(), Failure> {
    let user = find(connection, &args.user)?;
    let what = format!("this deletes {} with all notes, sessions and tokens", user.username);
    args.confirmation.ask(&what)?;
    let deleted = transaction(connection, |connection| {
        change::delete(connection, user.id, |_| true, &Authority::Unlimited, &Origin::command_line())
    });
    let user = done(deleted?, &args.user, "")?;
    let line = format!("Deleted {}.", user.username);
    Output::stdout(args.format).result(&Row::from(user), &line)
}
