//! Checks what the guide promises about its clients, in all four languages.

use std::time::Instant;

use chrono::TimeDelta;
use diesel::connection::SimpleConnection;
use doorward::database::Database;
use doorward_test::{PASSWORD, World};
use reqwest::Method;
use serde_json::{Value, json};

use super::client::{Client, ClientResult, Language};
use super::lossy_proxy::{Fate, LossyProxy};

const ME: &str = "/api/v1/me";
const REFRESH: &str = "/api/v1/auth/refresh";

/// A server with the user alice, a proxy before it, and her signed-in client.
struct Scene {
    world: World,
    proxy: LossyProxy,
    client: Client,
}

impl Scene {
    async fn new(language: Language) -> Self {
        let world = World::new().await;
        world.user("alice", "member");
        let proxy = LossyProxy::before(&world.base).await;
        let client = Client::new(language, &proxy.base);
        assert_eq!(client.sign_in().await, ClientResult::Answer(Value::Null));
        Self { world, proxy, client }
    }

    /// Advances time beyond the lifetime of an access token.
    fn six_minutes_later(&self) {
        self.world.advance(TimeDelta::minutes(6));
    }

    /// Returns how often the refresh token was rotated, by any caller.
    fn rotations(&self) -> i64 {
        assert_eq!(self.world.events("refresh_token_reused"), 0);
        self.world.count("SELECT generation::bigint - 1 AS count FROM refresh_tokens")
    }

    /// Checks that the client still has its first session, and stores the live refresh token.
    async fn is_signed_in(&self) {
        assert_eq!(self.client.get(ME).await.answer()["username"], "alice");
        assert_eq!(self.world.count("SELECT count(*) FROM sessions WHERE ended_at IS NULL"), 1);
        let stored = self.client.stored().expect("a refresh token");
        assert_eq!(self.world.refresh(&stored).await.status, 200);
        assert_eq!(self.world.events("refresh_token_reused"), 0);
    }

    /// Checks that the client has discarded its tokens.
    async fn holds_nothing(&self) {
        assert_eq!(self.client.stored(), None);
        self.client.get(ME).await.sign_in_again("credentials_missing");
    }
}

async fn client_signs_in_calls_and_signs_out(language: Language) {
    let scene = Scene::new(language).await;
    assert_eq!(scene.client.get(ME).await.answer()["credential"]["kind"], "access_token");
    let device = scene.world.text("SELECT device AS text FROM sessions");
    assert!(["the guide", "client.sh"].contains(&device.as_str()), "{device}");
    let stored = scene.client.stored().expect("a refresh token");
    assert_eq!(scene.client.sign_out().await, ClientResult::Answer(Value::Null));
    scene.world.refresh(&stored).await.refused("session_ended");
    scene.holds_nothing().await;
    assert_eq!(scene.client.sign_in().await, ClientResult::Answer(Value::Null));
    assert_eq!(scene.client.get(ME).await.answer()["username"], "alice");
}

async fn expired_access_token_is_refreshed_midway(language: Language) {
    let scene = Scene::new(language).await;
    let note = |title: &str| json!({ "title": title, "body": "" });
    scene.client.call("POST", "/api/v1/notes", note("before")).await.answer();
    assert_eq!(scene.rotations(), 0);
    scene.six_minutes_later();
    let made = scene.client.call("POST", "/api/v1/notes", note("after")).await;
    assert_eq!(made.answer()["title"], "after");
    assert_eq!((scene.rotations(), scene.proxy.count(REFRESH)), (1, 1));
    assert_eq!(scene.proxy.statuses("/api/v1/notes"), [201, 401, 201]);
    assert_eq!(scene.world.count("SELECT count(*) FROM notes"), 2, "nothing was done twice");
    scene.is_signed_in().await;
}

async fn eight_simultaneous_calls_cause_one_refresh(language: Language) {
    let scene = Scene::new(language).await;
    for round in 1..=3 {
        scene.six_minutes_later();
        let result = scene.client.get_at_once(8, ME).await;
        assert_eq!(result.len(), 8);
        assert!(result.iter().all(|result| result.answer()["username"] == "alice"));
        assert_eq!((scene.rotations(), scene.proxy.count(REFRESH)), (round, round as usize));
    }
    assert_eq!(scene.world.events("refresh_repeated"), 0);
    scene.is_signed_in().await;
}

async fn session_ended_by_an_admin_is_reported_to_the_user(language: Language) {
    let scene = Scene::new(language).await;
    let admin = scene.world.login("admin").await;
    let alice = scene.world.text("SELECT id::text AS text FROM users WHERE username = 'alice'");
    let gone = scene.world.delete(&format!("/api/v1/users/{alice}/sessions"), &admin.access).await;
    assert_eq!(gone.status, 204, "{}", gone.body);
    scene.client.get(ME).await.sign_in_again("(ended by admin). Sign in again. (session_ended");
    scene.holds_nothing().await;
    assert_eq!(scene.proxy.count(REFRESH), 0, "nobody asks for what is over");
}

