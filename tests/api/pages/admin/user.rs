//! The page of one account, and every change that it makes.

use doorward_test::{Browser, PASSWORD, World};
use reqwest::Method;
use serde_json::json;

use crate::pages::html;

#[actix_web::test]
async fn disabled_account_is_refused_at_the_next_request_everywhere() {
    let world = World::new().await;
    world.user("root", "admin");
    let id = world.user("alice", "member");
    let mut admin = Browser::signed_in(&world, "root").await;
    let alice = Browser::signed_in(&world, "alice").await;
    let api = world.login("alice").await;
    let page = format!("/admin/users/{id}");
    let answer = admin.fill_in(&page, &format!("{page}/disable"), &[]).await;
    assert!(answer.header("location").unwrap().ends_with("?done=disabled"));
    alice.ask(Method::GET, "/api/v1/me").send().await.refused("account_disabled");
    world.get("/api/v1/me", &api.access).await.refused("account_disabled");
    world.refresh(&api.refresh).await.refused("account_disabled");
    assert!(html(&admin.get(&page).await).contains("Disabled"));
    let shown = admin.get(&page).await;
    assert!(html(&shown).contains("Enabling the account brings back"), "{}", html(&shown));
    admin.fill_in(&page, &format!("{page}/enable"), &[]).await;
    assert_eq!(alice.ask(Method::GET, "/api/v1/me").send().await.status, 200);
    world.get("/api/v1/me", &api.access).await.refused("token_revoked");
    assert_eq!(world.refresh(&api.refresh).await.status, 200);
}

#[actix_web::test]
async fn disabling_ends_sessions_when_requested() {
    let world = World::new().await;
    world.user("root", "admin");
    let id = world.user("alice", "member");
    let mut admin = Browser::signed_in(&world, "root").await;
    let alice = Browser::signed_in(&world, "alice").await;
    let api = world.login("alice").await;
    let (token, _) = world.personal_token(&api.access, "notes:read").await;
    let page = format!("/admin/users/{id}");
    let shown = admin.get(&page).await;
    assert!(
        html(&shown).contains("Enabling it brings back") && html(&shown).contains("name=\"end_sessions\"")
    );
    let answer = admin.fill_in(&page, &format!("{page}/disable"), &[("end_sessions", "1")]).await;
    let done = answer.header("location").unwrap().to_owned();
    assert!(html(&admin.get(&done).await).contains("every session has ended"), "{done}");
    admin.fill_in(&page, &format!("{page}/enable"), &[]).await;
    alice.ask(Method::GET, "/api/v1/me").send().await.refused("session_ended");
    assert_eq!(world.refresh(&api.refresh).await.refused("session_ended").body["reason"], "ended_by_admin");
    assert_eq!(world.get("/api/v1/notes", &token).await.status, 200, "tokens have a button of their own");
}

#[actix_web::test]
async fn stale_page_changes_nothing_and_shows_what_changed() {
    let world = World::new().await;
    let id = world.user("alice", "admin");
    let mut admin = Browser::signed_in(&world, "admin").await;
    let api = world.login("admin").await.access;
    let (page, role) = (format!("/admin/users/{id}"), format!("/admin/users/{id}/role"));
    let (seen, seen_role) =
        (admin.hidden_fields(&page, &page).await, admin.hidden_fields(&page, &role).await);
    let demoted = world.patch(&format!("/api/v1/users/{id}"), &api, json!({"role": "viewer"})).await;
    assert_eq!(demoted.status, 200, "{}", demoted.body);
    let state = || {
        world.text("SELECT username || ' ' || coalesce(email, '') || ' ' || role AS text FROM users WHERE username LIKE 'al%'")
    };
    let typed = [("username", "alicia"), ("email", "a&b@example.org")];
    let answer = admin.send_form(&page, &seen, &typed).await;
    assert_eq!((answer.status, state()), (412, "alice  viewer".to_owned()));
    let shown = html(&answer);
    assert!(shown.contains("the role was “admin” and is now “viewer”"), "{shown}");
    assert!(shown.contains("value=\"alicia\"") && shown.contains("value=\"a&#38;b@example.org\""), "{shown}");
    assert!(shown.contains("<option selected>viewer</option>"), "what is true now: {shown}");
    // An outdated form grants nothing either.
    let old = [("username", "alice"), ("email", ""), ("role", "admin")];
    assert_eq!(admin.send_form(&page, &seen, &old).await.status, 412);
    let answer = admin.send_form(&role, &seen_role, &[("role", "member")]).await;
    assert_eq!((answer.status, state()), (412, "alice  viewer".to_owned()));
    assert!(html(&answer).contains("<option selected>member</option>"), "{}", html(&answer));
    // The page in the response is up to date, so its form can be sent.
    assert_eq!(admin.fill_in(&page, &page, &typed).await.status, 303);
    assert_eq!(state(), "alicia a&b@example.org viewer");
    assert_eq!(admin.fill_in(&page, &role, &[("role", "member")]).await.status, 303);
    assert_eq!(state(), "alicia a&b@example.org member");
    // A form without the shown values changes nothing either.
    let bare = &seen[..1];
    assert_eq!(bare[0].0, "csrf_token");
    let answer = admin.send_form(&page, bare, &old).await;
    assert_eq!((answer.status, state()), (412, "alicia a&b@example.org member".to_owned()));
    assert!(html(&answer).contains("does not say which values it showed"), "{}", html(&answer));
}

