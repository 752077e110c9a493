//! The description of the API matches the routes and their responses. Also tests the pages for it.

use std::collections::BTreeSet;

use doorward::app::openapi::document;
use doorward::app::routes;
use doorward::config::SimplejwtRoutes;
use doorward::refusal::Code;
use doorward_test::World;
use reqwest::Method;

/// Returns every operation except those of pages, as described and as routed, with this setting.
fn operations(simplejwt: SimplejwtRoutes) -> [BTreeSet<String>; 2] {
    let document = document("http://doorward.test", &routes(simplejwt));
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut described = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        described.extend(
            item.as_object().unwrap().keys().map(|method| format!("{} {path}", method.to_uppercase())),
        );
    }
    let mut routed = BTreeSet::new();
    let pages: BTreeSet<&str> =
        doorward::pages::routes().iter().map(doorward::http::routing::Endpoint::path).collect();
    let endpoints = routes(simplejwt).into_iter();
    for endpoint in endpoints.filter(|endpoint| !pages.contains(endpoint.path())) {
        let methods =
            endpoint.methods().into_iter().filter(|method| *method != actix_web::http::Method::HEAD);
        routed.extend(methods.map(|method| format!("{method} {}", endpoint.path())));
    }
    // The reference and its viewer are pages.
    routed.retain(|route| !route.contains(" /docs"));
    [described, routed]
}

#[test]
fn document_describes_exactly_the_routes() {
    let [described, routed] = operations(SimplejwtRoutes::Off);
    assert_eq!(described, routed);
    let [described_more, routed_more] = operations(SimplejwtRoutes::On);
    assert_eq!(described_more, routed_more);
    let more: Vec<&String> = described_more.difference(&described).collect();
    let simplejwt = [
        "POST /api/token/",
        "POST /api/token/blacklist/",
        "POST /api/token/refresh/",
        "POST /api/token/verify/",
    ];
    assert_eq!(more, simplejwt);
}

#[test]
fn simplejwt_routes_are_described_only_when_enabled() {
    let on = document("http://doorward.test", &routes(SimplejwtRoutes::Rotate));
    let obtain = &on["paths"]["/api/token/"]["post"];
    let kinds: Vec<&String> = obtain["requestBody"]["content"].as_object().unwrap().keys().collect();
    assert_eq!(kinds.len(), 3, "{kinds:?}");
    let refused = &obtain["responses"]["401"]["content"];
    let schema = &refused["application/json"]["schema"]["$ref"];
    assert_eq!(schema, "#/components/schemas/SimplejwtRefusal", "{obtain}");
    assert_eq!(dangling(&on), None);
    let off = document("http://doorward.test", &routes(SimplejwtRoutes::Off));
    assert!(!off.to_string().to_lowercase().contains("simplejwt"));
}

#[test]
fn simplejwt_body_refusal_is_described_in_both_forms() {
    let document = document("http://doorward.test", &routes(SimplejwtRoutes::On));
    let refused =
        &document["paths"]["/api/token/"]["post"]["responses"]["400"]["content"]["application/json"];
    let schema = refused["schema"]["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
    let forms = document["components"]["schemas"][schema]["oneOf"].to_string();
    assert!(forms.contains("SimplejwtFieldErrors") && forms.contains("SimplejwtRefusal"), "{forms}");
}

/// Returns the schema of an operation's body.
fn body_schema<'a>(document: &'a serde_json::Value, path: &str, method: &str) -> &'a serde_json::Value {
    let body = &document["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"];
    let name = body["$ref"].as_str().unwrap_or_else(|| panic!("{method} {path}: {body}"));
    &document["components"]["schemas"][name.rsplit('/').next().unwrap()]
}

