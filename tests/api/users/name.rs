//! Names that some credentials cannot carry, names that belong to others, and links sent to an address.

use doorward::config::Registration;
use doorward_test::{Answer, Browser, PASSWORD, PUBLIC_URL, Tokens, World};
use reqwest::Method;
use serde_json::{Value, json};

fn field_error(refused: &Answer) -> (&str, &str) {
    let error = &refused.refused("validation_failed").body["errors"][0];
    (error["pointer"].as_str().unwrap(), error["code"].as_str().unwrap())
}

async fn rename(world: &World, tokens: &Tokens, username: &str) -> Answer {
    let body = json!({ "username": username, "current_password": PASSWORD });
    world.patch("/api/v1/me", &tokens.access, body).await
}

#[actix_web::test]
async fn new_usernames_cannot_contain_a_colon() {
    let world = World::with(|settings| settings.registration = Registration::Open).await;
    let admin = world.login("admin").await;
    let kept = world.user("a:b", "member");
    let alice = world.signed_in("alice", "member").await;
    for name in ["c:d", "c\u{ff1a}d"] {
        let body = json!({ "username": name, "password": PASSWORD });
        let made = world.post("/api/v1/users", &admin.access, body.clone()).await;
        assert_eq!(field_error(&made), ("/username", "colon"));
        let registered = world.ask(Method::POST, "/api/v1/auth/register").json(&body).send().await;
        assert_eq!(field_error(&registered), ("/username", "colon"));
        assert_eq!(field_error(&rename(&world, &alice, name).await), ("/username", "colon"));
        let path = format!("/api/v1/users/{kept}");
        let renamed = world.patch(&path, &admin.access, json!({ "username": name })).await;
        assert_eq!(field_error(&renamed), ("/username", "colon"));
    }
    // A user with such a name keeps it when other things change, and may change its spelling.
    let path = format!("/api/v1/users/{kept}");
    for name in ["a:b", "A:B"] {
        let changed =
            world.patch(&path, &admin.access, json!({ "username": name, "email": "ab@example.org" })).await;
        assert_eq!((changed.status, &changed.body["username"]), (200, &json!(name)));
    }
}

#[actix_web::test]
async fn basic_credential_works_for_a_username_with_colons() {
    let world = World::new().await;
    let owner = world.signed_in("a:b", "member").await;
    let (token, _) = world.personal_token(&owner.access, "account:read").await;
    let ask = |name: &str, token: &str| world.ask(Method::GET, "/api/v1/me").basic(name, token).send();
    let me = ask("a:b", &token).await;
    assert_eq!((me.status, &me.body["username"]), (200, &json!("a:b")));
    ask("a:c", &token).await.refused("token_unknown");
    ask("a:b", PASSWORD).await.refused("token_malformed");
}

#[actix_web::test]
async fn users_cannot_choose_a_username_with_an_at_sign() {
    let world = World::with(|settings| settings.registration = Registration::Open).await;
    let admin = world.login("admin").await;
    let alice = world.signed_in("alice", "member").await;
    for name in ["ceo\u{ff20}corp.example", "ceo\u{fe6b}corp.example", "ceo@corp.example"] {
        assert_eq!(field_error(&rename(&world, &alice, name).await), ("/username", "at_sign"), "{name}");
        let body = json!({ "username": name, "password": PASSWORD });
        let registered = world.ask(Method::POST, "/api/v1/auth/register").json(&body).send().await;
        assert_eq!(field_error(&registered), ("/username", "at_sign"), "{name}");
        let mut browser = Browser::signed_in(&world, "alice").await;
        let typed = [("username", name), ("email", ""), ("current_password", PASSWORD)];
        let page = browser.fill_in("/account", "/account", &typed).await;
        assert!(
            page.status == 422 && page.body.to_string().contains("ust not contain @"),
            "{name}: {}",
            page.body
        );
    }
    let address = json!({ "username": "ceo", "email": "ceo@corp.example" });
    assert_eq!(world.post("/api/v1/users", &admin.access, address).await.status, 201);
    // An administrator may set such a name, and a user who has one keeps it.
    let id = world.user("bob\u{ff20}corp.example", "member");
    let bob = world.login("bob@corp.example").await;
    let changed = world
        .patch(
            "/api/v1/me",
            &bob.access,
            json!({ "username": "BOB\u{ff20}corp.example", "email": "bob@example.org",
            "current_password": PASSWORD }),
        )
        .await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    let renamed = world
        .patch(&format!("/api/v1/users/{id}"), &admin.access, json!({ "username": "bob@bob.example" }))
        .await;
    assert_eq!(renamed.status, 200, "{}", renamed.body);
}

async fn link(world: &World, admin: &Tokens, id: uuid::Uuid) -> String {
    let path = format!("/api/v1/users/{id}/password");
    let made = world.post(&path, &admin.access, json!({ "link": true })).await;
    made.text("link").strip_prefix(PUBLIC_URL).unwrap().to_owned()
}

#[actix_web::test]
async fn password_link_ends_when_the_email_address_changes() {
    let world = World::new().await;
    let admin = world.login("admin").await;
    let id = world.user("alice", "member");
    let path = format!("/api/v1/users/{id}");
    let mut browser = Browser::new(&world);
    for (change, status) in [
        (json!({ "email": "alice@example.org" }), 404),
        (json!({ "email": "alice@example.org" }), 200),
        (json!({ "username": "alicia" }), 200),
        (json!({ "role": "viewer" }), 200),
        (json!({ "email": Value::Null }), 404),
        (json!({ "username": "a@example.org" }), 200),
        (json!({ "username": "b@example.org" }), 404),
    ] {
        let link = link(&world, &admin, id).await;
        assert_eq!(world.patch(&path, &admin.access, change.clone()).await.status, 200, "{change}");
        assert_eq!(browser.get(&link).await.status, status, "{change}");
    }
}

#[actix_web::test]
async fn password_link_works_with_punctuation_behind_it() {
    let world = World::new().await;
    let admin = world.login("admin").await;
    let id = world.user("alice", "member");
    let link = link(&world, &admin, id).await;
    let mut browser = Browser::new(&world);
    for end in [".", ",", ")", "%3E", "%22.", "%E2%80%9D", "!", ";", "_", "-", "*", "'"] {
        assert_eq!(browser.get(&format!("{link}{end}")).await.status, 200, "{end}");
    }
    for end in ["x", ".x", "1"] {
        assert_eq!(browser.get(&format!("{link}{end}")).await.status, 404, "{end}");
    }
    assert_eq!(browser.get(&link[..link.len() - 1]).await.status, 404);
    let path = format!("{link}.");
    let new = "another unusual pass phrase";
    let set = browser.post(&path, &[("new_password", new), ("again", new)]).await;
    assert_eq!(set.status, 200);
    world.login_with(json!({ "username": "alice", "password": new })).await;
    assert_eq!(browser.get(&path).await.status, 404);
}
