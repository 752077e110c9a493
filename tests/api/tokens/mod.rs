//! Signing keys: publishing, rotation, revocation, and verifiers that do not ask the server.

mod lifetimes;
mod signing_keys;

use doorward::audit::Origin;
use doorward::database::transaction;
use doorward::tokens::private_key::{Algorithm, PrivateKey};
use doorward::tokens::signing_key;
use doorward_test::World;
use jsonwebtoken::jwk::JwkSet;
use reqwest::Method;

async fn jwks(world: &World) -> JwkSet {
    let answer = world.ask(Method::GET, "/.well-known/jwks.json").send().await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("public, max-age=300")));
    let text = answer.body.to_string();
    for private in ["\"d\"", "\"p\"", "\"q\"", "\"k\""] {
        assert!(!text.contains(private), "{text}");
    }
    serde_json::from_value(answer.body).expect("a key set")
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

fn revoke(world: &World, kid: &str) -> bool {
    let revoked = transaction(&mut world.connection(), |connection| {
        signing_key::revoke(connection, kid, &Origin::command_line())
    });
    revoked.expect("the database")
}

fn rows(world: &World) -> Vec<signing_key::Row> {
    signing_key::list(&mut world.connection()).expect("rows")
}

async fn is_good(world: &World, access: &str) {
    let answer = world.get("/api/v1/me", access).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}
