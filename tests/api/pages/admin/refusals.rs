//! The pages of refusals and their explanations.

use chrono::TimeDelta;
use doorward_test::{Answer, Browser, World};
use reqwest::Method;
use serde_json::json;

use crate::pages::html;

#[actix_web::test]
async fn refusals_are_listed_filtered_counted_and_explained() {
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
    for said in
        ["permission_denied", "POST /api/v1/notes", "alice", "Signed in", "<h3>Operator</h3>", &denied]
    {
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
        html(&one).contains("permission_denied") && !html(&one).contains("<h3>Operator</h3>"),
        "{}",
        html(&one)
    );
    let mut other = Browser::signed_in(&world, "root").await;
    assert!(html(&other.get("/account/refusals").await).contains("None: whatever was asked"));
    assert_eq!(other.get(&format!("/account/refusals/{denied}")).await.status, 404);
}

#[actix_web::test]
async fn invalid_filter_is_reported_at_its_field_and_kept() {
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
async fn authorized_request_is_explained_as_authorized() {
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
        for said in [
            "<h1>This request was accepted</h1>",
            "<title>This request was accepted",
            "GET /api/v1/notes",
            "passed",
        ] {
            assert!(html(page).contains(said), "{said}: {}", html(page));
        }
        for unsaid in ["/problems/", "What to do", "failed", "<code></code>"] {
            assert!(!html(page).contains(unsaid), "{unsaid}: {}", html(page));
        }
    }
}
