//! Checks the routes for doorward's own promises.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use doorward::config::SimplejwtRoutes;
use doorward::refusal::Code;
use doorward_test::{PASSWORD, PUBLIC_URL, World};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::{BLACKLIST, OBTAIN, REFRESH, SimplejwtAnswer, SimplejwtClient, world};

const VERIFY: &str = "/api/token/verify/";

fn claims(token: &str) -> Value {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

// The setting.

#[actix_web::test]
async fn paths_are_unknown_when_the_setting_is_off() {
    let world = World::new().await;
    world.user("alice", "member");
    for path in [OBTAIN, REFRESH, VERIFY, BLACKLIST] {
        let body = json!({"username": "alice", "password": PASSWORD});
        world.ask_simplejwt(path, body).await.refused("not_found");
        world.ask(Method::GET, path).send().await.refused("not_found");
    }
    assert_eq!(world.count("SELECT count(*) FROM sessions"), 0);
}

// Sessions.

#[actix_web::test]
async fn token_pair_belongs_to_an_ordinary_session() {
    let world = world(SimplejwtRoutes::On).await;
    let id = world.user("alice", "member");
    let (access, refresh) = world.pair("alice").await;
    let told = claims(&access);
    assert_eq!((&told["token_type"], &told["user_id"]), (&json!("access"), &json!(id.to_string())));
    assert_eq!((&told["sub"], &told["iss"]), (&json!(id.to_string()), &json!(PUBLIC_URL)));
    assert_eq!(claims(&world.renew(&refresh).await.text("access"))["token_type"], "access");
    let of_login = claims(&world.login("alice").await.access);
    assert!(of_login.get("token_type").is_none() && of_login.get("user_id").is_none(), "{of_login}");
    let listed = world.get("/api/v1/me/sessions", &access).await;
    assert_eq!(listed.body["items"].as_array().unwrap().len(), 2, "{}", listed.body);
    assert!(listed.body["items"].as_array().unwrap().iter().any(|session| session["current"] == true));
    assert_eq!(world.refresh(&refresh).await.status, 200, "the other door takes it too");
    let answer = world.ask_simplejwt(VERIFY, json!({"token": refresh})).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
}

#[actix_web::test]
async fn blacklisting_ends_the_session_everywhere_at_once() {
    let world = world(SimplejwtRoutes::On).await;
    let other = world.another_node().await;
    world.user("alice", "member");
    let (access, refresh) = world.pair("alice").await;
    let at_once = (0..20).map(|_| world.ask_simplejwt(BLACKLIST, json!({"refresh": refresh})));
    let answers = join_all(at_once).await;
    let good = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(good, 1, "{answers:?}");
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        answer.token_not_valid("Token is blacklisted");
    }
    assert_eq!(world.events("session_ended"), 1);
    for node in [&world, &other] {
        node.get("/api/v1/me", &access).await.refused_with("session_ended", "login", true);
    }
    world.renew(&refresh).await.token_not_valid("Token is blacklisted");
    world.refresh(&refresh).await.refused("session_ended");
    let verified = world.ask_simplejwt(VERIFY, json!({"token": access})).await;
    assert_eq!(
        (verified.status, verified.body),
        (400, json!({"non_field_errors": ["Token is blacklisted"]}))
    );
}

// A refresh that keeps the refresh token.

#[actix_web::test]
async fn simultaneous_refreshes_of_a_kept_token_do_not_rotate_it() {
    let world = world(SimplejwtRoutes::On).await;
    world.user("alice", "member");
    let (_, refresh) = world.pair("alice").await;
    let answers = join_all((0..20).map(|_| world.renew(&refresh))).await;
    for answer in &answers {
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.body.as_object().unwrap().len(), 1, "access alone: {}", answer.body);
        assert_eq!(world.get("/api/v1/me", &answer.text("access")).await.status, 200);
    }
    assert_eq!(world.generation(), 1);
    assert_eq!(world.events("refresh_repeated") + world.events("refresh_token_reused"), 0);
}

