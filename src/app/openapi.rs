//! `/openapi.json` and `/docs`: the OpenAPI document, generated from the code of the handlers, and a viewer
//! for it.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use actix_web::web::Bytes;
use actix_web::{HttpResponse, web};
use serde_json::{Value, json};
use utoipa::OpenApi;
use utoipa_swagger_ui::Config;

use crate::api::{audit_events, auth, health, jwks, me, users};
use crate::http::response::{FOR_ALL, in_memory_once};
use crate::http::routing::Endpoint;
use crate::operations::issue_tokens::TokenAnswer;
use crate::refusal::{self, Action, Code, Dialect, FieldError, Refusal};
use crate::resources::notes;
use crate::simplejwt;

/// The codes that the guard can return for every guarded operation.
const GUARD: [Code; 21] = [
    Code::CredentialsMissing,
    Code::SchemeUnsupported,
    Code::CredentialsMalformed,
    Code::CredentialsAmbiguous,
    Code::TokenMalformed,
    Code::TokenSignatureInvalid,
    Code::TokenExpired,
    Code::TokenNotYetValid,
    Code::TokenIssuerMismatch,
    Code::TokenAudienceMismatch,
    Code::TokenTypeMismatch,
    Code::TokenUnknown,
    Code::TokenRevoked,
    Code::SessionEnded,
    Code::SessionExpired,
    Code::AccountDisabled,
    Code::AccountDeleted,
    Code::InsufficientScope,
    Code::PermissionDenied,
    Code::CsrfFailed,
    Code::DatabaseUnavailable,
];

/// The codes that any operation can return.
const ANY: [Code; 4] =
    [Code::MethodNotAllowed, Code::Overloaded, Code::InternalError, Code::DatabaseUnavailable];

/// The codes that any operation with a body can return.
const BODY: [Code; 4] =
    [Code::MalformedJson, Code::ValidationFailed, Code::UnsupportedMediaType, Code::PayloadTooLarge];

#[derive(OpenApi)]
#[openapi(
    info(
        title = "doorward",
        // The version of the API. The version of the server is not disclosed.
        version = "1",
        description = "Authentication and tokens, with a reason for every refusal. Every refusal under /api \
                       is a problem (RFC 9457) with a code. Each code has a page under \
                       [/problems](/problems). The [guide](/docs/guide) describes how a client signs in, \
                       refreshes and reads a refusal."
    ),
    paths(
        auth::login::login, auth::refresh::refresh, auth::logout::logout, auth::register::register, auth::step_up::step_up,
        auth::explain::explain,
        simplejwt::obtain::obtain, simplejwt::refresh::refresh, simplejwt::verify::verify, simplejwt::blacklist::blacklist,
        me::profile::show, me::profile::update, me::password::change,
        me::sessions::list, me::sessions::end_others, me::sessions::end,
        me::tokens::list, me::tokens::create, me::tokens::revoke,
        users::accounts::list, users::accounts::create, users::accounts::show, users::accounts::update,
        users::accounts::delete, users::password::set, users::sessions::list, users::sessions::end_all,
        users::sessions::end, users::tokens::list, users::tokens::revoke_all,
        users::tokens::revoke,
        audit_events::list,
        notes::handlers::list, notes::handlers::create, notes::handlers::show, notes::handlers::update,
        notes::handlers::replace, notes::handlers::delete,
        health::healthz, health::readyz, jwks::jwks, openapi_json, docs,
    ),
    components(schemas(
        TokenAnswer, Action, FieldError, simplejwt::refusal::Detail, simplejwt::refusal::FieldErrors,
        simplejwt::refusal::BodyErrors,
    )),
    security(("bearer" = []), ("basic" = []), ("cookie" = []))
)]
struct Document;

/// The text of the document. It is long, so it is generated only once.
pub struct Served(Bytes);

impl Served {
    #[must_use]
    pub fn new(base: &str, endpoints: &[Endpoint]) -> Self {
        Self(document(base, endpoints).to_string().into())
    }
}

#[must_use]
pub fn routes() -> Vec<Endpoint> {
    vec![
        Endpoint::at("/openapi.json").get(openapi_json),
        Endpoint::at("/docs").refused_as(Dialect::ByAccept).get(docs_folder),
        Endpoint::at("/docs/{file:.*}").refused_as(Dialect::ByAccept).get(docs).codes(&[Code::NotFound]),
    ]
}

