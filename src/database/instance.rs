//! The row that stands for the installation: by its check value a start with the wrong secret key is noticed.

use diesel::prelude::*;

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
