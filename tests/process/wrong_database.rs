//! A database that is unsuitable, or a connection that can never work. The start stops before it creates
//! anything, and says what to do. It waits for anything that may still change.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use diesel::connection::SimpleConnection;
use diesel::sql_types::BigInt;
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl};
use doorward::database::private_postgres::PrivatePostgres;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Folder, Server};

/// A PostgreSQL with a role `site`.
struct Site {
    folder: Folder,
    /// Everything of a URL except the user, the password and the database.
    host: String,
    superuser: String,
    _cluster: (Server, Folder),
}

impl Site {
    fn new() -> Self {
        let cluster = Folder::new();
        let server = cluster.serve();
        let url = PrivatePostgres::superuser_url(&cluster.data_dir()).unwrap();
        let (superuser, location) = url.expose().rsplit_once('@').unwrap();
        let (host, _) = location.rsplit_once('/').unwrap();
        let site = Self {
            folder: Folder::new(),
            host: host.to_owned(),
            superuser: superuser.to_owned(),
            _cluster: (server, cluster),
        };
        site.execute("postgres", "CREATE ROLE site LOGIN PASSWORD 'right'");
        site
    }

    fn execute(&self, database: &str, statements: &str) {
        self.connect(database).batch_execute(statements).unwrap();
    }

    fn connect(&self, database: &str) -> PgConnection {
        PgConnection::establish(&format!("{}@{}/{database}", self.superuser, self.host)).unwrap()
    }

    fn url(&self, user: &str, database: &str) -> String {
        format!("postgresql://{user}@{}/{database}", self.host)
    }

    /// Returns the error of a server that does not start.
    #[track_caller]
    fn refused(&self, url: &str) -> String {
        self.folder.fails(&["serve", "--database-url", url])
    }

    fn count_tables(&self, database: &str) -> i64 {
        #[derive(QueryableByName)]
        struct Count {
            #[diesel(sql_type = BigInt)]
            count: i64,
        }
        let question = "SELECT count(*) AS count FROM pg_class WHERE relnamespace = 'public'::regnamespace";
        diesel::sql_query(question).get_result::<Count>(&mut self.connect(database)).unwrap().count
    }
}

#[test]
fn unfit_database_stops_the_start_before_any_change() {
    let site = Site::new();
    let closed = "REVOKE CREATE ON SCHEMA public FROM PUBLIC";
    let cases = [
        ("latin", "OWNER site ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0", "SELECT", "ENCODING 'UTF8'"),
        (
            "strict",
            "OWNER site",
            "ALTER DATABASE strict SET default_transaction_isolation = 'serializable'",
            "ALTER DATABASE strict RESET default_transaction_isolation",
        ),
        ("theirs", "OWNER doorward", closed, "GRANT CREATE, USAGE ON SCHEMA public TO site"),
        (
            "still",
            "OWNER site",
            "ALTER DATABASE still SET default_transaction_read_only = on",
            "ALTER DATABASE still RESET default_transaction_read_only",
        ),
        (
            "quiet",
            "OWNER site",
            "ALTER ROLE site IN DATABASE quiet SET default_transaction_read_only = on",
            "ALTER ROLE site IN DATABASE quiet RESET default_transaction_read_only",
        ),
        (
            "copied",
            "OWNER site",
            "ALTER DATABASE copied SET session_replication_role = 'replica'",
            "ALTER DATABASE copied RESET session_replication_role",
        ),
        (
            "nowhere",
            "OWNER site",
            "ALTER ROLE site IN DATABASE nowhere SET search_path = gone",
            "CREATE SCHEMA",
        ),
    ];
    for (database, options, then, advice) in cases {
        site.execute("postgres", &format!("CREATE DATABASE {database} {options}"));
        site.execute(database, then);
        let before = site.count_tables(database);
        let url = site.url("site:right", database);
        let said = site.refused(&url);
        assert!(said.contains(advice) && said.contains("nothing was created"), "{database}: {said}");
        assert!(site.folder.fails(&["migrate", "--database-url", &url]).contains(advice), "{database}");
        let doctor = site.folder.run(&["doctor", "--database-url", &url]);
        let found = String::from_utf8_lossy(&doctor.stdout);
        assert!(doctor.status.code() == Some(1) && found.contains(advice), "{database}: {found}");
        assert_eq!(site.count_tables(database), before, "{database}");
    }
    // The advice is followed.
    site.execute("theirs", "GRANT CREATE, USAGE ON SCHEMA public TO site");
    site.folder.ok(&["migrate", "--database-url", &site.url("site:right", "theirs")]);
    site.execute("postgres", "CREATE DATABASE reading OWNER site");
    let options = "options=-cdefault_transaction_read_only%3Don";
    let said = site.refused(&site.url("site:right", &format!("reading?{options}")));
    assert!(said.contains("remove default_transaction_read_only from the options of DATABASE_URL"), "{said}");
}

