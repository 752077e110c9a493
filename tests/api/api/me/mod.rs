//! The caller's own account: profile, password, sessions and tokens.

use std::time::Duration;

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Browser, PASSWORD, World};

#[actix_web::test]
async fn me_says_who_i_am_and_by_which_credential() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "viewer").await;
    let me = world.get("/api/v1/me", &tokens.access).await.body;
    assert_eq!(me["role"], "viewer");
    assert_eq!(me["permissions"], json!(["account:read", "account:write", "notes:read"]));
    let credential = me["credential"].as_object().unwrap();
    let members: Vec<&String> = credential.keys().collect();
    assert_eq!(members, ["kind", "scope", "session_id", "auth_time", "expires_at"]);
    assert_eq!(credential["kind"], "access_token");
}

#[actix_web::test]
async fn a_name_and_an_address_are_changed_with_the_password_alone() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let wrong = world
        .patch("/api/v1/me", &tokens.access, json!({"email": "a@b.example", "current_password": "x"}))
        .await;
    wrong.refused("validation_failed");
    assert_eq!(wrong.body["errors"][0]["pointer"], "/current_password");
    assert_eq!(world.events("login_failed"), 1);
    let body = json!({"username": "Alice2", "email": "a@b.example", "current_password": PASSWORD});
    let changed = world.patch("/api/v1/me", &tokens.access, body).await;
    assert_eq!((changed.status, &changed.body["email"]), (200, &json!("a@b.example")), "{}", changed.body);
    world.login("alice2").await;
    world.login("A@B.example").await;
    let removed =
        world.patch("/api/v1/me", &tokens.access, json!({"email": null, "current_password": PASSWORD})).await;
    assert_eq!(removed.body["email"], Value::Null);
    // A username and another user's address must differ.
    world.user("a@b.example", "member");
    let taken = world
        .patch("/api/v1/me", &tokens.access, json!({"email": "A@b.EXAMPLE", "current_password": PASSWORD}))
        .await;
    taken.refused("conflict");
    assert_eq!(taken.body["pointer"], "/email");
}

#[actix_web::test]
async fn another_password_ends_the_other_sessions_and_on_demand_the_tokens() {
    let world = World::new().await;
    let here = world.signed_in("alice", "member").await;
    let there = world.login("alice").await;
    let (token, _) = world.personal_token(&here.access, "notes:read").await;
    let ask = |new: &str| json!({"current_password": PASSWORD, "new_password": new, "revoke_tokens": true});
    let path = "/api/v1/me/password";
    for (new, code) in
        [("short", "too_short"), ("password1234", "too_common"), ("alice-alice-alice", "like_the_name")]
    {
        let refused = world.post(path, &here.access, ask(new)).await;
        refused.refused("validation_failed");
        assert_eq!(refused.body["errors"][0]["code"], code, "{}", refused.body);
    }
    let new = "another unusual pass phrase";
    assert_eq!(world.post(path, &here.access, ask(new)).await.status, 204);
    assert_eq!(world.get("/api/v1/me", &here.access).await.status, 200);
    let refused = world.get("/api/v1/me", &there.access).await;
    refused.refused("session_ended");
    assert_eq!(refused.body["reason"], "password_changed");
    world.refresh(&there.refresh).await.refused("session_ended");
    world.get("/api/v1/notes", &token).await.refused("token_revoked");
    world.login_with(json!({"username": "alice", "password": new})).await;
    let old = json!({"username": "alice", "password": PASSWORD});
    world.ask(Method::POST, "/api/v1/auth/login").json(&old).send().await.refused("invalid_credentials");
}

#[actix_web::test]
async fn another_password_leaves_the_tokens_unless_told() {
    let world = World::new().await;
    let here = world.signed_in("alice", "member").await;
    let (token, _) = world.personal_token(&here.access, "notes:read").await;
    let body = json!({"current_password": PASSWORD, "new_password": "another unusual pass phrase"});
    assert_eq!(world.post("/api/v1/me/password", &here.access, body).await.status, 204);
    assert_eq!(world.get("/api/v1/notes", &token).await.status, 200);
}

#[actix_web::test]
async fn twenty_changes_of_one_password_at_once_are_one() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let changes = (0..20).map(|n| {
        let body =
            json!({"current_password": PASSWORD, "new_password": format!("unusual phrase number {n}")});
        world.post("/api/v1/me/password", &tokens.access, body)
    });
    let answers = futures_util::future::join_all(changes).await;
    let done = answers.iter().filter(|answer| answer.status == 204).count();
    assert_eq!(done, 1, "{answers:?}");
    assert!(answers.iter().all(|answer| [204, 422, 503].contains(&answer.status)), "{answers:?}");
    assert_eq!(world.events("password_changed"), 1);
}

