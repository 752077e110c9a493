//! Commands that only read create no PostgreSQL, secret key, row or table. They say what to do instead. The
//! doctor's advice can be followed.

use std::fs;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::sql_types::BigInt;
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query};
use serde_json::Value;

use crate::support::Folder;

const A_REQUEST: &str = "0192d7a0-0000-7000-8000-000000000000";
const A_KEY: &str = "a-key-that-no-server-was-started-with";

/// Returns the private PostgreSQL's URL.
fn url(folder: &Folder, database: &str) -> String {
    let password = fs::read_to_string(folder.data_dir().join("postgres.password")).unwrap();
    let socket = folder.data_dir().join("socket");
    let socket = socket.to_str().unwrap().replace('/', "%2F");
    format!("postgresql://doorward:{}@{socket}/{database}", password.trim())
}

fn findings(folder: &Folder) -> Vec<Value> {
    serde_json::from_slice(&folder.run(&["doctor", "--json"]).stdout).unwrap()
}

/// Returns the doctor's finding for this check.
fn finding(folder: &Folder, check: &str) -> Value {
    let found = findings(folder);
    found.iter().find(|finding| finding["check"] == check).unwrap_or_else(|| panic!("{found:?}")).clone()
}

#[test]
fn commands_create_no_postgresql_in_an_existing_data_folder() {
    let folder = Folder::new();
    fs::create_dir(folder.data_dir()).unwrap();
    fs::write(folder.data_dir().join("secret.key"), "the key of a database that is elsewhere\n").unwrap();
    for arguments in [
        &["user", "disable", "mallory"][..],
        &["user", "list"],
        &["token", "list"],
        &["key", "rotate"],
        &["explain", A_REQUEST],
        &["restored", "--dry-run"],
        &["prune"],
        &["backup", "a.dump"],
    ] {
        let said = folder.fails(arguments);
        assert!(said.contains(" contains no PostgreSQL"), "{arguments:?}: {said}");
        assert!(said.contains("DATABASE_URL") && said.contains("`doorward serve`"), "{arguments:?}: {said}");
    }
    let found = finding(&folder, "database");
    assert!(found["found"].as_str().unwrap().contains(" contains no PostgreSQL"), "{found}");
    let left: Vec<_> =
        fs::read_dir(folder.data_dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["secret.key"]);
}

#[test]
fn commands_create_no_secret_key_before_the_first_start() {
    let folder = Folder::new();
    folder.ok(&["migrate"]);
    for further in [&[][..], &["--secret-key", A_KEY]] {
        for arguments in [&["explain", A_REQUEST][..], &["restored", "--dry-run"], &["key", "rotate"]] {
            let said = folder.fails(&[arguments, further].concat());
            assert!(said.contains("this database has never been served"), "{said}");
            assert!(said.contains("`doorward serve`") && said.contains("DATABASE_URL"), "{said}");
        }
        let doctor = folder.run(&[&["doctor"][..], further].concat());
        let doctor = String::from_utf8(doctor.stdout).unwrap();
        assert!(doctor.contains("warn  secret key     no server has been started"), "{doctor}");
        assert!(!doctor.contains("signing keys"), "there are none to look at: {doctor}");
    }
    assert!(!folder.data_dir().join("secret.key").exists());
    // The server starts with another key than the one that the commands used.
    let server = folder.serve();
    assert!(server.is_ready());
    assert_eq!(finding(&folder, "secret key")["level"], "pass");
}

#[test]
fn commands_leave_an_unmigrated_database_unchanged() {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    let folder = Folder::new();
    let _server = folder.serve();
    let other = url(&folder, "postgres");
    let run = |arguments: &[&str]| {
        let output = folder.command(arguments).env("DATABASE_URL", &other).output().unwrap();
        [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap()).concat()
    };
    for arguments in [&["user", "list"][..], &["explain", A_REQUEST], &["restored", "--dry-run"]] {
        let said = run(arguments);
        assert!(said.contains("run `doorward migrate` first"), "{said}");
    }
    let doctor = run(&["doctor"]);
    assert!(doctor.contains("some are pending"), "{doctor}");
    let tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace";
    let found: Count = sql_query(tables).get_result(&mut PgConnection::establish(&other).unwrap()).unwrap();
    assert_eq!(found.count, 0);
}

#[test]
fn doctor_names_the_statements_that_restore_search_indexes() {
    let folder = Folder::new();
    let _server = folder.serve();
    assert_eq!(finding(&folder, "search")["level"], "pass");
    let mut connection = PgConnection::establish(&url(&folder, "doorward")).unwrap();
    for harm in ["DROP INDEX users_email_trigrams", "DROP EXTENSION pg_trgm CASCADE"] {
        connection.batch_execute(harm).unwrap();
        let found = finding(&folder, "search");
        assert_eq!(found["level"], "warn", "{harm}");
        let (_, statements) = found["advice"].as_str().unwrap().split_once(": ").unwrap();
        for statement in statements.split(';').filter(|statement| !statement.trim().is_empty()) {
            connection.batch_execute(statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
        assert_eq!(finding(&folder, "search")["level"], "pass", "{harm}");
    }
}

#[test]
fn serving_node_creates_missing_indexes() {
    let folder = Folder::new();
    let server = folder.serve();
    let harm = "DROP INDEX notes_by_sharing";
    PgConnection::establish(&url(&folder, "doorward")).unwrap().batch_execute(harm).unwrap();
    drop(server);
    let _server = folder.serve();
    let started = Instant::now();
    while finding(&folder, "search")["level"] != "pass" {
        assert!(started.elapsed() < Duration::from_secs(60), "not made in time");
    }
}

#[test]
fn doctor_reports_an_unreachable_database() {
    let folder = Folder::new();
    let doctor = folder.command(&["doctor"]).env("DATABASE_URL", "postgresql:///x?host=/nowhere").output();
    let doctor = String::from_utf8(doctor.unwrap().stdout).unwrap();
    assert!(doctor.contains("fail  database       the database is unavailable: "), "{doctor}");
}
