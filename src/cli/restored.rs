//! `doorward restored`: ends again everything that a restore or failover of the database may have brought
//! back.

use chrono::{DateTime, Utc};
use clap::Args;
use serde::Serialize;

use super::confirmation::Confirmation;
use super::context::Context;
use super::database::DatabaseAccess;
use super::failure::Failure;
use super::output::{Format, Output};
use crate::app;
use crate::app::start::check_secret_keys;
use crate::audit::{EventDetails, Origin, Subject, event};
use crate::clock::rfc3339 as time;
use crate::config::Settings;
use crate::database::{Connection, QueryError, find_time, transaction, without_timeout};
use crate::secret_key::SecretKeys;
use crate::sessions::{self, EndReason, end_sessions, find_unended};
use crate::tokens::owner::UserStatus;
use crate::tokens::personal_token::{self, RevokeReason};
use crate::tokens::private_key::PrivateKey;
use crate::tokens::revocation::{self, Revocation};
use crate::tokens::signing_key;
use crate::users::role;
use crate::users::set_password::{consume_every_link, find_open_links};
use crate::users::user::{self, UserFilter};

const EXAMPLES: &str = "\
Examples:
  doorward restored --dry-run
  doorward restored --yes                                the database is a snapshot that no one has used yet
  doorward restored --since 2026-11-25T20:14:03Z --yes   a standby that lacked the last second was promoted at that time";

/// The maximum number of accounts that are named. `doorward user list` shows the others.
const NAMED: usize = 20;

/// Arguments of `doorward restored`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct RestoredArgs {
    /// The time at which the database was reset, such as that of the promotion (RFC 3339). Sessions and
    /// tokens created after it are left alone.
    #[arg(long, value_name = "TIME", value_parser = read_time)]
    pub since: Option<DateTime<Utc>>,
    #[command(flatten)]
    pub kept: KeepOptions,
    /// Show what would end, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub confirmation: Confirmation,
    #[command(flatten)]
    pub format: Format,
}

/// The parts that are left as the database has them.
#[derive(Args, Clone, Copy, Debug)]
pub struct KeepOptions {
    /// Keep all sessions, including those that were ended in the lost time.
    #[arg(long)]
    pub keep_sessions: bool,
    /// Keep all personal tokens, including those that were revoked in the lost time.
    #[arg(long)]
    pub keep_personal_tokens: bool,
    /// Keep all signing keys, including those that were revoked in the lost time.
    #[arg(long)]
    pub keep_signing_keys: bool,
}

/// The number of ended items of each kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    sessions: usize,
    personal_tokens: usize,
    signing_keys: usize,
    password_links: usize,
}

/// The items that ended, and what a person must check.
#[derive(Debug, Serialize)]
pub(crate) struct RestoredReport {
    dry_run: bool,
    #[serde(flatten)]
    counts: Counts,
    /// The key that signs from now on, if a new one was needed.
    new_signing_key: Option<String>,
    /// Active accounts that may change other accounts, according to the database.
    powerful: Vec<String>,
}

fn read_time(text: &str) -> Result<DateTime<Utc>, String> {
    let moment = DateTime::parse_from_rfc3339(text)
        .map_err(|error| format!("{error}; write a time like 2026-11-25T20:14:03Z"))?;
    Ok(moment.to_utc())
}

impl RestoredArgs {
    /// Counts the items, asks for confirmation, ends them, and prints what a person must check.
    ///
    /// # Errors
    /// The database cannot be reached, it has another version's schema, or the answer is not `yes`.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let settings = context.settings()?;
        DatabaseAccess::use_for(&settings, |connection| self.act(connection, &settings))
    }

    fn act(&self, connection: &mut Connection, settings: &Settings) -> Result<(), Failure> {
        // Compare with the database's clock, which set the times in the database.
        let now = find_time(connection).map_err(|error| Failure::new(error.to_string()))?;
        if self.since.is_some_and(|since| since > now) {
            return Err(Failure::new(
                "--since is in the future: give the time at which the database was reset",
            ));
        }
        let secret_keys = check_secret_keys(connection, settings);
        let secret_keys = secret_keys.map_err(|error| Failure::new(error.to_string()))?;
        let ended = if self.dry_run {
            let counts = count(connection, self.kept, self.since)?;
            let powerful = list_powerful(connection)?;
            RestoredReport { dry_run: true, counts, new_signing_key: None, powerful }
        } else {
            if !self.confirmation.yes {
                let counts = count(connection, self.kept, self.since)?;
                self.confirmation.ask(&format!("this ends {}", counts.in_words()))?;
            }
            end_restored(connection, settings, &secret_keys, self.kept, self.since)?
        };
        let mut output = Output::stdout(self.format);
        if output.is_json() { output.json(&ended) } else { ended.print(&mut output) }
    }
}

impl Counts {
    fn in_words(&self) -> String {
        format!(
            "{} sessions, {} personal tokens, {} signing keys and {} one-time links",
            self.sessions, self.personal_tokens, self.signing_keys, self.password_links
        )
    }
}

impl RestoredReport {
    /// Prints what has ended, and what a person must check.
    ///
    /// # Errors
    /// Standard output cannot be written, or its reader is gone.
    pub(crate) fn print(&self, output: &mut Output) -> Result<(), Failure> {
        let verb = if self.dry_run { "Would end" } else { "Ended" };
        output.line(&format!("{verb}: {}.", self.counts.in_words()))?;
        if let Some(kid) = &self.new_signing_key {
            output.line(&format!("{kid} signs from now on."))?;
        }
        output.line("Check what else changed in the lost time, which doorward cannot know:")?;
        output.line(
            "- Passwords are the earlier ones. Set new ones if they were changed because others knew them.",
        )?;
        output
            .line("- Accounts that were disabled, demoted or deleted since then are as they were before.")?;
        let (named, more) = (self.powerful.iter().take(NAMED), self.powerful.len().saturating_sub(NAMED));
        let named = named.map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = if more > 0 { format!(" and {more} more (`doorward user list`)") } else { String::new() };
        output.line(&format!("These accounts can change other accounts: {named}{more}."))
    }
}

