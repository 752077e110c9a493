//! Explanations of every kind of token and of requests. Each caller sees only what they may know. Also tests
//! which refusals are kept for explanations.

mod history;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Tokens, World};

/// Asks the API for an explanation, as this caller or anonymously.
async fn explain(world: &World, caller: Option<&str>, question: Value) -> Answer {
    let ask = world.ask(Method::POST, "/api/v1/auth/explain").json(&question);
    let answer = match caller {
        Some(token) => ask.bearer(token).send().await,
        None => ask.send().await,
    };
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    answer
}

async fn explained(world: &World, caller: Option<&str>, token: &str) -> Value {
    let answer = explain(world, caller, json!({ "token": token })).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

fn line<'a>(explanation: &'a Value, check: &str) -> &'a Value {
    let lines = explanation["checks"].as_array().unwrap();
    lines.iter().find(|line| line["check"] == check).unwrap()
}

fn happened(explanation: &Value) -> Vec<&str> {
    let history = explanation["history"].as_array().unwrap_or_else(|| panic!("no history: {explanation}"));
    history.iter().map(|event| event["event"].as_str().unwrap()).collect()
}

async fn keep(world: &World) {
    world.state.recorder.kept_refusals.flush(&world.state.core.database).await.unwrap();
}

#[actix_web::test]
async fn a_good_token_of_each_kind_is_let_in_and_its_life_told_to_its_user() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    let (personal, _) = world.personal_token(&alice.access, "notes:read").await;
    let access = explained(&world, Some(&alice.access), &alice.access).await;
    assert_eq!((&access["verdict"], &access["problem"]), (&json!("let_in"), &Value::Null));
    assert_eq!(access["credential"]["username"], "alice");
    for check in [
        "header",
        "kind",
        "form",
        "key",
        "signature",
        "times",
        "issuer",
        "type",
        "revocation",
        "session",
        "user",
    ] {
        assert_eq!(line(&access, check)["outcome"], "passed", "{check}");
        assert!(line(&access, check)["found"].is_string(), "{check}: {access}");
    }
    assert!(line(&access, "times")["found"].as_str().unwrap().contains("s left"), "{access}");
    assert_eq!(happened(&access)[0], "login_succeeded");
    assert!(happened(&access).contains(&"expires"));

    let of_personal = explained(&world, Some(&alice.access), &personal).await;
    assert_eq!(of_personal["verdict"], "let_in");
    assert!(happened(&of_personal).contains(&"personal_token_created"), "{of_personal}");

    let of_refresh = explained(&world, Some(&alice.access), &alice.refresh).await;
    assert_eq!(of_refresh["verdict"], "session_lives");
    assert_eq!(of_refresh["credential"]["kind"], "refresh_token");
}

#[actix_web::test]
async fn whoever_has_no_credential_learns_what_the_refusal_says_and_nothing_of_its_user() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    world.post("/api/v1/auth/logout", &alice.access, json!({})).await;
    let refused = world.get("/api/v1/me", &alice.access).await;
    let told = explained(&world, None, &alice.access).await;
    assert_eq!(told["verdict"], "refused");
    for member in ["code", "title", "detail", "action", "terminal", "ended_at", "reason"] {
        assert_eq!(told["problem"][member], refused.body[member], "{member}");
    }
    assert_eq!((&told["history"], &told["credential"]["username"]), (&Value::Null, &Value::Null));
    assert_eq!(line(&told, "revocation")["found"], Value::Null, "{told}");
    assert_eq!(line(&told, "session")["outcome"], "failed");
    assert_eq!(line(&told, "scope")["outcome"], "not_reached");
    // Another user sees no more than that. The admin also sees who ended the session.
    let bob = world.signed_in("bob", "member").await;
    assert_eq!(explained(&world, Some(&bob.access), &alice.access).await["history"], Value::Null);
    let admin = world.login("admin").await;
    let all = explained(&world, Some(&admin.access), &alice.access).await;
    let ended = all["history"].as_array().unwrap().iter().find(|event| event["event"] == "session_ended");
    let ended = ended.unwrap_or_else(|| panic!("{all}"));
    assert_eq!((&ended["by"], &ended["text"]), (&json!("alice"), &json!("the session ended: logout")));
    assert!(ended["at"].is_string() && ended["address"].is_string() && ended["request_id"].is_string());
    // The admin's personal token shows no history, because it may have leaked.
    let (personal, _) = world.personal_token(&admin.access, "audit:read account:read").await;
    assert_eq!(explained(&world, Some(&personal), &alice.access).await["history"], Value::Null);
}

