//! A session's secret changes with its power, so that an earlier copy gains nothing. A lost answer signs no
//! one out.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::TimeDelta;
use doorward::config::SimplejwtRoutes;
use doorward::database::feed::FeedState;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, Browser, PASSWORD, Tokens, World, refused_in_time};

/// Beyond the age that a sign-in may have for operations that grant power.
const OLD: TimeDelta = TimeDelta::minutes(20);
/// Beyond the grace.
const LATER: TimeDelta = TimeDelta::minutes(1);
const NEW: &str = "another unusual pass phrase";
const SUPERSEDED: &str = "SELECT count(*) FROM former_secrets WHERE superseded_at IS NOT NULL";

async fn me(browser: &Browser<'_>) -> Answer {
    browser.ask(Method::GET, "/api/v1/me").send().await
}

/// Sends an unsafe request as a script on one of doorward's pages.
async fn send(browser: &Browser<'_>, csrf: &str, path: &str, body: serde_json::Value) -> Answer {
    let ask = browser.ask(Method::POST, path).header("sec-fetch-site", "same-origin");
    ask.header("x-csrf-token", csrf).json(&body).send().await
}

async fn csrf(browser: &Browser<'_>) -> String {
    me(browser).await.body["credential"]["csrf_token"].as_str().expect("a token").to_owned()
}

fn auth_time(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["credential"]["auth_time"].as_str().expect("a time").to_owned()
}

async fn step_up_on_page(browser: &mut Browser<'_>) -> Answer {
    let answer = browser.fill_in("/step-up", "/step-up", &[("step_up_password", PASSWORD)]).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    answer
}

/// Signs in with a form that was open before the browser had its session.
async fn sign_in_again(browser: &mut Browser<'_>, name: &str) {
    let held = browser.cookies.remove("doorward").expect("a session");
    let token = browser.form_token("/login").await;
    browser.cookies.insert("doorward".to_owned(), held);
    let fields = [("csrf_token", token.as_str()), ("username", name), ("password", PASSWORD)];
    let answer = browser.post("/login", &fields).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
}

async fn step_up(world: &World, access: &str) -> Answer {
    let answer = world.post("/api/v1/auth/step-up", access, json!({ "password": PASSWORD })).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer
}

/// Returns a session's tokens. Its sign-in is old, but its access token is not.
async fn old_session(world: &World, name: &str) -> Tokens {
    let tokens = world.login(name).await;
    world.advance(OLD);
    Tokens::of(&world.refresh(&tokens.refresh).await)
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
async fn copied_cookie_gains_nothing_from_a_step_up_of_a_script() {
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
async fn password_change_of_an_api_client_keeps_its_tokens() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let body = json!({ "current_password": PASSWORD, "new_password": NEW });
    let changed = world.post("/api/v1/me/password", &tokens.access, body).await;
    assert_eq!((changed.status, changed.header("set-cookie")), (204, None));
    assert_eq!(world.get("/api/v1/me", &tokens.access).await.status, 200);
    assert_eq!(world.refresh(&tokens.refresh).await.status, 200);
}

#[actix_web::test]
async fn copied_tokens_gain_nothing_from_a_step_up() {
    let world = World::new().await;
    let copied = old_session(&world, "admin").await;
    let body = |name: &str| json!({ "username": name, "role": "admin" });
    let owner = Tokens::of(&step_up(&world, &copied.access).await);
    world.post("/api/v1/users", &copied.access, body("mallory")).await.refused("authentication_too_old");
    let thief = Tokens::of(&world.refresh(&copied.refresh).await);
    world.post("/api/v1/users", &thief.access, body("mallory")).await.refused("authentication_too_old");
    assert_eq!(world.post("/api/v1/users", &owner.access, body("bob")).await.status, 201);
    world.flush().await;
    // The token is refreshed within the grace, but its sign-in is as old as before.
    let thief = Tokens::of(&world.refresh(&thief.refresh).await);
    world.post("/api/v1/users", &thief.access, body("mallory")).await.refused("authentication_too_old");
    world.advance(LATER);
    let refused = world.get("/api/v1/me", &thief.access).await;
    refused.refused_with("token_revoked", "refresh", false);
    assert_eq!(refused.body["reason"], "session_renewed");
    assert_eq!(world.get("/api/v1/me", &owner.access).await.status, 200);
    world.refresh(&thief.refresh).await.refused_with("refresh_token_reused", "login", true);
    world.refresh(&owner.refresh).await.refused("session_ended");
    assert_eq!(world.events("refresh_token_reused"), 1);
}

#[actix_web::test]
async fn lost_step_up_answers_leave_the_cookie_good() {
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
    // The third answer arrives.
    step_up_on_page(&mut browser).await;
    assert_ne!(auth_time(&me(&browser).await), old);
    world.advance(LATER);
    me(&Browser::with(&world, held)).await.refused("token_unknown");
    assert_eq!(me(&browser).await.status, 200);
}

#[actix_web::test]
async fn lost_step_up_answers_leave_the_chain_good() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut held = old_session(&world, "alice").await;
    for _ in 0..3 {
        step_up(&world, &held.access).await;
        for pause in [LATER, TimeDelta::days(20)] {
            let spent = held.refresh.clone();
            held = Tokens::of(&world.refresh(&spent).await);
            world.advance(pause);
            let again = Tokens::of(&world.refresh(&spent).await);
            assert_eq!(again.refresh, held.refresh, "a lost answer is given again, here too");
            held.access = again.access;
        }
    }
    let me = world.get("/api/v1/me", &held.access).await;
    assert_eq!(me.status, 200, "{}", me.body);
    world.flush().await;
    // The fourth answer arrives.
    let owner = Tokens::of(&step_up(&world, &held.access).await);
    assert_eq!(world.refresh(&owner.refresh).await.status, 200);
    world.advance(LATER);
    world.refresh(&held.refresh).await.refused("refresh_token_reused");
}

