//! No caller grants more than they have, or controls an account that may do more.

use doorward_test::{PASSWORD, World};
use reqwest::Method;
use serde_json::json;

#[actix_web::test]
async fn helpdesk_cannot_grant_or_control_more_than_it_has() {
    let world = World::new().await;
    world.sql(
        "INSERT INTO roles VALUES ('helpdesk', ARRAY['account:read', 'account:write', 'users:read', 'users:write'])",
    );
    let help = world.signed_in("help", "helpdesk").await.access;
    let target = world.user("admin2", "admin");
    let weak = world.user("weak", "helpdesk");
    let path = format!("/api/v1/users/{target}");
    let refused = world.patch(&path, &help, json!({"status": "disabled"})).await;
    refused.refused_with("permission_denied", "request_access", false);
    assert!(refused.body["required"].as_array().unwrap().contains(&json!("audit:read")));
    world
        .post(&format!("{path}/password"), &help, json!({"new_password": "a phrase of one's own"}))
        .await
        .refused("permission_denied");
    world.post(&format!("{path}/password"), &help, json!({"link": true})).await.refused("permission_denied");
    world.delete(&path, &help).await.refused("permission_denied");
    world.delete(&format!("{path}/sessions"), &help).await.refused("permission_denied");
    world
        .patch(&format!("/api/v1/users/{weak}"), &help, json!({"role": "admin"}))
        .await
        .refused("permission_denied");
    world
        .post("/api/v1/users", &help, json!({"username": "new", "role": "admin"}))
        .await
        .refused("permission_denied");
    let refused = world.post("/api/v1/users", &help, json!({"username": "new", "role": "nonsense"})).await;
    assert_eq!(refused.refused("validation_failed").body["errors"][0]["pointer"], "/role");
    assert_eq!(
        world.post("/api/v1/users", &help, json!({"username": "new", "role": "helpdesk"})).await.status,
        201
    );
}

#[actix_web::test]
async fn narrow_credential_grants_only_permissions_it_carries() {
    let world = World::new().await;
    let admin = world.login("admin").await;
    let own = world.text("SELECT id::text AS text FROM users WHERE username = 'admin'");
    let alice = world.user("alice", "member");
    let (token, _) = world.personal_token(&admin.access, "users:read users:write").await;
    let narrow = json!({"username": "admin", "password": PASSWORD, "scope": "users:read users:write"});
    let session = world.login_with(narrow).await.access;
    let made = |role: &str| json!({"username": "thief", "password": "a phrase of one's own", "role": role});
    for credential in [&token, &session] {
        for (role, lacks) in [("admin", "server:write"), ("member", "notes:write")] {
            let refused = world.post("/api/v1/users", credential, made(role)).await;
            refused.refused("insufficient_scope");
            assert!(refused.body["required"].as_array().unwrap().contains(&json!(lacks)), "{}", refused.body);
        }
        let reset = json!({"new_password": "a phrase of one's own"});
        for id in [&own, &alice.to_string()] {
            let path = format!("/api/v1/users/{id}");
            world
                .post(&format!("{path}/password"), credential, reset.clone())
                .await
                .refused("insufficient_scope");
            world.patch(&path, credential, json!({"role": "admin"})).await.refused("insufficient_scope");
            world.delete(&format!("{path}/sessions"), credential).await.refused("insufficient_scope");
        }
    }
    assert_eq!(world.count("SELECT count(*) FROM users WHERE username = 'thief'"), 0);
    // A token with all permissions of members can create members.
    let wide = "users:write notes:read notes:write";
    let (token, _) = world.personal_token(&admin.access, wide).await;
    assert_eq!(world.post("/api/v1/users", &token, made("member")).await.status, 201);
    // A permission that the role lacks is reported before one that the token lacks.
    world.sql("INSERT INTO roles VALUES ('helpdesk', ARRAY['account:read', 'account:write', 'users:write', 'notes:read'])");
    let help = world.signed_in("help", "helpdesk").await;
    let (token, _) = world.personal_token(&help.access, "users:write").await;
    let refused = world.delete(&format!("/api/v1/users/{alice}"), &token).await;
    assert_eq!(refused.refused("permission_denied").body["required"], json!(["notes:write"]));
}

/// Returns all permissions of the admin except `account:write`.
async fn all_but_account_write(world: &World, access: &str) -> String {
    let me = world.get("/api/v1/me", access).await;
    let names = me.body["permissions"].as_array().unwrap().iter().filter_map(|name| name.as_str());
    names.filter(|name| *name != "account:write").collect::<Vec<_>>().join(" ")
}

