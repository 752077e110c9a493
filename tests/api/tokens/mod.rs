//! Signing keys: publishing, rotation, revocation, and verifiers that do not ask the server.

use chrono::TimeDelta;
use doorward::audit::Origin;
use doorward::database::transaction;
use doorward::tokens::private_key::{Algorithm, PrivateKey};
use doorward::tokens::signing_key;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use reqwest::Method;
use serde_json::Value;

use crate::support::{Browser, World};

async fn jwks(world: &World) -> JwkSet {
    let answer = world.ask(Method::GET, "/.well-known/jwks.json").send().await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("public, max-age=300")));
    let text = answer.body.to_string();
    for private in ["\"d\"", "\"p\"", "\"q\"", "\"k\""] {
        assert!(!text.contains(private), "{text}");
    }
    serde_json::from_value(answer.body).expect("a key set")
}

/// Verifies a token as a service does that trusts the published keys and knows nothing else.
async fn verify_offline(world: &World, token: &str) -> jsonwebtoken::errors::Result<Value> {
    let header = decode_header(token)?;
    let keys = jwks(world).await;
    let key = keys
        .find(header.kid.as_deref().unwrap_or_default())
        .ok_or(jsonwebtoken::errors::new_error(jsonwebtoken::errors::ErrorKind::InvalidSignature))?;
    let mut validation = Validation::new(header.alg);
    // The clock of the tests may be ahead of this machine's.
    validation.validate_exp = false;
    validation.set_audience(&["http://doorward.test"]);
    validation.set_issuer(&["http://doorward.test"]);
    Ok(decode::<Value>(token, &DecodingKey::from_jwk(key)?, &validation)?.claims)
}

fn rotate(world: &World, algorithm: Algorithm) -> String {
    let private = PrivateKey::generate(algorithm).expect("a key");
    let keys = &world.state.core.secret_keys;
    let row = transaction(&mut world.connection(), |connection| {
        signing_key::insert(connection, &private, keys, &Origin::command_line())
    });
    row.expect("the database").expect("a key").kid
}

async fn reload(world: &World) {
    world
        .state
        .tokens
        .keys
        .reload(&world.state.core.database, &world.state.core.secret_keys)
        .await
        .expect("the keys");
}

#[actix_web::test]
async fn others_verify_access_tokens_by_the_published_keys_with_every_algorithm() {
    use doorward::config::SigningAlgorithm::{EdDsa, Es256, Rs256};
    for (setting, name) in [(EdDsa, "EdDSA"), (Rs256, "RS256"), (Es256, "ES256")] {
        let world = World::with(|settings| settings.signing_algorithm = setting).await;
        world.user("alice", "member");
        // The key of the new algorithm is published before it signs.
        world.advance(TimeDelta::seconds(601));
        let tokens = world.login("alice").await;
        let header = decode_header(&tokens.access).unwrap();
        assert_eq!(format!("{:?}", header.alg).to_uppercase(), name.to_uppercase());
        assert_eq!(header.typ.as_deref(), Some("at+jwt"));
        assert_eq!(world.get("/api/v1/me", &tokens.access).await.status, 200);
        let claims = verify_offline(&world, &tokens.access).await.expect("a good token");
        let members: Vec<&String> = claims.as_object().unwrap().keys().collect();
        let expected = [
            "iss",
            "sub",
            "aud",
            "exp",
            "iat",
            "nbf",
            "jti",
            "client_id",
            "scope",
            "auth_time",
            "sid",
            "gen",
            "ver",
        ];
        assert_eq!(members, expected);
        assert_eq!(claims["client_id"], "doorward");
    }
}

#[actix_web::test]
async fn a_new_key_is_published_before_it_signs_and_the_old_one_stays_until_its_last_token_is_over() {
    let world = World::new().await;
    world.user("alice", "member");
    let before = world.login("alice").await;
    let old = decode_header(&before.access).unwrap().kid.unwrap();
    let new = rotate(&world, Algorithm::Es256);
    reload(&world).await;
    assert_eq!(jwks(&world).await.keys.len(), 2);
    let still = world.login("alice").await;
    assert_eq!(decode_header(&still.access).unwrap().kid.unwrap(), old);
    world.advance(TimeDelta::seconds(601));
    let after = world.login("alice").await;
    assert_eq!(decode_header(&after.access).unwrap().kid.unwrap(), new);
    assert_eq!(jwks(&world).await.keys.len(), 2, "the last token of the old key lives");
    world.advance(TimeDelta::minutes(7));
    let published = jwks(&world).await;
    assert!(published.find(&old).is_none() && published.find(&new).is_some());
}