/// Returns the OpenAPI document (3.1) of these endpoints, for a server at `base`.
#[must_use]
pub fn document(base: &str, endpoints: &[Endpoint]) -> Value {
    let mut document = serde_json::to_value(Document::openapi()).unwrap_or_default();
    document["servers"] = json!([{ "url": base }]);
    document["components"]["securitySchemes"] = json!({
        "bearer": { "type": "http", "scheme": "bearer",
            "description": "An access token (JWT, RFC 9068) or a personal access token (dwp_…)." },
        "basic": { "type": "http", "scheme": "basic",
            "description": "A username, with a personal access token as the password." },
        "cookie": { "type": "apiKey", "in": "cookie", "name": "doorward",
            "description": "A browser's session. Unsafe requests must come from a page of this server and \
                            carry `credential.csrf_token` of GET /api/v1/me as `X-CSRF-Token`. Over https \
                            the cookie's name is `__Host-doorward`." },
    });
    document["components"]["schemas"]["Problem"] = problem_schema();
    leave_out_unserved(&mut document, endpoints);
    refine_bodies(&mut document);
    add_merge_patches(&mut document);
    for endpoint in endpoints {
        for method in endpoint.methods() {
            describe(&mut document, endpoint, &method);
        }
    }
    document
}

/// Removes simplejwt's routes unless a setting serves them. The generated document always has them.
fn leave_out_unserved(document: &mut Value, endpoints: &[Endpoint]) {
    let is_served = |path: &str| endpoints.iter().any(|endpoint| endpoint.path() == path);
    let unserved: Vec<&str> =
        simplejwt::routes().iter().map(Endpoint::path).filter(|path| !is_served(path)).collect();
    if unserved.is_empty() {
        return;
    }
    if let Some(described) = document["paths"].as_object_mut() {
        described.retain(|path, _| !unserved.contains(&path.as_str()));
    }
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        schemas.retain(|name, _| !name.starts_with("Simplejwt"));
    }
}

/// Adds what the types do not express: a body's unknown members are refused, and an optional body is omitted
/// instead of null.
fn refine_bodies(document: &mut Value) {
    let mut named = Vec::new();
    let Some(paths) = document["paths"].as_object_mut() else { return };
    for operation in paths.values_mut().filter_map(Value::as_object_mut).flat_map(|item| item.values_mut()) {
        if operation["tags"] == json!(["simplejwt"]) {
            continue;
        }
        let Some(body) = operation.get_mut("requestBody") else { continue };
        let schema = &mut body["content"]["application/json"]["schema"];
        let choice =
            schema["oneOf"].as_array().and_then(|of| of.iter().find(|one| one.get("$ref").is_some()));
        if let Some(sent) = choice.cloned() {
            *schema = sent;
            body["required"] = json!(false);
        }
        let name = body["content"]["application/json"]["schema"]["$ref"]
            .as_str()
            .and_then(|at| at.rsplit('/').next());
        named.extend(name.map(str::to_owned));
    }
    for name in named {
        document["components"]["schemas"][name]["additionalProperties"] = json!(false);
    }
}

/// Declares that every PATCH also accepts a merge patch (RFC 7396).
fn add_merge_patches(document: &mut Value) {
    let paths = document["paths"].as_object_mut();
    for item in paths.into_iter().flat_map(|paths| paths.values_mut()) {
        let content = item.pointer_mut("/patch/requestBody/content").and_then(Value::as_object_mut);
        if let Some(content) = content
            && let Some(json) = content.get("application/json").cloned()
        {
            content.insert("application/merge-patch+json".to_owned(), json);
        }
    }
}

