//! An address belongs to one account in both of its spellings, with the domain in Unicode and in ASCII.

use diesel::connection::SimpleConnection;
use doorward::users::canonical_names::{self, Report};
use doorward_test::{Answer, PASSWORD, World};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

const UNICODE: &str = "a@münchen.de";
const ASCII: &str = "a@xn--mnchen-3ya.de";

async fn sign_in(world: &World, name: &str) -> Answer {
    let body = json!({ "username": name, "password": PASSWORD });
    world.ask(Method::POST, "/api/v1/auth/login").json(&body).send().await
}

/// Returns the account that a name signs in to.
async fn owner(world: &World, name: &str) -> Option<String> {
    let signed_in = sign_in(world, name).await;
    if signed_in.status == 401 {
        return None;
    }
    let me = world.get("/api/v1/me", &signed_in.text("access_token")).await;
    Some(me.text("username"))
}

/// Creates an account as the previous version does, with its names only folded.
fn insert_as_before(world: &World, username: &str, email: Option<&str>, age: u32) {
    let email = email.map_or("NULL".to_owned(), |email| format!("'{email}'"));
    world.sql(&format!(
        "INSERT INTO users (id, username, username_folded, email, email_folded, password_hash, role, created_at)
         SELECT gen_random_uuid(), '{username}', '{username}', {email}, {email}, password_hash, 'member',
                now() - interval '{age} days' FROM users WHERE username = 'admin'"
    ));
}

fn run(world: &World) -> Report {
    canonical_names::run(&mut world.connection()).unwrap()
}

#[actix_web::test]
async fn email_belongs_to_one_account_in_both_spellings() {
    for (typed, other) in [(UNICODE, ASCII), (ASCII, UNICODE), (ASCII, "A@MÜNCHEN.DE")] {
        let world = World::new().await;
        let admin = world.login("admin").await.access;
        let make = |body: Value| world.post("/api/v1/users", &admin, body);
        let made = make(json!({ "username": "alice", "email": typed, "password": PASSWORD })).await;
        assert_eq!((made.status, made.body["email"].as_str()), (201, Some(typed)), "shown as typed");
        for name in [typed, other, "alice"] {
            assert_eq!(owner(&world, name).await.as_deref(), Some("alice"), "{name}");
        }
        let taken = make(json!({ "username": "bob", "email": other })).await;
        assert_eq!(taken.refused("conflict").body["pointer"], "/email");
        let taken = make(json!({ "username": other })).await;
        assert_eq!(taken.refused("conflict").body["pointer"], "/username");
        // The account itself may change to the other spelling, and both spellings are free once it gives up
        // the address.
        let path = format!("/api/v1/users/{}", made.text("id"));
        let changed = world.patch(&path, &admin, json!({ "email": other })).await;
        assert_eq!((changed.status, changed.body["email"].as_str()), (200, Some(other)));
        assert_eq!(world.patch(&path, &admin, json!({ "email": null })).await.status, 200);
        assert_eq!(
            make(json!({ "username": "bob", "email": other, "password": PASSWORD })).await.status,
            201
        );
        assert_eq!(owner(&world, typed).await.as_deref(), Some("bob"));
        assert_eq!(run(&world).changed, 0, "what this version writes is in form");
    }
}

#[actix_web::test]
async fn earlier_version_cannot_insert_the_other_spelling() {
    for (typed, other) in [(UNICODE, ASCII), (ASCII, UNICODE)] {
        let world = World::new().await;
        let admin = world.login("admin").await.access;
        let made = world.post("/api/v1/users", &admin, json!({ "username": "alice", "email": typed })).await;
        assert_eq!(made.status, 201);
        let insert = format!(
            "INSERT INTO users (id, username, username_folded, email, email_folded, role)
             VALUES (gen_random_uuid(), 'bob', 'bob', '{other}', '{other}', 'member')"
        );
        let refused = world.connection().batch_execute(&insert).unwrap_err().to_string();
        assert!(refused.contains("login_names_pkey"), "{refused}");
    }
}