#[actix_web::test]
async fn my_sessions_are_listed_and_ended_one_by_one_and_all_others() {
    let world = World::new().await;
    world.user("alice", "member");
    world.user("bob", "member");
    let bob = world.login("bob").await;
    let here = world.login_with(json!({"username": "alice", "password": PASSWORD, "device": "here"})).await;
    let there = world.login_with(json!({"username": "alice", "password": PASSWORD, "device": "there"})).await;
    let third = world.login("alice").await;
    let listed = world.get("/api/v1/me/sessions", &here.access).await;
    let items = listed.body["items"].as_array().unwrap().clone();
    assert_eq!(items.len(), 3);
    let current: Vec<&Value> = items.iter().filter(|item| item["current"] == true).collect();
    assert_eq!((current.len(), &current[0]["device"]), (1, &json!("here")));
    assert!(items.iter().all(|item| item["kind"] == "api" && item["address"] == "127.0.0.1"));

    let id = items.iter().find(|item| item["device"] == "there").unwrap()["id"].as_str().unwrap().to_owned();
    world.delete(&format!("/api/v1/me/sessions/{id}"), &bob.access).await.refused("not_found");
    assert_eq!(world.delete(&format!("/api/v1/me/sessions/{id}"), &here.access).await.status, 204);
    let refused = world.get("/api/v1/me", &there.access).await;
    assert_eq!(refused.refused("session_ended").body["reason"], "ended_by_user");
    world.delete(&format!("/api/v1/me/sessions/{id}"), &here.access).await.refused("not_found");

    assert_eq!(world.delete("/api/v1/me/sessions", &here.access).await.status, 204);
    world.get("/api/v1/me", &third.access).await.refused("session_ended");
    assert_eq!(world.get("/api/v1/me", &here.access).await.status, 200);
    assert_eq!(world.get("/api/v1/me", &bob.access).await.status, 200);
}

#[actix_web::test]
async fn the_last_use_of_a_session_is_written_in_batches() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    world.advance(TimeDelta::minutes(3));
    assert_eq!(world.get("/api/v1/me", &tokens.access).await.status, 200);
    let stale = "SELECT count(*) FROM sessions WHERE last_used_at < created_at + interval '1 minute'";
    assert_eq!(world.count(stale), 1);
    world.flush().await;
    assert_eq!(world.count(stale), 0);
    assert_eq!(world.count("SELECT used_generation::bigint AS count FROM refresh_tokens"), 1);
}

#[actix_web::test]
async fn a_row_that_others_hold_is_written_the_next_time() {
    use diesel::connection::SimpleConnection;
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    world.get("/api/v1/me", &tokens.access).await;
    let mut owner = world.connection();
    owner.batch_execute("BEGIN; SELECT * FROM refresh_tokens FOR UPDATE").unwrap();
    world.flush().await;
    let used = "SELECT used_generation::bigint AS count FROM refresh_tokens";
    assert_eq!(world.count(used), 0);
    owner.batch_execute("COMMIT").unwrap();
    world.flush().await;
    assert_eq!(world.count(used), 1);
}

#[actix_web::test]
async fn a_token_is_shown_once_and_carries_no_more_than_its_maker() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let path = "/api/v1/me/tokens";
    let made = world
        .post(path, &tokens.access, json!({"name": "ci", "scope": "notes:write", "expires_in": 60}))
        .await;
    assert_eq!((made.status, made.header("cache-control")), (201, Some("no-store")), "{}", made.body);
    assert!(made.text("token").starts_with("dwp_"));
    assert_eq!(made.header("location"), Some(format!("{path}/{}", made.text("id")).as_str()));
    let listed = world.get(path, &tokens.access).await;
    assert!(listed.body["items"][0].get("token").is_none());
    assert_eq!(listed.body["items"][0]["scope"], "notes:write");
    assert_eq!(
        world.count(&format!(
            "SELECT count(*) FROM personal_tokens WHERE digest::text LIKE '%{}%'",
            made.text("token")
        )),
        0
    );

    let refused = world.post(path, &tokens.access, json!({"name": "x", "scope": "account:write"})).await;
    assert_eq!(refused.refused("validation_failed").body["errors"][0]["code"], "not_allowed");
    world
        .post(path, &tokens.access, json!({"name": "x", "scope": "users:read"}))
        .await
        .refused("permission_denied");
    let refused = world.post(path, &tokens.access, json!({"name": "x", "scope": "nonsense"})).await;
    assert_eq!(refused.refused("validation_failed").body["errors"][0]["pointer"], "/scope");
    let refused = world.post(path, &tokens.access, json!({"scope": 1, "expires_in": 0})).await;
    assert_eq!(refused.refused("validation_failed").body["errors"].as_array().unwrap().len(), 3);
    let narrow = world
        .login_with(json!({"username": "alice", "password": PASSWORD, "scope": "account:write notes:read"}))
        .await;
    let refused = world.post(path, &narrow.access, json!({"name": "x", "scope": "notes:write"})).await;
    refused.refused_with("insufficient_scope", "login", false);
}

