//! Concurrent changes of one account happen one after the other, and the second one sees the result of the
//! first.

use diesel::PgConnection;
use diesel::connection::SimpleConnection;
use doorward::users::password::{PasswordHash, PlainPassword};
use doorward_test::{Answer, COST, PASSWORD, Tokens, World};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

const NEW: &str = "another unusual pass phrase";
const HOLD: &str = "SELECT FROM users WHERE username = 'alice' FOR NO KEY UPDATE";

/// Opens a transaction that has run these statements and does not end.
fn hold(world: &World, statements: &str) -> PgConnection {
    let mut owner = world.connection();
    owner
        .batch_execute(&format!("SET idle_in_transaction_session_timeout = 0; BEGIN; {statements}"))
        .unwrap();
    owner
}

/// Waits until this many statements wait for locks.
async fn waiting(world: &World, count: u32) {
    let mut observer = world.connection();
    let waits = format!(
        "SET statement_timeout = '30s'; DO $$ BEGIN WHILE (SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock') < {count}
         LOOP PERFORM pg_sleep(0.01), pg_stat_clear_snapshot(); END LOOP; END $$"
    );
    let waited = actix_web::rt::task::spawn_blocking(move || observer.batch_execute(&waits));
    waited.await.unwrap().expect("they wait");
}

/// Returns the response to a request that had to wait for a transaction with these statements.
async fn overtaken(world: &World, by: &str, request: impl Future<Output = Answer>) -> Answer {
    let mut owner = hold(world, by);
    let commit = async {
        waiting(world, 1).await;
        owner.batch_execute("COMMIT").unwrap();
    };
    tokio::join!(request, commit).0
}

/// Returns the responses to two requests, the second of which arrived while the first was being processed.
async fn in_turn(
    world: &World,
    first: impl Future<Output = Answer>,
    second: impl Future<Output = Answer>,
) -> (Answer, Answer) {
    let mut owner = hold(world, HOLD);
    let second = async {
        waiting(world, 1).await;
        second.await
    };
    let commit = async {
        waiting(world, 2).await;
        owner.batch_execute("COMMIT").unwrap();
    };
    let (first, second, ()) = tokio::join!(first, second, commit);
    (first, second)
}

/// Returns the statement that stores the same password with a new hash, as a sign-in does if the cost has
/// changed.
fn upgrade() -> String {
    let hash = PasswordHash::new(&PlainPassword::new(PASSWORD), COST).expect("a hash");
    format!("UPDATE users SET password_hash = '{}' WHERE username = 'alice'", hash.expose())
}

async fn step_up(world: &World, access: &str) -> Answer {
    world.post("/api/v1/auth/step-up", access, json!({ "password": PASSWORD })).await
}

async fn change_password(world: &World, access: &str) -> Answer {
    let body = json!({"current_password": PASSWORD, "new_password": NEW, "revoke_tokens": true});
    world.post("/api/v1/me/password", access, body).await
}

async fn make_token(world: &World, access: &str) -> Answer {
    world.post("/api/v1/me/tokens", access, json!({"name": "a script", "scope": "notes:read"})).await
}

#[actix_web::test]
async fn password_rehashed_during_the_request_is_verified_again() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    world.advance(chrono::TimeDelta::minutes(16));
    let access = world.refresh(&tokens.refresh).await.text("access_token");
    make_token(&world, &access).await.refused("authentication_too_old");
    let stepped_up = overtaken(&world, &upgrade(), step_up(&world, &access)).await;
    assert_eq!(stepped_up.status, 200, "{}", stepped_up.body);
    assert_eq!(make_token(&world, &stepped_up.text("access_token")).await.status, 201);
    let changed = overtaken(&world, &upgrade(), change_password(&world, &access)).await;
    assert_eq!(changed.status, 204, "{}", changed.body);
    world.login_with(json!({"username": "alice", "password": NEW})).await;
}

/// A verifier that does not ask the server relies on the scope alone.
#[actix_web::test]
async fn step_up_token_carries_the_scope_of_the_current_role() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "admin").await;
    let demote = "UPDATE users SET role = 'member', version = version + 1 WHERE username = 'alice'";
    let stepped_up = overtaken(&world, demote, step_up(&world, &tokens.access)).await;
    assert_eq!(stepped_up.status, 200, "{}", stepped_up.body);
    let access = stepped_up.text("access_token");
    let claims: Value = jsonwebtoken::dangerous::insecure_decode(&access).unwrap().claims;
    let of_role = "SELECT array_to_string(ARRAY(SELECT unnest(permissions) ORDER BY 1), ' ') AS text \
                   FROM roles WHERE name = 'member'";
    assert_eq!(claims["scope"], world.text(of_role));
    assert_eq!(stepped_up.body["scope"], claims["scope"]);
    assert_eq!(world.get("/api/v1/me", &access).await.status, 200);
}

