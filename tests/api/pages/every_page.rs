//! Every page shows typed text as text, is small, and reports refusals and server errors as pages.

use doorward_test::{Answer, Browser, PASSWORD, World};
use reqwest::Method;
use serde_json::json;

use super::html;

#[actix_web::test]
async fn typed_names_are_escaped_on_every_page() {
    let world = World::new().await;
    world.user("alice", "member");
    let evil = "\"><script>alert(1)</script>";
    let login = json!({ "username": "alice", "password": PASSWORD, "device": evil });
    world.ask(Method::POST, "/api/v1/auth/login").json(&login).send().await;
    let mut browser = Browser::signed_in(&world, "alice").await;
    let new = "/account/tokens/new";
    let made = browser.fill_in(new, new, &[("name", evil), ("scope", "notes:read"), ("days", "7")]).await;
    let wrong = [("username", evil), ("email", evil), ("current_password", PASSWORD)];
    let refused = browser.fill_in("/account", "/account", &wrong).await;
    let mut pages = vec![made, refused];
    for path in ["/account", "/account/sessions", "/account/tokens", "/account/activity"] {
        pages.push(browser.get(path).await);
    }
    pages.push(Browser::new(&world).sign_in(evil, "wrong", &[("next", evil)]).await);
    pages.push(browser.get("/%22%3E%3Cscript%3Ealert(1)%3C/script%3E").await);
    for page in pages {
        assert!(!html(&page).contains("<script>alert"), "{}", html(&page));
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(!html(&page).contains(" style=") && !html(&page).contains("<style"), "no inline styles");
        assert_eq!(page.header("cache-control"), Some("no-store"));
    }
}

#[actix_web::test]
async fn page_is_small_and_its_assets_are_immutable() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    let page = browser.get("/account").await;
    let mut size = html(&page).len();
    let assets: std::collections::BTreeSet<&str> =
        html(&page).split("\"/static/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(assets.len(), 3);
    for asset in assets {
        let file = world.ask(Method::GET, &format!("/static/{asset}")).send().await;
        let ask = world.ask(Method::GET, &format!("/static/{asset}")).header("accept-encoding", "gzip");
        let sent = ask.send().await;
        assert_eq!(file.status, 200, "{asset}");
        assert!(file.header("cache-control").unwrap().contains("immutable"));
        let length = |answer: &Answer| answer.header("content-length").unwrap().parse::<usize>().unwrap();
        assert!(length(&sent) <= length(&file), "{asset}");
        size += length(&sent);
    }
    assert!(size < 60_000, "{size} bytes");
    assert!(!html(&page).contains("http://") && !html(&page).contains("https://"), "nothing of another host");
}

#[actix_web::test]
async fn errors_are_rendered_as_pages() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    for (answer, status) in [
        (browser.get("/account/nothing").await, 404),
        (browser.post("/account/activity", &[]).await, 405),
        (browser.get("/account/tokens?cursor=nonsense").await, 422),
        (browser.post("/login", &[("x", &"x".repeat(70_000))]).await, 413),
    ] {
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
        assert!(html(&answer).contains(answer.header("x-request-id").unwrap()), "{}", html(&answer));
    }
}

#[actix_web::test]
async fn throttled_page_offers_a_link_and_a_throttled_form_a_reload() {
    let world = World::with(|settings| settings.unproven_per_address = 1).await;
    let mut browser = Browser::new(&world);
    let path = "/set-password/nonsense";
    assert_eq!(browser.get(path).await.status, 404);
    let (link, form) = ("href=\"\">Try again", "Reload this page to send the form once more");
    let shown = browser.get(path).await;
    assert_eq!(shown.status, 429);
    assert!(html(&shown).contains(link) && !html(&shown).contains(form), "{}", html(&shown));
    let sent = browser.post(path, &[("new_password", "x"), ("again", "x")]).await;
    assert_eq!(sent.status, 429);
    assert!(html(&sent).contains(form) && !html(&sent).contains(link), "{}", html(&sent));
    // A page for an error that waiting does not fix suggests neither.
    let missing = browser.get("/account/nothing").await;
    assert!(!html(&missing).contains(link) && !html(&missing).contains(form), "{}", html(&missing));
}
