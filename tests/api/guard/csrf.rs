//! The proofs that a person intended a request.

use doorward_test::{Browser, PASSWORD, World};
use reqwest::Method;
use serde_json::json;

use crate::pages::html;

#[actix_web::test]
async fn unsafe_request_with_a_cookie_requires_both_csrf_proofs() {
    let world = World::new().await;
    world.user("alice", "member");
    let browser = Browser::signed_in(&world, "alice").await;
    let token = browser.ask(Method::GET, "/api/v1/me").send().await.body["credential"]["csrf_token"].clone();
    let token = token.as_str().unwrap();
    let note = json!({ "title": "x", "body": "" });
    let cases: [(&[(&str, &str)], u16); 11] = [
        (&[], 403),
        (&[("x-csrf-token", token)], 403),
        (&[("sec-fetch-site", "same-origin")], 403),
        (&[("sec-fetch-site", "same-origin"), ("x-csrf-token", "AAAA")], 403),
        (&[("sec-fetch-site", "same-site"), ("x-csrf-token", token)], 403),
        (
            &[("sec-fetch-site", "cross-site"), ("origin", "http://doorward.test"), ("x-csrf-token", token)],
            403,
        ),
        (&[("origin", "http://evil.test"), ("x-csrf-token", token)], 403),
        (&[("origin", "http://door`ward.test"), ("x-csrf-token", token)], 403),
        (&[("sec-fetch-site", "same-`origin"), ("x-csrf-token", token)], 403),
        (&[("origin", "http://doorward.test"), ("x-csrf-token", token)], 201),
        (&[("sec-fetch-site", "same-origin"), ("x-csrf-token", token)], 201),
    ];
    for (headers, status) in cases {
        let ask = browser.ask(Method::POST, "/api/v1/notes").json(&note);
        let answer = headers.iter().fold(ask, |ask, (name, value)| ask.header(name, value)).send().await;
        assert_eq!(answer.status, status, "{headers:?}: {}", answer.body);
        if status == 403 {
            answer.refused_with("csrf_failed", "fix_request", false);
        }
    }
    assert_eq!(world.count("SELECT count(*) FROM notes"), 2);
    // Another session's token does not prove anything for this one.
    let other = Browser::signed_in(&world, "alice").await;
    let answer = other
        .ask(Method::POST, "/api/v1/notes")
        .header("sec-fetch-site", "same-origin")
        .header("x-csrf-token", token)
        .json(&note);
    answer.send().await.refused("csrf_failed");
    // The proof is checked before a malformed body is reported.
    let broken =
        browser.ask(Method::POST, "/api/v1/notes").header("content-type", "application/json").body("{");
    broken.send().await.refused("csrf_failed");
    assert_eq!(browser.ask(Method::GET, "/api/v1/me").send().await.status, 200);
}

#[actix_web::test]
async fn cross_site_form_neither_signs_in_nor_changes_anything() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::new(&world);
    browser.site = "cross-site";
    let answer = browser.sign_in("alice", PASSWORD, &[]).await;
    assert_eq!(answer.status, 403);
    assert!(html(&answer).contains("csrf_failed"));
    // A form without doorward's cookie, or with another browser's token, signs no one in either.
    let mut browser = Browser::new(&world);
    let token = Browser::new(&world).form_token("/login").await;
    let fields = [("csrf_token", token.as_str()), ("username", "alice"), ("password", PASSWORD)];
    assert_eq!(browser.post("/login", &fields).await.status, 403);
    assert_eq!(world.count("SELECT count(*) FROM sessions"), 0);
    let mut browser = Browser::signed_in(&world, "alice").await;
    browser.site = "same-site";
    assert_eq!(browser.fill_in("/account", "/logout", &[]).await.status, 403);
    browser.site = "same-origin";
    assert_eq!(browser.post("/logout", &[]).await.status, 403);
    assert_eq!(browser.get("/account").await.status, 200, "the session is left alone");
}

#[actix_web::test]
async fn sign_in_form_keeps_its_cookie_and_replaces_an_invalid_one() {
    let world = World::new().await;
    let mut browser = Browser::new(&world);
    let first = browser.form_token("/login").await;
    let kept = browser.cookies.clone();
    let second = browser.form_token("/login").await;
    assert_eq!((&second, &browser.cookies), (&first, &kept), "two tabs have one token");
    for value in browser.cookies.values_mut() {
        *value = "short".to_owned();
    }
    let third = browser.form_token("/login").await;
    assert_ne!(third, first);
    assert!(browser.cookies.values().all(|value| value.len() == 43), "{:?}", browser.cookies);
}

#[actix_web::test]
async fn csrf_token_in_the_body_is_not_accepted_by_the_api() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    let token = browser.form_token("/account").await;
    let ask = || {
        let ask = browser.ask(Method::POST, "/api/v1/notes").header("sec-fetch-site", "same-origin");
        ask.header("content-type", "text/plain").body(format!("csrf_token={token}"))
    };
    ask().send().await.refused("csrf_failed");
    ask().header("x-csrf-token", &token).send().await.refused("unsupported_media_type");
}