#[actix_web::test]
async fn a_token_is_good_for_ninety_days_unless_told_and_for_ten_years_at_most() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let made = async |expires_in: Option<i64>| {
        let mut body = json!({ "name": "ci", "scope": "notes:read" });
        if let Some(seconds) = expires_in {
            body["expires_in"] = json!(seconds);
        }
        world.post("/api/v1/me/tokens", &tokens.access, body).await
    };
    for (expires_in, seconds) in [(None, 7_776_000), (Some(315_360_000), 315_360_000), (Some(1), 1)] {
        let id = made(expires_in).await.text("id");
        let query = format!(
            "SELECT extract(epoch FROM expires_at - created_at)::bigint AS count FROM personal_tokens WHERE id = '{id}'"
        );
        assert_eq!(world.count(&query), seconds);
    }
    let refused = made(Some(315_360_001)).await;
    assert_eq!(refused.refused("validation_failed").body["errors"][0]["code"], "out_of_range");
}

#[actix_web::test]
async fn setting_bounds_how_long_a_personal_token_is_good() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await.access;
    let good_for = |expires_in: i64| json!({ "name": "ci", "scope": "notes:read", "expires_in": expires_in });
    let path = "/api/v1/me/tokens";
    let long = world.post(path, &alice, good_for(8_640_000)).await.text("token");
    let bounded =
        world.another_node_with(|settings| settings.token_ttl_max = Duration::from_secs(864_000)).await;
    let refused = bounded.post(path, &alice, good_for(864_001)).await;
    let error = &refused.refused("validation_failed").body["errors"][0];
    assert_eq!((&error["pointer"], &error["code"]), (&json!("/expires_in"), &json!("out_of_range")));
    let detail = error["detail"].as_str().unwrap();
    assert!(detail.contains("864000") && detail.contains("DOORWARD_TOKEN_TTL_MAX"), "{detail}");
    assert_eq!(bounded.post(path, &alice, good_for(864_000)).await.status, 201);
    let unsaid = bounded.post(path, &alice, json!({ "name": "ci", "scope": "notes:read" })).await;
    assert_eq!(unsaid.status, 201, "{}", unsaid.body);
    let lives = "SELECT count(*) FROM personal_tokens WHERE expires_at = created_at + interval '10 days'";
    assert_eq!(world.count(lives), 2);
    assert_eq!(
        bounded.get("/api/v1/notes", &long).await.status,
        200,
        "those that were made before stay good"
    );
    // The page offers only allowed lifetimes. If none of its choices is allowed, it offers the longest
    // lifetime.
    let new = "/account/tokens/new";
    let choices = async |node: &World| {
        let page = Browser::signed_in(node, "alice").await.get(new).await.body;
        let page = page
            .as_str()
            .unwrap()
            .split("<select")
            .nth(1)
            .unwrap()
            .split("</select>")
            .next()
            .unwrap()
            .to_owned();
        let values = page.split("value=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
        (values.collect::<Vec<_>>().join(" "), page.contains("selected"))
    };
    assert_eq!(choices(&world).await, ("7 30 90 365 1825".to_owned(), true));
    assert_eq!(choices(&bounded).await, ("7".to_owned(), true));
    let short = world.another_node_with(|settings| settings.token_ttl_max = Duration::from_secs(7_200)).await;
    assert_eq!(choices(&short).await, ("longest".to_owned(), true));
    let mut browser = Browser::signed_in(&short, "alice").await;
    let fields = [("name", "ci"), ("scope", "notes:read"), ("days", "30")];
    let answer = browser.fill_in(new, new, &fields).await;
    assert!(answer.status == 422 && answer.body.as_str().unwrap().contains("DOORWARD_TOKEN_TTL_MAX"));
    assert!(answer.body.as_str().unwrap().contains("2 hours, the longest allowed"));
    let answer = browser.fill_in(new, new, &[fields[0], fields[1], ("days", "longest")]).await;
    assert_eq!(answer.status, 201);
    let lives = "SELECT count(*) FROM personal_tokens WHERE expires_at = created_at + interval '2 hours'";
    assert_eq!(world.count(lives), 1);
}

