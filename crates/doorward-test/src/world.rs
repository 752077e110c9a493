//! A server with its own port and database, and the clients that use it.

use std::net::TcpListener;
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::web;
use chrono::TimeDelta;
use diesel::connection::SimpleConnection;
use diesel::sql_types::{BigInt, Text};
use diesel::{PgConnection, QueryableByName, RunQueryDsl};
use doorward::app::{self, start, state};
use doorward::audit::Origin;
use doorward::clock::Clock;
use doorward::config::{Inputs, Settings, resolve};
use doorward::database::feed::FollowerThread;
use doorward::database::{Database, find_time, transaction};
use doorward::state::State;
use doorward::users::name::Username;
use doorward::users::password::{PasswordHash, PlainPassword};
use doorward::users::user::{self, Authority, InsertOutcome, NewUser};
use reqwest::Method;
use serde_json::{Value, json};

use crate::database::TestDatabase;
use crate::http::{Answer, Ask};

/// The password of every account.
pub const PASSWORD: &str = "an unusual pass phrase";
/// bcrypt's lowest cost, because the tests hash many passwords.
pub const COST: u32 = 4;
/// The public URL of every server, wherever it listens.
pub const PUBLIC_URL: &str = "http://doorward.test";

/// A server and its database. Both end when this is dropped.
pub struct World {
    /// The URL at which the server listens.
    pub base: String,
    pub clock: Clock,
    pub state: web::Data<State>,
    pub database: Arc<TestDatabase>,
    client: reqwest::Client,
    handle: ServerHandle,
    following: Option<FollowerThread>,
}

