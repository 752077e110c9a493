//! The page "Why was I refused?": what it takes, what it shows to whom, and what it never repeats.

use chrono::TimeDelta;
use doorward_test::{Answer, Browser, World};
use reqwest::Method;
use serde_json::json;

use super::html;

const PATH: &str = "/explain";
const GONE: &str = "0192d7a0-0000-7000-8000-000000000000";

async fn explain(browser: &mut Browser<'_>, text: &str) -> Answer {
    browser.fill_in(PATH, PATH, &[("text", text)]).await
}

fn shows(page: &Answer, texts: &[&str]) {
    for text in texts {
        assert!(html(page).contains(text), "{text}: {}", html(page));
    }
}

fn hides(page: &Answer, texts: &[&str]) {
    for text in texts {
        assert!(!html(page).contains(text), "{text}: {}", html(page));
    }
}

#[actix_web::test]
async fn pasted_text_of_every_kind_is_explained() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "viewer").await;
    let denied = world.post("/api/v1/notes", &alice.access, json!({ "title": "x", "body": "" })).await;
    let id = denied.text("request_id");
    let mut browser = Browser::new(&world);
    let line = format!("curl -X POST -H 'Authorization: Bearer {}' https://x/api/v1/notes", alice.access);
    for (text, said) in [
        (id.clone(), "POST /api/v1/notes was refused with 403"),
        (format!(" urn:uuid:{id}\n"), "was refused with 403"),
        (denied.body.to_string(), "was refused with 403"),
        (alice.access.clone(), "The credential is accepted"),
        (format!("Authorization: Bearer {}", alice.access), "The credential is accepted"),
        (line, "POST /api/v1/notes would be refused now"),
        (alice.refresh.clone(), "Its session is active"),
        ("nonsense".to_owned(), "This credential is refused"),
    ] {
        let page = explain(&mut browser, &text).await;
        assert_eq!((page.status, page.header("cache-control")), (200, Some("no-store")), "{text}");
        shows(&page, &[said]);
    }
    let target = [("text", alice.access.as_str()), ("method", "GET"), ("path", "/api/v1/notes")];
    let page = browser.fill_in(PATH, PATH, &target).await;
    shows(&page, &["GET /api/v1/notes would be allowed", "notes:read"]);
    assert_eq!(world.count("SELECT count(*) FROM notes"), 0);
}

#[actix_web::test]
async fn link_with_a_request_id_shows_its_explanation() {
    let world = World::new().await;
    let refused = world.get("/api/v1/me", "garbage").await.text("request_id");
    let mut browser = Browser::new(&world);
    let page = browser.get(&format!("{PATH}?request_id={refused}")).await;
    assert_eq!(page.status, 200);
    shows(&page, &["token_malformed", "GET /api/v1/me was refused with 401", "What to do next"]);
    // Nothing else is read from an address.
    let page = browser.get(&format!("{PATH}?request_id=dwp_secret&text=dwp_secret")).await;
    shows(&page, &["</textarea>"]);
    hides(&page, &["dwp_secret", "role=\"alert\""]);
}

#[actix_web::test]
async fn error_page_links_to_its_own_explanation() {
    let world = World::new().await;
    let mut browser = Browser::new(&world);
    let missing = browser.get("/account-settings").await;
    let id = missing.header("x-request-id").unwrap().to_owned();
    let link = format!("{PATH}?request_id={id}");
    shows(&missing, &[&format!("href=\"{link}\""), "There is no page at <code>/account-settings</code>"]);
    hides(&missing, &["openapi.json lists"]);
    shows(&browser.get(&link).await, &["not_found", &id]);
    shows(&browser.get("/problems/").await, &["See <a href=\"/problems\">/problems</a>"]);
    shows(
        &browser.get("/problems/nothing").await,
        &["no such code. See <a href=\"/problems\">All codes</a>"],
    );
    for path in ["/", "/problems", "/problems/not_found", "/docs/guide", "/login"] {
        shows(&browser.get(path).await, &["href=\"/explain\""]);
    }
}

#[actix_web::test]
async fn stranger_learns_no_more_than_the_refusal_said() {
    let world = World::new().await;
    world.user("root", "admin");
    let alice = world.signed_in("alice", "member").await;
    world.post("/api/v1/auth/logout", &alice.access, json!({})).await;
    let refused = world.get("/api/v1/notes", &alice.access).await.text("request_id");
    let user = world.text("SELECT id::text AS text FROM users WHERE username = 'alice'");
    let page = explain(&mut Browser::new(&world), &refused).await;
    shows(&page, &["The session has ended", "shown only to the owner", "Sign in</a> to see yours"]);
    hides(&page, &["alice", "class=\"timeline\"", "Signed in (API session)", &user, "allowed now"]);
    let page = explain(&mut Browser::signed_in(&world, "alice").await, &refused).await;
    let own = [
        "class=\"timeline\"",
        "Signed in (API session)",
        "This request was refused",
        "<a href=\"/account\">alice</a>",
        "href=\"/account/sessions\"",
        "Would this request be allowed now?",
        "No: the same request would be refused again.",
    ];
    shows(&page, &own);
    hides(&page, &["/admin/users/"]);
    let page = explain(&mut Browser::signed_in(&world, "root").await, &refused).await;
    shows(&page, &[&format!("<a href=\"/admin/users/{user}\">alice</a>"), "class=\"timeline\""]);
    world.user("bob", "member");
    let page = explain(&mut Browser::signed_in(&world, "bob").await, &refused).await;
    hides(&page, &["alice", "class=\"timeline\""]);
}

