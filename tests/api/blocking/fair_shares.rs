//! No caller slows others down by taking more than a share of the hashing threads or of the database.

use std::cell::Cell;

use diesel::connection::SimpleConnection;
use doorward::app::settings::cores;
use doorward::blocking::{Answer as Waiting, Lane, WorkOwner};
use doorward_test::{Answer, PASSWORD, World};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

async fn behind_a_proxy() -> World {
    World::with(|settings| settings.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()]).await
}

async fn sign_in(world: &World, name: &str, address: &str) -> Answer {
    let body = json!({ "username": name, "password": PASSWORD });
    world.ask(Method::POST, "/api/v1/auth/login").header("x-forwarded-for", address).json(&body).send().await
}

/// Keeps every hashing thread busy until the sender is dropped.
async fn hold_hashing(world: &World) -> (std::sync::mpsc::Sender<()>, Vec<Waiting<()>>) {
    let threads = world.state.core.passwords.threads();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Arc::new(std::sync::Mutex::new(held));
    let hold = |_| {
        let held = std::sync::Arc::clone(&held);
        threads.ask(WorkOwner::default().claim(Lane::SignedIn), move || {
            let _ = held.lock().unwrap().recv();
        })
    };
    let holding = (0..cores()).map(hold).collect();
    while threads.depth() != (cores(), 0) {
        tokio::task::yield_now().await;
    }
    (release, holding)
}

#[actix_web::test]
async fn flood_of_correct_passwords_does_not_block_others() {
    let world = behind_a_proxy().await;
    let flooding: Vec<String> = (0..10).map(|number| format!("flood-{number}")).collect();
    let others: Vec<String> = (0..5).map(|number| format!("other-{number}")).collect();
    for name in flooding.iter().chain(&others) {
        world.user(name, "member");
    }
    let admin = world.login("admin").await.access;
    world.user("regular", "member");
    assert_eq!(sign_in(&world, "regular", "203.0.113.9").await.status, 200);

    // The number of places for callers whose address is not known.
    let places = 8 * cores();
    let (release, _holding) = hold_hashing(&world).await;
    let answered = Cell::new(0);
    let waiting = async |asked: usize| {
        while answered.get() + world.state.core.passwords.threads().depth().1 < asked {
            tokio::task::yield_now().await;
        }
    };
    let flood = join_all((0..20 * cores()).map(async |number| {
        let answer = sign_in(&world, &flooding[number % 10], "198.51.100.1").await;
        answered.set(answered.get() + 1);
        answer
    }));
    let rest = async {
        waiting(20 * cores()).await;
        assert_eq!(world.state.core.passwords.threads().depth().1, places);
        let others = join_all(others.iter().zip(10..).map(async |(name, at)| {
            let answer = sign_in(&world, name, &format!("203.0.113.{at}")).await;
            answered.set(answered.get() + 1);
            answer
        }));
        let kept = async {
            waiting(20 * cores() + 5).await;
            let password = json!({ "password": PASSWORD });
            tokio::join!(
                world.post("/api/v1/auth/step-up", &admin, password),
                sign_in(&world, "regular", "203.0.113.9"),
                async {
                    while world.state.core.passwords.threads().depth().1 < places + 2 {
                        tokio::task::yield_now().await;
                    }
                    drop(release);
                }
            )
        };
        tokio::join!(others, kept)
    };
    let (flood, (others, (step_up, regular, ()))) = tokio::join!(flood, rest);
    assert_eq!((step_up.status, regular.status), (200, 200), "{} {}", step_up.body, regular.body);
    for answer in others {
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let (done, refused): (Vec<_>, Vec<_>) = flood.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(done.len(), places - 5, "the newest of the flood made room");
    for answer in refused {
        assert!(answer.refused("overloaded").header("retry-after").is_some());
    }
}

#[actix_web::test]
async fn one_user_leaves_connections_for_others() {
    let world = World::with(|settings| settings.database_connections = 8).await;
    let flooding = world.signed_in("alice", "member").await.access;
    let other = world.signed_in("bob", "member").await.access;
    let mut owner = world.connection();
    owner
        .batch_execute("SET idle_in_transaction_session_timeout = 0; BEGIN; LOCK TABLE notes IN SHARE MODE")
        .unwrap();
    let threads = world.state.core.database.threads();
    let note = json!({ "title": "one of many", "body": "" });
    let flood = join_all((0..20).map(|_| world.post("/api/v1/notes", &flooding, note.clone())));
    let rest = async {
        // One user may use at most six of the eight connections.
        while threads.depth() != (6, 14) {
            tokio::task::yield_now().await;
        }
        let answer = world.get("/api/v1/me/sessions", &other).await;
        let depth = threads.depth();
        owner.batch_execute("COMMIT").unwrap();
        (answer, depth)
    };
    let (_, (answer, depth)) = tokio::join!(flood, rest);
    assert_eq!((answer.status, depth), (200, (6, 14)), "answered while the flood waits");
}

#[actix_web::test]
async fn full_database_queue_refuses_the_user_that_fills_it() {
    let world = World::with(|settings| settings.database_connections = 2).await;
    let flooding = world.signed_in("alice", "member").await.access;
    let other = world.signed_in("bob", "member").await.access;
    let mut owner = world.connection();
    owner
        .batch_execute("SET idle_in_transaction_session_timeout = 0; BEGIN; LOCK TABLE notes IN SHARE MODE")
        .unwrap();
    let threads = world.state.core.database.threads();
    let note = json!({ "title": "one of many", "body": "" });
    let answered = Cell::new(0);
    let flood = join_all((0..80).map(async |_| {
        let answer = world.post("/api/v1/notes", &flooding, note.clone()).await;
        answered.set(answered.get() + 1);
        answer
    }));
    let rest = async {
        // One call runs, and 64 wait although a thread is free.
        while threads.depth() != (1, 65) || answered.get() < 14 {
            tokio::task::yield_now().await;
        }
        let answers = join_all((0..4).map(|_| world.get("/api/v1/me/sessions", &other))).await;
        owner.batch_execute("COMMIT").unwrap();
        answers
    };
    let (flood, others) = tokio::join!(flood, rest);
    assert!(others.iter().all(|answer| answer.status == 200));
    let refused: Vec<_> = flood.iter().filter(|answer| answer.body["code"] == "overloaded").collect();
    assert!(refused.len() >= 14, "{}", refused.len());
    for answer in refused {
        assert!(answer.refused("overloaded").header("retry-after").is_some());
    }
}
