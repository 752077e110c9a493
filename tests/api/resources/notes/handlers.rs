//! The guarded resource: visibility, ownership, pages, conditional requests.

use doorward_test::{Tokens, World};
use reqwest::Method;
use serde_json::{Value, json};

async fn note(world: &World, tokens: &Tokens, title: &str, shared: bool) -> String {
    let body = json!({"title": title, "body": format!("about {title}"), "shared": shared});
    let made = world.post("/api/v1/notes", &tokens.access, body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(made.header("etag"), Some("\"1\""));
    assert_eq!(made.header("location"), Some(format!("/api/v1/notes/{}", made.text("id")).as_str()));
    made.text("id")
}

fn titles(body: &Value) -> Vec<&str> {
    body["items"].as_array().unwrap().iter().map(|item| item["title"].as_str().unwrap()).collect()
}

#[actix_web::test]
async fn own_and_shared_notes_are_visible_and_others_are_not_found() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    let bob = world.signed_in("bob", "member").await;
    let private = note(&world, &alice, "private", false).await;
    let shared = note(&world, &alice, "shared", true).await;
    note(&world, &bob, "bobs", false).await;
    let list = |query: &'static str, token: &str| {
        let token = token.to_owned();
        let world = &world;
        async move { world.get(&format!("/api/v1/notes{query}"), &token).await.body }
    };
    assert_eq!(titles(&list("", &bob.access).await), ["bobs", "shared"]);
    assert_eq!(titles(&list("?owner=me", &bob.access).await), ["bobs"]);
    assert_eq!(titles(&list("?shared=true", &bob.access).await), ["shared"]);
    assert_eq!(titles(&list("?q=ABOUT%20s", &bob.access).await), ["shared"]);
    assert_eq!(titles(&list("?q=100%25", &bob.access).await), Vec::<&str>::new());
    let admin = world.login("admin").await;
    assert_eq!(titles(&list("", &admin.access).await).len(), 3, "notes:manage lifts visibility");

    let path = format!("/api/v1/notes/{private}");
    world.get(&path, &bob.access).await.refused("not_found");
    // This is checked before everything else. Another user's private note does not exist for the caller.
    let stale = world
        .ask(Method::PATCH, &path)
        .bearer(&bob.access)
        .header("if-match", "\"9\"")
        .json(&json!({"title": "x"}));
    stale.send().await.refused("not_found");
    world.delete(&path, &bob.access).await.refused("not_found");
    let path = format!("/api/v1/notes/{shared}");
    assert_eq!(world.get(&path, &bob.access).await.body["owner"]["username"], "alice");
    world.patch(&path, &bob.access, json!({"title": "x"})).await.refused_with(
        "not_owner",
        "request_access",
        false,
    );
    world.delete(&path, &bob.access).await.refused("not_owner");
    assert_eq!(world.patch(&path, &admin.access, json!({"title": "managed"})).await.status, 200);
}

#[actix_web::test]
async fn note_changes_are_conditional_on_the_version_read() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    let path = format!("/api/v1/notes/{}", note(&world, &alice, "one", false).await);
    let ask = |method, name: &'static str, tag: &'static str| {
        world.ask(method, &path).bearer(&alice.access).header(name, tag)
    };
    let unmodified = ask(Method::GET, "if-none-match", "W/\"1\", \"7\"").send().await;
    assert_eq!((unmodified.status, unmodified.header("etag")), (304, Some("\"1\"")));
    let changed = ask(Method::PATCH, "if-match", "\"1\"").json(&json!({"title": "two"})).send().await;
    assert_eq!((changed.status, changed.header("etag")), (200, Some("\"2\"")), "{}", changed.body);
    assert_eq!(changed.body["body"], "about one", "what is left out stays");
    ask(Method::PATCH, "if-match", "\"1\"")
        .json(&json!({"title": "x"}))
        .send()
        .await
        .refused("precondition_failed");
    ask(Method::DELETE, "if-match", "\"1\"").send().await.refused("precondition_failed");
    let replaced =
        ask(Method::PUT, "if-match", "*").json(&json!({"title": "three", "body": ""})).send().await;
    assert_eq!((&replaced.body["title"], &replaced.body["body"]), (&json!("three"), &json!("")));
    ask(Method::PUT, "if-match", "*")
        .json(&json!({"title": "three"}))
        .send()
        .await
        .refused("validation_failed");
    assert_eq!(ask(Method::DELETE, "if-match", "\"3\"").send().await.status, 204);
    world.get(&path, &alice.access).await.refused("not_found");
}