/// Returns a line for each check, with its outcome and with which of the two texts it has.
fn shape(explanation: &Value) -> Vec<String> {
    let lines = explanation["checks"].as_array().unwrap();
    let told = |line: &Value, name: &str| line.get(name).map(|_| format!(", {name}")).unwrap_or_default();
    let shape = |line: &Value| {
        let (check, outcome) = (line["check"].as_str().unwrap(), line["outcome"].as_str().unwrap());
        format!("{check} {outcome}{}{}", told(line, "expected"), told(line, "found"))
    };
    lines.iter().map(shape).collect()
}

#[actix_web::test]
async fn whoever_merely_holds_a_token_is_told_what_it_says_itself_and_why_it_fails() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    world.post("/api/v1/auth/logout", &alice.access, json!({})).await;
    let admin = world.login("admin").await;
    let of_token = ["header", "kind", "form", "key", "signature", "times", "issuer", "type"];
    let behind = ["user", "csrf", "permission", "scope", "freshness", "ownership"];
    let expected = |revocation: &str, session: &str| {
        let says = of_token.iter().map(|check| format!("{check} passed, expected, found"));
        let judged = [revocation.to_owned(), session.to_owned()];
        let rest = behind.iter().map(|check| format!("{check} not_reached"));
        says.chain(judged).chain(rest).collect::<Vec<_>>()
    };
    let told = explained(&world, None, &alice.access).await;
    assert_eq!(shape(&told), expected("revocation passed", "session failed, found"));
    let all = explained(&world, Some(&admin.access), &alice.access).await;
    let (revocation, session) = ("revocation passed, expected, found", "session failed, expected, found");
    assert_eq!(shape(&all), expected(revocation, session));
    // A token that proves nothing gets the reason for its failure, but not the expected value.
    let forged = format!("{}AAAA", &alice.refresh[..alice.refresh.len() - 4]);
    let told = explained(&world, None, &forged).await;
    assert_eq!(
        shape(&told)[..5],
        [
            "header not_applicable",
            "kind passed",
            "form passed",
            "key not_applicable",
            "signature failed, found"
        ]
    );
}

#[actix_web::test]
async fn whoever_merely_holds_a_token_learns_of_its_user_only_what_the_refusal_says() {
    let world = World::new().await;
    let id = world.user("alice", "viewer");
    let alice = world.login("alice").await;
    let (personal, _) = world.personal_token(&alice.access, "notes:read").await;
    let admin = world.login("admin").await;
    let basic = |name: &str| format!("curl -u {name}:{personal} https://x/api/v1/notes");
    let write = format!("curl -X POST -H 'Authorization: Bearer {personal}' https://x/api/v1/notes");
    let learns = async |text: &str, check: &str, code: &str| {
        let told = explained(&world, None, text).await;
        assert_eq!(told["problem"]["code"], code, "{told}");
        assert_eq!(line(&told, check)["found"], told["problem"]["detail"], "{told}");
        let asked = explained(&world, Some(&admin.access), text).await;
        assert_ne!(line(&asked, check)["found"], told["problem"]["detail"], "an admin learns more");
        assert_eq!(line(&told, "user").get("expected"), None);
        assert!(!told.to_string().contains("alice"), "{told}");
    };
    learns(&basic("bob"), "user", "token_unknown").await;
    learns(&write, "permission", "permission_denied").await;
    world.patch(&format!("/api/v1/users/{id}"), &admin.access, json!({ "role": "member" })).await;
    learns(&alice.access, "revocation", "token_revoked").await;
    world.patch(&format!("/api/v1/users/{id}"), &admin.access, json!({ "status": "disabled" })).await;
    learns(&personal, "user", "account_disabled").await;
    // An older token gets the same answer. Only callers who may see it are shown the version.
    learns(&alice.access, "user", "account_disabled").await;
    let asked = explained(&world, Some(&admin.access), &alice.access).await;
    assert!(line(&asked, "revocation")["found"].as_str().unwrap().contains("version"), "{asked}");
    assert_eq!(line(&asked, "session")["outcome"], "not_applicable");
}

