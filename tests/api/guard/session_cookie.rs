//! Browsers: the session cookie, the proofs that a person intended a request, and the pages behind the
//! sign-in.

use std::sync::Arc;

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::json;

use crate::support::{Browser, PASSWORD, World, refused_in_time};

fn html(answer: &crate::support::Answer) -> &str {
    answer.body.as_str().unwrap_or_default()
}

#[actix_web::test]
async fn a_sign_in_gives_a_cookie_that_the_api_takes_too() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::new(&world);
    let answer = browser.sign_in("alice", PASSWORD, &[]).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/account")));
    let cookie = answer.header("set-cookie").unwrap();
    for part in ["doorward=", "HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Max-Age") && !cookie.contains("Secure"), "{cookie}");
    let me = browser.ask(Method::GET, "/api/v1/me").send().await;
    assert_eq!((me.status, &me.body["credential"]["kind"]), (200, &json!("session_cookie")));
    assert_eq!(me.body["username"], "alice");
    // The database stores a digest of the cookie's key, not the key itself.
    let value = cookie.split(['=', ';']).nth(1).unwrap();
    let key = &value[value.len() - 43..];
    assert_eq!(
        world.count(&format!(
            "SELECT count(*) FROM sessions WHERE kind = 'browser' AND cookie_digest = sha256('{key}'::bytea)"
        )),
        1
    );
}

#[actix_web::test]
async fn over_https_the_cookie_is_of_this_host_alone() {
    let world = World::with(|settings| {
        settings.public_url = doorward::config::PublicUrl::read("https://id.example").unwrap();
    })
    .await;
    world.user("alice", "member");
    let answer = Browser::new(&world).sign_in("alice", PASSWORD, &[("keep", "1")]).await;
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-doorward=") && cookie.contains("Secure"), "{cookie}");
    assert!(cookie.contains("; Max-Age=7776000"), "{cookie}");
}

#[actix_web::test]
async fn a_wrong_password_is_told_on_the_form_which_keeps_the_name() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::new(&world);
    let answer = browser.sign_in("alice", "wrong", &[("next", "/account/tokens")]).await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.challenges(), ["Bearer realm=\"doorward\""]);
    assert!(html(&answer).contains("value=\"alice\"") && html(&answer).contains("role=\"alert\""));
    assert!(html(&answer).contains("value=\"/account/tokens\""));
    assert!(!browser.cookies.contains_key("doorward"));
    assert_eq!(world.events("login_failed"), 1);
}

#[actix_web::test]
async fn a_sign_in_goes_on_to_paths_of_ours_alone() {
    let world = World::new().await;
    world.user("alice", "member");
    for (next, location) in [
        ("/account/tokens?x=1", "/account/tokens?x=1"),
        ("//evil.test", "/account"),
        ("/\\evil.test", "/account"),
        ("/\t/evil.test", "/account"),
        ("https://evil.test/", "/account"),
        ("javascript:alert(1)", "/account"),
    ] {
        let answer = Browser::new(&world).sign_in("alice", PASSWORD, &[("next", next)]).await;
        assert_eq!(answer.header("location"), Some(location), "{next:?}");
    }
    let mut browser = Browser::signed_in(&world, "alice").await;
    let answer = browser.get("/login?next=%2F%2Fevil.test").await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/account")));
}

#[actix_web::test]
async fn every_page_behind_the_sign_in_leads_to_it_and_back() {
    let world = World::new().await;
    let mut browser = Browser::new(&world);
    let open = [
        "/",
        "/login",
        "/register",
        "/set-password/{token}",
        "/problems",
        "/problems/{code}",
        "/static/{file}",
    ];
    let pages = doorward::pages::routes();
    let is_open = |path: &str| open.contains(&path) || path.starts_with("/docs/");
    let guarded = pages.iter().filter(|page| !is_open(page.path()));
    let mut seen = 0;
    for page in guarded {
        let path = page.path().replace("{id}", "0192d7a0-0000-7000-8000-000000000000");
        for method in page.methods() {
            let (answer, on) = match method.as_str() {
                "GET" => (browser.get(&path).await, path.clone()),
                "POST" => (browser.post(&path, &[("csrf_token", "x")]).await, "/account".to_owned()),
                _ => continue,
            };
            let expected = format!("/login?next={}", on.replace('/', "%2F"));
            assert_eq!((answer.status, answer.header("location")), (303, Some(expected.as_str())), "{path}");
            seen += 1;
        }
    }
    assert!(seen > 12, "{seen}");
}

