//! Classifies database failures: the database is unavailable, other transactions interfered, or a statement
//! is wrong.

use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind};

use crate::blocking::BlockingError;
pub use diesel::result::Error as QueryError;

/// Why the database gave no answer. No variant says anything about the caller's credentials.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Too many calls wait already.
    #[error("too many calls wait for the database")]
    Overloaded,
    /// The database cannot be reached, does not answer in time, or cannot write.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// An expensive read exceeded its timeout. See [`super::Database::search`].
    #[error("the search took too long")]
    TooExpensive,
    /// A statement failed. This is a server error.
    #[error("a statement failed: {}", describe(.0))]
    Statement(QueryError),
}

impl From<BlockingError> for DatabaseError {
    fn from(error: BlockingError) -> Self {
        match error {
            BlockingError::QueueFull(_) => Self::Overloaded,
            BlockingError::DeadlinePassed(_) => Self::Unavailable("no answer in time".into()),
            BlockingError::Panicked(_) => {
                Self::Statement(QueryError::QueryBuilderError("the query's thread panicked".into()))
            }
        }
    }
}

impl From<QueryError> for DatabaseError {
    fn from(error: QueryError) -> Self {
        match &error {
            QueryError::DatabaseError(DatabaseErrorKind::Unknown, info) if is_deadlock(info.as_ref()) => {
                Self::Unavailable(DEADLOCK.to_owned())
            }
            QueryError::DatabaseError(kind, info) if is_unavailability(kind, info.message()) => {
                Self::Unavailable(info.message().to_owned())
            }
            QueryError::BrokenTransactionManager => Self::Unavailable(error.to_string()),
            _ => Self::Statement(error),
        }
    }
}

/// Returns PostgreSQL's message. Appends a remedy if the message is typical of a pooler that hands out
/// connections by transaction. Behind one, a statement that was prepared on one connection does not exist on
/// the next.
#[must_use]
pub fn describe(error: &QueryError) -> String {
    let said = error.to_string();
    let is_of_pooler = said.contains("prepared statement")
        && ["does not exist", "already exists"].iter().any(|end| said.contains(end));
    if is_of_pooler {
        format!(
            "{said}: a pooler hands out connections by transaction. Give DATABASE_URL a direct address or \
             the pooler's session mode, or set max_prepared_statements in PgBouncer (1.21 or later)"
        )
    } else {
        said
    }
}

const DEADLOCK: &str = "deadlock detected";
/// PostgreSQL's words for a statement that it canceled because of locks held by others, or because of its
/// timeout.
const BROKEN_OFF: [&str; 2] = ["canceling statement due to", DEADLOCK];
/// Words in the details of a deadlock that are the same in every language. They name the locks that were
/// waited for.
const LOCKS: [&str; 2] = ["ShareLock", "ExclusiveLock"];

/// Returns whether PostgreSQL canceled the statement because of locks or a timeout.
pub(super) fn is_broken_off(message: &str) -> bool {
    BROKEN_OFF.iter().any(|words| message.contains(words))
}

fn is_deadlock(info: &dyn DatabaseErrorInformation) -> bool {
    let names_locks = |details: &str| LOCKS.iter().any(|lock| details.contains(lock));
    info.message().contains(DEADLOCK) || info.details().is_some_and(names_locks)
}

/// Returns whether the error means that the database is unavailable. diesel passes on no SQLSTATE, so errors
/// without a diesel kind are recognized by PostgreSQL's words.
fn is_unavailability(kind: &DatabaseErrorKind, message: &str) -> bool {
    const WORDS: [&str; 11] = [
        "terminating connection",
        "server closed the connection",
        "connection to server",
        "could not connect",
        "no connection to the server",
        "could not receive data",
        "could not send data",
        "the database system is",
        "No space left on device",
        "could not extend file",
        "remaining connection slots",
    ];
    matches!(
        kind,
        DatabaseErrorKind::ClosedConnection
            | DatabaseErrorKind::UnableToSendCommand
            | DatabaseErrorKind::ReadOnlyTransaction
            | DatabaseErrorKind::SerializationFailure
    ) || is_broken_off(message)
        || WORDS.iter().any(|words| message.contains(words))
}

/// Returns whether other transactions made this one fail, so that a retry may succeed.
pub(super) fn is_worth_another_try(error: &QueryError) -> bool {
    match error {
        QueryError::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => true,
        QueryError::DatabaseError(DatabaseErrorKind::Unknown, info) => is_deadlock(info.as_ref()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conflicts_and_timeouts_are_not_statement_errors() {
        let error = |kind, words: &str| QueryError::DatabaseError(kind, Box::new(words.to_owned())).into();
        for error in [
            error(DatabaseErrorKind::Unknown, "deadlock detected"),
            error(DatabaseErrorKind::SerializationFailure, "could not serialize access"),
            error(DatabaseErrorKind::Unknown, "canceling statement due to lock timeout"),
        ] {
            assert!(matches!(error, DatabaseError::Unavailable(_)), "{error}");
        }
        let ours = error(DatabaseErrorKind::Unknown, "division by zero");
        assert!(matches!(ours, DatabaseError::Statement(_)), "{ours}");
    }

    #[test]
    fn transaction_pooling_is_detected_from_its_errors() {
        let error =
            |words: &str| QueryError::DatabaseError(DatabaseErrorKind::Unknown, Box::new(words.to_owned()));
        for words in [
            "prepared statement \"__diesel_stmt_0\" does not exist",
            "prepared statement \"__diesel_stmt_0\" already exists",
        ] {
            assert!(describe(&error(words)).contains("session mode"), "{words}");
            assert!(DatabaseError::from(error(words)).to_string().contains("session mode"), "{words}");
        }
        assert_eq!(
            describe(&error("relation \"users\" does not exist")),
            "relation \"users\" does not exist"
        );
    }

    /// A deadlock reported in German.
    struct GermanDeadlock;

    impl DatabaseErrorInformation for GermanDeadlock {
        fn message(&self) -> &str {
            "Verklemmung (Deadlock) entdeckt"
        }
        fn details(&self) -> Option<&str> {
            Some(
                "Prozess 7 wartet auf ShareLock-Sperre auf Transaktion 71; blockiert von Prozess 8.\n\
                 Prozess 8 wartet auf ExclusiveLock-Sperre auf Tupel (0,1) der Relation 16; blockiert von Prozess 7.",
            )
        }
        fn hint(&self) -> Option<&str> {
            None
        }
        fn table_name(&self) -> Option<&str> {
            None
        }
        fn column_name(&self) -> Option<&str> {
            None
        }
        fn constraint_name(&self) -> Option<&str> {
            None
        }
        fn statement_position(&self) -> Option<i32> {
            None
        }
    }

    #[test]
    fn deadlock_is_detected_in_every_language() {
        let error = || QueryError::DatabaseError(DatabaseErrorKind::Unknown, Box::new(GermanDeadlock));
        assert!(is_worth_another_try(&error()));
        let DatabaseError::Unavailable(why) = error().into() else { panic!("a fault of others") };
        assert!(is_broken_off(&why), "{why}");
    }
}
