//! Publishing, rotating and revoking signing keys.

use chrono::TimeDelta;
use doorward::audit::Origin;
use doorward::database::transaction;
use doorward::tokens::private_key::{Algorithm, PrivateKey};
use doorward::tokens::signing_key;
use doorward_test::World;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde_json::Value;

use super::{is_good, jwks, reload, revoke, rotate, rows};

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

#[actix_web::test]
async fn access_tokens_verify_offline_with_every_algorithm() {
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
async fn new_key_is_published_early_and_the_old_one_until_it_retires() {
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
async fn tokens_of_a_revoked_key_are_refused_at_the_next_request() {
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
async fn resealing_under_a_new_secret_key_keeps_tokens_valid() {
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
async fn published_next_key_survives_revoking_its_predecessor() {
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

#[actix_web::test]
async fn key_signs_until_the_next_when_the_one_between_is_revoked() {
    let world = World::new().await;
    world.stop_time();
    rotate(&world, Algorithm::Es256);
    world.sql_and_clear_cache("UPDATE clock.shift SET by = by + interval '5 minutes'");
    rotate(&world, Algorithm::Es256);
    let [first, second, third] = <[_; 3]>::try_from(rows(&world)).unwrap_or_else(|_| panic!("three keys"));
    assert_eq!(first.retires_at, Some(second.signs_from + TimeDelta::minutes(6)));
    assert!(revoke(&world, &second.kid));
    assert_eq!(rows(&world)[0].retires_at, Some(third.signs_from + TimeDelta::minutes(6)));
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
async fn key_is_revoked_once_and_its_revocation_lasts_a_century() {
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
async fn key_is_created_only_if_no_key_can_sign() {
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
async fn key_state_follows_its_timestamps() {
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
async fn new_key_signs_at_once_when_only_retired_keys_are_left() {
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
async fn key_whose_successor_is_revoked_keeps_signing() {
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
async fn tokens_forged_with_a_retired_key_are_refused() {
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