#[actix_web::test]
async fn narrow_credential_cannot_change_its_owner_by_user_routes() {
    let world = World::new().await;
    let admin = world.login("admin").await;
    // With a second admin, nothing is refused for the sake of the last admin.
    world.user("root", "admin");
    let own = world.get("/api/v1/me", &admin.access).await.text("id");
    let scope = all_but_account_write(&world, &admin.access).await;
    let (token, token_id) = world.personal_token(&admin.access, &scope).await;
    let (other_token, _) = world.personal_token(&admin.access, "notes:read").await;
    let narrow = json!({"username": "admin", "password": PASSWORD, "scope": scope});
    let session = world.login_with(narrow).await.access;
    let session_id = world.get("/api/v1/me", &admin.access).await.body["credential"]["session_id"].clone();
    let path = format!("/api/v1/users/{own}");
    let (post, patch, delete) = (Method::POST, Method::PATCH, Method::DELETE);
    for credential in [&token, &session] {
        for (method, under, body) in [
            (&post, "/password".to_owned(), json!({"new_password": "a phrase of the thief"})),
            (&post, "/password".to_owned(), json!({"link": true})),
            (&patch, String::new(), json!({"email": "thief@example.org"})),
            (&patch, String::new(), json!({"username": "thief"})),
            (&patch, String::new(), json!({"role": "viewer"})),
            (&patch, String::new(), json!({"status": "disabled"})),
            (&delete, "/sessions".to_owned(), json!({})),
            (&delete, format!("/sessions/{}", session_id.as_str().unwrap()), json!({})),
            (&delete, "/tokens".to_owned(), json!({})),
            (&delete, format!("/tokens/{token_id}"), json!({})),
            (&delete, String::new(), json!({})),
        ] {
            let ask = world.ask(method.clone(), &format!("{path}{under}")).bearer(credential).json(&body);
            let refused = ask.send().await;
            refused.refused("insufficient_scope");
            assert_eq!(refused.body["required"], json!(["account:write"]), "{method} {under} {body}");
        }
    }
    let refused = world.delete(&path, &token).await;
    assert!(refused.text("detail").contains("/api/v1/me"), "{}", refused.body);
    assert_eq!(refused.refused("insufficient_scope").body["action"], "login");
    for good in [&token, &other_token, &session, &admin.access] {
        assert_eq!(world.get("/api/v1/me", good).await.status, 200);
    }
    // A session with all permissions may.
    assert_eq!(world.patch(&path, &admin.access, json!({"email": "a@example.org"})).await.status, 200);
    let reset = json!({"new_password": "a phrase of the owner"});
    assert_eq!(world.post(&format!("{path}/password"), &admin.access, reset).await.status, 204);
}

#[actix_web::test]
async fn token_cannot_control_an_account_that_could_change_its_owner() {
    let world = World::new().await;
    let admin = world.login("admin").await;
    let scope = all_but_account_write(&world, &admin.access).await;
    let (token, _) = world.personal_token(&admin.access, &scope).await;
    let (peer, alice) = (world.user("peer", "admin"), world.user("alice", "member"));
    let (peer, alice) = (format!("/api/v1/users/{peer}"), format!("/api/v1/users/{alice}"));
    let phrase = json!({"new_password": "a phrase of the thief"});
    let made = |role: &str| json!({"username": role, "password": "a phrase of the thief", "role": role});
    for (method, path, body) in [
        (Method::POST, format!("{peer}/password"), phrase.clone()),
        (Method::POST, format!("{peer}/password"), json!({"link": true})),
        (Method::PATCH, peer.clone(), json!({"email": "thief@example.org"})),
        (Method::PATCH, peer.clone(), json!({"status": "active"})),
        (Method::PATCH, alice.clone(), json!({"role": "admin"})),
        (Method::POST, "/api/v1/users".to_owned(), made("admin")),
    ] {
        let refused = world.ask(method.clone(), &path).bearer(&token).json(&body).send().await;
        refused.refused("insufficient_scope");
        assert_eq!(refused.body["required"], json!(["account:write"]), "{method} {path} {body}");
    }
    // The token may control accounts that cannot change others. It may also do what only takes access away.
    assert_eq!(world.post(&format!("{alice}/password"), &token, phrase).await.status, 204);
    assert_eq!(world.post("/api/v1/users", &token, made("member")).await.status, 201);
    for under in ["/sessions", "/tokens"] {
        assert_eq!(world.delete(&format!("{peer}{under}"), &token).await.status, 204);
    }
    assert_eq!(world.patch(&peer, &token, json!({"status": "disabled"})).await.status, 200);
    assert_eq!(world.delete(&peer, &token).await.status, 204);
}
