//! Mistakes of client developers. Each is named, and nothing that may be secret is repeated or stored.

use doorward::config::{Registration, WebOrigin};
use doorward_test::{Answer, Browser, PASSWORD, PUBLIC_URL, World};
use reqwest::Method;
use serde_json::json;

/// Returns whether any stored refusal contains this text.
async fn keeps(world: &World, text: &str) -> bool {
    world.state.recorder.kept_refusals.flush(&world.state.core.database).await.expect("the database");
    world.count(&format!("SELECT count(*) FROM refusals AS r WHERE r::text LIKE '%{text}%'")) > 0
}

#[actix_web::test]
async fn header_mistakes_are_named_and_not_repeated() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let (personal, _) = world.personal_token(&tokens.access, "notes:read").await;
    for (value, named) in [
        (personal.clone(), "`Bearer` is missing"),
        (tokens.access.clone(), "`Bearer` is missing"),
        (tokens.refresh.clone(), "`Bearer` is missing"),
        ("correct-horse-battery".to_owned(), "one word"),
        ("YWxpY2U6aHVudGVyMg==".to_owned(), "`Basic` is missing"),
        ("Basic aHVudGVyMmh1bnRlcg==".to_owned(), "without a colon"),
        (format!("Bearer <{personal}>"), "angle brackets"),
        (format!("\"Bearer {personal}\""), "quotation marks"),
        (format!("Bearer \"{personal}\""), "quotation marks"),
        (format!("Bearer Bearer {personal}"), "sent twice"),
        (format!("Bearer {personal},"), "comma"),
        (format!(r"Bearer {personal}\n"), "line break"),
        (format!("Bearer:{personal}"), "followed by one space"),
        ("Bearer ${TOKEN}".to_owned(), "placeholder"),
        ("Bearer undefined".to_owned(), "placeholder"),
        ("Bearer [object Object]".to_owned(), "placeholder"),
    ] {
        let answer = world.ask(Method::GET, "/api/v1/notes").header("authorization", &value).send().await;
        assert!([400, 401].contains(&answer.status), "{value}: {}", answer.body);
        assert!(answer.text("detail").contains(named), "{value}: {}", answer.body);
        let secret = value.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        assert!(!answer.body.to_string().contains(secret), "{value}: {}", answer.body);
    }
    for secret in [&personal[..16], &tokens.refresh[..16], &tokens.access[..32], "correct-horse"] {
        assert!(!keeps(&world, secret).await, "{secret}");
    }
}

#[actix_web::test]
async fn tokens_in_other_places_are_not_repeated() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let (personal, _) = world.personal_token(&tokens.access, "notes:read").await;
    let start = &personal[..16];
    for path in
        [format!("/api/v1/{personal}"), format!("/{personal}/"), format!("/api/v1/notes?{personal}=1")]
    {
        let answer = world.get(&path, &tokens.access).await;
        assert!(answer.status >= 400 && !answer.body.to_string().contains(start), "{}", answer.body);
    }
    let body = json!({ "title": "a", "body": "", personal.clone(): 1 });
    let answer = world.post("/api/v1/notes", &tokens.access, body).await;
    assert!(!answer.refused("validation_failed").body.to_string().contains(start), "{}", answer.body);
    let body = json!({ "name": "a", "scope": personal });
    let answer = world.post("/api/v1/me/tokens", &tokens.access, body).await;
    assert!(!answer.refused("validation_failed").body.to_string().contains(start), "{}", answer.body);
}

#[actix_web::test]
async fn misplaced_token_refusal_names_where_it_was_sent() {
    let world = World::new().await;
    let query = world.ask(Method::GET, "/api/v1/me?access_token=x").send().await;
    assert!(query.refused("credentials_missing").text("detail").contains("query string"), "{}", query.body);
    let header = world.ask(Method::GET, "/api/v1/me").header("x-api-key", "x").send().await;
    assert!(header.refused("credentials_missing").text("detail").contains("`x-api-key`"), "{}", header.body);
}