fn count(
    connection: &mut Connection,
    kept: KeepOptions,
    since: Option<DateTime<Utc>>,
) -> Result<Counts, QueryError> {
    without_timeout(connection)?;
    let counted = |kept: bool, count: Result<usize, QueryError>| if kept { Ok(0) } else { count };
    let found = find_unended(connection, &sessions::SessionSelection::Every(since)).map(|found| found.len());
    let sessions = counted(kept.keep_sessions, found)?;
    let every = personal_token::TokenSelection::Every(since);
    let found = personal_token::find_unrevoked(connection, every).map(|found| found.len());
    let personal_tokens = counted(kept.keep_personal_tokens, found)?;
    let found = signing_key::find_unrevoked(connection, since).map(|found| found.len());
    let signing_keys = counted(kept.keep_signing_keys, found)?;
    let password_links = find_open_links(connection, since)?.len();
    Ok(Counts { sessions, personal_tokens, signing_keys, password_links })
}

/// Ends everything that may have been ended in the lost time, in one transaction. Makes every node clear its
/// cache.
///
/// # Errors
/// PostgreSQL fails, or no signing key can be created. Nothing has ended then.
pub(crate) fn end_restored(
    connection: &mut Connection,
    settings: &Settings,
    secret_keys: &SecretKeys,
    kept: KeepOptions,
    since: Option<DateTime<Utc>>,
) -> Result<RestoredReport, Failure> {
    let private = PrivateKey::generate(app::settings::algorithm(settings));
    let private = private.map_err(|error| Failure::new(error.to_string()))?;
    without_timeout(connection)?;
    let (ended, new_key) = transaction(connection, |connection| {
        revocation::adopt(connection)?;
        let counts = end(connection, kept, since)?;
        let new_key = if counts.signing_keys > 0 {
            match signing_key::may_sign(connection)? {
                true => None,
                false => signing_key::insert(connection, &private, secret_keys, &Origin::command_line())?,
            }
        } else {
            None
        };
        revocation::insert_change(connection, &Revocation::Everything, "database_restored")?;
        note(connection, &counts, since)?;
        Ok((counts, new_key.map(|row| row.kid)))
    })?;
    let powerful = list_powerful(connection)?;
    Ok(RestoredReport { dry_run: false, counts: ended, new_signing_key: new_key, powerful })
}

fn end(
    connection: &mut Connection,
    kept: KeepOptions,
    since: Option<DateTime<Utc>>,
) -> Result<Counts, QueryError> {
    let origin = Origin::command_line();
    let sessions = if kept.keep_sessions {
        0
    } else {
        let every = sessions::SessionSelection::Every(since);
        end_sessions(connection, &every, EndReason::DatabaseRestored, &origin)?.len()
    };
    let personal_tokens = if kept.keep_personal_tokens {
        0
    } else {
        let every = personal_token::TokenSelection::Every(since);
        personal_token::revoke(connection, every, RevokeReason::DatabaseRestored, &origin)?.len()
    };
    let kids = match kept.keep_signing_keys {
        true => Vec::new(),
        false => signing_key::find_unrevoked(connection, since)?,
    };
    for kid in &kids {
        signing_key::revoke(connection, kid, &origin)?;
    }
    let password_links = consume_every_link(connection, since)?;
    Ok(Counts { sessions, personal_tokens, signing_keys: kids.len(), password_links })
}

fn note(
    connection: &mut Connection,
    counts: &Counts,
    since: Option<DateTime<Utc>>,
) -> Result<(), QueryError> {
    let details = EventDetails::DatabaseRestored {
        since: since.map(time),
        sessions_ended: counts.sessions,
        personal_tokens_revoked: counts.personal_tokens,
        signing_keys_revoked: counts.signing_keys,
        password_links_consumed: counts.password_links,
    };
    event::insert(connection, &Origin::command_line(), Subject::none(), &details)
}

/// Lists the users who may change other accounts or the server.
fn list_powerful(connection: &mut Connection) -> Result<Vec<String>, QueryError> {
    let grants = |permissions: &[String]| {
        permissions
            .iter()
            .any(|permission| [role::USERS_WRITE, role::SERVER_WRITE].contains(&permission.as_str()))
    };
    let mut names = Vec::new();
    for (role, _) in role::list(connection)?.into_iter().filter(|(_, permissions)| grants(permissions)) {
        let mut filter =
            UserFilter { role: Some(role), status: Some(UserStatus::Active), ..UserFilter::default() };
        loop {
            let batch = user::list(connection, &filter, 500)?;
            let Some(last) = batch.last() else { break };
            filter.before = Some(last.id);
            names.extend(batch.into_iter().map(|user| user.username));
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_without_a_zone_is_a_usage_error() {
        let expected = read_time("2026-11-25T20:14:03Z").unwrap();
        assert_eq!(read_time("2026-11-25T21:14:03+01:00").unwrap(), expected);
        for wrong in ["2026-11-25T20:14:03", "2026-11-25", "yesterday", ""] {
            assert!(read_time(wrong).unwrap_err().contains("2026-11-25T20:14:03Z"), "{wrong}");
        }
    }
}
