//! An account has attempts of its own at the client addresses that it signed in from.

use chrono::TimeDelta;
use doorward_test::{Browser, PASSWORD};

use super::{ELSEWHERE, HOME, guess, held, limited, login, use_up};

#[actix_web::test]
async fn attack_from_elsewhere_does_not_throttle_a_known_address() {
    let world = limited().await;
    world.user("alice", "member");
    assert_eq!(login(&world, HOME, "alice", PASSWORD).await.status, 200);
    use_up(&world, ELSEWHERE, "alice").await;
    held(&guess(&world, ELSEWHERE, "alice").await);
    // From an address that is not known, the owner waits like the attacker.
    held(&login(&world, "203.0.113.5", "alice", PASSWORD).await);
    for _ in 0..10 {
        assert_eq!(login(&world, HOME, "ALICE", PASSWORD).await.status, 200);
        held(&guess(&world, ELSEWHERE, "alice").await);
    }
    let mut browser = Browser::new(&world);
    browser.address = Some(HOME);
    assert_eq!(browser.sign_in("alice", PASSWORD, &[]).await.status, 303);
}

#[actix_web::test]
async fn known_address_counts_only_for_the_account_that_used_it() {
    let world = limited().await;
    world.user("alice", "member");
    world.user("bob", "member");
    login(&world, HOME, "bob", PASSWORD).await;
    use_up(&world, ELSEWHERE, "alice").await;
    held(&login(&world, HOME, "alice", PASSWORD).await);
}

#[actix_web::test]
async fn known_address_has_its_own_free_attempts() {
    let world = limited().await;
    world.user("alice", "member");
    login(&world, HOME, "alice", PASSWORD).await;
    use_up(&world, ELSEWHERE, "alice").await;
    use_up(&world, HOME, "alice").await;
    assert_eq!(held(&login(&world, HOME, "alice", PASSWORD).await), 2);
    world.advance(TimeDelta::seconds(2));
    assert_eq!(login(&world, HOME, "alice", PASSWORD).await.status, 200);
}

#[actix_web::test]
async fn success_from_a_new_address_refunds_only_its_own_attempt() {
    let world = limited().await;
    world.user("alice", "member");
    for _ in 0..4 {
        guess(&world, ELSEWHERE, "alice").await.refused("invalid_credentials");
    }
    assert_eq!(login(&world, HOME, "alice", PASSWORD).await.status, 200);
    guess(&world, ELSEWHERE, "alice").await.refused("invalid_credentials");
    held(&guess(&world, ELSEWHERE, "alice").await);
    let levels = "SELECT round(level)::bigint AS count FROM attempts WHERE kind = 'address' ORDER BY level";
    assert_eq!(world.count(levels), 0, "the owner's address");
}

#[actix_web::test]
async fn shared_address_throttles_the_user_only_at_that_address() {
    let world = limited().await;
    world.user("alice", "member");
    let at_work = "192.0.2.11";
    for address in [HOME, at_work] {
        assert_eq!(login(&world, address, "alice", PASSWORD).await.status, 200);
    }
    use_up(&world, HOME, "alice").await;
    held(&login(&world, HOME, "alice", PASSWORD).await);
    assert_eq!(login(&world, at_work, "alice", PASSWORD).await.status, 200);
}
