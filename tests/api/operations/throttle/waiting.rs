//! Every refusal says how long to wait, and an operator can end the wait.

use chrono::TimeDelta;
use diesel::connection::SimpleConnection;
use doorward_test::{Answer, Browser, PASSWORD, World, limit_tries};
use reqwest::Method;
use serde_json::{Value, json};

use super::{ELSEWHERE, HOME, ask_from, guess, held, limited, login, use_up};

#[actix_web::test]
async fn wait_doubles_with_each_wrong_password_after_the_fifth() {
    let world = limited().await;
    world.user("alice", "member");
    use_up(&world, ELSEWHERE, "alice").await;
    for wait in [2, 4, 8, 16] {
        assert_eq!(held(&guess(&world, ELSEWHERE, "alice").await), wait);
        world.advance(TimeDelta::seconds(wait as i64));
        guess(&world, ELSEWHERE, "alice").await.refused("invalid_credentials");
    }
}

#[actix_web::test]
async fn throttled_sign_in_reports_the_remaining_wait() {
    let world = limited().await;
    use_up(&world, ELSEWHERE, "alice").await;
    for wait in [2, 4, 8] {
        world.advance(TimeDelta::seconds(wait));
        guess(&world, ELSEWHERE, "alice").await.refused("invalid_credentials");
    }
    let waits = |answer: Answer| (held(&answer), answer.text("detail"));
    let (wait, detail) = waits(guess(&world, ELSEWHERE, "alice").await);
    assert!(wait == 16 && detail.contains("in 16 s"), "{detail}");
    world.advance(TimeDelta::seconds(10));
    assert_eq!(waits(guess(&world, ELSEWHERE, "alice").await).0, 6);
    world.advance(TimeDelta::milliseconds(500));
    // The node answers from its cache for up to a second.
    assert_eq!(waits(guess(&world, ELSEWHERE, "alice").await).0, 6);
    world.advance(TimeDelta::milliseconds(4_500));
    assert_eq!(waits(guess(&world, ELSEWHERE, "alice").await).0, 1);
    world.advance(TimeDelta::seconds(1));
    guess(&world, ELSEWHERE, "alice").await.refused("invalid_credentials");
}

/// The deleted rows show whether the node asked the database.
#[actix_web::test]
async fn throttled_name_is_cached_by_the_node_for_one_second() {
    let world = limited().await;
    let mut lifted = world.connection();
    use_up(&world, ELSEWHERE, "alice").await;
    held(&guess(&world, ELSEWHERE, "alice").await);
    lifted.batch_execute("DELETE FROM attempts").unwrap();
    held(&guess(&world, ELSEWHERE, "ALICE").await);
    guess(&world, ELSEWHERE, "bob").await.refused("invalid_credentials");
    guess(&world, HOME, "alice").await.refused("invalid_credentials");
    world.advance(TimeDelta::seconds(1));
    guess(&world, ELSEWHERE, "alice").await.refused("invalid_credentials");
}

#[actix_web::test]
async fn wait_stays_within_the_limit_even_if_the_clock_is_set_back() {
    let world = limited().await;
    let mut waits = Vec::new();
    use_up(&world, ELSEWHERE, "alice").await;
    for _ in 0..12 {
        let wait = held(&guess(&world, ELSEWHERE, "alice").await);
        waits.push(wait);
        world.advance(TimeDelta::seconds(wait as i64));
        guess(&world, ELSEWHERE, "alice").await.refused("invalid_credentials");
    }
    assert_eq!(waits.iter().max(), Some(&900), "{waits:?}");
    world.advance(TimeDelta::hours(-5));
    guess(&world, ELSEWHERE, "alice").await.refused("invalid_credentials");
}

#[actix_web::test]
async fn wrong_passwords_expire_one_by_one_within_an_hour() {
    let world = limited().await;
    use_up(&world, ELSEWHERE, "alice").await;
    // One wrong password is forgotten every twelve minutes.
    world.advance(TimeDelta::minutes(25));
    for _ in 0..2 {
        guess(&world, ELSEWHERE, "alice").await.refused("invalid_credentials");
    }
    assert_eq!(held(&guess(&world, ELSEWHERE, "alice").await), 2);
    world.advance(TimeDelta::minutes(90));
    use_up(&world, ELSEWHERE, "alice").await;
    held(&guess(&world, ELSEWHERE, "alice").await);
}

