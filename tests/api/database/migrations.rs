//! The schema migrates up, down and up again, in one process at a time, and is the one that the code expects.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::sql_types::{BigInt, Text};
use diesel::{PgConnection, QueryableByName, RunQueryDsl};
use diesel_migrations::MigrationHarness;
use doorward::app::start;
use doorward::database::migrate::{self, Indexes, MIGRATIONS};
use doorward::database::{Database, indexes, object_names};
use doorward_test::{PASSWORD, TestDatabase, World, settings};
use serde_json::json;

#[test]
fn every_migration_can_be_reverted_and_reapplied() {
    let database = TestDatabase::make();
    let mut connection = Database::connect(&database.url).unwrap();
    let reverted = connection.revert_all_migrations(MIGRATIONS).unwrap().len();
    #[derive(QueryableByName)]
    struct Left {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    let left: Left = diesel::sql_query(
        "SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'S')
                    AND relname NOT LIKE '\\_\\_diesel%')
              + (SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
                    AND proname NOT LIKE 'diesel\\_%') AS count",
    )
    .get_result(&mut connection)
    .unwrap();
    assert_eq!(left.count, 0);
    assert_eq!(migrate::run(&mut connection).unwrap().len(), reverted);
    assert!(migrate::run(&mut connection).unwrap().is_empty());
}

/// The start compares a database with these names before it creates anything.
#[test]
fn object_names_list_all_that_migrations_create() {
    let database = TestDatabase::make();
    let mut connection = Database::connect(&database.url).unwrap();
    let mut names = |query: &str| -> BTreeSet<String> {
        #[derive(QueryableByName)]
        struct Named {
            #[diesel(sql_type = Text)]
            name: String,
        }
        let found: Vec<Named> = diesel::sql_query(query).load(&mut connection).unwrap();
        found.into_iter().map(|found| found.name).filter(|name| !name.contains("diesel_")).collect()
    };
    let relations = names(
        "SELECT relname::text AS name FROM pg_class c WHERE relnamespace = 'public'::regnamespace
            AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = c.oid)
            AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid
                AND (deptype = 'e' OR relkind = 'S' AND deptype IN ('a', 'i')))",
    );
    let listed = object_names::TABLES.into_iter().chain(object_names::INDEXES).chain(indexes::names());
    assert_eq!(relations, listed.map(str::to_owned).collect());
    let functions = names(
        "SELECT proname::text AS name FROM pg_proc p WHERE pronamespace = 'public'::regnamespace
            AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = p.oid
                AND deptype = 'e')",
    );
    assert_eq!(functions, object_names::FUNCTIONS.map(str::to_owned).into());
    let types = names(
        "SELECT typname::text AS name FROM pg_type t WHERE typnamespace = 'public'::regnamespace
            AND typrelid = 0 AND typcategory <> 'A'
            AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_type'::regclass AND objid = t.oid
                AND deptype = 'e')",
    );
    assert_eq!(types, BTreeSet::new(), "a type needs a list in object_names.rs too");
}

