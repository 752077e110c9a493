//! `doorward user`: lists and changes users, with or without a running server.

use clap::{Args, Subcommand, ValueEnum};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::confirmation::Confirmation;
use super::context::Context;
use super::database::DatabaseAccess;
use super::failure::Failure;
use super::output::{Format, Output};
use super::password::{NewPassword, PasswordArgs};
use crate::app::settings::password_policy;
use crate::audit::Origin;
use crate::audit::event::{self, EventType, Subject};
use crate::config::{Secret, Settings};
use crate::database::{Connection, QueryError, transaction};
use crate::limits::counters;
use crate::sessions::{EndReason, Which, end_sessions, session};
use crate::tokens::owner::UserStatus;
use crate::users::change::{self, ChangeOutcome, Changes};
use crate::users::name::{EmailAddress, Username, fold_typed};
use crate::users::password::{PasswordHash, PlainPassword};
use crate::users::role;
use crate::users::set_password::{self, Setting};
use crate::users::user::{self, Authority, Filter, Insertion, NameTaken, NewUser, User};

const EXAMPLES: &str = "\
Examples:
  doorward user add alice --email alice@example.org --role member
  doorward user add robot --generate --json
  pass show alice | doorward user set-password alice --password-stdin
  doorward user list --status disabled";

/// Arguments of `doorward user`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct UserArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: UserAction,
}

/// What to do with users.
#[derive(Debug, Subcommand)]
pub enum UserAction {
    /// Make a user; the password is asked for, read from standard input, or made.
    Add(UserAddArgs),
    /// List users.
    List(UserListArgs),
    /// Show a user.
    Show(OneUserArgs),
    /// Refuse a user from the next request on; enabling brings back the sessions and tokens that are left.
    Disable(UserDisableArgs),
    /// Let a disabled user in again, with the sessions and tokens that have neither ended nor expired.
    Enable(OneUserArgs),
    /// Forget the wrong passwords that were given for a user, so that the next sign-in waits no more.
    Unlock(OneUserArgs),
    /// Give a user another role.
    SetRole(UserSetRoleArgs),
    /// Give a user another password; every session ends, and every personal token is revoked.
    SetPassword(UserSetPasswordArgs),
    /// End every session of a user.
    Logout(OneUserArgs),
    /// Delete a user and everything of theirs.
    Delete(UserDeleteArgs),
}

/// Arguments of `doorward user add`.
#[derive(Args, Debug)]
pub struct UserAddArgs {
    /// The username.
    pub username: String,
    /// The e-mail address, with which one can sign in too.
    #[arg(long)]
    pub email: Option<String>,
    /// The role, such as viewer, member or admin.
    #[arg(long, default_value = role::DEFAULT)]
    pub role: String,
    /// Where the password comes from.
    #[command(flatten)]
    pub password: PasswordArgs,
    /// Text or JSON.
    #[command(flatten)]
    pub format: Format,
}

/// Arguments of `doorward user list`.
#[derive(Args, Debug)]
pub struct UserListArgs {
    /// Only those with this in their username or e-mail address.
    #[arg(long, short)]
    pub query: Option<String>,
    /// Only those of this role.
    #[arg(long)]
    pub role: Option<String>,
    /// Only those of this status.
    #[arg(long)]
    pub status: Option<StatusArg>,
    /// At most as many; all when not given.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Text or JSON.
    #[command(flatten)]
    pub format: Format,
}

/// A user's status, as the command line has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StatusArg {
    /// Let in.
    Active,
    /// Let in no more.
    Disabled,
}

/// Arguments of the commands that take a user and nothing else.
#[derive(Args, Debug)]
pub struct OneUserArgs {
    /// The username, e-mail address or id.
    pub user: String,
    /// Text or JSON.
    #[command(flatten)]
    pub format: Format,
}

/// Arguments of `doorward user disable`.
#[derive(Args, Debug)]
pub struct UserDisableArgs {
    /// The username, e-mail address or id.
    pub user: String,
    /// End every session too, so that enabling the user does not bring it back.
    #[arg(long)]
    pub end_sessions: bool,
    /// Text or JSON.
    #[command(flatten)]
    pub format: Format,
}

/// Arguments of `doorward user set-role`.
#[derive(Args, Debug)]
pub struct UserSetRoleArgs {
    /// The username, e-mail address or id.
    pub user: String,
    /// The role, such as viewer, member or admin.
    pub role: String,
    /// Text or JSON.
    #[command(flatten)]
    pub format: Format,
}

