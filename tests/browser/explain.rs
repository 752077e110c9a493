//! The page "Why was I refused?", as people reach it.

use doorward_test::World;

use crate::chromium::{Chromium, Look};

async fn refusal_is_explained_from_its_page(look: Look) {
    let world = World::new().await;
    world.user("alice", "member");
    let page = Chromium::open_as(&world, look).await;
    page.sign_in("alice").await;
    page.go("/admin").await;
    page.shows("You don’t have access to this page").await;
    page.press("Explain this refusal").await;
    page.shows("GET /admin was refused with 403").await;
    page.shows("This request was refused").await;
    page.press("Look up another refusal").await;
    page.fill("text", "Authorization: Bearer nonsense").await;
    page.press("Explain").await;
    page.shows("This credential is refused").await;
    assert_eq!(page.at().await, "/explain");
    page.go("/problems").await;
    page.press("Sign out").await;
    page.shows("This signs out this browser only.").await;
    page.press("Cancel").await;
    page.shows("alice").await;
}

#[actix_web::test]
async fn refusal_is_explained_from_its_page_with_script() {
    refusal_is_explained_from_its_page(Look::default()).await;
}

#[actix_web::test]
async fn refusal_is_explained_from_its_page_without_script() {
    refusal_is_explained_from_its_page(Look { without_script: true, ..Look::default() }).await;
}
