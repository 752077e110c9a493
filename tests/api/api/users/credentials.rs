//! The sessions, tokens and passwords of others, and links that set a password.

use doorward_test::{Browser, PASSWORD, World};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

#[actix_web::test]
async fn reset_revokes_personal_tokens_unless_kept_explicitly() {
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
async fn all_tokens_of_a_user_are_revoked_at_once() {
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
async fn admin_lists_and_ends_sessions_and_tokens_of_others() {
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
async fn password_link_works_once_and_ends_every_session() {
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
async fn password_set_by_an_admin_ends_every_session() {
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
async fn password_link_invalidates_the_old_password_at_once() {
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
