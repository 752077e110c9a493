//! The account pages for profile, password, sessions, tokens and activity.

use doorward_test::{Browser, PASSWORD, World};
use reqwest::Method;
use serde_json::json;

use super::html;

#[actix_web::test]
async fn profile_is_changed_and_errors_keep_the_typed_fields() {
    let world = World::new().await;
    world.user("alice", "member");
    world.user("bob", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    let wrong = [("username", "Alice2"), ("email", "not an address"), ("current_password", PASSWORD)];
    let answer = browser.fill_in("/account", "/account", &wrong).await;
    assert_eq!(answer.status, 422);
    assert!(html(&answer).contains("value=\"Alice2\"") && html(&answer).contains("value=\"not an address\""));
    let taken = [("username", "BOB"), ("email", ""), ("current_password", PASSWORD)];
    let answer = browser.fill_in("/account", "/account", &taken).await;
    assert!(answer.status == 422 && html(&answer).contains("already in use"), "{}", html(&answer));
    let wrong = [("username", "alice2"), ("email", ""), ("current_password", "wrong")];
    let answer = browser.fill_in("/account", "/account", &wrong).await;
    assert!(answer.status == 422 && html(&answer).contains("not the account"), "{}", html(&answer));
    let good = [("username", "alice2"), ("email", "al@example.com"), ("current_password", PASSWORD)];
    let answer = browser.fill_in("/account", "/account", &good).await;
    assert!(answer.status == 200 && html(&answer).contains("saved"), "{}", html(&answer));
    assert_eq!(
        world.count("SELECT count(*) FROM users WHERE username = 'alice2' AND email = 'al@example.com'"),
        1
    );
}

#[actix_web::test]
async fn new_password_ends_all_other_sessions() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    let other = Browser::signed_in(&world, "alice").await;
    let api = world.login("alice").await;
    let page = "/account/password";
    let fields = |new: &'static str, again: &'static str| {
        [("current_password", PASSWORD), ("new_password", new), ("again", again)]
    };
    let answer = browser.fill_in(page, page, &fields("another pass phrase", "a different one")).await;
    assert!(answer.status == 422 && html(&answer).contains("not the same"));
    let answer = browser.fill_in(page, page, &fields("short", "short")).await;
    assert!(answer.status == 422 && html(&answer).contains("12 characters"));
    let answer = browser.fill_in(page, page, &fields("another pass phrase", "another pass phrase")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(browser.get("/account").await.status, 200);
    let refused = other.ask(Method::GET, "/api/v1/me").send().await;
    assert_eq!(refused.refused("session_ended").body["reason"], "password_changed");
    world.get("/api/v1/me", &api.access).await.refused("session_ended");
}

#[actix_web::test]
async fn sessions_page_lists_and_ends_own_sessions() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    let api = world.login("alice").await;
    let page = browser.get("/account/sessions").await;
    assert!(html(&page).contains("This one") && html(&page).contains("API client"), "{}", html(&page));
    let id = world.text("SELECT id::text AS text FROM sessions WHERE kind = 'api'");
    let answer = browser.fill_in("/account/sessions", &format!("/account/sessions/{id}/end"), &[]).await;
    assert_eq!(answer.header("location"), Some("/account/sessions"));
    world.get("/api/v1/me", &api.access).await.refused("session_ended");
    let other = Browser::signed_in(&world, "alice").await;
    browser.fill_in("/account/sessions", "/account/sessions/end-others", &[]).await;
    other.ask(Method::GET, "/api/v1/me").send().await.refused("session_ended");
    assert!(html(&browser.get("/account/sessions").await).contains("signed in nowhere else"));
    // A user cannot end another user's session.
    world.user("bob", "member");
    let bob = world.login("bob").await;
    let id = world.text("SELECT id::text AS text FROM sessions WHERE ended_at IS NULL AND kind = 'api'");
    browser.fill_in("/account/sessions", &format!("/account/sessions/{id}/end"), &[]).await;
    assert_eq!(world.get("/api/v1/me", &bob.access).await.status, 200);
}

#[actix_web::test]
async fn personal_token_is_created_shown_once_and_revoked() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    assert!(html(&browser.get("/account/tokens").await).contains("You have no personal tokens"));
    let new = "/account/tokens/new";
    let answer = browser.fill_in(new, new, &[("name", "backup"), ("days", "30")]).await;
    assert!(
        answer.status == 422
            && html(&answer).contains("at least one")
            && html(&answer).contains("value=\"backup\"")
    );
    let answer =
        browser.fill_in(new, new, &[("name", "backup"), ("scope", "account:write"), ("days", "30")]).await;
    assert_eq!(answer.status, 422, "no token may carry it");
    let fields = [("name", "backup"), ("scope", "notes:read"), ("scope", "account:read"), ("days", "30")];
    let answer = browser.fill_in(new, new, &fields).await;
    assert_eq!(answer.status, 201);
    let token = html(&answer).split("value=\"dwp_").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let token = format!("dwp_{token}");
    let me = world.get("/api/v1/me", &token).await;
    assert_eq!(me.body["credential"]["scope"], json!(["account:read", "notes:read"]));
    let list = browser.get("/account/tokens").await;
    assert!(html(&list).contains("backup") && !html(&list).contains(&token));
    let id = world.text("SELECT id::text AS text FROM personal_tokens");
    browser.fill_in("/account/tokens", &format!("/account/tokens/{id}/revoke"), &[]).await;
    world.get("/api/v1/me", &token).await.refused_with("token_revoked", "login", true);
}

