//! The client address of a request: what proxies say about it, and how contradicting headers are handled.

use doorward_test::{Answer, PASSWORD, World};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::operations::throttle::{ELSEWHERE, HOME, behind_a_proxy, count, held, limited, login, use_up};

type Headers<'a> = &'a [(&'a str, &'a str)];

/// Signs in with these headers.
async fn login_with(world: &World, headers: Headers<'_>, name: &str, password: &str) -> Answer {
    let mut ask = world.ask(Method::POST, "/api/v1/auth/login");
    for (header, value) in headers {
        ask = ask.header(header, value);
    }
    ask.json(&json!({ "username": name, "password": password })).send().await
}

/// Returns the address and the details of the newest audit event.
fn newest_event(world: &World) -> (String, Value) {
    let text = world.text(
        "SELECT json_build_array(address, details)::text AS text FROM audit_events ORDER BY id DESC LIMIT 1",
    );
    let pair: Value = serde_json::from_str(&text).unwrap();
    (pair[0].as_str().unwrap().to_owned(), pair[1].clone())
}

#[actix_web::test]
async fn conflicting_headers_are_both_recorded() {
    let world = limited().await;
    world.user("alice", "member");
    let headers = [("x-forwarded-for", "203.0.113.50"), ("forwarded", "for=10.9.9.9")];
    let refused = login_with(&world, &headers, "alice", "wrong").await;
    refused.refused("invalid_credentials");
    let (address, details) = newest_event(&world);
    assert_eq!(address, "203.0.113.50");
    assert_eq!(details["forwarded_address"], "10.9.9.9");
    assert_eq!(details["address_doubt"], "conflict");
    assert_eq!(login_with(&world, &headers, "alice", PASSWORD).await.status, 200);
    let (address, details) = newest_event(&world);
    assert_eq!((address.as_str(), &details["forwarded_address"]), ("203.0.113.50", &json!("10.9.9.9")));
    world.state.recorder.kept_refusals.flush(&world.state.core.database).await.unwrap();
    let kept = world.text("SELECT address || ' ' || peer || ' ' || forwarded_for AS text FROM refusals");
    assert_eq!(kept, "203.0.113.50 127.0.0.1 203.0.113.50 (Forwarded: for=10.9.9.9)");
    // The address is certain if the headers agree.
    let headers = [("x-forwarded-for", "203.0.113.50:80"), ("forwarded", "for=203.0.113.50")];
    login_with(&world, &headers, "alice", "wrong").await.refused("invalid_credentials");
    let (address, details) = newest_event(&world);
    assert_eq!((address.as_str(), details.get("address_doubt")), ("203.0.113.50", None));
}

#[actix_web::test]
async fn requests_with_an_uncertain_address_share_one_limit() {
    let world = limited().await;
    world.user("alice", "member");
    let uncertain = async |at: usize, name: &str, password: &str| {
        let (old, standard) = (format!("203.0.113.{at}"), format!("for=10.9.9.{at}"));
        let headers = [("x-forwarded-for", old.as_str()), ("forwarded", standard.as_str())];
        login_with(&world, &headers, name, password).await
    };
    for at in 0..25 {
        uncertain(at, &format!("name-{at}"), "wrong").await.refused("invalid_credentials");
    }
    for at in 25..50 {
        let headers = [("x-forwarded-for", "junk")];
        login_with(&world, &headers, &format!("name-{at}"), "wrong").await.refused("invalid_credentials");
    }
    held(&uncertain(99, "alice", PASSWORD).await);
    held(&login_with(&world, &[("forwarded", "for=unknown")], "alice", PASSWORD).await);
    for address in ["203.0.113.1", "10.9.9.1", "203.0.113.99"] {
        assert_eq!(login(&world, address, "alice", PASSWORD).await.status, 200);
    }
    // The proxy's own requests do not share this limit.
    assert_eq!(login_with(&world, &[], "alice", PASSWORD).await.status, 200);
}

#[actix_web::test]
async fn limit_of_uncertain_addresses_holds_for_forty_at_once() {
    let limit = |settings: &mut doorward::config::Settings| {
        behind_a_proxy(settings);
        settings.login_failures_per_address = 7;
    };
    let one = World::with(limit).await;
    one.stop_time();
    let other = one.another_node_with(limit).await;
    let nodes = [&one, &other];
    let guesses = (0..40).map(|at| async move {
        let (old, standard) = (format!("203.0.113.{at}"), format!("for=10.9.9.{at}"));
        let headers = [("x-forwarded-for", old.as_str()), ("forwarded", standard.as_str())];
        login_with(nodes[at % 2], &headers, &format!("name-{at}"), "wrong").await
    });
    let answers = join_all(guesses).await;
    assert_eq!((count(&answers, 401), count(&answers, 429)), (7, 33));
}