#[actix_web::test]
async fn refreshed_session_stays_in_use_until_its_absolute_end() {
    let world = world(SimplejwtRoutes::On).await;
    world.user("alice", "member");
    let (_, refresh) = world.pair("alice").await;
    for _ in 0..3 {
        world.advance(TimeDelta::days(29));
        let answer = world.renew(&refresh).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        world.flush().await;
        let idle =
            "SELECT round(extract(epoch FROM clock.now() - last_used_at))::bigint AS count FROM sessions";
        assert!(world.count(idle) < 60, "it stands in the list as just used");
    }
    world.advance(TimeDelta::days(4));
    world.renew(&refresh).await.token_not_valid("Token is expired");
    let (_, idle) = world.pair("alice").await;
    world.advance(TimeDelta::days(31));
    world.renew(&idle).await.token_not_valid("Token is expired");
}

#[actix_web::test]
async fn replayed_token_with_a_used_successor_ends_the_session() {
    let world = world(SimplejwtRoutes::On).await;
    world.user("alice", "member");
    let (_, first) = world.pair("alice").await;
    let second = world.refresh(&first).await;
    assert_eq!(world.get("/api/v1/me", &second.text("access_token")).await.status, 200);
    world.flush().await;
    world.advance(TimeDelta::minutes(1));
    // Verifying a token neither reveals anything nor counts as presenting it.
    assert_eq!(world.ask_simplejwt(VERIFY, json!({"token": first})).await.status, 200);
    assert_eq!(world.events("refresh_token_reused"), 0);
    world.renew(&first).await.token_not_valid("Token is blacklisted");
    assert_eq!(world.events("refresh_token_reused"), 1);
    world.get("/api/v1/me", &second.text("access_token")).await.refused("session_ended");
    world.renew(&second.text("refresh_token")).await.token_not_valid("Token is blacklisted");
}

#[actix_web::test]
async fn client_without_the_successor_continues_with_its_token() {
    let world = world(SimplejwtRoutes::On).await;
    world.user("alice", "member");
    let (_, first) = world.pair("alice").await;
    let lost = world.refresh(&first).await;
    for _ in 0..3 {
        world.advance(TimeDelta::days(20));
        let answer = world.renew(&first).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        // The client received and uses this response. That does not prove that the other response arrived.
        assert_eq!(world.get("/api/v1/me", &answer.text("access")).await.status, 200);
        world.flush().await;
    }
    assert_eq!(world.generation(), 2, "nothing more was spent");
    // Once the successor is used after all, one of the two clients has a copy.
    assert_eq!(world.refresh(&lost.text("refresh_token")).await.status, 200);
    world.advance(TimeDelta::minutes(1));
    world.renew(&first).await.token_not_valid("Token is blacklisted");
}

#[actix_web::test]
async fn row_set_back_in_time_follows_the_kept_token() {
    let world = world(SimplejwtRoutes::On).await;
    world.user("alice", "member");
    let (_, first) = world.pair("alice").await;
    let second = world.refresh(&first).await.text("refresh_token");
    let third = world.refresh(&second).await.text("refresh_token");
    world.sql_and_clear_cache(
        "UPDATE refresh_tokens SET generation = 1, used_generation = 1, rotated_at = '{}'",
    );
    assert_eq!(world.renew(&third).await.status, 200);
    assert_eq!(world.generation(), 3);
    assert_eq!(world.renew(&third).await.status, 200);
    world.renew(&second).await.token_not_valid("Token is blacklisted");
}