/// Arguments of `doorward user set-password`.
#[derive(Args, Debug)]
pub struct UserSetPasswordArgs {
    /// The username, e-mail address or id.
    pub user: String,
    /// Where the password comes from.
    #[command(flatten)]
    pub password: PasswordArgs,
    /// Leave the user's personal tokens good.
    #[arg(long)]
    pub keep_tokens: bool,
    /// Text or JSON.
    #[command(flatten)]
    pub format: Format,
}

/// Arguments of `doorward user delete`.
#[derive(Args, Debug)]
pub struct UserDeleteArgs {
    /// The username, e-mail address or id.
    pub user: String,
    /// The answer, given beforehand.
    #[command(flatten)]
    pub confirmation: Confirmation,
    /// Text or JSON.
    #[command(flatten)]
    pub format: Format,
}

/// The number of rows that a list fetches at a time.
const BATCH: i64 = 500;

/// A user in the list.
#[derive(Serialize)]
struct Row {
    id: Uuid,
    username: String,
    email: Option<String>,
    role: String,
    status: String,
    created_at: String,
    last_login_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sessions: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sign_in_waits_until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sessions_ended: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_revoked: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

impl From<User> for Row {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            username: user.username,
            email: user.email,
            role: user.role,
            status: user.status.to_string(),
            created_at: time(user.created_at),
            last_login_at: user.last_login_at.map(time),
            sessions: None,
            sign_in_waits_until: None,
            sessions_ended: None,
            tokens_revoked: None,
            password: None,
        }
    }
}

/// Formats a time for the output of commands.
pub(super) fn time(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}

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

/// Finds a user by id, username or e-mail address.
pub(super) fn find(connection: &mut Connection, named: &str) -> Result<User, Failure> {
    let by_name = |connection: &mut Connection| -> Result<Option<User>, QueryError> {
        fold_typed(named).map_or(Ok(None), |_| user::find_by_name(connection, named))
    };
    let by_id = Uuid::parse_str(named).ok().map(|id| user::find(connection, id)).transpose()?.flatten();
    // A username may look like an id.
    let found = match by_id {
        Some(user) => Some(user),
        None => by_name(connection)?,
    };
    found.ok_or_else(|| Failure::new(format!("there is no user {named}")))
}

fn add(connection: &mut Connection, settings: &Settings, args: &UserAddArgs) -> Result<(), Failure> {
    let wrong = |what: &str, error: &dyn std::fmt::Display| Failure::new(format!("the {what} {error}"));
    let username = Username::parse_new(&args.username).map_err(|flaw| wrong("username", &flaw))?;
    let email = args.email.as_deref().map(EmailAddress::parse).transpose();
    let email = email.map_err(|flaw| wrong("e-mail address", &flaw))?;
    let (plain, made) = obtain(args.password, settings)?;
    let names: Vec<&str> =
        [Some(username.as_str()), email.as_ref().map(EmailAddress::as_str)].into_iter().flatten().collect();
    refuse_flaws(settings, &plain, &names)?;
    let password_hash = Some(hash(&plain, settings)?);
    let new = NewUser { username, email, password_hash, role: args.role.clone() };
    let inserted = transaction(connection, |connection| {
        user::insert(connection, &new, &Authority::Unlimited, &Origin::command_line())
    });
    match inserted? {
        Insertion::Inserted(user) => {
            let mut line = format!("{} was made, with the role {}.", user.username, user.role);
            if let Some(password) = &made {
                line += &format!(" The password is {} (shown this once).", password.expose());
            }
            let row = Row { password: made.map(|made| made.expose().to_owned()), ..Row::from(user) };
            Output::stdout(args.format).result(&row, &line)
        }
        Insertion::NameTaken(taken) => Err(name_taken(taken)),
        Insertion::UnknownRole | Insertion::Denied(_) => Err(unknown_role(&args.role)),
    }
}

fn obtain(args: PasswordArgs, settings: &Settings) -> Result<(PlainPassword, Option<Secret>), Failure> {
    Ok(match args.obtain(settings.password_min_length)? {
        NewPassword::Given(password) => (PlainPassword::new(password.expose()), None),
        NewPassword::Made(password) => (PlainPassword::new(password.expose()), Some(password)),
    })
}