/// Waits until every reserved attempt is settled. Returns the counted attempts of all rows.
async fn settled_level(world: &World) -> i64 {
    for _ in 0..100 {
        if world.count("SELECT count(*) AS count FROM attempts WHERE pending > 0") == 0 {
            return world.count("SELECT coalesce(sum(level), 0)::bigint AS count FROM attempts");
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("an attempt is not settled");
}

#[actix_web::test]
async fn attempt_is_settled_if_its_event_cannot_be_written() {
    let world = limited().await;
    let access = world.signed_in("alice", "viewer").await.access;
    world.user("odd", "member");
    world.sql(
        "UPDATE users SET password_hash = 'odd' WHERE username = 'odd';
         CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'on purpose'; END $$;
         CREATE TRIGGER fail BEFORE INSERT ON audit_events FOR EACH ROW
             WHEN (NEW.type IN ('login_succeeded', 'login_failed')) EXECUTE FUNCTION fail()",
    );
    let before = settled_level(&world).await;
    let sign_in = async |body: Value| {
        let ask = ask_from(&world, ELSEWHERE, "/api/v1/auth/login").json(&body);
        ask.send().await.refused("internal_error");
    };
    // No password was verified, or the correct one.
    sign_in(json!({ "username": "odd", "password": PASSWORD })).await;
    sign_in(json!({ "username": "alice", "password": PASSWORD })).await;
    sign_in(json!({ "username": "alice", "password": PASSWORD, "scope": "notes:write" })).await;
    assert_eq!(settled_level(&world).await, before);
    guess(&world, ELSEWHERE, "alice").await.refused("internal_error");
    let guessed = settled_level(&world).await;
    assert!(guessed > before, "a wrong password counts");
    let body = json!({ "username": "alicia", "current_password": "a guess that is wrong" });
    let changed = world.ask(Method::PATCH, "/api/v1/me").bearer(&access).json(&body);
    changed.header("x-forwarded-for", ELSEWHERE).send().await.refused("internal_error");
    assert!(settled_level(&world).await > guessed, "and so does one within a session");
}

#[actix_web::test]
async fn pending_attempts_of_a_killed_node_expire_after_a_minute() {
    let world = limited().await;
    world.user("alice", "member");
    use_up(&world, ELSEWHERE, "alice").await;
    // As if a killed node had not reported the result of any of them.
    world.sql("UPDATE attempts SET pending = 5, next_at = now() + interval '1 minute' WHERE kind = 'name'");
    world.advance(TimeDelta::seconds(31));
    held(&guess(&world, ELSEWHERE, "alice").await);
    world.advance(TimeDelta::seconds(30));
    assert_eq!(login(&world, ELSEWHERE, "alice", PASSWORD).await.status, 200);
}

#[actix_web::test]
async fn throttled_forms_show_the_wait_and_keep_their_fields() {
    let world = World::with(limit_tries).await;
    world.stop_time();
    world.user("alice", "member");
    let mut signed_in = Browser::signed_in(&world, "alice").await;
    let mut browser = Browser::new(&world);
    for _ in 0..5 {
        assert_eq!(browser.sign_in("alice", "wrong", &[]).await.status, 401);
    }
    let refused = browser.sign_in("alice", PASSWORD, &[]).await;
    let step_up = signed_in
        .fill_in("/step-up", "/step-up", &[("step_up_password", PASSWORD), ("next", "/admin")])
        .await;
    let fields =
        [("current_password", PASSWORD), ("new_password", "another phrase"), ("again", "another phrase")];
    let password = signed_in.fill_in("/account/password", "/account/password", &fields).await;
    let fields = [("username", "alicia"), ("current_password", PASSWORD)];
    let profile = signed_in.fill_in("/account", "/account", &fields).await;
    for (answer, kept) in [
        (refused, "value=\"alice\""),
        (step_up, "/admin"),
        (password, "current_password"),
        (profile, "alicia"),
    ] {
        let html = answer.body.as_str().unwrap();
        assert_eq!(answer.status, 429, "{html}");
        assert_eq!(answer.header("retry-after"), Some("2"), "{html}");
        assert!(html.contains("Try again in") && html.contains("<form"), "{html}");
        assert!(html.contains(kept), "{html}");
    }
    world.state.recorder.kept_refusals.flush(&world.state.core.database).await.unwrap();
    let kept = "SELECT count(*) FROM refusals WHERE code = 'too_many_attempts' AND status = 429";
    assert_eq!(world.count(kept), 4);
}

#[actix_web::test]
async fn simplejwt_reports_throttling_in_its_own_words() {
    let world = World::with(|settings| {
        limit_tries(settings);
        settings.simplejwt_routes = doorward::config::SimplejwtRoutes::On;
    })
    .await;
    world.stop_time();
    let body = json!({ "username": "alice", "password": "wrong" });
    for _ in 0..5 {
        assert_eq!(world.ask(Method::POST, "/api/token/").json(&body).send().await.status, 401);
    }
    let refused = world.ask(Method::POST, "/api/token/").json(&body).send().await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("2")));
    let said = json!({ "detail": "Request was throttled. Expected available in 2 seconds." });
    assert_eq!(refused.body, said);
}

/// Runs a command while the server runs.
fn doorward(world: &World, arguments: &[&str]) -> String {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_doorward"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DOORWARD")) {
        command.env_remove(name);
    }
    let command = command.args(arguments).env("DATABASE_URL", &world.database.url).current_dir("/");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[actix_web::test]
async fn operator_sees_and_lifts_the_wait_of_a_user() {
    let world = limited().await;
    world.user("alice", "member");
    world.sql(
        "UPDATE users SET email = 'al@example.org', email_folded = 'al@example.org' WHERE username = 'alice'",
    );
    login(&world, HOME, "alice", PASSWORD).await;
    let waits_until = || -> Value {
        let shown: Value =
            serde_json::from_str(&doorward(&world, &["user", "show", "alice", "--json"])).unwrap();
        shown.get("sign_in_waits_until").cloned().unwrap_or_default()
    };
    assert_eq!(waits_until(), Value::Null);
    assert!(doorward(&world, &["user", "unlock", "alice"]).contains("has no failed attempts"));
    for (address, name) in [(ELSEWHERE, "alice"), (ELSEWHERE, "al@example.org"), (HOME, "alice")] {
        use_up(&world, address, name).await;
        held(&guess(&world, address, name).await);
        assert!(waits_until().is_string(), "{name} from {address}");
        let said = doorward(&world, &["user", "show", "alice"]);
        assert!(said.contains("the next sign-in is possible at"), "{said}");
        assert!(doorward(&world, &["user", "unlock", "AL@example.org"]).contains("does not have to wait"));
        assert_eq!(waits_until(), Value::Null);
        // A node caches the database's answer for at most a second.
        let started = std::time::Instant::now();
        while guess(&world, address, name).await.status == 429 {
            assert!(started.elapsed().as_millis() < 1_100, "{name} from {address}");
        }
        world.advance(TimeDelta::hours(2));
    }
    assert_eq!(world.events("user_unlocked"), 3);
}
