//! Forms that grant power require the password again.

use chrono::TimeDelta;
use doorward_test::{Browser, PASSWORD, World};
use reqwest::Method;
use serde_json::json;

use super::html;

#[actix_web::test]
async fn step_up_asks_for_the_password_and_resends_the_form() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    let new = "/account/tokens/new";
    let token = browser.form_token(new).await;
    world.advance(TimeDelta::minutes(20));
    let answer = browser.get(new).await;
    assert_eq!(answer.header("location"), Some("/step-up?next=%2Faccount%2Ftokens%2Fnew"));
    // A form that was open all the time is kept and sent again.
    let fields = [("csrf_token", token.as_str()), ("name", "<kept>"), ("scope", "notes:read"), ("days", "7")];
    let asked = browser.post(new, &fields).await;
    assert_eq!(asked.status, 401);
    assert!(asked.challenges()[0].contains("insufficient_user_authentication"), "{:?}", asked.challenges());
    assert!(html(&asked).contains("value=\"&#60;kept&#62;\""), "{}", html(&asked));
    let mut again = vec![("repeat", new), ("step_up_password", "wrong")];
    again.extend_from_slice(&fields);
    let answer = browser.post("/step-up", &again).await;
    assert!(answer.status == 422 && html(&answer).contains("&#60;kept&#62;"), "{}", html(&answer));
    assert_eq!(world.events("step_up_failed"), 1);
    again[1] = ("step_up_password", PASSWORD);
    let answer = browser.post("/step-up", &again).await;
    assert_eq!((answer.status, answer.header("location")), (307, Some(new)));
    assert_eq!(browser.post(new, &again).await.status, 201);
    again[0] = ("repeat", "//evil.test");
    let answer = browser.post("/step-up", &again).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/account")));
}

#[actix_web::test]
async fn step_up_with_a_cookie_returns_no_content() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    world.advance(TimeDelta::minutes(20));
    let me = browser.ask(Method::GET, "/api/v1/me").send().await;
    let token = me.body["credential"]["csrf_token"].as_str().unwrap();
    let ask = |browser: &Browser<'_>, path: &str| {
        let ask = browser.ask(Method::POST, path).header("sec-fetch-site", "same-origin");
        ask.header("x-csrf-token", token)
    };
    let new = json!({ "name": "x", "scope": "notes:read" });
    ask(&browser, "/api/v1/me/tokens").json(&new).send().await.refused("authentication_too_old");
    let answer = ask(&browser, "/api/v1/auth/step-up").json(&json!({ "password": PASSWORD })).send().await;
    assert_eq!(answer.status, 204);
    browser.keep(&answer);
    assert_eq!(ask(&browser, "/api/v1/me/tokens").json(&new).send().await.status, 201);
    assert_eq!(ask(&browser, "/api/v1/auth/logout").send().await.status, 204);
    browser.ask(Method::GET, "/api/v1/me").send().await.refused("session_ended");
}
