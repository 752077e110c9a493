//! The overview, and the page of the signing keys.

use chrono::TimeDelta;
use diesel::connection::SimpleConnection;
use doorward_test::{Browser, World};
use reqwest::Method;
use serde_json::json;

use crate::pages::html;

#[actix_web::test]
async fn overview_shows_counts_and_keys_rotate() {
    let world = World::new().await;
    world.user("root", "admin");
    let mut admin = Browser::signed_in(&world, "root").await;
    Browser::new(&world).sign_in("root", "wrong", &[]).await;
    let node = world.another_node().await;
    for server in [&world, &node] {
        for _ in 0..2 {
            server.ask(Method::GET, "/api/v1/me").send().await.refused("credentials_missing");
        }
        server.state.recorder.refusal_counts.flush(&server.state.core.database).await.unwrap();
    }
    let overview = admin.get("/admin").await;
    assert!(
        html(&overview).contains("most of all credentials_missing 4, invalid_credentials 1"),
        "{}",
        html(&overview)
    );
    assert!(html(&overview).contains("1 sign-ins and 1 refused in 14 days"), "{}", html(&overview));
    assert!(html(&overview).contains("1 now"), "{}", html(&overview));
    let answer = admin.fill_in("/admin/keys", "/admin/keys/rotate", &[]).await;
    assert_eq!(answer.header("location"), Some("/admin/keys"));
    let keys = admin.get("/admin/keys").await;
    assert!(html(&keys).contains("Published, and signs soon") && html(&keys).contains("Signs new tokens"));
    assert_eq!(world.count("SELECT count(*) FROM signing_keys"), 2);
    let by = "SELECT actor_name AS text FROM audit_events WHERE type = 'signing_key_published' AND actor_id IS NOT NULL";
    assert_eq!(world.text(by), "root");
    let settings = admin.get("/admin/settings").await;
    assert!(html(&settings).contains("DOORWARD_BCRYPT_COST"));
    assert!(!html(&settings).contains("a-secret-key-that-only"), "secrets are masked");
}

#[actix_web::test]
async fn session_ended_by_token_reuse_counts_as_ended() {
    let world = World::new().await;
    world.user("root", "admin");
    let alice = world.signed_in("alice", "member").await;
    let second = world.refresh(&alice.refresh).await.text("refresh_token");
    assert_eq!(world.refresh(&second).await.status, 200);
    world.advance(TimeDelta::minutes(1));
    world.refresh(&alice.refresh).await.refused("refresh_token_reused");
    let other = world.login("alice").await;
    world.post("/api/v1/auth/logout", &other.access, json!({})).await;
    let overview = Browser::signed_in(&world, "root").await.get("/admin").await;
    for said in ["2 ended, 1 of them by a copied refresh token", "2 in 14 days"] {
        assert!(html(&overview).contains(said), "{said}: {}", html(&overview));
    }
    let page = world.ask(Method::GET, "/problems/session_ended").send().await;
    assert!(html(&page).contains("<code>session_ended</code> event"), "{}", html(&page));
    assert!(html(&page).contains("<code>refresh_token_reused</code>, with the address"), "{}", html(&page));
}

#[actix_web::test]
async fn overview_omits_counts_that_take_too_long() {
    let world = World::new().await;
    world.user("root", "admin");
    let mut browser = Browser::signed_in(&world, "root").await;
    let whole = browser.get("/admin").await;
    assert!(
        html(&whole).contains("Sessions ended") && !html(&whole).contains("Not shown"),
        "{}",
        html(&whole)
    );
    let mut owner = world.connection();
    let lock = "SET idle_in_transaction_session_timeout = 0; BEGIN; LOCK TABLE audit_events";
    owner.batch_execute(lock).unwrap();
    let answer = browser.get("/admin").await;
    owner.batch_execute("ROLLBACK").unwrap();
    assert_eq!(answer.status, 200, "{}", html(&answer));
    let said = "Not shown, because counting took longer than 1.5 s: sign-ins and sessions ended.";
    assert!(html(&answer).contains(said) && html(&answer).contains("Live sessions"), "{}", html(&answer));
    assert!(!html(&answer).contains("Sessions ended"), "{}", html(&answer));
}
