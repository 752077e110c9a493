//! An account has one budget of guesses for all of its names. A name without an account is charged in the
//! same way.

use doorward_test::{Answer, PASSWORD, World};
use futures_util::future::join_all;

use crate::operations::throttle::{
    ELSEWHERE, HOME, HashCounter, behind_a_proxy, count, guess, held, limited, login,
};

const EMAIL: &str = "al@example.org";

/// Creates an account with a username and an e-mail address.
fn make_alice(world: &World) {
    world.user("alice", "member");
    world.sql(&format!(
        "UPDATE users SET email = '{EMAIL}', email_folded = '{EMAIL}' WHERE username = 'alice'"
    ));
}

async fn guess_in_turns(world: &World, address: &str, names: [&str; 2]) -> Vec<Answer> {
    let mut answers = Vec::new();
    for at in 0..6 {
        answers.push(guess(world, address, names[at % 2]).await);
    }
    answers
}

#[actix_web::test]
async fn username_and_email_share_one_budget() {
    let world = limited().await;
    make_alice(&world);
    assert_eq!(login(&world, HOME, EMAIL, PASSWORD).await.status, 200);
    for address in [ELSEWHERE, HOME] {
        let answers = guess_in_turns(&world, address, ["alice", EMAIL]).await;
        assert_eq!((count(&answers, 401), count(&answers, 429)), (5, 1), "{address}");
        for name in ["alice", EMAIL, "ALICE", "Al@Example.ORG"] {
            held(&login(&world, address, name, PASSWORD).await);
        }
    }
    // Two names without an account have two budgets.
    let answers = guess_in_turns(&world, "192.0.2.77", ["nobody", "no@example.org"]).await;
    assert_eq!(count(&answers, 401), 6);
}

#[actix_web::test]
async fn forty_guesses_by_either_name_cause_five_hashes() {
    let one = limited().await;
    let other = one.another_node_with(behind_a_proxy).await;
    make_alice(&one);
    login(&one, HOME, "alice", PASSWORD).await;
    let nodes = [&one, &other];
    for address in [HOME, ELSEWHERE] {
        let hashes = HashCounter::of(&nodes);
        let names = ["alice", EMAIL];
        let guesses = (0..40).map(|at| guess(nodes[at % 2], address, names[at / 2 % 2]));
        let answers = join_all(guesses).await;
        assert_eq!(hashes.since(), 5, "{address}");
        assert_eq!((count(&answers, 401), count(&answers, 429)), (5, 35), "{address}");
    }
}

#[actix_web::test]
async fn unknown_names_are_charged_like_accounts() {
    let world = limited().await;
    make_alice(&world);
    let rows = || {
        world.text(
            "SELECT coalesce(string_agg(kind || ' ' || round(level) || ' ' || pending, ', ' ORDER BY kind), '') AS text
             FROM attempts",
        )
    };
    let mut charged = Vec::new();
    for name in ["alice", EMAIL, "nobody", "no@example.org"] {
        world.sql("DELETE FROM attempts");
        let answer = guess(&world, ELSEWHERE, name).await;
        charged.push((rows(), answer.status, answer.text("detail"), answer.text("code")));
    }
    charged.dedup();
    assert_eq!(charged.len(), 1, "{charged:?}");
    assert_eq!(charged[0].0, "address 1 0, all 1 0, name 1 0");
}

#[actix_web::test]
async fn renamed_account_keeps_its_used_budget() {
    let world = limited().await;
    make_alice(&world);
    for _ in 0..5 {
        guess(&world, ELSEWHERE, "alice").await.refused("invalid_credentials");
    }
    world.sql("UPDATE users SET username = 'alicia', username_folded = 'alicia' WHERE username = 'alice'");
    held(&guess(&world, ELSEWHERE, "alicia").await);
    guess(&world, ELSEWHERE, "alice").await.refused("invalid_credentials");
}

#[actix_web::test]
async fn rows_of_the_previous_version_do_not_throttle_accounts() {
    let world = limited().await;
    make_alice(&world);
    login(&world, HOME, "alice", PASSWORD).await;
    world.sql(&format!(
        "INSERT INTO attempts (kind, digest, level, pending, counted_at, next_at) VALUES
            ('name', sha256('alice'), 9, 0, now(), now() + interval '5 minutes'),
            ('known_address', sha256('alice' || '\\x00'::bytea || '{HOME}'), 9, 0, now(), now() + interval '5 minutes'),
            ('name', sha256('nobody'), 9, 0, now(), now() + interval '5 minutes')"
    ));
    for address in [HOME, ELSEWHERE] {
        assert_eq!(login(&world, address, "alice", PASSWORD).await.status, 200);
    }
    // The count of a name without an account continues.
    assert_eq!(held(&guess(&world, ELSEWHERE, "nobody").await), 300);
}

#[actix_web::test]
async fn two_spellings_of_an_email_share_one_budget() {
    let world = limited().await;
    world.user("alice", "member");
    world.sql(
        "UPDATE users SET email = 'al@xn--mnchen-3ya.de', email_folded = 'al@xn--mnchen-3ya.de' WHERE username = 'alice'",
    );
    let spellings = ["al@xn--mnchen-3ya.de", "AL@münchen.de"];
    assert_eq!(login(&world, HOME, spellings[1], PASSWORD).await.status, 200);
    for address in [ELSEWHERE, HOME] {
        let answers = guess_in_turns(&world, address, spellings).await;
        assert_eq!((count(&answers, 401), count(&answers, 429)), (5, 1), "{address}");
        held(&login(&world, address, "alice", PASSWORD).await);
    }
}