#[actix_web::test]
async fn recorded_request_is_rehearsed_without_its_credential() {
    let world = World::new().await;
    world.user("root", "admin");
    let alice = world.signed_in("alice", "viewer").await;
    let note = json!({ "title": "x", "body": "" });
    let denied = world.post("/api/v1/notes", &alice.access, note).await.text("request_id");
    let mut root = Browser::signed_in(&world, "root").await;
    let address = format!("/admin/refusals/{denied}");
    world.state.recorder.kept_refusals.flush(&world.state.core.database).await.unwrap();
    shows(&root.get(&address).await, &["No: the same request would be refused again.", "not looked at"]);
    world.sql_and_clear_cache("UPDATE users SET role = 'member' WHERE username = 'alice'");
    let page = root.get(&address).await;
    shows(
        &page,
        &[
            "Perhaps: nothing in the record stops it.",
            "The credential itself",
            "The role <code>member</code> has the permission <code>notes:write</code>.",
        ],
    );
    world.sql_and_clear_cache("UPDATE users SET status = 'disabled' WHERE username = 'alice'");
    shows(&root.get(&address).await, &["No: the same request would be refused again."]);
}

#[actix_web::test]
async fn error_is_shown_at_its_field_without_the_pasted_text() {
    let world = World::new().await;
    let mut browser = Browser::new(&world);
    let secret = "dwp_0000000000000000000000000000000000000000000000";
    for (fields, status, said) in [
        (vec![("text", "  ")], 422, "id=\"text-error\" role=\"alert\">Paste a request ID"),
        (vec![("text", GONE)], 404, "id=\"text-error\" role=\"alert\">No refusal is kept"),
        (vec![("text", secret), ("method", "GET")], 422, "id=\"path-error\">"),
        (vec![("text", secret), ("path", "/a")], 422, "id=\"method-error\">"),
        (vec![("text", secret), ("method", "GET"), ("path", secret)], 422, "id=\"path-error\">"),
    ] {
        let page = browser.fill_in(PATH, PATH, &fields).await;
        assert_eq!(page.status, status, "{fields:?}");
        shows(&page, &[said, "<title>Error: Why was I refused?"]);
        hides(&page, &[secret]);
    }
    shows(&explain(&mut browser, GONE).await, &[&format!(">{GONE}</textarea>")]);
}

#[actix_web::test]
async fn strangers_are_throttled_as_at_the_api() {
    let world = World::with(|settings| settings.unproven_per_address = 2).await;
    world.user("alice", "member");
    let mut browser = Browser::new(&world);
    for _ in 0..2 {
        assert_eq!(explain(&mut browser, "nonsense").await.status, 200);
    }
    let held = explain(&mut browser, "nonsense").await;
    assert_eq!(held.status, 429);
    assert!(held.header("retry-after").is_some());
    shows(&held, &["id=\"text-error\" role=\"alert\">"]);
    hides(&held, &["nonsense"]);
    let body = json!({ "token": "nonsense" });
    let api = world.ask(Method::POST, "/api/v1/auth/explain").json(&body).send().await;
    assert_eq!(api.status, 429, "the API and the page count together");
    assert_eq!(browser.get(&format!("{PATH}?request_id={GONE}")).await.status, 429);
    let mut alice = Browser::signed_in(&world, "alice").await;
    assert_eq!(explain(&mut alice, "nonsense").await.status, 200);
}

#[actix_web::test]
async fn form_of_another_site_or_browser_is_refused() {
    let world = World::new().await;
    world.user("alice", "member");
    for mut browser in [Browser::new(&world), Browser::signed_in(&world, "alice").await] {
        let hidden = browser.hidden_fields(PATH, PATH).await;
        browser.site = "cross-site";
        assert_eq!(browser.send_form(PATH, &hidden, &[("text", "x")]).await.status, 403);
        browser.site = "same-origin";
        assert_eq!(browser.post(PATH, &[("text", "x"), ("csrf_token", "x")]).await.status, 403);
        assert_eq!(browser.send_form(PATH, &hidden, &[("text", "x")]).await.status, 200);
    }
}

#[actix_web::test]
async fn ended_session_explains_as_a_stranger() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    world.sql_and_clear_cache("UPDATE sessions SET ended_at = now(), ended_reason = 'ended_by_admin'");
    let page = explain(&mut browser, "nonsense").await;
    assert_eq!(page.status, 200);
    hides(&page, &["alice", "/logout"]);
    world.advance(TimeDelta::days(40));
    assert_eq!(explain(&mut browser, "nonsense").await.status, 200);
}

#[actix_web::test]
async fn nothing_pasted_reaches_a_record() {
    let world = World::new().await;
    world.user("alice", "member");
    let secret = "dwp_0123456789abcdefghijklmnopqrstuvwxyz01234567";
    let mut browser = Browser::signed_in(&world, "alice").await;
    explain(&mut browser, secret).await;
    explain(&mut browser, &format!("curl -u alice:{secret} http://h/set-password/{secret}")).await;
    browser.fill_in(PATH, PATH, &[("text", secret), ("method", "GET"), ("path", secret)]).await;
    let stale = browser.post(PATH, &[("text", secret), ("csrf_token", "x")]).await;
    assert_eq!(stale.status, 403);
    hides(&stale, &[secret]);
    world.state.recorder.kept_refusals.flush(&world.state.core.database).await.unwrap();
    assert!(world.count("SELECT count(*) FROM refusals WHERE route = '/explain'") > 0);
    for table in ["refusals", "audit_events"] {
        let query = format!("SELECT count(*) FROM {table} row WHERE row::text LIKE '%0123456789abcdef%'");
        assert_eq!(world.count(&query), 0, "{table}");
    }
    let page = explain(&mut browser, &format!("curl -u alice:{secret} http://h/set-password/{secret}")).await;
    hides(&page, &[secret, "0123456789abcdef"]);
}