#[actix_web::test]
async fn a_session_that_was_ended_says_why_where_one_signs_in() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    let api = world.login("alice").await;
    assert_eq!(world.delete("/api/v1/me/sessions", &api.access).await.status, 204);
    let refused = browser.ask(Method::GET, "/api/v1/me").send().await;
    refused.refused_with("session_ended", "login", true);
    assert_eq!(refused.body["reason"], "ended_by_user");
    let answer = browser.get("/account/tokens").await;
    assert_eq!(answer.header("location"), Some("/login?next=%2Faccount%2Ftokens"));
    let page = browser.get("/login?next=%2Faccount%2Ftokens").await;
    assert!(
        html(&page).contains("session ended at") && html(&page).contains("ended by user"),
        "{}",
        html(&page)
    );
}

#[actix_web::test]
async fn a_session_ends_when_it_is_not_used_and_at_its_absolute_end() {
    let world = World::new().await;
    world.user("alice", "member");
    let browser = Browser::signed_in(&world, "alice").await;
    let mut kept = Browser::new(&world);
    kept.sign_in("alice", PASSWORD, &[("keep", "1")]).await;
    world.advance(TimeDelta::hours(13));
    let refused = browser.ask(Method::GET, "/api/v1/me").send().await;
    refused.refused_with("session_expired", "login", true);
    assert_eq!(kept.ask(Method::GET, "/api/v1/me").send().await.status, 200);
    for _ in 0..4 {
        world.flush().await;
        world.advance(TimeDelta::days(25));
        kept.ask(Method::GET, "/api/v1/me").send().await;
    }
    kept.ask(Method::GET, "/api/v1/me").send().await.refused("session_expired");
}

#[actix_web::test]
async fn a_sign_out_ends_the_session_here_and_on_another_node() {
    let world = World::new().await;
    world.user("alice", "member");
    let other = world.another_node().await;
    let mut browser = Browser::signed_in(&world, "alice").await;
    let old = browser.cookies.clone();
    let there = Browser::with(&other, old.clone());
    assert_eq!(there.ask(Method::GET, "/api/v1/me").send().await.status, 200, "two processes, one store");
    let answer = browser.fill_in("/account", "/logout", &[]).await;
    assert_eq!(answer.header("location"), Some("/login?signed_out=1"));
    assert!(!browser.cookies.contains_key("doorward"));
    let again = Browser::with(&world, old);
    // The session ends at once on this node, and within a second on the other.
    let refused = again.ask(Method::GET, "/api/v1/me").send().await;
    assert_eq!(refused.refused("session_ended").body["reason"], "logout");
    let refused = refused_in_time(async || there.ask(Method::GET, "/api/v1/me").send().await).await;
    assert_eq!(refused.refused("session_ended").body["reason"], "logout");
}

#[actix_web::test]
async fn the_store_outlives_the_server() {
    let world = World::new().await;
    world.user("alice", "member");
    let cookies = Browser::signed_in(&world, "alice").await.cookies;
    let database = Arc::clone(&world.database);
    drop(world);
    let restarted = World::on(database, |_| {}).await;
    let browser = Browser::with(&restarted, cookies);
    assert_eq!(browser.ask(Method::GET, "/api/v1/me").send().await.status, 200);
}