#[actix_web::test]
async fn cross_origin_form_refusal_names_both_origins() {
    let world = World::new().await;
    let form = |origin: &str| {
        let ask = world.ask(Method::POST, "/login").header("accept", "text/html").header("origin", origin);
        ask.header("content-type", "application/x-www-form-urlencoded").body("username=a&password=b")
    };
    let answer = form("http://box.lan:8080").send().await;
    let page = answer.body.as_str().expect("a page");
    assert_eq!(answer.status, 403, "{page}");
    for named in ["http://box.lan:8080", PUBLIC_URL, "DOORWARD_PUBLIC_URL"] {
        assert!(page.contains(named), "{named}: {page}");
    }
}

#[actix_web::test]
async fn preflight_refusal_names_origin_method_or_header() {
    let world = World::with(|settings| {
        settings.cors_origins = vec![WebOrigin::read("https://app.example").expect("an origin")];
    })
    .await;
    let preflight = |origin: &str, method: &str, headers: &str| {
        let ask = world.ask(Method::OPTIONS, "/api/v1/notes").header("origin", origin);
        let ask = ask.header("access-control-request-method", method);
        ask.header("access-control-request-headers", headers)
    };
    for (origin, method, headers, named) in [
        (
            "https://evil.example",
            "GET",
            "authorization",
            &["https://evil.example", "DOORWARD_CORS_ORIGINS"][..],
        ),
        ("null", "GET", "authorization", &["`null`"]),
        ("https://app.example", "TRACE", "authorization", &["`TRACE`"]),
        ("https://app.example", "GET", "authorization, x-other", &["`x-other`"]),
    ] {
        let answer = preflight(origin, method, headers).send().await;
        let detail = answer.refused_with("preflight_refused", "fix_request", false).text("detail");
        assert!(named.iter().all(|named| detail.contains(named)), "{detail}");
    }
    let tracing = "x-doorward-trace, traceparent, tracestate, baggage, sentry-trace, authorization";
    let answer = preflight("https://app.example", "POST", tracing).send().await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
}

#[actix_web::test]
async fn preflight_is_refused_without_any_allowed_origin() {
    let world = World::new().await;
    let ask = world.ask(Method::OPTIONS, "/api/v1/notes").header("origin", "https://app.example");
    let answer = ask.header("access-control-request-method", "GET").send().await;
    let detail = answer.refused("preflight_refused").text("detail");
    assert!(detail.contains("DOORWARD_CORS_ORIGINS"), "{detail}");
}

#[actix_web::test]
async fn conditions_are_checked_for_every_method() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    let body = json!({ "title": "a", "body": "" });
    let made = world.post("/api/v1/notes", &alice.access, body.clone()).await;
    let path = format!("/api/v1/notes/{}", made.text("id"));
    let tag = made.header("etag").expect("a tag").to_owned();
    for method in [Method::PUT, Method::PATCH, Method::DELETE] {
        for (name, value) in [("if-none-match", "*"), ("if-none-match", &tag), ("if-match", "\"other\"")] {
            let ask = world.ask(method.clone(), &path).bearer(&alice.access).header(name, value);
            ask.json(&body).send().await.refused("precondition_failed");
        }
        let ask =
            world.ask(method.clone(), &path).bearer(&alice.access).header("if-match", format!("W/{tag}"));
        let answer = ask.json(&body).send().await;
        let detail = answer.refused("precondition_failed").text("detail");
        assert!(detail.contains("weak tag") && detail.contains("proxy"), "{detail}");
        for value in [tag.trim_matches('"').to_owned(), format!("w/{tag}")] {
            let ask = world.ask(method.clone(), &path).bearer(&alice.access).header("if-match", value);
            let answer = ask.json(&body).send().await;
            let detail = answer.refused("precondition_failed").text("detail");
            assert!(detail.contains("not an entity tag"), "{detail}");
        }
    }
    let read =
        world.ask(Method::GET, &path).bearer(&alice.access).header("if-match", "\"other\"").send().await;
    read.refused("precondition_failed");
    assert_eq!(
        world.get(&path, &alice.access).await.header("etag"),
        Some(tag.as_str()),
        "nothing was changed"
    );
}

#[actix_web::test]
async fn path_with_extra_slashes_is_refused_with_the_correct_path() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    for (path, named) in [("/api/v1/notes/", "/api/v1/notes."), ("/api/v1/me///", "/api/v1/me.")] {
        let answer = world.get(path, &alice.access).await;
        assert!(answer.refused("not_found").text("detail").ends_with(named), "{}", answer.body);
    }
    let nowhere = world.get("/api/v1/nowhere/", &alice.access).await;
    assert!(nowhere.refused("not_found").text("detail").contains("/openapi.json"), "{}", nowhere.body);
}