/// Adds the refusals that an operation can return.
fn describe(document: &mut Value, endpoint: &Endpoint, method: &Method) {
    let path = documented_path(endpoint.path());
    let name = method.as_str().to_ascii_lowercase();
    let Some(operation) = document["paths"].get_mut(path).and_then(|item| item.get_mut(&name)) else {
        return;
    };
    if operation["tags"] == json!(["simplejwt"]) {
        // The descriptions of simplejwt's routes list their refusals themselves.
        return;
    }
    let is_open = operation["security"] == json!([{}]);
    let mut codes: Vec<Code> = ANY.to_vec();
    codes.extend(endpoint.problem_codes(method));
    if !is_open {
        codes.extend_from_slice(&GUARD);
        if !method.is_safe() {
            codes.push(Code::PreconditionFailed);
        }
    }
    if operation.get("requestBody").is_some() {
        codes.extend_from_slice(&BODY);
    } else if !is_open || operation.get("parameters").is_some() {
        codes.push(Code::ValidationFailed);
    }
    let statuses: BTreeSet<u16> = codes.iter().map(|code| code.status().as_u16()).collect();
    for status in statuses {
        let mut names: Vec<&str> =
            codes.iter().filter(|code| code.status().as_u16() == status).map(|code| code.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let links: Vec<String> = names.iter().map(|name| format!("[`{name}`](/problems/{name})")).collect();
        operation["responses"][status.to_string()] = json!({
            "description": format!("Refused: {}", links.join(", ")),
            "content": { "application/problem+json": { "schema": {
                "allOf": [{ "$ref": "#/components/schemas/Problem" },
                          { "properties": { "code": { "enum": names } } }]
            } } }
        });
    }
}

/// Returns a route's path without patterns, as OpenAPI requires.
#[must_use]
pub fn documented_path(path: &str) -> &str {
    if path == "/docs/{file:.*}" { "/docs/{file}" } else { path }
}

fn problem_schema() -> Value {
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    let members: BTreeSet<&str> = Code::ALL.iter().flat_map(|code| code.members()).copied().collect();
    json!({
        "type": "object",
        "description": format!("A refusal (RFC 9457). Some codes have further members: {}.",
            members.into_iter().collect::<Vec<_>>().join(", ")),
        "required": ["type", "title", "status", "detail", "instance", "code", "request_id", "action", "terminal",
                     "server_time"],
        "properties": {
            "type": { "type": "string", "format": "uri" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string", "description": "What was found and what to do next." },
            "instance": { "type": "string", "format": "uri" },
            "code": { "type": "string", "enum": codes },
            "request_id": { "type": "string", "format": "uuid" },
            "action": { "$ref": "#/components/schemas/Action" },
            "terminal": { "type": "boolean", "description": "The session is over: discard its tokens." },
            "server_time": { "type": "string", "format": "date-time" },
            "errors": { "type": "array", "items": { "$ref": "#/components/schemas/FieldError" } },
        }
    })
}

/// Returns the OpenAPI document.
#[utoipa::path(get, path = "/openapi.json", tag = "documentation", security(()),
    responses((status = 200, description = "This document", body = Object)))]
async fn openapi_json(document: web::Data<Served>) -> HttpResponse {
    let mut answer = HttpResponse::Ok();
    answer
        .insert_header((CACHE_CONTROL, "public, max-age=300"))
        .insert_header(FOR_ALL)
        .content_type("application/json");
    in_memory_once(answer, document.0.clone())
}

async fn docs_folder() -> HttpResponse {
    HttpResponse::SeeOther().insert_header(("location", "/docs/")).finish()
}

/// Serves the viewer of the OpenAPI document.
///
/// All its files come from this server.
#[utoipa::path(get, path = "/docs/{file}", tag = "documentation", security(()),
    params(("file" = String, Path, description = "Nothing, or a file of the viewer")),
    responses((status = 200, description = "The viewer", content_type = "text/html", body = String)))]
async fn docs(file: web::Path<String>) -> Result<HttpResponse, Refusal> {
    // The viewer adds its own inline styles to the page.
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                          img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'";
    let config = Arc::new(Config::from("/openapi.json"));
    let served = utoipa_swagger_ui::serve(&file, config).map_err(|error| {
        tracing::error!(%error, "the API viewer could not be served");
        refusal::internal()
    })?;
    let found =
        served.ok_or_else(|| Refusal::new(Code::NotFound, "The viewer has no such file. See /docs/."))?;
    let mut answer = HttpResponse::Ok();
    answer
        .insert_header((CONTENT_TYPE, found.content_type))
        .insert_header((CACHE_CONTROL, "public, max-age=3600"))
        .insert_header((HeaderName::from_static("content-security-policy"), POLICY));
    Ok(match found.bytes {
        // Copying the file for each reader would take 1.4 MB.
        Cow::Borrowed(bytes) => in_memory_once(answer, Bytes::from_static(bytes)),
        Cow::Owned(bytes) => answer.body(bytes),
    })
}