#[actix_web::test]
async fn another_sign_in_gives_another_cookie_and_ends_the_session_that_it_replaces() {
    let world = World::new().await;
    world.user("alice", "member");
    world.user("bob", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    let before = browser.cookies["doorward"].clone();
    // A form from another browser, left open.
    let token = Browser::new(&world).form_token("/login").await;
    assert_eq!(browser.post("/login", &[("csrf_token", &token)]).await.status, 403);
    browser.cookies.remove("doorward");
    let token = browser.form_token("/login").await;
    browser.cookies.insert("doorward".to_owned(), before.clone());
    let fields = [("csrf_token", token.as_str()), ("username", "bob"), ("password", PASSWORD)];
    assert_eq!(browser.post("/login", &fields).await.status, 303);
    assert_ne!(browser.cookies["doorward"], before);
    let old = Browser::with(&world, [("doorward".to_owned(), before)].into());
    let refused = old.ask(Method::GET, "/api/v1/me").send().await;
    assert_eq!(refused.refused("session_ended").body["reason"], "signed_in_again");
}

#[actix_web::test]
async fn a_cookie_that_is_not_ours_is_refused_and_a_header_wins_over_any() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let forged = Browser::with(&world, [("doorward".into(), "forged".into())].into());
    forged.ask(Method::GET, "/api/v1/me").send().await.refused_with("token_unknown", "login", false);
    let good = Browser::signed_in(&world, "alice").await;
    let both = good.ask(Method::GET, "/api/v1/me").bearer("nonsense").send().await;
    both.refused("token_malformed");
    let both = forged.ask(Method::GET, "/api/v1/me").bearer(&tokens.access).send().await;
    assert_eq!(both.body["credential"]["kind"], "access_token");
}

#[actix_web::test]
async fn an_unsafe_request_with_a_cookie_needs_both_proofs_and_its_failure_leaves_the_session_alone() {
    let world = World::new().await;
    world.user("alice", "member");
    let browser = Browser::signed_in(&world, "alice").await;
    let token = browser.ask(Method::GET, "/api/v1/me").send().await.body["credential"]["csrf_token"].clone();
    let token = token.as_str().unwrap();
    let note = json!({ "title": "x", "body": "" });
    let cases: [(&[(&str, &str)], u16); 11] = [
        (&[], 403),
        (&[("x-csrf-token", token)], 403),
        (&[("sec-fetch-site", "same-origin")], 403),
        (&[("sec-fetch-site", "same-origin"), ("x-csrf-token", "AAAA")], 403),
        (&[("sec-fetch-site", "same-site"), ("x-csrf-token", token)], 403),
        (
            &[("sec-fetch-site", "cross-site"), ("origin", "http://doorward.test"), ("x-csrf-token", token)],
            403,
        ),
        (&[("origin", "http://evil.test"), ("x-csrf-token", token)], 403),
        (&[("origin", "http://door`ward.test"), ("x-csrf-token", token)], 403),
        (&[("sec-fetch-site", "same-`origin"), ("x-csrf-token", token)], 403),
        (&[("origin", "http://doorward.test"), ("x-csrf-token", token)], 201),
        (&[("sec-fetch-site", "same-origin"), ("x-csrf-token", token)], 201),
    ];
    for (headers, status) in cases {
        let ask = browser.ask(Method::POST, "/api/v1/notes").json(&note);
        let answer = headers.iter().fold(ask, |ask, (name, value)| ask.header(name, value)).send().await;
        assert_eq!(answer.status, status, "{headers:?}: {}", answer.body);
        if status == 403 {
            answer.refused_with("csrf_failed", "fix_request", false);
        }
    }
    assert_eq!(world.count("SELECT count(*) FROM notes"), 2);
    // Another session's token does not prove anything for this one.
    let other = Browser::signed_in(&world, "alice").await;
    let answer = other
        .ask(Method::POST, "/api/v1/notes")
        .header("sec-fetch-site", "same-origin")
        .header("x-csrf-token", token)
        .json(&note);
    answer.send().await.refused("csrf_failed");
    // The proof is checked before a malformed body is reported.
    let broken =
        browser.ask(Method::POST, "/api/v1/notes").header("content-type", "application/json").body("{");
    broken.send().await.refused("csrf_failed");
    assert_eq!(browser.ask(Method::GET, "/api/v1/me").send().await.status, 200);
}