/// Returns what is said about a token's times when the server's clock has just reached this second.
async fn times_at(world: &World, token: &str, second: DateTime<Utc>) -> String {
    let here = format!("this server's time is {}", second.to_rfc3339_opts(SecondsFormat::Secs, true));
    for _ in 0..20 {
        // Retry if the machine was too slow and the second has passed.
        let clock = &world.state.core.clock;
        clock.advance(second + TimeDelta::milliseconds(50) - clock.now());
        let told = explained(world, None, token).await;
        let times = line(&told, "times");
        let found = times["found"].as_str().unwrap();
        if let Some(said) = found.strip_prefix(&here) {
            return format!("{}{said}", times["outcome"].as_str().unwrap());
        }
    }
    panic!("it is never {second}");
}

#[actix_web::test]
async fn how_old_a_token_is_and_how_long_it_is_good_is_told_to_the_second() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    let claims = URL_SAFE_NO_PAD.decode(alice.access.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    let issued = DateTime::from_timestamp(claims["iat"].as_i64().unwrap(), 0).unwrap();
    for (after, said) in [
        (-3, "passed: issued 2 s ahead of this clock, 302 s left"),
        (0, "passed: issued 0 s ago, 299 s left"),
        (100, "passed: issued 100 s ago, 199 s left"),
        (300, "failed: issued 300 s ago, expired 0 s ago"),
        (360, "failed: issued 360 s ago, expired 60 s ago"),
    ] {
        assert_eq!(times_at(&world, &alice.access, issued + TimeDelta::seconds(after)).await, said);
    }
}

#[actix_web::test]
async fn a_forged_token_learns_nothing_of_what_it_says() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    let admin = world.login("admin").await;
    world.advance(TimeDelta::minutes(3));
    let at = alice.access.len() - 20;
    let other = if alice.access.as_bytes()[at] == b'A' { "B" } else { "A" };
    let forged = format!("{}{other}{}", &alice.access[..at], &alice.access[at + 1..]);
    for caller in [None, Some(admin.access.as_str())] {
        let told = explained(&world, caller, &forged).await;
        assert_eq!(told["problem"]["code"], "token_signature_invalid");
        for member in ["id", "session_id", "user_id", "username"] {
            assert_eq!(told["credential"][member], Value::Null, "{told}");
        }
        assert_eq!(
            (line(&told, "signature")["outcome"].as_str(), &told["history"]),
            (Some("failed"), &Value::Null)
        );
        assert_eq!(line(&told, "times")["outcome"], "not_reached");
    }
    let forged_refresh = format!("{}AAAA", &alice.refresh[..alice.refresh.len() - 4]);
    let told = explained(&world, Some(&admin.access), &forged_refresh).await;
    assert_eq!(told["problem"]["code"], "token_signature_invalid", "{told}");
    assert_eq!(told["credential"]["session_id"], Value::Null);
}

