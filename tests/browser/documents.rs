//! The guide, the problem pages and the API viewer, with their script.

use doorward_test::World;
use fantoccini::Locator;
use serde_json::json;

use crate::chromium::Chromium;

#[actix_web::test]
async fn guide_shows_one_client_at_a_time_and_follows_links() {
    let world = World::new().await;
    let page = Chromium::open(&world).await;
    page.go("/docs/guide").await;
    let shown = "return [...document.querySelectorAll('[role=tabpanel]')].filter((it) => it.offsetParent).map((it) => it.id)";
    assert_eq!(page.run(shown).await, json!(["a-client-for-the-shell-panel"]));
    page.press("Rust").await;
    assert_eq!(page.run(shown).await, json!(["a-client-in-rust-panel"]));
    page.find(Locator::Css(".contents a[href='#a-client-in-python']")).await.click().await.unwrap();
    let waited =
        format!("return new Promise((done) => setTimeout(() => done((() => {{ {shown} }})()), 300))");
    assert_eq!(page.run(&waited).await, json!(["a-client-in-python-panel"]));
    let buttons = page.run("return document.querySelectorAll('.code-block > .copy').length > 10").await;
    assert_eq!(buttons, json!(true));
}

#[actix_web::test]
async fn problems_are_filtered_as_one_types() {
    let world = World::new().await;
    let page = Chromium::open(&world).await;
    page.go("/problems").await;
    page.find(Locator::Css("#filter")).await.send_keys("expired").await.unwrap();
    let left = "return [...document.querySelectorAll('.codes tbody tr')].filter((it) => it.offsetParent).map((it) => it.cells[0].textContent)";
    assert_eq!(page.run(left).await, json!(["token_expired", "session_expired"]));
}

#[actix_web::test]
async fn viewer_sends_a_write_with_the_session_of_the_browser() {
    let world = World::new().await;
    world.user("alice", "member");
    let page = Chromium::open(&world).await;
    page.sign_in("alice").await;
    page.go("/docs/try#/Notes/notes_create").await;
    page.find(Locator::Css("#operations-Notes-notes_create .try-out__btn")).await.click().await.unwrap();
    page.find(Locator::Css("#operations-Notes-notes_create .execute")).await.click().await.unwrap();
    page.find(Locator::Css(
        "#operations-Notes-notes_create .live-responses-table tbody .response-col_status",
    ))
    .await;
    assert_eq!(world.count("SELECT count(*) FROM notes"), 1);
}
