//! The sign-in page, and the redirects to it and back.

use doorward_test::{Browser, PASSWORD, World};
use reqwest::Method;

use super::html;

#[actix_web::test]
async fn wrong_password_shows_the_form_with_the_name_kept() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::new(&world);
    let answer = browser.sign_in("alice", "wrong", &[("next", "/account/tokens")]).await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.challenges(), ["Bearer realm=\"doorward\""]);
    assert!(html(&answer).contains("value=\"alice\"") && html(&answer).contains("role=\"alert\""));
    assert!(html(&answer).contains("value=\"/account/tokens\""));
    assert!(!browser.cookies.contains_key("doorward"));
    assert_eq!(world.events("login_failed"), 1);
}

#[actix_web::test]
async fn sign_in_redirects_only_to_local_paths() {
    let world = World::new().await;
    world.user("alice", "member");
    for (next, location) in [
        ("/account/tokens?x=1", "/account/tokens?x=1"),
        ("//evil.test", "/account"),
        ("/\\evil.test", "/account"),
        ("/\t/evil.test", "/account"),
        ("https://evil.test/", "/account"),
        ("javascript:alert(1)", "/account"),
    ] {
        let answer = Browser::new(&world).sign_in("alice", PASSWORD, &[("next", next)]).await;
        assert_eq!(answer.header("location"), Some(location), "{next:?}");
    }
    let mut browser = Browser::signed_in(&world, "alice").await;
    let answer = browser.get("/login?next=%2F%2Fevil.test").await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/account")));
}

#[actix_web::test]
async fn guarded_pages_redirect_to_sign_in_and_back() {
    let world = World::new().await;
    let mut browser = Browser::new(&world);
    let open = [
        "/",
        "/explain",
        "/login",
        "/register",
        "/set-password/{token}",
        "/problems",
        "/problems/{code}",
        "/static/{file}",
        "/favicon.ico",
        "/theme",
        "/theme.css",
        "/.well-known/change-password",
    ];
    let pages = doorward::pages::routes();
    let is_open = |path: &str| open.contains(&path) || path.starts_with("/docs/");
    let guarded = pages.iter().filter(|page| !is_open(page.path()));
    let mut seen = 0;
    for page in guarded {
        let path = page.path().replace("{id}", "0192d7a0-0000-7000-8000-000000000000");
        for method in page.methods() {
            let (answer, on) = match method.as_str() {
                "GET" => (browser.get(&path).await, path.clone()),
                "POST" => (browser.post(&path, &[("csrf_token", "x")]).await, "/account".to_owned()),
                _ => continue,
            };
            let expected = format!("/login?next={}", on.replace('/', "%2F"));
            assert_eq!((answer.status, answer.header("location")), (303, Some(expected.as_str())), "{path}");
            seen += 1;
        }
    }
    assert!(seen > 12, "{seen}");
}

#[actix_web::test]
async fn sign_in_page_shows_why_the_session_ended() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    let api = world.login("alice").await;
    assert_eq!(world.delete("/api/v1/me/sessions", &api.access).await.status, 204);
    let refused = browser.ask(Method::GET, "/api/v1/me").send().await;
    refused.refused_with("session_ended", "login", true);
    assert_eq!(refused.body["reason"], "ended_by_user");
    let answer = browser.get("/account/tokens").await;
    assert_eq!(answer.header("location"), Some("/login?next=%2Faccount%2Ftokens"));
    let page = browser.get("/login?next=%2Faccount%2Ftokens").await;
    assert!(
        html(&page).contains("session ended at") && html(&page).contains("ended by user"),
        "{}",
        html(&page)
    );
}
