//! The administrator's pages: who may see them, and everything that they do.

use chrono::TimeDelta;
use diesel::connection::SimpleConnection;
use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, Browser, PASSWORD, World};

fn html(answer: &Answer) -> &str {
    answer.body.as_str().unwrap_or_default()
}

#[actix_web::test]
async fn who_may_not_is_told_so_on_a_page() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    for path in [
        "/admin",
        "/admin/users",
        "/admin/users/new",
        "/admin/audit",
        "/admin/refusals",
        "/admin/refusals/0192d7a0-0000-7000-8000-000000000000",
        "/admin/keys",
        "/admin/settings",
    ] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, 403, "{path}");
        assert!(html(&answer).contains("permission_denied") && html(&answer).contains("member"), "{path}");
    }
    assert!(!html(&browser.get("/account").await).contains("href=\"/admin"));
    let answer = browser.fill_in("/account", "/admin/keys/rotate", &[]).await;
    assert_eq!((answer.status, world.count("SELECT count(*) FROM signing_keys")), (403, 1));
}

#[actix_web::test]
async fn users_are_found_by_a_part_of_the_name_page_by_page() {
    let world = World::new().await;
    world.user("root", "admin");
    for number in 0..60 {
        world.user(&format!("person-{number}"), "viewer");
    }
    let mut browser = Browser::signed_in(&world, "root").await;
    let first = browser.get("/admin/users?q=PERSON-&role=&status=").await;
    assert_eq!(html(&first).matches("class=\"hint\">viewer").count(), 50);
    let next = html(&first).split("href=\"?").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let next = next.replace("&#38;", "&").replace("&amp;", "&");
    let second = browser.get(&format!("/admin/users?{next}")).await;
    assert_eq!(html(&second).matches("class=\"hint\">viewer").count(), 10, "{}", html(&second));
    let none = browser.get("/admin/users?q=nobody&role=&status=").await;
    assert!(html(&none).contains("No user is like that"));
    assert_eq!(browser.get("/admin/users?status=odd").await.status, 422);
}

#[actix_web::test]
async fn an_account_is_made_by_a_link_or_with_a_password() {
    let world = World::new().await;
    world.user("root", "admin");
    let mut browser = Browser::signed_in(&world, "root").await;
    let new = "/admin/users/new";
    let wrong =
        [("username", "ROOT"), ("email", "no"), ("role", "viewer"), ("by", "password"), ("password", "x")];
    let answer = browser.fill_in(new, new, &wrong).await;
    assert!(answer.status == 422 && html(&answer).contains("value=\"ROOT\""), "{}", html(&answer));
    let taken = [("username", "ROOT"), ("email", ""), ("role", "viewer"), ("by", "link")];
    let answer = browser.fill_in(new, new, &taken).await;
    assert!(answer.status == 422 && html(&answer).contains("already in use"));
    let by_link = [("username", "carol"), ("email", "carol@example.com"), ("role", "viewer"), ("by", "link")];
    let answer = browser.fill_in(new, new, &by_link).await;
    assert_eq!(answer.status, 201);
    let link =
        html(&answer).split("http://doorward.test").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let mut carol = Browser::new(&world);
    let typed = [("new_password", "a phrase of carol"), ("again", "a phrase of carol")];
    assert_eq!(carol.post(link, &typed).await.status, 200);
    assert_eq!(carol.sign_in("carol@example.com", "a phrase of carol", &[]).await.status, 303);
    let by_password =
        [("username", "dave"), ("email", ""), ("role", "member"), ("by", "password"), ("password", PASSWORD)];
    let answer = browser.fill_in(new, new, &by_password).await;
    assert!(answer.header("location").unwrap().ends_with("?done=made"));
    Browser::signed_in(&world, "dave").await;
}

