//! The cookie of a session that stepped up or has another password.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use doorward_test::{Browser, PASSWORD, Tokens, World, refused_in_time};
use futures_util::future::join_all;
use serde_json::json;

use super::{LATER, NEW, OLD, SUPERSEDED, auth_time, csrf, me, old_session, send, step_up, step_up_on_page};

/// Signs in with a form that was open before the browser had its session.
async fn sign_in_again(browser: &mut Browser<'_>, name: &str) {
    let held = browser.cookies.remove("doorward").expect("a session");
    let token = browser.form_token("/login").await;
    browser.cookies.insert("doorward".to_owned(), held);
    let fields = [("csrf_token", token.as_str()), ("username", name), ("password", PASSWORD)];
    let answer = browser.post("/login", &fields).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
}

#[actix_web::test]
async fn copied_cookie_gains_nothing_from_a_step_up() {
    let world = World::new().await;
    let mut owner = Browser::signed_in(&world, "admin").await;
    let thief = Browser::with(&world, owner.cookies.clone());
    let token = csrf(&owner).await;
    world.advance(OLD);
    let old = auth_time(&me(&thief).await);
    let new_admin = |name: &str| json!({ "username": name, "role": "admin" });
    let users = "/api/v1/users";
    send(&thief, &token, users, new_admin("mallory")).await.refused("authentication_too_old");
    step_up_on_page(&mut owner).await;
    assert_ne!(owner.cookies["doorward"], thief.cookies["doorward"]);
    // Check before and after the new cookie is presented.
    send(&thief, &token, users, new_admin("mallory")).await.refused("authentication_too_old");
    assert_eq!(
        send(&owner, &token, users, new_admin("bob")).await.status,
        201,
        "the form's proof stays good"
    );
    send(&thief, &token, users, new_admin("mallory")).await.refused("authentication_too_old");
    assert_eq!(auth_time(&me(&thief).await), old);
    world.advance(LATER);
    let refused = me(&thief).await;
    refused.refused_with("token_unknown", "login", false);
    assert_eq!(refused.body["reason"], "session_renewed");
    assert_ne!(auth_time(&me(&owner).await), old);
}

#[actix_web::test]
async fn copied_cookie_gains_nothing_from_a_step_up_by_a_script() {
    let world = World::new().await;
    let mut owner = Browser::signed_in(&world, "admin").await;
    let thief = Browser::with(&world, owner.cookies.clone());
    let token = csrf(&owner).await;
    world.advance(OLD);
    let answer = send(&owner, &token, "/api/v1/auth/step-up", json!({ "password": PASSWORD })).await;
    assert_eq!(answer.status, 204);
    owner.keep(&answer);
    let body = json!({ "username": "mallory", "role": "admin" });
    send(&thief, &token, "/api/v1/users", body.clone()).await.refused("authentication_too_old");
    assert_eq!(send(&owner, &token, "/api/v1/users", body).await.status, 201);
}

#[actix_web::test]
async fn copied_cookie_is_refused_at_once_after_a_password_change() {
    let world = World::new().await;
    let other = world.another_node().await;
    for (name, on_page) in [("alice", true), ("bob", false)] {
        world.user(name, "member");
        let mut owner = Browser::signed_in(&world, name).await;
        let thief = Browser::with(&world, owner.cookies.clone());
        let elsewhere = Browser::with(&other, owner.cookies.clone());
        let before = auth_time(&me(&elsewhere).await);
        let token = csrf(&owner).await;
        if on_page {
            let fields = [("current_password", PASSWORD), ("new_password", NEW), ("again", NEW)];
            let changed = owner.fill_in("/account/password", "/account/password", &fields).await;
            assert_eq!(changed.status, 200, "{}", changed.body);
        } else {
            let body = json!({ "current_password": PASSWORD, "new_password": NEW });
            let changed = send(&owner, &token, "/api/v1/me/password", body).await;
            assert_eq!(changed.status, 204);
            owner.keep(&changed);
        }
        let refused = me(&thief).await;
        assert_eq!(refused.refused("token_unknown").body["reason"], "session_renewed");
        refused_in_time(async || me(&elsewhere).await).await.refused("token_unknown");
        assert_eq!(auth_time(&me(&owner).await), before, "no sign-in");
        assert_eq!(csrf(&owner).await, token, "open forms stay good");
        assert_eq!(me(&Browser::with(&other, owner.cookies.clone())).await.status, 200);
    }
}

#[actix_web::test]
async fn lost_step_up_responses_keep_the_cookie_valid() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    let held = browser.cookies.clone();
    let old = auth_time(&me(&browser).await);
    for _ in 0..2 {
        world.advance(OLD);
        step_up_on_page(&mut browser).await;
        browser.cookies.clone_from(&held);
    }
    world.advance(TimeDelta::hours(11));
    assert_eq!(auth_time(&me(&browser).await), old, "with the sign-in of before");
    assert_eq!(world.count(SUPERSEDED), 0);
    // The third response arrives.
    step_up_on_page(&mut browser).await;
    assert_ne!(auth_time(&me(&browser).await), old);
    world.advance(LATER);
    me(&Browser::with(&world, held)).await.refused("token_unknown");
    assert_eq!(me(&browser).await.status, 200);
}