#[actix_web::test]
async fn former_chain_still_finds_out_a_replay() {
    let world = World::new().await;
    world.user("alice", "member");
    let first = old_session(&world, "alice").await;
    step_up(&world, &first.access).await;
    let second = Tokens::of(&world.refresh(&first.refresh).await);
    assert_eq!(world.get("/api/v1/me", &second.access).await.status, 200);
    world.flush().await;
    world.advance(LATER);
    world.refresh(&first.refresh).await.refused("refresh_token_reused");
    world.refresh(&second.refresh).await.refused("session_ended");
    let reasons = "SELECT count(*) FROM sessions JOIN refresh_tokens ON session_id = id
        WHERE sessions.ended_reason = 'refresh_token_reused' AND refresh_tokens.ended_reason = sessions.ended_reason";
    assert_eq!(world.count(reasons), 1);
}

#[actix_web::test]
async fn renewed_chain_is_forgiven_and_found_out_as_any_other() {
    let world = World::new().await;
    world.user("alice", "member");
    let old = old_session(&world, "alice").await;
    let first = Tokens::of(&step_up(&world, &old.access).await);
    let second = Tokens::of(&world.refresh(&first.refresh).await);
    world.advance(LATER);
    assert_eq!(world.refresh(&first.refresh).await.text("refresh_token"), second.refresh, "never seen");
    assert_eq!(world.refresh(&second.refresh).await.status, 200);
    world.advance(LATER);
    world.refresh(&first.refresh).await.refused("refresh_token_reused");
}

#[actix_web::test]
async fn former_secrets_are_accepted_until_the_grace_is_over() {
    let world = World::with(|settings| settings.refresh_grace = Duration::from_secs(600)).await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    let former = Browser::with(&world, browser.cookies.clone());
    let tokens = old_session(&world, "alice").await;
    let old = auth_time(&me(&former).await);
    let old_of_chain = auth_time(&world.get("/api/v1/me", &tokens.access).await);
    step_up_on_page(&mut browser).await;
    let owner = Tokens::of(&step_up(&world, &tokens.access).await);
    world.advance(TimeDelta::hours(1));
    assert_eq!(auth_time(&me(&former).await), old, "nothing later was presented");
    let mut held = Tokens::of(&world.refresh(&tokens.refresh).await);
    assert_eq!(me(&browser).await.status, 200);
    assert_eq!(world.refresh(&owner.refresh).await.status, 200);
    for _ in 0..2 {
        world.advance(TimeDelta::minutes(4));
        assert_eq!(auth_time(&me(&former).await), old);
        let again = world.refresh(&held.refresh).await;
        assert_eq!(auth_time(&world.get("/api/v1/me", &again.text("access_token")).await), old_of_chain);
        // A repeat within the grace is forgiven.
        assert_eq!(world.refresh(&held.refresh).await.text("refresh_token"), again.text("refresh_token"));
        held = Tokens::of(&again);
    }
    world.advance(TimeDelta::minutes(3));
    me(&former).await.refused("token_unknown");
    world.get("/api/v1/me", &held.access).await.refused("token_revoked");
    world.refresh(&held.refresh).await.refused("refresh_token_reused");
}