#[actix_web::test]
async fn nobody_learns_whether_a_refresh_token_is_spent_or_would_be_forgiven() {
    let world = World::new().await;
    let first = world.signed_in("alice", "member").await;
    let second = Tokens::of(&world.refresh(&first.refresh).await);
    let third = Tokens::of(&world.refresh(&second.refresh).await);
    world.advance(TimeDelta::minutes(1));
    // An older token, a used one that may still be forgiven, and the live one get the same answer, whoever
    // asks.
    let admin = world.login("admin").await;
    for caller in [None, Some(admin.access.as_str())] {
        let mut told = Vec::new();
        for token in [&first.refresh, &second.refresh, &third.refresh] {
            told.push(explained(&world, caller, token).await);
        }
        assert_eq!(told[0]["verdict"], "session_lives");
        assert!(told.windows(2).all(|pair| pair[0] == pair[1]), "{told:?}");
    }
    // Explaining rotates nothing, so the live token still works.
    assert_eq!(world.refresh(&third.refresh).await.status, 200);
    world.refresh(&first.refresh).await.refused("refresh_token_reused");
    let told = explained(&world, None, &third.refresh).await;
    assert_eq!(told["problem"]["code"], "session_ended");
    assert_eq!(told["problem"]["reason"], "refresh_token_reused");
}

#[actix_web::test]
async fn explaining_notes_nothing_as_used() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    let (personal, _) = world.personal_token(&alice.access, "notes:read").await;
    let second = Tokens::of(&world.refresh(&alice.refresh).await);
    world.flush().await;
    world.advance(TimeDelta::minutes(2));
    let state = || {
        world.text(
            "SELECT concat((SELECT string_agg(concat_ws(' ', last_used_at), ',' ORDER BY id) FROM sessions), ' ', \
             (SELECT string_agg(row(refresh_tokens.*)::text, ',') FROM refresh_tokens), ' ', \
             (SELECT string_agg(concat_ws(' ', last_used_at), ',') FROM personal_tokens)) AS text",
        )
    };
    let before = state();
    for token in [&second.access, &second.refresh, &alice.refresh, &personal] {
        explained(&world, None, token).await;
    }
    world.flush().await;
    assert_eq!(state(), before);
    // The access token was only explained, so nothing shows that its answer arrived, and a repeat is
    // forgiven.
    assert_eq!(world.refresh(&alice.refresh).await.status, 200);
}

#[actix_web::test]
async fn a_request_is_judged_without_being_made() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "viewer").await;
    let (personal, _) = world.personal_token(&alice.access, "notes:read").await;
    let ask = async |token: &str, method: &str, path: &str| {
        let question = json!({"token": token, "method": method, "path": path});
        explain(&world, None, question).await.body
    };
    let read = ask(&alice.access, "get", "/api/v1/notes?limit=1").await;
    assert_eq!((&read["verdict"], &read["request"]["permission"]), (&json!("let_in"), &json!("notes:read")));
    assert_eq!(
        (&read["request"]["method"], &read["request"]["path"]),
        (&json!("GET"), &json!("/api/v1/notes"))
    );
    let write = ask(&alice.access, "POST", "/api/v1/notes").await;
    assert_eq!(write["problem"]["code"], "permission_denied");
    assert_eq!(write["problem"]["required"], json!(["notes:write"]));
    assert_eq!(line(&write, "permission")["outcome"], "failed");
    let narrow = ask(&personal, "GET", "/api/v1/me/sessions").await;
    assert_eq!(narrow["problem"]["code"], "insufficient_scope");
    let open = ask(&personal, "GET", "/healthz").await;
    assert_eq!(open["verdict"], "let_in");
    assert_eq!(ask(&personal, "GET", "/api/v1/nothing").await["problem"]["code"], "not_found");
    assert_eq!(ask(&personal, "DELETE", "/api/v1/me").await["problem"]["code"], "method_not_allowed");
    world.advance(TimeDelta::hours(1));
    let refreshed = Tokens::of(&world.refresh(&alice.refresh).await);
    let fresh = ask(&refreshed.access, "POST", "/api/v1/me/tokens").await;
    assert_eq!(fresh["problem"]["code"], "authentication_too_old");
    assert_eq!(
        (&fresh["request"]["fresh"], line(&fresh, "freshness")["outcome"].as_str()),
        (&json!(true), Some("failed"))
    );
    assert_eq!(world.count("SELECT count(*) FROM notes"), 0);
}

