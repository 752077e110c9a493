//! Tests what a person does with only the pages as a guide.

use chrono::TimeDelta;
use doorward_test::{PASSWORD, World};
use fantoccini::Locator;
use tokio::net::TcpListener;

use crate::chromium::{Chromium, Look};
use crate::other_origin::serve;

#[actix_web::test]
async fn account_pages_work_from_sign_in_to_sign_out() {
    let world = World::new().await;
    world.user("alice", "member");
    let page = Chromium::open(&world).await;
    page.go("/").await;
    page.press("Go to your account").await;
    page.shows("Sign in to continue").await;
    assert_eq!(page.at().await, "/login?next=%2Faccount");
    page.fill("username", "alice").await;
    page.fill("password", "wrong").await;
    page.press("Sign in").await;
    page.shows("The username or the password is wrong").await;
    page.fill("password", PASSWORD).await;
    page.press("Sign in").await;
    page.shows("What you may do").await;
    assert_eq!(page.at().await, "/account");
    page.press("Password").await;
    page.fill("current_password", PASSWORD).await;
    page.fill("new_password", "quite another phrase").await;
    page.fill("again", "quite another phrase").await;
    page.press("Change the password").await;
    page.shows("Your password is changed").await;
    page.press("Tokens").await;
    page.press("Make a token").await;
    page.fill("name", "backup").await;
    page.tick("account:read").await;
    page.press("Make the token").await;
    let shown = page.find(Locator::Css("#token")).await;
    let token = shown.prop("value").await.unwrap().unwrap();
    assert_eq!(world.get("/api/v1/me", &token).await.body["username"], "alice");
    page.press("Copy").await;
    page.press("I have copied it").await;
    page.press("Revoke backup").await;
    page.shows("You have no personal tokens").await;
    world.get("/api/v1/me", &token).await.refused("token_revoked");
    page.press("Activity").await;
    page.shows("The personal token “backup” was made.").await;
    page.press("Sign out").await;
    page.shows("You are signed out").await;
    page.client.back().await.unwrap();
    page.client.refresh().await.unwrap();
    assert!(
        page.at().await.starts_with("/login?next="),
        "the back button shows nothing: {}",
        page.at().await
    );
}

#[actix_web::test]
async fn account_pages_work_without_script() {
    let world = World::new().await;
    world.user("alice", "member");
    let page = Chromium::open_as(&world, Look { without_script: true, ..Look::default() }).await;
    page.sign_in("alice").await;
    assert!(page.client.find(Locator::Css("button[aria-pressed]")).await.is_err(), "the script did not run");
    page.fill("email", "alice@example.com").await;
    page.fill("current_password", PASSWORD).await;
    page.press("Save").await;
    page.shows("Your details are saved").await;
    page.press("Sessions").await;
    page.shows("This one").await;
    page.press("Tokens").await;
    page.press("Make a token").await;
    page.fill("name", "x").await;
    page.press("Make the token").await;
    page.shows("Choose at least one").await;
    page.press("Sign out").await;
    page.shows("You are signed out").await;
}

#[actix_web::test]
async fn cross_origin_form_has_no_effect() {
    let world = World::new().await;
    world.user("alice", "member");
    let page = Chromium::open(&world).await;
    page.sign_in("alice").await;
    // Another port is another origin of the same site, so the browser sends the cookie. localhost is another
    // site, so the browser does not send it.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let same_site = format!("http://{}", listener.local_addr().unwrap());
    let cross_site = same_site.replace("127.0.0.1", "localhost");
    actix_web::rt::spawn(serve(listener, "<!doctype html><body>elsewhere</body>".to_owned()));
    for (from, shown) in [(&same_site, "csrf_failed"), (&cross_site, "What you may do")] {
        // The request is refused without a proof, or as if no one were signed in, which leads through the
        // sign-in.
        page.client.goto(from).await.unwrap();
        page.run(&format!(
            "const form = document.createElement('form'); form.method = 'post'; form.action = '{}/logout'; \
             document.body.append(form); form.submit();",
            world.base
        ))
        .await;
        page.shows(shown).await;
    }
    page.go("/account").await;
    assert_eq!(page.at().await, "/account", "still signed in");
    assert_eq!(world.count("SELECT count(*) FROM sessions WHERE ended_at IS NOT NULL"), 0);
}

#[actix_web::test]
async fn step_up_keeps_the_form_and_continues() {
    let world = World::new().await;
    world.user("alice", "member");
    let page = Chromium::open(&world).await;
    page.sign_in("alice").await;
    page.go("/account/tokens/new").await;
    page.fill("name", "kept all the while").await;
    page.tick("notes:read").await;
    world.advance(TimeDelta::minutes(20));
    page.press("Make the token").await;
    page.shows("Confirm that it is you").await;
    page.fill("step_up_password", "wrong").await;
    page.press("Go on").await;
    page.shows("not the account's password").await;
    page.fill("step_up_password", PASSWORD).await;
    page.press("Go on").await;
    page.shows("kept all the while").await;
    assert_eq!(world.count("SELECT count(*) FROM personal_tokens WHERE name = 'kept all the while'"), 1);
}

#[actix_web::test]
async fn sign_in_after_an_ended_session_returns_to_the_page() {
    let world = World::new().await;
    world.user("alice", "member");
    let page = Chromium::open(&world).await;
    page.sign_in("alice").await;
    let api = world.login("alice").await;
    world.delete("/api/v1/me/sessions", &api.access).await;
    page.press("Sessions").await;
    page.shows("The session ended").await;
    page.fill("username", "alice").await;
    page.fill("password", PASSWORD).await;
    page.press("Sign in").await;
    page.press("End API client without a name").await;
    assert_eq!(page.at().await, "/account/sessions");
    page.shows("You are signed in nowhere else").await;
    world.get("/api/v1/me", &api.access).await.refused("session_ended");
}

#[actix_web::test]
async fn one_time_link_sets_a_password_once() {
    let world = World::new().await;
    let admin = world.signed_in("root", "admin").await;
    let id = world.user("alice", "member");
    let made = world
        .post(&format!("/api/v1/users/{id}/password"), &admin.access, serde_json::json!({ "link": true }))
        .await;
    let url = made.text("link");
    let path = url.strip_prefix(doorward_test::PUBLIC_URL).unwrap().to_owned();
    let page = Chromium::open(&world).await;
    page.go(&path).await;
    page.fill("new_password", "a phrase of her own").await;
    page.fill("again", "a phrase of another").await;
    page.press("Set the password").await;
    page.shows("This is not the same as above").await;
    page.fill("new_password", "a phrase of her own").await;
    page.fill("again", "a phrase of her own").await;
    page.press("Set the password").await;
    page.shows("The password is set").await;
    page.go(&path).await;
    page.shows("no longer good").await;
}

#[actix_web::test]
async fn password_is_shown_and_hidden_by_keyboard() {
    let world = World::new().await;
    let page = Chromium::open(&world).await;
    page.go("/login").await;
    page.fill("password", "secret words").await;
    let toggle = page.find(Locator::Css("button[aria-pressed]")).await;
    toggle.send_keys("\u{E007}").await.unwrap();
    let field = page.find(Locator::Css("#password")).await;
    assert_eq!(field.prop("type").await.unwrap().unwrap(), "text");
    toggle.send_keys("\u{E007}").await.unwrap();
    assert_eq!(field.prop("type").await.unwrap().unwrap(), "password");
}