#[actix_web::test]
async fn role_change_applies_to_the_next_access_token() {
    let world = world(SimplejwtRoutes::On).await;
    let id = world.user("alice", "member");
    let (access, refresh) = world.pair("alice").await;
    let admin = world.login("admin").await;
    world.patch(&format!("/api/v1/users/{id}"), &admin.access, json!({"role": "viewer"})).await;
    world.get("/api/v1/notes", &access).await.refused("token_revoked");
    let verified = world.ask_simplejwt(VERIFY, json!({"token": access})).await;
    assert_eq!(
        (verified.status, verified.body),
        (400, json!({"non_field_errors": ["Token is blacklisted"]}))
    );
    assert_eq!(world.ask_simplejwt(VERIFY, json!({"token": refresh})).await.status, 200);
    let renewed = world.renew(&refresh).await.text("access");
    assert_eq!(claims(&renewed)["scope"], "account:read account:write notes:read");
    assert_eq!(world.get("/api/v1/notes", &renewed).await.status, 200);
}

// A refresh that rotates the refresh token.

#[actix_web::test]
async fn simultaneous_rotations_make_one_successor() {
    let world = world(SimplejwtRoutes::Rotate).await;
    world.user("alice", "member");
    let (_, refresh) = world.pair("alice").await;
    let answers = join_all((0..20).map(|_| world.renew(&refresh))).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    let successors: BTreeSet<String> = answers.iter().map(|answer| answer.text("refresh")).collect();
    assert_eq!((successors.len(), world.generation()), (1, 2));
    assert_eq!(world.renew(successors.first().unwrap()).await.status, 200);
}

// Refusals.

#[actix_web::test]
async fn refusal_in_simplejwt_words_is_explained_with_its_code() {
    let world = world(SimplejwtRoutes::On).await;
    let id = world.user("alice", "member");
    let admin = world.login("admin").await;
    let (access, refresh) = world.pair("alice").await;
    let wrong = json!({"username": "alice", "password": "wrong, but long enough"});
    let mut refused = vec![
        (world.ask_simplejwt(OBTAIN, wrong).await, 401, "invalid_credentials", "signature"),
        (world.ask_simplejwt(OBTAIN, json!({"username": ["alice"]})).await, 400, "validation_failed", "none"),
        (world.ask(Method::GET, OBTAIN).send().await, 405, "method_not_allowed", "none"),
        (world.renew(&access).await, 401, "token_type_mismatch", "type"),
        (world.renew("dwr_nonsense").await, 401, "token_malformed", "form"),
        (world.ask_simplejwt(VERIFY, json!({"token": "a.b.c"})).await, 401, "token_malformed", "form"),
    ];
    world.sql_and_clear_cache(&format!("UPDATE users SET status = 'disabled' WHERE id = '{id}'"));
    let right = json!({"username": "alice", "password": PASSWORD});
    refused.push((world.ask_simplejwt(OBTAIN, right).await, 401, "account_disabled", "user"));
    refused.push((world.renew(&refresh).await, 401, "account_disabled", "user"));
    world.sql_and_clear_cache(&format!("UPDATE users SET status = 'active' WHERE id = '{id}'"));
    assert_eq!(world.ask_simplejwt(BLACKLIST, json!({"refresh": refresh})).await.status, 200);
    refused.push((world.renew(&refresh).await, 401, "session_ended", "session"));
    refused.push((
        world.ask_simplejwt(VERIFY, json!({"token": access})).await,
        400,
        "session_ended",
        "session",
    ));
    refused.push((
        world.ask_simplejwt(BLACKLIST, json!({"refresh": refresh})).await,
        401,
        "session_ended",
        "session",
    ));
    for (answer, status, code, check) in refused {
        assert_eq!(answer.status, status, "{code}: {}", answer.body);
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{code}");
        let request_id = answer.header("x-request-id").expect("an id");
        let explained =
            world.post("/api/v1/auth/explain", &admin.access, json!({"request_id": request_id})).await;
        assert_eq!(explained.status, 200, "{code}: {}", explained.body);
        assert_eq!(explained.body["problem"]["code"], code);
        assert_eq!(explained.body["request"]["status"], status, "the status that was answered");
        let failed = explained.body["checks"].as_array().unwrap().iter();
        let failed = failed.filter(|line| line["outcome"] == "failed").map(|line| &line["check"]);
        let failed: Vec<&str> = failed.map(|check| check.as_str().unwrap()).collect();
        assert_eq!(failed, if check == "none" { Vec::new() } else { vec![check] }, "{code}");
    }
    assert_eq!((world.events("login_succeeded"), world.events("login_failed")), (2, 2));
}