#[actix_web::test]
async fn a_form_of_another_site_signs_nobody_in_and_changes_nothing() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::new(&world);
    browser.site = "cross-site";
    let answer = browser.sign_in("alice", PASSWORD, &[]).await;
    assert_eq!(answer.status, 403);
    assert!(html(&answer).contains("csrf_failed"));
    // A form without doorward's cookie, or with another browser's token, signs no one in either.
    let mut browser = Browser::new(&world);
    let token = Browser::new(&world).form_token("/login").await;
    let fields = [("csrf_token", token.as_str()), ("username", "alice"), ("password", PASSWORD)];
    assert_eq!(browser.post("/login", &fields).await.status, 403);
    assert_eq!(world.count("SELECT count(*) FROM sessions"), 0);
    let mut browser = Browser::signed_in(&world, "alice").await;
    browser.site = "same-site";
    assert_eq!(browser.fill_in("/account", "/logout", &[]).await.status, 403);
    browser.site = "same-origin";
    assert_eq!(browser.post("/logout", &[]).await.status, 403);
    assert_eq!(browser.get("/account").await.status, 200, "the session is left alone");
}

#[actix_web::test]
async fn an_account_is_changed_on_its_pages_and_a_mistake_keeps_what_was_typed() {
    let world = World::new().await;
    world.user("alice", "member");
    world.user("bob", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    let wrong = [("username", "Alice2"), ("email", "not an address"), ("current_password", PASSWORD)];
    let answer = browser.fill_in("/account", "/account", &wrong).await;
    assert_eq!(answer.status, 422);
    assert!(html(&answer).contains("value=\"Alice2\"") && html(&answer).contains("value=\"not an address\""));
    let taken = [("username", "BOB"), ("email", ""), ("current_password", PASSWORD)];
    let answer = browser.fill_in("/account", "/account", &taken).await;
    assert!(answer.status == 422 && html(&answer).contains("already in use"), "{}", html(&answer));
    let wrong = [("username", "alice2"), ("email", ""), ("current_password", "wrong")];
    let answer = browser.fill_in("/account", "/account", &wrong).await;
    assert!(answer.status == 422 && html(&answer).contains("not the account"), "{}", html(&answer));
    let good = [("username", "alice2"), ("email", "al@example.com"), ("current_password", PASSWORD)];
    let answer = browser.fill_in("/account", "/account", &good).await;
    assert!(answer.status == 200 && html(&answer).contains("saved"), "{}", html(&answer));
    assert_eq!(
        world.count("SELECT count(*) FROM users WHERE username = 'alice2' AND email = 'al@example.com'"),
        1
    );
}

#[actix_web::test]
async fn a_new_password_signs_out_everywhere_else() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    let other = Browser::signed_in(&world, "alice").await;
    let api = world.login("alice").await;
    let page = "/account/password";
    let fields = |new: &'static str, again: &'static str| {
        [("current_password", PASSWORD), ("new_password", new), ("again", again)]
    };
    let answer = browser.fill_in(page, page, &fields("another pass phrase", "a different one")).await;
    assert!(answer.status == 422 && html(&answer).contains("not the same"));
    let answer = browser.fill_in(page, page, &fields("short", "short")).await;
    assert!(answer.status == 422 && html(&answer).contains("12 characters"));
    let answer = browser.fill_in(page, page, &fields("another pass phrase", "another pass phrase")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(browser.get("/account").await.status, 200);
    let refused = other.ask(Method::GET, "/api/v1/me").send().await;
    assert_eq!(refused.refused("session_ended").body["reason"], "password_changed");
    world.get("/api/v1/me", &api.access).await.refused("session_ended");
}

#[actix_web::test]
async fn sessions_are_listed_and_ended_on_their_page() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    let api = world.login("alice").await;
    let page = browser.get("/account/sessions").await;
    assert!(html(&page).contains("This one") && html(&page).contains("API client"), "{}", html(&page));
    let id = world.text("SELECT id::text AS text FROM sessions WHERE kind = 'api'");
    let answer = browser.fill_in("/account/sessions", &format!("/account/sessions/{id}/end"), &[]).await;
    assert_eq!(answer.header("location"), Some("/account/sessions"));
    world.get("/api/v1/me", &api.access).await.refused("session_ended");
    let other = Browser::signed_in(&world, "alice").await;
    browser.fill_in("/account/sessions", "/account/sessions/end-others", &[]).await;
    other.ask(Method::GET, "/api/v1/me").send().await.refused("session_ended");
    assert!(html(&browser.get("/account/sessions").await).contains("signed in nowhere else"));
    // A user cannot end another user's session.
    world.user("bob", "member");
    let bob = world.login("bob").await;
    let id = world.text("SELECT id::text AS text FROM sessions WHERE ended_at IS NULL AND kind = 'api'");
    browser.fill_in("/account/sessions", &format!("/account/sessions/{id}/end"), &[]).await;
    assert_eq!(world.get("/api/v1/me", &bob.access).await.status, 200);
}

