//! Managing users: names, roles, the last admin, passwords and links.

use doorward::users::role;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use crate::support::{Browser, PASSWORD, World};

#[actix_web::test]
async fn a_user_is_made_found_changed_and_deleted() {
    let world = World::new().await;
    let admin = world.login("admin").await.access;
    let body =
        json!({"username": "Alice", "email": "alice@example.org", "password": PASSWORD, "role": "viewer"});
    let made = world.post("/api/v1/users", &admin, body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let path = format!("/api/v1/users/{}", made.text("id"));
    assert_eq!(made.header("location"), Some(path.as_str()));
    let members: Vec<&String> = made.body.as_object().unwrap().keys().collect();
    let expected = ["id", "username", "email", "role", "status", "created_at", "updated_at", "last_login_at"];
    assert_eq!(members, expected);
    for query in ["q=LIC", "q=example.org&role=viewer", "status=active&q=alice"] {
        let found = world.get(&format!("/api/v1/users?{query}"), &admin).await;
        assert_eq!(found.body["items"][0]["username"], "Alice", "{query}");
        assert_eq!(found.body["items"].as_array().unwrap().len(), 1);
    }
    assert_eq!(world.get("/api/v1/users?q=%25", &admin).await.body["items"], json!([]));
    let changed = world.patch(&path, &admin, json!({"username": "Alicia", "role": "member"})).await;
    assert_eq!((&changed.body["username"], &changed.body["role"]), (&json!("Alicia"), &json!("member")));
    assert_eq!(world.delete(&path, &admin).await.status, 204);
    world.get(&path, &admin).await.refused("not_found");
    world.delete(&path, &admin).await.refused("not_found");
}

#[actix_web::test]
async fn built_in_roles_and_permissions_are_in_the_database() {
    let world = World::new().await;
    let mut built_in = role::BUILT_IN;
    built_in.sort_unstable();
    let stored = world.text("SELECT string_agg(name, ' ' ORDER BY name) AS text FROM roles");
    assert_eq!(stored, built_in.join(" "));
    assert!(built_in.contains(&role::DEFAULT));
    let stored = world.text(&format!(
        "SELECT array_to_string(permissions, ' ') AS text FROM roles WHERE name = '{}'",
        role::ADMIN
    ));
    for permission in [
        role::ACCOUNT_READ,
        role::ACCOUNT_WRITE,
        role::AUDIT_READ,
        role::USERS_READ,
        role::USERS_WRITE,
        role::SERVER_READ,
        role::SERVER_WRITE,
    ] {
        assert!(stored.split(' ').any(|name| name == permission), "{permission} in {stored}");
    }
}

#[actix_web::test]
async fn names_that_look_alike_are_taken_whoever_asks_first() {
    let world = World::new().await;
    let admin = world.login("admin").await.access;
    let ask = |body| world.post("/api/v1/users", &admin, body);
    assert_eq!(ask(json!({"username": "straße", "email": "x@example.org"})).await.status, 201);
    assert_eq!(ask(json!({"username": "STRASSE"})).await.refused("conflict").body["pointer"], "/username");
    assert_eq!(
        ask(json!({"username": "X@Example.org"})).await.refused("conflict").body["pointer"],
        "/username"
    );
    let refused = ask(json!({"username": "other", "email": "X@EXAMPLE.ORG"})).await;
    assert_eq!(refused.refused("conflict").body["pointer"], "/email");
    let refused = ask(json!({"username": "a\u{200b}b"})).await;
    assert_eq!(refused.refused("validation_failed").body["errors"][0]["code"], "invisible_character");
    let races = join_all((0..20).map(|_| ask(json!({"username": "racer"})))).await;
    assert_eq!(races.iter().filter(|answer| answer.status == 201).count(), 1);
    assert!(races.iter().all(|answer| [201, 409].contains(&answer.status)), "{races:?}");
}

#[actix_web::test]
async fn the_last_active_admin_stays_even_when_two_demote_each_other_at_once() {
    let world = World::new().await;
    let admin = world.login("admin").await.access;
    let own = world.get("/api/v1/me", &admin).await.text("id");
    for body in [json!({"role": "member"}), json!({"status": "disabled"})] {
        world.patch(&format!("/api/v1/users/{own}"), &admin, body).await.refused("last_admin");
    }
    world.delete(&format!("/api/v1/users/{own}"), &admin).await.refused("last_admin");
    for round in 0..10 {
        let name = format!("admin{round}");
        let other = world.user(&name, "admin").to_string();
        let theirs = world.login(&name).await.access;
        let demote = json!({"role": "viewer"});
        let (one, two) = (format!("/api/v1/users/{own}"), format!("/api/v1/users/{other}"));
        let both =
            tokio::join!(world.patch(&one, &theirs, demote.clone()), world.patch(&two, &admin, demote));
        let left = world.count("SELECT count(*) FROM users WHERE role = 'admin' AND status = 'active'");
        assert_eq!(left, 1, "{both:?}");
        world.sql(&format!("UPDATE users SET role = 'admin', version = 1 WHERE id = '{own}'"));
        world.sql(&format!("UPDATE users SET role = 'viewer' WHERE id = '{other}'"));
    }
}

#[actix_web::test]
async fn nobody_grants_what_he_lacks_or_touches_who_may_more() {
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
async fn a_narrow_credential_grants_no_more_than_it_carries_whatever_its_user_may() {
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

#[actix_web::test]
async fn a_disabled_user_is_refused_at_the_next_request_with_every_credential() {
    let world = World::new().await;
    let id = world.user("alice", "member");
    let tokens = world.login("alice").await;
    let (token, _) = world.personal_token(&tokens.access, "notes:read").await;
    let admin = world.login("admin").await.access;
    let path = format!("/api/v1/users/{id}");
    assert_eq!(world.patch(&path, &admin, json!({"status": "disabled"})).await.body["status"], "disabled");
    world.get("/api/v1/notes", &token).await.refused_with("account_disabled", "contact_admin", false);
    world.get("/api/v1/notes", &tokens.access).await.refused_with("account_disabled", "contact_admin", false);
    // A change before or after disabling makes no difference.
    world.patch(&path, &admin, json!({"role": "viewer"})).await;
    world.get("/api/v1/notes", &tokens.access).await.refused_with("account_disabled", "contact_admin", false);
    world.patch(&path, &admin, json!({"status": "active"})).await;
    assert_eq!(world.get("/api/v1/notes", &token).await.status, 200);
    let refused = world.get("/api/v1/notes", &tokens.access).await;
    assert_eq!(refused.refused_with("token_revoked", "refresh", false).body["reason"], "account_disabled");
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

#[actix_web::test]
async fn account_is_changed_only_as_it_was_seen() {
    let world = World::new().await;
    let id = world.user("alice", "member");
    let admin = world.login("admin").await.access;
    let path = format!("/api/v1/users/{id}");
    let ask =
        |method: Method, name: &str, tag: &str| world.ask(method, &path).bearer(&admin).header(name, tag);
    let change = async |tag: &str, body| ask(Method::PATCH, "if-match", tag).json(&body).send().await;
    let shown = world.get(&path, &admin).await;
    let first = shown.header("etag").unwrap().to_owned();
    assert!(first.starts_with('"') && first.ends_with('"'), "a strong tag: {first}");
    let same = ask(Method::GET, "if-none-match", &first).send().await;
    assert_eq!((same.status, same.header("etag")), (304, Some(first.as_str())));
    // The sign-in is visible, but does not make a change stale.
    world.login("alice").await;
    let again = ask(Method::GET, "if-none-match", &first).send().await;
    assert_eq!(again.status, 200, "last_login_at is another");
    assert!(again.header("etag") != Some(first.as_str()) && again.body["last_login_at"].is_string());
    let changed = change(&first, json!({"role": "viewer"})).await;
    assert_eq!((changed.status, &changed.body["role"]), (200, &json!("viewer")));
    let second = changed.header("etag").unwrap().to_owned();
    assert_eq!(world.get(&path, &admin).await.header("etag"), Some(second.as_str()));
    for (tag, body) in [
        (first.as_str(), json!({"email": "a@example.org"})),
        (first.as_str(), json!({})),
        (&format!("W/{second}"), json!({"role": "member"})),
        ("\"3\"", json!({"status": "disabled"})),
    ] {
        change(tag, body).await.refused("precondition_failed");
    }
    ask(Method::DELETE, "if-match", &first).send().await.refused("precondition_failed");
    assert_eq!(world.get(&path, &admin).await.header("etag"), Some(second.as_str()), "nothing was changed");
    assert_eq!(change("*", json!({"email": "a@example.org"})).await.status, 200);
    change(&second, json!({"email": null})).await.refused("precondition_failed");
    let listed = format!("{first}, {}", world.get(&path, &admin).await.header("etag").unwrap());
    assert_eq!(change(&listed, json!({"email": null})).await.status, 200);
    assert_eq!(change(&second, json!({"status": "disabled"})).await.status, 200, "it is again what it was");
}

#[actix_web::test]
async fn of_changes_of_one_seen_state_only_one_is_made() {
    let world = World::new().await;
    let id = world.user("alice", "member");
    let admin = world.login("admin").await.access;
    let path = format!("/api/v1/users/{id}");
    let tag = world.get(&path, &admin).await.header("etag").unwrap().to_owned();
    let change = |number: usize| {
        let body = json!({"email": format!("a{number}@example.org")});
        world.ask(Method::PATCH, &path).bearer(&admin).header("if-match", &tag).json(&body).send()
    };
    let answers = join_all((0..20).map(change)).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|answer| [200, 412].contains(&answer.status)));
}

#[actix_web::test]
async fn reset_revokes_personal_tokens_unless_told_otherwise() {
    let world = World::new().await;
    let id = world.user("alice", "member");
    let admin = world.login("admin").await.access;
    let path = format!("/api/v1/users/{id}/password");
    let phrase = "a phrase of one's own";
    let sign_in = || world.login_with(json!({"username": "alice", "password": phrase}));
    let details = |event: &str| {
        world.text(&format!(
            "SELECT details::text AS text FROM audit_events WHERE type = '{event}' ORDER BY id DESC LIMIT 1"
        ))
    };
    let (token, _) = world.personal_token(&world.login("alice").await.access, "notes:read").await;
    let kept = json!({"new_password": phrase, "revoke_tokens": false});
    assert_eq!(world.post(&path, &admin, kept).await.status, 204);
    assert_eq!(world.get("/api/v1/notes", &token).await.status, 200);
    assert_eq!(details("password_changed"), r#"{"sessions_ended": 1}"#);
    assert_eq!(world.post(&path, &admin, json!({"new_password": phrase})).await.status, 204);
    let refused = world.get("/api/v1/notes", &token).await;
    assert_eq!(refused.refused_with("token_revoked", "login", true).body["reason"], "password_reset");
    assert_eq!(details("password_changed"), r#"{"sessions_ended": 0, "tokens_revoked": 1}"#);
    // A link revokes tokens when it is created, and again when it is used.
    let (token, _) = world.personal_token(&sign_in().await.access, "notes:read").await;
    let made = world.post(&path, &admin, json!({"link": true})).await;
    assert_eq!((&made.body["sessions_ended"], &made.body["tokens_revoked"]), (&json!(1), &json!(1)));
    world.get("/api/v1/notes", &token).await.refused("token_revoked");
    assert!(details("password_link_created").contains(r#""tokens_revoked": 1"#));
    let use_link = async |link: String| {
        let path = link.strip_prefix("http://doorward.test").unwrap().to_owned();
        let answer = Browser::new(&world).post(&path, &[("new_password", phrase), ("again", phrase)]).await;
        answer.body.as_str().unwrap_or_default().to_owned()
    };
    assert!(use_link(made.text("link")).await.contains("personal tokens are revoked"));
    // A link that keeps the tokens keeps them both times.
    let (token, _) = world.personal_token(&sign_in().await.access, "notes:read").await;
    let made = world.post(&path, &admin, json!({"link": true, "revoke_tokens": false})).await;
    assert!(use_link(made.text("link")).await.contains("personal tokens are still good"));
    assert_eq!(world.get("/api/v1/notes", &token).await.status, 200);
    // A link of an earlier version has no choice about tokens. It revokes the tokens that exist when it is
    // used.
    let made = world.post(&path, &admin, json!({"link": true, "revoke_tokens": false})).await;
    world.sql("ALTER TABLE password_links ALTER revokes_tokens SET DEFAULT true");
    world.sql("UPDATE password_links SET revokes_tokens = DEFAULT WHERE consumed_at IS NULL");
    use_link(made.text("link")).await;
    world.get("/api/v1/notes", &token).await.refused("token_revoked");
    assert_eq!(details("password_changed"), r#"{"sessions_ended": 0, "tokens_revoked": 1}"#);
}

#[actix_web::test]
async fn every_token_of_a_user_is_revoked_at_once() {
    let world = World::new().await;
    let id = world.user("alice", "member");
    let alice = world.login("alice").await.access;
    let tokens = [(); 3].map(|()| world.personal_token(&alice, "notes:read"));
    let tokens: Vec<String> = join_all(tokens).await.into_iter().map(|(token, _)| token).collect();
    let admin = world.login("admin").await;
    let (others, _) = world.personal_token(&admin.access, "notes:read").await;
    let path = format!("/api/v1/users/{id}/tokens");
    world.delete(&path, &alice).await.refused("permission_denied");
    for _ in 0..2 {
        assert_eq!(world.delete(&path, &admin.access).await.status, 204);
    }
    for token in &tokens {
        let refused = world.get("/api/v1/notes", token).await;
        assert_eq!(refused.refused("token_revoked").body["reason"], "revoked_by_admin");
    }
    assert_eq!(world.events("personal_token_revoked"), 3);
    assert_eq!(world.get("/api/v1/me", &alice).await.status, 200, "sessions go on");
    assert_eq!(world.get("/api/v1/notes", &others).await.status, 200);
    let nobody = "/api/v1/users/0192d7a0-0000-7000-8000-000000000000/tokens";
    world.delete(nobody, &admin.access).await.refused("not_found");
    world.advance(chrono::TimeDelta::minutes(20));
    let old = world.refresh(&admin.refresh).await.text("access_token");
    world.delete(&path, &old).await.refused("authentication_too_old");
}

#[actix_web::test]
async fn an_admin_sees_and_ends_sessions_and_tokens_of_others() {
    let world = World::new().await;
    let id = world.user("alice", "member");
    let (one, two) = (world.login("alice").await, world.login("alice").await);
    let (token, token_id) = world.personal_token(&one.access, "notes:read").await;
    let admin = world.login("admin").await.access;
    let sessions = format!("/api/v1/users/{id}/sessions");
    let listed = world.get(&sessions, &admin).await;
    assert_eq!(listed.body["items"].as_array().unwrap().len(), 2);
    let latest = listed.body["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(world.delete(&format!("{sessions}/{latest}"), &admin).await.status, 204);
    let refused = world.get("/api/v1/me", &two.access).await;
    assert_eq!(refused.refused("session_ended").body["reason"], "ended_by_admin");
    assert_eq!(world.delete(&sessions, &admin).await.status, 204);
    world.get("/api/v1/me", &one.access).await.refused("session_ended");
    let tokens = format!("/api/v1/users/{id}/tokens");
    assert_eq!(world.get(&tokens, &admin).await.body["items"][0]["id"], json!(token_id));
    assert_eq!(world.delete(&format!("{tokens}/{token_id}"), &admin).await.status, 204);
    let refused = world.get("/api/v1/notes", &token).await;
    assert_eq!(refused.refused("token_revoked").body["reason"], "revoked_by_admin");
    let nobody = "/api/v1/users/0192d7a0-0000-7000-8000-000000000000";
    for path in ["sessions", "tokens"] {
        world.get(&format!("{nobody}/{path}"), &admin).await.refused("not_found");
    }
}

#[actix_web::test]
async fn a_link_sets_a_password_once_and_ends_every_session() {
    let world = World::new().await;
    let id = world.user("alice", "member");
    let tokens = world.login("alice").await;
    let admin = world.login("admin").await.access;
    let path = format!("/api/v1/users/{id}/password");
    let first = world.post(&path, &admin, json!({"link": true})).await;
    assert_eq!(first.status, 200, "{}", first.body);
    world.get("/api/v1/me", &tokens.access).await.refused("session_ended");
    let second = world.post(&path, &admin, json!({"link": true})).await;
    let at = |link: &str| link.strip_prefix("http://doorward.test").unwrap().to_owned();
    let (old, new) = (at(&first.text("link")), at(&second.text("link")));
    let form = "new_password=a+phrase+of+my+own&again=a+phrase+of+my+own";
    let send = |path: &str| {
        world
            .ask(Method::POST, path)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form)
            .send()
    };
    assert_eq!(world.ask(Method::GET, &new).send().await.status, 200);
    assert_eq!(send(&old).await.status, 404, "an earlier link stops working");
    let sent = join_all((0..20).map(|_| send(&new))).await;
    assert_eq!(sent.iter().filter(|answer| answer.status == 200).count(), 1, "{sent:?}");
    world.login_with(json!({"username": "alice", "password": "a phrase of my own"})).await;
    assert_eq!(world.ask(Method::GET, &new).send().await.status, 404);
    for body in [json!({}), json!({"link": true, "new_password": "x"}), json!({"link": false})] {
        world.post(&path, &admin, body).await.refused("validation_failed");
    }
}

#[actix_web::test]
async fn a_password_that_an_admin_sets_ends_every_session() {
    let world = World::new().await;
    let id = world.user("alice", "member");
    let tokens = world.login("alice").await;
    let admin = world.login("admin").await.access;
    let path = format!("/api/v1/users/{id}/password");
    world.post(&path, &admin, json!({"new_password": "short"})).await.refused("validation_failed");
    assert_eq!(world.post(&path, &admin, json!({"new_password": "a phrase of one's own"})).await.status, 204);
    let refused = world.get("/api/v1/me", &tokens.access).await;
    assert_eq!(refused.refused("session_ended").body["reason"], "password_reset");
    world.login_with(json!({"username": "alice", "password": "a phrase of one's own"})).await;
}

#[actix_web::test]
async fn a_link_takes_the_old_password_away_at_once() {
    let world = World::new().await;
    let id = world.user("alice", "member");
    let admin = world.login("admin").await.access;
    let path = format!("/api/v1/users/{id}/password");
    let old = json!({"username": "alice", "password": PASSWORD});
    let sign_in = |body| world.ask(Method::POST, "/api/v1/auth/login").json(body).send();
    world.advance(chrono::TimeDelta::minutes(1));
    // This includes sign-ins at the same moment.
    let (sign_ins, made) = tokio::join!(
        join_all((0..10).map(|_| sign_in(&old))),
        world.post(&path, &admin, json!({"link": true}))
    );
    assert_eq!(made.status, 200, "{}", made.body);
    for answer in sign_ins {
        match answer.status {
            200 => drop(world.get("/api/v1/me", &answer.text("access_token")).await.refused("session_ended")),
            _ => drop(answer.refused("invalid_credentials")),
        }
    }
    sign_in(&old).await.refused("invalid_credentials");
    let gone = "SELECT count(*) FROM users
                 WHERE username = 'alice' AND password_hash IS NULL AND updated_at > created_at";
    assert_eq!(world.count(gone), 1);
    let link = made.text("link").strip_prefix("http://doorward.test").unwrap().to_owned();
    let fields = [("new_password", "a phrase of my own"), ("again", "a phrase of my own")];
    assert_eq!(Browser::new(&world).post(&link, &fields).await.status, 200);
    world.login_with(json!({"username": "alice", "password": "a phrase of my own"})).await;
    sign_in(&old).await.refused("invalid_credentials");
}

#[actix_web::test]
async fn what_stands_there_already_is_neither_written_nor_noted_nor_announced() {
    let world = World::new().await;
    let admin = world.login("admin").await.access;
    let body = json!({"username": "alice", "email": "alice@example.org", "password": PASSWORD});
    let made = world.post("/api/v1/users", &admin, body).await;
    let path = format!("/api/v1/users/{}", made.text("id"));
    let announced = || world.count("SELECT count(*) FROM revocations");
    let before = announced();
    world.advance(chrono::TimeDelta::minutes(1));
    for same in [
        json!({"username": "alice"}),
        json!({"email": "alice@example.org"}),
        json!({"role": "member", "status": "active"}),
        json!({"username": "alice", "email": "alice@example.org", "role": "member", "status": "active"}),
        json!({}),
    ] {
        let answer = world.patch(&path, &admin, same.clone()).await;
        assert_eq!((answer.status, &answer.body), (200, &made.body), "{same}");
    }
    let own = json!({"username": "alice", "email": "alice@example.org", "current_password": PASSWORD});
    let alice = world.login("alice").await.access;
    assert_eq!(world.patch("/api/v1/me", &alice, own).await.status, 200);
    let noted = ["user_updated", "user_role_changed", "user_enabled"].map(|event| world.events(event));
    assert_eq!((noted, announced()), ([0, 0, 0], before));
    // Only changed values are reported. A different spelling is a change.
    let changed =
        world.patch(&path, &admin, json!({"username": "alice", "email": "Alice@example.org"})).await;
    assert_eq!(changed.body["email"], "Alice@example.org");
    let details = world.text("SELECT details::text AS text FROM audit_events WHERE type = 'user_updated'");
    assert_eq!(details, r#"{"email": "Alice@example.org", "username": null}"#);
    assert_eq!(announced(), before + 1);
    assert_eq!(world.patch(&path, &admin, json!({"email": null})).await.body["email"], json!(null));
    assert_eq!(world.patch(&path, &admin, json!({"email": null})).await.status, 200);
    assert_eq!(world.events("user_updated"), 2);
}

#[actix_web::test]
async fn what_no_name_can_have_is_found_in_none() {
    let world = World::new().await;
    let admin = world.login("admin").await.access;
    let mut browser = crate::support::Browser::signed_in(&world, "admin").await;
    for length in [1_016, 1_017, 4_000] {
        let q = "a".repeat(length);
        let found = world.get(&format!("/api/v1/users?q={q}"), &admin).await;
        assert_eq!(found.body, json!({"items": [], "next_cursor": null}), "{length}");
        let page = browser.get(&format!("/admin/users?q={q}")).await;
        assert!(page.body.to_string().contains("No user is like that."), "{length}");
    }
}