#[actix_web::test]
async fn what_a_revoked_key_signed_is_refused_at_the_next_request() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let kid = decode_header(&tokens.access).unwrap().kid.unwrap();
    let revoked = transaction(&mut world.connection(), |connection| {
        signing_key::revoke(connection, &kid, &Origin::command_line())
    });
    assert!(revoked.expect("the database"));
    // The token is also refused before the node reloads its keys.
    world.get("/api/v1/me", &tokens.access).await.refused_with("token_signature_invalid", "refresh", false);
    rotate(&world, Algorithm::Es256);
    reload(&world).await;
    world.get("/api/v1/me", &tokens.access).await.refused("token_signature_invalid");
    assert!(jwks(&world).await.find(&kid).is_none());
    let refreshed = world.refresh(&tokens.refresh).await;
    assert_eq!(world.get("/api/v1/me", &refreshed.text("access_token")).await.status, 200);
}

#[actix_web::test]
async fn keys_are_sealed_anew_when_the_secret_key_changes_and_nobody_is_signed_out() {
    use doorward::secret_key::SecretKeys;
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let old = "a-secret-key-that-only-the-tests-have";
    let both = SecretKeys::derive(["another secret key, of the same length", old]).expect("keys");
    let resealed = transaction(&mut world.connection(), |connection| signing_key::reseal(connection, &both));
    assert_eq!(resealed.expect("the database").expect("all open"), 1);
    let rows = signing_key::list(&mut world.connection()).expect("rows");
    let new = SecretKeys::derive(["another secret key, of the same length"]).expect("keys");
    assert!(signing_key::open(&rows, &new).is_ok());
    let unopened = signing_key::open(&rows, &world.state.core.secret_keys).map(|_| ());
    assert!(unopened.is_err_and(|error| error.to_string().contains("encrypted with a secret key")));
    assert_eq!(world.get("/api/v1/me", &tokens.access).await.status, 200);
}

/// The key signs when its time comes, and the published keys verify its tokens.
#[actix_web::test]
async fn a_key_that_was_published_to_sign_later_stays_published_when_the_one_before_it_is_revoked() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let leaked = decode_header(&tokens.access).unwrap().kid.unwrap();
    let next = rotate(&world, Algorithm::Es256);
    let mut connection = world.connection();
    transaction(&mut connection, |connection| {
        signing_key::revoke(connection, &leaked, &Origin::command_line())
    })
    .unwrap();
    let stopgap = rotate(&world, Algorithm::Es256);
    reload(&world).await;
    let signs = |token: &str| decode_header(token).unwrap().kid.unwrap();
    assert_eq!(signs(&world.login("alice").await.access), stopgap);
    for _ in 0..4 {
        world.advance(TimeDelta::minutes(10));
        reload(&world).await;
        let access = world.login("alice").await.access;
        assert_eq!(signs(&access), next);
        assert!(verify_offline(&world, &access).await.is_ok());
    }
    assert!(jwks(&world).await.find(&stopgap).is_none(), "it has made way");
}

fn revoke(world: &World, kid: &str) -> bool {
    let revoked = transaction(&mut world.connection(), |connection| {
        signing_key::revoke(connection, kid, &Origin::command_line())
    });
    revoked.expect("the database")
}

fn rows(world: &World) -> Vec<signing_key::Row> {
    signing_key::list(&mut world.connection()).expect("rows")
}

#[actix_web::test]
async fn a_key_signs_ten_minutes_after_it_is_published_and_stays_a_minute_longer_than_what_it_signed() {
    let world = World::new().await;
    world.stop_time();
    let first = rows(&world)[0].kid.clone();
    let second = rotate(&world, Algorithm::Es256);
    let of = |kid: &str| rows(&world).into_iter().find(|row| row.kid == kid).expect("a row");
    assert_eq!(of(&second).signs_from - of(&second).published_at, TimeDelta::minutes(10));
    assert_eq!(of(&first).retires_at, Some(of(&second).signs_from + TimeDelta::minutes(6)));
    assert_eq!(of(&second).retires_at, None, "none follows it");
    // If no key signs, a new one signs at once, until the key that was published earlier does.
    assert!(revoke(&world, &first));
    let stopgap = rotate(&world, Algorithm::Es256);
    assert_eq!(of(&stopgap).signs_from, of(&stopgap).published_at);
    assert_eq!(of(&stopgap).retires_at, Some(of(&second).signs_from + TimeDelta::minutes(6)));
}

