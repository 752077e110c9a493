//! Server errors are never reported as the caller's mistake.

use std::time::{Duration, Instant};

use diesel::RunQueryDsl;
use diesel::connection::SimpleConnection;
use doorward::database::DatabaseError;
use doorward_test::{PASSWORD, World, limit_tries};
use reqwest::Method;
use serde_json::json;

fn cut_connections(world: &World) {
    world.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
}

#[actix_web::test]
async fn cut_connections_cost_at_most_one_request_and_are_replaced() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    for _ in 0..5 {
        world.get("/api/v1/notes", &tokens.access).await;
        cut_connections(&world);
        let after = world.get("/api/v1/notes", &tokens.access).await;
        assert!([200, 503].contains(&after.status), "{}", after.body);
        assert_eq!(world.get("/api/v1/notes", &tokens.access).await.status, 200);
    }
}

#[actix_web::test]
async fn unreachable_database_returns_503_only_where_it_is_needed() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let (name, away) = (world.text("SELECT current_database()::text AS text"), "away");
    let cluster = |statement: String| {
        let mut connection =
            doorward::database::Database::connect(&std::env::var("DOORWARD_TEST_DATABASE_URL").unwrap())
                .unwrap();
        connection.batch_execute(&statement).unwrap();
    };
    let terminate =
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    cluster(format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false"));
    cluster(terminate);
    let started = Instant::now();
    let refused = world.get("/api/v1/notes", &tokens.access).await;
    assert!(started.elapsed() < Duration::from_secs(5));
    refused.refused_with("database_unavailable", "wait", false);
    assert!(refused.header("retry-after").is_some());
    world.refresh(&tokens.refresh).await.refused("database_unavailable");
    let login = json!({"username": "alice", "password": PASSWORD});
    world.ask(Method::POST, "/api/v1/auth/login").json(&login).send().await.refused("database_unavailable");
    assert_eq!(world.ask(Method::GET, "/readyz").send().await.status, 503);
    assert_eq!(world.ask(Method::GET, "/healthz").send().await.status, 200);
    assert_eq!(world.ask(Method::GET, "/.well-known/jwks.json").send().await.status, 200);
    world.get("/api/v1/notes", "nonsense").await.refused("token_malformed");
    world.ask(Method::GET, "/api/v1/notes").send().await.refused("credentials_missing");
    cluster(format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true"));
    assert_eq!(away, "away");
    assert_eq!(world.get("/api/v1/notes", &tokens.access).await.status, 200);
    assert_eq!(world.refresh(&tokens.refresh).await.status, 200, "nothing was spent");
}

#[actix_web::test]
async fn invalid_stored_hash_is_a_server_error() {
    let world = World::new().await;
    world.user("alice", "member");
    world.sql("UPDATE users SET password_hash = 'nonsense' WHERE username = 'alice'");
    let login = json!({"username": "alice", "password": PASSWORD});
    let refused = world.ask(Method::POST, "/api/v1/auth/login").json(&login).send().await;
    refused.refused("internal_error");
    assert!(!refused.body.to_string().contains("hash"));
}

#[actix_web::test]
async fn lock_timeout_returns_503_in_time() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let mut owner = world.connection();
    owner
        .batch_execute(
            "SET idle_in_transaction_session_timeout = 0; BEGIN; SELECT * FROM refresh_tokens FOR UPDATE",
        )
        .unwrap();
    let started = Instant::now();
    world.refresh(&tokens.refresh).await.refused("database_unavailable");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    owner.batch_execute("ROLLBACK").unwrap();
    assert_eq!(world.refresh(&tokens.refresh).await.status, 200);
}

#[actix_web::test]
async fn deadlocked_refresh_is_retried_and_succeeds() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let (mut owner, mut observer) = (world.connection(), world.connection());
    owner.batch_execute("SET idle_in_transaction_session_timeout = 0; BEGIN; LOCK TABLE roles").unwrap();
    // The refresh locks its own rows and then waits for the roles. The holder then asks for those rows.
    let holding = std::thread::spawn(move || {
        let waits = "DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
            AND wait_event_type = 'Lock' AND query LIKE '%UPDATE refresh_tokens%') LOOP PERFORM pg_sleep(0.01), pg_stat_clear_snapshot(); END LOOP; END $$";
        observer.batch_execute(waits).unwrap();
        owner.batch_execute("LOCK TABLE refresh_tokens; ROLLBACK").unwrap();
    });
    let refreshed = world.refresh(&tokens.refresh).await;
    holding.join().unwrap();
    assert_eq!(refreshed.status, 200, "{}", refreshed.body);
    assert_eq!(world.count("SELECT generation::bigint AS count FROM refresh_tokens"), 2);
    assert_eq!(world.events("refresh_repeated"), 0, "what the deadlock broke off had spent nothing");
}

