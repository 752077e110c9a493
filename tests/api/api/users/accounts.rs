//! Creating, finding, changing and deleting accounts.

use doorward::users::role;
use doorward_test::{PASSWORD, World};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

#[actix_web::test]
async fn user_is_created_found_changed_and_deleted() {
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
async fn similar_usernames_and_emails_conflict_even_at_once() {
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
async fn last_active_admin_is_kept_even_on_mutual_demotion() {
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
        world
            .sql_and_clear_cache(&format!("UPDATE users SET role = 'admin', version = 1 WHERE id = '{own}'"));
        world.sql_and_clear_cache(&format!("UPDATE users SET role = 'viewer' WHERE id = '{other}'"));
    }
}

#[actix_web::test]
async fn disabled_user_is_refused_with_every_credential() {
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

#[actix_web::test]
async fn account_changes_are_conditional_on_the_etag() {
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
async fn simultaneous_changes_with_one_etag_apply_once() {
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
async fn unchanged_fields_are_not_written_or_audited() {
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
async fn overlong_search_finds_no_user() {
    let world = World::new().await;
    let admin = world.login("admin").await.access;
    let mut browser = doorward_test::Browser::signed_in(&world, "admin").await;
    for length in [1_016, 1_017, 4_000] {
        let q = "a".repeat(length);
        let found = world.get(&format!("/api/v1/users?q={q}"), &admin).await;
        assert_eq!(found.body, json!({"items": [], "next_cursor": null}), "{length}");
        let page = browser.get(&format!("/admin/users?q={q}")).await;
        assert!(page.body.to_string().contains("No user is like that."), "{length}");
    }
}