fn seconds_of_life(token: &str) -> i64 {
    let claims: Value = jsonwebtoken::dangerous::insecure_decode(token).unwrap().claims;
    claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap()
}

async fn is_good(world: &World, access: &str) {
    let answer = world.get("/api/v1/me", access).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[actix_web::test]
async fn rotation_elsewhere_refuses_no_token_of_a_longer_lifetime() {
    let hour = std::time::Duration::from_secs(3_600);
    let long = World::with(|settings| settings.access_token_ttl = hour).await;
    let short = long.another_node().await;
    let before = long.signed_in("alice", "member").await;
    // One rotation is by a command, and one by a node with a shorter lifetime.
    rotate(&long, Algorithm::Es256);
    short.user("root", "admin");
    let mut root = Browser::signed_in(&short, "root").await;
    assert_eq!(root.fill_in("/admin/keys", "/admin/keys/rotate", &[]).await.status, 303);
    for world in [&long, &short] {
        reload(world).await;
    }
    let after = long.login("alice").await;
    assert_eq!(seconds_of_life(&after.access), 3_600);
    let old = rows(&long)[0].clone();
    assert_eq!(old.retires_at, Some(rows(&long)[1].signs_from + TimeDelta::minutes(61)));
    for world in [&long, &short] {
        is_good(world, &before.access).await;
        is_good(world, &after.access).await;
    }
    // The token is valid until its last minute.
    long.advance(TimeDelta::minutes(59));
    is_good(&long, &after.access).await;
    assert!(jwks(&long).await.find(&old.kid).is_some());
}

#[actix_web::test]
async fn restart_with_a_longer_lifetime_refuses_no_token() {
    let before = World::new().await;
    let first = before.signed_in("alice", "member").await;
    rotate(&before, Algorithm::Es256);
    reload(&before).await;
    let hour = std::time::Duration::from_secs(3_600);
    let after = before.another_node_with(|settings| settings.access_token_ttl = hour).await;
    let tokens = after.login("alice").await;
    assert_eq!(seconds_of_life(&tokens.access), 3_600);
    let refreshed = after.refresh(&first.refresh).await;
    assert_eq!(refreshed.body["expires_in"], 3_600);
    // The first node has not reloaded its keys, except because of the feed.
    for world in [&before, &after] {
        is_good(world, &tokens.access).await;
        is_good(world, &refreshed.text("access_token")).await;
    }
    let retires_at = rows(&before)[0].retires_at;
    assert_eq!(retires_at, Some(rows(&before)[1].signs_from + TimeDelta::minutes(61)));
}

#[actix_web::test]
async fn restart_with_a_shorter_lifetime_refuses_no_token() {
    let hour = std::time::Duration::from_secs(3_600);
    let before = World::with(|settings| settings.access_token_ttl = hour).await;
    let tokens = before.signed_in("alice", "member").await;
    let after = before.another_node().await;
    rotate(&after, Algorithm::Es256);
    reload(&after).await;
    is_good(&after, &tokens.access).await;
    assert_eq!(rows(&after)[0].retires_at, Some(rows(&after)[1].signs_from + TimeDelta::minutes(61)));
}

/// A node of an earlier version computes the retirement from its own lifetime. It knows neither the column
/// nor the table of nodes.
#[actix_web::test]
async fn rotation_by_an_earlier_version_refuses_no_token() {
    let hour = std::time::Duration::from_secs(3_600);
    let world = World::with(|settings| settings.access_token_ttl = hour).await;
    let tokens = world.signed_in("alice", "member").await;
    world.sql(
        "BEGIN;
         UPDATE signing_keys SET retires_at = now() + interval '16 minutes';
         INSERT INTO signing_keys (kid, algorithm, sealed_key, public_jwk, published_at, signs_from)
         SELECT 'x', algorithm, sealed_key, public_jwk, now(), now() + interval '10 minutes' FROM signing_keys;
         COMMIT",
    );
    let [old, new] = <[_; 2]>::try_from(rows(&world)).unwrap_or_else(|_| panic!("two keys"));
    assert_eq!(old.retires_at, Some(new.signs_from + TimeDelta::minutes(61)));
    assert_eq!(new.longest_ttl_seconds, 86_400, "nobody knows what that version issues");
    world.sql("DELETE FROM signing_keys WHERE kid = 'x'");
    reload(&world).await;
    is_good(&world, &tokens.access).await;
}

#[actix_web::test]
async fn node_issues_no_longer_token_than_its_key_has_stored() {
    let world = World::new().await;
    world.user("alice", "member");
    // This happens after a backup was restored, or if a key was created while the node was not seen.
    world.sql("UPDATE signing_keys SET longest_ttl_seconds = 60");
    reload(&world).await;
    let bounded = world.login("alice").await;
    assert_eq!(seconds_of_life(&bounded.access), 60);
    doorward::operations::signing_keys::ReloadSigningKeys.run(&world.state).await.expect("the keys");
    assert_eq!(seconds_of_life(&world.login("alice").await.access), 300);
    assert_eq!(rows(&world)[0].longest_ttl_seconds, 300);
}

#[actix_web::test]
async fn token_expires_with_its_key() {
    let world = World::new().await;
    world.user("alice", "member");
    rotate(&world, Algorithm::Es256);
    world.sql(
        "UPDATE signing_keys SET retires_at = now() + interval '100 seconds' WHERE retires_at IS NOT NULL",
    );
    reload(&world).await;
    let login = serde_json::json!({ "username": "alice", "password": crate::support::PASSWORD });
    let answer = world.ask(Method::POST, "/api/v1/auth/login").json(&login).send().await;
    assert!(answer.body["expires_in"].as_i64().is_some_and(|seconds| seconds <= 100), "{}", answer.body);
    let access = answer.text("access_token");
    assert!(seconds_of_life(&access) <= 100);
    is_good(&world, &access).await;
}

#[actix_web::test]
async fn key_signs_until_the_next_one_when_the_one_between_is_revoked() {
    let world = World::new().await;
    world.stop_time();
    rotate(&world, Algorithm::Es256);
    world.sql("UPDATE clock.shift SET by = by + interval '5 minutes'");
    rotate(&world, Algorithm::Es256);
    let [first, second, third] = <[_; 3]>::try_from(rows(&world)).unwrap_or_else(|_| panic!("three keys"));
    assert_eq!(first.retires_at, Some(second.signs_from + TimeDelta::minutes(6)));
    assert!(revoke(&world, &second.kid));
    assert_eq!(rows(&world)[0].retires_at, Some(third.signs_from + TimeDelta::minutes(6)));
}

#[actix_web::test]
async fn raised_lifetime_brings_no_retired_key_back() {
    let world = World::new().await;
    rotate(&world, Algorithm::Es256);
    world.advance(TimeDelta::hours(1));
    let before = rows(&world);
    let hour = std::time::Duration::from_secs(3_600);
    let _longer = world.another_node_with(|settings| settings.access_token_ttl = hour).await;
    let after = rows(&world);
    assert_eq!(after[0].retires_at, before[0].retires_at);
    assert_eq!((after[0].longest_ttl_seconds, after[1].longest_ttl_seconds), (300, 3_600));
}

#[actix_web::test]
async fn key_that_signs_at_once_is_known_to_every_node_at_once() {
    let world = World::new().await;
    world.user("alice", "member");
    let other = world.another_node().await;
    for _ in 0..5 {
        let kid = rows(&world).pop().expect("a key").kid;
        let private = PrivateKey::generate(Algorithm::Es256).expect("a key");
        let keys = &world.state.core.secret_keys;
        let replaced = transaction(&mut world.connection(), |connection| {
            signing_key::revoke(connection, &kid, &Origin::command_line())?;
            signing_key::insert(connection, &private, keys, &Origin::command_line())
        });
        replaced.expect("the database");
        reload(&world).await;
        is_good(&other, &world.login("alice").await.access).await;
    }
}

#[actix_web::test]
async fn a_key_is_revoked_once_and_for_as_long_as_anybody_could_sign_with_it() {
    let world = World::new().await;
    let kid = rows(&world)[0].kid.clone();
    assert!(revoke(&world, &kid));
    assert!(!revoke(&world, &kid) && !revoke(&world, "unknown"));
    let told =
        "SELECT count(*) FROM revocations WHERE kind = 'key' AND matters_until > now() + interval '99 years'";
    assert_eq!(world.count(told), 1);
    assert_eq!(world.count("SELECT count(*) FROM audit_events WHERE type = 'signing_key_revoked'"), 1);
}

#[actix_web::test]
async fn a_key_is_made_where_none_may_sign_and_only_there() {
    let world = World::new().await;
    let make = || {
        let keys = &world.state.core.secret_keys;
        let made = transaction(&mut world.connection(), |connection| {
            signing_key::insert_where_none_signs(connection, keys, &Origin::command_line())
        });
        made.expect("the database").map(|row| (row.kid, row.algorithm))
    };
    assert_eq!(make(), None);
    let first = rows(&world)[0].clone();
    let next = rotate(&world, Algorithm::Es256);
    assert!(revoke(&world, &first.kid));
    // A key that is published to sign later does not sign yet.
    let (made, algorithm) = make().expect("a key");
    assert_eq!(algorithm, "ES256", "as the latest");
    assert!(made != next && made != first.kid);
    assert_eq!(make(), None);
}

#[actix_web::test]
async fn a_key_is_listed_by_what_it_is_there_for() {
    use doorward::tokens::key_state::KeyState::{self, Published, Retired, Revoked, Signs, Verifies};
    let world = World::new().await;
    rotate(&world, Algorithm::Es256);
    let [old, new] = <[_; 2]>::try_from(rows(&world)).unwrap_or_else(|_| panic!("two keys"));
    let instant = TimeDelta::microseconds(1);
    let retires_at = old.retires_at.expect("another follows it");
    let both = [old.clone(), new.clone()];
    for (moment, states) in [
        (new.signs_from - instant, [Signs, Published]),
        (new.signs_from, [Verifies, Signs]),
        (retires_at - instant, [Verifies, Signs]),
        (retires_at, [Retired, Signs]),
    ] {
        let found = both.each_ref().map(|row| KeyState::of(row, &both, moment));
        assert_eq!(found, states, "{moment}");
    }
    // If the time of two keys comes at once, one signs, and the other verifies instead of waiting.
    let mut twin = new.clone();
    (twin.kid, twin.retires_at) = ("twin".into(), None);
    let three = [new.clone(), twin];
    assert_eq!(three.each_ref().map(|row| KeyState::of(row, &three, new.signs_from)), [Verifies, Signs]);
    let mut leaked = old;
    leaked.revoked_at = Some(leaked.published_at);
    let both = [leaked, new];
    assert_eq!(both.each_ref().map(|row| KeyState::of(row, &both, both[1].published_at)), [Revoked, Signs]);
    let words = [Signs, Published, Verifies, Retired, Revoked].map(KeyState::as_str);
    assert_eq!(words, ["signs", "published", "verifies", "retired", "revoked"]);
}

#[actix_web::test]
async fn where_only_retired_keys_are_left_another_signs_at_once_and_is_published() {
    let world = World::new().await;
    world.user("alice", "member");
    let first = rows(&world)[0].kid.clone();
    let second = rotate(&world, Algorithm::Es256);
    world.advance(TimeDelta::hours(1));
    reload(&world).await;
    assert!(jwks(&world).await.find(&first).is_none(), "it has retired");
    assert!(revoke(&world, &second));
    assert!(!signing_key::may_sign(&mut world.connection()).expect("the database"));
    let third = rotate(&world, Algorithm::Es256);
    reload(&world).await;
    let access = world.login("alice").await.access;
    assert_eq!(decode_header(&access).unwrap().kid, Some(third));
    assert!(verify_offline(&world, &access).await.is_ok());
    assert_eq!(world.get("/api/v1/me", &access).await.status, 200);
}

#[actix_web::test]
async fn a_key_whose_successor_is_revoked_signs_on_and_stays_published() {
    let world = World::new().await;
    world.user("alice", "member");
    let first = rows(&world)[0].kid.clone();
    let second = rotate(&world, Algorithm::Es256);
    assert!(revoke(&world, &second));
    for _ in 0..3 {
        world.advance(TimeDelta::hours(1));
        reload(&world).await;
        let access = world.login("alice").await.access;
        assert_eq!(decode_header(&access).unwrap().kid.as_ref(), Some(&first));
        assert!(verify_offline(&world, &access).await.is_ok());
    }
}

#[actix_web::test]
async fn whoever_got_hold_of_a_retired_key_signs_nothing_that_is_good() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let first = decode_header(&tokens.access).unwrap();
    rotate(&world, Algorithm::Es256);
    world.advance(TimeDelta::hours(1));
    reload(&world).await;
    let ring = signing_key::open(&rows(&world), &world.state.core.secret_keys).expect("keys");
    let key = ring.find(first.kid.as_deref().unwrap()).unwrap();
    let mut claims: Value = jsonwebtoken::dangerous::insecure_decode(&tokens.access).unwrap().claims;
    let now = world.state.core.clock.now().timestamp();
    claims["exp"] = (now + 300).into();
    let forged = jsonwebtoken::encode(&first, &claims, key.encoding_key()).unwrap();
    for _ in 0..2 {
        world.get("/api/v1/me", &forged).await.refused("token_signature_invalid");
    }
    // Its former tokens are reported as expired.
    world.get("/api/v1/me", &tokens.access).await.refused("token_expired");
}