#[test]
fn body_schemas_have_the_bounds_that_are_enforced() {
    let document = document("http://doorward.test", &routes(SimplejwtRoutes::Off));
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if operation.get("requestBody").is_some() {
                let schema = body_schema(&document, path, method);
                assert_eq!(
                    schema["additionalProperties"], false,
                    "{method} {path}: unknown members are refused"
                );
            }
        }
    }
    let logout = &document["paths"]["/api/v1/auth/logout"]["post"]["requestBody"];
    assert_eq!(logout["required"], false, "it may be left out, and null is no body");
    let member = |path, method, name: &str| body_schema(&document, path, method)["properties"][name].clone();
    let expires_in = member("/api/v1/me/tokens", "post", "expires_in");
    assert_eq!((&expires_in["minimum"], &expires_in["maximum"]), (&1.into(), &315_360_000.into()));
    let username = member("/api/v1/me", "patch", "username");
    assert_eq!((&username["type"], &username["maxLength"]), (&"string".into(), &150.into()), "not null");
    let device = member("/api/v1/auth/login", "post", "device");
    assert_eq!((&device["minLength"], &device["maxLength"]), (&1.into(), &100.into()));
    let scope = member("/api/v1/me/tokens", "post", "scope").to_string();
    assert!(scope.contains("schemas/Scope"), "a text or a list: {scope}");
    let method = member("/api/v1/auth/explain", "post", "method");
    assert!(method["pattern"].is_string(), "{method}");
    let status = member("/api/v1/users/{id}", "patch", "status").to_string();
    assert!(status.contains("schemas/Status"), "{status}");
}

#[test]
fn timestamps_and_conditional_headers_are_described() {
    let document = document("http://doorward.test", &routes(SimplejwtRoutes::Off));
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let members = schema["properties"].as_object().into_iter().flatten();
        for (member, described) in members.filter(|(member, _)| member.ends_with("_at")) {
            assert_eq!(described["format"], "date-time", "{name}.{member}");
        }
    }
    for (method, header) in
        [("get", "If-None-Match"), ("patch", "If-Match"), ("put", "If-Match"), ("delete", "If-Match")]
    {
        let parameters = document["paths"]["/api/v1/notes/{id}"][method]["parameters"].as_array().unwrap();
        assert!(parameters.iter().any(|one| one["name"] == header && one["in"] == "header"), "{method}");
    }
}

fn dangling(document: &serde_json::Value) -> Option<String> {
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let text = document.to_string();
    let mut named = text.split("#/components/schemas/").skip(1).map(|rest| rest.split('"').next().unwrap());
    named.find(|name| !schemas.contains_key(*name)).map(str::to_owned)
}

#[test]
fn every_code_is_in_the_document_and_in_some_operation() {
    let document = document("http://doorward.test", &routes(SimplejwtRoutes::Off));
    let codes =
        document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"].as_array().unwrap();
    assert_eq!(codes.len(), Code::ALL.len());
    let operations = document["paths"].to_string();
    // The document has no operation for a preflight.
    for code in Code::ALL.iter().filter(|code| **code != Code::PreflightRefused) {
        assert!(operations.contains(&format!("\"{code}\"")), "{code}");
    }
    assert_eq!(dangling(&document), None);
}

#[actix_web::test]
async fn document_and_viewer_are_served_without_an_outside_host() {
    let world = World::new().await;
    let served = world.ask(Method::GET, "/openapi.json").send().await;
    assert_eq!(served.body, document("http://doorward.test", &routes(SimplejwtRoutes::Off)));
    let page = world.ask(Method::GET, "/docs/try").send().await;
    assert_eq!(page.status, 200);
    let html = page.body.as_str().unwrap();
    assert!(html.contains("swagger-ui"), "{html}");
    assert!(!html.contains("https://") && !html.contains("src=\"//"), "{html}");
    assert_eq!(world.ask(Method::GET, "/docs/viewer/swagger-ui-bundle.js").send().await.status, 200);
    world.ask(Method::GET, "/docs/viewer/nothing.js").send().await.refused("not_found");
}

#[actix_web::test]
async fn reference_lists_every_operation_without_script() {
    let world = World::new().await;
    let page = world.ask(Method::GET, "/docs/").send().await;
    assert_eq!(page.status, 200);
    let html = page.body.as_str().unwrap();
    let document = document("http://doorward.test", &routes(SimplejwtRoutes::Off));
    for (path, item) in document["paths"].as_object().unwrap() {
        assert!(html.contains(&format!("<code>{path}</code>")), "{path}");
        for operation in item.as_object().unwrap().values() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(html.contains(&format!("id=\"{id}\"")), "{id}");
        }
    }
    assert!(html.contains("the permission <code>users:write</code> and a recent sign-in"), "{html}");
    assert!(html.contains("href=\"/problems/last_admin\""), "{html}");
    assert!(html.len() < 60_000, "{}", html.len());
}