#[actix_web::test]
async fn step_up_omits_a_permission_revoked_during_the_request() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let demoted = "UPDATE users SET role = 'viewer', version = version + 1 WHERE username = 'alice'";
    let stepped_up = overtaken(&world, demoted, step_up(&world, &tokens.access)).await;
    assert_eq!(stepped_up.status, 200, "{}", stepped_up.body);
    assert_eq!(stepped_up.body["scope"], "account:read account:write notes:read");
    let me = world.get("/api/v1/me", &stepped_up.text("access_token")).await;
    assert_eq!(me.body["credential"]["scope"], json!(["account:read", "account:write", "notes:read"]));
}

#[actix_web::test]
async fn password_replaced_during_the_request_is_wrong() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let hash = PasswordHash::new(&PlainPassword::new(NEW), COST).expect("a hash");
    let by = format!("UPDATE users SET password_hash = '{}' WHERE username = 'alice'", hash.expose());
    let refused = overtaken(&world, &by, step_up(&world, &tokens.access)).await;
    assert_eq!(refused.refused("validation_failed").body["errors"][0]["code"], "wrong_password");
    assert_eq!(world.events("step_up_failed"), 1);
    world.login_with(json!({"username": "alice", "password": NEW})).await;
}

#[actix_web::test]
async fn caller_who_loses_access_while_waiting_gets_the_exact_refusal() {
    type Request = for<'a> fn(&'a World, &'a str) -> futures_util::future::LocalBoxFuture<'a, Answer>;
    let requests: [Request; 3] = [
        |world, access| Box::pin(step_up(world, access)),
        |world, access| Box::pin(change_password(world, access)),
        |world, access| Box::pin(make_token(world, access)),
    ];
    let ended = format!("{HOLD}; UPDATE sessions SET ended_at = now(), ended_reason = 'ended_by_admin'");
    let gone = format!("{HOLD}; DELETE FROM sessions");
    for (by, code, action, terminal, reason) in [
        (ended.as_str(), "session_ended", "login", true, json!("ended_by_admin")),
        (gone.as_str(), "session_ended", "login", true, json!("unknown")),
        (
            "UPDATE users SET status = 'disabled' WHERE username = 'alice'",
            "account_disabled",
            "contact_admin",
            false,
            Value::Null,
        ),
        ("DELETE FROM users WHERE username = 'alice'", "account_deleted", "contact_admin", true, Value::Null),
    ] {
        for request in requests {
            let world = World::new().await;
            let tokens = world.signed_in("alice", "member").await;
            let refused = overtaken(&world, by, request(&world, &tokens.access)).await;
            refused.refused_with(code, action, terminal);
            assert_eq!(refused.body.get("reason").cloned().unwrap_or_default(), reason, "{by}");
            let made = "SELECT count(*) FROM personal_tokens";
            assert_eq!((world.count(made), world.events("password_changed")), (0, 0), "{by}");
        }
    }
}

#[actix_web::test]
async fn token_creation_is_refused_after_a_password_change() {
    let world = World::new().await;
    let owner = world.signed_in("alice", "member").await;
    let thief = world.login("alice").await;
    let (changed, refused) =
        in_turn(&world, change_password(&world, &owner.access), make_token(&world, &thief.access)).await;
    assert_eq!(changed.status, 204, "{}", changed.body);
    assert_eq!(refused.refused("session_ended").body["reason"], "password_changed");
    assert_eq!(world.get("/api/v1/me/tokens", &owner.access).await.body["items"], json!([]));
}

#[actix_web::test]
async fn token_created_before_a_password_change_is_revoked_by_it() {
    let world = World::new().await;
    let owner = world.signed_in("alice", "member").await;
    let thief = world.login("alice").await;
    let (made, changed) =
        in_turn(&world, make_token(&world, &thief.access), change_password(&world, &owner.access)).await;
    assert_eq!((made.status, changed.status), (201, 204), "{} {}", made.body, changed.body);
    let refused = world.get("/api/v1/notes", &made.text("token")).await;
    assert_eq!(refused.refused("token_revoked").body["reason"], "password_changed");
}

