//! Bodies that are not the JSON that an endpoint reads.

use doorward_test::{Ask, PASSWORD, World};
use reqwest::Method;

use super::{FORM, JSON, broken_bodies, everything_open, held, routes, unharmed};

/// Returns the endpoints under /api that read JSON, except those for simplejwt.
fn json_routes() -> Vec<(Method, String)> {
    let id = "0192d7a0-0000-7000-8000-000000000000";
    let own_words = |path: &str| path.starts_with("/api/token/");
    let reads_json = |method: &Method| [Method::POST, Method::PUT, Method::PATCH].contains(method);
    let found = routes(id).into_iter();
    found
        .filter(|(method, path)| path.starts_with("/api/") && !own_words(path) && reads_json(method))
        .collect()
}

#[actix_web::test]
async fn json_endpoints_refuse_broken_bodies_and_media_types() {
    let world = everything_open().await;
    world.user("alice", "member");
    let admin = world.login("admin").await;
    let routes = json_routes();
    assert!(routes.len() >= 13, "{routes:?}");
    let bodies = broken_bodies();
    for (method, path) in routes {
        let ask = || world.ask(method.clone(), &path).bearer(&admin.access);
        for (what, body, code) in &bodies {
            // Without a valid body, logout does not know which session to end.
            let answer = ask().header("content-type", JSON).body(body.clone()).send().await;
            let is_signing_out = path == "/api/v1/auth/logout";
            assert_eq!(answer.body["code"], *code, "{method} {path}: {what}: {}", answer.body);
            answer.refused_with(code, "fix_request", false);
            held(&answer, &format!("{method} {path}: {what}"));
            assert!(!is_signing_out || world.get("/api/v1/me", &admin.access).await.status == 200);
        }
        for (what, headers) in [
            ("no type", vec![]),
            ("text", vec![("content-type", "text/plain")]),
            ("a form", vec![("content-type", FORM)]),
            ("no type at all", vec![("content-type", ";;;")]),
            ("two types", vec![("content-type", JSON), ("content-type", "text/plain")]),
            ("two types that are the same", vec![("content-type", JSON), ("content-type", JSON)]),
            ("an encoding", vec![("content-type", JSON), ("content-encoding", "gzip")]),
            ("an unknown encoding", vec![("content-type", JSON), ("content-encoding", "x-nobody")]),
            ("two encodings", vec![("content-type", JSON), ("content-encoding", "identity, gzip")]),
        ] {
            let ask = headers.iter().fold(ask(), |ask, (name, value)| ask.header(name, value));
            let answer = ask.body("{\"a\":1}").send().await;
            assert_eq!(
                answer.body["code"], "unsupported_media_type",
                "{method} {path}: {what}: {}",
                answer.body
            );
            answer.refused("unsupported_media_type");
        }
    }
    unharmed(&world).await;
}

#[actix_web::test]
async fn duplicate_json_member_is_refused_and_neither_value_is_used() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let admin = world.login("admin").await;
    let json = |ask: Ask, body: &str| ask.header("content-type", JSON).body(body.to_owned());
    let login = || world.ask(Method::POST, "/api/v1/auth/login");
    let twice = format!(r#"{{"username":"alice","username":"admin","password":"{PASSWORD}"}}"#);
    let refused = json(login(), &twice).send().await;
    refused.refused("validation_failed");
    assert_eq!(refused.body["errors"][0]["pointer"], "/username");
    assert_eq!(refused.body["errors"][0]["code"], "duplicate_field");
    let escaped = format!(r#"{{"username":"alice","user\u006eame":"admin","password":"{PASSWORD}"}}"#);
    json(login(), &escaped).send().await.refused("validation_failed");
    // Above all, the second value must not grant more than the first.
    let make = || world.ask(Method::POST, "/api/v1/users").bearer(&admin.access);
    let raised = r#"{"username":"eve","role":"viewer","role":"admin"}"#;
    json(make(), raised).send().await.refused("validation_failed");
    assert_eq!(world.count("SELECT count(*) FROM users WHERE username = 'eve'"), 0);
    let note = world.ask(Method::POST, "/api/v1/notes").bearer(&tokens.access);
    json(note, r#"{"title":"x","body":"","shared":false,"shared":true}"#)
        .send()
        .await
        .refused("validation_failed");
    assert_eq!(world.count("SELECT count(*) FROM notes"), 0);
}
