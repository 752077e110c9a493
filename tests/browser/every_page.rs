//! Checks every page with axe (WCAG 2.2, level AA) under different conditions, and takes pictures if they are
//! requested.

use std::path::PathBuf;

use doorward_test::{Answer, PASSWORD, World};
use serde_json::{Value, json};

use crate::chromium::{Chromium, Look};
use crate::readme;

/// The pages, each with the name of its picture, its path, and whether it is behind the sign-in.
const PAGES: [(&str, &str, bool); 33] = [
    ("home", "/", false),
    ("login", "/login", false),
    ("login-next", "/login?next=%2Faccount", false),
    ("register", "/register", false),
    ("problems", "/problems", false),
    ("problem", "/problems/session_ended", false),
    ("guide", "/docs/guide", false),
    ("from-django", "/docs/django-rest-framework", false),
    ("link-gone", "/set-password/nonsense", false),
    ("not-found", "/nowhere", false),
    ("theme", "/theme", false),
    ("explain", "/explain", false),
    ("home-signed-in", "/", true),
    ("sign-out", "/logout", true),
    ("profile", "/account", true),
    ("password", "/account/password", true),
    ("sessions", "/account/sessions", true),
    ("tokens", "/account/tokens", true),
    ("new-token", "/account/tokens/new", true),
    ("activity", "/account/activity", true),
    ("refusals", "/account/refusals", true),
    ("step-up", "/step-up?next=%2Faccount", true),
    ("admin", "/admin", true),
    ("admin-users", "/admin/users", true),
    ("admin-no-users", "/admin/users?q=nobody-at-all", true),
    ("admin-new-user", "/admin/users/new", true),
    ("admin-audit", "/admin/audit", true),
    ("admin-wrong-filter", "/admin/audit?actor=alcie&since=1&type=session_ended", true),
    ("admin-refusals", "/admin/refusals?live=1", true),
    ("admin-no-refusals", "/admin/refusals?code=last_admin", true),
    ("admin-keys", "/admin/keys", true),
    ("admin-settings", "/admin/settings", true),
    ("invalid", "/account/tokens?cursor=x", true),
];

const AXE: &str = "
    const done = arguments[arguments.length - 1];
    axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })
        .then((found) => done(found.violations.map((it) =>
            it.id + ': ' + it.nodes.map((node) => node.target + ' ' + node.failureSummary).join('; '))));";

async fn check(page: &Chromium, name: &str, (look, shown): (&str, Look)) {
    // Paper has no forms, so pages are only printed here.
    page.show_as(shown).await;
    let axe = std::env::var("DOORWARD_TEST_AXE").expect("DOORWARD_TEST_AXE is not set: run `make test`");
    let script = std::fs::read_to_string(&axe).expect("axe-core");
    page.run(&script).await;
    let found = page.client.execute_async(AXE, Vec::new()).await.unwrap();
    assert_eq!(found, json!([]), "{name} {look}");
    let wide = page.run("return document.documentElement.scrollWidth > innerWidth").await;
    assert_eq!(wide, json!(false), "{name} {look}: it does not fit the window");
    let outside = page
        .run("return performance.getEntriesByType('resource').map((it) => it.name).filter((it) => !it.startsWith(location.origin))")
        .await;
    assert_eq!(outside, json!([]), "{name} {look}: something of another host");
    if let Some(folder) = pictures() {
        std::fs::write(folder.join(format!("{name}-{look}.png")), page.picture_of("html").await).unwrap();
    }
    page.show_as(Look { printed: false, ..shown }).await;
}

/// Returns the folder for pictures, if they are wanted.
fn pictures() -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("DOORWARD_SCREENSHOTS")?);
    std::fs::create_dir_all(&folder).unwrap();
    Some(folder)
}

/// Makes a few refused requests. Returns the answer to one with an ended session.
async fn refused(world: &World) -> Answer {
    let gone = world.login("alice.of-wonderland").await;
    world.post("/api/v1/auth/logout", &gone.access, json!({})).await;
    world.get("/api/v1/me", "garbage").await;
    let refused = world.get("/api/v1/notes", &gone.access).await;
    world.state.recorder.kept_refusals.flush(&world.state.core.database).await.unwrap();
    world.state.recorder.refusal_counts.flush(&world.state.core.database).await.unwrap();
    refused
}