#[actix_web::test]
async fn cookies_of_twenty_simultaneous_step_ups_all_work() {
    let world = World::new().await;
    let other = world.another_node().await;
    world.user("alice", "member");
    let browser = Browser::signed_in(&world, "alice").await;
    let token = csrf(&browser).await;
    let tabs =
        (0..20).map(|tab| Browser::with(if tab % 2 == 0 { &world } else { &other }, browser.cookies.clone()));
    let tabs: Vec<Browser<'_>> = tabs.collect();
    let body = json!({ "password": PASSWORD });
    let answers =
        join_all(tabs.iter().map(|tab| send(tab, &token, "/api/v1/auth/step-up", body.clone()))).await;
    let mut cookies = BTreeSet::new();
    let mut renewed = Vec::new();
    for answer in &answers {
        assert_eq!(answer.status, 204, "{}", answer.body);
        let mut tab = Browser::with(&world, browser.cookies.clone());
        tab.keep(answer);
        cookies.insert(tab.cookies["doorward"].clone());
        renewed.push(tab);
    }
    assert_eq!(cookies.len(), 20);
    // Each of the cookies works, whichever the browser kept.
    for tab in renewed.iter().chain([&browser]) {
        assert_eq!(me(tab).await.status, 200);
    }
    world.advance(LATER);
    let answers = join_all(renewed.iter().map(me)).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "the last one alone");
    me(&browser).await.refused("token_unknown");
}

#[actix_web::test]
async fn first_use_of_a_renewed_secret_is_recorded_once() {
    let world = World::new().await;
    let other = world.another_node().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    let tokens = old_session(&world, "alice").await;
    let owner = Tokens::of(&step_up(&world, &tokens.access).await);
    step_up_on_page(&mut browser).await;
    assert_eq!(world.count(SUPERSEDED), 0);
    let nodes = || (0..20).map(|n| if n % 2 == 0 { &world } else { &other });
    let cookies = browser.cookies.clone();
    let cookie = join_all(nodes().map(|node| {
        let browser = Browser::with(node, cookies.clone());
        async move { me(&browser).await }
    }));
    let (cookie, chain) = tokio::join!(cookie, join_all(nodes().map(|node| node.refresh(&owner.refresh))));
    assert!(cookie.iter().chain(&chain).all(|answer| answer.status == 200), "{cookie:?} {chain:?}");
    let announced = "SELECT count(*) FROM revocations WHERE reason = 'session_renewed'";
    assert_eq!((world.count(SUPERSEDED), world.count(announced)), (2, 2));
}

#[actix_web::test]
async fn refused_former_cookie_leaves_the_browsers_cookie() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    let mut former = Browser::with(&world, browser.cookies.clone());
    step_up_on_page(&mut browser).await;
    assert_eq!(me(&browser).await.status, 200);
    world.advance(LATER);
    let refused = me(&former).await;
    refused.refused("token_unknown");
    let page = former.get("/account").await;
    assert_eq!((page.status, page.header("location")), (303, Some("/login?next=%2Faccount")));
    let login = former.get("/login?next=%2Faccount").await;
    assert!(login.body.as_str().unwrap().contains("This session cookie was replaced at"), "{}", login.body);
    for answer in [&refused, &page, &login] {
        let cookies = answer.headers.get_all("set-cookie").iter();
        assert!(
            cookies.filter_map(|cookie| cookie.to_str().ok()).all(|cookie| !cookie.starts_with("doorward="))
        );
    }
    assert_eq!(me(&browser).await.status, 200);
}

#[actix_web::test]
async fn sign_in_ends_the_session_of_a_former_cookie() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut renewed = Browser::signed_in(&world, "alice").await;
    let mut browser = Browser::with(&world, renewed.cookies.clone());
    step_up_on_page(&mut renewed).await;
    // The browser has lost the response, and signs in again.
    sign_in_again(&mut browser, "alice").await;
    assert_eq!(me(&browser).await.status, 200);
    let ended = me(&renewed).await;
    assert_eq!(ended.refused("session_ended").body["reason"], "signed_in_again");
}

#[actix_web::test]
async fn sign_in_with_a_refused_former_cookie_does_not_end_a_session() {
    let world = World::new().await;
    world.user("alice", "member");
    world.user("mallory", "member");
    let mut owner = Browser::signed_in(&world, "alice").await;
    let mut thief = Browser::with(&world, owner.cookies.clone());
    step_up_on_page(&mut owner).await;
    assert_eq!(me(&owner).await.status, 200);
    world.advance(LATER);
    thief.sign_in("mallory", PASSWORD, &[]).await;
    assert_eq!(me(&thief).await.body["username"], "mallory");
    assert_eq!(me(&owner).await.body["username"], "alice");
}

#[actix_web::test]
async fn sign_in_replaces_the_current_cookie() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    let before = Browser::with(&world, browser.cookies.clone());
    sign_in_again(&mut browser, "alice").await;
    assert_ne!(browser.cookies["doorward"], before.cookies["doorward"]);
    me(&before).await.refused("session_ended");
}

#[actix_web::test]
async fn renewed_cookie_keeps_the_lifetime_chosen_at_sign_in() {
    let world = World::new().await;
    for (name, keep) in [("alice", true), ("bob", false)] {
        world.user(name, "member");
        let mut browser = Browser::new(&world);
        let fields: &[(&str, &str)] = if keep { &[("keep", "1")] } else { &[] };
        browser.sign_in(name, PASSWORD, fields).await;
        world.advance(TimeDelta::hours(2));
        for noted in [true, false] {
            if !noted {
                // A node of the previous version started the session.
                world.sql_and_clear_cache("UPDATE sessions SET is_kept = NULL");
            }
            let answer = step_up_on_page(&mut browser).await;
            let cookie = answer.header("set-cookie").unwrap();
            let seconds = cookie.split("Max-Age=").nth(1).map(|seconds| seconds.parse::<i64>().unwrap());
            assert_eq!(seconds.is_some(), keep, "{cookie}");
            // This is the rest of the session's 90 days.
            assert!(seconds.is_none_or(|seconds| (7_768_000..=7_768_800).contains(&seconds)), "{cookie}");
        }
    }
}