#[actix_web::test]
async fn a_disabled_account_is_refused_at_the_next_request_of_each_of_its_clients() {
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
async fn disabling_ends_the_sessions_when_asked() {
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
async fn stale_page_changes_nothing_and_says_what_changed() {
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
    // The page in the answer is up to date, so its form can be sent.
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
async fn stale_profile_takes_nothing_back() {
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
async fn an_account_is_edited_and_a_mistake_keeps_what_was_typed() {
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
    world.sql("UPDATE users SET status = 'disabled' WHERE username = 'admin'");
    let own = format!("/admin/users/{root}");
    let answer = admin.fill_in(&own, &format!("{own}/role"), &[("role", "member")]).await;
    assert!(answer.status == 422 && html(&answer).contains("last active administrator"), "{}", html(&answer));
    let answer = admin.fill_in(&own, &format!("{own}/disable"), &[]).await;
    assert!(answer.status == 422 && html(&answer).contains("last active administrator"));
}

#[actix_web::test]
async fn sessions_tokens_and_passwords_of_others_are_ended_and_set() {
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
async fn an_account_is_deleted_only_by_its_name() {
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
async fn what_grants_power_asks_for_a_recent_sign_in() {
    let world = World::new().await;
    world.user("root", "admin");
    let id = world.user("alice", "member");
    let mut admin = Browser::signed_in(&world, "root").await;
    let token = admin.form_token(&format!("/admin/users/{id}")).await;
    world.advance(TimeDelta::minutes(20));
    assert_eq!(admin.get("/admin/users").await.status, 200, "reading needs none");
    assert!(admin.get("/admin/users/new").await.header("location").unwrap().starts_with("/step-up?next="));
    let fields = [("csrf_token", token.as_str())];
    let asked = admin.post(&format!("/admin/users/{id}/disable"), &fields).await;
    assert_eq!(asked.status, 401);
    let target = format!("/admin/users/{id}/disable");
    let again = [fields[0], ("repeat", target.as_str()), ("step_up_password", PASSWORD)];
    let answer = admin.post("/step-up", &again).await;
    assert_eq!((answer.status, answer.header("location")), (307, Some(target.as_str())));
    assert_eq!(admin.post(&target, &again).await.status, 303);
    assert_eq!(world.count("SELECT count(*) FROM users WHERE status = 'disabled'"), 1);
}

#[actix_web::test]
async fn a_helper_touches_nobody_who_may_more() {
    let world = World::new().await;
    let root = world.user("root", "admin");
    world.sql(
        "INSERT INTO roles VALUES ('helpdesk', ARRAY['account:read', 'account:write', 'users:read', 'users:write'])",
    );
    world.user("helper", "helpdesk");
    let mut helper = Browser::signed_in(&world, "helper").await;
    let page = format!("/admin/users/{root}");
    let shown = helper.get(&page).await;
    assert!(shown.status == 200 && html(&shown).contains("Nothing that you may see"));
    for action in ["disable", "end-sessions", "password-link"] {
        assert_eq!(helper.fill_in(&page, &format!("{page}/{action}"), &[]).await.status, 403, "{action}");
    }
    assert!(html(&helper.get("/account").await).contains("href=\"/admin/users\""));
}

#[actix_web::test]
async fn the_audit_log_is_filtered_and_taken_away() {
    let world = World::new().await;
    world.user("root", "admin");
    world.user("=alice", "member");
    let mut admin = Browser::signed_in(&world, "root").await;
    world.login("=alice").await;
    let all = admin.get("/admin/audit").await;
    assert!(html(&all).contains("login succeeded") && html(&all).contains("user created"));
    let some = admin.get("/admin/audit?actor=&subject=%3DALICE&type=login_succeeded&since=2026-01-01").await;
    assert_eq!(html(&some).matches("<strong>login succeeded</strong>").count(), 1, "{}", html(&some));
    let none = admin.get("/admin/audit?type=user_deleted").await;
    assert!(html(&none).contains("Nothing like that happened"));
    for wrong in ["subject=nobody", "since=yesterday"] {
        assert_eq!(admin.get(&format!("/admin/audit?{wrong}")).await.status, 422, "{wrong}");
    }
    let csv = admin.get("/admin/audit.csv?type=login_succeeded").await;
    assert!(csv.header("content-disposition").unwrap().contains("audit.csv"));
    assert_eq!(html(&csv).lines().count(), 3);
    assert!(html(&csv).contains("\"'=alice\""), "no formula: {}", html(&csv));
    let json = admin.get("/admin/audit.json?type=login_succeeded").await;
    assert_eq!(json.body.as_array().unwrap().len(), 2);
}

#[actix_web::test]
async fn the_overview_counts_and_the_keys_rotate() {
    let world = World::new().await;
    world.user("root", "admin");
    let mut admin = Browser::signed_in(&world, "root").await;
    Browser::new(&world).sign_in("root", "wrong", &[]).await;
    let node = world.another_node().await;
    for server in [&world, &node] {
        for _ in 0..2 {
            server.ask(Method::GET, "/api/v1/me").send().await.refused("credentials_missing");
        }
        server.state.recorder.refusal_counts.flush(&server.state.core.database).await.unwrap();
    }
    let overview = admin.get("/admin").await;
    assert!(
        html(&overview).contains("most of all credentials_missing 4, invalid_credentials 1"),
        "{}",
        html(&overview)
    );
    assert!(html(&overview).contains("1 sign-ins and 1 refused in 14 days"), "{}", html(&overview));
    assert!(html(&overview).contains("1 now"), "{}", html(&overview));
    let answer = admin.fill_in("/admin/keys", "/admin/keys/rotate", &[]).await;
    assert_eq!(answer.header("location"), Some("/admin/keys"));
    let keys = admin.get("/admin/keys").await;
    assert!(html(&keys).contains("Published, and signs soon") && html(&keys).contains("Signs new tokens"));
    assert_eq!(world.count("SELECT count(*) FROM signing_keys"), 2);
    let by = "SELECT actor_name AS text FROM audit_events WHERE type = 'signing_key_published' AND actor_id IS NOT NULL";
    assert_eq!(world.text(by), "root");
    let settings = admin.get("/admin/settings").await;
    assert!(html(&settings).contains("DOORWARD_BCRYPT_COST"));
    assert!(!html(&settings).contains("a-secret-key-that-only"), "secrets are masked");
}

#[actix_web::test]
async fn the_audit_log_holds_what_was_typed_as_text() {
    let world = World::new().await;
    world.user("root", "admin");
    let evil = "<script>alert(1)</script>";
    world
        .ask(Method::POST, "/api/v1/auth/login")
        .json(&json!({ "username": evil, "password": "x" }))
        .send()
        .await;
    let mut admin = Browser::signed_in(&world, "root").await;
    for path in ["/admin/audit".to_owned(), format!("/admin/users?q={}", evil.replace('<', "%3C"))] {
        let page = admin.get(&path).await;
        assert!(html(&page).contains("alert(1)") && !html(&page).contains(evil), "{}", html(&page));
    }
}

#[actix_web::test]
async fn refusals_are_listed_found_counted_and_explained() {
    let world = World::new().await;
    world.user("root", "admin");
    let alice = world.signed_in("alice", "viewer").await;
    for _ in 0..60 {
        world.get("/api/v1/me", "garbage").await.refused("token_malformed");
    }
    let note = json!({"title": "x", "body": ""});
    let denied = world.post("/api/v1/notes", &alice.access, note).await.text("request_id");
    world.state.recorder.kept_refusals.flush(&world.state.core.database).await.unwrap();
    world.state.recorder.refusal_counts.flush(&world.state.core.database).await.unwrap();
    let mut browser = Browser::signed_in(&world, "root").await;
    let lines = |answer: &Answer| html(answer).matches("<a href=\"/admin/refusals/").count();
    let all = browser.get("/admin/refusals").await;
    assert_eq!((lines(&all), all.header("refresh")), (50, None), "{}", html(&all));
    assert!(html(&all).contains("61 in 14 days"), "{}", html(&all));
    let next = html(&all).split("href=\"/admin/refusals?").find(|part| part.starts_with("cursor")).unwrap();
    let next = next.split('"').next().unwrap();
    assert_eq!(lines(&browser.get(&format!("/admin/refusals?{next}")).await), 11);
    let today = world.clock.now().format("%Y-%m-%d");
    let tomorrow = (world.clock.now() + TimeDelta::days(1)).format("%Y-%m-%d").to_string();
    for (query, count) in [
        ("code=permission_denied".to_owned(), 1),
        ("user=ALICE".to_owned(), 1),
        (format!("route=notes&since={today}&user=&code="), 1),
        ("route=%25".to_owned(), 0),
        (format!("since={tomorrow}"), 0),
    ] {
        let found = browser.get(&format!("/admin/refusals?{query}")).await;
        assert_eq!((found.status, lines(&found)), (200, count), "{query}: {}", html(&found));
        assert_eq!(count == 0, html(&found).contains("Nothing like that was refused"), "{query}");
    }
    assert_eq!(browser.get("/admin/refusals?user=nobody").await.status, 422);
    assert_eq!(browser.get("/admin/refusals?live=1").await.header("refresh"), Some("5"));
    let one = browser.get(&format!("/admin/refusals/{denied}")).await;
    for said in ["permission_denied", "POST /api/v1/notes", "alice", "signed in", "the operator", &denied] {
        assert!(html(&one).contains(said), "{said}: {}", html(&one));
    }
    let gone = browser.get("/admin/refusals/0192d7a0-0000-7000-8000-000000000000").await;
    assert_eq!(gone.status, 404);
    let user = world.text("SELECT id::text AS text FROM users WHERE username = 'alice'");
    let page = browser.get(&format!("/admin/users/{user}")).await;
    assert!(html(&page).contains(&format!("/admin/refusals?user={user}")));
    assert_eq!(lines(&browser.get(&format!("/admin/refusals?user={user}")).await), 1);

    let mut own = Browser::signed_in(&world, "alice").await;
    let listed = own.get("/account/refusals").await;
    assert_eq!(html(&listed).matches("<a href=\"/account/refusals/").count(), 1, "{}", html(&listed));
    let one = own.get(&format!("/account/refusals/{denied}")).await;
    assert!(
        html(&one).contains("permission_denied") && !html(&one).contains("the operator"),
        "{}",
        html(&one)
    );
    let mut other = Browser::signed_in(&world, "root").await;
    assert!(html(&other.get("/account/refusals").await).contains("None: whatever was asked"));
    assert_eq!(other.get(&format!("/account/refusals/{denied}")).await.status, 404);
}

#[actix_web::test]
async fn a_wrong_filter_is_told_beside_its_field_and_the_form_stays_as_it_was() {
    let world = World::new().await;
    world.user("root", "admin");
    world.ask(Method::GET, "/api/v1/me").send().await.refused("credentials_missing");
    world.state.recorder.kept_refusals.flush(&world.state.core.database).await.unwrap();
    let mut admin = Browser::signed_in(&world, "root").await;
    let wrong = "actor=nobdy&subject=%3Cnoone%3E&type=login_failed&since=yesterday";
    let page = admin.get(&format!("/admin/audit?{wrong}")).await;
    assert_eq!((page.status, page.header("content-type")), (422, Some("text/html; charset=utf-8")));
    for said in [
        "value=\"nobdy\" maxlength=\"200\" aria-invalid=\"true\" aria-describedby=\"actor-error\"",
        "id=\"actor-error\">There is no user `nobdy`",
        "value=\"&#60;noone&#62;\"",
        "id=\"subject-error\">There is no user",
        "<option value=\"login_failed\" selected>",
        "value=\"yesterday\"",
        "id=\"since-error\">Write a day such as 2026-03-01.",
        "Nothing is listed",
    ] {
        assert!(html(&page).contains(said), "{said}: {}", html(&page));
    }
    for unsaid in ["class=\"events\"", "Nothing like that", "/since", "As CSV"] {
        assert!(!html(&page).contains(unsaid), "{unsaid}: {}", html(&page));
    }
    let page =
        admin.get("/admin/refusals?user=nobdy&code=credentials_missing&route=me&since=2026-13-01").await;
    assert_eq!((page.status, page.header("refresh")), (422, None));
    for said in [
        "id=\"user-error\">There is no user `nobdy`",
        "<option selected>credentials_missing",
        "name=\"route\" type=\"search\" value=\"me\"",
        "id=\"since-error\">Write a day",
    ] {
        assert!(html(&page).contains(said), "{said}: {}", html(&page));
    }
    for unsaid in ["class=\"events\"", "Nothing like that", "Watch it live"] {
        assert!(!html(&page).contains(unsaid), "{unsaid}: {}", html(&page));
    }
    for path in ["/admin/audit", "/admin/refusals"] {
        let page = admin.get(&format!("{path}?since=-5000-01-01")).await;
        assert!(page.status == 200 && html(&page).contains("class=\"events\""), "{path}: {}", html(&page));
        assert!(!html(&page).contains("class=\"error\""), "{path}");
        assert_eq!(admin.get(&format!("{path}?cursor=x")).await.status, 422, "{path}");
    }
}

#[actix_web::test]
async fn the_audit_log_leads_to_all_of_an_account_also_when_it_is_deleted() {
    let world = World::new().await;
    world.user("root", "admin");
    let id = world.user("alice", "member");
    world.login("alice").await;
    let mut admin = Browser::signed_in(&world, "root").await;
    let page = format!("/admin/users/{id}/delete");
    admin.fill_in(&page, &page, &[("confirm", "alice")]).await;
    world.sql(&format!(
        "UPDATE audit_events SET subject_name = NULL WHERE subject_id = '{id}' AND type = 'user_created'"
    ));
    let all = admin.get("/admin/audit").await;
    let link = format!("/admin/audit?subject={id}");
    assert!(!html(&all).contains(&format!("/admin/users/{id}")), "{}", html(&all));
    for what in ["user deleted", "session ended"] {
        let line = format!("<strong>{what}</strong> <a href=\"{link}\">alice</a> by root");
        assert!(html(&all).contains(&line), "{what}: {}", html(&all));
    }
    let nameless = format!("<strong>user created</strong> <a href=\"{link}\">{id}</a>");
    assert!(html(&all).contains(&nameless), "{}", html(&all));
    let some = admin.get(&link).await;
    assert_eq!((some.status, html(&some).matches("<li><strong>").count()), (200, 4), "{}", html(&some));
    let csv = admin.get("/admin/audit.csv?type=user_deleted").await;
    let mut lines = html(&csv).lines();
    let columns = "occurred_at,type,actor_id,actor,subject_id,subject,session_id,address,request_id,details";
    assert_eq!(lines.next(), Some(columns));
    let row = lines.next().unwrap();
    assert!(row.contains(&format!("\"root\",\"{id}\",\"alice\"")), "{row}");
    assert!(row.split(',').nth(2).is_some_and(|actor| actor.len() == 38), "{row}");
}

#[actix_web::test]
async fn a_session_that_a_copied_refresh_token_ended_is_counted_among_those_that_ended() {
    let world = World::new().await;
    world.user("root", "admin");
    let alice = world.signed_in("alice", "member").await;
    let second = world.refresh(&alice.refresh).await.text("refresh_token");
    assert_eq!(world.refresh(&second).await.status, 200);
    world.advance(TimeDelta::minutes(1));
    world.refresh(&alice.refresh).await.refused("refresh_token_reused");
    let other = world.login("alice").await;
    world.post("/api/v1/auth/logout", &other.access, json!({})).await;
    let overview = Browser::signed_in(&world, "root").await.get("/admin").await;
    for said in ["2 ended, 1 of them by a copied refresh token", "2 in 14 days"] {
        assert!(html(&overview).contains(said), "{said}: {}", html(&overview));
    }
    let page = world.ask(Method::GET, "/problems/session_ended").send().await;
    assert!(html(&page).contains("<code>session_ended</code> event"), "{}", html(&page));
    assert!(html(&page).contains("<code>refresh_token_reused</code>, with the address"), "{}", html(&page));
}

#[actix_web::test]
async fn tokens_that_an_accounts_page_does_not_show_are_not_kept_quiet() {
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

#[actix_web::test]
async fn a_request_that_was_let_in_is_explained_as_such() {
    let world = World::new().await;
    world.user("root", "admin");
    let alice = world.signed_in("alice", "member").await;
    let ask = world.ask(Method::GET, "/api/v1/notes").bearer(&alice.access).header("x-doorward-trace", "1");
    let id = ask.send().await.header("x-request-id").unwrap().to_owned();
    let pages = [
        Browser::signed_in(&world, "root").await.get(&format!("/admin/refusals/{id}")).await,
        Browser::signed_in(&world, "alice").await.get(&format!("/account/refusals/{id}")).await,
    ];
    for page in &pages {
        assert_eq!(page.status, 200);
        for said in ["<h1>It was accepted</h1>", "<title>It was accepted", "GET /api/v1/notes", "passed"] {
            assert!(html(page).contains(said), "{said}: {}", html(page));
        }
        for unsaid in ["/problems/", "What to do", "class=\"lead\"", "<code></code>"] {
            assert!(!html(page).contains(unsaid), "{unsaid}: {}", html(page));
        }
    }
}

#[actix_web::test]
async fn a_link_says_when_it_expires_and_that_the_old_password_is_gone() {
    let world = World::new().await;
    world.user("root", "admin");
    let id = world.user("alice", "member");
    let mut admin = Browser::signed_in(&world, "root").await;
    let page = format!("/admin/users/{id}");
    assert!(html(&admin.get(&page).await).contains("Either way the old password is gone"));
    let shown = admin.fill_in(&page, &format!("{page}/password-link"), &[]).await;
    let text = html(&shown).split("<p>It expires <time").nth(1).unwrap_or_else(|| panic!("{}", html(&shown)));
    let text = text.split("</p>").next().unwrap();
    assert!(
        text.ends_with(
            ">in 24 hours</time>. Until it is used the account has no password, and is signed in nowhere."
        ),
        "{text}"
    );
    assert_eq!(Browser::new(&world).sign_in("alice", PASSWORD, &[]).await.status, 401);
    // A disabled account's link sets its password, but does not sign the user in.
    admin.fill_in(&page, &format!("{page}/disable"), &[]).await;
    let path =
        html(&shown).split("value=\"http://doorward.test").nth(1).and_then(|rest| rest.split('"').next());
    let fields = [("new_password", "a phrase of my own"), ("again", "a phrase of my own")];
    let set = Browser::new(&world).post(path.unwrap(), &fields).await;
    assert_eq!(set.status, 200);
    for said in ["The password is set", "The account is disabled", "An administrator can enable it"] {
        assert!(html(&set).contains(said), "{said}: {}", html(&set));
    }
    assert!(!html(&set).contains("You can sign in"), "{}", html(&set));
    let refused = Browser::new(&world).sign_in("alice", "a phrase of my own", &[]).await;
    assert!(html(&refused).contains("disabled"), "{}", html(&refused));
}

#[actix_web::test]
async fn overview_is_shown_without_what_takes_too_long_to_count() {
    let world = World::new().await;
    world.user("root", "admin");
    let mut browser = Browser::signed_in(&world, "root").await;
    let whole = browser.get("/admin").await;
    assert!(
        html(&whole).contains("Sessions ended") && !html(&whole).contains("Not shown"),
        "{}",
        html(&whole)
    );
    let mut owner = world.connection();
    let lock = "SET idle_in_transaction_session_timeout = 0; BEGIN; LOCK TABLE audit_events";
    owner.batch_execute(lock).unwrap();
    let answer = browser.get("/admin").await;
    owner.batch_execute("ROLLBACK").unwrap();
    assert_eq!(answer.status, 200, "{}", html(&answer));
    let said = "Not shown, because counting took longer than 1.5 s: sign-ins and sessions ended.";
    assert!(html(&answer).contains(said) && html(&answer).contains("Live sessions"), "{}", html(&answer));
    assert!(!html(&answer).contains("Sessions ended"), "{}", html(&answer));
}
