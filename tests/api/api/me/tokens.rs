//! The caller's own personal access tokens.

use std::time::Duration;

use doorward_test::{Browser, PASSWORD, World};
use serde_json::json;

use super::uses_of_tokens;

#[actix_web::test]
async fn token_is_shown_once_and_limited_to_the_scope_of_its_maker() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let path = "/api/v1/me/tokens";
    let made = world
        .post(path, &tokens.access, json!({"name": "ci", "scope": "notes:write", "expires_in": 60}))
        .await;
    assert_eq!((made.status, made.header("cache-control")), (201, Some("no-store")), "{}", made.body);
    assert!(made.text("token").starts_with("dwp_"));
    assert_eq!(made.header("location"), Some(format!("{path}/{}", made.text("id")).as_str()));
    let listed = world.get(path, &tokens.access).await;
    assert!(listed.body["items"][0].get("token").is_none());
    assert_eq!(listed.body["items"][0]["scope"], "notes:write");
    assert_eq!(
        world.count(&format!(
            "SELECT count(*) FROM personal_tokens WHERE digest::text LIKE '%{}%'",
            made.text("token")
        )),
        0
    );

    let refused = world.post(path, &tokens.access, json!({"name": "x", "scope": "account:write"})).await;
    assert_eq!(refused.refused("validation_failed").body["errors"][0]["code"], "not_allowed");
    world
        .post(path, &tokens.access, json!({"name": "x", "scope": "users:read"}))
        .await
        .refused("permission_denied");
    let refused = world.post(path, &tokens.access, json!({"name": "x", "scope": "nonsense"})).await;
    assert_eq!(refused.refused("validation_failed").body["errors"][0]["pointer"], "/scope");
    let refused = world.post(path, &tokens.access, json!({"scope": 1, "expires_in": 0})).await;
    assert_eq!(refused.refused("validation_failed").body["errors"].as_array().unwrap().len(), 3);
    let narrow = world
        .login_with(json!({"username": "alice", "password": PASSWORD, "scope": "account:write notes:read"}))
        .await;
    let refused = world.post(path, &narrow.access, json!({"name": "x", "scope": "notes:write"})).await;
    refused.refused_with("insufficient_scope", "login", false);
}

#[actix_web::test]
async fn token_lifetime_defaults_to_ninety_days_up_to_ten_years() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let made = async |expires_in: Option<i64>| {
        let mut body = json!({ "name": "ci", "scope": "notes:read" });
        if let Some(seconds) = expires_in {
            body["expires_in"] = json!(seconds);
        }
        world.post("/api/v1/me/tokens", &tokens.access, body).await
    };
    for (expires_in, seconds) in [(None, 7_776_000), (Some(315_360_000), 315_360_000), (Some(1), 1)] {
        let id = made(expires_in).await.text("id");
        let query = format!(
            "SELECT extract(epoch FROM expires_at - created_at)::bigint AS count FROM personal_tokens WHERE id = '{id}'"
        );
        assert_eq!(world.count(&query), seconds);
    }
    let refused = made(Some(315_360_001)).await;
    assert_eq!(refused.refused("validation_failed").body["errors"][0]["code"], "out_of_range");
}

#[actix_web::test]
async fn setting_limits_the_lifetime_of_personal_tokens() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await.access;
    let good_for = |expires_in: i64| json!({ "name": "ci", "scope": "notes:read", "expires_in": expires_in });
    let path = "/api/v1/me/tokens";
    let long = world.post(path, &alice, good_for(8_640_000)).await.text("token");
    let bounded =
        world.another_node_with(|settings| settings.token_ttl_max = Duration::from_secs(864_000)).await;
    let refused = bounded.post(path, &alice, good_for(864_001)).await;
    let error = &refused.refused("validation_failed").body["errors"][0];
    assert_eq!((&error["pointer"], &error["code"]), (&json!("/expires_in"), &json!("out_of_range")));
    let detail = error["detail"].as_str().unwrap();
    assert!(detail.contains("864000") && detail.contains("DOORWARD_TOKEN_TTL_MAX"), "{detail}");
    assert_eq!(bounded.post(path, &alice, good_for(864_000)).await.status, 201);
    let unsaid = bounded.post(path, &alice, json!({ "name": "ci", "scope": "notes:read" })).await;
    assert_eq!(unsaid.status, 201, "{}", unsaid.body);
    let lives = "SELECT count(*) FROM personal_tokens WHERE expires_at = created_at + interval '10 days'";
    assert_eq!(world.count(lives), 2);
    assert_eq!(
        bounded.get("/api/v1/notes", &long).await.status,
        200,
        "those that were made before stay good"
    );
    // The page offers only allowed lifetimes. If none of its choices is allowed, it offers the longest
    // lifetime.
    let new = "/account/tokens/new";
    let choices = async |node: &World| {
        let page = Browser::signed_in(node, "alice").await.get(new).await.body;
        let page = page
            .as_str()
            .unwrap()
            .split("<select")
            .nth(1)
            .unwrap()
            .split("</select>")
            .next()
            .unwrap()
            .to_owned();
        let values = page.split("value=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
        (values.collect::<Vec<_>>().join(" "), page.contains("selected"))
    };
    assert_eq!(choices(&world).await, ("7 30 90 365 1825".to_owned(), true));
    assert_eq!(choices(&bounded).await, ("7".to_owned(), true));
    let short = world.another_node_with(|settings| settings.token_ttl_max = Duration::from_secs(7_200)).await;
    assert_eq!(choices(&short).await, ("longest".to_owned(), true));
    let mut browser = Browser::signed_in(&short, "alice").await;
    let fields = [("name", "ci"), ("scope", "notes:read"), ("days", "30")];
    let answer = browser.fill_in(new, new, &fields).await;
    assert!(answer.status == 422 && answer.body.as_str().unwrap().contains("DOORWARD_TOKEN_TTL_MAX"));
    assert!(answer.body.as_str().unwrap().contains("2 hours, the longest allowed"));
    let answer = browser.fill_in(new, new, &[fields[0], fields[1], ("days", "longest")]).await;
    assert_eq!(answer.status, 201);
    let lives = "SELECT count(*) FROM personal_tokens WHERE expires_at = created_at + interval '2 hours'";
    assert_eq!(world.count(lives), 1);
}

#[actix_web::test]
async fn locked_personal_token_row_is_written_at_the_next_flush() {
    use diesel::connection::SimpleConnection;
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let (token, _) = world.personal_token(&tokens.access, "notes:read").await;
    assert_eq!(world.get("/api/v1/notes", &token).await.status, 200);
    let mut owner = world.connection();
    owner.batch_execute("BEGIN; SELECT * FROM personal_tokens FOR UPDATE").unwrap();
    world.flush().await;
    assert_eq!(uses_of_tokens(&world), 0);
    owner.batch_execute("COMMIT").unwrap();
    world.flush().await;
    assert_eq!(uses_of_tokens(&world), 1);
}