#[actix_web::test]
async fn stale_profile_form_overwrites_nothing() {
    let world = World::new().await;
    let id = world.user("alice", "member");
    let mut alice = Browser::signed_in(&world, "alice").await;
    let admin = world.login("admin").await.access;
    let seen = alice.hidden_fields("/account", "/account").await;
    let given = json!({"email": "given@example.org", "role": "viewer"});
    assert_eq!(world.patch(&format!("/api/v1/users/{id}"), &admin, given).await.status, 200);
    let typed = [("username", "alicia"), ("email", ""), ("current_password", PASSWORD)];
    let answer = alice.send_form("/account", &seen, &typed).await;
    let shown = html(&answer);
    assert!(answer.status == 412 && shown.contains("value=\"alicia\""), "{shown}");
    assert!(shown.contains("the address was none and is now “given@example.org”"), "{shown}");
    assert!(!shown.contains("the role was"), "the form has no role: {shown}");
    let kept = "SELECT count(*) FROM users WHERE username = 'alice' AND email = 'given@example.org'";
    assert_eq!(world.count(kept), 1);
    let typed = [("username", "alicia"), ("email", "given@example.org"), ("current_password", PASSWORD)];
    assert_eq!(alice.fill_in("/account", "/account", &typed).await.status, 200);
    assert_eq!(world.count("SELECT count(*) FROM users WHERE username = 'alicia'"), 1);
}

#[actix_web::test]
async fn admin_page_revokes_tokens_with_a_password_or_all_at_once() {
    let world = World::new().await;
    world.user("root", "admin");
    let id = world.user("alice", "member");
    let mut admin = Browser::signed_in(&world, "root").await;
    let page = format!("/admin/users/{id}");
    let phrase = [("new_password", PASSWORD)];
    let kept = [phrase[0], ("keep_tokens", "1")];
    let token = async || world.personal_token(&world.login("alice").await.access, "notes:read").await.0;
    let status = async |token: &str| world.get("/api/v1/notes", token).await.status;
    let first = token().await;
    let answer = admin.fill_in(&page, &format!("{page}/password"), &kept).await;
    assert!(html(&admin.get(answer.header("location").unwrap()).await).contains("tokens are still good"));
    assert_eq!(status(&first).await, 200);
    let answer = admin.fill_in(&page, &format!("{page}/password"), &phrase).await;
    assert!(html(&admin.get(answer.header("location").unwrap()).await).contains("personal token is revoked"));
    assert_eq!(status(&first).await, 401);
    let second = token().await;
    let link = admin.fill_in(&page, &format!("{page}/password-link"), &kept[1..]).await;
    assert!(html(&link).contains("tokens are still good") && status(&second).await == 200);
    let link = admin.fill_in(&page, &format!("{page}/password-link"), &[]).await;
    assert!(html(&link).contains("tokens are revoked") && status(&second).await == 401);
    admin.fill_in(&page, &format!("{page}/password"), &phrase).await;
    let (third, fourth) = (token().await, token().await);
    let all = format!("{page}/revoke-tokens");
    assert!(html(&admin.get(&page).await).contains(&format!("href=\"{all}\"")));
    assert!(html(&admin.get(&all).await).contains("Revoke all personal tokens of alice?"));
    assert_eq!(status(&third).await, 200, "looking revokes nothing");
    let answer = admin.fill_in(&all, &all, &[]).await;
    assert!(
        html(&admin.get(answer.header("location").unwrap()).await)
            .contains("Every personal token is revoked")
    );
    assert_eq!((status(&third).await, status(&fourth).await), (401, 401));
    assert!(!html(&admin.get(&page).await).contains(&all), "none is left");
}