#[actix_web::test]
async fn simultaneous_note_changes_are_not_lost() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    let path = format!("/api/v1/notes/{}", note(&world, &alice, "one", false).await);
    let changes = (0..20).map(|n| world.patch(&path, &alice.access, json!({"title": format!("title {n}")})));
    let answers = futures_util::future::join_all(changes).await;
    let done = answers.iter().filter(|answer| answer.status == 200).count() as i64;
    assert!(answers.iter().all(|answer| [200, 409].contains(&answer.status)), "{answers:?}");
    assert_eq!(world.count("SELECT version AS count FROM notes"), 1 + done);
}

#[actix_web::test]
async fn note_pages_are_complete_and_cursors_are_validated() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    for n in 0..7 {
        note(&world, &alice, &format!("n{n}"), n % 2 == 0).await;
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = world.get(&format!("/api/v1/notes?limit=3{cursor}"), &alice.access).await.body;
        seen.extend(titles(&page).into_iter().map(str::to_owned));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ["n6", "n5", "n4", "n3", "n2", "n1", "n0"]);
    for (limit, is_last) in [(6, false), (7, true), (8, true)] {
        let page = world.get(&format!("/api/v1/notes?limit={limit}"), &alice.access).await.body;
        assert_eq!((titles(&page).len(), page["next_cursor"].is_null()), (limit.min(7), is_last));
    }
    let first = world.get("/api/v1/notes?limit=3", &alice.access).await;
    let next = first.text("next_cursor");
    let forged = format!("B{}", &next[1..]);
    let bob = world.signed_in("bob", "member").await;
    for (path, token) in [
        (format!("/api/v1/notes?cursor={forged}"), &alice.access),
        (format!("/api/v1/notes?cursor={next}&shared=true"), &alice.access),
        (format!("/api/v1/notes?cursor={next}"), &bob.access),
        ("/api/v1/notes?cursor=".to_owned(), &alice.access),
        ("/api/v1/notes?limit=0".to_owned(), &alice.access),
        ("/api/v1/notes?limit=201".to_owned(), &alice.access),
        ("/api/v1/notes?limit=x".to_owned(), &alice.access),
        ("/api/v1/notes?nonsense=1".to_owned(), &alice.access),
        ("/api/v1/notes?owner=bob".to_owned(), &alice.access),
        ("/api/v1/notes?q=%00".to_owned(), &alice.access),
    ] {
        let refused = world.get(&path, token).await;
        assert_eq!(refused.body["code"], "validation_failed", "{path}: {}", refused.body);
        refused.refused("validation_failed");
    }
}

#[actix_web::test]
async fn invalid_note_reports_all_errors_at_once() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    let body = json!({"title": "x".repeat(201), "body": "a\u{0}b", "shared": "yes", "owner": "bob"});
    let refused = world.post("/api/v1/notes", &alice.access, body).await;
    refused.refused("validation_failed");
    let found: Vec<(&str, &str)> = refused.body["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (error["pointer"].as_str().unwrap(), error["code"].as_str().unwrap()))
        .collect();
    let expected = [
        ("/title", "too_long"),
        ("/body", "invalid_character"),
        ("/shared", "wrong_type"),
        ("/owner", "unknown_field"),
    ];
    assert_eq!(found, expected);
}

#[actix_web::test]
async fn null_is_refused_for_required_members_of_notes_and_users() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let made = world.post("/api/v1/notes", &tokens.access, json!({"title": "a", "body": "b"})).await;
    let path = format!("/api/v1/notes/{}", made.text("id"));
    for member in ["title", "body", "shared"] {
        let refused = world.patch(&path, &tokens.access, json!({ member: null })).await;
        assert_eq!(refused.refused("validation_failed").body["errors"][0]["pointer"], format!("/{member}"));
    }
    let admin = world.login("admin").await;
    let user = format!("/api/v1/users/{}", world.get("/api/v1/me", &tokens.access).await.text("id"));
    for member in ["username", "role", "status"] {
        let refused = world.patch(&user, &admin.access, json!({ member: null })).await;
        assert_eq!(refused.refused("validation_failed").body["errors"][0]["pointer"], format!("/{member}"));
    }
}
