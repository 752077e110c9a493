//! Explanations of every kind of token. Each caller sees only what they may know.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use doorward_test::{Tokens, World};
use serde_json::{Value, json};

use super::{explained, line};

fn happened(explanation: &Value) -> Vec<&str> {
    let history = explanation["history"].as_array().unwrap_or_else(|| panic!("no history: {explanation}"));
    history.iter().map(|event| event["event"].as_str().unwrap()).collect()
}

#[actix_web::test]
async fn valid_tokens_are_explained_with_history_to_their_user() {
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
async fn explanation_without_a_credential_repeats_only_the_refusal() {
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
async fn anonymous_explanation_details_only_the_token_itself() {
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
async fn anonymous_explanation_adds_nothing_about_the_user() {
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
    // An older token gets the same response. Only callers who may see it are shown the version.
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
async fn token_age_and_remaining_time_are_exact_to_the_second() {
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
async fn forged_token_is_explained_without_its_claims() {
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
async fn explanation_does_not_reveal_whether_a_refresh_token_is_used() {
    let world = World::new().await;
    let first = world.signed_in("alice", "member").await;
    let second = Tokens::of(&world.refresh(&first.refresh).await);
    let third = Tokens::of(&world.refresh(&second.refresh).await);
    world.advance(TimeDelta::minutes(1));
    // An older token, a used one that may still be forgiven, and the live one get the same response, whoever
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
async fn explaining_does_not_record_a_use_of_the_token() {
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
    // The access token was only explained, so nothing shows that its response arrived, and a repeat is
    // forgiven.
    assert_eq!(world.refresh(&alice.refresh).await.status, 200);
}
