//! The server's role on its private PostgreSQL owns one database and is not a superuser. This also holds for
//! data folders of earlier versions.

use std::fs;

use diesel::connection::SimpleConnection;
use diesel::sql_types::Text;
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl};
use doorward::database::private_postgres::PrivatePostgres;
use doorward_test::PASSWORD;

use crate::support::Folder;

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    text: String,
}

fn as_server(folder: &Folder) -> PgConnection {
    let url = PrivatePostgres::running(&folder.data_dir()).unwrap().expect("it runs");
    PgConnection::establish(url.expose()).unwrap()
}

fn as_superuser(folder: &Folder) -> PgConnection {
    let url = PrivatePostgres::superuser_url(&folder.data_dir()).unwrap();
    PgConnection::establish(url.expose()).unwrap()
}

fn ask(connection: &mut PgConnection, question: &str) -> String {
    diesel::sql_query(question).get_result::<Row>(connection).unwrap().text
}

/// The objects of the database that another role owns.
const OTHERS: &str = "SELECT coalesce(string_agg(what, ' '), '') AS text FROM (
    SELECT relname AS what FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relowner <> current_user::regrole
    UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proowner <> current_user::regrole
        AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
    UNION ALL SELECT datname FROM pg_database WHERE datname = 'doorward' AND datdba <> current_user::regrole) AS found";

const RIGHTS: &str = "SELECT concat_ws(' ', rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls) AS text \
                      FROM pg_roles WHERE rolname = current_user";

#[test]
fn server_role_is_not_a_superuser() {
    let folder = Folder::new();
    let server = folder.serve();
    assert_eq!(server.login("admin", PASSWORD).0, 200);
    let mut connection = as_server(&folder);
    assert_eq!(ask(&mut connection, RIGHTS), "f f f f f");
    assert_eq!(ask(&mut connection, OTHERS), "");
    for beyond in [
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_read_file('postgresql.conf')",
        "ALTER SYSTEM SET log_statement = 'all'",
        "CREATE ROLE another SUPERUSER",
        "ALTER ROLE CURRENT_USER SUPERUSER",
        "SET ROLE doorward",
    ] {
        assert!(connection.batch_execute(beyond).is_err(), "{beyond}");
    }
    let elsewhere = PrivatePostgres::running(&folder.data_dir()).unwrap().unwrap();
    let (location, _) = elsewhere.expose().rsplit_once('/').unwrap();
    assert!(
        PgConnection::establish(&format!("{location}/postgres")).is_err(),
        "it owns one database, and enters no other"
    );
    let doctor = folder.ok(&["doctor"]);
    assert!(doctor.contains("users and notes are searched with indexes"), "{doctor}");
}

/// Creates a data folder of an earlier version, whose server connected as the superuser.
fn make_earlier(folder: &Folder) {
    let server = folder.serve();
    let back = "ALTER DATABASE doorward OWNER TO doorward; REASSIGN OWNED BY doorward_server TO doorward; \
                DROP OWNED BY doorward_server; DROP ROLE doorward_server; GRANT ALL ON DATABASE doorward TO PUBLIC; \
                CREATE TYPE colour AS ENUM ('red'); CREATE VIEW names AS SELECT username FROM users";
    as_superuser(folder).batch_execute(back).unwrap();
    drop(server);
    fs::remove_file(folder.data_dir().join("doorward.password")).unwrap();
}

#[test]
fn earlier_data_folder_is_handed_over_to_the_server_role() {
    let folder = Folder::new();
    make_earlier(&folder);
    let server = folder.serve();
    assert_eq!(server.login("admin", PASSWORD).0, 200);
    let mut connection = as_server(&folder);
    assert_eq!(ask(&mut connection, RIGHTS), "f f f f f");
    assert_eq!(ask(&mut connection, OTHERS), "");
    connection.batch_execute("DROP VIEW names; DROP TYPE colour").unwrap();
    drop((connection, server));
    let file = folder.path().join("auth.dump");
    folder.ok(&["backup", file.to_str().unwrap()]);
    folder.ok(&["restore", file.to_str().unwrap(), "--yes"]);
    assert!(folder.ok(&["user", "list"]).contains("admin"));
}

#[test]
fn commands_reach_a_running_server_of_the_previous_version() {
    let folder = Folder::new();
    let server = folder.serve();
    // Such a server has created neither the owner nor the file with its password.
    let kept = folder.path().join("kept");
    let password = folder.data_dir().join("doorward.password");
    fs::rename(&password, &kept).unwrap();
    assert!(folder.ok(&["user", "list"]).contains("admin"));
    fs::rename(&kept, &password).unwrap();
    drop(server);
}

#[test]
fn superuser_right_of_the_server_role_is_removed_at_start() {
    let folder = Folder::new();
    let server = folder.serve();
    as_superuser(&folder).batch_execute("ALTER ROLE doorward_server SUPERUSER").unwrap();
    drop(server);
    let _server = folder.serve();
    assert_eq!(ask(&mut as_server(&folder), RIGHTS), "f f f f f");
}

#[test]
fn lost_server_role_password_is_reset() {
    let folder = Folder::new();
    folder.ok(&["migrate"]);
    fs::remove_file(folder.data_dir().join("doorward.password")).unwrap();
    assert_eq!(folder.serve().login("admin", PASSWORD).0, 200);
}

#[test]
fn unusual_server_role_password_works_or_is_reported() {
    let folder = Folder::new();
    folder.ok(&["migrate"]);
    let path = folder.data_dir().join("doorward.password");
    for (content, why) in
        [("", "is empty"), (" \n", "is empty"), ("se\0cret", "contains a control character")]
    {
        fs::write(&path, content).unwrap();
        let said = folder.fails(&["serve"]);
        assert!(
            said.contains(why) && said.contains("delete it, and the next start creates another"),
            "{said}"
        );
        assert!(!said.contains("se\0cret") && !said.contains("DATABASE_URL"), "{said}");
    }
    for content in ["new one", "a/b@c:d?e#f", r"it's a \ %20"] {
        fs::write(&path, content).unwrap();
        assert_eq!(folder.serve().login("admin", PASSWORD).0, 200, "{content}");
    }
    fs::write(folder.data_dir().join("postgres.password"), "").unwrap();
    fs::remove_file(&path).unwrap();
    let said = folder.fails(&["serve"]);
    assert!(said.contains("postgres.password") && said.contains("is empty: restore it"), "{said}");
}

#[test]
fn empty_secret_key_file_is_reported_with_a_remedy() {
    let folder = Folder::new();
    folder.ok(&["migrate"]);
    drop(folder.serve());
    fs::write(folder.data_dir().join("secret.key"), "").unwrap();
    let said = folder.fails(&["serve"]);
    assert!(
        said.contains("it contains no key. Restore the key that this database was created with"),
        "{said}"
    );
}

#[test]
fn lost_superuser_password_is_reported_with_a_remedy() {
    let folder = Folder::new();
    folder.ok(&["migrate"]);
    let path = folder.data_dir().join("postgres.password");
    fs::remove_file(&path).unwrap();
    let said = folder.fails(&["serve"]);
    let path = path.canonicalize().unwrap_or(path);
    assert!(said.contains(&*path.to_string_lossy()) && said.contains("restore it from a copy"), "{said}");
    assert!(said.contains("postgres --single"), "{said}");
}