#[actix_web::test]
async fn encoded_and_embedded_tokens_are_not_repeated() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let (personal, _) = world.personal_token(&tokens.access, "notes:read").await;
    let secret = &personal[8..24];
    for before in ["%20", "%22", "%3C", "Bearer%20", "_", "k", "%64wp%5F"] {
        let sent = personal.strip_prefix("dwp_").filter(|_| before.ends_with("%5F")).unwrap_or(&personal);
        for path in ["/api/v1/notes", "/api/v1/me/tokens", "/problems", "/static"] {
            let answer = world.get(&format!("{path}/{before}{sent}%22"), &tokens.access).await;
            assert!(answer.status >= 400 && !answer.body.to_string().contains(secret), "{}", answer.body);
        }
        let body = json!({ "title": "a", "body": "", format!("{before}{sent}"): 1 });
        let answer = world.post("/api/v1/notes", &tokens.access, body).await;
        assert!(!answer.refused("validation_failed").body.to_string().contains(secret), "{}", answer.body);
        let body = json!({ "name": "a", "scope": format!("{before}{sent}") });
        let answer = world.post("/api/v1/me/tokens", &tokens.access, body).await;
        assert!(answer.status >= 400 && !answer.body.to_string().contains(secret), "{}", answer.body);
    }
    for header in ["x-forwarded-for", "forwarded", "x-request-id"] {
        let ask = world.ask(Method::GET, "/api/v1/notes/x").bearer(&tokens.access);
        assert_eq!(ask.header(header, &personal).send().await.status, 404);
    }
    let cookie_like = "Zt9cookieZt9cookieZt9cookieZt9cookieZt9cook";
    assert_eq!(world.get(&format!("/api/v1/notes/{cookie_like}"), &tokens.access).await.status, 404);
    assert!(!keeps(&world, secret).await && !keeps(&world, "Zt9cookie").await);
}

#[actix_web::test]
async fn token_sent_as_a_name_is_not_stored_in_the_audit_log() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let (personal, _) = world.personal_token(&tokens.access, "notes:read").await;
    for token in [&personal, &tokens.refresh, &format!("x {}", tokens.access)] {
        let named = json!({ "username": token, "password": "a wrong pass phrase" });
        let answer = world.ask(Method::POST, "/api/v1/auth/login").json(&named).send().await;
        assert_eq!(answer.refused("invalid_credentials").status, 401);
        for _ in 0..12 {
            world.ask(Method::POST, "/api/v1/auth/login").json(&named).send().await;
        }
        let device: String = token.chars().take(100).collect();
        let body = json!({ "username": "alice", "password": PASSWORD, "device": device });
        let answer = world.ask(Method::POST, "/api/v1/auth/login").json(&body).send().await;
        if token.contains("dw") {
            assert_eq!(answer.refused("validation_failed").body["errors"][0]["code"], "contains_credential");
            let body = json!({ "name": token, "scope": "notes:read" });
            let answer = world.post("/api/v1/me/tokens", &tokens.access, body).await;
            assert_eq!(answer.refused("validation_failed").body["errors"][0]["pointer"], "/name");
        }
    }
    for secret in [&personal[8..24], &tokens.refresh[8..24], &tokens.access[tokens.access.len() - 20..]] {
        let lower = secret.to_lowercase();
        let audited = format!("SELECT count(*) FROM audit_events AS e WHERE lower(e::text) LIKE '%{lower}%'");
        assert_eq!(world.count(&audited), 0, "{secret}");
    }
    assert!(world.count("SELECT count(*) FROM audit_events WHERE subject_name LIKE '%…'") >= 3);
}

