//! Compares the routes with djangorestframework-simplejwt itself.

use doorward::config::SimplejwtRoutes;
use doorward_test::PUBLIC_URL;
use serde_json::{Value, json};

use super::{BLACKLIST, SimplejwtClient, world};
use crate::simplejwt::django::{Django, compare};

#[actix_web::test]
async fn responses_match_simplejwt() {
    let world = world(SimplejwtRoutes::On).await;
    compare("on", &Django::start(&[]), &world).await;
}

#[actix_web::test]
async fn responses_match_simplejwt_with_rotation() {
    let world = world(SimplejwtRoutes::Rotate).await;
    let django = Django::start(&[
        "ROTATE_REFRESH_TOKENS=True",
        "BLACKLIST_AFTER_ROTATION=True",
        "CHECK_REVOKE_TOKEN=True",
    ]);
    compare("rotate", &django, &world).await;
}

#[actix_web::test]
async fn rest_framework_service_verifies_access_tokens_offline() {
    let world = world(SimplejwtRoutes::On).await;
    let id = world.user("alice", "member");
    let (keys, issuer, audience) = (
        format!("JWK_URL='{}/.well-known/jwks.json'", world.base),
        format!("ISSUER='{PUBLIC_URL}'"),
        format!("AUDIENCE='{PUBLIC_URL}'"),
    );
    let stateless = "AUTHENTICATION=rest_framework_simplejwt.authentication.JWTStatelessUserAuthentication";
    let known = ["ALGORITHM='ES256'", &keys, &issuer, &audience, stateless];
    // One site has simplejwt's default settings, and one also accepts the tokens of doorward's other routes.
    let plain = Django::start(&known);
    let any = Django::start(&[known.as_slice(), &["USER_ID_CLAIM='sub'", "TOKEN_TYPE_CLAIM=None"]].concat());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask = async |django: &Django, token: &str| {
        let answer = client.get(format!("{}/api/me/", django.base)).bearer_auth(token).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json::<Value>().await.unwrap())
    };
    let (access, refresh) = world.pair("alice").await;
    let (_, told) = ask(&plain, &access).await;
    assert_eq!(told["id"], id.to_string(), "{told}");
    assert_eq!(ask(&any, &access).await.0, 200);
    let of_login = world.login("alice").await.access;
    let (status, refused) = ask(&plain, &of_login).await;
    assert_eq!((status, &refused["messages"][0]["message"]), (401, &json!("Token has no type")));
    assert_eq!(ask(&any, &of_login).await.1["id"], id.to_string());
    assert_eq!(ask(&plain, &refresh).await.0, 401, "a refresh token is none of its business");
    // A service that verifies tokens offline notices a sign-out only when the token expires.
    assert_eq!(world.ask_simplejwt(BLACKLIST, json!({"refresh": refresh})).await.status, 200);
    world.get("/api/v1/me", &access).await.refused("session_ended");
    assert_eq!(ask(&plain, &access).await.0, 200);
    let moved = client.post(format!("{}/control/advance/?seconds=301", plain.base)).send().await.unwrap();
    assert_eq!(moved.status(), 204);
    assert_eq!(ask(&plain, &access).await.1["code"], "token_not_valid");
}