#[actix_web::test]
async fn activity_shows_who_ended_sessions_and_tokens_and_why() {
    let world = World::new().await;
    world.user("root", "admin");
    let id = world.user("alice", "member");
    let mut alice = Browser::signed_in(&world, "alice").await;
    let device = async |name: &str| {
        world.login_with(json!({ "username": "alice", "password": PASSWORD, "device": name })).await
    };
    let tokens = device("the maker").await;
    let token = async |name: &str| {
        let made = json!({ "name": name, "scope": "notes:read" });
        world.post("/api/v1/me/tokens", &tokens.access, made).await.text("id")
    };
    let session = async |name: &str| {
        let access = device(name).await.access;
        world.get("/api/v1/me", &access).await.body["credential"]["session_id"].as_str().unwrap().to_owned()
    };
    let admin = world.login("root").await.access;
    let (own, theirs) = (token("my own").await, token("<theirs>").await);
    world.delete(&format!("/api/v1/me/tokens/{own}"), &tokens.access).await;
    world.delete(&format!("/api/v1/users/{id}/tokens/{theirs}"), &admin).await;
    let (one, two) = (session("a laptop").await, session("a phone").await);
    world.delete(&format!("/api/v1/me/sessions/{one}"), &tokens.access).await;
    world.delete(&format!("/api/v1/users/{id}/sessions/{two}"), &admin).await;
    let gone = device("a tablet").await;
    let body = json!({ "refresh_token": gone.refresh });
    world.ask(Method::POST, "/api/v1/auth/logout").json(&body).send().await;
    token("the last one").await;
    let page = "/account/password";
    let fields = [
        ("current_password", PASSWORD),
        ("new_password", "another pass phrase"),
        ("again", "another pass phrase"),
        ("revoke_tokens", "1"),
    ];
    assert_eq!(alice.fill_in(page, page, &fields).await.status, 200);
    world.sql("UPDATE audit_events SET actor_id = NULL, actor_name = 'command line' WHERE details->>'name' = 'my own'");
    let shown = alice.get("/account/activity").await;
    for said in [
        "The personal token “my own” was revoked by the command line.",
        "The personal token “&#60;theirs&#62;” was revoked by root.",
        "The personal token “the last one” was revoked: the password was changed by you.",
        "The session with a laptop was ended by you.",
        "The session with a phone was ended by root.",
        "The session with a tablet signed out.",
        "The session with the maker ended: the password was changed by you.",
    ] {
        assert!(html(&shown).contains(said), "{said}: {}", html(&shown));
    }
    let made = format!("/api/v1/users/{id}/password");
    world.post(&made, &admin, json!({ "link": true })).await;
    let hash = "UPDATE users SET password_hash = (SELECT password_hash FROM users WHERE username = 'root') WHERE username = 'alice'";
    world.sql_and_clear_cache(hash);
    let shown = Browser::signed_in(&world, "alice").await.get("/account/activity").await;
    for said in [
        "A link to set the password was made by root; the old password is gone.",
        "ended: the password was reset by root.",
    ] {
        assert!(html(&shown).contains(said), "{said}: {}", html(&shown));
    }
}

#[actix_web::test]
async fn new_token_page_shows_the_expiry() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    let new = "/account/tokens/new";
    let made = browser.fill_in(new, new, &[("name", "x"), ("scope", "notes:read"), ("days", "7")]).await;
    assert!(
        html(&made).contains("<p>It expires <time") && html(&made).contains(">in 7 days</time>. Try"),
        "{}",
        html(&made)
    );
}

#[actix_web::test]
async fn profile_form_redirects_to_login_when_the_account_vanishes() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    // The account is deleted after its password was verified, so loading the page fails too.
    world.sql(
        "CREATE FUNCTION vanish() RETURNS trigger LANGUAGE plpgsql AS \
           $$ BEGIN DELETE FROM users WHERE username = 'alice'; RETURN NULL; END $$; \
         CREATE TRIGGER vanish AFTER UPDATE ON attempts FOR EACH ROW \
           WHEN (NEW.pending < OLD.pending) EXECUTE FUNCTION vanish()",
    );
    let fields = [("username", "alicia"), ("email", ""), ("current_password", PASSWORD)];
    let answer = browser.fill_in("/account", "/account", &fields).await;
    assert_eq!(world.count("SELECT count(*) FROM users WHERE username = 'alice'"), 0);
    let location = answer.header("location").unwrap_or_default();
    assert!(answer.status == 303 && location.starts_with("/login"), "{} {}", answer.status, answer.body);
}
