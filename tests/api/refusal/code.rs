//! Compares the catalogue with a second copy of it, so that a change of a published code is deliberate.

use doorward::refusal::{Action, Challenge, Code};

const BARE: Challenge = Challenge::Bare;
const NONE: Challenge = Challenge::Absent;
const REQUEST: Challenge = Challenge::Error("invalid_request");
const TOKEN: Challenge = Challenge::Error("invalid_token");

/// Code, status, challenge, action, whether it is terminal, and members.
type Row = (&'static str, u16, Challenge, Action, bool, &'static [&'static str]);

#[test]
fn codes_match_their_second_copy() {
    use Action::{ContactAdmin, FixRequest, Login, Refresh, RequestAccess, StepUp, Wait};
    let too_old = Challenge::Error("insufficient_user_authentication");
    let table: [Row; 39] = [
        ("credentials_missing", 401, BARE, Login, false, &[]),
        ("scheme_unsupported", 401, BARE, FixRequest, false, &["scheme"]),
        ("credentials_malformed", 400, REQUEST, FixRequest, false, &[]),
        ("credentials_ambiguous", 400, REQUEST, FixRequest, false, &[]),
        ("token_malformed", 401, TOKEN, FixRequest, false, &[]),
        ("token_signature_invalid", 401, TOKEN, Refresh, false, &[]),
        ("token_expired", 401, TOKEN, Refresh, false, &["expired_at"]),
        ("token_not_yet_valid", 401, TOKEN, Wait, false, &["valid_from"]),
        ("token_issuer_mismatch", 401, TOKEN, Refresh, false, &["expected", "found"]),
        ("token_audience_mismatch", 401, TOKEN, Refresh, false, &["expected", "found"]),
        ("token_type_mismatch", 401, TOKEN, FixRequest, false, &["expected", "found"]),
        ("token_unknown", 401, TOKEN, Login, false, &[]),
        ("token_revoked", 401, TOKEN, Refresh, false, &["revoked_at", "reason"]),
        ("session_ended", 401, TOKEN, Login, true, &["ended_at", "reason"]),
        ("session_expired", 401, TOKEN, Login, true, &["expired_at"]),
        ("authentication_too_old", 401, too_old, StepUp, false, &["auth_time", "max_age"]),
        ("account_disabled", 401, TOKEN, ContactAdmin, false, &[]),
        ("account_deleted", 401, TOKEN, ContactAdmin, true, &[]),
        ("invalid_credentials", 401, BARE, Login, false, &[]),
        ("refresh_token_reused", 401, TOKEN, Login, true, &[]),
        ("refresh_token_unknown", 401, TOKEN, Login, true, &[]),
        (
            "insufficient_scope",
            403,
            Challenge::Error("insufficient_scope"),
            Refresh,
            false,
            &["required", "granted"],
        ),
        ("permission_denied", 403, NONE, RequestAccess, false, &["required", "role"]),
        ("not_owner", 403, NONE, RequestAccess, false, &[]),
        ("csrf_failed", 403, NONE, FixRequest, false, &[]),
        ("preflight_refused", 403, NONE, FixRequest, false, &[]),
        ("too_many_attempts", 429, NONE, Wait, false, &["retry_after"]),
        ("overloaded", 503, NONE, Wait, false, &["retry_after"]),
        ("database_unavailable", 503, NONE, Wait, false, &["retry_after"]),
        ("malformed_json", 400, NONE, FixRequest, false, &[]),
        ("validation_failed", 422, NONE, FixRequest, false, &["errors"]),
        ("unsupported_media_type", 415, NONE, FixRequest, false, &[]),
        ("payload_too_large", 413, NONE, FixRequest, false, &[]),
        ("not_found", 404, NONE, FixRequest, false, &[]),
        ("method_not_allowed", 405, NONE, FixRequest, false, &[]),
        ("conflict", 409, NONE, FixRequest, false, &["pointer"]),
        ("last_admin", 409, NONE, FixRequest, false, &[]),
        ("precondition_failed", 412, NONE, FixRequest, false, &[]),
        ("internal_error", 500, NONE, ContactAdmin, false, &[]),
    ];
    assert_eq!(Code::ALL.len(), table.len());
    for (code, (name, status, challenge, action, terminal, members)) in Code::ALL.iter().zip(table) {
        let found =
            (code.as_str(), code.status().as_u16(), code.challenge(), code.action(), code.is_terminal());
        assert_eq!(found, (name, status, challenge, action, terminal));
        assert_eq!(code.members(), members, "{name}");
        let page = code.page();
        assert!(page.meaning.len() > 30 && !page.causes.is_empty() && page.for_user.len() > 10, "{name}");
    }
}

#[actix_web::test]
async fn problem_members_have_the_documented_order() {
    let world = doorward_test::World::new().await;
    let refused =
        world.ask(reqwest::Method::GET, "/api/v1/me").header("authorization", "Token x").send().await;
    let members: Vec<&String> = refused.body.as_object().unwrap().keys().collect();
    let expected = [
        "type",
        "title",
        "status",
        "detail",
        "instance",
        "code",
        "request_id",
        "action",
        "terminal",
        "server_time",
        "scheme",
    ];
    assert_eq!(members, expected);
}

mod panics {
    use actix_web::dev::{Service, ServiceResponse};
    use actix_web::http::StatusCode;
    use actix_web::middleware::from_fn;
    use actix_web::{App, HttpResponse, test, web};
    use doorward::app::middleware::finish::finish;
    use doorward::app::route_table;
    use doorward::clock::Clock;
    use doorward::config::SimplejwtRoutes;
    use doorward::refusal::RenderContext;

    async fn explode() -> HttpResponse {
        panic!("on purpose, with a secret");
    }

    async fn refuse_panic(path: &str, accept: &str) -> HttpResponse {
        let app = App::new()
            .app_data(web::Data::new(RenderContext { base: "http://x".into(), clock: Clock::default() }))
            .app_data(web::Data::new(route_table(SimplejwtRoutes::On)))
            .wrap(from_fn(finish))
            .route("/fine", web::get().to(HttpResponse::Ok))
            .default_service(web::to(explode));
        let app = test::init_service(app).await;
        let request = test::TestRequest::get().uri(path).insert_header(("accept", accept)).to_request();
        let Err(error) = test::try_call_service(&app, request).await else { panic!("{path}: no panic") };
        let fine = app.call(test::TestRequest::get().uri("/fine").to_request()).await;
        assert_eq!(fine.map(|fine: ServiceResponse<_>| fine.status()).unwrap(), StatusCode::OK);
        error.error_response()
    }

    #[actix_web::test]
    async fn panic_returns_500_in_the_dialect_of_the_endpoint() {
        for (path, accept, content_type) in [
            ("/api/v1/me", "text/html", "application/problem+json"),
            ("/api/v1/notes/7", "*/*", "application/problem+json"),
            ("/api/nothing", "text/html", "application/problem+json"),
            ("/api/token/", "text/html", "application/json"),
            ("/api/%74oken/", "*/*", "application/json"),
            ("/", "*/*", "text/html; charset=utf-8"),
            ("/account", "*/*", "text/html; charset=utf-8"),
            ("/account/nothing", "*/*", "text/html; charset=utf-8"),
            ("/admin/users/7", "application/json", "text/html; charset=utf-8"),
            ("/problems/not_found", "text/html", "text/html; charset=utf-8"),
            ("/problems/not_found", "application/json", "application/problem+json"),
            ("/nothing", "text/html", "text/html; charset=utf-8"),
            ("/nothing", "*/*", "application/problem+json"),
        ] {
            let answer = refuse_panic(path, accept).await;
            assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
            assert_eq!(answer.headers().get("content-type").unwrap(), content_type, "{path} {accept}");
            assert!(answer.headers().contains_key("x-request-id"));
            let body = actix_web::body::to_bytes(answer.into_body()).await.unwrap();
            let text = String::from_utf8(body.to_vec()).unwrap();
            assert!(text.contains("internal_error") && !text.contains("on purpose"), "{text}");
        }
    }
}