fn refuse_flaws(settings: &Settings, plain: &PlainPassword, names: &[&str]) -> Result<(), Failure> {
    let flaws = password_policy(settings).flaws(plain, names);
    let lines: Vec<String> = flaws.iter().map(|flaw| format!("the password is refused: {flaw}")).collect();
    if lines.is_empty() { Ok(()) } else { Err(Failure::Wrong(lines)) }
}

fn name_taken(taken: NameTaken) -> Failure {
    let which = match taken {
        NameTaken::Username => "username",
        NameTaken::Email => "e-mail address",
    };
    Failure::new(format!("the {which} is taken already, as a username or an address"))
}

fn unknown_role(role: &str) -> Failure {
    Failure::new(format!("there is no role {role}; the built-in ones are viewer, member and admin"))
}

fn list(connection: &mut Connection, args: &UserListArgs) -> Result<(), Failure> {
    let status = args.status.map(|status| match status {
        StatusArg::Active => UserStatus::Active,
        StatusArg::Disabled => UserStatus::Disabled,
    });
    let typed = args.query.as_deref().filter(|q| !q.is_empty());
    let q = typed.and_then(fold_typed);
    // No name matches text that cannot be folded.
    let is_nobodys = typed.is_some() && q.is_none();
    let mut filter = Filter { q, role: args.role.clone(), status, before: None };
    let most = if is_nobodys { 0 } else { args.limit.map_or(usize::MAX, |limit| limit as usize) };
    let mut rows: Vec<Row> = Vec::new();
    while rows.len() < most {
        let batch = user::list(connection, &filter, BATCH)?;
        let Some(last) = batch.last() else { break };
        filter.before = Some(last.id);
        rows.extend(batch.into_iter().map(Row::from));
    }
    rows.truncate(most);
    let mut output = Output::stdout(args.format);
    if rows.is_empty() && !output.is_json() {
        return output.line("There is no such user.");
    }
    output.list(&rows, ["username", "e-mail", "role", "status", "last sign-in", "id"], |row| {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let (email, signed_in) = (or_dash(&row.email), or_dash(&row.last_login_at));
        [row.username.clone(), email, row.role.clone(), row.status.clone(), signed_in, row.id.to_string()]
    })
}

fn show(connection: &mut Connection, args: &OneUserArgs) -> Result<(), Failure> {
    let user = find(connection, &args.user)?;
    let sessions = session::list(connection, user.id)?.len();
    let waits_until = counters::find_wait(connection, user.id, &folded_names(&user))?.map(time);
    let row = Row { sessions: Some(sessions), sign_in_waits_until: waits_until, ..Row::from(user) };
    let waits = row.sign_in_waits_until.as_ref().map_or(String::new(), |until| {
        format!("; too many wrong passwords were given, the next sign-in is taken at {until}")
    });
    let line = format!(
        "{} ({}), {}, {}; made {}, last sign-in {}; {sessions} live sessions{waits}; id {}",
        row.username,
        row.email.as_deref().unwrap_or("no e-mail address"),
        row.role,
        row.status,
        row.created_at,
        row.last_login_at.as_deref().unwrap_or("never"),
        row.id
    );
    Output::stdout(args.format).result(&row, &line)
}

/// Returns the names that the user can sign in with.
fn folded_names(user: &User) -> Vec<String> {
    [Some(user.username.as_str()), user.email.as_deref()]
        .into_iter()
        .flatten()
        .filter_map(fold_typed)
        .collect()
}

fn unlock(connection: &mut Connection, args: &OneUserArgs) -> Result<(), Failure> {
    let user = find(connection, &args.user)?;
    let names = folded_names(&user);
    let cleared = transaction(connection, |connection| {
        let cleared = counters::clear(connection, user.id, &names)?;
        if cleared {
            let subject = Subject { id: Some(user.id), name: Some(&user.username) };
            let origin = Origin::command_line();
            event::insert(connection, &origin, EventType::UserUnlocked, subject, &serde_json::json!({}))?;
        }
        Ok(cleared)
    })?;
    let line = match cleared {
        true => format!(
            "What was counted against {} is forgotten; the next sign-in waits no more.",
            user.username
        ),
        false => format!("Nothing was counted against {}.", user.username),
    };
    Output::stdout(args.format)
        .result(&serde_json::json!({ "username": user.username, "unlocked": cleared }), &line)
}