#[actix_web::test]
async fn personal_token_is_refused_as_the_wrong_type() {
    let world = world(SimplejwtRoutes::On).await;
    world.user("alice", "member");
    let (access, _) = world.pair("alice").await;
    let (personal, _) = world.personal_token(&access, "notes:read").await;
    world.renew(&personal).await.token_not_valid("Token has wrong type");
    world.ask_simplejwt(VERIFY, json!({"token": personal})).await.token_not_valid("Token has wrong type");
    world
        .ask_simplejwt(BLACKLIST, json!({"refresh": personal}))
        .await
        .token_not_valid("Token has wrong type");
    assert_eq!(world.get("/api/v1/notes", &personal).await.status, 200, "it lives");
}

#[actix_web::test]
async fn token_of_a_deleted_session_is_invalid() {
    let world = world(SimplejwtRoutes::On).await;
    world.user("alice", "member");
    let (_, refresh) = world.pair("alice").await;
    world.sql_and_clear_cache("DELETE FROM sessions");
    world.renew(&refresh).await.token_not_valid("Token is invalid");
    world.ask_simplejwt(VERIFY, json!({"token": refresh})).await.token_not_valid("Token is invalid");
    world.ask_simplejwt(BLACKLIST, json!({"refresh": refresh})).await.token_not_valid("Token is invalid");
}

#[actix_web::test]
async fn unavailable_database_returns_503() {
    let world = world(SimplejwtRoutes::On).await;
    world.user("alice", "member");
    let (access, refresh) = world.pair("alice").await;
    let name = world.text("SELECT current_database()::text AS text");
    let cluster = |statement: String| {
        use diesel::connection::SimpleConnection;
        let url = std::env::var("DOORWARD_TEST_DATABASE_URL").unwrap();
        doorward::database::Database::connect(&url).unwrap().batch_execute(&statement).unwrap();
    };
    cluster(format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false"));
    cluster(format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"));
    let sign_in = json!({"username": "alice", "password": PASSWORD});
    for (path, body) in [
        (OBTAIN, sign_in),
        (REFRESH, json!({"refresh": refresh})),
        (VERIFY, json!({"token": access})),
        (VERIFY, json!({"token": refresh})),
        (BLACKLIST, json!({"refresh": refresh})),
    ] {
        let answer = world.ask_simplejwt(path, body).await;
        assert_eq!((answer.status, &answer.body["code"]), (503, &json!("database_unavailable")), "{path}");
        assert!(answer.body["detail"].is_string() && answer.header("retry-after").is_some(), "{path}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert!(answer.challenges().is_empty());
    }
    world.ask_simplejwt(REFRESH, json!({"refresh": "abc"})).await.token_not_valid("Token is invalid");
    cluster(format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true"));
}

#[actix_web::test]
async fn oversized_body_is_refused_with_the_limit() {
    let world = world(SimplejwtRoutes::On).await;
    let answer = world.ask_simplejwt(OBTAIN, json!({"username": "x".repeat(70_000)})).await;
    assert_eq!(answer.status, 413);
    assert!(answer.text("detail").contains("65536"), "{}", answer.body);
}

// The page for users of Django REST framework.

#[test]
fn migration_page_names_only_existing_codes() {
    let page = include_str!("../../../docs/django-rest-framework.md");
    let named: BTreeSet<&str> =
        page.split("](/problems/").skip(1).map(|rest| rest.split(')').next().unwrap()).collect();
    assert!(named.len() > 20, "{named:?}");
    for name in named {
        assert!(Code::parse(name).is_some(), "{name}");
        assert!(
            page.contains(&format!("[`{name}`](/problems/{name})")),
            "{name}: the link is called otherwise"
        );
    }
}
