//! Tests the guide. Runs its commands in order, exactly as printed, and compares the responses. Its clients
//! must equal the files in `docs/examples`, which are printed into the guide if `DOORWARD_WRITE_EXAMPLES` is
//! set.

mod client;
mod clients;
mod lossy_proxy;
#[allow(dead_code)] // its `main`
#[path = "../../../docs/examples/client.rs"]
mod printed;
mod verifiers;
mod walk;

use std::process::{Command, Stdio};

use doorward_test::{PASSWORD, World};
use reqwest::Method;
use serde_json::Value;

const GUIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/guide.md");
const EXAMPLES: [(&str, &str); 4] =
    [("sh", "client.sh"), ("python", "client.py"), ("js", "client.mjs"), ("rust", "client.rs")];

fn guide() -> String {
    std::fs::read_to_string(GUIDE).unwrap()
}

/// Returns the code blocks of a document, each with its language.
fn blocks(text: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let inner: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push((language.to_owned(), format!("{}\n", inner.join("\n"))));
        }
    }
    blocks
}

#[test]
fn guide_prints_its_clients_word_for_word() {
    let mut guide = guide();
    for (language, name) in EXAMPLES {
        let file = std::fs::read_to_string(format!("{}/{name}", client::FOLDER)).unwrap();
        let (before, rest) = guide.split_once(&format!("](examples/{name})")).unwrap();
        let opening = format!("```{language}\n");
        let (text, rest) = rest.split_once(&opening).unwrap();
        let (printed, after) = rest.split_once("\n```\n").unwrap();
        if std::env::var_os("DOORWARD_WRITE_EXAMPLES").is_none() {
            assert_eq!(format!("{printed}\n"), file, "{name}: set DOORWARD_WRITE_EXAMPLES to print it again");
        }
        guide = format!("{before}](examples/{name}){text}{opening}{file}```\n{after}");
    }
    if std::env::var_os("DOORWARD_WRITE_EXAMPLES").is_some() {
        std::fs::write(GUIDE, guide).unwrap();
    }
}

#[actix_web::test]
async fn each_client_runs_as_a_program() {
    let world = World::new().await;
    world.user("alice", "member");
    let folder = client::FOLDER;
    let python =
        std::env::var("DOORWARD_TEST_PYTHON").expect("DOORWARD_TEST_PYTHON is not set: run `make test`");
    let base = &world.base;
    for command in [
        format!("'{python}' -B '{folder}/client.py' {base} alice"),
        format!("node '{folder}/client.mjs' {base} alice"),
        format!("'{}' run --quiet --locked --example client -- {base} alice", env!("CARGO")),
        format!(
            "client() {{ DOORWARD_BASE={base} DOORWARD_TOKENS=\"$KEPT\" sh '{folder}/client.sh' \"$@\"; }}
             client login alice && client call GET /api/v1/me && client logout </dev/null"
        ),
    ] {
        let kept = tempfile::tempdir().unwrap();
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("printf '%s\\n' \"$PASSWORD\" | {{ {command}; }}"));
        shell.env("PASSWORD", PASSWORD).env("KEPT", kept.path().join("tokens")).env("no_proxy", "*");
        shell.current_dir(env!("CARGO_MANIFEST_DIR")).stderr(Stdio::inherit());
        let output = tokio::task::spawn_blocking(move || shell.output().unwrap()).await.unwrap();
        assert!(output.status.success(), "{command}");
        let me: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(me["username"], "alice", "{command}");
    }
    assert_eq!(world.count("SELECT count(*) FROM sessions WHERE ended_reason = 'logout'"), 4);
}

#[actix_web::test]
async fn guide_is_served_as_a_page_and_as_its_source() {
    let world = World::new().await;
    let ask = |accept: &str| world.ask(Method::GET, "/docs/guide").header("accept", accept).send();
    let page = ask("text/html").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(page.header("cache-control"), Some("public, max-age=3600"));
    assert_eq!(page.header("vary"), Some("Accept, Cookie"));
    let html = page.body.as_str().unwrap();
    for line in guide().lines().filter_map(|line| line.strip_prefix("## ")) {
        let anchor = line.to_lowercase().replace(' ', "-");
        assert!(html.contains(&format!("<a href=\"#{anchor}\">")), "{line} is in the table of contents");
        assert!(html.contains(&format!("<h2 id=\"{anchor}\">")), "{line} has an anchor");
    }
    let source = ask("text/markdown").await;
    assert_eq!(source.header("content-type"), Some("text/markdown; charset=utf-8"));
    assert_eq!(source.body, guide().replace("http://127.0.0.1:8080", "http://doorward.test"));
    assert_eq!(world.ask(Method::HEAD, "/docs/guide").send().await.status, 200);
    world.ask(Method::POST, "/docs/guide").send().await.refused("method_not_allowed");
}

#[actix_web::test]
async fn links_of_the_documents_resolve() {
    let world = World::new().await;
    for name in [
        "guide",
        "settings",
        "operations",
        "django-rest-framework",
        "security",
        "reliability",
        "scaling",
        "backups",
    ] {
        assert_links(&world, &format!("/docs/{name}")).await;
    }
    for (_, name) in EXAMPLES.into_iter().chain(verifiers::EXAMPLES) {
        let served = world.ask(Method::GET, &format!("/docs/examples/{name}")).send().await;
        assert_eq!(served.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(served.body, std::fs::read_to_string(format!("{}/{name}", client::FOLDER)).unwrap());
    }
    world.ask(Method::GET, "/docs/examples/nothing.sh").send().await.refused("not_found");
}

async fn assert_links(world: &World, document: &str) {
    let page = world.ask(Method::GET, document).send().await;
    assert_eq!(page.status, 200, "{document}");
    let html = page.body.as_str().unwrap();
    let article = html.split("<article").nth(1).unwrap().split("</article>").next().unwrap();
    let links = article.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let links: std::collections::BTreeSet<&str> =
        links.filter(|link| !link.starts_with("https://")).collect();
    assert!(!links.is_empty(), "{document}");
    for link in links {
        if let Some(anchor) = link.strip_prefix('#') {
            assert_eq!(article.matches(&format!("id=\"{anchor}\"")).count(), 1, "{document}: {link}");
        } else {
            let path = if link.starts_with('/') { link.to_owned() } else { format!("/docs/{link}") };
            assert_eq!(world.ask(Method::GET, &path).send().await.status, 200, "{document}: {link}");
        }
    }
}
