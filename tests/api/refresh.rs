//! Refresh rotation: one successor, whatever arrives together; the innocent forgiven, the copied chain found out.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::json;

use crate::support::{PASSWORD, Tokens, World};

/// Past the grace window.
const LATER: TimeDelta = TimeDelta::minutes(1);

#[actix_web::test]
async fn forty_at_once_make_one_successor_on_two_nodes() {
    let world = World::new().await;
    let other = world.another_node().await;
    let tokens = world.signed_in("alice", "member").await;
    let nodes = (0..40).map(|n| if n % 2 == 0 { &world } else { &other });
    let answers = join_all(nodes.map(|node| node.refresh(&tokens.refresh))).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    let successors: BTreeSet<String> = answers.iter().map(|answer| answer.text("refresh_token")).collect();
    assert_eq!(successors.len(), 1);
    assert_eq!(world.count("SELECT generation::bigint AS count FROM refresh_tokens"), 2);
    assert_eq!(world.events("refresh_repeated"), 39);
    assert_eq!(world.events("refresh_token_reused"), 0);
    // The dead thing is used: the one successor is alive.
    assert_eq!(world.refresh(successors.first().unwrap()).await.status, 200);
}

#[actix_web::test]
async fn a_lost_answer_is_given_again_a_minute_and_a_day_later() {
    let world = World::new().await;
    for pause in [TimeDelta::seconds(5), LATER, TimeDelta::days(1)] {
        let name = format!("alice{}", pause.num_seconds());
        let tokens = world.signed_in(&name, "member").await;
        let lost = world.refresh(&tokens.refresh).await;
        world.advance(pause);
        world.flush().await;
        let again = world.refresh(&tokens.refresh).await;
        assert_eq!(again.status, 200, "{pause}: {}", again.body);
        assert_eq!(again.text("refresh_token"), lost.text("refresh_token"), "a repeat yields the same token");
        assert_eq!(world.get("/api/v1/me", &again.text("access_token")).await.status, 200);
        assert_eq!(world.refresh(&again.text("refresh_token")).await.status, 200);
    }
}

#[actix_web::test]
async fn a_spent_token_whose_answer_was_used_ends_the_session() {
    let world = World::new().await;
    let first = world.signed_in("alice", "member").await;
    let second = Tokens::of(&world.refresh(&first.refresh).await);
    assert_eq!(world.get("/api/v1/me", &second.access).await.status, 200);
    world.flush().await;
    world.advance(LATER);
    world.refresh(&first.refresh).await.refused_with("refresh_token_reused", "login", true);
    // The whole session, at once, and whoever has what of it.
    let ended = world.get("/api/v1/me", &second.access).await;
    ended.refused_with("session_ended", "login", true);
    assert_eq!(ended.body["reason"], "refresh_token_reused");
    world.refresh(&second.refresh).await.refused_with("session_ended", "login", true);
    world.refresh(&first.refresh).await.refused_with("session_ended", "login", true);
    assert_eq!(world.events("refresh_token_reused"), 1);
    assert_eq!(world.count("SELECT count(*) FROM revocations WHERE kind = 'session'"), 1);
}

#[actix_web::test]
async fn an_access_token_that_was_refused_still_proves_that_its_answer_arrived() {
    let world = World::new().await;
    let first = world.signed_in("alice", "viewer").await;
    let second = Tokens::of(&world.refresh(&first.refresh).await);
    world.advance(TimeDelta::minutes(10));
    world.get("/api/v1/me", &second.access).await.refused("token_expired");
    world.flush().await;
    world.refresh(&first.refresh).await.refused("refresh_token_reused");
}

#[actix_web::test]
async fn two_who_share_a_chain_are_found_out_at_the_first_repeat_after_a_use() {
    let world = World::new().await;
    let owner = world.signed_in("alice", "member").await;
    // The thief copies the chain and refreshes first.
    let thief = Tokens::of(&world.refresh(&owner.refresh).await);
    world.get("/api/v1/me", &thief.access).await;
    world.flush().await;
    world.advance(LATER);
    world.refresh(&owner.refresh).await.refused("refresh_token_reused");
    world.refresh(&thief.refresh).await.refused("session_ended");
}

