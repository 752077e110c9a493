//! The administrator's pages check what each person may see and do.

use chrono::TimeDelta;
use doorward_test::{Browser, PASSWORD, World};

use crate::pages::html;

#[actix_web::test]
async fn pages_refuse_users_without_the_permission() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    for path in [
        "/admin",
        "/admin/users",
        "/admin/users/new",
        "/admin/audit",
        "/admin/refusals",
        "/admin/refusals/0192d7a0-0000-7000-8000-000000000000",
        "/admin/keys",
        "/admin/settings",
    ] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, 403, "{path}");
        assert!(html(&answer).contains("permission_denied") && html(&answer).contains("member"), "{path}");
    }
    assert!(!html(&browser.get("/account").await).contains("href=\"/admin"));
    let answer = browser.fill_in("/account", "/admin/keys/rotate", &[]).await;
    assert_eq!((answer.status, world.count("SELECT count(*) FROM signing_keys")), (403, 1));
}

#[actix_web::test]
async fn sensitive_actions_require_a_recent_sign_in() {
    let world = World::new().await;
    world.user("root", "admin");
    let id = world.user("alice", "member");
    let mut admin = Browser::signed_in(&world, "root").await;
    let token = admin.form_token(&format!("/admin/users/{id}")).await;
    world.advance(TimeDelta::minutes(20));
    assert_eq!(admin.get("/admin/users").await.status, 200, "reading needs none");
    assert!(admin.get("/admin/users/new").await.header("location").unwrap().starts_with("/step-up?next="));
    let fields = [("csrf_token", token.as_str())];
    let asked = admin.post(&format!("/admin/users/{id}/disable"), &fields).await;
    assert_eq!(asked.status, 401);
    let target = format!("/admin/users/{id}/disable");
    let again = [fields[0], ("repeat", target.as_str()), ("step_up_password", PASSWORD)];
    let answer = admin.post("/step-up", &again).await;
    assert_eq!((answer.status, answer.header("location")), (307, Some(target.as_str())));
    assert_eq!(admin.post(&target, &again).await.status, 303);
    assert_eq!(world.count("SELECT count(*) FROM users WHERE status = 'disabled'"), 1);
}

#[actix_web::test]
async fn helpdesk_cannot_change_users_with_more_permissions() {
    let world = World::new().await;
    let root = world.user("root", "admin");
    world.sql(
        "INSERT INTO roles VALUES ('helpdesk', ARRAY['account:read', 'account:write', 'users:read', 'users:write'])",
    );
    world.user("helper", "helpdesk");
    let mut helper = Browser::signed_in(&world, "helper").await;
    let page = format!("/admin/users/{root}");
    let shown = helper.get(&page).await;
    assert!(shown.status == 200 && html(&shown).contains("Nothing that you may see"));
    for action in ["disable", "end-sessions", "password-link"] {
        assert_eq!(helper.fill_in(&page, &format!("{page}/{action}"), &[]).await.status, 403, "{action}");
    }
    assert!(html(&helper.get("/account").await).contains("href=\"/admin/users\""));
}
