//! The page on which people create their own account.

use doorward_test::{Browser, PASSWORD, World};
use reqwest::Method;
use serde_json::json;

use super::html;

#[actix_web::test]
async fn registration_creates_accounts_only_when_open() {
    let closed = World::new().await;
    let body = json!({ "username": "carol", "password": PASSWORD });
    closed.ask(Method::POST, "/api/v1/auth/register").json(&body).send().await.refused("not_found");
    let mut browser = Browser::new(&closed);
    assert_eq!(browser.get("/register").await.status, 404);
    assert!(!html(&browser.get("/login").await).contains("/register"));
    let token = browser.form_token("/login").await;
    let fields = [("csrf_token", token.as_str()), ("username", "carol"), ("password", PASSWORD)];
    assert_eq!(browser.post("/register", &fields).await.status, 404);
    assert_eq!(closed.count("SELECT count(*) FROM users WHERE username = 'carol'"), 0);

    let open = World::with(|settings| settings.registration = doorward::config::Registration::Open).await;
    let made = open.ask(Method::POST, "/api/v1/auth/register").json(&body).send().await;
    assert_eq!((made.status, &made.body["role"]), (201, &json!("member")));
    open.login("carol").await;
    open.ask(Method::POST, "/api/v1/auth/register").json(&body).send().await.refused("conflict");
    let wrong = json!({ "username": "x\u{0}", "password": "short", "role": "admin" });
    let refused = open.ask(Method::POST, "/api/v1/auth/register").json(&wrong).send().await;
    assert_eq!(refused.refused("validation_failed").body["errors"].as_array().unwrap().len(), 3);
    let mut browser = Browser::new(&open);
    assert!(html(&browser.get("/login").await).contains("/register"));
    let typed = [("username", "CAROL"), ("email", ""), ("password", PASSWORD)];
    let answer = browser.fill_in("/register", "/register", &typed).await;
    assert!(
        answer.status == 422 && html(&answer).contains("already in use") && html(&answer).contains("CAROL")
    );
    let typed = [("username", "dave"), ("email", "dave@example.com"), ("password", PASSWORD)];
    let answer = browser.fill_in("/register", "/register", &typed).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/account")));
    assert!(html(&browser.get("/account").await).contains("dave@example.com"));
}
