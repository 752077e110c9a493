//! Creates a database for each test, copied from a template. Each state of the migrations has one template.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::sql_types::BigInt;
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl};
use doorward::app::start;
use doorward::database::Database;

/// The advisory lock for creating the template: "template" in ASCII.
const LOCK: i64 = 0x7465_6d70_6c61_7465;

/// A `now()` that the tests can move. The search path has it before PostgreSQL's own.
const CLOCK: &str = "
    CREATE SCHEMA clock;
    CREATE TABLE clock.shift (by interval NOT NULL);
    INSERT INTO clock.shift VALUES ('0');
    CREATE FUNCTION clock.now() RETURNS timestamptz STABLE LANGUAGE sql
        AS 'SELECT pg_catalog.now() + (SELECT by FROM clock.shift)';
";

/// A test's database. It is dropped with this value.
pub struct TestDatabase {
    pub url: String,
    name: String,
}

impl TestDatabase {
    pub fn make() -> Self {
        let template = make_template();
        let name = format!("doorward_test_{}", uuid::Uuid::now_v7().simple());
        let mut cluster = cluster();
        let made = format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY");
        cluster.batch_execute(&made).expect("a database from the template");
        Self { url: url_of(&name), name }
    }
}

impl TestDatabase {
    /// Returns the locales in which this PostgreSQL can create a database.
    pub fn locales() -> Vec<String> {
        #[derive(QueryableByName)]
        struct Locale {
            #[diesel(sql_type = diesel::sql_types::Text)]
            locale: String,
        }
        let found: Vec<Locale> = diesel::sql_query(
            "SELECT 'LOCALE ''C''' AS locale
             UNION SELECT format('LOCALE %L', collcollate) FROM pg_collation
                    WHERE collprovider = 'c' AND collname IN ('C.utf8', 'tr_TR.utf8', 'de_DE.utf8')
             UNION SELECT format('LOCALE_PROVIDER icu ICU_LOCALE %L LOCALE ''C''', name)
                     FROM unnest(ARRAY['tr-TR', 'und']) AS name
                    WHERE current_setting('server_version_num')::int >= 150000
                      AND EXISTS (SELECT FROM pg_collation WHERE collprovider = 'i')",
        )
        .load(&mut cluster())
        .expect("locales");
        found.into_iter().map(|found| found.locale).collect()
    }

    /// Creates a database with this locale.
    pub fn with_locale(locale: &str) -> Self {
        let name = format!("doorward_test_{}", uuid::Uuid::now_v7().simple());
        let made = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' {locale}");
        cluster().batch_execute(&made).expect(&made);
        let database = Self { url: url_of(&name), name };
        fill(&database.url);
        database
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let gone = cluster().batch_execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        if !std::thread::panicking() {
            gone.expect("the database can be dropped");
        }
    }
}

/// Connects to the tests' PostgreSQL.
fn cluster() -> PgConnection {
    PgConnection::establish(&cluster_url()).expect("the tests' PostgreSQL")
}

fn cluster_url() -> String {
    std::env::var("DOORWARD_TEST_DATABASE_URL").unwrap_or_else(|_| {
        panic!(
            "DOORWARD_TEST_DATABASE_URL is not set: run `make test`, or scripts/with-test-postgres cargo test"
        )
    })
}

/// Returns the URL of a database in the tests' PostgreSQL, with the movable clock in its search path.
fn url_of(name: &str) -> String {
    let cluster = cluster_url();
    let (server, query) = cluster.split_once('?').unwrap_or((&cluster, ""));
    let (server, _) = server.rsplit_once('/').expect("a database in the URL");
    let options = "options=-csearch_path%3Dpublic,clock,pg_catalog";
    format!("{server}/{name}?{query}{}{options}", if query.is_empty() { "" } else { "&" })
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// Creates the template under a lock, so that only one test process does.
fn make_template() -> String {
    let name = format!("doorward_template_{:016x}", fingerprint());
    let mut cluster = cluster();
    cluster.batch_execute(&format!("SELECT pg_advisory_lock({LOCK})")).expect("the lock");
    let query = format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'");
    let found: Found = diesel::sql_query(query).get_result(&mut cluster).expect("an answer");
    if found.count == 0 {
        let unfinished = format!("{name}_unfinished");
        let drop_unfinished = format!("DROP DATABASE IF EXISTS {unfinished} WITH (FORCE)");
        cluster.batch_execute(&drop_unfinished).expect("nothing half made");
        cluster.batch_execute(&format!("CREATE DATABASE {unfinished}")).expect("a database");
        fill(&url_of(&unfinished));
        cluster.batch_execute(&format!("ALTER DATABASE {unfinished} RENAME TO {name}")).expect("a template");
    }
    cluster.batch_execute(&format!("SELECT pg_advisory_unlock({LOCK})")).expect("the lock");
    name
}

fn fill(url: &str) {
    let mut connection = Database::connect(url).expect("the template");
    connection.batch_execute(CLOCK).expect("a clock");
    start::prepare(&mut connection, &crate::settings()).expect("a database to serve on");
}

/// Returns a hash of everything that the template depends on.
fn fingerprint() -> u64 {
    let mut hasher = DefaultHasher::new();
    CLOCK.hash(&mut hasher);
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations"));
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).expect("migrations").flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        std::fs::read_to_string(path.join("up.sql")).expect("a migration").hash(&mut hasher);
    }
    hasher.finish()
}
