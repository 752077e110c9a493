//! The guide, the problem pages and the API reference, as pages.

use doorward::refusal::Code;
use doorward_test::{Browser, World};
use reqwest::Method;

use super::html;

async fn page(world: &World, path: &str) -> String {
    let answer = world.ask(Method::GET, path).header("accept", "text/html").send().await;
    assert_eq!(answer.status, 200, "{path}");
    html(&answer).to_owned()
}

#[actix_web::test]
async fn documents_have_contents_colours_and_neighbours() {
    let world = World::new().await;
    let guide = page(&world, "/docs/guide").await;
    assert!(guide.contains("aria-label=\"On this page\""));
    assert!(guide.contains("<span class=\"k\">async</span>") && guide.contains("<span class=\"c\">#"));
    assert!(guide.contains("rel=\"next\" href=\"/docs/settings\"") && !guide.contains("rel=\"prev\""));
    // All clients are shown, so that they can be read without script.
    for client in ["class Doorward", "impl Doorward"] {
        let bare = guide.replace("<span class=\"k\">", "").replace("</span>", "");
        assert!(bare.contains(client), "{client}");
    }
    let last = page(&world, "/docs/backups").await;
    assert!(last.contains("rel=\"prev\"") && !last.contains("rel=\"next\""));
}

#[actix_web::test]
async fn public_pages_are_sent_compressed_and_without_a_csrf_token() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    for path in ["/docs/guide", "/docs/", "/problems", "/problems/not_owner", "/docs/try"] {
        let ask = world.ask(Method::GET, path).header("accept", "text/html");
        let answer = ask.header("accept-encoding", "gzip").send().await;
        assert_eq!(answer.header("content-encoding"), Some("gzip"), "{path}");
        assert_eq!(answer.header("vary"), Some("Accept, Accept-Encoding, Cookie"), "{path}");
        let bytes: usize = answer.header("content-length").unwrap().parse().unwrap();
        assert!(bytes < 40_000, "{path}: {bytes}");
        let own = browser.get(path).await;
        assert!(html(&own).contains("alice") && !html(&own).contains("name=\"csrf_token\""), "{path}");
    }
}

#[actix_web::test]
async fn guide_shows_the_address_of_this_server_in_its_code() {
    let world = World::new().await;
    let guide = page(&world, "/docs/guide").await;
    assert!(guide.contains("BASE=http://doorward.test"));
    assert!(!guide.contains("127.0.0.1:8080"));
}

#[actix_web::test]
async fn problems_are_listed_once_each_by_their_next_step() {
    let world = World::new().await;
    let list = page(&world, "/problems").await;
    for code in Code::ALL {
        let link = format!("href=\"/problems/{code}\"");
        assert_eq!(list.matches(&link).count(), 1, "{code}");
    }
    for step in ["login", "refresh", "step_up", "wait", "fix_request", "request_access"] {
        assert!(list.contains(&format!("<h2 id=\"{step}\">")), "{step}");
    }
}

#[actix_web::test]
async fn problem_page_leads_to_its_neighbours_and_to_explanations() {
    let world = World::new().await;
    let mut path = page(&world, "/problems").await.split("href=\"/problems/").nth(1).unwrap().to_owned();
    path.truncate(path.find('"').unwrap());
    // Following "next" from the first code passes each code once.
    let mut count = 1;
    loop {
        let shown = page(&world, &format!("/problems/{path}")).await;
        assert!(shown.contains("action=\"/explain\"") && shown.contains("name=\"request_id\""), "{path}");
        assert!(shown.contains("<h3>Client developer</h3>") && shown.contains("<h3>Operator</h3>"), "{path}");
        let Some((_, next)) = shown.split_once("rel=\"next\" href=\"/problems/") else { break };
        next.split('"').next().unwrap().clone_into(&mut path);
        count += 1;
        assert!(count <= Code::ALL.len());
    }
    assert_eq!(count, Code::ALL.len());
}