#[actix_web::test]
async fn a_token_from_far_back_is_found_out_however_long_ago_it_was_spent() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let mut live = tokens.refresh.clone();
    for _ in 0..40 {
        live = world.refresh(&live).await.text("refresh_token");
        world.advance(TimeDelta::seconds(20));
    }
    world.refresh(&tokens.refresh).await.refused("refresh_token_reused");
    world.refresh(&live).await.refused("session_ended");
}

#[actix_web::test]
async fn within_the_window_even_an_older_one_is_forgiven_and_with_none_only_the_last() {
    let world = World::new().await;
    let first = world.signed_in("alice", "member").await;
    let second = world.refresh(&first.refresh).await.text("refresh_token");
    let third = world.refresh(&second).await.text("refresh_token");
    assert_eq!(world.refresh(&first.refresh).await.text("refresh_token"), third);

    let strict = World::with(|settings| settings.refresh_grace = std::time::Duration::ZERO).await;
    let first = strict.signed_in("alice", "member").await;
    let second = strict.refresh(&first.refresh).await.text("refresh_token");
    assert_eq!(strict.refresh(&first.refresh).await.text("refresh_token"), second, "its answer was not seen");
    strict.refresh(&second).await;
    strict.refresh(&first.refresh).await.refused("refresh_token_reused");
}

#[actix_web::test]
async fn ten_chains_of_a_hundred_refreshes_leave_one_row_a_session() {
    let world = World::new().await;
    world.user("alice", "member");
    let chains = (0..10).map(|_| async {
        let mut live = world.login("alice").await.refresh;
        for _ in 0..100 {
            let answer = world.refresh(&live).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            live = answer.text("refresh_token");
        }
    });
    join_all(chains).await;
    assert_eq!(world.count("SELECT count(*) FROM refresh_tokens"), 10);
    assert_eq!(world.count("SELECT count(*) FROM refresh_tokens WHERE generation = 101"), 10);
    assert_eq!(world.count("SELECT count(*) FROM refresh_tokens WHERE array_length(rotated_at, 1) = 16"), 10);
}

#[actix_web::test]
async fn a_row_that_went_back_in_time_follows_the_token() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let mut live = tokens.refresh.clone();
    for _ in 0..3 {
        live = world.refresh(&live).await.text("refresh_token");
    }
    // A failover lost the last rotations.
    world.sql("UPDATE refresh_tokens SET generation = 2, used_generation = 1");
    let followed = world.refresh(&live).await;
    assert_eq!(followed.status, 200, "{}", followed.body);
    assert_eq!(world.count("SELECT generation::bigint AS count FROM refresh_tokens"), 5);
    assert_eq!(world.refresh(&followed.text("refresh_token")).await.status, 200);
}

#[actix_web::test]
async fn a_disabled_user_refreshes_nothing_and_spends_nothing() {
    let world = World::new().await;
    let id = world.user("alice", "member");
    let tokens = world.login("alice").await;
    let admin = world.login("admin").await;
    let path = format!("/api/v1/users/{id}");
    assert_eq!(world.patch(&path, &admin.access, json!({"status": "disabled"})).await.status, 200);
    world.refresh(&tokens.refresh).await.refused_with("account_disabled", "contact_admin", false);
    assert_eq!(world.patch(&path, &admin.access, json!({"status": "active"})).await.status, 200);
    assert_eq!(world.refresh(&tokens.refresh).await.status, 200, "the session went on");
}

#[actix_web::test]
async fn a_change_of_role_is_seen_by_the_next_refresh_and_refuses_older_access_tokens() {
    let world = World::new().await;
    let id = world.user("alice", "member");
    let tokens = world.login("alice").await;
    let admin = world.login("admin").await;
    world.patch(&format!("/api/v1/users/{id}"), &admin.access, json!({"role": "viewer"})).await;
    let refused = world.get("/api/v1/notes", &tokens.access).await;
    refused.refused_with("token_revoked", "refresh", false);
    assert_eq!(refused.body["reason"], "role_changed");
    let refreshed = world.refresh(&tokens.refresh).await;
    assert_eq!(refreshed.body["scope"], "account:read account:write notes:read");
    let refused =
        world.post("/api/v1/notes", &refreshed.text("access_token"), json!({"title": "x", "body": ""})).await;
    refused.refused_with("permission_denied", "request_access", false);
}