#[actix_web::test]
async fn refresh_that_fails_in_a_batch_fails_alone() {
    let world = World::new().await;
    let mut tokens = Vec::new();
    for at in 0..12 {
        tokens.push(world.signed_in(&format!("user-{at}"), "member").await.refresh);
    }
    world.sql(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF NEW.session_id = (SELECT max(session_id::text)::uuid FROM refresh_tokens) THEN
                 RAISE EXCEPTION 'on purpose';
             END IF;
             RETURN NEW;
         END $$;
         CREATE TRIGGER fail BEFORE UPDATE ON refresh_tokens FOR EACH ROW EXECUTE FUNCTION fail()",
    );
    let answers = futures_util::future::join_all(tokens.iter().map(|token| world.refresh(token))).await;
    let failed: Vec<usize> = (0..12).filter(|at| answers[*at].status != 200).collect();
    assert_eq!(failed, [11]);
    answers[11].refused("internal_error");
}

#[actix_web::test]
async fn flood_of_sign_ins_is_shed_while_others_are_served() {
    let world = World::with(|settings| settings.bcrypt_cost = 11).await;
    let tokens = world.signed_in("alice", "member").await;
    // Each attempt uses another name, because attempts per name have their own limit.
    let body = |number| json!({"username": format!("nobody{number}"), "password": "a wrong pass phrase"});
    let sign_in = |number| world.ask(Method::POST, "/api/v1/auth/login").json(&body(number)).send();
    let flood = (0..120).map(sign_in);
    let (answers, read) = tokio::join!(futures_util::future::join_all(flood), async {
        world.get("/api/v1/notes", &tokens.access).await
    });
    assert_eq!(read.status, 200);
    let shed = answers.iter().filter(|answer| answer.status == 503).count();
    assert!(shed > 0, "the queue has a limit");
    for answer in answers {
        assert!([401, 503].contains(&answer.status), "{}", answer.body);
        if answer.status == 503 {
            assert!(answer.refused("overloaded").header("retry-after").is_some());
        }
    }
}

#[actix_web::test]
async fn search_that_times_out_asks_to_narrow_it() {
    let world = World::with(|settings| settings.database_connections = 2).await;
    let database = &world.state.core.database;
    let execute = |statement: &'static str| {
        move |connection: &mut _| diesel::sql_query(statement).execute(connection).map(|_| ())
    };
    for _ in 0..3 {
        let canceled = database.search(execute("SELECT pg_sleep(60)")).await.expect_err("too expensive");
        let refused = doorward::refusal::Refusal::from(canceled);
        assert_eq!(refused.code().as_str(), "overloaded");
        assert!(refused.detail().contains("Narrow it"), "{}", refused.detail());
        assert_eq!(refused.members()["retry_after"], 2);
    }
    database.search(execute("SELECT")).await.expect("a cheap one");
    let written = database.search(execute("DELETE FROM notes")).await;
    assert!(matches!(written, Err(DatabaseError::Unavailable(_))), "a search does not write: {written:?}");
    let wrong = database.search(execute("SELECT nonsense")).await;
    assert!(matches!(wrong, Err(DatabaseError::Statement(_))), "{wrong:?}");
}

#[actix_web::test]
async fn failed_registration_is_not_counted() {
    let world = World::with(|settings| {
        limit_tries(settings);
        settings.registration = doorward::config::Registration::Open;
    })
    .await;
    let register = async |name: String| {
        let body = json!({ "username": name, "password": PASSWORD });
        world.ask(Method::POST, "/api/v1/auth/register").json(&body).send().await
    };
    world.sql(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'on purpose'; END $$;
         CREATE TRIGGER fail BEFORE INSERT ON users EXECUTE FUNCTION fail()",
    );
    for at in 0..10 {
        register(format!("failed-{at}")).await.refused("internal_error");
    }
    world.sql("DROP TRIGGER fail ON users");
    for at in 0..10 {
        assert_eq!(register(format!("user-{at}")).await.status, 201);
    }
    register("one-more".to_owned()).await.refused("too_many_attempts");
}

#[actix_web::test]
async fn slow_body_is_cut_off() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let world = World::new().await;
    let address = world.base.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = "POST /api/v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = tokio::time::timeout(Duration::from_secs(15), stream.read(&mut answer)).await;
    let length = read.expect("an answer in time").unwrap();
    let text = String::from_utf8_lossy(&answer[..length]);
    assert!(text.starts_with("HTTP/1.1 400") && text.contains("malformed_json"), "{text}");
}