#[actix_web::test]
async fn misspelt_password_link_is_not_stored() {
    let world = World::new().await;
    let admin = world.login("admin").await;
    let id = world.user("alice", "member");
    let path = format!("/api/v1/users/{id}/password");
    let link = world.post(&path, &admin.access, json!({ "link": true })).await.text("link");
    let secret = link.rsplit('/').next().expect("a token").to_owned();
    for path in [
        "/set-password/{plain}/",
        "//set-password/{plain}",
        "/Set-Password/{plain}",
        "/set_password/{plain}",
        "/{plain}",
        "/set-password/{plain}/x",
        "/Set-Password/{once}",
        "/set-password/{once}/",
        "/set-password/{twice}/",
    ] {
        let encoded =
            |percent: &str| -> String { secret.bytes().map(|byte| format!("{percent}{byte:02X}")).collect() };
        let path = path
            .replace("{twice}", &encoded("%25"))
            .replace("{once}", &encoded("%"))
            .replace("{plain}", &secret);
        for accept in ["text/html", "application/json"] {
            let answer = world.ask(Method::GET, &path).header("accept", accept).send().await;
            assert_eq!(answer.status, 404, "{path}");
            assert!(!answer.body.to_string().contains(&secret), "{}", answer.body);
            let first = format!("{:02X}", secret.as_bytes()[0]);
            assert!(!answer.body.to_string().contains(&format!("%{first}")), "{}", answer.body);
        }
    }
    assert!(!keeps(&world, &secret[..20]).await);
    let encoded: Vec<String> = secret.bytes().take(8).map(|byte| format!("{byte:02X}")).collect();
    assert!(!keeps(&world, &encoded.join("\\%")).await && !keeps(&world, &encoded.join("\\%25")).await);
    assert!(keeps(&world, "No route matches").await, "the refusals themselves are kept");
    let shown = world.ask(Method::GET, &format!("/set-password/{secret}")).send().await;
    assert_eq!(shown.status, 200, "the link still works");
}

#[actix_web::test]
async fn refusal_is_kept_with_secrets_in_its_path_redacted() {
    let world = World::new().await;
    let admin = world.login("admin").await;
    let path = format!("/api/v1/users/{}/password", world.user("alice", "member"));
    let link = world.post(&path, &admin.access, json!({ "link": true })).await.text("link");
    let (personal, _) = world.personal_token(&admin.access, "notes:read").await;
    let link = link.rsplit('/').next().expect("a token");
    for folder in ["/docs", "/docs/examples", "/docs/set-password", "/problems", "/static", "/set-password"] {
        for secret in [link, &personal] {
            let answer = world.ask(Method::POST, &format!("{folder}/{secret}/x")).send().await;
            assert!(answer.status >= 400 && !answer.body.to_string().contains(&secret[4..24]), "{folder}");
            let answer = world.ask(Method::DELETE, &format!("{folder}/{secret}")).send().await;
            let is_routed = !["/docs", "/docs/set-password"].contains(&folder);
            assert_eq!(answer.status, if is_routed { 405 } else { 404 }, "{folder}: {}", answer.body);
            assert!(!answer.body.to_string().contains(&secret[4..24]), "{}", answer.body);
        }
    }
    assert!(!keeps(&world, &link[4..24]).await && !keeps(&world, &personal[4..24]).await);
    assert!(keeps(&world, "/docs/set-password/…").await, "the refusals themselves are kept");
}

#[actix_web::test]
async fn pages_refuse_an_authorization_header() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    let admin = world.login("admin").await;
    let (personal, _) = world.personal_token(&admin.access, "users:read users:write").await;
    let id = world.text("SELECT id::text AS text FROM users WHERE username = 'alice'");
    let disable = format!("/admin/users/{id}/disable");
    let ask = || world.ask(Method::POST, &disable).header("accept", "text/html");
    for sent in
        [ask().basic("admin", &personal), ask().bearer(&admin.access), ask().header("authorization", "x")]
    {
        let answer = sent.header("origin", "https://evil.example").send().await;
        let page = answer.body.as_str().expect("a page");
        assert_eq!(answer.status, 401, "{page}");
        assert!(page.contains("only the session cookie"), "{page}");
        assert!(answer.challenges().iter().all(|challenge| !challenge.starts_with("Basic")), "{page}");
        assert_eq!(answer.header("location"), None);
    }
    assert_eq!(world.get("/api/v1/me", &alice.access).await.status, 200, "alice is not disabled");
    let browser = Browser::signed_in(&world, "alice").await;
    let both =
        browser.ask(Method::GET, "/account").header("accept", "text/html").bearer(&alice.access).send().await;
    assert_eq!(both.status, 401, "{}", both.body);
    assert_eq!(browser.ask(Method::GET, "/account").send().await.status, 200);
}

