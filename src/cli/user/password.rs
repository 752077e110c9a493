//! Creates users and sets their passwords.

use super::args::{UserAddArgs, UserSetPasswordArgs};
use super::change::{name_taken, unknown_role};
use super::find::find;
use super::row::Row;
use crate::app::settings::password_policy;
use crate::audit::Origin;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::password::{NewPassword, PasswordArgs};
use crate::config::{Secret, Settings};
use crate::database::{Connection, transaction};
use crate::users::name::{EmailAddress, Username};
use crate::users::password::{PasswordHash, PlainPassword};
use crate::users::set_password::{self, SetPasswordOutcome};
use crate::users::user::{self, Authority, InsertOutcome, NewUser};

pub(super) fn add(
    connection: &mut Connection,
    settings: &Settings,
    args: &UserAddArgs,
) -> Result<(), Failure> {
    let wrong = |what: &str, error: &dyn std::fmt::Display| Failure::new(format!("the {what} {error}"));
    let username = Username::parse_new(&args.username).map_err(|error| wrong("username", &error))?;
    let email = args.email.as_deref().map(EmailAddress::parse).transpose();
    let email = email.map_err(|error| wrong("e-mail address", &error))?;
    let (plain, made) = obtain(args.password, settings)?;
    let names: Vec<&str> =
        [Some(username.as_str()), email.as_ref().map(EmailAddress::as_str)].into_iter().flatten().collect();
    refuse_invalid_password(settings, &plain, &names)?;
    let password_hash = Some(hash(&plain, settings)?);
    let new = NewUser { username, email, password_hash, role: args.role.clone() };
    let inserted = transaction(connection, |connection| {
        user::insert(connection, &new, &Authority::Unlimited, &Origin::command_line())
    });
    match inserted? {
        InsertOutcome::Inserted(user) => {
            let mut line = format!("Created {}, with the role {}.", user.username, user.role);
            if let Some(password) = &made {
                line += &format!(" The password is {} (shown only once).", password.expose());
            }
            let row = Row { password: made.map(|made| made.expose().to_owned()), ..Row::from(user) };
            Output::stdout(args.format).result(&row, &line)
        }
        InsertOutcome::NameTaken(taken) => Err(name_taken(taken)),
        InsertOutcome::UnknownRole | InsertOutcome::Denied(_) => Err(unknown_role(&args.role)),
    }
}

fn obtain(args: PasswordArgs, settings: &Settings) -> Result<(PlainPassword, Option<Secret>), Failure> {
    Ok(match args.obtain(settings.password_min_length)? {
        NewPassword::Given(password) => (PlainPassword::new(password.expose()), None),
        NewPassword::Made(password) => (PlainPassword::new(password.expose()), Some(password)),
    })
}

fn refuse_invalid_password(
    settings: &Settings,
    plain: &PlainPassword,
    names: &[&str],
) -> Result<(), Failure> {
    let errors = password_policy(settings).find_errors(plain, names);
    let lines: Vec<String> =
        errors.iter().map(|error| format!("the password is not allowed: {error}")).collect();
    if lines.is_empty() { Ok(()) } else { Err(Failure::Wrong(lines)) }
}

pub(super) fn set_password(
    connection: &mut Connection,
    settings: &Settings,
    args: &UserSetPasswordArgs,
) -> Result<(), Failure> {
    let user = find(connection, &args.user)?;
    let (plain, made) = obtain(args.password, settings)?;
    let names: Vec<&str> =
        [Some(user.username.as_str()), user.email.as_deref()].into_iter().flatten().collect();
    refuse_invalid_password(settings, &plain, &names)?;
    let hash = hash(&plain, settings)?;
    let set = transaction(connection, |connection| {
        let (authority, origin) = (Authority::Unlimited, Origin::command_line());
        set_password::reset(connection, user.id, &hash, !args.keep_tokens, &authority, &origin)
    });
    let SetPasswordOutcome::Done((user, ended)) = set? else {
        return Err(Failure::new(format!("there is no user {}", args.user)));
    };
    let tokens = match ended.tokens {
        Some(revoked) => format!("{revoked} personal tokens were revoked"),
        None => "its personal tokens are still valid".to_owned(),
    };
    let mut line =
        format!("Changed the password of {}; {} sessions ended, {tokens}.", user.username, ended.sessions);
    if let Some(password) = &made {
        line += &format!(" The new password is {} (shown only once).", password.expose());
    }
    let row = Row {
        sessions_ended: Some(ended.sessions),
        tokens_revoked: ended.tokens,
        password: made.map(|made| made.expose().to_owned()),
        ..Row::from(user)
    };
    Output::stdout(args.format).result(&row, &line)
}

fn hash(plain: &PlainPassword, settings: &Settings) -> Result<PasswordHash, Failure> {
    PasswordHash::new(plain, settings.bcrypt_cost).map_err(|error| Failure::new(error.to_string()))
}