/// Counts the personal tokens whose use is stored.
fn uses_of_tokens(world: &World) -> i64 {
    world.count("SELECT count(*) FROM personal_tokens WHERE last_used_at IS NOT NULL")
}

#[actix_web::test]
async fn a_personal_tokens_row_that_others_hold_is_written_the_next_time() {
    use diesel::connection::SimpleConnection;
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let (token, _) = world.personal_token(&tokens.access, "notes:read").await;
    assert_eq!(world.get("/api/v1/notes", &token).await.status, 200);
    let mut owner = world.connection();
    owner.batch_execute("BEGIN; SELECT * FROM personal_tokens FOR UPDATE").unwrap();
    world.flush().await;
    assert_eq!(uses_of_tokens(&world), 0);
    owner.batch_execute("COMMIT").unwrap();
    world.flush().await;
    assert_eq!(uses_of_tokens(&world), 1);
}

#[actix_web::test]
async fn uses_of_sessions_and_tokens_that_cannot_be_written_are_written_the_next_time() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let (token, _) = world.personal_token(&tokens.access, "notes:read").await;
    world
        .sql("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not now'; END $$");
    for table in ["refresh_tokens", "personal_tokens"] {
        assert_eq!(world.get("/api/v1/me", &tokens.access).await.status, 200);
        assert_eq!(world.get("/api/v1/notes", &token).await.status, 200);
        world.sql(&format!(
            "CREATE TRIGGER refuse BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()"
        ));
        world.state.recorder.last_use.flush(&world.state.core.database).await.unwrap_err();
        assert_eq!(uses_of_tokens(&world), 0, "{table}");
        world.sql(&format!("DROP TRIGGER refuse ON {table}"));
        world.flush().await;
        assert_eq!(uses_of_tokens(&world), 1, "{table}");
        assert_eq!(world.count("SELECT used_generation::bigint AS count FROM refresh_tokens"), 1);
        world.sql(
            "UPDATE refresh_tokens SET used_generation = 0; UPDATE personal_tokens SET last_used_at = NULL",
        );
    }
}

#[actix_web::test]
async fn own_account_has_a_tag_and_changes_are_conditional() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let shown = world.get("/api/v1/me", &tokens.access).await;
    let tag = shown.header("etag").expect("a tag").to_owned();
    let of_user = {
        let admin = world.login("admin").await;
        let path = format!("/api/v1/users/{}", shown.text("id"));
        world.get(&path, &admin.access).await.header("etag").expect("a tag").to_owned()
    };
    let read = |header: &str, value: &str| {
        world.ask(Method::GET, "/api/v1/me").bearer(&tokens.access).header(header, value).send()
    };
    assert_eq!(read("if-none-match", &tag).await.status, 304);
    assert_eq!(read("if-none-match", "\"no\"").await.status, 200);
    assert_eq!(read("if-match", &tag).await.status, 200);
    read("if-match", "\"no\"").await.refused("precondition_failed");
    let change = |header: &str, value: &str, email: &str| {
        let body = json!({"email": email, "current_password": PASSWORD});
        world.ask(Method::PATCH, "/api/v1/me").bearer(&tokens.access).header(header, value).json(&body).send()
    };
    let weak = format!("W/{tag}");
    for (header, value) in
        [("if-match", "\"no\""), ("if-match", &weak), ("if-none-match", "*"), ("if-none-match", &tag)]
    {
        change(header, value, "a@b.example").await.refused("precondition_failed");
    }
    assert_eq!(world.get("/api/v1/me", &tokens.access).await.body["email"], Value::Null);
    let changed = change("if-match", &tag, "a@b.example").await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    let next = changed.header("etag").expect("a tag").to_owned();
    assert_eq!(world.get("/api/v1/me", &tokens.access).await.header("etag"), Some(next.as_str()));
    for stale in [&tag, &of_user] {
        change("if-match", stale, "c@d.example").await.refused("precondition_failed");
    }
    assert_eq!(change("if-match", "*", "c@d.example").await.status, 200);
}