#[test]
fn database_of_another_program_is_left_alone() {
    let site = Site::new();
    for (database, theirs) in [
        ("blog", "CREATE TABLE users (id int)"),
        ("cluster", "CREATE TABLE nodes (id int)"),
        ("kinds", "CREATE TYPE users AS ENUM ('one')"),
        ("log", "CREATE SEQUENCE audit_events"),
        ("code", "CREATE FUNCTION attempt_wait() RETURNS int LANGUAGE sql AS 'SELECT 1'"),
        ("lookup", "CREATE VIEW users_role AS SELECT 1"),
        (
            "diesel",
            "CREATE TABLE __diesel_schema_migrations (version varchar(50) PRIMARY KEY, run_on timestamp); \
                    INSERT INTO __diesel_schema_migrations VALUES ('20200101000000')",
        ),
    ] {
        site.execute("postgres", &format!("CREATE DATABASE {database}"));
        site.execute(database, theirs);
        site.execute("postgres", &format!("ALTER DATABASE {database} OWNER TO site"));
        site.execute(database, "GRANT ALL ON ALL TABLES IN SCHEMA public TO site");
        let before = site.count_tables(database);
        let said = site.refused(&site.url("site:right", database));
        assert!(said.contains("its own database"), "{database}: {said}");
        assert_eq!(site.count_tables(database), before, "{database}");
    }
}

#[test]
fn tables_without_rights_are_reported_with_the_grant() {
    let site = Site::new();
    site.execute("postgres", "CREATE DATABASE auth OWNER site");
    site.execute("postgres", "CREATE ROLE reader LOGIN PASSWORD 'right'");
    site.folder.ok(&["migrate", "--database-url", &site.url("site:right", "auth")]);
    let said = site.refused(&site.url("reader:right", "auth"));
    assert!(
        said.contains("the role reader cannot read and write") && said.contains("GRANT SELECT"),
        "{said}"
    );
    // The advice is followed exactly, with no further rights.
    let (_, advice) = said.split_once("or run ").unwrap();
    let (grants, _) = advice.split_once("; migrations").unwrap();
    site.execute("auth", &grants.replace(", and then ", "; "));
    let command = site.folder.command(&["serve", "--database-url", &site.url("reader:right", "auth")]);
    drop(site.folder.serve_as(command));
    site.execute("auth", "REVOKE ALL ON SCHEMA public FROM PUBLIC, reader");
    let said = site.refused(&site.url("reader:right", "auth"));
    assert!(said.contains("GRANT CREATE, USAGE ON SCHEMA public TO reader"), "{said}");
}

#[test]
fn read_only_server_is_reported_as_such() {
    let site = Site::new();
    site.execute("postgres", "CREATE DATABASE auth OWNER site");
    let set = |value: &str| {
        site.execute("postgres", &format!("ALTER SYSTEM SET default_transaction_read_only = {value}"));
        site.execute("postgres", "SELECT pg_reload_conf()");
    };
    set("on");
    let mut command = site.folder.command(&["serve", "--database-url", &site.url("site:right", "auth")]);
    let mut server = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(server.stderr.take().unwrap()).lines();
    let line = log.find(|line| line.as_ref().unwrap().contains("waiting")).unwrap().unwrap();
    std::thread::spawn(move || log.for_each(drop));
    assert!(line.contains("PostgreSQL accepts no writes because it is a standby or read-only"), "{line}");
    set("off");
    site.folder.wait_until_ready();
    end(server);
}