#[actix_web::test]
async fn a_pasted_command_line_brings_its_own_request() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "viewer").await;
    let line =
        format!("curl -X POST -H 'Authorization: Bearer {}' https://x/api/v1/notes -d '{{}}'", alice.access);
    let told = explained(&world, None, &line).await;
    assert_eq!(told["problem"]["code"], "permission_denied", "{told}");
    assert_eq!(told["request"]["path"], "/api/v1/notes");
    let header = explained(&world, None, &format!("Authorization: bearer  {}", alice.access)).await;
    assert_eq!(header["verdict"], "let_in");
    for (text, code) in [
        ("Authorization: Token abc", "scheme_unsupported"),
        ("curl https://x/", "credentials_missing"),
        ("nonsense", "token_malformed"),
        ("dwp_nonsense", "token_malformed"),
        ("dwr_nonsense", "token_malformed"),
    ] {
        assert_eq!(explained(&world, None, text).await["problem"]["code"], code, "{text}");
    }
}

#[actix_web::test]
async fn a_question_that_cannot_be_answered_says_what_is_wrong_with_it() {
    let world = World::new().await;
    for (question, pointer) in [
        (json!({}), "/token"),
        (json!({"token": "x", "request_id": "0192d7a0-0000-7000-8000-000000000000"}), "/request_id"),
        (json!({"request_id": "nonsense"}), "/request_id"),
        (json!({"token": "x", "method": "GET"}), "/path"),
        (json!({"token": "x", "path": "/"}), "/method"),
        (json!({"token": "x", "method": "GET", "path": "http://x/"}), "/path"),
        (json!({"token": "x", "method": "G T", "path": "/"}), "/method"),
        (json!({"token": 1}), "/token"),
        (json!({"token": "x", "tokens": 1}), "/tokens"),
    ] {
        let refused = explain(&world, None, question.clone()).await;
        refused.refused("validation_failed");
        assert_eq!(refused.body["errors"][0]["pointer"], pointer, "{question}");
    }
    let unknown = json!({"request_id": "0192d7a0-0000-7000-8000-000000000000"});
    explain(&world, None, unknown).await.refused("not_found");
    // A credential in the header must be valid nevertheless.
    explain(&world, Some("nonsense"), json!({"token": "x"})).await.refused("token_malformed");
}

#[actix_web::test]
async fn a_refused_request_stands_under_its_id_with_who_ended_what() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    let admin = world.login("admin").await;
    let id = world.text("SELECT id::text AS text FROM users WHERE username = 'alice'");
    world.delete(&format!("/api/v1/users/{id}/sessions"), &admin.access).await;
    let ask = world.ask(Method::GET, "/api/v1/me").bearer(&alice.access);
    let refused = ask.header("x-forwarded-for", "203.0.113.9").send().await;
    refused.refused("session_ended");
    let question = json!({"request_id": refused.text("instance")});
    // The record is found although it is not written yet.
    let told = explain(&world, Some(&admin.access), question.clone()).await.body;
    assert_eq!((&told["request"]["path"], &told["request"]["status"]), (&json!("/api/v1/me"), &json!(401)));
    assert_eq!(
        (&told["credential"]["kind"], &told["credential"]["username"]),
        (&json!("access_token"), &json!("alice"))
    );
    // No proxy is trusted in this test.
    let from = ["address", "peer", "forwarded_for"].map(|name| told["request"][name].clone());
    assert_eq!(from, ["127.0.0.1", "127.0.0.1", "203.0.113.9"]);
    let ended =
        told["history"].as_array().unwrap().iter().find(|event| event["event"] == "session_ended").unwrap();
    assert_eq!(
        (&ended["by"], &ended["text"]),
        (&json!("admin"), &json!("the session ended: ended by admin"))
    );
    assert_eq!(line(&told, "session")["outcome"], "failed");
    // An anonymous caller with the id sees what the answer said, but neither the user nor the address.
    let told = explain(&world, None, question).await.body;
    assert_eq!(told["problem"]["code"], "session_ended");
    let from = ["address", "peer", "forwarded_for"].map(|name| &told["request"][name]);
    for hidden in [&told["credential"]["username"], &told["history"]].into_iter().chain(from) {
        assert_eq!(hidden, &Value::Null, "{told}");
    }
}

