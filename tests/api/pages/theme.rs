//! The choice of light or dark colours, without the script.

use doorward_test::{Browser, PUBLIC_URL, World};
use reqwest::Method;

use super::html;

const DARK: &str = "@media screen { :root { color-scheme: dark; } }\n";

#[actix_web::test]
async fn chosen_colours_are_kept_in_a_cookie() {
    let world = World::new().await;
    let mut browser = Browser::new(&world);
    assert!(html(&browser.get("/theme.css").await).starts_with("/*"));
    let saved = browser.fill_in("/theme", "/theme", &[("theme", "dark")]).await;
    assert_eq!((saved.status, saved.header("location")), (303, Some("/")));
    let cookie = saved.header("set-cookie").unwrap();
    for part in ["doorward-theme=dark", "Path=/", "SameSite=Lax", "Max-Age=31536000"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let style = browser.get("/theme.css").await;
    assert_eq!((html(&style), style.header("content-type")), (DARK, Some("text/css; charset=utf-8")));
    let page = browser.get("/theme").await;
    assert!(html(&page).contains("value=\"dark\" checked"), "{}", html(&page));
    browser.fill_in("/theme", "/theme", &[("theme", "system")]).await;
    assert!(html(&browser.get("/theme.css").await).starts_with("/*"));
}

#[actix_web::test]
async fn colours_are_asked_for_again_but_sent_only_if_changed() {
    let world = World::new().await;
    let ask = |cookie: &str, tag: &str| {
        let ask = world.ask(Method::GET, "/theme.css").header("cookie", cookie);
        ask.header("if-none-match", tag).send()
    };
    let first = ask("doorward-theme=dark", "\"system\"").await;
    assert_eq!((first.status, html(&first)), (200, DARK));
    assert_eq!(first.header("cache-control"), Some("private, no-cache"));
    assert_eq!((first.header("vary"), first.header("etag")), (Some("Cookie"), Some("\"dark\"")));
    let again = ask("doorward-theme=dark", "\"dark\"").await;
    assert_eq!((again.status, html(&again), again.header("etag")), (304, "", Some("\"dark\"")));
    let unknown = ask("doorward-theme=</style>", "\"dark\"").await;
    assert_eq!((unknown.status, unknown.header("etag")), (200, Some("\"system\"")));
}

#[actix_web::test]
async fn choice_leads_back_to_a_page_of_this_server_only() {
    let world = World::new().await;
    let referred = |referer: String| world.ask(Method::GET, "/theme").header("referer", referer).send();
    let page = referred(format!("{PUBLIC_URL}/problems?x=1")).await;
    assert!(html(&page).contains("name=\"next\" value=\"/problems?x=1\""), "{}", html(&page));
    for foreign in
        ["https://evil.test/problems".to_owned(), format!("{PUBLIC_URL}.evil.test/"), "x".to_owned()]
    {
        let page = referred(foreign).await;
        assert!(html(&page).contains("name=\"next\" value=\"\""), "{}", html(&page));
    }
    let mut browser = Browser::new(&world);
    let saved = browser.fill_in("/theme", "/theme", &[("theme", "light"), ("next", "//evil.test")]).await;
    assert_eq!(saved.header("location"), Some("/"));
}

#[actix_web::test]
async fn choice_from_another_site_is_refused() {
    let world = World::new().await;
    let mut browser = Browser::new(&world);
    let hidden = browser.hidden_fields("/theme", "/theme").await;
    browser.site = "cross-site";
    let refused = browser.send_form("/theme", &hidden, &[("theme", "dark")]).await;
    assert_eq!((refused.status, refused.header("set-cookie")), (403, None));
}