async fn look_at_all(name: &str, look: Look) {
    let world = World::with(|settings| settings.registration = doorward::config::Registration::Open).await;
    let tokens = world.signed_in("alice.of-wonderland", "admin").await;
    for (name, scope) in
        [("Backup script", "notes:read"), ("Deploy from the build server", "notes:read notes:write")]
    {
        let body = json!({ "name": name, "scope": scope });
        assert_eq!(world.post("/api/v1/me/tokens", &tokens.access, body).await.status, 201);
    }
    let device: Value =
        json!({ "username": "alice.of-wonderland", "password": PASSWORD, "device": "curl on my laptop" });
    world.login_with(device).await;
    let refusal = refused(&world).await;
    let refused = refusal.text("request_id");
    let page = Chromium::open_as(&world, Look { printed: false, ..look }).await;
    let looks = (name, look);
    for (picture, path, _) in PAGES.iter().filter(|(_, _, behind)| !behind) {
        page.go(path).await;
        check(&page, picture, looks).await;
    }
    page.go("/login").await;
    page.fill("username", "alice.of-wonderland").await;
    page.fill("password", "a wrong one").await;
    page.press("Sign in").await;
    page.shows("is wrong").await;
    check(&page, "login-wrong", looks).await;
    page.sign_in("alice.of-wonderland").await;
    for (picture, path, _) in PAGES.iter().filter(|(_, _, behind)| *behind) {
        page.go(path).await;
        check(&page, picture, looks).await;
    }
    let id = world.text("SELECT id::text AS text FROM users WHERE username = 'alice.of-wonderland'");
    let disabled = world.user("bob", "member");
    world.sql_and_clear_cache("UPDATE users SET status = 'disabled' WHERE username = 'bob'");
    for (picture, path) in [
        ("admin-user", format!("/admin/users/{id}")),
        ("admin-user-disabled", format!("/admin/users/{disabled}")),
        ("admin-revoke-tokens", format!("/admin/users/{id}/revoke-tokens")),
        ("admin-delete", format!("/admin/users/{id}/delete")),
        ("admin-refusal", format!("/admin/refusals/{refused}")),
        ("refusal", format!("/account/refusals/{refused}")),
        ("explained", format!("/explain?request_id={refused}")),
        ("explain-unknown", "/explain?request_id=0192d7a0-0000-7000-8000-000000000000".to_owned()),
    ] {
        page.go(&path).await;
        check(&page, picture, looks).await;
    }
    if let Some(folder) = pictures().filter(|_| name.starts_with("wide-")) {
        let colours = if look.dark { "dark" } else { "light" };
        readme::take(&page, &refusal, &folder.join(format!("readme-{colours}.png"))).await;
    }
    page.go(&format!("/admin/users/{disabled}")).await;
    world.sql_and_clear_cache("UPDATE users SET role = 'viewer' WHERE username = 'bob'");
    page.press("Save").await;
    page.shows("Nothing was saved").await;
    check(&page, "admin-user-stale", looks).await;
    page.go("/account/password").await;
    page.fill("current_password", PASSWORD).await;
    page.fill("new_password", "short").await;
    page.fill("again", "short").await;
    page.press("Change the password").await;
    page.shows("12 characters are").await;
    check(&page, "password-wrong", looks).await;
    page.go("/account/tokens/new").await;
    page.fill("name", "Another").await;
    page.tick("notes:read").await;
    page.press("Make the token").await;
    page.shows("Copy it now").await;
    check(&page, "made-token", looks).await;
}

#[actix_web::test]
async fn every_page_is_accessible_wide_and_light() {
    look_at_all("wide-light", Look::default()).await;
}

#[actix_web::test]
async fn every_page_is_accessible_wide_and_dark() {
    look_at_all("wide-dark", Look { dark: true, ..Look::default() }).await;
}

#[actix_web::test]
async fn every_page_is_accessible_narrow_and_light() {
    look_at_all("narrow-light", Look { narrow: true, ..Look::default() }).await;
}

#[actix_web::test]
async fn every_page_is_accessible_narrow_and_dark() {
    look_at_all("narrow-dark", Look { narrow: true, dark: true, ..Look::default() }).await;
}

// The other looks change little that axe sees, and are for `make screenshots`.

#[actix_web::test]
#[ignore = "part of make screenshots"]
async fn every_page_fits_the_narrowest_screen() {
    look_at_all("narrowest", Look { narrowest: true, ..Look::default() }).await;
}

#[actix_web::test]
#[ignore = "part of make screenshots"]
async fn every_page_is_accessible_at_200_percent() {
    look_at_all("zoomed", Look { zoomed: true, ..Look::default() }).await;
}

#[actix_web::test]
#[ignore = "part of make screenshots"]
async fn every_page_is_accessible_in_forced_colours() {
    look_at_all("forced-colours", Look { forced_colours: true, ..Look::default() }).await;
}

#[actix_web::test]
#[ignore = "part of make screenshots"]
async fn every_page_is_accessible_in_print() {
    look_at_all("print", Look { printed: true, ..Look::default() }).await;
}
