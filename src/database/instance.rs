//! The row of the installation. Its check value detects a start with a wrong secret key.

use diesel::prelude::*;
use diesel::sql_types::Text;

use super::schema::instance;

/// Returns the stored check value, or `None` if no server has started on this database yet.
pub(crate) fn find_check_value(connection: &mut PgConnection) -> QueryResult<Option<Vec<u8>>> {
    instance::table.select(instance::check_value).first(connection).optional()
}

/// Stores the check value of a new installation. If two servers start at once, the first value is kept.
pub(crate) fn insert_check_value(connection: &mut PgConnection, check_value: &[u8]) -> QueryResult<()> {
    diesel::insert_into(instance::table)
        .values(instance::check_value.eq(check_value))
        .on_conflict_do_nothing()
        .execute(connection)
        .map(|_| ())
}

/// Replaces the check value when the secret key changes.
pub(crate) fn update_check_value(connection: &mut PgConnection, check_value: &[u8]) -> QueryResult<()> {
    diesel::update(instance::table).set(instance::check_value.eq(check_value)).execute(connection).map(|_| ())
}

/// Returns the sealed key that signs session cookies, or `None` if no server has created it yet.
pub(crate) fn find_cookie_key(connection: &mut PgConnection) -> QueryResult<Option<Vec<u8>>> {
    instance::table.select(instance::sealed_cookie_key).first(connection).optional().map(Option::flatten)
}

/// Stores the cookie key. If two servers start at once, the first key is kept.
pub(crate) fn insert_cookie_key(connection: &mut PgConnection, sealed: &[u8]) -> QueryResult<()> {
    diesel::update(instance::table.filter(instance::sealed_cookie_key.is_null()))
        .set(instance::sealed_cookie_key.eq(sealed))
        .execute(connection)
        .map(|_| ())
}

/// Replaces the sealed cookie key when the secret key changes.
pub(crate) fn update_cookie_key(connection: &mut PgConnection, sealed: &[u8]) -> QueryResult<()> {
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

/// Logs a warning if PostgreSQL's messages are not in English. diesel passes on no SQLSTATE, so a lock held
/// too long by others or a server shutdown then counts as a server error. Only a superuser may change
/// `lc_messages`.
pub(crate) fn warn_of_foreign_messages(connection: &mut PgConnection) {
    let found =
        diesel::sql_query("SELECT current_setting('lc_messages') AS lc_messages").get_result(connection);
    if let Ok(Setting { lc_messages }) = found
        && !is_english(&lc_messages)
    {
        tracing::warn!(
            lc_messages,
            "PostgreSQL's messages are not in English, so some of its failures are answered with 500 instead \
             of 503: have a superuser run ALTER DATABASE … SET lc_messages = 'C'"
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
    fn english_locale_is_distinguished_from_others() {
        for english in ["C", "POSIX", "C.UTF-8", "en_US.utf8", "en_GB", "English_United States.1252"] {
            assert!(is_english(english), "{english}");
        }
        for other in ["de_DE.UTF-8", "ca_ES@valencia", "eno", ""] {
            assert!(!is_english(other), "{other}");
        }
    }
}