#[actix_web::test]
async fn the_trace_of_a_request_that_is_let_in_is_kept_where_its_sender_asks() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    let traced =
        world.ask(Method::GET, "/api/v1/notes").bearer(&alice.access).header("x-doorward-trace", "1");
    let traced = traced.send().await;
    assert_eq!(traced.status, 200);
    let told =
        explain(&world, Some(&alice.access), json!({"request_id": traced.header("x-request-id")})).await.body;
    assert_eq!((&told["verdict"], &told["problem"]), (&json!("let_in"), &Value::Null), "{told}");
    assert_eq!(line(&told, "scope")["outcome"], "passed");
    let plain = world.get("/api/v1/notes", &alice.access).await;
    let question = json!({"request_id": plain.header("x-request-id")});
    explain(&world, Some(&alice.access), question).await.refused("not_found");
}

#[actix_web::test]
async fn no_record_holds_a_secret() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    let (personal, _) = world.personal_token(&alice.access, "notes:read").await;
    world.post("/api/v1/auth/logout", &alice.access, json!({})).await;
    world
        .get(&format!("/api/v1/me?access_token={}", alice.access), &alice.access)
        .await
        .refused("session_ended");
    world.refresh(&alice.refresh).await.refused("session_ended");
    world.ask(Method::GET, "/api/v1/me").basic("bob", &personal).send().await.refused("token_unknown");
    world
        .ask(Method::GET, "/api/v1/users")
        .basic("bob", "hunter2-is-secret")
        .send()
        .await
        .refused("token_malformed");
    let wrong = json!({"username": "alice", "password": "a wrong secret"});
    world.ask(Method::POST, "/api/v1/auth/login").json(&wrong).send().await.refused("invalid_credentials");
    keep(&world).await;
    assert!(world.count("SELECT count(*) FROM refusals") >= 5);
    let all = world.text("SELECT string_agg(row(refusals.*)::text, ' ') AS text FROM refusals");
    let signature = alice.access.rsplit('.').next().unwrap();
    for secret in [signature, &alice.refresh[4..], &personal[4..], "a wrong secret", "hunter2-is-secret"] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
}

#[actix_web::test]
async fn a_flood_is_dropped_and_counted_and_pushes_out_nothing_of_worth() {
    let world = World::with(|settings| settings.refusal_rows = 100).await;
    let alice = world.signed_in("alice", "member").await;
    world.post("/api/v1/auth/logout", &alice.access, json!({})).await;
    let worthy = world.get("/api/v1/me", &alice.access).await.text("request_id");
    let mut sent = 1;
    for _ in 0..3 {
        for _ in 0..400 {
            world.get("/api/v1/me", "garbage").await.refused("token_malformed");
            sent += 1;
        }
        keep(&world).await;
    }
    let (kept, dropped) = world.state.recorder.kept_refusals.counts();
    assert_eq!(kept + dropped, sent);
    assert!(dropped > 0 && kept > 0, "{kept} {dropped}");
    // A tenth of the bound belongs to unproven refusals. They may exceed it by one batch until the next.
    let unproven = world.count("SELECT count(*) FROM refusals WHERE lane = 'unproven'");
    assert!(unproven <= 10, "{unproven}");
    let left = world.count(&format!("SELECT count(*) FROM refusals WHERE request_id = '{worthy}'"));
    assert_eq!(left, 1);
}

/// Sends this many requests with the token, and writes the records after every two hundred.
async fn repeat_refused(world: &World, path: &str, token: &str, times: usize) {
    for number in 1..=times {
        assert!(world.get(path, token).await.status >= 400);
        if number % 200 == 0 {
            keep(world).await;
        }
    }
}