#[actix_web::test]
async fn a_token_is_made_shown_once_used_and_revoked() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    assert!(html(&browser.get("/account/tokens").await).contains("You have no personal tokens"));
    let new = "/account/tokens/new";
    let answer = browser.fill_in(new, new, &[("name", "backup"), ("days", "30")]).await;
    assert!(
        answer.status == 422
            && html(&answer).contains("at least one")
            && html(&answer).contains("value=\"backup\"")
    );
    let answer =
        browser.fill_in(new, new, &[("name", "backup"), ("scope", "account:write"), ("days", "30")]).await;
    assert_eq!(answer.status, 422, "no token may carry it");
    let fields = [("name", "backup"), ("scope", "notes:read"), ("scope", "account:read"), ("days", "30")];
    let answer = browser.fill_in(new, new, &fields).await;
    assert_eq!(answer.status, 201);
    let token = html(&answer).split("value=\"dwp_").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let token = format!("dwp_{token}");
    let me = world.get("/api/v1/me", &token).await;
    assert_eq!(me.body["credential"]["scope"], json!(["account:read", "notes:read"]));
    let list = browser.get("/account/tokens").await;
    assert!(html(&list).contains("backup") && !html(&list).contains(&token));
    let id = world.text("SELECT id::text AS text FROM personal_tokens");
    browser.fill_in("/account/tokens", &format!("/account/tokens/{id}/revoke"), &[]).await;
    world.get("/api/v1/me", &token).await.refused_with("token_revoked", "login", true);
}

#[actix_web::test]
async fn what_grants_power_asks_for_the_password_again_and_then_goes_on_where_it_was() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    let new = "/account/tokens/new";
    let token = browser.form_token(new).await;
    world.advance(TimeDelta::minutes(20));
    let answer = browser.get(new).await;
    assert_eq!(answer.header("location"), Some("/step-up?next=%2Faccount%2Ftokens%2Fnew"));
    // A form that was open all the time is kept and sent again.
    let fields = [("csrf_token", token.as_str()), ("name", "<kept>"), ("scope", "notes:read"), ("days", "7")];
    let asked = browser.post(new, &fields).await;
    assert_eq!(asked.status, 401);
    assert!(asked.challenges()[0].contains("insufficient_user_authentication"), "{:?}", asked.challenges());
    assert!(html(&asked).contains("value=\"&#60;kept&#62;\""), "{}", html(&asked));
    let mut again = vec![("repeat", new), ("step_up_password", "wrong")];
    again.extend_from_slice(&fields);
    let answer = browser.post("/step-up", &again).await;
    assert!(answer.status == 422 && html(&answer).contains("&#60;kept&#62;"), "{}", html(&answer));
    assert_eq!(world.events("step_up_failed"), 1);
    again[1] = ("step_up_password", PASSWORD);
    let answer = browser.post("/step-up", &again).await;
    assert_eq!((answer.status, answer.header("location")), (307, Some(new)));
    assert_eq!(browser.post(new, &again).await.status, 201);
    again[0] = ("repeat", "//evil.test");
    let answer = browser.post("/step-up", &again).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/account")));
}

