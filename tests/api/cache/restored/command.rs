//! `doorward restored` ends everything that a restore brought back.

use doorward_test::{Browser, PASSWORD, World, refused_in_time};
use reqwest::Method;
use serde_json::{Value, json};

use super::{AccountCredentials, Backup, kids, link_for, run, told};

#[actix_web::test]
async fn restored_ends_everything_that_a_backup_brought_back() {
    let mut world = World::new().await;
    // This node does not remember what ended, so it cannot re-apply it.
    world.stop_following();
    world.user("alice", "member");
    let carol = world.user("carol", "admin");
    let bob = world.user("bob", "member");
    let admin = world.signed_in("root", "admin").await;
    let link = link_for(&world, &admin, bob).await;
    let mut alice = AccountCredentials::of(&world, "alice", link).await;
    alice.are_good(&world).await;
    let leaked = kids(&world.ask(Method::GET, "/.well-known/jwks.json").send().await);
    let backup = Backup::make(&world);

    // The changes and revocations after the backup.
    let change = json!({ "current_password": PASSWORD, "new_password": "no longer the pass phrase" });
    let changed = world.post("/api/v1/me/password", &alice.tokens.access, change).await;
    assert!(changed.status < 300, "{}", changed.body);
    world.post("/api/v1/auth/logout", &alice.tokens.access, json!({})).await;
    let new = "set by the link, once";
    let form = [("username", "bob"), ("new_password", new), ("again", new)];
    assert_eq!(Browser::new(&world).post(&alice.link, &form).await.status, 200);
    told(&world, &["user", "disable", "carol", "--json"]);
    let tokens: Value = told(&world, &["token", "list", "--json"]);
    for token in tokens.as_array().unwrap() {
        told(&world, &["token", "revoke", token["id"].as_str().unwrap(), "--json"]);
    }
    told(&world, &["key", "revoke", &leaked[0], "--yes", "--json"]);
    let codes = ["token_signature_invalid", "session_ended", "token_revoked"];
    alice.are_refused(&world, codes).await;

    // Everything is valid again.
    backup.put_back(&world);
    let (_stopped, world) = (&world, world.another_node().await);
    let served = kids(&world.ask(Method::GET, "/.well-known/jwks.json").send().await);
    assert_eq!(served, leaked);
    let mut alice = alice.shown_to(&world);
    alice.are_good(&world).await;
    let dry = told(&world, &["restored", "--dry-run", "--json"]);
    alice.are_good(&world).await;
    assert_eq!(world.events("database_restored"), 0);

    let ended = told(&world, &["restored", "--yes", "--json"]);
    for what in ["sessions", "personal_tokens", "signing_keys", "password_links"] {
        assert!(ended[what].as_u64().unwrap() > 0 && ended[what] == dry[what], "{what}: {dry} {ended}");
    }
    assert_eq!(ended["powerful"], json!(["admin", "carol", "root"]), "carol was disabled, which is lost");
    let [_, refreshed, script] = alice.are_refused(&world, codes).await;
    assert_eq!(refreshed.body["reason"], "database_restored");
    assert_eq!(script.body["reason"], "database_restored");
    let published = kids(&world.ask(Method::GET, "/.well-known/jwks.json").send().await);
    assert_eq!(json!(published), json!([ended["new_signing_key"]]));
    assert_eq!(world.events("database_restored"), 1);

    // Anyone who has the password from the backup can sign in.
    let again = world.login("alice").await;
    assert_eq!(world.get("/api/v1/me", &again.access).await.status, 200);
    assert_eq!(
        world.count(&format!("SELECT count(*) FROM users WHERE id = '{carol}' AND status = 'active'")),
        1
    );
    // Running it again ends nothing more, as nothing older is left.
    let nothing = told(&world, &["restored", "--since", "2020-01-01T00:00:00Z", "--yes", "--json"]);
    assert_eq!((&nothing["sessions"], &nothing["new_signing_key"]), (&json!(0), &Value::Null));
    assert_eq!(world.get("/api/v1/me", &again.access).await.status, 200);
}

#[actix_web::test]
async fn restored_keeps_newer_sessions_and_those_named_by_options() {
    let world = World::new().await;
    world.user("alice", "member");
    let bob = world.user("bob", "member");
    let admin = world.signed_in("root", "admin").await;
    let link = link_for(&world, &admin, bob).await;
    let mut before = AccountCredentials::of(&world, "alice", link).await;
    before.are_good(&world).await;
    let since = world.text(
        "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS text",
    );
    let link = link_for(&world, &world.login("root").await, bob).await;
    let mut after = AccountCredentials::of(&world, "alice", link).await;
    after.are_good(&world).await;

    let all = ["restored", "--since", &since, "--keep-sessions", "--keep-personal-tokens"];
    let kept = told(&world, &[&all[..], &["--keep-signing-keys", "--yes", "--json"]].concat());
    assert_eq!(
        (&kept["sessions"], &kept["personal_tokens"], &kept["signing_keys"]),
        (&json!(0), &json!(0), &json!(0))
    );
    after.are_good(&world).await;
    assert_eq!(world.refresh(&before.tokens.refresh).await.status, 200);

    told(&world, &["restored", "--since", &since, "--keep-signing-keys", "--yes", "--json"]);
    let codes = ["session_ended", "session_ended", "token_revoked"];
    let [access, ..] = before.are_refused(&world, codes).await;
    assert_eq!(access.body["reason"], "database_restored");
    after.are_good(&world).await;
}

#[actix_web::test]
async fn restored_requires_confirmation_and_a_past_time() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    for arguments in [&["restored"][..], &["restored", "--since", "2999-01-01T00:00:00Z", "--yes"]] {
        let output = run(&world, arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    }
    let said = String::from_utf8(run(&world, &["restored"]).stderr).unwrap();
    assert!(said.contains("this ends 1 sessions, 0 personal tokens, 1 signing keys"), "{said}");
    assert_eq!(run(&world, &["restored", "--since", "yesterday", "--yes"]).status.code(), Some(2));
    assert_eq!(world.get("/api/v1/me", &alice.access).await.status, 200);
    let said = String::from_utf8(run(&world, &["restored", "--dry-run"]).stdout).unwrap();
    assert!(
        said.contains("Would end: 1 sessions") && said.contains("Passwords are the earlier ones"),
        "{said}"
    );
}

/// Otherwise each node would read thousands of rows at once.
#[actix_web::test]
async fn restored_ends_thousands_of_sessions_with_few_feed_rows() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    world.sql(
        "INSERT INTO sessions (id, user_id, kind, expires_at)
         SELECT gen_random_uuid(), user_id, kind, expires_at FROM sessions, generate_series(1, 2500)",
    );
    assert_eq!(world.get("/api/v1/me", &alice.access).await.status, 200);
    let ended = told(&world, &["restored", "--keep-signing-keys", "--yes", "--json"]);
    assert_eq!(ended["sessions"], 2501);
    assert!(world.count("SELECT count(*) FROM revocations") < 10);
    refused_in_time(async || world.get("/api/v1/me", &alice.access).await).await.refused("session_ended");
    assert_eq!(world.events("session_ended"), 2501);
}
