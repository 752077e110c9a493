//! The description of the API against what answers, and the pages beside it.

use std::collections::BTreeSet;

use doorward::app::openapi::{document, documented_path};
use doorward::config::SimplejwtRoutes;
use doorward::problem::Code;
use reqwest::Method;

use crate::support::World;

/// Every operation but the pages', as it is described and as it is routed, with this setting.
fn operations(simplejwt: SimplejwtRoutes) -> [BTreeSet<String>; 2] {
    let document = document("http://doorward.test", simplejwt);
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut described = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        described.extend(
            item.as_object().unwrap().keys().map(|method| format!("{} {path}", method.to_uppercase())),
        );
    }
    let mut routed = BTreeSet::new();
    let pages: BTreeSet<&str> =
        doorward::pages::routes().iter().map(doorward::routing::Endpoint::path).collect();
    let endpoints = doorward::app::routes(simplejwt).into_iter();
    for endpoint in endpoints.filter(|endpoint| !pages.contains(endpoint.path())) {
        let methods =
            endpoint.methods().into_iter().filter(|method| *method != actix_web::http::Method::HEAD);
        routed.extend(methods.map(|method| format!("{method} {}", documented_path(endpoint.path()))));
    }
    // A redirect to a page.
    routed.retain(|route| !route.ends_with(" /docs"));
    [described, routed]
}

#[test]
fn every_route_is_described_and_every_description_has_its_route() {
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
fn simplejwts_routes_are_described_in_its_words_and_leave_no_trace_where_they_are_off() {
    let on = document("http://doorward.test", SimplejwtRoutes::Rotate);
    let obtain = &on["paths"]["/api/token/"]["post"];
    let kinds: Vec<&String> = obtain["requestBody"]["content"].as_object().unwrap().keys().collect();
    assert_eq!(kinds.len(), 3, "{kinds:?}");
    let refused = &obtain["responses"]["401"]["content"];
    let schema = &refused["application/json"]["schema"]["$ref"];
    assert_eq!(schema, "#/components/schemas/SimplejwtRefusal", "{obtain}");
    assert_eq!(dangling(&on), None);
    let off = document("http://doorward.test", SimplejwtRoutes::Off);
    assert!(!off.to_string().to_lowercase().contains("simplejwt"));
}

fn dangling(document: &serde_json::Value) -> Option<String> {
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let text = document.to_string();
    let mut named = text.split("#/components/schemas/").skip(1).map(|rest| rest.split('"').next().unwrap());
    named.find(|name| !schemas.contains_key(*name)).map(str::to_owned)
}

#[test]
fn every_code_stands_in_the_document_and_some_operation_answers_with_it() {
    let document = document("http://doorward.test", SimplejwtRoutes::Off);
    let codes =
        document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"].as_array().unwrap();
    assert_eq!(codes.len(), Code::ALL.len());
    let operations = document["paths"].to_string();
    for code in Code::ALL {
        assert!(operations.contains(&format!("\"{code}\"")), "{code}");
    }
    assert_eq!(dangling(&document), None);
}

#[actix_web::test]
async fn the_document_and_its_viewer_are_served_without_any_outside_host() {
    let world = World::new().await;
    let served = world.ask(Method::GET, "/openapi.json").send().await;
    assert_eq!(served.body, document("http://doorward.test", SimplejwtRoutes::Off));
    let page = world.ask(Method::GET, "/docs/").send().await;
    assert_eq!(page.status, 200);
    let html = page.body.as_str().unwrap();
    assert!(html.contains("swagger-ui"), "{html}");
    assert!(!html.contains("https://") && !html.contains("src=\"//"), "{html}");
    assert_eq!(world.ask(Method::GET, "/docs/swagger-ui-bundle.js").send().await.status, 200);
    world.ask(Method::GET, "/docs/nothing.js").send().await.refused("not_found");
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