#[actix_web::test]
async fn a_step_up_with_a_cookie_needs_no_other_answer_than_that_it_is_done() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    world.advance(TimeDelta::minutes(20));
    let me = browser.ask(Method::GET, "/api/v1/me").send().await;
    let token = me.body["credential"]["csrf_token"].as_str().unwrap();
    let ask = |browser: &Browser<'_>, path: &str| {
        let ask = browser.ask(Method::POST, path).header("sec-fetch-site", "same-origin");
        ask.header("x-csrf-token", token)
    };
    let new = json!({ "name": "x", "scope": "notes:read" });
    ask(&browser, "/api/v1/me/tokens").json(&new).send().await.refused("authentication_too_old");
    let answer = ask(&browser, "/api/v1/auth/step-up").json(&json!({ "password": PASSWORD })).send().await;
    assert_eq!(answer.status, 204);
    browser.keep(&answer);
    assert_eq!(ask(&browser, "/api/v1/me/tokens").json(&new).send().await.status, 201);
    assert_eq!(ask(&browser, "/api/v1/auth/logout").send().await.status, 204);
    browser.ask(Method::GET, "/api/v1/me").send().await.refused("session_ended");
}

#[actix_web::test]
async fn what_people_call_themselves_is_text_on_every_page() {
    let world = World::new().await;
    world.user("alice", "member");
    let evil = "\"><script>alert(1)</script>";
    let login = json!({ "username": "alice", "password": PASSWORD, "device": evil });
    world.ask(Method::POST, "/api/v1/auth/login").json(&login).send().await;
    let mut browser = Browser::signed_in(&world, "alice").await;
    let new = "/account/tokens/new";
    let made = browser.fill_in(new, new, &[("name", evil), ("scope", "notes:read"), ("days", "7")]).await;
    let wrong = [("username", evil), ("email", evil), ("current_password", PASSWORD)];
    let refused = browser.fill_in("/account", "/account", &wrong).await;
    let mut pages = vec![made, refused];
    for path in ["/account", "/account/sessions", "/account/tokens", "/account/activity"] {
        pages.push(browser.get(path).await);
    }
    pages.push(Browser::new(&world).sign_in(evil, "wrong", &[("next", evil)]).await);
    pages.push(browser.get("/%22%3E%3Cscript%3Ealert(1)%3C/script%3E").await);
    for page in pages {
        assert!(!html(&page).contains("<script>alert"), "{}", html(&page));
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(!html(&page).contains(" style=") && !html(&page).contains("<style"), "no inline styles");
        assert_eq!(page.header("cache-control"), Some("no-store"));
    }
}

#[actix_web::test]
async fn a_page_is_small_and_what_it_loads_is_kept_for_good() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    let page = browser.get("/account").await;
    let mut size = html(&page).len();
    let assets: std::collections::BTreeSet<&str> =
        html(&page).split("\"/static/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(assets.len(), 3);
    for asset in assets {
        let file = world.ask(Method::GET, &format!("/static/{asset}")).send().await;
        assert_eq!(file.status, 200, "{asset}");
        assert!(file.header("cache-control").unwrap().contains("immutable"));
        size += html(&file).len();
    }
    assert!(size < 60_000, "{size} bytes");
    assert!(!html(&page).contains("http://") && !html(&page).contains("https://"), "nothing of another host");
}

#[actix_web::test]
async fn faults_are_pages_too_and_no_sign_in() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    for (answer, status) in [
        (browser.get("/account/nothing").await, 404),
        (browser.post("/account/activity", &[]).await, 405),
        (browser.get("/account/tokens?cursor=nonsense").await, 422),
        (browser.post("/login", &[("x", &"x".repeat(70_000))]).await, 413),
    ] {
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
        assert!(html(&answer).contains(answer.header("x-request-id").unwrap()), "{}", html(&answer));
    }
}