#[actix_web::test]
async fn existing_accounts_are_found_by_both_spellings() {
    for (typed, other) in [(UNICODE, ASCII), (ASCII, UNICODE)] {
        let world = World::new().await;
        insert_as_before(&world, "alice", Some(typed), 1);
        insert_as_before(&world, &typed.replace("a@", "b@"), None, 1);
        for changed in [2, 0] {
            for name in [typed, other] {
                assert_eq!(owner(&world, name).await.as_deref(), Some("alice"), "{name}");
                assert!(owner(&world, &name.replace("a@", "b@")).await.is_some(), "{name}");
            }
            assert_eq!(run(&world).changed, changed);
        }
        let admin = world.login("admin").await.access;
        let taken = world.post("/api/v1/users", &admin, json!({ "username": "bob", "email": other })).await;
        taken.refused("conflict");
    }
}

#[actix_web::test]
async fn older_of_two_accounts_keeps_the_email() {
    for (older, younger) in [(UNICODE, ASCII), (ASCII, UNICODE)] {
        let world = World::new().await;
        insert_as_before(&world, "old", Some(older), 9);
        insert_as_before(&world, "young", Some(younger), 1);
        assert_eq!(owner(&world, younger).await.as_deref(), Some("young"), "until it is settled");
        let report = run(&world);
        assert_eq!((report.lost.len(), report.unresolved.len()), (1, 0), "{report:?}");
        assert_eq!((report.lost[0].username.as_str(), report.lost[0].name.as_str()), ("young", UNICODE));
        for name in [older, younger, "old"] {
            assert_eq!(owner(&world, name).await.as_deref(), Some("old"), "{name}");
        }
        assert_eq!(owner(&world, "young").await.as_deref(), Some("young"));
        assert_eq!(world.count("SELECT count(*) FROM users WHERE username = 'young' AND email IS NULL"), 1);
        let event = "SELECT details->>'reason' AS text FROM audit_events WHERE subject_name = 'young'
                     AND type = 'user_updated'";
        assert_eq!(world.text(event), "name_of_an_older_account");
        let again = run(&world);
        assert_eq!((again.changed, again.lost.len()), (0, 0));
    }
}

#[actix_web::test]
async fn younger_account_loses_its_username_if_it_has_an_email() {
    let world = World::new().await;
    insert_as_before(&world, UNICODE, None, 9);
    insert_as_before(&world, ASCII, Some("young@example.org"), 1);
    let report = run(&world);
    assert_eq!((report.lost.len(), report.unresolved.len()), (1, 0), "{report:?}");
    for name in [UNICODE, ASCII] {
        assert_eq!(owner(&world, name).await.as_deref(), Some(UNICODE), "{name}");
    }
    assert_eq!(owner(&world, "young@example.org").await.as_deref(), Some("young@example.org"));
}

#[actix_web::test]
async fn account_without_another_name_keeps_its_spelling() {
    for (older, younger) in [(UNICODE, ASCII), (ASCII, UNICODE)] {
        let world = World::new().await;
        insert_as_before(&world, older, None, 9);
        insert_as_before(&world, younger, None, 1);
        for _ in 0..2 {
            let report = run(&world);
            assert!(report.lost.is_empty() && report.unresolved.contains(&younger.to_owned()), "{report:?}");
            for name in [older, younger] {
                assert_eq!(owner(&world, name).await.as_deref(), Some(name));
            }
        }
        let unresolved = canonical_names::find_unresolved(&mut world.connection()).unwrap();
        assert!(!unresolved.is_empty());
        // An administrator changes the account's username.
        let admin = world.login("admin").await.access;
        let id = world.text(&format!("SELECT id::text AS text FROM users WHERE username = '{younger}'"));
        let renamed =
            world.patch(&format!("/api/v1/users/{id}"), &admin, json!({ "username": "young" })).await;
        assert_eq!(renamed.status, 200, "{}", renamed.body);
        assert_eq!(run(&world).changed, 1);
        for name in [older, younger] {
            assert_eq!(owner(&world, name).await.as_deref(), Some(older));
        }
        assert!(canonical_names::find_unresolved(&mut world.connection()).unwrap().is_empty());
    }
}

#[actix_web::test]
async fn canonical_names_wait_for_their_index() {
    let world = World::new().await;
    insert_as_before(&world, "alice", Some(UNICODE), 1);
    let definition = world.text("SELECT pg_get_indexdef('users_with_spellings'::regclass) AS text");
    world.sql("DROP INDEX users_with_spellings");
    let by_index = || canonical_names::run_batch_by_index(&mut world.connection(), Uuid::nil()).unwrap();
    let report = by_index();
    assert_eq!((report.last, report.changed), (None, 0));
    world.sql(&definition);
    assert_eq!(by_index().changed, 1);
}