async fn session_end_after_access_expiry_is_reported_by_refresh(language: Language) {
    let scene = Scene::new(language).await;
    let stored = scene.client.stored().unwrap();
    scene.six_minutes_later();
    let logout = json!({ "refresh_token": stored });
    scene.world.ask(Method::POST, "/api/v1/auth/logout").json(&logout).send().await;
    scene.client.get(ME).await.sign_in_again("(logout). Sign in again. (session_ended");
    scene.holds_nothing().await;
}

async fn client_waits_for_an_unavailable_database(language: Language) {
    let scene = Scene::new(language).await;
    scene.six_minutes_later();
    let name = scene.world.text("SELECT current_database()::text AS text");
    let on_cluster = |statement: String| {
        let url = std::env::var("DOORWARD_TEST_DATABASE_URL").unwrap();
        Database::connect(&url).unwrap().batch_execute(&statement).unwrap();
    };
    on_cluster(format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false"));
    on_cluster(format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"));
    let started = Instant::now();
    let put_right = async {
        scene.proxy.seen(503).await;
        on_cluster(format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true"));
    };
    let (result, ()) = tokio::join!(scene.client.get(ME), put_right);
    assert_eq!(result.answer()["username"], "alice");
    assert!(started.elapsed().as_secs() >= 2, "Retry-After says 2: {:?}", started.elapsed());
    assert_eq!(scene.proxy.statuses(REFRESH).first(), Some(&503));
    assert_eq!(scene.rotations(), 1);
    scene.is_signed_in().await;
}

async fn long_retry_after_is_reported_at_once(language: Language) {
    let busy = json!({
        "status": 503, "code": "overloaded", "detail": "Come back later.", "action": "wait", "terminal": false,
        "request_id": "0192d7a0-0000-7000-8000-000000000000", "retry_after": 3600,
    });
    let head = "503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 3600";
    let scene = Scene::new(language).await;
    scene.six_minutes_later();
    scene.proxy.next_refreshes([Fate::answered(head, &busy.to_string())]);
    let result = scene.client.get(ME).await;
    assert!(
        matches!(&result, ClientResult::Refused(action, why) if action == "wait" && why.contains("later")),
        "{result:?}"
    );
    assert_eq!(scene.proxy.count(REFRESH), 1);
    scene.is_signed_in().await;
}

async fn lost_response_is_retried_with_the_same_token(language: Language) {
    let scene = Scene::new(language).await;
    scene.six_minutes_later();
    scene.proxy.next_refreshes([Fate::AnswerLost]);
    assert_eq!(scene.client.get(ME).await.answer()["username"], "alice");
    assert_eq!(scene.proxy.statuses(REFRESH), [200, 200]);
    assert_eq!((scene.rotations(), scene.world.events("refresh_repeated")), (1, 1));
    scene.is_signed_in().await;
}

async fn proxy_error_pages_do_not_sign_the_user_out(language: Language) {
    let gateway = Fate::answered("502 Bad Gateway\r\ncontent-type: text/html", "<h1>Bad gateway</h1>");
    let over = json!({ "code": "session_ended", "action": "login", "terminal": true });
    let portal = Fate::answered("401 Unauthorized\r\ncontent-type: application/json", &over.to_string());
    let scene = Scene::new(language).await;
    scene.six_minutes_later();
    scene.proxy.next_refreshes([gateway.clone(), portal.clone(), gateway, portal]);
    let result = scene.client.get(ME).await;
    assert!(matches!(result, ClientResult::Fault(_)), "{result:?}");
    assert_eq!(scene.proxy.statuses(REFRESH), [502, 401, 502, 401], "a few times, then it is told");
    scene.is_signed_in().await;
}

async fn disabled_account_keeps_its_tokens_until_it_is_enabled(language: Language) {
    let scene = Scene::new(language).await;
    let admin = scene.world.login("admin").await;
    let id = scene.world.text("SELECT id::text AS text FROM users WHERE username = 'alice'");
    let set = async |status: &str| {
        let path = format!("/api/v1/users/{id}");
        let answer = scene.world.patch(&path, &admin.access, json!({ "status": status })).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    };
    set("disabled").await;
    let result = scene.client.get(ME).await;
    assert!(
        matches!(&result, ClientResult::Refused(action, why) if action == "contact_admin" && why.contains("disabled")),
        "{result:?}"
    );
    set("active").await;
    assert_eq!(scene.client.get(ME).await.answer()["username"], "alice");
    assert!(scene.client.stored().is_some());
}

async fn sensitive_call_requires_a_step_up(language: Language) {
    let scene = Scene::new(language).await;
    scene.world.advance(TimeDelta::hours(1));
    let wanted = json!({ "name": "a script", "scope": "notes:read" });
    let result = scene.client.call("POST", "/api/v1/me/tokens", wanted.clone()).await;
    assert!(matches!(&result, ClientResult::Refused(action, _) if action == "step_up"), "{result:?}");
    let wrong = scene.client.step_up("a wrong one").await;
    assert!(matches!(&wrong, ClientResult::Refused(action, _) if action == "fix_request"), "{wrong:?}");
    assert_eq!(scene.client.step_up(PASSWORD).await, ClientResult::Answer(Value::Null));
    let made = scene.client.call("POST", "/api/v1/me/tokens", wanted).await;
    assert!(made.answer()["token"].as_str().unwrap().starts_with("dwp_"));
    scene.six_minutes_later();
    scene.is_signed_in().await;
}

async fn next_start_continues_with_the_stored_token(language: Language) {
    let mut scene = Scene::new(language).await;
    scene.six_minutes_later();
    scene.client.get(ME).await.answer();
    scene.client.restart();
    scene.world.advance(TimeDelta::days(2));
    scene.is_signed_in().await;
}

/// A client that dies before it has stored the response presents the used token when it starts again.
async fn token_that_could_not_be_stored_is_not_used(language: Language) {
    let scene = Scene::new(language).await;
    let stored = std::fs::read(scene.client.kept()).unwrap();
    scene.six_minutes_later();
    std::fs::remove_file(scene.client.kept()).unwrap();
    std::fs::create_dir(scene.client.kept()).unwrap();
    let result = scene.client.get(ME).await;
    assert!(matches!(result, ClientResult::Fault(_)), "{result:?}");
    assert_eq!(scene.proxy.statuses(ME), [401], "the new access token was not used");
    std::fs::remove_dir(scene.client.kept()).unwrap();
    std::fs::write(scene.client.kept(), stored).unwrap();
    scene.client.get(ME).await.answer();
    assert_eq!(scene.proxy.statuses(REFRESH), [200, 200]);
    assert_eq!(scene.world.events("refresh_repeated"), 1, "the same token was asked again");
    scene.is_signed_in().await;
}

/// The client's clock is the only one in these tests that cannot be moved.
async fn client_refreshes_slightly_early_by_its_own_clock(language: Language) {
    let world = World::with(|settings| settings.access_token_ttl = std::time::Duration::from_secs(4)).await;
    world.user("alice", "member");
    let proxy = LossyProxy::before(&world.base).await;
    let client = Client::new(language, &proxy.base);
    assert_eq!(client.sign_in().await, ClientResult::Answer(Value::Null));
    // For the server the token is valid for eight seconds.
    world.advance(TimeDelta::seconds(-4));
    tokio::time::sleep(std::time::Duration::from_millis(3_950)).await;
    assert_eq!(client.get(ME).await.answer()["username"], "alice");
    assert_eq!((proxy.count(REFRESH), proxy.statuses(ME)), (1, vec![200]));
}

macro_rules! in_each_language {
    ($($name:ident)*) => {
        mod shell { in_language! { Shell: $($name)* } }
        mod python { in_language! { Python: $($name)* client_refreshes_slightly_early_by_its_own_clock token_that_could_not_be_stored_is_not_used } }
        mod javascript { in_language! { JavaScript: $($name)* client_refreshes_slightly_early_by_its_own_clock token_that_could_not_be_stored_is_not_used } }
        mod rust { in_language! { Rust: $($name)* client_refreshes_slightly_early_by_its_own_clock token_that_could_not_be_stored_is_not_used } }
    };
}

macro_rules! in_language {
    ($language:ident: $($name:ident)*) => {$(
        #[actix_web::test]
        async fn $name() {
            super::$name(super::Language::$language).await;
        }
    )*};
}

in_each_language! {
    client_signs_in_calls_and_signs_out
    expired_access_token_is_refreshed_midway
    eight_simultaneous_calls_cause_one_refresh
    session_ended_by_an_admin_is_reported_to_the_user
    session_end_after_access_expiry_is_reported_by_refresh
    client_waits_for_an_unavailable_database
    long_retry_after_is_reported_at_once
    lost_response_is_retried_with_the_same_token
    proxy_error_pages_do_not_sign_the_user_out
    disabled_account_keeps_its_tokens_until_it_is_enabled
    sensitive_call_requires_a_step_up
    next_start_continues_with_the_stored_token
}