#[actix_web::test]
async fn creation_during_account_deletion_is_refused() {
    let world = World::new().await;
    let admin = world.login("admin").await.access;
    let id = world.user("alice", "member");
    let tokens = world.login("alice").await;
    let path = format!("/api/v1/users/{id}");
    let (deleted, refused) =
        in_turn(&world, world.delete(&path, &admin), make_token(&world, &tokens.access)).await;
    assert_eq!(deleted.status, 204, "{}", deleted.body);
    refused.refused("account_deleted");
    let tokens = world.signed_in("alice", "member").await;
    let note = world.post("/api/v1/notes", &tokens.access, json!({"title": "late", "body": ""}));
    let refused = overtaken(&world, "DELETE FROM users WHERE username = 'alice'", note).await;
    refused.refused_with("account_deleted", "contact_admin", true);
}

#[actix_web::test]
async fn session_limit_holds_for_twenty_simultaneous_sign_ins() {
    let world = World::with(|settings| {
        settings.max_sessions = 3;
        settings.database_connections = 28;
    });
    let world = world.await;
    world.user("alice", "member");
    // None of them sees another's session when it starts.
    let mut owner = hold(&world, HOLD);
    let commit = async {
        waiting(&world, 20).await;
        owner.batch_execute("COMMIT").unwrap();
    };
    let sessions: Vec<Tokens> = tokio::join!(join_all((0..20).map(|_| world.login("alice"))), commit).0;
    let mut live = 0;
    for tokens in &sessions {
        let answer = world.get("/api/v1/me", &tokens.access).await;
        if answer.status == 200 {
            live += 1;
        } else {
            assert_eq!(answer.refused("session_ended").body["reason"], "too_many_sessions");
        }
    }
    assert_eq!(live, 3);
}

#[actix_web::test]
async fn only_one_of_twenty_simultaneous_links_sets_the_password() {
    let world = World::with(|settings| settings.database_connections = 28).await;
    let admin = world.login("admin").await.access;
    let path = format!("/api/v1/users/{}/password", world.user("alice", "member"));
    // All of them have started before the first link is created.
    let mut owner = hold(&world, "LOCK TABLE password_links IN SHARE MODE");
    let commit = async {
        waiting(&world, 20).await;
        owner.batch_execute("COMMIT").unwrap();
    };
    let links = (0..20).map(|_| world.post(&path, &admin, json!({"link": true})));
    let made = tokio::join!(join_all(links), commit).0;
    let mut live = Vec::new();
    for answer in &made {
        let path = answer.text("link").strip_prefix("http://doorward.test").unwrap().to_owned();
        if world.ask(Method::GET, &path).send().await.status == 200 {
            live.push(path);
        }
    }
    let [path] = live.as_slice() else { panic!("{live:?}") };
    let ask = world.ask(Method::POST, path).header("content-type", "application/x-www-form-urlencoded");
    let set = ask.body("new_password=a+phrase+of+my+own&again=a+phrase+of+my+own").send().await;
    assert_eq!(set.status, 200, "{}", set.body);
    world.login_with(json!({"username": "alice", "password": "a phrase of my own"})).await;
}

#[actix_web::test]
async fn user_promoted_during_a_request_is_protected_from_a_helpdesk() {
    let world = World::new().await;
    world.sql(
        "INSERT INTO roles VALUES ('helpdesk', ARRAY['account:read', 'account:write', 'users:read', 'users:write'])",
    );
    let help = world.signed_in("help", "helpdesk").await.access;
    let path = format!("/api/v1/users/{}", world.user("alice", "helpdesk"));
    let tokens = world.login("alice").await;
    let promoted = "UPDATE users SET role = 'admin' WHERE username = 'alice'";
    let (password, sessions) = (format!("{path}/password"), format!("{path}/sessions"));
    for body in [json!({"new_password": NEW}), json!({"link": true})] {
        overtaken(&world, promoted, world.post(&password, &help, body)).await.refused("permission_denied");
        world.sql_and_clear_cache("UPDATE users SET role = 'helpdesk' WHERE username = 'alice'");
    }
    overtaken(&world, promoted, world.delete(&sessions, &help)).await.refused("permission_denied");
    assert_eq!(world.get("/api/v1/me", &tokens.access).await.status, 200);
    world.login("alice").await;
}