fn disable(connection: &mut Connection, args: &UserDisableArgs) -> Result<(), Failure> {
    let id = find(connection, &args.user)?.id;
    let (change, ended) = transaction(connection, |connection| {
        let (authority, origin) = (Authority::Unlimited, Origin::command_line());
        change::disable(connection, id, args.end_sessions, &authority, &origin)
    })?;
    let user = done(change, &args.user, "")?;
    let left = if args.end_sessions {
        format!("{ended} sessions have ended; enabling the account brings back its personal tokens")
    } else {
        "Enabling the account brings back its sessions and personal tokens".to_owned()
    };
    let line = format!(
        "{} is now {}. {left}, as far as these have neither ended nor expired.",
        user.username, user.status
    );
    let row = Row { sessions_ended: args.end_sessions.then_some(ended), ..Row::from(user) };
    Output::stdout(args.format).result(&row, &line)
}

fn change_one(
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
            let why = "is the last active admin, who can be neither disabled, demoted nor deleted";
            Err(Failure::new(format!("{named} {why}: make another one first")))
        }
        ChangeOutcome::NameTaken(taken) => Err(name_taken(taken)),
        ChangeOutcome::NameRefused(flaw) => Err(Failure::new(format!("the username {flaw}"))),
        ChangeOutcome::UnknownRole | ChangeOutcome::Denied(_) => Err(unknown_role(role)),
        ChangeOutcome::NotFound | ChangeOutcome::Stale(_) => {
            Err(Failure::new(format!("there is no user {named}")))
        }
    }
}

fn set_password(
    connection: &mut Connection,
    settings: &Settings,
    args: &UserSetPasswordArgs,
) -> Result<(), Failure> {
    let user = find(connection, &args.user)?;
    let (plain, made) = obtain(args.password, settings)?;
    let names: Vec<&str> =
        [Some(user.username.as_str()), user.email.as_deref()].into_iter().flatten().collect();
    refuse_flaws(settings, &plain, &names)?;
    let hash = hash(&plain, settings)?;
    let set = transaction(connection, |connection| {
        let (authority, origin) = (Authority::Unlimited, Origin::command_line());
        set_password::reset(connection, user.id, &hash, !args.keep_tokens, &authority, &origin)
    });
    let Setting::Done((user, ended)) = set? else {
        return Err(Failure::new(format!("there is no user {}", args.user)));
    };
    let tokens = match ended.tokens {
        Some(revoked) => format!("{revoked} personal tokens are revoked"),
        None => "its personal tokens are still good".to_owned(),
    };
    let mut line =
        format!("{} has another password; {} sessions have ended, {tokens}.", user.username, ended.sessions);
    if let Some(password) = &made {
        line += &format!(" It is {} (shown this once).", password.expose());
    }
    let row = Row {
        sessions_ended: Some(ended.sessions),
        tokens_revoked: ended.tokens,
        password: made.map(|made| made.expose().to_owned()),
        ..Row::from(user)
    };
    Output::stdout(args.format).result(&row, &line)
}

fn logout(connection: &mut Connection, args: &OneUserArgs) -> Result<(), Failure> {
    let user = find(connection, &args.user)?;
    let ended = transaction(connection, |connection| {
        end_sessions(connection, &Which::AllOf(user.id), EndReason::EndedByAdmin, &Origin::command_line())
    });
    let ended = ended?.len();
    let line = format!("{ended} sessions of {} have ended.", user.username);
    Output::stdout(args.format)
        .result(&serde_json::json!({ "username": user.username, "ended": ended }), &line)
}

fn delete(connection: &mut Connection, args: &UserDeleteArgs) -> Result<(), Failure> {
    let user = find(connection, &args.user)?;
    let what = format!("this deletes {} with all notes, sessions and tokens", user.username);
    args.confirmation.ask(&what)?;
    let deleted = transaction(connection, |connection| {
        change::delete(connection, user.id, |_| true, &Authority::Unlimited, &Origin::command_line())
    });
    let user = done(deleted?, &args.user, "")?;
    let line = format!("{} is deleted.", user.username);
    Output::stdout(args.format).result(&Row::from(user), &line)
}

fn hash(plain: &PlainPassword, settings: &Settings) -> Result<PasswordHash, Failure> {
    PasswordHash::new(plain, settings.bcrypt_cost).map_err(|error| Failure::new(error.to_string()))
}