#[test]
fn eight_processes_migrate_one_database_once() {
    for is_new in [false, true] {
        let database = TestDatabase::make();
        let mut connection = Database::connect(&database.url).unwrap();
        connection.revert_all_migrations(MIGRATIONS).unwrap();
        if is_new {
            diesel::sql_query("DROP TABLE __diesel_schema_migrations").execute(&mut connection).unwrap();
        }
        let ran: Vec<usize> = std::thread::scope(|scope| {
            let run = || migrate::run(&mut Database::connect(&database.url).unwrap()).unwrap().len();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(run)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(ran.iter().filter(|count| **count > 0).count(), 1, "{ran:?}");
    }
}

/// A pooled connection may hold the lock forever, and a node that creates indexes holds it for minutes.
#[test]
fn migrated_database_does_not_wait_for_the_lock() {
    let database = TestDatabase::make();
    let mut owner = Database::connect(&database.url).unwrap();
    owner
        .batch_execute("DROP INDEX notes_by_sharing; SELECT pg_advisory_lock(x'646f6f7277617264'::bigint)")
        .unwrap();
    let (done, ran) = std::sync::mpsc::channel();
    let url = database.url.clone();
    std::thread::spawn(move || {
        let mut connection = Database::connect(&url).unwrap();
        let ran = migrate::run(&mut connection).unwrap();
        done.send((ran, migrate::make_indexes(&mut connection).unwrap()))
    });
    assert_eq!(ran.recv_timeout(Duration::from_secs(10)).ok(), Some((Vec::new(), Indexes::Missing)));
}

#[test]
fn missing_and_invalid_indexes_are_created() {
    let database = TestDatabase::make();
    let mut connection = Database::connect(&database.url).unwrap();
    let repair = |connection: &mut PgConnection| indexes::find_repair(connection).unwrap().len();
    assert_eq!(repair(&mut connection), 0);
    connection
        .batch_execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'notes_unfolded'::regclass;
             DROP INDEX notes_by_sharing, users_email_trigrams",
        )
        .unwrap();
    assert_eq!(repair(&mut connection), 7, "the extension, and two statements for each index");
    assert_eq!(migrate::make_indexes(&mut connection).unwrap(), Indexes::Complete);
    assert_eq!(repair(&mut connection), 0);
    connection.batch_execute("DROP EXTENSION pg_trgm CASCADE").unwrap();
    assert_eq!(migrate::make_indexes(&mut connection).unwrap(), Indexes::Complete);
    assert_eq!(repair(&mut connection), 9, "four need the extension");
}

#[test]
fn failing_index_does_not_block_the_others() {
    let database = TestDatabase::make();
    let mut connection = Database::connect(&database.url).unwrap();
    connection
        .batch_execute(
            "DROP INDEX sessions_presentable_until, notes_unfolded;
             CREATE TABLE sessions_presentable_until ()",
        )
        .unwrap();
    assert_eq!(migrate::make_indexes(&mut connection).unwrap(), Indexes::Missing);
    assert!(indexes::exists(&mut connection, indexes::NOTES_UNFOLDED).unwrap());
    connection.batch_execute("DROP TABLE sessions_presentable_until").unwrap();
    assert_eq!(migrate::make_indexes(&mut connection).unwrap(), Indexes::Complete);
    assert!(indexes::exists(&mut connection, "sessions_presentable_until").unwrap());
}

/// The unique index must exist, because inserting audit events refers to it. No other index is worth a wait.
#[test]
fn start_creates_only_the_indexes_it_requires() {
    let database = TestDatabase::make();
    let mut connection = Database::connect(&database.url).unwrap();
    let dropped = "DROP INDEX notes_by_sharing, audit_events_repeat_key";
    connection.batch_execute(dropped).unwrap();
    start::prepare(&mut connection, &settings()).unwrap();
    assert!(indexes::exists(&mut connection, "audit_events_repeat_key").unwrap());
    assert!(!indexes::exists(&mut connection, "notes_by_sharing").unwrap());
    connection
        .batch_execute("DROP INDEX audit_events_repeat_key; CREATE TABLE audit_events_repeat_key ()")
        .unwrap();
    start::prepare(&mut connection, &settings()).map(|_| ()).unwrap_err();
}

/// Databases that ran an earlier form of the migration have such an index.
#[actix_web::test]
async fn repeated_events_are_counted_with_a_full_unique_index() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    world.stop_time();
    world.sql(
        "DROP INDEX audit_events_repeat_key;
         CREATE UNIQUE INDEX audit_events_repeat_key ON audit_events (repeat_key)",
    );
    for _ in 0..2 {
        let body = json!({ "password": format!("not {PASSWORD}") });
        world.post("/api/v1/auth/step-up", &alice.access, body).await.refused("validation_failed");
    }
    assert_eq!(world.refresh(&alice.refresh).await.status, 200);
    for _ in 0..2 {
        assert_eq!(world.refresh(&alice.refresh).await.status, 200);
    }
    for event in ["step_up_failed", "refresh_repeated"] {
        let rows = format!("SELECT count(*) FROM audit_events WHERE type = '{event}'");
        assert_eq!((world.events(event), world.count(&rows)), (2, 1), "{event}");
    }
}

/// A migration keeps its locks until it ends, and nodes of the previous version cannot read the table
/// meanwhile.
#[test]
fn migrations_neither_index_nor_check_existing_tables() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations"));
    let mut checked = 0;
    for migration in std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()) {
        // Earlier migrations are already released.
        if migration.file_name().unwrap().to_str().unwrap() < "2026-11-30" {
            continue;
        }
        checked += 1;
        let script = std::fs::read_to_string(migration.join("up.sql")).unwrap();
        for line in script.lines().map(str::trim).filter(|line| !line.starts_with("--")) {
            if line.starts_with("CREATE INDEX ") || line.starts_with("CREATE UNIQUE INDEX ") {
                let (_, table) = line.split_once(" ON ").unwrap();
                let table = table.split(' ').next().unwrap();
                let makes_table = script.contains(&format!("CREATE TABLE {table} "));
                assert!(makes_table, "make it a line of src/database/indexes.rs: {line}");
            }
            let checks_rows = line.contains("ADD CONSTRAINT ") && !line.contains("NOT VALID");
            assert!(!checks_rows, "make it NOT VALID, which checks new rows alone: {line}");
        }
    }
    assert!(checked > 0);
}