impl World {
    /// Creates a world with the default settings.
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// Creates a world with changed settings.
    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::on(Arc::new(TestDatabase::make()), change).await
    }

    /// Starts another server on this world's database.
    pub async fn another_node(&self) -> Self {
        self.another_node_with(|_| {}).await
    }

    /// Starts another server on this world's database, with changed settings.
    pub async fn another_node_with(&self, change: impl FnOnce(&mut Settings)) -> Self {
        Self::on(Arc::clone(&self.database), change).await
    }

    /// Creates a world whose server does not follow the feed.
    pub async fn without_feed() -> Self {
        Self::make(Arc::new(TestDatabase::make()), |_| {}, false).await
    }

    /// Starts a server on this database.
    pub async fn on(database: Arc<TestDatabase>, change: impl FnOnce(&mut Settings)) -> Self {
        Self::make(database, change, true).await
    }

    async fn make(database: Arc<TestDatabase>, change: impl FnOnce(&mut Settings), follows: bool) -> Self {
        let mut settings = settings();
        change(&mut settings);
        let mut connection = Database::connect(&database.url).expect("the test's database");
        let prepared = start::prepare(&mut connection, &settings).expect("a database to serve on");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let clock = Clock::default();
        let parts = state::parts(&settings, address, &database.url, prepared, clock.clone());
        let state = parts.state.clone();
        let following = follows.then(|| doorward::state::follow(&state, &database.url).expect("a thread"));
        let server = app::serve(parts, listener, 1).expect("a server");
        let handle = server.handle();
        actix_web::rt::spawn(server);
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client");
        Self { base: format!("http://{address}"), clock, state, database, client, handle, following }
    }

    /// Creates a request without a credential.
    pub fn ask(&self, method: Method, path: &str) -> Ask {
        Ask::new(self.client.request(method, format!("{}{path}", self.base)))
    }

    pub async fn get(&self, path: &str, token: &str) -> Answer {
        self.ask(Method::GET, path).bearer(token).send().await
    }

    pub async fn post(&self, path: &str, token: &str, body: Value) -> Answer {
        self.ask(Method::POST, path).bearer(token).json(&body).send().await
    }

    pub async fn patch(&self, path: &str, token: &str, body: Value) -> Answer {
        self.ask(Method::PATCH, path).bearer(token).json(&body).send().await
    }

    pub async fn delete(&self, path: &str, token: &str) -> Answer {
        self.ask(Method::DELETE, path).bearer(token).send().await
    }

    /// Creates an account with the common password, and returns its ID.
    pub fn user(&self, name: &str, role: &str) -> uuid::Uuid {
        let new = NewUser {
            username: Username::parse(name).expect("a name"),
            email: None,
            password_hash: Some(PasswordHash::new(&PlainPassword::new(PASSWORD), COST).expect("a hash")),
            role: role.to_owned(),
        };
        let inserted = transaction(&mut self.connection(), |connection| {
            user::insert(connection, &new, &Authority::Unlimited, &Origin::command_line())
        });
        match inserted.expect("the database") {
            InsertOutcome::Inserted(user) => user.id,
            _ => panic!("{name} cannot be made"),
        }
    }

    /// Signs in with the common password.
    pub async fn login(&self, name: &str) -> Tokens {
        self.login_with(json!({ "username": name, "password": PASSWORD })).await
    }

    pub async fn login_with(&self, body: Value) -> Tokens {
        let answer = self.ask(Method::POST, "/api/v1/auth/login").json(&body).send().await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        Tokens::of(&answer)
    }

    /// Presents a refresh token.
    pub async fn refresh(&self, token: &str) -> Answer {
        self.ask(Method::POST, "/api/v1/auth/refresh").json(&json!({ "refresh_token": token })).send().await
    }

    /// Creates an account and signs in to it.
    pub async fn signed_in(&self, name: &str, role: &str) -> Tokens {
        self.user(name, role);
        self.login(name).await
    }

    /// Creates a personal access token for the user of this session. Returns the token and its ID.
    pub async fn personal_token(&self, access: &str, scope: &str) -> (String, String) {
        let made =
            self.post("/api/v1/me/tokens", access, json!({ "name": "a script", "scope": scope })).await;
        assert_eq!(made.status, 201, "{}", made.body);
        (made.text("token"), made.text("id"))
    }

    /// Writes the recorded last uses, as a server does every few seconds.
    pub async fn flush(&self) {
        self.state.recorder.last_use.flush(&self.state.core.database).await.expect("the database");
    }

    /// Stops the node from following the feed, so that it does not learn what others end.
    pub fn stop_following(&mut self) {
        self.following = None;
    }

    /// Moves the server's and the database's time.
    pub fn advance(&self, by: TimeDelta) {
        self.time().advance(by);
    }

    /// Stops the database's clock. Only the test moves it from now on, so that seconds are exact even on a
    /// slow machine.
    pub fn stop_time(&self) {
        self.sql(
            "DO $$ BEGIN EXECUTE format(
                'CREATE OR REPLACE FUNCTION clock.now() RETURNS timestamptz STABLE LANGUAGE sql AS %L',
                format('SELECT timestamptz %L + (SELECT by FROM clock.shift)', pg_catalog.now())); END $$",
        );
    }

    /// Returns a handle that moves time, for other threads.
    pub fn time(&self) -> Time {
        Time { state: self.state.clone(), database_url: self.database.url.clone() }
    }

    pub fn connection(&self) -> PgConnection {
        Database::connect(&self.database.url).expect("the test's database")
    }

    /// Runs statements. The node learns of the changes only from the feed, or when it next asks the database.
    pub fn sql(&self, statements: &str) {
        self.connection().batch_execute(statements).expect(statements);
    }

    /// Runs statements that change what the node may have in its cache, and clears the cache. Other nodes
    /// keep theirs.
    pub fn sql_and_clear_cache(&self, statements: &str) {
        self.sql(statements);
        self.state.cache.clear();
    }

    /// Returns a number from the database.
    pub fn count(&self, query: &str) -> i64 {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = BigInt)]
            count: i64,
        }
        let row: Row = diesel::sql_query(query).get_result(&mut self.connection()).expect(query);
        row.count
    }

    /// Returns a string from the database.
    pub fn text(&self, query: &str) -> String {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Text)]
            text: String,
        }
        let row: Row = diesel::sql_query(query).get_result(&mut self.connection()).expect(query);
        row.text
    }

    /// Counts the audit events of this type. An event that stands for several repetitions counts as often.
    pub fn events(&self, event_type: &str) -> i64 {
        self.count(&format!(
            "SELECT coalesce(sum(coalesce((details ->> 'count')::bigint, 1)), 0)::bigint AS count
             FROM audit_events WHERE type = '{event_type}'"
        ))
    }
}

