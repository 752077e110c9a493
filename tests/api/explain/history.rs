//! The history of a session or token in an explanation. Each event appears once, in order, with the user who
//! caused it.

use std::time::Duration;

use chrono::TimeDelta;
use doorward::audit::Origin;
use doorward::database::transaction;
use doorward::sessions::{EndReason, SessionSelection, end_sessions};
use doorward_test::{PASSWORD, Tokens, World};
use reqwest::Method;
use serde_json::{Value, json};

const BEGUN: &str = "signed in (api session), by alice";
const USED: &str = "last used";
const EXPIRES: &str = "expires unless it is used before";

/// Returns the explanation that an admin sees.
async fn explained(world: &World, question: Value) -> Value {
    let admin = world.login("admin").await;
    let answer = world.post("/api/v1/auth/explain", &admin.access, question).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

async fn life_of(world: &World, token: &str) -> Vec<Value> {
    life(explained(world, json!({ "token": token })).await)
}

fn life(explanation: Value) -> Vec<Value> {
    explanation["history"].as_array().unwrap_or_else(|| panic!("no history: {explanation}")).clone()
}

/// Returns the events as a page prints them.
fn texts(life: &[Value]) -> Vec<String> {
    let text = |event: &Value| {
        let text = event["text"].as_str().unwrap();
        event["by"].as_str().map_or(text.to_owned(), |by| format!("{text}, by {by}"))
    };
    life.iter().map(text).collect()
}

/// Returns the event types.
fn types(life: &[Value]) -> Vec<&str> {
    life.iter().map(|event| event["event"].as_str().unwrap()).collect()
}

/// Refreshes a minute later.
async fn refreshed(world: &World, tokens: &Tokens) -> Tokens {
    world.advance(TimeDelta::minutes(1));
    Tokens::of(&world.refresh(&tokens.refresh).await)
}

#[actix_web::test]
async fn session_history_lists_its_events_and_those_of_its_user() {
    let world = World::new().await;
    let path = format!("/api/v1/users/{}", world.user("alice", "member"));
    let body = json!({ "username": "alice", "password": PASSWORD, "device": "a phone" });
    let first = world.login_with(body).await;
    let started = "signed in (api session) with a phone, by alice";
    assert_eq!(texts(&life_of(&world, &first.access).await), [started, EXPIRES]);
    let second = refreshed(&world, &first).await;
    let once = "refreshed";
    assert_eq!(texts(&life_of(&world, &second.access).await), [started, once, USED, EXPIRES]);
    let third = refreshed(&world, &second).await;
    let twice = "refreshed, 2 times in total";
    assert_eq!(texts(&life_of(&world, &third.access).await), [started, twice, USED, EXPIRES]);

    // Events that affect the session appear, whoever caused them. A change of the username and another
    // session's events do not.
    let change = async |body: Value| {
        world.advance(TimeDelta::minutes(1));
        let admin = world.login("admin").await;
        let changed = world.patch(&path, &admin.access, body).await;
        assert_eq!(changed.status, 200, "{}", changed.body);
    };
    change(json!({ "username": "alicia", "role": "viewer" })).await;
    let other = world.login("alicia").await;
    world.post("/api/v1/auth/step-up", &other.access, json!({ "password": PASSWORD })).await;
    change(json!({ "status": "disabled" })).await;
    change(json!({ "status": "active" })).await;
    let fourth = refreshed(&world, &third).await;
    world.advance(TimeDelta::minutes(1));
    let body = json!({ "current_password": PASSWORD, "new_password": "another unusual phrase" });
    assert_eq!(world.post("/api/v1/me/password", &fourth.access, body).await.status, 204);
    world.advance(TimeDelta::minutes(1));
    assert_eq!(world.post("/api/v1/auth/logout", &fourth.access, json!({})).await.status, 204);
    let of_user = ["the account was disabled, by admin", "the account was enabled, by admin"];
    let changed = "the password was changed, by alicia";
    assert_eq!(
        texts(&life_of(&world, &fourth.access).await),
        [
            started,
            "the user's role was changed, by admin",
            of_user[0],
            of_user[1],
            "refreshed, 3 times in total",
            USED,
            changed,
            "the session ended: logout, by alicia",
        ]
    );
    let ended = "the session ended: password changed, by alicia";
    let stepped_up = "the password was confirmed, by alicia";
    let renewed = "the session got a new refresh token";
    assert_eq!(
        texts(&life_of(&world, &other.access).await),
        ["signed in (api session), by alicia", stepped_up, renewed, of_user[0], of_user[1], ended, changed]
    );
}

#[actix_web::test]
async fn session_end_is_listed_once_even_without_audit_events() {
    let world = World::with(|settings| settings.refresh_token_ttl = Duration::from_secs(3_600)).await;
    let id = world.user("alice", "member");
    let mut ended = Vec::new();

    let signed_out = world.login("alice").await;
    world.advance(TimeDelta::minutes(1));
    let body = json!({ "refresh_token": signed_out.refresh });
    assert_eq!(world.ask(Method::POST, "/api/v1/auth/logout").json(&body).send().await.status, 204);
    ended.push((signed_out, "logout", Some("someone with its refresh token")));

    let from_elsewhere = world.login("alice").await;
    let elsewhere = world.login("alice").await;
    world.advance(TimeDelta::minutes(1));
    assert_eq!(world.delete("/api/v1/me/sessions", &elsewhere.access).await.status, 204);
    ended.push((from_elsewhere, "ended by user", Some("alice")));
    let admin = world.login("admin").await;
    assert_eq!(world.delete(&format!("/api/v1/users/{id}/sessions"), &admin.access).await.status, 204);
    ended.push((elsewhere, "ended by admin", Some("admin")));

    let by_command = world.login("alice").await;
    world.advance(TimeDelta::minutes(1));
    let command = transaction(&mut world.connection(), |connection| {
        end_sessions(
            connection,
            &SessionSelection::AllOf(id),
            EndReason::EndedByAdmin,
            &Origin::command_line(),
        )
    });
    assert_eq!(command.unwrap().len(), 1);
    ended.push((by_command, "ended by admin", Some("command line")));

    for (tokens, reason, by) in &ended {
        let by = by.map(|by| format!(", by {by}")).unwrap_or_default();
        let end = format!("the session ended: {reason}{by}");
        assert_eq!(texts(&life_of(&world, &tokens.access).await), [BEGUN, &end]);
    }

    // No one knows who replayed the token. The history of the request that ended the session has the end once
    // too.
    let first = world.login("alice").await;
    let second = refreshed(&world, &first).await;
    let third = refreshed(&world, &second).await;
    world.advance(TimeDelta::minutes(1));
    let reused = world.refresh(&first.refresh).await;
    reused.refused("refresh_token_reused");
    let twice = "refreshed, 2 times in total";
    let end = "a used refresh token was presented again, so the session was ended";
    assert_eq!(texts(&life_of(&world, &third.access).await), [BEGUN, twice, USED, end]);
    let of_request = life(explained(&world, json!({ "request_id": reused.text("request_id") })).await);
    assert_eq!(texts(&of_request), [BEGUN, twice, USED, end]);
    ended.push((third, "refresh token reused", None));

    // Without the events, the rows give the same history. This also holds for a live session, which ends only
    // if no one uses it.
    let body = json!({ "username": "alice", "password": PASSWORD, "device": "a phone" });
    let lives = world.login_with(body).await;
    world.sql("DELETE FROM audit_events");
    for (tokens, reason, _) in &ended {
        let life = life_of(&world, &tokens.access).await;
        assert_eq!(life[0]["address"], "127.0.0.1");
        let told = texts(&life);
        assert_eq!(told[0], "signed in (api session)");
        assert_eq!(told[told.len() - 1], format!("the session ended: {reason}"));
        let rotations: &[&str] = if *reason == "refresh token reused" { &[twice, USED] } else { &[] };
        assert_eq!(told[1..told.len() - 1], *rotations);
    }
    let started = "signed in (api session) with a phone";
    assert_eq!(texts(&life_of(&world, &lives.access).await), [started, EXPIRES]);
    world.advance(TimeDelta::hours(1));
    assert_eq!(texts(&life_of(&world, &lives.access).await), [started, "expired"]);
}

#[actix_web::test]
async fn token_history_omits_other_tokens_and_users() {
    let world = World::new().await;
    let path = format!("/api/v1/users/{}", world.user("alice", "member"));
    // These events happen before the token is created.
    let admin = world.login("admin").await;
    world.patch(&path, &admin.access, json!({ "status": "disabled" })).await;
    world.patch(&path, &admin.access, json!({ "status": "active" })).await;
    world.advance(TimeDelta::minutes(1));
    let alice = world.login("alice").await;
    let make = async |seconds: u32| {
        let body = json!({ "name": "a script", "scope": "notes:read", "expires_in": seconds });
        let made = world.post("/api/v1/me/tokens", &alice.access, body).await;
        (made.text("token"), made.text("id"))
    };
    let (lasting, id) = make(864_000).await;
    let (brief, _) = make(3_600).await;
    let made = "the token “a script” was created";
    assert_eq!(texts(&life_of(&world, &lasting).await), [format!("{made}, by alice"), "expires".to_owned()]);
    world.advance(TimeDelta::minutes(1));
    assert_eq!(world.get("/api/v1/notes", &lasting).await.status, 200);
    world.flush().await;
    world.advance(TimeDelta::minutes(1));
    let admin = world.login("admin").await;
    world.patch(&path, &admin.access, json!({ "username": "alicia", "role": "viewer" })).await;
    let bob = format!("/api/v1/users/{}", world.user("bob", "member"));
    world.patch(&bob, &admin.access, json!({ "status": "disabled" })).await;
    let used = ["personal_token_created", "last_used", "user_role_changed", "expires"];
    assert_eq!(types(&life_of(&world, &lasting).await), used);
    let unused = ["personal_token_created", "user_role_changed", "expires"];
    assert_eq!(types(&life_of(&world, &brief).await), unused);
    world.advance(TimeDelta::hours(1));
    let expired = ["personal_token_created", "user_role_changed", "expired"];
    assert_eq!(types(&life_of(&world, &brief).await), expired);
    let alicia = world.login("alicia").await;
    assert_eq!(world.delete(&format!("/api/v1/me/tokens/{id}"), &alicia.access).await.status, 204);
    let changed = "the user's role was changed, by admin";
    let revoked = "the token was revoked: revoked by user";
    assert_eq!(
        texts(&life_of(&world, &lasting).await),
        [format!("{made}, by alice"), USED.into(), changed.into(), format!("{revoked}, by alicia")]
    );
    assert_eq!(types(&life_of(&world, &brief).await), expired);

    // Without the events, the row gives the same history.
    world.sql("DELETE FROM audit_events");
    assert_eq!(texts(&life_of(&world, &lasting).await), [made, USED, revoked]);
    assert_eq!(texts(&life_of(&world, &brief).await), [made, "expired"]);
}

#[actix_web::test]
async fn history_lists_actions_only_for_their_subject_and_in_order() {
    let world = World::new().await;
    let path = format!("/api/v1/users/{}", world.user("alice", "member"));
    let alice = world.login("alice").await;
    let wrong = json!({ "current_password": "a wrong secret", "new_password": "another unusual phrase" });
    world.post("/api/v1/me/password", &alice.access, wrong).await.refused("validation_failed");
    let admin = world.login("admin").await;
    let both = json!({ "role": "viewer", "status": "disabled" });
    assert_eq!(world.patch(&path, &admin.access, both).await.status, 200);
    let new = json!({ "username": "new", "role": "member" });
    assert_eq!(world.post("/api/v1/users", &admin.access, new).await.status, 201);
    let told = ["the user's role was changed, by admin", "the account was disabled, by admin"];
    assert_eq!(
        texts(&life_of(&world, &alice.access).await),
        [BEGUN, "a wrong password was entered, by alice", told[0], told[1], EXPIRES]
    );
    assert_eq!(texts(&life_of(&world, &admin.access).await), ["signed in (api session), by admin", EXPIRES]);
}

#[actix_web::test]
async fn request_explanation_adds_the_events_of_the_request() {
    let world = World::new().await;
    let alice = world.user("alice", "member");
    let tokens = world.login("alice").await;
    let admin = world.login("admin").await;
    world.advance(TimeDelta::minutes(1));
    let path = format!("/api/v1/users/{alice}/sessions");
    let ending =
        world.ask(Method::DELETE, &path).bearer(&admin.access).header("x-doorward-trace", "1").send().await;
    assert_eq!(ending.status, 204);
    let question = json!({ "request_id": ending.header("x-request-id") });
    let (started, end) = ("signed in (api session), by admin", "the session ended: ended by admin, by admin");
    assert_eq!(texts(&life(explained(&world, question).await)), [started, end, EXPIRES]);
    assert_eq!(texts(&life_of(&world, &tokens.access).await), [BEGUN, end]);
    // The event is only in the history of the request's caller.
    assert_eq!(texts(&life_of(&world, &admin.access).await), [started, EXPIRES]);

    let wrong = json!({ "username": "alice", "password": "a wrong secret" });
    let failed = world.ask(Method::POST, "/api/v1/auth/login").json(&wrong).send().await;
    failed.refused("invalid_credentials");
    let question = json!({ "request_id": failed.text("request_id") });
    assert_eq!(texts(&life(explained(&world, question).await)), ["a sign-in failed"]);
}