#[actix_web::test]
async fn an_account_is_made_by_its_own_user_only_where_that_is_open() {
    let closed = World::new().await;
    let body = json!({ "username": "carol", "password": PASSWORD });
    closed.ask(Method::POST, "/api/v1/auth/register").json(&body).send().await.refused("not_found");
    let mut browser = Browser::new(&closed);
    assert_eq!(browser.get("/register").await.status, 404);
    assert!(!html(&browser.get("/login").await).contains("/register"));
    let token = browser.form_token("/login").await;
    let fields = [("csrf_token", token.as_str()), ("username", "carol"), ("password", PASSWORD)];
    assert_eq!(browser.post("/register", &fields).await.status, 404);
    assert_eq!(closed.count("SELECT count(*) FROM users WHERE username = 'carol'"), 0);

    let open = World::with(|settings| settings.registration = doorward::config::Registration::Open).await;
    let made = open.ask(Method::POST, "/api/v1/auth/register").json(&body).send().await;
    assert_eq!((made.status, &made.body["role"]), (201, &json!("member")));
    open.login("carol").await;
    open.ask(Method::POST, "/api/v1/auth/register").json(&body).send().await.refused("conflict");
    let wrong = json!({ "username": "x\u{0}", "password": "short", "role": "admin" });
    let refused = open.ask(Method::POST, "/api/v1/auth/register").json(&wrong).send().await;
    assert_eq!(refused.refused("validation_failed").body["errors"].as_array().unwrap().len(), 2);
    let mut browser = Browser::new(&open);
    assert!(html(&browser.get("/login").await).contains("/register"));
    let typed = [("username", "CAROL"), ("email", ""), ("password", PASSWORD)];
    let answer = browser.fill_in("/register", "/register", &typed).await;
    assert!(
        answer.status == 422 && html(&answer).contains("already in use") && html(&answer).contains("CAROL")
    );
    let typed = [("username", "dave"), ("email", "dave@example.com"), ("password", PASSWORD)];
    let answer = browser.fill_in("/register", "/register", &typed).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/account")));
    assert!(html(&browser.get("/account").await).contains("dave@example.com"));
}

#[actix_web::test]
async fn a_form_before_any_session_keeps_its_cookie_and_takes_no_made_up_one() {
    let world = World::new().await;
    let mut browser = Browser::new(&world);
    let first = browser.form_token("/login").await;
    let kept = browser.cookies.clone();
    let second = browser.form_token("/login").await;
    assert_eq!((&second, &browser.cookies), (&first, &kept), "two tabs have one token");
    for value in browser.cookies.values_mut() {
        *value = "short".to_owned();
    }
    let third = browser.form_token("/login").await;
    assert_ne!(third, first);
    assert!(browser.cookies.values().all(|value| value.len() == 43), "{:?}", browser.cookies);
}

#[actix_web::test]
async fn a_form_token_counts_in_a_form_alone() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    let token = browser.form_token("/account").await;
    let ask = || {
        let ask = browser.ask(Method::POST, "/api/v1/notes").header("sec-fetch-site", "same-origin");
        ask.header("content-type", "text/plain").body(format!("csrf_token={token}"))
    };
    ask().send().await.refused("csrf_failed");
    ask().header("x-csrf-token", &token).send().await.refused("unsupported_media_type");
}

#[actix_web::test]
async fn who_is_refused_for_now_asks_again_by_a_link_but_sends_a_form_by_a_reload() {
    let world = World::with(|settings| settings.unproven_per_address = 1).await;
    let mut browser = Browser::new(&world);
    let path = "/set-password/nonsense";
    assert_eq!(browser.get(path).await.status, 404);
    let (link, form) = ("href=\"\">Try again", "Reload this page to send the form once more");
    let shown = browser.get(path).await;
    assert_eq!(shown.status, 429);
    assert!(html(&shown).contains(link) && !html(&shown).contains(form), "{}", html(&shown));
    let sent = browser.post(path, &[("new_password", "x"), ("again", "x")]).await;
    assert_eq!(sent.status, 429);
    assert!(html(&sent).contains(form) && !html(&sent).contains(link), "{}", html(&sent));
    // A page for an error that waiting does not fix suggests neither.
    let missing = browser.get("/account/nothing").await;
    assert!(!html(&missing).contains(link) && !html(&missing).contains(form), "{}", html(&missing));
}