#[actix_web::test]
async fn unsafe_basic_request_of_another_origin_is_refused() {
    let world = World::with(|settings| {
        settings.cors_origins = vec![WebOrigin::read("https://app.example").expect("an origin")];
    })
    .await;
    let alice = world.signed_in("alice", "member").await;
    let (personal, _) = world.personal_token(&alice.access, "notes:read notes:write").await;
    let note = json!({ "title": "a", "body": "" });
    let ask = |origin: &str| {
        world
            .ask(Method::POST, "/api/v1/notes")
            .basic("alice", &personal)
            .header("origin", origin)
            .json(&note)
    };
    for origin in ["https://evil.example", "null"] {
        ask(origin).send().await.refused("csrf_failed");
    }
    for origin in [PUBLIC_URL, "https://app.example"] {
        assert_eq!(ask(origin).send().await.status, 201, "{origin}");
    }
}

#[actix_web::test]
async fn basic_challenge_is_omitted_for_html() {
    let world = World::new().await;
    let offered = |accept: &'static str| {
        let ask = world.ask(Method::GET, "/api/v1/me").header("accept", accept);
        async move { ask.send().await.challenges().iter().any(|challenge| challenge.starts_with("Basic")) }
    };
    assert!(offered("*/*").await && offered("application/json").await);
    assert!(!offered("text/html").await && !offered("application/xhtml+xml, Text/HTML;q=0.9").await);
}

/// Returns the pointers of a request's errors, in their order.
#[track_caller]
fn pointers(refused: &Answer) -> Vec<&str> {
    let errors = refused.refused("validation_failed").body["errors"].as_array().expect("errors");
    errors.iter().map(|error| error["pointer"].as_str().expect("a pointer")).collect()
}

#[actix_web::test]
async fn unknown_parameter_does_not_hide_an_unknown_role() {
    let world = World::new().await;
    let admin = world.login("admin").await;
    let refused = world.get("/api/v1/users?role=nobody&x=1&limit=0", &admin.access).await;
    assert_eq!(pointers(&refused), ["/x", "/limit", "/role"]);
    let refused = world.get("/api/v1/users?role=nobody&status=", &admin.access).await;
    assert_eq!(pointers(&refused), ["/role", "/status"]);
    let mut browser = Browser::signed_in(&world, "admin").await;
    assert_eq!(browser.get("/admin/users?role=&status=&q=").await.status, 200);
}

#[actix_web::test]
async fn parameters_are_refused_by_endpoints_that_read_none() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    let note = world.post("/api/v1/notes", &alice.access, json!({ "title": "a", "body": "" })).await;
    let note = format!("/api/v1/notes/{}", note.text("id"));
    for path in ["/api/v1/me", &note] {
        assert_eq!(pointers(&world.get(&format!("{path}?x=1&y"), &alice.access).await), ["/x", "/y"]);
    }
    for path in ["/api/v1/me/sessions", &note] {
        assert_eq!(pointers(&world.delete(&format!("{path}?x=1"), &alice.access).await), ["/x"]);
        assert_eq!(world.get(path, &alice.access).await.status, 200, "nothing ended");
    }
    let body = json!({ "username": "alice", "device": "" });
    let login = world.ask(Method::POST, "/api/v1/auth/login?x=1").json(&body).send().await;
    assert_eq!(pointers(&login), ["/x", "/password", "/device"]);
    let logout = world.ask(Method::POST, "/api/v1/auth/logout?x=1").bearer(&alice.access).send().await;
    assert_eq!(pointers(&logout), ["/x"]);
    for path in ["/healthz?x=1", "/.well-known/jwks.json?x=1", "/login?utm_source=x"] {
        assert_eq!(world.ask(Method::GET, path).send().await.status, 200, "{path}");
    }
    let mut browser = Browser::signed_in(&world, "alice").await;
    assert_eq!(browser.get("/account?utm_source=x").await.status, 200);
}