#[actix_web::test]
async fn dead_credential_displaces_no_refusal_of_a_live_one() {
    let world = World::with(|settings| settings.refusal_rows = 100).await;
    let alice = world.signed_in("alice", "member").await;
    let mallory = world.signed_in("mallory", "member").await;
    let worthy = world.get("/api/v1/users", &alice.access).await.text("request_id");
    keep(&world).await;
    world.post("/api/v1/auth/logout", &mallory.access, json!({})).await;
    repeat_refused(&world, "/api/v1/me", &mallory.access, 400).await;
    let left = world.count(&format!("SELECT count(*) FROM refusals WHERE request_id = '{worthy}'"));
    assert_eq!(left, 1);
    let dead = world.count("SELECT count(*) FROM refusals WHERE lane = 'dead'");
    assert!((1..=25).contains(&dead), "{dead}");
}

#[actix_web::test]
async fn live_credential_displaces_its_own_refusals_first() {
    let world = World::with(|settings| settings.refusal_rows = 100).await;
    let alice = world.signed_in("alice", "member").await;
    let mallory = world.signed_in("mallory", "member").await;
    let worthy = world.get("/api/v1/users", &alice.access).await.text("request_id");
    keep(&world).await;
    repeat_refused(&world, "/api/v1/users", &mallory.access, 400).await;
    let left = world.count(&format!("SELECT count(*) FROM refusals WHERE request_id = '{worthy}'"));
    assert_eq!(left, 1);
    assert_eq!(world.count("SELECT count(*) FROM refusals WHERE lane = 'proven'"), 100);
}

/// Makes statements that contain `part` fail to delete refusals.
fn refuse_deletes(world: &World, part: &str) {
    world.sql(&format!(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF current_query() LIKE '%{part}%' THEN RAISE 'refused'; END IF;
             RETURN NULL;
         END $$;
         CREATE TRIGGER refuse BEFORE DELETE ON refusals EXECUTE FUNCTION refuse()"
    ));
}

#[actix_web::test]
async fn trimming_that_fails_waits_for_more_rows() {
    let world = World::with(|settings| settings.refusal_rows = 1_000).await;
    let alice = world.signed_in("alice", "member").await;
    let flush = || world.state.recorder.kept_refusals.flush(&world.state.core.database);
    world.get("/api/v1/users", &alice.access).await;
    keep(&world).await;
    world.sql(
        "INSERT INTO refusals (request_id, lane, occurred_at, method, route, path, status, problem, checks)
         SELECT gen_random_uuid(), lane, occurred_at, method, route, path, status, problem, checks
         FROM refusals, generate_series(1, 12000)",
    );
    refuse_deletes(&world, "DELETE FROM refusals");
    for _ in 0..10 {
        world.get("/api/v1/users", &alice.access).await;
    }
    assert!(flush().await.is_err());
    assert!(flush().await.is_ok(), "nothing was written since");
    world.sql("DROP TRIGGER refuse ON refusals");
    for _ in 0..10 {
        world.get("/api/v1/users", &alice.access).await;
    }
    keep(&world).await;
    assert_eq!(world.count("SELECT count(*) FROM refusals"), 1_000);
}

#[actix_web::test]
async fn oldest_refusals_go_when_owners_cannot_be_counted() {
    let world = World::with(|settings| settings.refusal_rows = 100).await;
    let alice = world.signed_in("alice", "member").await;
    let mallory = world.signed_in("mallory", "member").await;
    world.get("/api/v1/users", &alice.access).await;
    refuse_deletes(&world, "row_number");
    repeat_refused(&world, "/api/v1/users", &mallory.access, 200).await;
    let rows = |user: &str| {
        world.count(&format!(
            "SELECT count(*) FROM refusals JOIN users ON users.id = user_id WHERE username = '{user}'"
        ))
    };
    assert_eq!((rows("alice"), rows("mallory")), (0, 100));
}

#[actix_web::test]
async fn what_cannot_be_written_waits_and_slows_nothing() {
    let world = World::new().await;
    world.sql("ALTER TABLE refusals RENAME TO elsewhere");
    let refused = world.get("/api/v1/me", "garbage").await;
    refused.refused("token_malformed");
    assert!(world.state.recorder.kept_refusals.flush(&world.state.core.database).await.is_err());
    world.sql("ALTER TABLE elsewhere RENAME TO refusals");
    keep(&world).await;
    let id = refused.text("request_id");
    assert_eq!(world.count(&format!("SELECT count(*) FROM refusals WHERE request_id = '{id}'")), 1);
}

