//! `/openapi.json` and `/docs/`: the OpenAPI document, generated from the code of the handlers, the reference
//! for people that is made of it, and a viewer that sends requests.

mod texts;
mod viewer;

use std::collections::BTreeSet;
use std::sync::OnceLock;

use actix_web::http::Method;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use crate::api::{audit_events, auth, health, jwks, me, users};
use crate::http::compressed::Compressed;
use crate::http::response::FOR_ALL;
use crate::http::routing::Endpoint;
use crate::operations::issue_tokens::TokenAnswer;
use crate::pages::reference::{self, Group, Operation, Reference};
use crate::refusal::help::Example;
use crate::refusal::{Action, Code, Dialect, FieldError, Refusal};
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
        health::healthz, health::readyz, jwks::jwks, openapi_json,
    ),
    components(schemas(
        TokenAnswer, Action, FieldError, simplejwt::refusal::Detail, simplejwt::refusal::FieldErrors,
        simplejwt::refusal::BodyErrors,
    )),
    security(("bearer" = []), ("basic" = []), ("cookie" = []))
)]
struct Document;

/// The document and the reference. Both are long, so they are generated only once.
pub struct Served {
    document: Bytes,
    /// Compressed at the first request.
    compressed: OnceLock<Compressed>,
    reference: Reference,
}

impl Served {
    #[must_use]
    pub fn new(base: &str, endpoints: &[Endpoint]) -> Self {
        let document = document(base, endpoints);
        let reference = reference_of(&document, endpoints);
        Self { document: document.to_string().into(), compressed: OnceLock::new(), reference }
    }
}

#[must_use]
pub fn routes() -> Vec<Endpoint> {
    let pages = vec![
        Endpoint::at("/docs").get(docs_folder),
        Endpoint::at("/docs/").get(show_reference),
        Endpoint::at("/docs/try").get(viewer::show),
        Endpoint::at("/docs/viewer/{file}").get(viewer::file).codes(&[Code::NotFound]),
    ];
    let pages = pages.into_iter().map(|page| page.refused_as(Dialect::ByAccept));
    std::iter::once(Endpoint::at("/openapi.json").get(openapi_json)).chain(pages).collect()
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
    document["components"]["schemas"]["Scope"]["examples"] = json!(["notes:read"]);
    document["components"]["examples"] = refusal_examples(base);
    leave_out_unserved(&mut document, endpoints);
    refine_bodies(&mut document);
    add_merge_patches(&mut document);
    for endpoint in endpoints {
        for method in endpoint.methods() {
            describe(&mut document, endpoint, &method);
        }
    }
    name_operations(&mut document);
    document
}

/// Returns the response of each code, as its problem page shows it.
fn refusal_examples(base: &str) -> Value {
    let examples: Map<String, Value> = Code::ALL
        .iter()
        .filter_map(|code| {
            let answer = Example::read(code.page().example, base).answer;
            let (_, body) = answer.split_once("\n\n")?;
            let body: Value = serde_json::from_str(body).ok()?;
            Some((code.as_str().to_owned(), json!({ "summary": code.title(), "value": body })))
        })
        .collect();
    Value::Object(examples)
}

/// Gives each operation a unique ID, a sentence and the title of its group, and describes the groups.
fn name_operations(document: &mut Value) {
    let mut used = BTreeSet::new();
    for (path, item) in document["paths"].as_object_mut().into_iter().flatten() {
        for operation in item.as_object_mut().into_iter().flat_map(|item| item.values_mut()) {
            let id = operation_id(path, operation["operationId"].as_str().unwrap_or_default());
            if let Some(summary) = texts::summary(&id) {
                operation["summary"] = json!(summary);
            }
            operation["operationId"] = json!(id);
            let tag = texts::TAGS.iter().find(|tag| operation["tags"] == json!([tag.name]));
            if let Some(tag) = tag {
                operation["tags"] = json!([tag.title]);
                used.insert(tag.name);
            }
        }
    }
    let tags = texts::TAGS.iter().filter(|tag| used.contains(tag.name));
    document["tags"] = tags.map(|tag| json!({ "name": tag.title, "description": tag.about })).collect();
}

