//! Duplicate fields and parameters, deceptive characters, and lengths.

use doorward_test::{Answer, Browser, PASSWORD, World};
use reqwest::Method;
use serde_json::{Value, json};

#[actix_web::test]
async fn duplicate_parameter_or_form_field_is_refused() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    for query in ["limit=1&limit=2", "shared=true&shared=false", "q=a&q=b", "q=a&%71=b", "cursor=&cursor="] {
        let refused = world.get(&format!("/api/v1/notes?{query}"), &tokens.access).await;
        refused.refused("validation_failed");
        assert_eq!(refused.body["errors"][0]["code"], "duplicate_field", "{query}");
    }
    let mut browser = Browser::new(&world);
    let token = browser.form_token("/login").await;
    for repeated in ["username", "password", "csrf_token"] {
        let mut fields = vec![("csrf_token", token.as_str()), ("username", "alice"), ("password", PASSWORD)];
        fields.push((repeated, "other"));
        assert_eq!(browser.post("/login", &fields).await.status, 422, "{repeated}");
    }
    assert!(!browser.cookies.contains_key("doorward"), "nobody was signed in");
    let mut browser = Browser::signed_in(&world, "alice").await;
    let token = browser.form_token("/account").await;
    let form = [
        ("csrf_token", token.as_str()),
        ("username", "alice"),
        ("username", "mallory"),
        ("current_password", PASSWORD),
    ];
    assert_eq!(browser.post("/account", &form).await.status, 422);
    assert_eq!(world.count("SELECT count(*) FROM users WHERE username = 'mallory'"), 0);
    // Checkboxes send several fields with the same name.
    let new = "/account/tokens/new";
    let fields = [("name", "x"), ("scope", "notes:read"), ("scope", "notes:write"), ("days", "7")];
    assert_eq!(browser.fill_in(new, new, &fields).await.status, 201);
}

#[actix_web::test]
async fn deceptive_characters_are_refused_and_other_scripts_are_kept() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let admin = world.login("admin").await;
    let refused = [
        "a\0b",
        "a\nb",
        "a\r\nb",
        "a\tb",
        "a\u{1b}[31mb",
        "a\u{7f}b",
        "a\u{85}b",
        "a\u{2028}b",
        "\u{202e}nimda",
        "a\u{202a}b",
        "a\u{2066}b",
        "a\u{2069}b",
        "\u{200b}",
        "\u{2060}\u{feff}",
        "   ",
        "",
    ];
    let errors = |answer: &Answer| answer.body["errors"][0]["pointer"].as_str().map(str::to_owned);
    for text in refused {
        let note = world.post("/api/v1/notes", &tokens.access, json!({ "title": text, "body": "" })).await;
        assert_eq!((note.status, errors(&note).as_deref()), (422, Some("/title")), "{text:?}: {}", note.body);
        let token = json!({ "name": text, "scope": "notes:read" });
        let token = world.post("/api/v1/me/tokens", &tokens.access, token).await;
        assert_eq!((token.status, errors(&token).as_deref()), (422, Some("/name")), "{text:?}");
        let login = json!({ "username": "alice", "password": PASSWORD, "device": text });
        let login = world.ask(Method::POST, "/api/v1/auth/login").json(&login).send().await;
        assert_eq!((login.status, errors(&login).as_deref()), (422, Some("/device")), "{text:?}");
        let user = json!({ "username": text });
        let user = world.post("/api/v1/users", &admin.access, user).await;
        assert_eq!((user.status, errors(&user).as_deref()), (422, Some("/username")), "{text:?}");
    }
    // Joiners and direction marks, combining marks, other scripts, and characters beyond the Basic
    // Multilingual Plane.
    for text in ["👩\u{200d}💻", "نامه\u{200c}ها", "שלום\u{200f}", "e\u{301}", "𝔘", "<b>&amp;</b>", "'; --"]
    {
        let note = world.post("/api/v1/notes", &tokens.access, json!({ "title": text, "body": text })).await;
        assert_eq!((note.status, &note.body["title"]), (201, &json!(text)), "{text:?}: {}", note.body);
    }
    // A body has many lines of any text, except NUL.
    let body = "a\n\tb\u{202e}c\u{200b}\u{7}";
    let note = world.post("/api/v1/notes", &tokens.access, json!({ "title": "x", "body": body })).await;
    assert_eq!(note.body["body"], body);
    let nul = world.post("/api/v1/notes", &tokens.access, json!({ "title": "x", "body": "a\0b" })).await;
    nul.refused("validation_failed");
    // A username must not be mistaken for another, so it excludes even characters that a label may have.
    for text in ["a\u{200d}b", "a\u{200e}b", "a b", "\u{301}a"] {
        world
            .post("/api/v1/users", &admin.access, json!({ "username": text }))
            .await
            .refused("validation_failed");
    }
    // Text that is only compared is never stored, and matches no user.
    for text in ["\u{202e}alice", "alice\u{200b}", "alice\0", &"x".repeat(60_000)] {
        let login = json!({ "username": text, "password": PASSWORD });
        let login = world.ask(Method::POST, "/api/v1/auth/login").json(&login).send().await;
        assert!([401, 422].contains(&login.status), "{text:?}: {}", login.body);
    }
}

#[actix_web::test]
async fn length_limits_are_exact_to_the_character() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let admin = world.login("admin").await;
    let note = |title: usize, body: usize| json!({ "title": "é".repeat(title), "body": "é".repeat(body) });
    let post = async |path: &str, body: Value| world.post(path, &tokens.access, body).await.status;
    let title_max = doorward::resources::notes::note::TITLE_MAX;
    assert_eq!(post("/api/v1/notes", note(title_max, 0)).await, 201);
    assert_eq!(post("/api/v1/notes", note(title_max + 1, 0)).await, 422);
    let token = |length: usize| json!({ "name": "é".repeat(length), "scope": "notes:read" });
    assert_eq!(post("/api/v1/me/tokens", token(100)).await, 201);
    assert_eq!(post("/api/v1/me/tokens", token(101)).await, 422);
    let user = |length: usize| json!({ "username": "é".repeat(length) });
    assert_eq!(world.post("/api/v1/users", &admin.access, user(150)).await.status, 201);
    assert_eq!(world.post("/api/v1/users", &admin.access, user(151)).await.status, 422);
    // A password has at most 1,000 bytes, and all of them count.
    let words: String = (0..1_000).map(|number| format!("{number} words ")).collect();
    let made = |length: usize| json!({ "username": format!("u{length}"), "password": words[..length] });
    assert_eq!(world.post("/api/v1/users", &admin.access, made(1_000)).await.status, 201);
    assert_eq!(world.post("/api/v1/users", &admin.access, made(1_001)).await.status, 422);
    for number in [json!(0), json!(-1), json!(1.5), json!(u64::MAX), json!(1e300), json!("7")] {
        let token = json!({ "name": "x", "scope": "notes:read", "expires_in": number });
        assert_eq!(post("/api/v1/me/tokens", token).await, 422, "{number}");
    }
    let scopes = |count: usize, length: usize| {
        let names: Vec<String> = (0..count).map(|at| format!("{at:0>length$}")).collect();
        json!({ "username": "alice", "password": PASSWORD, "scope": names.join(" ") })
    };
    for (count, length) in [(101, 4), (1, 101), (5_000, 4)] {
        let refused = world.ask(Method::POST, "/api/v1/auth/login").json(&scopes(count, length)).send().await;
        refused.refused("validation_failed");
    }
}