#[actix_web::test]
async fn the_activity_says_which_session_ended_and_which_token_was_revoked_why_and_by_whom() {
    let world = World::new().await;
    world.user("root", "admin");
    let id = world.user("alice", "member");
    let mut alice = Browser::signed_in(&world, "alice").await;
    let device = async |name: &str| {
        world.login_with(json!({ "username": "alice", "password": PASSWORD, "device": name })).await
    };
    let tokens = device("the maker").await;
    let token = async |name: &str| {
        let made = json!({ "name": name, "scope": "notes:read" });
        world.post("/api/v1/me/tokens", &tokens.access, made).await.text("id")
    };
    let session = async |name: &str| {
        let access = device(name).await.access;
        world.get("/api/v1/me", &access).await.body["credential"]["session_id"].as_str().unwrap().to_owned()
    };
    let admin = world.login("root").await.access;
    let (own, theirs) = (token("my own").await, token("<theirs>").await);
    world.delete(&format!("/api/v1/me/tokens/{own}"), &tokens.access).await;
    world.delete(&format!("/api/v1/users/{id}/tokens/{theirs}"), &admin).await;
    let (one, two) = (session("a laptop").await, session("a phone").await);
    world.delete(&format!("/api/v1/me/sessions/{one}"), &tokens.access).await;
    world.delete(&format!("/api/v1/users/{id}/sessions/{two}"), &admin).await;
    let gone = device("a tablet").await;
    let body = json!({ "refresh_token": gone.refresh });
    world.ask(Method::POST, "/api/v1/auth/logout").json(&body).send().await;
    token("the last one").await;
    let page = "/account/password";
    let fields = [
        ("current_password", PASSWORD),
        ("new_password", "another pass phrase"),
        ("again", "another pass phrase"),
        ("revoke_tokens", "1"),
    ];
    assert_eq!(alice.fill_in(page, page, &fields).await.status, 200);
    world.sql("UPDATE audit_events SET actor_id = NULL, actor_name = 'command line' WHERE details->>'name' = 'my own'");
    let shown = alice.get("/account/activity").await;
    for said in [
        "The personal token “my own” was revoked by the command line.",
        "The personal token “&#60;theirs&#62;” was revoked by root.",
        "The personal token “the last one” was revoked: the password was changed by you.",
        "The session with a laptop was ended by you.",
        "The session with a phone was ended by root.",
        "The session with a tablet signed out.",
        "The session with the maker ended: the password was changed by you.",
    ] {
        assert!(html(&shown).contains(said), "{said}: {}", html(&shown));
    }
    let made = format!("/api/v1/users/{id}/password");
    world.post(&made, &admin, json!({ "link": true })).await;
    let hash = "UPDATE users SET password_hash = (SELECT password_hash FROM users WHERE username = 'root') WHERE username = 'alice'";
    world.sql(hash);
    let shown = Browser::signed_in(&world, "alice").await.get("/account/activity").await;
    for said in [
        "A link to set the password was made by root; the old password is gone.",
        "ended: the password was reset by root.",
    ] {
        assert!(html(&shown).contains(said), "{said}: {}", html(&shown));
    }
}

#[actix_web::test]
async fn a_new_token_says_when_it_expires() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    let new = "/account/tokens/new";
    let made = browser.fill_in(new, new, &[("name", "x"), ("scope", "notes:read"), ("days", "7")]).await;
    assert!(
        html(&made).contains("<p>It expires <time") && html(&made).contains(">in 7 days</time>. Try"),
        "{}",
        html(&made)
    );
}

#[actix_web::test]
async fn profile_form_shows_the_first_of_two_refusals() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    // The account is deleted after its password was verified, so loading the page fails too.
    world.sql(
        "CREATE FUNCTION vanish() RETURNS trigger LANGUAGE plpgsql AS \
           $$ BEGIN DELETE FROM users WHERE username = 'alice'; RETURN NULL; END $$; \
         CREATE TRIGGER vanish AFTER UPDATE ON attempts FOR EACH ROW \
           WHEN (NEW.pending < OLD.pending) EXECUTE FUNCTION vanish()",
    );
    let fields = [("username", "alicia"), ("email", ""), ("current_password", PASSWORD)];
    let answer = browser.fill_in("/account", "/account", &fields).await;
    assert_eq!(world.count("SELECT count(*) FROM users WHERE username = 'alice'"), 0);
    let location = answer.header("location").unwrap_or_default();
    assert!(answer.status == 303 && location.starts_with("/login"), "{} {}", answer.status, answer.body);
}