#[actix_web::test]
async fn registration_reports_password_errors_beside_others() {
    let world = World::with(|settings| settings.registration = Registration::Open).await;
    let body = json!({ "username": "a:b", "password": "short", "email": "nope" });
    let refused = world.ask(Method::POST, "/api/v1/auth/register").json(&body).send().await;
    assert_eq!(pointers(&refused), ["/username", "/email", "/password"]);
    let mut browser = Browser::new(&world);
    let typed = [("username", "a:b"), ("password", "short"), ("email", "nope")];
    let answer = browser.fill_in("/register", "/register", &typed).await;
    shows_errors_at(&answer, &["username", "email", "password"]);
}

#[actix_web::test]
async fn new_password_is_checked_before_the_current_one() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    let answers = [PASSWORD, "a wrong secret"].map(|current| {
        let body = json!({ "current_password": current, "new_password": "short", "x": 1 });
        world.post("/api/v1/me/password", &alice.access, body)
    });
    for answer in futures_util::future::join_all(answers).await {
        assert_eq!(pointers(&answer), ["/x", "/new_password"]);
    }
    let missing = world.post("/api/v1/me/password", &alice.access, json!({ "new_password": "" })).await;
    assert_eq!(pointers(&missing), ["/current_password", "/new_password"]);
    assert_eq!(world.events("login_failed"), 0, "the current password was not checked");
    let body = json!({ "current_password": "a wrong secret", "new_password": "another unusual phrase" });
    let wrong = world.post("/api/v1/me/password", &alice.access, body).await;
    assert_eq!(pointers(&wrong), ["/current_password"]);
}

#[actix_web::test]
async fn reset_reports_password_errors_beside_others() {
    let world = World::new().await;
    let admin = world.login("admin").await;
    let path = format!("/api/v1/users/{}/password", world.user("alice", "member"));
    for (password, code) in [("short", "too_short"), ("alice-alice-alice", "like_the_name")] {
        let body = json!({ "new_password": password, "revoke_tokens": "no", "x": 1 });
        let refused = world.post(&path, &admin.access, body).await;
        assert_eq!(pointers(&refused), ["/revoke_tokens", "/x", "/new_password"]);
        assert_eq!(refused.body["errors"][2]["code"], code);
    }
}

/// Checks that a form is shown again with an error at each of these fields.
#[track_caller]
fn shows_errors_at(answer: &Answer, fields: &[&str]) {
    let page = answer.body.as_str().expect("a page");
    assert_eq!(answer.status, 422, "{page}");
    for field in fields {
        let error =
            page.split(&format!("id=\"{field}-error\"")).nth(1).and_then(|rest| rest.split('>').nth(1));
        assert!(error.is_some_and(|error| error.len() > "</p".len()), "{field}: {page}");
    }
}

#[actix_web::test]
async fn forms_show_all_errors_at_once() {
    let world = World::new().await;
    let mut admin = Browser::signed_in(&world, "admin").await;
    let new_user = "/admin/users/new";
    let typed = [("username", "a:b"), ("role", "nobody"), ("by", "password"), ("password", "short")];
    let answer = admin.fill_in(new_user, new_user, &typed).await;
    shows_errors_at(&answer, &["username", "role", "password"]);
    let new_token = "/account/tokens/new";
    let answer = admin.fill_in(new_token, new_token, &[("name", ""), ("days", "36500")]).await;
    shows_errors_at(&answer, &["name", "scope", "days"]);
    assert!(answer.body.to_string().contains("Choose at least one thing that it may do."));
    let typed = [("username", "a:b"), ("email", "nope"), ("current_password", "a wrong secret")];
    shows_errors_at(&admin.fill_in("/account", "/account", &typed).await, &["username", "email"]);
    let typed = [("current_password", "a wrong secret"), ("new_password", "short"), ("again", "other")];
    let answer = admin.fill_in("/account/password", "/account/password", &typed).await;
    shows_errors_at(&answer, &["new_password", "again"]);
    assert_eq!(world.events("login_failed"), 0, "no password was checked");
}

#[actix_web::test]
async fn link_form_shows_both_password_errors() {
    let world = World::new().await;
    let admin = world.login("admin").await;
    let path = format!("/api/v1/users/{}/password", world.user("alice", "member"));
    let link = world.post(&path, &admin.access, json!({ "link": true })).await.text("link");
    let path = link.strip_prefix(PUBLIC_URL).expect("a path").to_owned();
    let form = [("new_password", "short"), ("again", "other")];
    shows_errors_at(&Browser::new(&world).post(&path, &form).await, &["new_password", "again"]);
}
