//! The roles of the private PostgreSQL. The superuser that initdb created starts and upgrades it. The server
//! and its commands connect as the owner of doorward's database, who has no privilege beyond that database.

use diesel::connection::SimpleConnection;
use diesel::sql_types::Bool;
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl};

/// The superuser that initdb created. PostgreSQL does not allow demoting it.
pub(super) const SUPERUSER: &str = "doorward";
/// The role that owns the database. The server connects as this role.
pub(super) const OWNER: &str = "doorward_server";
pub(super) const DATABASE: &str = "doorward";

/// Settings for the superuser's connection. Only PostgreSQL's own names are looked up, since the owner of the
/// database could have created others that take precedence. Failed statements are not logged, because one of
/// them contains a password.
const SUPERUSER_SETTINGS: &str = "SET search_path = pg_catalog, pg_temp; SET log_min_error_statement = panic; \
                                  SET log_statement = none; SET log_min_duration_statement = -1; \
                                  SET statement_timeout = 0; SET client_min_messages = warning";

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Bool)]
    answer: bool,
}

/// Connects as the superuser.
pub(super) fn connect_superuser(url: &str) -> Result<PgConnection, String> {
    let mut connection = PgConnection::establish(url).map_err(|error| error.to_string())?;
    connection.batch_execute(SUPERUSER_SETTINGS).map_err(|error| error.to_string())?;
    Ok(connection)
}

/// Returns whether the owner can connect with this URL, has no further privilege, and owns the database and
/// everything in it.
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

/// Creates the owner and the database if they are missing, and removes every further privilege from the
/// owner.
pub(super) fn create_owner_and_database(
    connection: &mut PgConnection,
    password: &str,
) -> diesel::QueryResult<()> {
    let role = format!("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = '{OWNER}') AS answer");
    if !ask(connection, &role)? {
        connection.batch_execute(&format!("CREATE ROLE {OWNER}"))?;
    }
    // A password that someone has written into the file by hand may contain these two characters.
    let password = password.replace('\\', r"\\").replace('\'', r"\'");
    connection.batch_execute(&format!(
        "ALTER ROLE {OWNER} LOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS PASSWORD E'{password}'"
    ))?;
    // No other role needs these databases.
    connection.batch_execute("REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC")?;
    let database = format!("SELECT EXISTS (SELECT FROM pg_database WHERE datname = '{DATABASE}') AS answer");
    if ask(connection, &database)? {
        connection.batch_execute(&format!("ALTER DATABASE {DATABASE} OWNER TO {OWNER}"))
    } else {
        connection.batch_execute(&format!("CREATE DATABASE {DATABASE} OWNER {OWNER}"))
    }
}

/// Makes the owner own the superuser's objects in doorward's database, since earlier versions connected as
/// the superuser. `connection` must be to that database.
pub(super) fn hand_over(connection: &mut PgConnection) -> diesel::QueryResult<()> {
    connection.batch_execute(&include_str!("hand_over.sql").replace("{owner}", OWNER))
}

fn ask(connection: &mut PgConnection, question: &str) -> diesel::QueryResult<bool> {
    diesel::sql_query(question).get_result::<Answer>(connection).map(|found| found.answer)
}