#[actix_web::test]
async fn without_a_grace_the_former_cookie_ends_with_the_first_use() {
    let world = World::with(|settings| settings.refresh_grace = Duration::ZERO).await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    let former = Browser::with(&world, browser.cookies.clone());
    step_up_on_page(&mut browser).await;
    assert_eq!(me(&former).await.status, 200);
    assert_eq!(me(&browser).await.status, 200);
    me(&former).await.refused("token_unknown");
}

#[actix_web::test]
async fn twenty_step_ups_at_once_give_cookies_that_all_work() {
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
async fn twenty_step_ups_at_once_give_tokens_that_all_work() {
    let world = World::new().await;
    let other = world.another_node().await;
    let tokens = world.signed_in("alice", "member").await;
    let nodes = (0..20).map(|n| if n % 2 == 0 { &world } else { &other });
    let answers = join_all(nodes.map(|node| step_up(node, &tokens.access))).await;
    let renewed: Vec<Tokens> = answers.iter().map(Tokens::of).collect();
    let distinct: BTreeSet<&String> = renewed.iter().map(|tokens| &tokens.refresh).collect();
    assert_eq!(distinct.len(), 20);
    for tokens in renewed.iter().chain([&tokens]) {
        assert_eq!(world.refresh(&tokens.refresh).await.status, 200);
        assert_eq!(world.get("/api/v1/me", &tokens.access).await.status, 200);
    }
    assert_eq!(world.events("refresh_token_reused"), 0);
}

#[actix_web::test]
async fn step_up_beside_twenty_refreshes_signs_nobody_out() {
    let world = World::new().await;
    let other = world.another_node().await;
    let tokens = world.signed_in("alice", "member").await;
    let nodes = (0..20).map(|n| if n % 2 == 0 { &world } else { &other });
    let refreshes = join_all(nodes.map(|node| node.refresh(&tokens.refresh)));
    let (answers, stepped_up) = tokio::join!(refreshes, step_up(&world, &tokens.access));
    let successors: BTreeSet<String> = answers
        .iter()
        .map(|answer| {
            assert_eq!(answer.status, 200, "{}", answer.body);
            answer.text("refresh_token")
        })
        .collect();
    assert_eq!(successors.len(), 1, "one live successor");
    assert_eq!(world.events("refresh_token_reused"), 0);
    assert_eq!(world.refresh(&stepped_up.text("refresh_token")).await.status, 200);
}

#[actix_web::test]
async fn first_use_is_noted_once_of_twenty_at_once() {
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
async fn renewal_holds_on_another_node_and_through_a_restart() {
    let world = World::new().await;
    let other = world.another_node().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    let held = browser.cookies.clone();
    let there = Browser::with(&other, held.clone());
    world.advance(OLD);
    let old = auth_time(&me(&there).await);
    step_up_on_page(&mut browser).await;
    assert_eq!(auth_time(&me(&there).await), old);
    // The new cookie is first used on the other node, which has the old one in its cache.
    assert_ne!(auth_time(&me(&Browser::with(&other, browser.cookies.clone())).await), old);
    assert_eq!(auth_time(&me(&there).await), old, "both are remembered apart");
    assert_eq!(world.count(SUPERSEDED), 1);
    world.advance(LATER);
    me(&Browser::with(&world, held.clone())).await.refused("token_unknown");
    let restarted = world.another_node().await;
    me(&Browser::with(&restarted, held)).await.refused("token_unknown");
    assert_eq!(me(&Browser::with(&restarted, browser.cookies.clone())).await.status, 200);
}

#[actix_web::test]
async fn renewal_holds_while_the_feed_is_silent() {
    let mut world = World::with(|settings| settings.refresh_grace = Duration::from_secs(600)).await;
    world.user("alice", "member");
    world.stop_following();
    while world.state.core.database.feed().state() != FeedState::Silent {
        tokio::task::yield_now().await;
    }
    let mut browser = Browser::signed_in(&world, "alice").await;
    let former = Browser::with(&world, browser.cookies.clone());
    let tokens = old_session(&world, "alice").await;
    let owner = Tokens::of(&step_up(&world, &tokens.access).await);
    let old = auth_time(&me(&former).await);
    step_up_on_page(&mut browser).await;
    assert_ne!(auth_time(&me(&browser).await), old);
    assert_eq!(auth_time(&me(&former).await), old);
    assert_eq!(world.get("/api/v1/me", &owner.access).await.status, 200);
    assert_eq!(world.get("/api/v1/me", &tokens.access).await.status, 200);
    world.flush().await;
    let past = "UPDATE former_secrets SET superseded_at = superseded_at - interval '1 hour'";
    world.sql(past);
    me(&former).await.refused("token_unknown");
    world.get("/api/v1/me", &tokens.access).await.refused("token_revoked");
}

#[actix_web::test]
async fn refused_former_cookie_takes_no_cookie_away() {
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
async fn owner_finds_the_renewal_in_the_explanation() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    let former = Browser::with(&world, browser.cookies.clone());
    let token = csrf(&browser).await;
    step_up_on_page(&mut browser).await;
    assert_eq!(me(&browser).await.status, 200);
    world.advance(LATER);
    let body = json!({ "request_id": me(&former).await.text("request_id") });
    let told = send(&browser, &token, "/api/v1/auth/explain", body.clone()).await;
    assert_eq!(told.body["problem"]["reason"], "session_renewed", "{}", told.body);
    let life = told.body["history"].as_array().expect("its own");
    let renewed = life.iter().find(|event| event["event"] == "session_renewed").expect("the renewal");
    assert_eq!(renewed["text"], "the session got a new cookie");
    let failed = told.body["checks"].as_array().unwrap().iter().find(|line| line["outcome"] == "failed");
    assert_eq!(failed.unwrap()["check"], "revocation");
    // Strangers do not see the history.
    let told = world.ask(Method::POST, "/api/v1/auth/explain").json(&body).send().await;
    assert!(
        told.body["history"].is_null() && told.body["problem"]["code"] == "token_unknown",
        "{}",
        told.body
    );
}

#[actix_web::test]
async fn explained_tokens_do_not_count_as_presented() {
    let world = World::new().await;
    world.user("alice", "member");
    let tokens = old_session(&world, "alice").await;
    let owner = Tokens::of(&step_up(&world, &tokens.access).await);
    for pasted in [&owner.access, &owner.refresh, &tokens.access, &tokens.refresh] {
        let ask = world.ask(Method::POST, "/api/v1/auth/explain");
        let told = ask.json(&json!({ "token": pasted })).send().await;
        assert_ne!(told.body["verdict"], "refused", "{}", told.body);
    }
    world.flush().await;
    assert_eq!(world.count(SUPERSEDED), 0);
    assert_eq!(world.get("/api/v1/me", &owner.access).await.status, 200);
    world.flush().await;
    assert_eq!(world.count(SUPERSEDED), 1);
}

#[actix_web::test]
async fn sign_in_ends_the_session_of_a_former_cookie() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut renewed = Browser::signed_in(&world, "alice").await;
    let mut browser = Browser::with(&world, renewed.cookies.clone());
    step_up_on_page(&mut renewed).await;
    // The browser has lost the answer, and signs in again.
    sign_in_again(&mut browser, "alice").await;
    assert_eq!(me(&browser).await.status, 200);
    let ended = me(&renewed).await;
    assert_eq!(ended.refused("session_ended").body["reason"], "signed_in_again");
}

#[actix_web::test]
async fn sign_in_with_a_refused_former_cookie_ends_nothing() {
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
async fn sign_in_replaces_the_cookie_that_the_browser_has() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    let before = Browser::with(&world, browser.cookies.clone());
    sign_in_again(&mut browser, "alice").await;
    assert_ne!(browser.cookies["doorward"], before.cookies["doorward"]);
    me(&before).await.refused("session_ended");
}

#[actix_web::test]
async fn new_cookie_is_kept_as_long_as_the_sign_in_asked() {
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
                world.sql("UPDATE sessions SET is_kept = NULL");
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

#[actix_web::test]
async fn any_refresh_token_of_the_session_signs_it_out() {
    let world = World::new().await;
    world.user("alice", "member");
    let tokens = old_session(&world, "alice").await;
    let owner = Tokens::of(&step_up(&world, &tokens.access).await);
    let body = json!({ "refresh_token": tokens.refresh });
    assert_eq!(world.ask(Method::POST, "/api/v1/auth/logout").json(&body).send().await.status, 204);
    world.refresh(&owner.refresh).await.refused("session_ended");
}

#[actix_web::test]
async fn many_lost_answers_keep_what_the_client_holds() {
    let world = World::new().await;
    world.user("alice", "member");
    let browser = Browser::signed_in(&world, "alice").await;
    let token = csrf(&browser).await;
    let tokens = world.login("alice").await;
    for _ in 0..40 {
        let body = json!({ "password": PASSWORD });
        assert_eq!(send(&browser, &token, "/api/v1/auth/step-up", body).await.status, 204);
        step_up(&world, &tokens.access).await;
    }
    assert_eq!(world.count("SELECT count(*) FROM former_secrets"), 66, "33 of each session");
    assert_eq!(me(&browser).await.status, 200);
    assert_eq!(world.refresh(&tokens.refresh).await.status, 200);
}

#[actix_web::test]
async fn forgotten_refresh_token_of_a_renewed_session_is_a_replay() {
    let world = World::new().await;
    world.user("alice", "member");
    let tokens = old_session(&world, "alice").await;
    let owner = Tokens::of(&step_up(&world, &tokens.access).await);
    world.sql("DELETE FROM former_secrets");
    world.refresh(&tokens.refresh).await.refused("refresh_token_reused");
    world.refresh(&owner.refresh).await.refused("session_ended");
    // Nothing is known about a session that was never renewed.
    let tokens = world.login("alice").await;
    world.sql("UPDATE refresh_tokens SET secret_digest = sha256(secret_digest) WHERE ended_at IS NULL");
    world.refresh(&tokens.refresh).await.refused("refresh_token_unknown");
}

#[actix_web::test]
async fn former_refresh_token_meets_the_same_checks() {
    let world = World::new().await;
    let id = world.user("alice", "member");
    let admin = world.login("admin").await;
    let tokens = old_session(&world, "alice").await;
    step_up(&world, &tokens.access).await;
    let path = "/api/v1/auth/refresh";
    let ask = |scope: &str| json!({ "refresh_token": tokens.refresh, "scope": scope });
    world.ask(Method::POST, path).json(&ask("users:read")).send().await.refused("insufficient_scope");
    let narrowed = world.ask(Method::POST, path).json(&ask("notes:read")).send().await;
    assert_eq!(narrowed.body["scope"], "notes:read");
    let held = narrowed.text("refresh_token");
    let user = format!("/api/v1/users/{id}");
    let admin = Tokens::of(&world.refresh(&admin.refresh).await);
    let admin = Tokens::of(&step_up(&world, &admin.access).await);
    assert_eq!(world.patch(&user, &admin.access, json!({ "status": "disabled" })).await.status, 200);
    world.refresh(&held).await.refused("account_disabled");
    assert_eq!(world.patch(&user, &admin.access, json!({ "status": "active" })).await.status, 200);
    assert_eq!(world.refresh(&held).await.status, 200);
    world.sql("UPDATE refresh_tokens SET expires_at = now()");
    world.refresh(&held).await.refused("session_expired");
    world.sql("UPDATE refresh_tokens SET expires_at = now() + interval '1 day'");
    assert_eq!(world.delete(&user, &admin.access).await.status, 204);
    world.refresh(&held).await.refused("account_deleted");
}

#[actix_web::test]
async fn former_refresh_token_is_kept_where_none_is_spent() {
    let world = World::with(|settings| settings.simplejwt_routes = SimplejwtRoutes::On).await;
    world.user("alice", "member");
    let tokens = old_session(&world, "alice").await;
    step_up(&world, &tokens.access).await;
    for _ in 0..3 {
        let body = json!({ "refresh": tokens.refresh });
        let answer = world.ask(Method::POST, "/api/token/refresh/").json(&body).send().await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(world.get("/api/v1/me", &answer.text("access")).await.status, 200);
        world.flush().await;
        world.advance(TimeDelta::days(20));
    }
}

#[actix_web::test]
async fn session_ends_when_its_renewals_are_used_up() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    world.sql("UPDATE refresh_tokens SET generation = 2147483000, first_generation = 2147480000");
    let refused = world.post("/api/v1/auth/step-up", &alice.access, json!({ "password": PASSWORD })).await;
    assert_eq!(refused.refused("session_ended").body["reason"], "renewals_used_up");
    world.get("/api/v1/me", &alice.access).await.refused("session_ended");
    assert_eq!(world.events("session_ended"), 1);
    assert!(!world.login("alice").await.access.is_empty(), "another sign-in is as good");
}
