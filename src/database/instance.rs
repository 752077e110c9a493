//! The row that stands for the installation: by its check value a start with the wrong secret key is noticed.

use diesel::prelude::*;
use diesel::sql_types::Text;

use super::schema::instance;

/// The stored check value; `None`: no server has started on this database yet.
///
/// # Errors
/// PostgreSQL's.
pub fn find_check_value(connection: &mut PgConnection) -> QueryResult<Option<Vec<u8>>> {
    instance::table.select(instance::check_value).first(connection).optional()
}

/// Stores the check value of a new installation; of two that start at once the first stays.
///
/// # Errors
/// PostgreSQL's.
pub fn insert_check_value(connection: &mut PgConnection, check_value: &[u8]) -> QueryResult<()> {
    diesel::insert_into(instance::table)
        .values(instance::check_value.eq(check_value))
        .on_conflict_do_nothing()
        .execute(connection)
        .map(|_| ())
}

/// Replaces the check value, when the secret key changes.
///
/// # Errors
/// PostgreSQL's.
pub fn update_check_value(connection: &mut PgConnection, check_value: &[u8]) -> QueryResult<()> {
    diesel::update(instance::table).set(instance::check_value.eq(check_value)).execute(connection).map(|_| ())
}

/// The sealed key that signs session cookies; `None`: no server has made it yet.
///
/// # Errors
/// PostgreSQL's.
pub fn find_cookie_key(connection: &mut PgConnection) -> QueryResult<Option<Vec<u8>>> {
    instance::table.select(instance::sealed_cookie_key).first(connection).optional().map(Option::flatten)
}

/// Stores the cookie key; of two that start at once the first stays.
///
/// # Errors
/// PostgreSQL's.
pub fn insert_cookie_key(connection: &mut PgConnection, sealed: &[u8]) -> QueryResult<()> {
    diesel::update(instance::table.filter(instance::sealed_cookie_key.is_null()))
        .set(instance::sealed_cookie_key.eq(sealed))
        .execute(connection)
        .map(|_| ())
}

/// Replaces the cookie key's seal, when the secret key changes.
///
/// # Errors
/// PostgreSQL's.
pub fn update_cookie_key(connection: &mut PgConnection, sealed: &[u8]) -> QueryResult<()> {
    diesel::update(instance::table)
        .set(instance::sealed_cookie_key.eq(sealed))
        .execute(connection)
        .map(|_| ())
}

#[derive(QueryableByName)]
struct Setting {
    #[diesel(sql_type = Text)]
    lc_messages: String,
}

/// Tells the log where PostgreSQL may say what failed in another language than English: diesel hands on no SQLSTATE, so that
/// a lock that others held too long, or a server that stops, is then taken for a fault of ours. Only a superuser may set it.
pub fn warn_of_foreign_messages(connection: &mut PgConnection) {
    let found =
        diesel::sql_query("SELECT current_setting('lc_messages') AS lc_messages").get_result(connection);
    if let Ok(Setting { lc_messages }) = found
        && !is_english(&lc_messages)
    {
        tracing::warn!(
            lc_messages,
            "PostgreSQL's messages are not in English, so that some of its failures are answered with a 500 in place of a \
             503: have a superuser run ALTER DATABASE … SET lc_messages = 'C'"
        );
    }
}

fn is_english(lc_messages: &str) -> bool {
    let language = lc_messages.split(['_', '.', '@']).next().unwrap_or_default();
    ["C", "POSIX", "en", "English"].contains(&language)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn english_is_told_from_other_languages() {
        for english in ["C", "POSIX", "C.UTF-8", "en_US.utf8", "en_GB", "English_United States.1252"] {
            assert!(is_english(english), "{english}");
        }
        for other in ["de_DE.UTF-8", "ca_ES@valencia", "eno", ""] {
            assert!(!is_english(other), "{other}");
        }
    }
}