#[actix_web::test]
async fn conflicting_headers_cannot_use_a_known_address() {
    let world = limited().await;
    world.user("alice", "member");
    assert_eq!(login(&world, HOME, "alice", PASSWORD).await.status, 200);
    let home = format!("for={HOME}");
    for headers in [
        [("x-forwarded-for", ELSEWHERE), ("forwarded", home.as_str())],
        [("x-forwarded-for", HOME), ("forwarded", "for=198.51.100.66")],
        [("x-forwarded-for", HOME), ("forwarded", "nonsense")],
    ] {
        login_with(&world, &headers, "alice", "wrong").await.refused("invalid_credentials");
    }
    assert_eq!(world.count("SELECT count(*) FROM attempts WHERE kind = 'known_address' AND level > 0"), 0);
    for at in 0..2 {
        let headers = [("x-forwarded-for", HOME), ("forwarded", "for=198.51.100.66")];
        let answer = login_with(&world, &headers, "alice", "wrong").await;
        assert_eq!(answer.status, 401, "{at}");
    }
    held(&login(&world, "203.0.113.7", "alice", PASSWORD).await);
    assert_eq!(login(&world, HOME, "alice", PASSWORD).await.status, 200);
}

#[actix_web::test]
async fn uncertain_address_does_not_become_a_known_one() {
    let world = limited().await;
    world.user("alice", "member");
    let headers = [("x-forwarded-for", ELSEWHERE), ("forwarded", "for=10.9.9.9")];
    for headers in [headers.as_slice(), &[("x-forwarded-for", "junk")]] {
        assert_eq!(login_with(&world, headers, "alice", PASSWORD).await.status, 200);
    }
    assert_eq!(world.count("SELECT count(*) FROM known_addresses"), 0);
}

#[actix_web::test]
async fn setting_selects_the_proxy_header() {
    use doorward::config::ProxyHeaderSetting::{Forwarded, XForwardedFor};
    for (setting, expected) in [(XForwardedFor, "203.0.113.50"), (Forwarded, "10.9.9.9")] {
        let world = World::with(|settings| {
            behind_a_proxy(settings);
            settings.proxy_header = setting;
        })
        .await;
        world.user("alice", "member");
        let headers = [("x-forwarded-for", "203.0.113.50"), ("forwarded", "for=10.9.9.9")];
        login_with(&world, &headers, "alice", "wrong").await.refused("invalid_credentials");
        let (address, details) = newest_event(&world);
        assert_eq!((address.as_str(), details.get("address_doubt")), (expected, None));
        assert_eq!(login_with(&world, &headers, "alice", PASSWORD).await.status, 200);
        assert_eq!(world.text("SELECT network AS text FROM known_addresses"), expected);
        let only_other = if setting == Forwarded {
            ("x-forwarded-for", "192.0.2.1")
        } else {
            ("forwarded", "for=192.0.2.1")
        };
        login_with(&world, &[only_other], "alice", "wrong").await.refused("invalid_credentials");
        assert_eq!(newest_event(&world).0, "127.0.0.1");
    }
}

#[actix_web::test]
async fn ports_and_brackets_are_stripped_from_addresses() {
    let world = limited().await;
    world.user("alice", "member");
    for (header, address) in [
        ("203.0.113.5:4711", "203.0.113.5"),
        ("[2001:db8::9]:443", "2001:db8::9"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("203.0.113.6,", "203.0.113.6"),
        (" 203.0.113.7 , ", "203.0.113.7"),
    ] {
        login_with(&world, &[("x-forwarded-for", header)], "alice", "wrong").await;
        let (recorded, details) = newest_event(&world);
        assert_eq!((recorded.as_str(), details.get("address_doubt")), (address, None), "{header}");
        assert_eq!(login_with(&world, &[("x-forwarded-for", header)], "alice", PASSWORD).await.status, 200);
    }
    // Each address has a count of its own.
    use_up(&world, "203.0.113.5:1", "alice").await;
    held(&login(&world, "203.0.113.5:2", "alice", PASSWORD).await);
    assert_eq!(login(&world, "203.0.113.6", "alice", PASSWORD).await.status, 200);
}

#[actix_web::test]
async fn refresh_with_an_uncertain_address_records_both_addresses() {
    let world = limited().await;
    world.user("alice", "member");
    let first = login(&world, HOME, "alice", PASSWORD).await.text("refresh_token");
    for _ in 0..2 {
        let ask = world.ask(Method::POST, "/api/v1/auth/refresh").header("x-forwarded-for", "203.0.113.50");
        let ask = ask.header("forwarded", "for=10.9.9.9");
        assert_eq!(ask.json(&json!({ "refresh_token": first })).send().await.status, 200);
    }
    let (address, details) = newest_event(&world);
    assert_eq!(world.events("refresh_repeated"), 1);
    assert_eq!((address.as_str(), &details["forwarded_address"]), ("203.0.113.50", &json!("10.9.9.9")));
}
