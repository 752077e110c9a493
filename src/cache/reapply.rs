//! Re-applies recent revocations that a restore or failover has lost.

use std::collections::BTreeMap;

use serde_json::json;
use uuid::Uuid;

use crate::audit::event::{self, EventType, Origin, Subject};
use crate::database::{Connection, QueryError, lock_until_the_end, transaction};
use crate::secret_key::SecretKeys;
use crate::sessions::{EndReason, Which, end_sessions};
use crate::tokens::owner::AccountChange;
use crate::tokens::personal_token::{self, RevokeReason};
use crate::tokens::recent::Recent;
use crate::tokens::revocation::{News, Revoked};
use crate::tokens::signing_key;
use crate::users::change;

/// The number of the advisory lock: "repeat" in ASCII. If several nodes know the same revocations, the first
/// one re-applies them.
const LOCK: i64 = 0x7265_7065_6174;

/// The revocations that were re-applied.
#[derive(Debug, Default)]
struct Repeated {
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
    shuts_out: bool,
}

/// Re-applies the revocations that the database has lost, in one transaction. Writes them to the log and the
/// audit log.
///
/// # Errors
/// PostgreSQL's. Then nothing is re-applied.
pub fn repeat_what_is_lost(
    connection: &mut Connection,
    recent: &Recent,
    secret_keys: &SecretKeys,
) -> Result<(), QueryError> {
    if recent.find_lost(connection)?.is_empty() {
        return Ok(());
    }
    let repeated = transaction(connection, |connection| {
        lock_until_the_end(connection, LOCK)?;
        let lost = recent.find_lost(connection)?;
        let repeated = repeat(connection, &lost)?;
        if repeated.signing_keys > 0 {
            // The key's successor is lost as well.
            signing_key::insert_where_none_signs(connection, secret_keys, &Origin::server())?;
        }
        if !repeated.is_nothing() {
            repeated.note(connection)?;
        }
        Ok(repeated)
    })?;
    if !repeated.is_nothing() {
        metrics::counter!("doorward_database_went_back_total").increment(1);
        tracing::error!(
            sessions = repeated.sessions,
            personal_tokens = repeated.personal_tokens,
            signing_keys = repeated.signing_keys,
            accounts = ?repeated.accounts,
            "the database was reset to an earlier state; this node re-applied the revocations that it knew. Others may \
             be lost: run `doorward restored`, see docs/backups.md"
        );
    }
    Ok(())
}

fn repeat(connection: &mut Connection, lost: &[News]) -> Result<Repeated, QueryError> {
    let origin = Origin::server();
    let mut repeated = Repeated::default();
    let mut accounts: BTreeMap<Uuid, Account> = BTreeMap::new();
    for News { revoked, reason, .. } in lost {
        match revoked {
            Revoked::Session(id) => {
                let reason = match EndReason::from(reason.as_str()) {
                    EndReason::Unknown(_) => EndReason::DatabaseRestored,
                    known => known,
                };
                repeated.sessions +=
                    end_sessions(connection, &Which::These(vec![*id]), reason, &origin)?.len();
            }
            Revoked::PersonalToken(id) => {
                let reason = match RevokeReason::from(reason.as_str()) {
                    RevokeReason::Unknown(_) => RevokeReason::DatabaseRestored,
                    known => known,
                };
                let one = personal_token::Which::One(*id);
                repeated.personal_tokens += personal_token::revoke(connection, one, reason, &origin)?.len();
            }
            Revoked::Key(kid) => {
                repeated.signing_keys += usize::from(signing_key::revoke(connection, kid, &origin)?);
            }
            Revoked::UserBelow(id, version) => {
                let reason = AccountChange::from(reason.as_str());
                let account = accounts.entry(*id).or_insert(Account {
                    version: *version,
                    reason: reason.clone(),
                    shuts_out: false,
                });
                account.version = account.version.max(*version);
                account.shuts_out = match &reason {
                    AccountChange::Disabled | AccountChange::Deleted => true,
                    AccountChange::Enabled => false,
                    AccountChange::RoleChanged | AccountChange::Unknown(_) => account.shuts_out,
                };
                account.reason = reason;
            }
            Revoked::SessionChanged(_) | Revoked::UserChanged(_) | Revoked::Everything => {}
        }
    }
    for (id, Account { version, reason, shuts_out }) in accounts {
        if let Some(username) = change::repeat(connection, id, version, &reason, shuts_out, &origin)? {
            let done = if shuts_out { "disabled" } else { "has the earlier role or status" };
            repeated.accounts.insert(username, done);
        }
    }
    Ok(repeated)
}

impl Repeated {
    fn is_nothing(&self) -> bool {
        self.sessions + self.personal_tokens + self.signing_keys == 0 && self.accounts.is_empty()
    }

    fn note(&self, connection: &mut Connection) -> Result<(), QueryError> {
        let details = json!({
            "sessions_ended": self.sessions,
            "personal_tokens_revoked": self.personal_tokens,
            "signing_keys_revoked": self.signing_keys,
            "accounts": self.accounts,
        });
        event::insert(connection, &Origin::server(), EventType::DatabaseWentBack, Subject::none(), &details)
    }
}