#[actix_web::test]
async fn document_and_viewer_are_sent_compressed() {
    let world = World::new().await;
    for (path, most) in [
        ("/openapi.json", 60_000),
        ("/docs/viewer/swagger-ui-bundle.js", 500_000),
        ("/docs/viewer/swagger-ui.css", 40_000),
    ] {
        let answer = world.ask(Method::GET, path).header("accept-encoding", "gzip").send().await;
        assert_eq!((answer.status, answer.header("content-encoding")), (200, Some("gzip")), "{path}");
        assert_eq!(answer.header("vary"), Some("Accept-Encoding"), "{path}");
        let bytes: usize = answer.header("content-length").unwrap().parse().unwrap();
        assert!(bytes < most, "{path}: {bytes}");
    }
}

#[test]
fn operations_have_unique_ids_of_one_form_and_a_sentence() {
    let document = document("http://doorward.test", &routes(SimplejwtRoutes::On));
    let groups: Vec<&str> =
        document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id), "{method} {path}: {id} is used twice");
            assert!(id.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{id}");
            if let Some(rest) = path.strip_prefix("/api/v1/") {
                let words = rest.split('/').filter(|word| !word.starts_with('{'));
                let words: Vec<String> = words.map(|word| word.replace('-', "_")).collect();
                assert!(id.starts_with(&words.join("_")), "{method} {path}: {id}");
            }
            let summary = operation["summary"].as_str().unwrap();
            assert!(summary.ends_with('.') && summary.matches(". ").count() == 0, "{id}: {summary}");
            let is_command = !summary.split(' ').next().unwrap().ends_with('s');
            assert!(is_command, "{id}: {summary}");
            assert!(groups.contains(&operation["tags"][0].as_str().unwrap()), "{id}");
        }
    }
}

#[test]
fn every_listed_refusal_has_its_own_true_example() {
    let document = document("http://doorward.test", &routes(SimplejwtRoutes::Off));
    let mut count = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            for (status, response) in operation["responses"].as_object().unwrap() {
                let content = &response["content"]["application/problem+json"];
                for code in refusals(&document, path, method, status) {
                    let link = content["examples"][&code]["$ref"].as_str().unwrap();
                    let example = document.pointer(link.strip_prefix('#').unwrap()).unwrap();
                    let shown = &example["value"];
                    assert_eq!(shown["code"], code.as_str(), "{method} {path}");
                    assert_eq!(shown["status"].to_string(), *status, "{method} {path}: {code}");
                    let help = format!("http://doorward.test/problems/{code}");
                    assert_eq!(shown["type"], help.as_str(), "{method} {path}");
                    count += 1;
                }
            }
        }
    }
    assert!(count > 500, "{count}");
    assert_eq!(document["components"]["schemas"]["Scope"]["examples"], serde_json::json!(["notes:read"]));
}

#[actix_web::test]
async fn every_code_has_a_page() {
    let world = World::new().await;
    let list = world.ask(Method::GET, "/problems").send().await;
    for code in Code::ALL {
        assert!(list.body.as_str().unwrap().contains(code.as_str()), "{code}");
        let page = world.ask(Method::GET, &format!("/problems/{code}")).send().await;
        assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
        assert!(
            page.body.as_str().unwrap().contains(code.title().split(['\'', '"']).next().unwrap()),
            "{code}"
        );
    }
    let ask = world.ask(Method::GET, "/problems/session_ended").header("accept", "application/json");
    let entry = ask.send().await;
    assert_eq!(
        (entry.text("code").as_str(), entry.text("title").as_str()),
        ("session_ended", "The session has ended")
    );
    let all = world.ask(Method::GET, "/problems").header("accept", "application/json").send().await;
    assert_eq!(all.body.as_array().unwrap().len(), Code::ALL.len());
    world.ask(Method::GET, "/problems/nonsense").send().await.refused("not_found");
}

