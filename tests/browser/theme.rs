//! The choice of light or dark colours, with and without the script.

use doorward_test::World;
use fantoccini::Locator;
use serde_json::{Value, json};

use crate::chromium::{Chromium, Look};

async fn colours(page: &Chromium) -> Value {
    page.run("return getComputedStyle(document.documentElement).colorScheme").await
}

#[actix_web::test]
async fn colours_are_chosen_at_the_end_of_any_page() {
    let world = World::new().await;
    let page = Chromium::open(&world).await;
    page.go("/login").await;
    assert_eq!(colours(&page).await, json!("light dark"));
    for chosen in ["dark", "light"] {
        page.find(Locator::Css(&format!("footer option[value={chosen}]"))).await.click().await.unwrap();
        assert_eq!(colours(&page).await, json!(chosen));
        // The next page has the same colours before its script runs.
        page.go("/problems").await;
        assert_eq!(colours(&page).await, json!(chosen));
        let shown = page.run("return document.querySelector('footer select').value").await;
        assert_eq!(shown, json!(chosen));
        let by_script = page.run("return document.documentElement.dataset.theme ?? null").await;
        assert_eq!(by_script, Value::Null);
    }
}

#[actix_web::test]
async fn colours_are_chosen_without_script() {
    let world = World::new().await;
    let page = Chromium::open_as(&world, Look { without_script: true, ..Look::default() }).await;
    page.go("/theme").await;
    page.find(Locator::Css("#theme-dark")).await.click().await.unwrap();
    page.press("Save").await;
    page.find(Locator::Css("a[href=\"/theme\"]")).await;
    assert_eq!((page.at().await.as_str(), colours(&page).await), ("/", json!("dark")));
}