/// Returns the ID of an operation of the API: the words of its path, then what it does. Other operations have
/// the name of their handler.
fn operation_id(path: &str, action: &str) -> String {
    let Some(path) = path.strip_prefix("/api/v1/") else { return action.to_owned() };
    let segments = path.split('/').filter(|segment| !segment.starts_with('{'));
    let mut words: Vec<String> = segments.map(|segment| segment.replace('-', "_")).collect();
    if words.last().is_none_or(|last| last != action) {
        words.push(action.to_owned());
    }
    words.join("_")
}

/// Returns the reference for people: each operation of the document with what it requires.
fn reference_of(document: &Value, endpoints: &[Endpoint]) -> Reference {
    let mut groups: Vec<Group> = Vec::new();
    for tag in document["tags"].as_array().into_iter().flatten() {
        let text = |name: &str| tag[name].as_str().unwrap_or_default().to_owned();
        groups.push(Group::new(text("name"), text("description")));
    }
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, described) in item.as_object().into_iter().flatten() {
            let method = method.to_ascii_uppercase();
            let endpoint = endpoints.iter().find(|endpoint| endpoint.path() == path);
            let Ok(name) = Method::from_bytes(method.as_bytes()) else { continue };
            let Some(group) = groups.iter_mut().find(|group| described["tags"][0] == group.title) else {
                continue;
            };
            let text = |name: &str| described[name].as_str().unwrap_or_default().to_owned();
            group.operations.push(Operation {
                id: text("operationId"),
                method,
                path: path.clone(),
                summary: text("summary"),
                description: text("description"),
                is_open: described["security"] == json!([{}]),
                rule: endpoint.and_then(|endpoint| endpoint.rule(&name)),
                codes: endpoint.map(|endpoint| endpoint.problem_codes(&name)).unwrap_or_default(),
            });
        }
    }
    for group in &mut groups {
        group.operations.sort_by_key(|operation| texts::position(&operation.id));
    }
    Reference { groups, codes_of_guard: GUARD.to_vec() }
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
    let path = endpoint.path();
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
        let examples: Map<String, Value> = names
            .iter()
            .map(|name| ((*name).to_owned(), json!({ "$ref": format!("#/components/examples/{name}") })))
            .collect();
        operation["responses"][status.to_string()] = json!({
            "description": format!("Refused: {}", links.join(", ")),
            "content": { "application/problem+json": {
                "schema": {
                    "allOf": [{ "$ref": "#/components/schemas/Problem" },
                              { "properties": { "code": { "enum": names } } }]
                },
                "examples": examples,
            } }
        });
    }
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
async fn openapi_json(request: HttpRequest, served: web::Data<Served>) -> HttpResponse {
    let mut answer = HttpResponse::Ok();
    answer
        .insert_header((CACHE_CONTROL, "public, max-age=300"))
        .insert_header(FOR_ALL)
        .content_type("application/json");
    served.compressed.get_or_init(|| Compressed::new(served.document.clone())).answer(&request, answer)
}

async fn docs_folder() -> HttpResponse {
    HttpResponse::SeeOther().insert_header(("location", "/docs/")).finish()
}

/// Shows the reference.
async fn show_reference(request: HttpRequest, served: web::Data<Served>) -> Result<HttpResponse, Refusal> {
    reference::show(&request, &served.reference).await
}

#[cfg(test)]
mod tests {
    use super::operation_id;

    #[test]
    fn operation_id_is_the_path_and_the_action() {
        for (path, action, id) in [
            ("/api/v1/notes", "list", "notes_list"),
            ("/api/v1/me/tokens/{id}", "revoke", "me_tokens_revoke"),
            ("/api/v1/auth/step-up", "step_up", "auth_step_up"),
            ("/healthz", "healthz", "healthz"),
        ] {
            assert_eq!(operation_id(path, action), id);
        }
    }
}
