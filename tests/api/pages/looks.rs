//! The operator's name, logo, colour and support contact on the pages, and the static files.

use std::path::Path;

use doorward::colour::Colour;
use doorward::config::{Settings, SupportContact};
use doorward_test::{Answer, Browser, World};
use reqwest::Method;

use super::html;

const LOGO: &str =
    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 9 9\"><script>alert(1)</script></svg>";

async fn get(world: &World, path: &str) -> Answer {
    world.ask(Method::GET, path).header("accept", "text/html").send().await
}

/// Returns the path of the file with this name that a page links.
fn linked<'a>(page: &'a Answer, name: &str) -> Option<&'a str> {
    let start = html(page).find(&format!("\"/static/{name}."))? + 1;
    html(page)[start..].split('"').next()
}

fn branded(settings: &mut Settings, logo: &Path) {
    settings.site_name = "Acme <b>&".to_owned();
    settings.site_colour = Colour::parse("#7a1fa2");
    settings.site_support = Some(SupportContact::read("help@acme.example").unwrap());
    settings.site_logo = Some(logo.to_owned());
}

#[actix_web::test]
async fn operator_brand_is_on_every_kind_of_page() {
    let folder = tempfile::tempdir().unwrap();
    let logo = folder.path().join("logo.svg");
    std::fs::write(&logo, LOGO).unwrap();
    let world = World::with(|settings| branded(settings, &logo)).await;
    world.user("alice", "admin");
    let mut browser = Browser::signed_in(&world, "alice").await;
    let mut pages = Vec::new();
    for path in ["/", "/login", "/problems", "/problems/not_found", "/docs/guide", "/nowhere", "/theme"] {
        pages.push(get(&world, path).await);
    }
    for path in ["/account", "/admin/settings", "/account/nothing"] {
        pages.push(browser.get(path).await);
    }
    for page in &pages {
        let title = html(page).split_once("<title>").unwrap().1.split_once("</title>").unwrap().0;
        assert!(title.ends_with("Acme &#60;b&#62;&#38;"), "{title}");
        assert!(html(page).contains("<span>Acme &#60;b&#62;&#38;</span>") && !html(page).contains("<b>"));
        assert!(linked(page, "site").is_some() && linked(page, "logo").is_some(), "{}", html(page));
        assert!(html(page).contains("<a href=\"mailto:help@acme.example\">help@acme.example</a>"));
    }
    // Beside the footer, sign-in and error pages say whom to ask.
    for page in [&pages[1], &pages[5], &pages[9]] {
        assert_eq!(html(page).matches("mailto:help@acme.example").count(), 2, "{}", html(page));
    }
}

#[actix_web::test]
async fn operator_files_are_immutable_and_run_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("logo");
    std::fs::write(&path, LOGO).unwrap();
    let world = World::with(|settings| branded(settings, &path)).await;
    let page = get(&world, "/").await;
    let style = get(&world, linked(&page, "site").unwrap()).await;
    assert_eq!(html(&style), ":root { --accent: #7a1fa2; --on-accent: #ffffff; }\n");
    let logo = get(&world, linked(&page, "logo").unwrap()).await;
    assert_eq!((html(&logo), logo.header("content-type")), (LOGO, Some("image/svg+xml")));
    let policy = logo.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("script-src"), "{policy}");
    for file in [&style, &logo] {
        assert_eq!(file.header("cache-control"), Some("public, max-age=31536000, immutable"));
        assert_eq!(file.header("x-content-type-options"), Some("nosniff"));
    }
    // A logo is only ever an image.
    assert_eq!(html(&page).matches("/static/logo.").count(), 2, "the icon and the picture in the header");
    assert_eq!(html(&get(&world, "/favicon.ico").await), LOGO);
}

#[actix_web::test]
async fn pages_without_a_brand_are_doorwards_own() {
    let world = World::new().await;
    let page = get(&world, "/nowhere").await;
    assert!(linked(&page, "site").is_none() && linked(&page, "logo").is_none());
    assert!(html(&page).contains("<span>doorward</span>") && !html(&page).contains("mailto:"));
    let icon = get(&world, "/favicon.ico").await;
    assert_eq!((icon.status, icon.header("content-type")), (200, Some("image/svg+xml")));
    assert_eq!(get(&world, "/static/site.000000000000.css").await.status, 404);
}

#[actix_web::test]
async fn brand_belongs_to_one_server_of_a_process() {
    let plain = World::new().await;
    let named = World::with(|settings| settings.site_name = "Acme".to_owned()).await;
    for (world, name) in [(&plain, "doorward"), (&named, "Acme"), (&plain, "doorward")] {
        assert!(html(&get(world, "/login").await).contains(&format!("<title>Sign in · {name}</title>")));
    }
}

#[actix_web::test]
async fn static_files_are_sent_compressed_to_clients_that_accept_it() {
    let world = World::new().await;
    let page = get(&world, "/login").await;
    let path = linked(&page, "app").unwrap().to_owned();
    let plain = get(&world, &path).await;
    assert_eq!((plain.header("content-encoding"), plain.header("vary")), (None, Some("Accept-Encoding")));
    let sent = world.ask(Method::GET, &path).header("accept-encoding", "br, gzip").send().await;
    assert_eq!((sent.status, sent.header("content-encoding")), (200, Some("gzip")));
    let length = |answer: &Answer| answer.header("content-length").unwrap().parse::<usize>().unwrap();
    assert!(length(&sent) * 3 < length(&plain));
    // Pages may hold secrets, whose length would be visible.
    let page = world.ask(Method::GET, "/login").header("accept-encoding", "gzip").send().await;
    assert_eq!(page.header("content-encoding"), None);
}

#[actix_web::test]
async fn password_managers_find_the_form_for_a_new_password() {
    let world = World::new().await;
    let found = get(&world, "/.well-known/change-password").await;
    assert_eq!((found.status, found.header("location")), (303, Some("/account/password")));
    let missing =
        get(&world, "/.well-known/resource-that-should-not-exist-whose-status-code-should-not-be-200").await;
    assert_eq!(missing.status, 404);
}