#[actix_web::test]
async fn a_scope_narrows_one_access_token_and_a_refused_one_spends_nothing() {
    let world = World::new().await;
    world.user("alice", "member");
    let body = json!({"username": "alice", "password": PASSWORD, "scope": "notes:read notes:write"});
    let tokens = world.login_with(body).await;
    let ask = |scope: &str| json!({"refresh_token": tokens.refresh, "scope": scope});
    let path = "/api/v1/auth/refresh";
    let refused = world.ask(reqwest::Method::POST, path).json(&ask("account:read")).send().await;
    refused.refused_with("insufficient_scope", "login", false);
    assert_eq!(refused.body["granted"], json!(["notes:read", "notes:write"]));
    assert_eq!(world.count("SELECT generation::bigint AS count FROM refresh_tokens"), 1);
    world.ask(reqwest::Method::POST, path).json(&ask("nots:read")).send().await.refused("validation_failed");
    let narrowed = world.ask(reqwest::Method::POST, path).json(&ask("notes:read")).send().await;
    assert_eq!(narrowed.body["scope"], "notes:read");
    let note = json!({"title": "x", "body": ""});
    let refused = world.post("/api/v1/notes", &narrowed.text("access_token"), note).await;
    refused.refused_with("insufficient_scope", "refresh", false);
    let wide = world.refresh(&narrowed.text("refresh_token")).await;
    assert_eq!(wide.body["scope"], "notes:read notes:write");
}

#[actix_web::test]
async fn a_deleted_account_is_told_to_whoever_holds_a_token_of_it() {
    let world = World::new().await;
    let id = world.user("alice", "member");
    let tokens = world.login("alice").await;
    let (personal, _) = world.personal_token(&tokens.access, "notes:read").await;
    let admin = world.login("admin").await;
    assert_eq!(world.delete(&format!("/api/v1/users/{id}"), &admin.access).await.status, 204);
    world.get("/api/v1/me", &tokens.access).await.refused_with("account_deleted", "contact_admin", true);
    world.refresh(&tokens.refresh).await.refused("account_deleted");
    world.get("/api/v1/me", &personal).await.refused("account_deleted");
}

#[actix_web::test]
async fn a_session_ends_when_it_is_idle_too_long_and_at_its_absolute_end() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let mut live = tokens.refresh;
    for _ in 0..3 {
        world.advance(TimeDelta::days(29));
        let answer = world.refresh(&live).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        live = answer.text("refresh_token");
    }
    world.advance(TimeDelta::days(4));
    world.refresh(&live).await.refused_with("session_expired", "login", true);
}

#[actix_web::test]
async fn a_token_of_another_kind_is_told_from_a_broken_one() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let (personal, _) = world.personal_token(&tokens.access, "notes:read").await;
    for (token, found) in [(&tokens.access, "access_token"), (&personal, "personal_token")] {
        let refused = world.refresh(token).await;
        refused.refused_with("token_type_mismatch", "fix_request", false);
        assert_eq!(
            (&refused.body["expected"], &refused.body["found"]),
            (&json!("refresh_token"), &json!(found))
        );
    }
    world.advance(TimeDelta::minutes(10));
    world.refresh(&tokens.access).await.refused("token_type_mismatch");
    for token in ["", "abc", "dwr_", "dwr_abc", "dwp_abc"] {
        world.refresh(token).await.refused("token_malformed");
    }
    let forged = format!("{}AAAA", &tokens.refresh[..tokens.refresh.len() - 4]);
    world.refresh(&forged).await.refused_with("token_signature_invalid", "login", false);
    world.sql("DELETE FROM sessions");
    world.refresh(&tokens.refresh).await.refused_with("refresh_token_unknown", "login", true);
}