#[actix_web::test]
async fn if_match_fails_where_nothing_has_a_tag() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let other = world.login("alice").await;
    let session = world.get("/api/v1/me", &other.access).await.body["credential"]["session_id"].clone();
    let (personal, token) = world.personal_token(&tokens.access, "notes:read").await;
    let admin = world.login("admin").await;
    let user = world.get("/api/v1/me", &tokens.access).await.text("id");
    let reset = json!({"new_password": "another unusual pass phrase"});
    let own = json!({"current_password": PASSWORD, "new_password": "another unusual pass phrase"});
    let sessions = format!("/api/v1/me/sessions/{}", session.as_str().unwrap());
    let user_path = format!("/api/v1/users/{user}");
    let ask = |method: Method, path: &str, bearer: &str, tag: &str| {
        world.ask(method, path).bearer(bearer).header("if-match", tag)
    };
    for tag in ["\"no\"", "W/\"1\""] {
        let delete = |path: &str, bearer: &str| ask(Method::DELETE, path, bearer, tag).send();
        for (path, bearer) in [
            (sessions.as_str(), &tokens.access),
            (&format!("/api/v1/me/tokens/{token}"), &tokens.access),
            ("/api/v1/me/sessions", &tokens.access),
            (&format!("{user_path}/tokens"), &admin.access),
            (&format!("{user_path}/sessions"), &admin.access),
        ] {
            delete(path, bearer).await.refused("precondition_failed");
        }
        let path = format!("{user_path}/password");
        let refused = ask(Method::POST, &path, &admin.access, tag).json(&reset).send().await;
        refused.refused("precondition_failed");
        let refused = ask(Method::POST, "/api/v1/me/password", &tokens.access, tag).json(&own).send().await;
        refused.refused("precondition_failed");
    }
    assert_eq!(world.get("/api/v1/me", &other.access).await.status, 200);
    assert_eq!(world.get("/api/v1/notes", &personal).await.status, 200);
    assert_eq!(ask(Method::DELETE, &sessions, &tokens.access, "*").send().await.status, 204);
}

#[actix_web::test]
async fn list_of_sessions_has_pages_and_refuses_other_parameters() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    for _ in 0..4 {
        world.login("alice").await;
    }
    let admin = world.login("admin").await;
    let own = "/api/v1/me/sessions".to_owned();
    let of_user =
        format!("/api/v1/users/{}/sessions", world.get("/api/v1/me", &tokens.access).await.text("id"));
    for (path, bearer) in [(own, &tokens.access), (of_user, &admin.access)] {
        let whole = world.get(&path, bearer).await.body;
        let ids = |page: &Value| -> Vec<Value> {
            page["items"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect()
        };
        assert_eq!((ids(&whole).len(), &whole["next_cursor"]), (5, &Value::Null));
        let (mut seen, mut next) = (Vec::new(), format!("{path}?limit=2"));
        loop {
            let page = world.get(&next, bearer).await.body;
            assert!(ids(&page).len() <= 2);
            seen.extend(ids(&page));
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            next = format!("{path}?limit=2&cursor={cursor}");
        }
        assert_eq!(seen, ids(&whole));
        let refused = world.get(&format!("{path}?limit=0&foo=1&cursor=x"), bearer).await;
        let pointers = pointers(refused.refused("validation_failed"));
        assert_eq!(pointers, ["/limit", "/foo", "/cursor"]);
    }
}

fn pointers(refused: &Answer) -> Vec<&str> {
    let errors = refused.body["errors"].as_array().unwrap();
    errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect()
}

#[actix_web::test]
async fn mistakes_of_every_phase_are_reported_at_once() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let admin = world.login("admin").await;
    let id = world.get("/api/v1/me", &tokens.access).await.text("id");
    let me = world.patch("/api/v1/me", &tokens.access, json!({"username": "a:b", "email": "nope", "x": 1}));
    assert_eq!(
        pointers(me.await.refused("validation_failed")),
        ["/current_password", "/email", "/x", "/username"]
    );
    let token = json!({"name": "", "scope": "openid", "expires_in": 1_000_000_000});
    let token = world.post("/api/v1/me/tokens", &tokens.access, token).await;
    assert_eq!(pointers(token.refused("validation_failed")), ["/name", "/expires_in", "/scope"]);
    for (username, expected) in
        [("ok", vec!["/role", "/password"]), ("a:b", vec!["/username", "/role", "/password"])]
    {
        let body = json!({"username": username, "password": "short", "role": "nobody"});
        let refused = world.post("/api/v1/users", &admin.access, body).await;
        assert_eq!(pointers(refused.refused("validation_failed")), expected);
    }
    let body = json!({"username": "a:b", "email": "nope", "role": "nobody", "status": 1});
    let refused = world.patch(&format!("/api/v1/users/{id}"), &admin.access, body).await;
    assert_eq!(pointers(refused.refused("validation_failed")), ["/email", "/status", "/username", "/role"]);
}
