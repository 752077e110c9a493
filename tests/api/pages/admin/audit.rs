//! The page of the audit log.

use doorward_test::{Browser, World};
use reqwest::Method;
use serde_json::json;

use crate::pages::html;

#[actix_web::test]
async fn audit_log_is_filtered_and_exported() {
    let world = World::new().await;
    world.user("root", "admin");
    world.user("=alice", "member");
    let mut admin = Browser::signed_in(&world, "root").await;
    world.login("=alice").await;
    let all = admin.get("/admin/audit").await;
    assert!(html(&all).contains("login succeeded") && html(&all).contains("user created"));
    let some = admin.get("/admin/audit?actor=&subject=%3DALICE&type=login_succeeded&since=2026-01-01").await;
    assert_eq!(html(&some).matches("<strong>login succeeded</strong>").count(), 1, "{}", html(&some));
    let none = admin.get("/admin/audit?type=user_deleted").await;
    assert!(html(&none).contains("Nothing like that happened"));
    for wrong in ["subject=nobody", "since=yesterday"] {
        assert_eq!(admin.get(&format!("/admin/audit?{wrong}")).await.status, 422, "{wrong}");
    }
    let csv = admin.get("/admin/audit.csv?type=login_succeeded").await;
    assert!(csv.header("content-disposition").unwrap().contains("audit.csv"));
    assert_eq!(html(&csv).lines().count(), 3);
    assert!(html(&csv).contains("\"'=alice\""), "no formula: {}", html(&csv));
    let json = admin.get("/admin/audit.json?type=login_succeeded").await;
    assert_eq!(json.body.as_array().unwrap().len(), 2);
}

#[actix_web::test]
async fn audit_log_escapes_typed_html() {
    let world = World::new().await;
    world.user("root", "admin");
    let evil = "<script>alert(1)</script>";
    world
        .ask(Method::POST, "/api/v1/auth/login")
        .json(&json!({ "username": evil, "password": "x" }))
        .send()
        .await;
    let mut admin = Browser::signed_in(&world, "root").await;
    for path in ["/admin/audit".to_owned(), format!("/admin/users?q={}", evil.replace('<', "%3C"))] {
        let page = admin.get(&path).await;
        assert!(html(&page).contains("alert(1)") && !html(&page).contains(evil), "{}", html(&page));
    }
}

#[actix_web::test]
async fn audit_log_links_to_all_events_of_a_deleted_account() {
    let world = World::new().await;
    world.user("root", "admin");
    let id = world.user("alice", "member");
    world.login("alice").await;
    let mut admin = Browser::signed_in(&world, "root").await;
    let page = format!("/admin/users/{id}/delete");
    admin.fill_in(&page, &page, &[("confirm", "alice")]).await;
    world.sql(&format!(
        "UPDATE audit_events SET subject_name = NULL WHERE subject_id = '{id}' AND type = 'user_created'"
    ));
    let all = admin.get("/admin/audit").await;
    let link = format!("/admin/audit?subject={id}");
    assert!(!html(&all).contains(&format!("/admin/users/{id}")), "{}", html(&all));
    for what in ["user deleted", "session ended"] {
        let line = format!("<strong>{what}</strong> <a href=\"{link}\">alice</a> by root");
        assert!(html(&all).contains(&line), "{what}: {}", html(&all));
    }
    let nameless = format!("<strong>user created</strong> <a href=\"{link}\">{id}</a>");
    assert!(html(&all).contains(&nameless), "{}", html(&all));
    let some = admin.get(&link).await;
    assert_eq!((some.status, html(&some).matches("<li><strong>").count()), (200, 4), "{}", html(&some));
    let csv = admin.get("/admin/audit.csv?type=user_deleted").await;
    let mut lines = html(&csv).lines();
    let columns = "occurred_at,type,actor_id,actor,subject_id,subject,session_id,address,request_id,details";
    assert_eq!(lines.next(), Some(columns));
    let row = lines.next().unwrap();
    assert!(row.contains(&format!("\"root\",\"{id}\",\"alice\"")), "{row}");
    assert!(row.split(',').nth(2).is_some_and(|actor| actor.len() == 38), "{row}");
}
