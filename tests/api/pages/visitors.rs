//! Public pages: whose name they show, how they may be cached, and that nothing keeps them from being shown.

use std::time::{Duration, Instant};

use doorward_test::{Browser, World};

use super::html;

const PUBLIC: [&str; 6] =
    ["/", "/problems", "/problems/not_found", "/docs/guide", "/theme", "/account-settings"];
const NAME: &str = "<span class=\"hidden\">Your account: </span>alice</a>";

#[actix_web::test]
async fn public_pages_show_the_name_of_their_visitor() {
    let world = World::new().await;
    world.user("alice", "admin");
    let mut browser = Browser::signed_in(&world, "alice").await;
    for path in PUBLIC {
        let page = browser.get(path).await;
        for said in [NAME, "href=\"/admin\"", "<a href=\"/logout\">Sign out</a>"] {
            assert!(html(&page).contains(said), "{path}: {}", html(&page));
        }
        // A page without a secret may be compressed. The form of the colours has its own.
        assert!(path == "/theme" || !html(&page).contains("name=\"csrf_token\""), "{path}");
        let stranger = Browser::new(&world).get(path).await;
        assert!(html(&stranger).contains("<a href=\"/login\">Sign in</a>"), "{path}: {}", html(&stranger));
    }
    assert!(html(&browser.get("/").await).contains("Hello, alice"));
}

#[actix_web::test]
async fn page_with_a_name_is_kept_only_by_its_browser() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    for path in ["/problems", "/problems/not_found", "/docs/guide"] {
        let page = browser.get(path).await;
        assert_eq!(page.header("cache-control"), Some("private, no-cache"), "{path}");
        assert_eq!(page.header("vary"), Some("Accept, Accept-Encoding, Cookie"), "{path}");
        let page = Browser::new(&world).get(path).await;
        assert_eq!(page.header("cache-control"), Some("public, max-age=3600"), "{path}");
        assert_eq!(page.header("vary"), Some("Accept, Accept-Encoding, Cookie"), "{path}");
    }
}

#[actix_web::test]
async fn dead_cookie_means_nobody_on_public_pages() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    let mut forged = Browser::with(&world, browser.cookies.clone());
    forged.cookies.insert("doorward".to_owned(), "forged".to_owned());
    world.sql_and_clear_cache("UPDATE sessions SET ended_at = now(), ended_reason = 'logout'");
    for browser in [&mut browser, &mut forged] {
        for path in PUBLIC {
            let page = browser.get(path).await;
            assert_eq!(page.status, if path == "/account-settings" { 404 } else { 200 }, "{path}");
            assert!(!html(&page).contains(NAME) && html(&page).contains("href=\"/login\""), "{path}");
        }
    }
    assert_eq!(browser.get("/problems").await.header("cache-control"), Some("private, no-cache"));
}

#[actix_web::test]
async fn public_pages_answer_without_a_database() {
    let world = World::without_feed().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    assert!(html(&browser.get("/").await).contains(NAME));
    // Locked rows are a database that does not answer.
    let mut other = world.connection();
    diesel::connection::SimpleConnection::batch_execute(
        &mut other,
        "BEGIN; LOCK TABLE sessions, users IN ACCESS EXCLUSIVE MODE",
    )
    .unwrap();
    for path in PUBLIC {
        let started = Instant::now();
        let page = browser.get(path).await;
        assert!(started.elapsed() < Duration::from_secs(2), "{path}: {:?}", started.elapsed());
        assert_eq!(page.status, if path == "/account-settings" { 404 } else { 200 }, "{path}");
        assert!(!html(&page).contains(NAME), "{path}");
    }
}

#[actix_web::test]
async fn sign_out_link_leads_to_the_form_that_signs_out() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    let page = browser.get("/logout").await;
    assert!(page.status == 200 && html(&page).contains("Sign out?"), "{}", html(&page));
    let answer = browser.fill_in("/logout", "/logout", &[]).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/login?signed_out=1")));
    // Signing in again does not lead back to signing out.
    assert_eq!(browser.get("/logout").await.header("location"), Some("/login?next=%2Flogout"));
    let answer = browser.sign_in("alice", doorward_test::PASSWORD, &[("next", "/logout")]).await;
    assert_eq!(answer.header("location"), Some("/account"));
}

#[actix_web::test]
async fn footer_links_version_documentation_and_status() {
    let world = World::new().await;
    let page = Browser::new(&world).get("/login").await;
    let version = format!("doorward {}", env!("CARGO_PKG_VERSION"));
    for said in [&version, "href=\"/docs/guide\"", "href=\"/readyz\"", "href=\"/problems\""] {
        assert!(html(&page).contains(said), "{said}: {}", html(&page));
    }
}