/// Repeats a request until it is refused. Every node refuses it within a second after another one has ended
/// its credential.
pub async fn refused_in_time(ask: impl AsyncFn() -> Answer) -> Answer {
    let started = std::time::Instant::now();
    loop {
        let answer = ask().await;
        if answer.status != 200 {
            return answer;
        }
        assert!(started.elapsed().as_secs() < 1, "still accepted after {:?}", started.elapsed());
    }
}

/// A handle that moves a server's and its database's time.
#[derive(Clone)]
pub struct Time {
    state: web::Data<State>,
    database_url: String,
}

impl Time {
    pub fn advance(&self, by: TimeDelta) {
        self.state.core.clock.advance(by);
        let seconds = by.num_milliseconds() as f64 / 1e3;
        let moved = format!("UPDATE clock.shift SET by = by + {seconds} * interval '1 second'");
        let mut connection = Database::connect(&self.database_url).expect("the test's database");
        connection.batch_execute(&moved).expect(&moved);
        // The feed would read the new time a moment later.
        let database_clock = &self.state.core.database_clock;
        let at = database_clock.elapsed();
        database_clock.set(find_time(&mut connection).expect("the test's database"), at);
        self.state.cache.clear();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.following.take());
        // This does not wait for requests, because the database is dropped by force.
        drop(self.handle.stop(false));
    }
}

/// Returns the tests' settings. They are the documented defaults with cheap hashes, a secret key, and no
/// limits on attempts.
pub fn settings() -> Settings {
    settings_at(PUBLIC_URL)
}

/// Returns the tests' settings with another public URL.
pub fn settings_at(public_url: &str) -> Settings {
    let variables = [
        ("DOORWARD_SECRET_KEY", "a-secret-key-that-only-the-tests-have"),
        ("DOORWARD_ADMIN_PASSWORD", PASSWORD),
        ("DOORWARD_PUBLIC_URL", public_url),
    ];
    let environment = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
    let mut settings = resolve(&Inputs { environment, ..Inputs::default() }).expect("settings");
    settings.bcrypt_cost = COST;
    // The tests send more requests from one address than most clients.
    (settings.login_failures, settings.login_failures_per_address) = (1_000_000, 1_000_000);
    (settings.unproven_per_address, settings.tokens_per_user) = (1_000_000, 1_000_000);
    settings.registrations_per_address = 1_000_000;
    settings.login_failures_per_known_address = 1_000_000;
    settings
}

/// Sets the limits on attempts to their defaults.
pub fn limit_tries(settings: &mut Settings) {
    let defaults = resolve(&Inputs::default()).expect("settings");
    settings.login_failures = defaults.login_failures;
    settings.login_failures_per_address = defaults.login_failures_per_address;
    settings.login_failures_per_known_address = defaults.login_failures_per_known_address;
    settings.unproven_per_address = defaults.unproven_per_address;
    settings.tokens_per_user = defaults.tokens_per_user;
    settings.registrations_per_address = defaults.registrations_per_address;
}

/// Both tokens of a session.
#[derive(Clone, Debug)]
pub struct Tokens {
    pub access: String,
    pub refresh: String,
}

impl Tokens {
    pub fn of(answer: &Answer) -> Self {
        Self { access: answer.text("access_token"), refresh: answer.text("refresh_token") }
    }
}