#[actix_web::test]
async fn account_is_edited_and_errors_keep_the_typed_fields() {
    let world = World::new().await;
    let root = world.user("root", "admin");
    let id = world.user("alice", "member");
    let mut admin = Browser::signed_in(&world, "root").await;
    let page = format!("/admin/users/{id}");
    let wrong = [("username", "root"), ("email", "a@example.com")];
    let answer = admin.fill_in(&page, &page, &wrong).await;
    assert!(
        answer.status == 422
            && html(&answer).contains("already in use")
            && html(&answer).contains("a@example.com")
    );
    let good = [("username", "alicia"), ("email", "a@example.com")];
    assert_eq!(admin.fill_in(&page, &page, &good).await.status, 303);
    let role = format!("{page}/role");
    assert_eq!(admin.fill_in(&page, &role, &[("role", "nonsense")]).await.status, 422);
    assert!(
        admin
            .fill_in(&page, &role, &[("role", "viewer")])
            .await
            .header("location")
            .unwrap()
            .ends_with("?done=role")
    );
    let found = "SELECT count(*) FROM users WHERE username = 'alicia' AND role = 'viewer' AND email = 'a@example.com'";
    assert_eq!(world.count(found), 1);
    world.sql_and_clear_cache("UPDATE users SET status = 'disabled' WHERE username = 'admin'");
    let own = format!("/admin/users/{root}");
    let answer = admin.fill_in(&own, &format!("{own}/role"), &[("role", "member")]).await;
    assert!(answer.status == 422 && html(&answer).contains("last active administrator"), "{}", html(&answer));
    let answer = admin.fill_in(&own, &format!("{own}/disable"), &[]).await;
    assert!(answer.status == 422 && html(&answer).contains("last active administrator"));
}

#[actix_web::test]
async fn admin_ends_sessions_revokes_tokens_and_sets_passwords() {
    let world = World::new().await;
    world.user("root", "admin");
    let id = world.user("alice", "member");
    let mut admin = Browser::signed_in(&world, "root").await;
    let (one, two) = (world.login("alice").await, world.login("alice").await);
    let (token, token_id) = world.personal_token(&one.access, "notes:read").await;
    let page = format!("/admin/users/{id}");
    let shown = admin.get(&page).await;
    assert!(html(&shown).contains("API client") && html(&shown).contains("personal token created"));
    admin.fill_in(&page, &format!("{page}/tokens/{token_id}/revoke"), &[]).await;
    assert_eq!(
        world.get("/api/v1/notes", &token).await.refused("token_revoked").body["reason"],
        "revoked_by_admin"
    );
    let session = world.get("/api/v1/me", &one.access).await.body["credential"]["session_id"].clone();
    admin.fill_in(&page, &format!("{page}/sessions/{}/end", session.as_str().unwrap()), &[]).await;
    assert_eq!(
        world.get("/api/v1/me", &one.access).await.refused("session_ended").body["reason"],
        "ended_by_admin"
    );
    assert_eq!(world.get("/api/v1/me", &two.access).await.status, 200);
    admin.fill_in(&page, &format!("{page}/end-sessions"), &[]).await;
    world.get("/api/v1/me", &two.access).await.refused("session_ended");
    let answer = admin.fill_in(&page, &format!("{page}/password"), &[("new_password", "short")]).await;
    assert!(answer.status == 422 && html(&answer).contains("12 characters are"), "{}", html(&answer));
    let answer =
        admin.fill_in(&page, &format!("{page}/password"), &[("new_password", "set by the admin")]).await;
    assert!(answer.header("location").unwrap().ends_with("?done=password"));
    assert_eq!(Browser::new(&world).sign_in("alice", "set by the admin", &[]).await.status, 303);
    let answer = admin.fill_in(&page, &format!("{page}/password-link"), &[]).await;
    assert!(answer.status == 201 && html(&answer).contains("/set-password/"));
}

#[actix_web::test]
async fn account_deletion_requires_the_typed_username() {
    let world = World::new().await;
    world.user("root", "admin");
    let id = world.user("alice", "member");
    let mut admin = Browser::signed_in(&world, "root").await;
    let page = format!("/admin/users/{id}/delete");
    let answer = admin.fill_in(&page, &page, &[("confirm", "bob")]).await;
    assert!(answer.status == 422 && world.count("SELECT count(*) FROM users WHERE username = 'alice'") == 1);
    let answer = admin.fill_in(&page, &page, &[("confirm", "alice")]).await;
    assert_eq!((answer.status, world.count("SELECT count(*) FROM users WHERE username = 'alice'")), (303, 0));
    assert_eq!(admin.get(&format!("/admin/users/{id}")).await.status, 404);
}

#[actix_web::test]
async fn account_page_says_that_older_tokens_are_not_shown() {
    let world = World::new().await;
    world.user("root", "admin");
    let id = world.user("alice", "member");
    let alice = world.login("alice").await;
    let mut admin = Browser::signed_in(&world, "root").await;
    for number in 0..21 {
        let page = admin.get(&format!("/admin/users/{id}")).await;
        assert!(number % 20 != 0 || !html(&page).contains("Older ones are not shown"), "{number}");
        let body = json!({"name": format!("token-{number}."), "scope": "notes:read"});
        assert_eq!(world.post("/api/v1/me/tokens", &alice.access, body).await.status, 201);
    }
    let page = admin.get(&format!("/admin/users/{id}")).await;
    assert_eq!(html(&page).matches("<h3>token-").count(), 20);
    assert!(!html(&page).contains("token-0.") && html(&page).contains("token-20."));
    for said in [
        "Older ones are not shown",
        &format!("token list --user {id}"),
        &format!("/api/v1/users/{id}/tokens"),
    ] {
        assert!(html(&page).contains(said), "{said}: {}", html(&page));
    }
}
