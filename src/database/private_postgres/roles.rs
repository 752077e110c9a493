//! The roles of the private PostgreSQL: the superuser that initdb made, which starts and upgrades it, and the owner of
//! doorward's database, as which the server and its commands connect. The owner has no right beyond that database.

use diesel::connection::SimpleConnection;
use diesel::sql_types::Bool;
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl};

/// The superuser, as initdb names it. PostgreSQL lets nobody demote this one.
pub(super) const SUPERUSER: &str = "doorward";
/// The owner of the database.
pub(super) const OWNER: &str = "doorward_server";
/// The database.
pub(super) const DATABASE: &str = "doorward";

/// Only PostgreSQL's own names are looked up, since the owner of the database could have put others before them. A
/// statement that fails is not logged, since one of them has a password.
const SUPERUSER_SETTINGS: &str = "SET search_path = pg_catalog, pg_temp; SET log_min_error_statement = panic; \
                                  SET log_statement = none; SET log_min_duration_statement = -1; \
                                  SET statement_timeout = 0; SET client_min_messages = warning";

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Bool)]
    answer: bool,
}

/// Connects as the superuser.
///
/// # Errors
/// PostgreSQL's.
pub(super) fn connect_superuser(url: &str) -> Result<PgConnection, String> {
    let mut connection = PgConnection::establish(url).map_err(|error| error.to_string())?;
    connection.batch_execute(SUPERUSER_SETTINGS).map_err(|error| error.to_string())?;
    Ok(connection)
}

/// Returns true if the owner connects with this URL, has no further right, and owns the database and all in it.
pub(super) fn is_in_order(owner_url: &str) -> bool {
    let Ok(mut connection) = PgConnection::establish(owner_url) else { return false };
    let in_order = ask(
        &mut connection,
        "SELECT NOT (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls) \
         AND datdba = pg_roles.oid \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_auth_members WHERE member = pg_roles.oid) \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace \
             WHERE nspname = 'public' AND relkind IN ('r', 'p', 'v', 'm', 'S') AND relowner <> pg_roles.oid \
             AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass \
                 AND d.objid = c.oid AND d.deptype = 'e')) AS answer \
         FROM pg_catalog.pg_roles, pg_catalog.pg_database WHERE rolname = current_user AND datname = current_database()",
    );
    in_order.unwrap_or(false)
}

/// Creates the owner and the database if they are missing, and takes every further right from the owner.
///
/// # Errors
/// PostgreSQL's.
pub(super) fn create_owner_and_database(
    connection: &mut PgConnection,
    password: &str,
) -> diesel::QueryResult<()> {
    let role = format!("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = '{OWNER}') AS answer");
    if !ask(connection, &role)? {
        connection.batch_execute(&format!("CREATE ROLE {OWNER}"))?;
    }
    // Whoever has written a password of their own into its file may have used these two.
    let password = password.replace('\\', r"\\").replace('\'', r"\'");
    connection.batch_execute(&format!(
        "ALTER ROLE {OWNER} LOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS PASSWORD E'{password}'"
    ))?;
    // Nobody else has anything to do there.
    connection.batch_execute("REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC")?;
    let database = format!("SELECT EXISTS (SELECT FROM pg_database WHERE datname = '{DATABASE}') AS answer");
    if ask(connection, &database)? {
        connection.batch_execute(&format!("ALTER DATABASE {DATABASE} OWNER TO {OWNER}"))
    } else {
        connection.batch_execute(&format!("CREATE DATABASE {DATABASE} OWNER {OWNER}"))
    }
}

/// Gives the owner what the superuser has in doorward's database: servers connected as the superuser before. Runs on a
/// connection to that database.
///
/// # Errors
/// PostgreSQL's.
pub(super) fn hand_over(connection: &mut PgConnection) -> diesel::QueryResult<()> {
    connection.batch_execute(&include_str!("hand_over.sql").replace("{owner}", OWNER))
}

fn ask(connection: &mut PgConnection, question: &str) -> diesel::QueryResult<bool> {
    diesel::sql_query(question).get_result::<Answer>(connection).map(|found| found.answer)
}
