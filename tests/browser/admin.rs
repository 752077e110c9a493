//! Tests what an administrator does in a browser.

use doorward_test::{PASSWORD, World};
use fantoccini::Locator;
use reqwest::Method;

use crate::chromium::Chromium;

#[actix_web::test]
async fn admin_creates_finds_disables_and_deletes_an_account() {
    let world = World::new().await;
    world.user("root", "admin");
    let page = Chromium::open(&world).await;
    page.sign_in("root").await;
    page.press("Admin").await;
    page.press("Users").await;
    page.press("New user").await;
    page.fill("username", "carol").await;
    page.press("Make the account").await;
    page.shows("A link for carol").await;
    let link = page.find(Locator::Css("#link")).await.prop("value").await.unwrap().unwrap();
    let path = link.strip_prefix(doorward_test::PUBLIC_URL).unwrap();
    let fields = [("new_password", PASSWORD), ("again", PASSWORD)];
    assert_eq!(doorward_test::Browser::new(&world).post(path, &fields).await.status, 200);
    let carol = world.login("carol").await;
    page.press("To the account").await;
    page.press("All users").await;
    page.fill("q", "AROL").await;
    page.press("Find").await;
    page.press("carol").await;
    page.shows("API client without a name").await;
    page.press("Disable the account").await;
    page.shows("The account is disabled").await;
    world.get("/api/v1/me", &carol.access).await.refused("account_disabled");
    page.press("Delete the account").await;
    page.fill("confirm", "somebody else").await;
    page.press("Delete the account").await;
    page.shows("This is not the account's name").await;
    page.fill("confirm", "carol").await;
    page.press("Delete the account").await;
    page.shows("New user").await;
    world.refresh(&carol.refresh).await.refused("account_deleted");
    page.press("Audit log").await;
    page.shows("user deleted").await;
    page.press("Keys").await;
    page.press("Make another key").await;
    page.shows("Published, and signs soon").await;
    let keys = world.ask(Method::GET, "/.well-known/jwks.json").send().await;
    assert!(!keys.body["keys"].as_array().unwrap().is_empty());
}
