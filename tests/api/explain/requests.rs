//! Explanations of imagined, pasted and recorded requests.

use chrono::TimeDelta;
use doorward_test::{Tokens, World};
use reqwest::Method;
use serde_json::{Value, json};

use super::{explain, explained, line};

#[actix_web::test]
async fn request_is_judged_without_being_executed() {
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
async fn pasted_command_line_supplies_the_request() {
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
async fn invalid_explain_request_names_the_invalid_field() {
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
async fn refused_request_is_explained_by_its_id() {
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
    // An anonymous caller with the ID sees what the response said, but neither the user nor the address.
    let told = explain(&world, None, question).await.body;
    assert_eq!(told["problem"]["code"], "session_ended");
    let from = ["address", "peer", "forwarded_for"].map(|name| &told["request"][name]);
    for hidden in [&told["credential"]["username"], &told["history"]].into_iter().chain(from) {
        assert_eq!(hidden, &Value::Null, "{told}");
    }
}

#[actix_web::test]
async fn authorized_request_is_traced_only_when_requested() {
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
async fn openapi_pattern_matches_the_accepted_method_letters() {
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