#[actix_web::test]
async fn a_refusal_that_names_a_nul_is_kept_and_holds_up_no_other() {
    let world = World::new().await;
    let body = json!({ "username": "a", "password": "b", "odd\u{0}name": 1 });
    let odd = world.ask(Method::POST, "/api/v1/auth/login").json(&body).send().await;
    odd.refused("validation_failed");
    let after = world.get("/api/v1/me", "garbage").await;
    keep(&world).await;
    for refused in [&odd, &after] {
        let id = refused.text("request_id");
        assert_eq!(world.count(&format!("SELECT count(*) FROM refusals WHERE request_id = '{id}'")), 1);
    }
}

#[actix_web::test]
async fn with_no_retention_nothing_is_kept_and_an_old_record_is_pruned() {
    use doorward::database::prune::{self, Retention};
    let world = World::with(|settings| settings.refusal_retention = Duration::ZERO).await;
    world.get("/api/v1/me", "garbage").await.refused("token_malformed");
    keep(&world).await;
    assert_eq!(world.count("SELECT count(*) FROM refusals"), 0);
    let keeping = World::new().await;
    keeping.get("/api/v1/me", "garbage").await;
    keep(&keeping).await;
    let days = |days: u64| Duration::from_secs(days * 86_400);
    let retention = Retention { audit_events: days(400), refusals: days(7), known_addresses: days(90) };
    keeping.advance(TimeDelta::days(6));
    prune::run(&keeping.state.core.database, retention, |_| ()).await.unwrap().unwrap();
    assert_eq!(keeping.count("SELECT count(*) FROM refusals"), 1);
    keeping.advance(TimeDelta::days(2));
    prune::run(&keeping.state.core.database, retention, |_| ()).await.unwrap().unwrap();
    assert_eq!(keeping.count("SELECT count(*) FROM refusals"), 0);
}

#[actix_web::test]
async fn the_document_says_which_letters_a_method_may_have() {
    let world = World::new().await;
    let document = world.ask(Method::GET, "/openapi.json").send().await;
    let method = &document.body["components"]["schemas"]["ExplainRequest"]["properties"]["method"];
    let pattern = method["pattern"].as_str().unwrap_or_else(|| panic!("{method}"));
    let letters = pattern.strip_prefix("^[").and_then(|rest| rest.strip_suffix("]+$")).unwrap();
    let said = |letter: char| {
        let single = letters.replace("0-9", "").replace("A-Za-z", "");
        letter.is_ascii_alphanumeric() || single.contains(letter)
    };
    for letter in ('\u{1}'..='\u{7f}').chain(['é']) {
        let question = json!({"token": "x", "method": format!("A{letter}"), "path": "/"});
        let answer = world.ask(Method::POST, "/api/v1/auth/explain").json(&question).send().await;
        assert_eq!(answer.status == 200, said(letter), "{letter:?}: {}", answer.body);
    }
}

#[actix_web::test]
async fn one_ipv6_network_displaces_no_refusal_of_another() {
    let world = World::with(|settings| {
        crate::operations::throttle::behind_a_proxy(settings);
        settings.refusal_rows = 100;
    })
    .await;
    let ask = async |address: &str| {
        let ask = world.ask(Method::GET, "/api/v1/me").bearer("garbage").header("x-forwarded-for", address);
        ask.send().await.refused("token_malformed");
    };
    for _ in 0..5 {
        ask("198.51.100.7").await;
    }
    keep(&world).await;
    for at in 0..40 {
        ask(&format!("2001:db8:1:{at:x}::{at:x}")).await;
        if at % 20 == 19 {
            keep(&world).await;
        }
    }
    let of = |address: &str| {
        let count =
            format!("SELECT count(*) FROM refusals WHERE lane = 'unproven' AND address LIKE '{address}'");
        world.count(&count)
    };
    assert_eq!((of("198.51.100.7"), of("2001:db8:1:%")), (5, 5));
}
