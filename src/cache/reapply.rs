//! Re-applies recent revocations that a restore or failover has lost.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::audit::{EventDetails, Origin, Subject, event};
use crate::database::{Connection, QueryError, lock_until_the_end, transaction};
use crate::secret_key::SecretKeys;
use crate::sessions::{EndReason, SessionSelection, end_sessions};
use crate::tokens::owner::AccountChange;
use crate::tokens::personal_token::{self, RevokeReason};
use crate::tokens::recently_revoked::RecentlyRevoked;
use crate::tokens::revocation::{FeedEvent, Revocation};
use crate::tokens::signing_key;
use crate::users::change;

/// The number of the advisory lock: "repeat" in ASCII. If several nodes know the same revocations, the first
/// one re-applies them.
const LOCK: i64 = 0x7265_7065_6174;

/// The revocations that were re-applied.
#[derive(Debug, Default)]
struct Reapplied {
    sessions: usize,
    personal_tokens: usize,
    signing_keys: usize,
    /// Accounts whose role or status had changed, with a description of the action.
    accounts: BTreeMap<String, &'static str>,
}

/// The lost changes of one account. The last one decides.
struct Account {
    version: i64,
    reason: AccountChange,
    disables: bool,
}

/// Re-applies the revocations that the database has lost, in one transaction. Writes them to the log and the
/// audit log.
///
/// # Errors
/// PostgreSQL's. Then nothing is re-applied.
pub fn reapply_lost(
    connection: &mut Connection,
    recently_revoked: &RecentlyRevoked,
    secret_keys: &SecretKeys,
) -> Result<(), QueryError> {
    if recently_revoked.find_lost(connection)?.is_empty() {
        return Ok(());
    }
    let reapplied = transaction(connection, |connection| {
        lock_until_the_end(connection, LOCK)?;
        let lost = recently_revoked.find_lost(connection)?;
        let reapplied = reapply(connection, &lost)?;
        if reapplied.signing_keys > 0 {
            // The key's successor is lost as well.
            signing_key::insert_where_none_signs(connection, secret_keys, &Origin::server())?;
        }
        if !reapplied.is_nothing() {
            reapplied.record(connection)?;
        }
        Ok(reapplied)
    })?;
    if !reapplied.is_nothing() {
        metrics::counter!("doorward_database_went_back_total").increment(1);
        tracing::error!(
            sessions = reapplied.sessions,
            personal_tokens = reapplied.personal_tokens,
            signing_keys = reapplied.signing_keys,
            accounts = ?reapplied.accounts,
            "the database was reset to an earlier state; this node re-applied the revocations that it knew. Others may \
             be lost: run `doorward restored`, see docs/backups.md"
        );
    }
    Ok(())
}

fn reapply(connection: &mut Connection, lost: &[FeedEvent]) -> Result<Reapplied, QueryError> {
    let origin = Origin::server();
    let mut reapplied = Reapplied::default();
    let mut accounts: BTreeMap<Uuid, Account> = BTreeMap::new();
    for FeedEvent { revoked, reason, .. } in lost {
        match revoked {
            Revocation::Session(id) => {
                let reason = match EndReason::from(reason.as_str()) {
                    EndReason::Unknown(_) => EndReason::DatabaseRestored,
                    known => known,
                };
                reapplied.sessions +=
                    end_sessions(connection, &SessionSelection::These(vec![*id]), reason, &origin)?.len();
            }
            Revocation::PersonalToken(id) => {
                let reason = match RevokeReason::from(reason.as_str()) {
                    RevokeReason::Unknown(_) => RevokeReason::DatabaseRestored,
                    known => known,
                };
                let one = personal_token::TokenSelection::One(*id);
                reapplied.personal_tokens += personal_token::revoke(connection, one, reason, &origin)?.len();
            }
            Revocation::Key(kid) => {
                reapplied.signing_keys += usize::from(signing_key::revoke(connection, kid, &origin)?);
            }
            Revocation::UserBelow(id, version) => {
                let reason = AccountChange::from(reason.as_str());
                let account = accounts.entry(*id).or_insert(Account {
                    version: *version,
                    reason: reason.clone(),
                    disables: false,
                });
                account.version = account.version.max(*version);
                account.disables = match &reason {
                    AccountChange::Disabled | AccountChange::Deleted => true,
                    AccountChange::Enabled => false,
                    AccountChange::RoleChanged | AccountChange::Unknown(_) => account.disables,
                };
                account.reason = reason;
            }
            Revocation::SessionChanged(_) | Revocation::UserChanged(_) | Revocation::Everything => {}
        }
    }
    for (id, Account { version, reason, disables }) in accounts {
        if let Some(username) = change::reapply(connection, id, version, &reason, disables, &origin)? {
            let done = if disables { "disabled" } else { "has the earlier role or status" };
            reapplied.accounts.insert(username, done);
        }
    }
    Ok(reapplied)
}

impl Reapplied {
    fn is_nothing(&self) -> bool {
        self.sessions + self.personal_tokens + self.signing_keys == 0 && self.accounts.is_empty()
    }

    fn record(&self, connection: &mut Connection) -> Result<(), QueryError> {
        let accounts = self.accounts.iter().map(|(name, done)| (name.clone(), (*done).to_owned()));
        let details = EventDetails::DatabaseWentBack {
            sessions_ended: self.sessions,
            personal_tokens_revoked: self.personal_tokens,
            signing_keys_revoked: self.signing_keys,
            accounts: accounts.collect(),
        };
        event::insert(connection, &Origin::server(), Subject::none(), &details)
    }
}