/// Returns the codes that an operation's description has for this status.
fn refusals(document: &serde_json::Value, path: &str, method: &str, status: &str) -> Vec<String> {
    let answer = &document["paths"][path][method]["responses"][status]["content"]["application/problem+json"];
    let codes = answer["schema"]["allOf"][1]["properties"]["code"]["enum"].as_array();
    codes.into_iter().flatten().map(|code| code.as_str().unwrap().to_owned()).collect()
}

#[test]
fn operations_list_exactly_the_refusals_they_can_return() {
    let document = document("http://doorward.test", &routes(SimplejwtRoutes::Off));
    let has = |path: &str, method: &str, status: &str, code: &str| {
        refusals(&document, path, method, status).iter().any(|found| found == code)
    };
    let note = "/api/v1/notes/{id}";
    for method in ["get", "patch", "put", "delete"] {
        let changes = method != "get";
        assert!(has(note, method, "404", "not_found"), "{method}");
        assert_eq!(has(note, method, "403", "not_owner"), changes, "{method}");
        assert_eq!(has(note, method, "412", "precondition_failed"), changes, "{method}");
        assert_eq!(has(note, method, "409", "conflict"), changes, "{method}");
    }
    let user = "/api/v1/users/{id}";
    for (method, conflict, last_admin, fresh) in
        [("get", false, false, false), ("patch", true, true, true), ("delete", false, true, true)]
    {
        assert_eq!(has(user, method, "409", "conflict"), conflict, "{method}");
        assert_eq!(has(user, method, "409", "last_admin"), last_admin, "{method}");
        assert_eq!(has(user, method, "401", "authentication_too_old"), fresh, "{method}");
    }
    for path in ["/api/v1/users", "/api/v1/users/{id}/sessions", "/api/v1/users/{id}/tokens"] {
        assert!(!has(path, "get", "401", "authentication_too_old"), "{path}");
    }
    assert!(
        !has("/api/v1/users", "get", "409", "conflict") && has("/api/v1/users", "post", "409", "conflict")
    );
}

#[test]
fn recent_sign_in_is_documented_exactly_where_it_is_required() {
    let document = document("http://doorward.test", &routes(SimplejwtRoutes::Off));
    for endpoint in routes(SimplejwtRoutes::Off) {
        for method in endpoint.methods() {
            let name = method.as_str().to_lowercase();
            if document["paths"][endpoint.path()].get(&name).is_none() {
                continue;
            }
            let said = refusals(&document, endpoint.path(), &name, "401");
            let said = said.iter().any(|code| code == "authentication_too_old");
            let asked = endpoint.rule(&method).is_some_and(|rule| rule.fresh);
            assert_eq!(said, asked, "{method} {}", endpoint.path());
        }
    }
}

#[test]
fn credential_kinds_and_conflict_pointer_are_described() {
    let document = document("http://doorward.test", &routes(SimplejwtRoutes::Off));
    let schemas = &document["components"]["schemas"];
    let kind = schemas["MyCredential"]["properties"]["kind"]["description"].as_str().unwrap();
    for name in ["access_token", "session_cookie", "personal_token"] {
        assert!(kind.contains(name), "{kind}");
    }
    assert!(schemas["Problem"]["description"].as_str().unwrap().contains("pointer"));
    assert_eq!(Code::Conflict.members(), ["pointer"]);
}

#[test]
fn filter_of_audit_events_lists_the_types() {
    let document = document("http://doorward.test", &routes(SimplejwtRoutes::Off));
    let parameters = document["paths"]["/api/v1/audit-events"]["get"]["parameters"].as_array().unwrap();
    let filter = parameters.iter().find(|parameter| parameter["name"] == "type").unwrap();
    let types = filter["schema"]["enum"].as_array().unwrap_or_else(|| panic!("{filter}"));
    assert!(types.contains(&"login_failed".into()) && !types.contains(&"".into()), "{filter}");
}