/// The queries are checked against schema.rs.
#[test]
fn generated_schema_matches_the_database() {
    #[derive(QueryableByName)]
    struct Column {
        #[diesel(sql_type = Text)]
        text: String,
    }
    let database = TestDatabase::make();
    let mut connection = Database::connect(&database.url).unwrap();
    let columns: Vec<Column> = diesel::sql_query(
        "SELECT table_name || '.' || column_name || ' ' || udt_name || ' ' || is_nullable AS text
         FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE '\\_\\_diesel%'",
    )
    .load(&mut connection)
    .unwrap();
    let mut found: Vec<String> = columns.into_iter().map(|column| column.text).collect();
    found.sort();
    let mut expected = Vec::new();
    let (mut table, mut named) = (String::new(), None);
    for line in include_str!("../../../src/database/schema.rs").lines().map(str::trim) {
        if let Some((name, _)) = line.split_once(" (").filter(|_| line.ends_with("{")) {
            table = name.to_owned();
        } else if let Some(name) =
            line.strip_prefix("#[sql_name = \"").and_then(|rest| rest.strip_suffix("\"]"))
        {
            named = Some(name.to_owned());
        } else if let Some((column, kind)) = line.strip_suffix(',').and_then(|line| line.split_once(" -> ")) {
            expected.push(format!(
                "{table}.{} {}",
                named.take().unwrap_or(column.to_owned()),
                sql_type(kind)
            ));
        }
    }
    expected.sort();
    assert_eq!(found, expected);
}

fn sql_type(kind: &str) -> String {
    let (kind, nullable) = match kind.strip_prefix("Nullable<").and_then(|inner| inner.strip_suffix('>')) {
        Some(inner) => (inner, "YES"),
        None => (kind, "NO"),
    };
    let (kind, array) = match kind.strip_prefix("Array<").and_then(|inner| inner.strip_suffix('>')) {
        Some(inner) => (inner, "_"),
        None => (kind, ""),
    };
    format!("{array}{} {nullable}", kind.to_lowercase())
}

#[actix_web::test]
async fn prune_keeps_ended_sessions_while_reuse_is_detectable() {
    use chrono::TimeDelta;
    use doorward::database::prune::Retention;
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let live = world.refresh(&tokens.refresh).await;
    world.get("/api/v1/me", &live.text("access_token")).await;
    world.flush().await;
    world.advance(TimeDelta::days(20));
    let days = |days: u64| Duration::from_secs(days * 86_400);
    let retention = Retention { audit_events: days(400), refusals: days(7), known_addresses: days(90) };
    let pruned =
        doorward::database::prune::run(&world.state.core.database, retention, |_| ()).await.unwrap().unwrap();
    assert_eq!(pruned.total(), pruned.attempts, "{pruned:?}");
    world.refresh(&tokens.refresh).await.refused("refresh_token_reused");
    world.advance(TimeDelta::days(80));
    let pruned =
        doorward::database::prune::run(&world.state.core.database, retention, |_| ()).await.unwrap().unwrap();
    assert_eq!((pruned.sessions, pruned.revocations), (1, 1), "{pruned:?}");
    world.refresh(&live.text("refresh_token")).await.refused("refresh_token_unknown");
    world.advance(TimeDelta::days(400));
    let pruned =
        doorward::database::prune::run(&world.state.core.database, retention, |_| ()).await.unwrap().unwrap();
    assert!(pruned.audit_events > 0 && world.count("SELECT count(*) FROM audit_events") == 0, "{pruned:?}");
}

#[test]
fn database_keeps_usernames_and_emails_in_one_namespace() {
    let database = TestDatabase::make();
    let mut connection = Database::connect(&database.url).unwrap();
    let insert = |connection: &mut diesel::PgConnection, name: &str, email: &str| {
        diesel::sql_query(format!(
            "INSERT INTO users (id, username, username_folded, email, email_folded, role)
             VALUES (gen_random_uuid(), '{name}', '{name}', '{email}', '{email}', 'member')"
        ))
        .execute(connection)
    };
    assert!(insert(&mut connection, "one", "one@example.org").is_ok());
    assert!(insert(&mut connection, "one@example.org", "two@example.org").is_err());
    assert!(insert(&mut connection, "three", "one").is_err());
    assert!(insert(&mut connection, "four@example.org", "four@example.org").is_ok(), "one's own");
    let renamed = "UPDATE users SET username = 'x', username_folded = 'x' WHERE username = 'one'";
    assert!(diesel::sql_query(renamed).execute(&mut connection).is_ok());
    assert!(insert(&mut connection, "one", "five@example.org").is_ok(), "the old name is free again");
}
