//! Bodies of the pages' forms, and of simplejwt's routes.

use doorward::config::SimplejwtRoutes;
use doorward_test::Browser;
use reqwest::Method;

use super::{BODY_MAX, FORM, JSON, broken_bodies, everything_open, held, unharmed};

#[actix_web::test]
async fn hostile_forms_are_refused_as_pages() {
    let world = everything_open().await;
    world.user("alice", "member");
    let id = "0192d7a0-0000-7000-8000-000000000000";
    let pages: Vec<&str> =
        doorward::pages::routes().iter().map(doorward::http::routing::Endpoint::path).collect();
    let forms = doorward::app::routes(SimplejwtRoutes::On);
    let forms = forms.iter().filter(|endpoint| pages.contains(&endpoint.path()));
    let forms = forms.filter(|endpoint| endpoint.methods().iter().any(|method| method.as_str() == "POST"));
    let forms: Vec<String> =
        forms.map(|endpoint| endpoint.path().replace("{id}", id).replace("{token}", id)).collect();
    assert!(forms.len() > 10, "{forms:?}");
    let fields: [&[(&str, &str)]; 6] = [
        &[],
        &[("username", "\0"), ("name", "\0"), ("scope", "\0"), ("days", "99999999999999999999")],
        &[("username", "\u{202e}x"), ("email", "@"), ("current_password", ""), ("next", "//evil.example")],
        &[("", ""), ("=", "&")],
        &[("role", "'; DROP TABLE users; --"), ("status", "\u{fffd}"), ("password", "x")],
        &[("scope", "\u{1}"), ("scope", "a b c"), ("days", "-1"), ("name", "x")],
    ];
    let mut browser = Browser::signed_in(&world, "admin").await;
    let token = browser.form_token("/account").await;
    for path in &forms {
        // These two end the session that the other requests use.
        if ["/logout", "/account/password"].contains(&path.as_str()) {
            continue;
        }
        for more in fields {
            let mut sent = vec![("csrf_token", token.as_str())];
            sent.extend_from_slice(more);
            let answer = browser.post(path, &sent).await;
            held(&answer, &format!("{path}: {more:?}"));
            let location = answer.header("location").unwrap_or("/");
            assert!(location.starts_with('/') && !location.starts_with("//"), "{path}: {location}");
        }
        let ask = |body: Vec<u8>| {
            browser
                .ask(Method::POST, path)
                .header("content-type", FORM)
                .header("sec-fetch-site", "same-origin")
                .body(body)
        };
        for (body, statuses) in [
            (vec![b'x'; BODY_MAX + 1], &[413][..]),
            (vec![b'&'; BODY_MAX], &[403]),
            (b"csrf_token=%ff%fe&csrf_token".to_vec(), &[403, 422]),
        ] {
            let answer = ask(body).send().await;
            // The server checks the link before the fields.
            let is_link = path.starts_with("/set-password/") && answer.status == 404;
            let is_expected = statuses.contains(&answer.status) || is_link;
            assert!(is_expected, "{path}: {} {}", answer.status, answer.body);
        }
    }
    unharmed(&world).await;
}

#[actix_web::test]
async fn simplejwt_routes_refuse_hostile_bodies_in_their_own_words() {
    let world = everything_open().await;
    world.user("alice", "member");
    for path in ["/api/token/", "/api/token/refresh/", "/api/token/verify/", "/api/token/blacklist/"] {
        for (what, body, code) in broken_bodies() {
            let answer = world.ask(Method::POST, path).header("content-type", JSON).body(body).send().await;
            let expected = if code == "payload_too_large" { 413 } else { 400 };
            assert_eq!(answer.status, expected, "{path}: {what}: {}", answer.body);
        }
        let multipart = |boundary: &str| format!("multipart/form-data; boundary={boundary}");
        for (content_type, status) in [
            (multipart(""), 400),
            (multipart(&"x".repeat(71)), 400),
            (multipart("x"), 400),
            (FORM.to_owned(), 400),
            (format!("text/{}", "x".repeat(20_000)), 415),
        ] {
            let body = "--x\r\nContent-Disposition: form-data; name=\"\0\"\r\n\r\n\0\r\n--x";
            let answer = world.ask(Method::POST, path).header("content-type", &content_type).body(body);
            let answer = answer.send().await;
            assert_eq!(answer.status, status, "{path}: {content_type:.60}: {}", answer.body);
            assert!(answer.body.to_string().len() < 1_000, "{path}");
        }
        let encoded = world.ask(Method::POST, path).header("content-type", JSON);
        assert_eq!(encoded.header("content-encoding", "gzip").body("{}").send().await.status, 415);
    }
    unharmed(&world).await;
}