#[test]
fn connection_that_can_never_work_stops_the_start() {
    let site = Site::new();
    site.execute("postgres", "CREATE DATABASE auth OWNER site");
    for (url, words, advice) in [
        (site.url("site:right", "auth?schema=public"), "libpq has no parameter schema", "options="),
        (
            site.url("site:right", "auth?options=-cnonsense%3D1"),
            "nonsense",
            "correct options in DATABASE_URL",
        ),
    ] {
        let said = site.refused(&url);
        assert!(said.contains(words) && said.contains(advice), "{said}");
        assert!(!said.contains("right@") && !said.contains("wrong@"), "no password is shown: {said}");
    }
    if !cfg!(feature = "tls") {
        let said = site.refused(&site.url("site:right", "auth?sslmode=require"));
        assert!(said.contains("use a build with the feature `tls`"), "{said}");
    }
}

#[test]
fn connection_that_may_work_later_is_retried_and_logged() {
    let folder = Folder::new();
    // Nothing listens there.
    let mut command = folder.command(&["serve", "--database-url", "postgres://site@127.0.0.1:1/auth"]);
    let mut server = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(server.stderr.take().unwrap()).lines();
    let line =
        log.find(|line| line.as_ref().unwrap().contains("PostgreSQL is not available yet")).unwrap().unwrap();
    assert!(line.contains("Connection refused"), "{line}");
    assert!(server.try_wait().unwrap().is_none());
    kill(Pid::from_raw(server.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert!(server.wait().unwrap().success());
}

/// Starts a server that waits for PostgreSQL. Returns it with its first log line about that.
fn wait_at(folder: &Folder, url: &str) -> (Child, String) {
    let mut command = folder.command(&["serve", "--database-url", url]);
    let mut server = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(server.stderr.take().unwrap()).lines();
    let line = log.find(|line| line.as_ref().unwrap().contains("PostgreSQL is not available yet"));
    // Keep reading the log, or the server could not write.
    std::thread::spawn(move || log.for_each(drop));
    (server, line.unwrap().unwrap())
}

fn end(mut server: Child) {
    assert!(server.try_wait().unwrap().is_none());
    kill(Pid::from_raw(server.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert!(server.wait().unwrap().success());
}

#[test]
fn role_and_database_can_be_created_after_the_start() {
    let site = Site::new();
    let (server, line) = wait_at(&site.folder, &site.url("late:right", "late"));
    assert!(
        line.contains("authentication failed") && line.contains("correct the user and the password"),
        "{line}"
    );
    let doctor = site.folder.run(&["doctor", "--database-url", &site.url("late:right", "late")]);
    assert_eq!(doctor.status.code(), Some(1), "commands do not wait");
    site.execute("postgres", "CREATE ROLE late LOGIN PASSWORD 'right'");
    site.execute("postgres", "CREATE DATABASE late OWNER late");
    site.folder.wait_until_ready();
    end(server);
}

#[test]
fn temporary_refusal_is_logged_with_advice() {
    let site = Site::new();
    site.execute("postgres", "CREATE DATABASE auth OWNER site");
    for (url, words, advice) in [
        (site.url("site:wrong", "auth"), "authentication failed", "correct the user and the password"),
        (site.url("site:right", "auht"), "auht\\\" does not exist", "CREATE DATABASE"),
        (
            site.url("site:right", "auth?target_session_attrs=read-only"),
            "session is not read-only",
            "remove target_session_attrs",
        ),
    ] {
        let (server, line) = wait_at(&site.folder, &url);
        assert!(line.contains(words) && line.contains(advice), "{line}");
        assert!(!line.contains("right@") && !line.contains("wrong@"), "no password is shown: {line}");
        end(server);
    }
}
