//! Finds, shows and lists users.

use uuid::Uuid;

use super::args::{OneUserArgs, StatusArg, UserListArgs};
use super::row::Row;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::clock::rfc3339 as time;
use crate::database::{Connection, QueryError};
use crate::limits::counters;
use crate::sessions::session;
use crate::tokens::owner::UserStatus;
use crate::users::name::fold_typed;
use crate::users::user::{self, User, UserFilter};

/// The number of rows that a list fetches at a time.
const BATCH: i64 = 500;

/// Finds a user by ID, username or e-mail address.
pub(in crate::cli) fn find(connection: &mut Connection, named: &str) -> Result<User, Failure> {
    let by_name = |connection: &mut Connection| -> Result<Option<User>, QueryError> {
        fold_typed(named).map_or(Ok(None), |_| user::find_by_name(connection, named))
    };
    let by_id = Uuid::parse_str(named).ok().map(|id| user::find(connection, id)).transpose()?.flatten();
    // A username may look like an ID.
    let found = match by_id {
        Some(user) => Some(user),
        None => by_name(connection)?,
    };
    found.ok_or_else(|| Failure::new(format!("there is no user {named}")))
}

pub(super) fn list(connection: &mut Connection, args: &UserListArgs) -> Result<(), Failure> {
    let status = args.status.map(|status| match status {
        StatusArg::Active => UserStatus::Active,
        StatusArg::Disabled => UserStatus::Disabled,
    });
    let typed = args.query.as_deref().filter(|q| !q.is_empty());
    let q = typed.and_then(fold_typed);
    // No name matches text that cannot be folded.
    let is_nobodys = typed.is_some() && q.is_none();
    let mut filter = UserFilter { q, role: args.role.clone(), status, before: None };
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
        return output.line("There are no such users.");
    }
    output.list(&rows, ["username", "e-mail", "role", "status", "last sign-in", "id"], |row| {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let (email, signed_in) = (or_dash(&row.email), or_dash(&row.last_login_at));
        [row.username.clone(), email, row.role.clone(), row.status.clone(), signed_in, row.id.to_string()]
    })
}

pub(super) fn show(connection: &mut Connection, args: &OneUserArgs) -> Result<(), Failure> {
    let user = find(connection, &args.user)?;
    let sessions = session::list(connection, user.id)?.len();
    let waits_until = counters::find_wait(connection, user.id, &folded_names(&user))?.map(time);
    let row = Row { sessions: Some(sessions), sign_in_waits_until: waits_until, ..Row::from(user) };
    let waits = row.sign_in_waits_until.as_ref().map_or(String::new(), |until| {
        format!("; after too many wrong passwords, the next sign-in is possible at {until}")
    });
    let line = format!(
        "{} ({}), {}, {}; created {}, last sign-in {}; {sessions} active sessions{waits}; id {}",
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
pub(super) fn folded_names(user: &User) -> Vec<String> {
    [Some(user.username.as_str()), user.email.as_deref()]
        .into_iter()
        .flatten()
        .filter_map(fold_typed)
        .collect()
}
